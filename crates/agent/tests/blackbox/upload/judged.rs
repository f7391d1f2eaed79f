//! What leaves the agent, before a judge who looks at every byte: the signature, the hash of the
//! body, the signatures of its chunks, and the checksum behind it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use periwinkle_testkit::sigv4_judge::{Account, Received, Refused, judge};
use tempfile::TempDir;

use super::{MIB, bytes, ended, home, put_file, write};
use crate::counterparts::Device;
use crate::eventually::eventually;

const SECRET: &str = "secret of the test";

/// What is done to the next body before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoil {
    Nothing,
    /// A byte of the data, far from the head.
    Data,
    /// A letter of the signature of a chunk.
    ChunkSignature,
    /// A letter of the checksum behind the body.
    Trailer,
}

/// S3 as far as the agent asks it, with a judge at its door.
struct JudgedS3 {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    spoil: Spoil,
    verdicts: Vec<Result<usize, Refused>>,
    /// The addresses of what was given up.
    given_up: Vec<String>,
    /// Nobody may see what was begun.
    hides_uploads: bool,
}

impl JudgedS3 {
    fn start() -> JudgedS3 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            spoil: Spoil::Nothing,
            verdicts: Vec::new(),
            given_up: Vec::new(),
            hides_uploads: false,
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                thread::spawn(move || {
                    let _ = serve(stream, address, &shared);
                });
            }
        });
        JudgedS3 { address, state }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spoils the next body.
    fn spoil(&self, spoil: Spoil) {
        self.state.lock().expect("nobody panics with it").spoil = spoil;
    }

    /// The verdicts since the last call.
    fn verdicts(&self) -> Vec<Result<usize, Refused>> {
        let mut state = self.state.lock().expect("nobody panics with it");
        std::mem::take(&mut state.verdicts)
    }
}

fn serve(mut client: TcpStream, address: SocketAddr, state: &Mutex<State>) -> io::Result<()> {
    let mut received = read_request(&mut client, address)?;
    let is_body = received.method == "PUT";
    let is_list = received.method == "GET" && received.uri.contains("uploads=");
    let is_hidden = is_list && state.lock().expect("nobody panics with it").hides_uploads;
    let verdict = {
        let mut state = state.lock().expect("nobody panics with it");
        if is_body {
            spoil(&mut received.body, state.spoil);
            state.spoil = Spoil::Nothing;
        }
        let account = Account {
            secret: SECRET.to_owned(),
            token: None,
        };
        let verdict = judge(&received, &account).map(|body| body.len());
        if is_body {
            state.verdicts.push(verdict.clone());
        }
        if received.method == "DELETE" && verdict.is_ok() {
            state.given_up.push(received.uri.clone());
        }
        verdict
    };
    let (status, body) = match verdict {
        Ok(_) if is_hidden => (
            "403 Forbidden",
            "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".to_owned(),
        ),
        Ok(_) => ("200 OK", answer_to(&received)),
        Err(_) => (
            "400 Bad Request",
            "<Error><Code>BadDigest</Code><Message>spoiled</Message></Error>".to_owned(),
        ),
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\ndate: {}\r\netag: \"e\"\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        httpdate::fmt_http_date(std::time::SystemTime::now()),
        body.len()
    )
}

fn answer_to(received: &Received) -> String {
    match (received.method.as_str(), received.uri.contains("uploads=")) {
        ("POST", true) => "<InitiateMultipartUploadResult><UploadId>u</UploadId>\
            </InitiateMultipartUploadResult>"
            .to_owned(),
        ("POST", false) => "<CompleteMultipartUploadResult><ETag>\"e\"</ETag>\
            </CompleteMultipartUploadResult>"
            .to_owned(),
        ("GET", true) => {
            let upload = |id: &str, day: &str| {
                format!(
                    "<Upload><Key>judged/{id}</Key><UploadId>{id}</UploadId>\
                     <Initiated>{day}T00:00:00.000Z</Initiated></Upload>"
                )
            };
            let (old, new) = (upload("old", "2020-01-01"), upload("new", "2999-01-01"));
            format!("<ListMultipartUploadsResult>{old}{new}</ListMultipartUploadsResult>")
        }
        _ => String::new(),
    }
}

fn spoil(body: &mut [u8], spoil: Spoil) {
    let find = |needle: &[u8]| {
        let at = body.windows(needle.len()).position(|part| part == needle);
        at.expect("it is in the body") + needle.len()
    };
    let at = match spoil {
        Spoil::Nothing => return,
        Spoil::Data => body.len() / 2,
        Spoil::ChunkSignature => find(b";chunk-signature="),
        Spoil::Trailer => find(b"x-amz-checksum-crc64nvme:"),
    };
    body[at] = if body[at] == b'0' { b'1' } else { b'0' };
}

fn read_request(client: &mut TcpStream, address: SocketAddr) -> io::Result<Received> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next(), words.next());
    let mut received = Received {
        method: method.unwrap_or_default().to_owned(),
        uri: format!("http://{address}{}", target.unwrap_or_default()),
        ..Received::default()
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().map_err(io::Error::other)?;
        }
        if name != "host" {
            received.headers.push((name, value));
        }
    }
    reader.take(length).read_to_end(&mut received.body)?;
    Ok(received)
}

