//! Names and passwords: Basic with nginx, and Digest with a server that checks every answer by the
//! letter of RFC 7616.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{CLIENT_ERROR, DONE, Place, REFUSED, USAGE, fetch};
use crate::nginx::Nginx;
use crate::stand_in::{Request, StandIn, Step, answer, head};

#[test]
fn basic_is_sent_over_a_line_that_nobody_reads_or_when_it_is_asked_for() {
    let nginx = Nginx::plain();
    let (here, far) = (nginx.url("/private/page"), nginx.far_url("/private/page"));
    fetch(&[&here]).expect(CLIENT_ERROR);
    fetch(&[&here, "--user", "olga:periwinkle"]).expect(DONE);
    // Without TLS the password would go over the network as it is.
    fetch(&[&far, "--user", "olga:periwinkle"])
        .expect(REFUSED)
        .tells("--basic");
    let ran = fetch(&[&far, "--user", "olga:periwinkle", "--basic"]).expect(DONE);
    assert_eq!(ran.text(), "for Olga\n");
    fetch(&[&far, "--user", "olga:wrong", "--basic"]).expect(CLIENT_ERROR);
    let answers: Vec<bool> = nginx
        .log()
        .iter()
        .map(|line| line.contains("Basic "))
        .collect();
    assert_eq!(answers, [false, false, true, false, true, true]);
}

#[test]
fn basic_is_sent_over_tls_when_the_server_asks() {
    let authority = crate::certificates::Authority::new();
    let nginx = Nginx::tls(&authority.server(&["localhost"]), None);
    let ca = authority.certificate().display().to_string();
    let url = nginx.url("/private/page");
    let ran = fetch(&[&url, "--ca", &ca, "--user", "olga:periwinkle"]).expect(DONE);
    assert_eq!(ran.text(), "for Olga\n");
    assert_eq!(
        nginx.log().len(),
        2,
        "once to be asked, once with the answer"
    );
    fetch(&[&url, "--ca", &ca, "--user", "olga:periwinkle", "--digest"]).expect(CLIENT_ERROR);
}

/// Who asks for a password.
#[derive(Clone, Copy)]
enum Post {
    Server,
    Proxy,
}

impl Post {
    /// The status, and the fields of the question and of the answer to it.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Post::Server => ("401 Unauthorized", "www-authenticate", "authorization"),
            Post::Proxy => (
                "407 Proxy Authentication Required",
                "proxy-authenticate",
                "proxy-authorization",
            ),
        }
    }
}

/// What a server of Digest keeps: its nonces, and the counts that each has seen.
struct Guard {
    post: Post,
    algorithm: &'static str,
    nonces: BTreeSet<String>,
    counts: BTreeSet<(String, String)>,
    /// Answers until a nonce is stale.
    uses: usize,
    used: usize,
}

impl Guard {
    fn new(post: Post, algorithm: &'static str, uses: usize) -> Guard {
        Guard {
            post,
            algorithm,
            nonces: BTreeSet::new(),
            counts: BTreeSet::new(),
            uses,
            used: 0,
        }
    }

    fn challenge(&mut self, stale: &str) -> Vec<u8> {
        let nonce = format!("nonce-{}", self.nonces.len());
        let field = format!(
            "Digest realm=\"the garden\", qop=\"auth\", algorithm={}, nonce=\"{nonce}\", \
             opaque=\"o p\"{stale}",
            self.algorithm
        );
        self.nonces = BTreeSet::from_iter(self.nonces.clone().into_iter().chain([nonce]));
        self.used = 0;
        let (status, question, _) = self.post.words();
        answer(status, &[(question, field.as_str())], b"who?")
    }

