//! botocore's opinion: signatures of random requests, and what it knows of the services in our
//! table. One run of the judge for both; `cargo xtask setup` installs it.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]
#![allow(
    clippy::disallowed_methods,
    reason = "the test starts a program that is not ours"
)]

use base64::Engine as _;
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::sigv4::{Payload, PresignedLife, Request, Signer, encode_uri};
use periwinkle_core::aws::wire::{Binding, Call, Place, Protocol, Service};
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value;
use periwinkle_testkit::rng::Rng;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const CASES: usize = 1000;
const SEED: u64 = 20_261_122;

/// What botocore pages by other members than we do: lists that no device reads, and S3's old list.
const PAGES_NOT_FOLLOWED: &[(&str, &str)] = &[
    ("dynamodb", "LastEvaluatedBackupArn"),
    ("kinesis", "StreamDescription.Shards[-1].ShardId"),
    ("s3", "NextMarker || Contents[-1].Key"),
    ("s3", "NextPartNumberMarker"),
];

#[test]
fn botocore_signs_alike_and_knows_the_same_services() {
    let mut rng = Rng::new(SEED);
    let cases: Vec<Case> = (0..CASES).map(|_| Case::new(&mut rng)).collect();
    let names: Vec<&str> = Service::all().iter().map(|service| service.name).collect();
    let answer = ask(&json!({
        "sign": cases.iter().map(Case::json).collect::<Vec<Value>>(),
        "services": names,
    }));
    for (number, case) in cases.iter().enumerate() {
        case.check(number, &answer["signed"][number]);
    }
    let mut not_followed = Vec::new();
    for service in Service::all() {
        check_service(
            service,
            &answer["services"][service.name],
            &mut not_followed,
        );
    }
    let expected: Vec<(String, String)> = PAGES_NOT_FOLLOWED
        .iter()
        .map(|(service, member)| ((*service).to_owned(), (*member).to_owned()))
        .collect();
    assert_eq!(not_followed, expected);
    for binding in Binding::all() {
        let theirs = &answer["services"][binding.service]["operations"][binding.operation];
        check_binding(binding, theirs);
    }
}