fn device(folder: &TempDir) -> Device {
    let file = folder.path().join("keys.json");
    let keys = format!(r#"{{"AccessKeyId":"AKIDEXAMPLE","SecretAccessKey":"{SECRET}"}}"#);
    std::fs::write(&file, keys).expect("it is ours");
    Device {
        thing: "judged".to_owned(),
        endpoint: String::new(),
        region: "us-east-1".to_owned(),
        table: String::new(),
        bucket: "judged-bucket".to_owned(),
        credentials_file: file,
    }
}

/// A name, a size, what is spoiled, and the verdict on it.
type Case = (&'static str, usize, Spoil, fn(&Refused) -> bool);

#[test]
fn a_body_that_was_altered_on_its_way_is_refused_and_sent_again() {
    let s3 = JudgedS3::start();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let agent = home(&device(&folder), &s3.endpoint(), "part_bytes = \"5 MiB\"\n").start();
    let cases: [Case; 5] = [
        ("none", 300_000, Spoil::Nothing, |_| false),
        ("small", 1000, Spoil::Data, |refused| {
            *refused == Refused::BodyHash
        }),
        ("data", 300_000, Spoil::Data, |refused| {
            matches!(refused, Refused::Chunk(_))
        }),
        ("chunk", 300_000, Spoil::ChunkSignature, |refused| {
            *refused == Refused::Chunk(0)
        }),
        ("trailer", 300_000, Spoil::Trailer, |refused| {
            matches!(refused, Refused::Trailer | Refused::Checksum)
        }),
    ];
    for (name, size, spoil, expected) in cases {
        let file = write(&agent, name, &bytes(size));
        s3.spoil(spoil);
        let id = put_file(&agent, &file, &format!("judged/{name}"));
        assert_eq!(ended(&agent, &id)["state"], "done", "{name}");
        let verdicts = s3.verdicts();
        let (last, before) = verdicts.split_last().expect("it was sent");
        assert_eq!(*last, Ok(size), "{name}: the whole body is accepted");
        match before {
            [] => assert_eq!(spoil, Spoil::Nothing, "{name}"),
            [Err(refused)] => assert!(expected(refused), "{name}: {refused:?}"),
            others => panic!("{name}: {others:?}"),
        }
    }
}

#[test]
fn every_part_is_signed_and_carries_its_checksum() {
    let s3 = JudgedS3::start();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let agent = home(&device(&folder), &s3.endpoint(), "part_bytes = \"5 MiB\"\n").start();
    let file = write(&agent, "parts", &bytes(11 * MIB));
    s3.spoil(Spoil::Trailer);
    let id = put_file(&agent, &file, "judged/parts");
    assert_eq!(ended(&agent, &id)["state"], "done");
    let verdicts = eventually("all verdicts are there", || {
        let verdicts = s3.verdicts();
        (!verdicts.is_empty()).then_some(verdicts)
    });
    let mut accepted: Vec<usize> = verdicts.iter().flatten().copied().collect();
    accepted.sort_unstable();
    assert_eq!(accepted, [MIB, 5 * MIB, 5 * MIB]);
    let refused: Vec<&Refused> = verdicts
        .iter()
        .filter_map(|one| one.as_ref().err())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
}

#[test]
fn a_short_list_shows_the_latest_that_ended() {
    let s3 = JudgedS3::start();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let agent = home(&device(&folder), &s3.endpoint(), "").start();
    let file = write(&agent, "any", b"any");
    for at in 0..3 {
        let id = put_file(&agent, &file, &format!("judged/{at}"));
        assert_eq!(ended(&agent, &id)["state"], "done");
    }
    let owner = agent.owner();
    let shown = |query: &str| -> Vec<String> {
        let answer = owner.get(&format!("/api/v1/uploads?ended=true{query}"));
        let listed = answer.json()["uploads"].as_array().expect("a list").clone();
        let keys = listed.iter().map(|one| one["key"].as_str());
        keys.map(|key| key.expect("it is text").to_owned())
            .collect()
    };
    assert_eq!(shown(""), ["judged/0", "judged/1", "judged/2"]);
    assert_eq!(shown("&limit=2"), ["judged/2", "judged/1"]);
    assert_eq!(shown("&limit=0"), [""; 0]);
    assert_eq!(owner.get("/api/v1/uploads?limit=-1").status, 400);
}

#[test]
fn what_was_left_behind_long_ago_is_given_up_once_the_time_is_known() {
    let s3 = JudgedS3::start();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let agent = home(&device(&folder), &s3.endpoint(), "").start();
    let file = write(&agent, "any", b"any");
    let id = put_file(&agent, &file, "judged/any");
    assert_eq!(ended(&agent, &id)["state"], "done");
    eventually("the old one is given up", || {
        (agent.status()["upload"]["orphans"] == 1).then_some(())
    });
    let state = s3.state.lock().expect("nobody panics with it");
    let [given_up] = state.given_up.as_slice() else {
        panic!("{:?}", state.given_up);
    };
    assert!(
        given_up.ends_with("/judged-bucket/judged/old?uploadId=old"),
        "{given_up}"
    );
}

#[test]
fn what_the_credentials_may_not_clear_is_told_once_and_uploads_go_on() {
    let s3 = JudgedS3::start();
    s3.state.lock().expect("nobody panics").hides_uploads = true;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let agent = home(&device(&folder), &s3.endpoint(), "").start();
    let file = write(&agent, "any", b"any");
    let put = |key: &str| {
        let id = put_file(&agent, &file, key);
        assert_eq!(ended(&agent, &id)["state"], "done");
    };
    put("judged/one");
    let told = || agent.log().matches("s3:ListBucketMultipartUploads").count();
    eventually("the log says it", || (told() > 0).then_some(()));
    put("judged/two");
    assert_eq!(
        (told(), agent.status()["upload"]["orphans"].as_u64()),
        (1, Some(0))
    );
}