    fn hash(&self, text: &str) -> String {
        let bytes = match self.algorithm {
            "MD5" => Md5::digest(text).to_vec(),
            _ => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn handle(&mut self, request: &Request) -> Vec<u8> {
        let (.., word) = self.post.words();
        let Some(field) = request.fields.get(word) else {
            return self.challenge("");
        };
        let given = parameters(field.strip_prefix("Digest ").expect("it is Digest"));
        let of = |name: &str| given.get(name).cloned().unwrap_or_default();
        assert_eq!(of("uri"), request.target);
        assert_eq!(of("username"), "olga");
        assert_eq!(of("opaque"), "o p");
        assert_eq!(of("qop"), "auth");
        let secret = self.hash("olga:the garden:periwinkle");
        let asked = self.hash(&format!("{}:{}", request.method, request.target));
        let expected = self.hash(&format!(
            "{secret}:{}:{}:{}:auth:{asked}",
            of("nonce"),
            of("nc"),
            of("cnonce")
        ));
        let newest = format!("nonce-{}", self.nonces.len() - 1);
        if of("response") != expected {
            return self.challenge("");
        }
        if of("nonce") != newest || self.used == self.uses {
            return self.challenge(", stale=true");
        }
        self.used += 1;
        let is_new = self.counts.insert((of("nonce"), of("nc")));
        assert!(is_new, "a count was used twice: {field}");
        match (request.method.as_str(), request.target.as_str()) {
            ("CONNECT", _) => head("200 Connection established", &[]),
            (_, "/moved") => answer("302 Found", &[("location", "/page")], b""),
            _ => answer("200 OK", &[], b"for Olga"),
        }
    }
}

/// `a=b, c="d"`; none of ours holds a comma or a quote.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(", ").filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

fn guarded(algorithm: &'static str, uses: usize) -> StandIn {
    let guard = Mutex::new(Guard::new(Post::Server, algorithm, uses));
    StandIn::start(move |_, request| {
        let bytes = guard.lock().unwrap().handle(request);
        vec![Step::ReadBody, Step::Send(bytes)]
    })
}

#[test]
fn digest_is_answered_as_the_server_asks() {
    for algorithm in ["SHA-256", "MD5"] {
        let server = guarded(algorithm, 10);
        let ran = fetch(&[&server.url("/page?a=b"), "--user", "olga:periwinkle"]).expect(DONE);
        assert_eq!(ran.text(), "for Olga");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn a_nonce_is_used_again_with_a_higher_count() {
    let server = guarded("SHA-256", 10);
    let words = [
        &server.url("/moved"),
        "--follow",
        "--user",
        "olga:periwinkle",
    ];
    fetch(&words).expect(DONE);
    let counts: Vec<String> = server.requests()[1..]
        .iter()
        .map(|request| parameters(&request.fields["authorization"])["nc"].clone())
        .collect();
    assert_eq!(counts, ["00000001", "00000002"]);
}

#[test]
fn a_stale_nonce_is_replaced_without_a_word() {
    let server = guarded("SHA-256", 1);
    let words = [
        &server.url("/moved"),
        "--follow",
        "--user",
        "olga:periwinkle",
    ];
    fetch(&words).expect(DONE);
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_wrong_password_is_tried_once() {
    let server = guarded("SHA-256", 10);
    let ran = fetch(&[&server.url("/"), "--user", "olga:wrong"]).expect(CLIENT_ERROR);
    assert_eq!(ran.text(), "who?");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_body_is_sent_again_with_the_answer() {
    let server = guarded("SHA-256", 10);
    let words = ["PUT", &server.url("/"), "a=1", "--user", "olga:periwinkle"];
    fetch(&words).expect(DONE);
    let requests = server.requests();
    assert_eq!(requests[1].body, b"{\"a\":\"1\"}");
}

#[test]
fn a_password_can_be_given_without_showing_it_in_the_list_of_processes() {
    let server = guarded("SHA-256", 10);
    let place = Place::new();
    let words = [&server.url("/"), "--user", "olga"];
    place.fetch(&words).expect(USAGE).tells("--password-stdin");
    let words = [&server.url("/"), "--user", "olga", "--password-stdin"];
    place.fetch_with_input(&words, b"periwinkle\n").expect(DONE);
}

/// A proxy, and behind it servers that ask, too.
fn guarded_proxy(algorithm: &'static str) -> StandIn {
    let proxy = Mutex::new(Guard::new(Post::Proxy, algorithm, 10));
    let server = Mutex::new(Guard::new(Post::Server, "SHA-256", 10));
    StandIn::start(move |_, request| {
        let is_tunnelled = request.fields.contains_key("upgrade");
        let guard = if is_tunnelled { &server } else { &proxy };
        let bytes = guard.lock().unwrap().handle(request);
        vec![Step::ReadBody, Step::Send(bytes)]
    })
}

fn lines(server: &StandIn) -> Vec<String> {
    let requests = server.requests();
    let line = |request: &Request| format!("{} {}", request.method, request.target);
    requests.iter().map(line).collect()
}

#[test]
fn a_proxy_is_answered_as_it_asks() {
    for algorithm in ["SHA-256", "MD5"] {
        let proxy = guarded_proxy(algorithm);
        let login = format!("http://olga:periwinkle@{}", proxy.address);
        let ran = fetch(&["http://far.example/page?a=b", "x=1", "--proxy", &login]).expect(DONE);
        assert_eq!(ran.text(), "for Olga");
        assert_eq!(lines(&proxy), ["POST http://far.example/page?a=b"; 2]);
        let wrong = format!("http://olga:wrong@{}", proxy.address);
        let ran = fetch(&["http://far.example/", "--proxy", &wrong]).expect(CLIENT_ERROR);
        assert_eq!(ran.text(), "who?");
        assert_eq!(proxy.requests().len(), 4);
    }
}

#[test]
fn a_web_socket_is_opened_with_one_password_for_the_proxy_and_another_for_the_server() {
    let proxy = guarded_proxy("SHA-256");
    let login = format!("http://olga:periwinkle@{}", proxy.address);
    let words = ["--ws", "ws://far.example/live", "--proxy", &login];
    fetch(&words).expect(CLIENT_ERROR).tells("401");
    let asked = ["CONNECT far.example:80"; 2];
    assert_eq!(lines(&proxy), [&asked[..], &["GET /live"]].concat());
    // This server knows the password, and nothing of WebSockets.
    let words = [&words[..], &["--user", "olga:periwinkle"]].concat();
    fetch(&words).expect(REFUSED).tells("200 OK");
    let second = [
        &asked[..],
        &["GET /live", "CONNECT far.example:80", "GET /live"],
    ]
    .concat();
    assert_eq!(lines(&proxy)[3..], second);
}

#[test]
fn standard_input_waits_for_the_question_of_digest() {
    for post in [Post::Server, Post::Proxy] {
        let guard = Mutex::new(Guard::new(post, "SHA-256", usize::MAX));
        let server = StandIn::start(move |_, request| {
            vec![Step::Send(guard.lock().unwrap().handle(request))]
        });
        let put = |password: &str| {
            let login = format!("olga:{password}");
            let proxy = format!("http://{login}@{}", server.address);
            let page = server.url("/page");
            let words = match post {
                Post::Server => ["PUT", &page, "@-", "--user", &login],
                Post::Proxy => ["PUT", "http://flower.example/", "@-", "--proxy", &proxy],
            };
            Place::new().fetch_with_input(&words, b"told once")
        };
        put("periwinkle").expect(DONE);
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert!(
            requests
                .iter()
                .all(|one| one.fields["expect"] == "100-continue")
        );
        // Whether it was the password or the body that was missing, nobody says.
        put("wrong")
            .expect(CLIENT_ERROR)
            .tells("check name and password; if they are right, send the body from a file");
    }
}