fn ask(question: &Value) -> Value {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tools =
        std::env::var_os("PERIWINKLE_TEST_TOOLS").map_or_else(|| root.join(".test"), PathBuf::from);
    let python = tools.join("venv-judges/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask test`, or once `cargo xtask setup`",
        python.display()
    );
    let mut judge = Command::new(python)
        .arg(root.join("xtask/assets/aws_judge.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = judge.stdin.take().unwrap();
    let text = question.to_string();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = judge.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A request to be signed by both.
struct Case {
    service: &'static str,
    method: &'static str,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    signs_body: bool,
    token: Option<String>,
    presign: Option<u64>,
    at: u64,
}

const HOST: &str = "host.example:8443";

impl Case {
    fn new(rng: &mut Rng) -> Case {
        let service = ["dynamodb", "s3", "logs"][rng.index(3)];
        let method = ["GET", "PUT", "POST", "DELETE"][rng.index(4)];
        let mut segments: Vec<String> = (0..rng.below(4)).map(|_| segment(rng)).collect();
        if segments
            .last()
            .is_some_and(|last| last == "." || last == "..")
        {
            // botocore loses the slash that stays here, by RFC 3986 and by the official vectors.
            segments.push("end".to_owned());
        }
        let query: Vec<String> = (0..rng.below(4))
            .map(|_| {
                format!(
                    "{}={}",
                    encode_uri(&text(rng, 1)),
                    encode_uri(&text(rng, 0))
                )
            })
            .collect();
        let headers = (0..rng.below(4))
            .map(|number| (format!("X-H{number}"), format!("v{}", text(rng, 0))))
            .collect();
        let presign = rng.one_in(2).then(|| 1 + rng.below(604_800));
        // botocore takes a body that is presigned for parameters.
        let body = if presign.is_some() { 0 } else { rng.below(50) };
        Case {
            service,
            method,
            path: format!("/{}", segments.join("/")),
            query: query.join("&"),
            headers,
            body: (0..body).map(|_| rng.next_u64() as u8).collect(),
            signs_body: service != "s3" || rng.one_in(2),
            token: rng.one_in(2).then(|| "to/ken+==".to_owned()),
            presign,
            at: rng.below(4_000_000_000),
        }
    }

    fn json(&self) -> Value {
        let separator = if self.query.is_empty() { "" } else { "?" };
        json!({
            "service": self.service,
            "region": "eu-central-1",
            "at": self.at,
            "method": self.method,
            "url": format!("https://{HOST}{}{separator}{}", self.path, self.query),
            "headers": self.headers,
            "body": base64::engine::general_purpose::STANDARD.encode(&self.body),
            "token": self.token,
            "presign": self.presign,
            "signs_body": self.signs_body,
        })
    }

    fn check(&self, number: usize, theirs: &Value) {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // An address of S3 is for whatever body comes.
        let unsigned = !self.signs_body || (self.service == "s3" && self.presign.is_some());
        let request = Request {
            method: self.method,
            host: HOST,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            payload: if unsigned {
                Payload::Unsigned
            } else {
                Payload::Bytes(&self.body)
            },
        };
        let mut signer = Signer::new("eu-central-1", self.service);
        let mut keys = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG");
        keys.session_token = self.token.as_deref().map(Into::into);
        let at = UnixMillis(i64::try_from(self.at * 1000).unwrap());
        match self.presign {
            Some(seconds) => {
                let life = PresignedLife::new(Duration::from_secs(seconds)).unwrap();
                let ours = sorted(&signer.presign(&request, &keys, at, life));
                let theirs = sorted(theirs["query"].as_str().unwrap());
                assert_eq!(ours, theirs, "seed {SEED}, case {number}");
            }
            None => {
                for (name, value) in signer.sign(&request, &keys, at) {
                    let theirs = theirs[name].as_str();
                    assert_eq!(
                        Some(value.as_str()),
                        theirs,
                        "seed {SEED}, case {number}: {name}"
                    );
                }
            }
        }
    }
}

/// The parameters of a query in one order.
fn sorted(query: &str) -> Vec<String> {
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    pairs.sort();
    pairs
}

fn segment(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => String::new(),
        1 => ".".to_owned(),
        2 => "..".to_owned(),
        _ => encode_uri(&text(rng, 1)),
    }
}

/// Letters of all kinds, without white space, which both treat in their own ways.
fn text(rng: &mut Rng, least: u64) -> String {
    const LETTERS: &[char] = &[
        'a', 'Z', '0', '-', '_', '.', '~', '/', '+', '%', '&', '=', '?', '*', '\'', '(', '!', '@',
        ':', ';', ',', '$', '"', '<', 'ä', '€', '😀',
    ];
    let length = least + rng.below(6);
    (0..length)
        .map(|_| LETTERS[rng.index(LETTERS.len())])
        .collect()
}

fn check_service(service: &Service, theirs: &Value, not_followed: &mut Vec<(String, String)>) {
    let name = service.name;
    let (protocol, version) = match service.protocol {
        Protocol::Json { version, target } => {
            assert_eq!(theirs["target"], target, "{name}");
            assert_eq!(theirs["json"], version, "{name}");
            ("json", None)
        }
        Protocol::Query { version } => ("query", Some(version)),
        Protocol::RestJson => ("rest-json", None),
        Protocol::RestXml => ("rest-xml", None),
    };
    let protocols = theirs["protocols"].as_array().unwrap();
    assert!(
        protocols.contains(&json!(protocol)),
        "{name} speaks {protocols:?}"
    );
    if let Some(version) = version {
        assert_eq!(theirs["version"], version, "{name}");
    }
    assert_eq!(theirs["signing"], service.signing_name, "{name}");
    assert_eq!(theirs["endpoint"], service.endpoint, "{name}");
    for page in theirs["pages"].as_array().unwrap() {
        let (output, input) = (page[0].as_str().unwrap(), page[1].as_str().unwrap());
        let call = Call::new(name, "Operation", value::Map::default()).unwrap();
        let answer = value::Value::Map(value::Map::from([(output, "token")]));
        let next = call.next_page(&answer);
        let followed = call.with_parameter(input, "token");
        if next != Some(followed) {
            not_followed.push((name.to_owned(), output.to_owned()));
        }
    }
}

fn check_binding(binding: &Binding, theirs: &Value) {
    let name = format!("{} {}", binding.service, binding.operation);
    assert_eq!(theirs["method"], binding.method, "{name}");
    let ours = match binding.query {
        "" => binding.path.to_owned(),
        query => format!("{}?{query}", binding.path),
    };
    assert_eq!(theirs["uri"], ours, "{name}");
    assert_eq!(theirs["payload"].as_str(), binding.payload, "{name}");
    let members = theirs["members"].as_object().unwrap();
    for (member, place) in binding.members {
        let (location, wire_name) = match place {
            Place::Query(wire_name) => ("querystring", *wire_name),
            Place::Header(wire_name) => ("header", *wire_name),
        };
        let theirs = &members[*member];
        assert_eq!(theirs[0], location, "{name} {member}");
        let same = theirs[1].as_str().unwrap().eq_ignore_ascii_case(wire_name);
        assert!(same, "{name} {member}: {theirs}");
    }
    let own = |member: &str| binding.members.iter().any(|(given, _)| *given == member);
    let left: Vec<&String> = members
        .iter()
        .filter(|(member, place)| place[0] == "querystring" && !own(member))
        .map(|(member, _)| member)
        .collect();
    assert!(left.is_empty(), "{name} leaves {left:?} out");
}
