//! Bodies both ways: how they are sent, and how they are decoded within bounds.

use std::fs;
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use super::{CLIENT_ERROR, DONE, INPUT, Place, REFUSED, SERVER_ERROR, UNREACHABLE, USAGE, fetch};
use crate::nginx::Nginx;
use crate::stand_in::{Request, StandIn, Step, answer, head};

/// Sends and gives what came.
fn sent(place: &Place, words: &[&str]) -> Request {
    let server = StandIn::answering(answer("200 OK", &[], b""));
    let url = server.url("/");
    let (method, rest) = words.split_first().unwrap();
    place
        .fetch(&[&[*method, url.as_str()][..], rest].concat())
        .expect(DONE);
    server.requests().pop().unwrap()
}

#[test]
fn items_become_a_json_object() {
    let request = sent(
        &Place::new(),
        &["put", "a=1", "b:=[1.5,null]", "X-Test:x", "q==ä b"],
    );
    assert_eq!(request.method, "PUT");
    assert_eq!(request.target, "/?q=%C3%A4%20b");
    assert_eq!(request.body, br#"{"a":"1","b":[1.5,null]}"#);
    assert_eq!(request.fields["content-type"], "application/json");
    assert_eq!(request.fields["x-test"], "x");
}

#[test]
fn items_become_a_form() {
    let request = sent(&Place::new(), &["post", "--form", "a=1 &", "b:=2"]);
    assert_eq!(request.body, b"a=1%20%26&b=2");
    assert_eq!(
        request.fields["content-type"],
        "application/x-www-form-urlencoded"
    );
}

#[test]
fn what_does_not_know_its_length_goes_in_chunks() {
    let version = fs::read("/proc/version").unwrap();
    let request = sent(&Place::new(), &["put", "@/proc/version"]);
    assert_eq!(request.fields["transfer-encoding"], "chunked");
    assert_eq!(request.body, version);
    let request = sent(&Place::new(), &["post", "--form", "a@/proc/version"]);
    assert_eq!(request.fields["transfer-encoding"], "chunked");
    let inside = |part: &[u8]| request.body.windows(part.len()).any(|one| one == part);
    assert!(inside(&version), "{:?}", request.body);
    // An empty file does know it.
    let place = Place::new();
    fs::write(place.path().join("empty"), "").unwrap();
    let request = sent(&place, &["put", "@empty"]);
    assert_eq!(request.fields["content-length"], "0");
}

#[test]
fn a_pipe_that_nobody_writes_to_is_waited_for_no_longer_than_was_said() {
    let server = StandIn::answering(answer("200 OK", &[], b""));
    let place = Place::new();
    let pipe = place.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    for (item, code) in [
        ("a=@pipe", INPUT),
        ("a:=@pipe", INPUT),
        ("@pipe", UNREACHABLE),
        ("a@pipe", UNREACHABLE),
    ] {
        let ran = place.fetch(&["POST", &server.url("/"), item, "--timeout", "300 ms"]);
        let ran = ran.expect(code).tells("within 300ms");
        assert!(ran.took < Duration::from_secs(10), "{item}: {:?}", ran.took);
    }
    fetch(&["POST", &server.url("/"), "@/tmp"]).expect(INPUT);
}

#[test]
fn files_become_parts_of_a_form() {
    let place = Place::new();
    fs::write(place.path().join("map.png"), b"\x89PNG\r\n--").unwrap();
    let request = sent(&place, &["post", "--form", "title=Map", "map@map.png"]);
    let (kind, boundary) = request.fields["content-type"]
        .split_once("; boundary=")
        .unwrap();
    assert_eq!(kind, "multipart/form-data");
    let expected = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nMap\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"map\"; filename=\"map.png\"\r\n\
         Content-Type: image/png\r\n\r\n"
    );
    let end = format!("\r\n--{boundary}--\r\n");
    let whole = [expected.as_bytes(), b"\x89PNG\r\n--", end.as_bytes()].concat();
    assert_eq!(request.body, whole);
    assert_eq!(request.fields["content-length"], whole.len().to_string());
}

#[test]
fn a_file_is_sent_as_it_is_and_standard_input_in_chunks() {
    let place = Place::new();
    fs::write(place.path().join("a.csv"), "x;y\n").unwrap();
    let request = sent(&place, &["post", "@a.csv"]);
    assert_eq!(request.body, b"x;y\n");
    assert_eq!(request.fields["content-length"], "4");
    assert_eq!(request.fields["content-type"], "text/csv; charset=utf-8");

    let server = StandIn::answering(answer("200 OK", &[], b""));
    let words = ["post", &server.url("/"), "@-", "Content-Type:text/plain"];
    place.fetch_with_input(&words, b"a line\n").expect(DONE);
    let request = server.requests().pop().unwrap();
    assert_eq!(request.body, b"a line\n");
    assert_eq!(request.fields["transfer-encoding"], "chunked");
    assert_eq!(request.fields["content-type"], "text/plain");
}

#[test]
fn a_file_that_is_missing_is_told_before_anything_is_sent() {
    let server = StandIn::answering(answer("200 OK", &[], b""));
    fetch(&["post", &server.url("/"), "@nowhere"])
        .expect(INPUT)
        .tells("nowhere");
    assert_eq!(server.connections(), 0);
    fetch(&["post", &server.url("/"), "@a", "b=c"]).expect(USAGE);
}

#[test]
fn an_early_error_is_the_answer_and_not_a_broken_pipe() {
    let server = StandIn::start(|_, _| {
        let refusal = answer(
            "413 Content Too Large",
            &[("connection", "close")],
            b"too long",
        );
        vec![Step::Send(refusal), Step::Hold]
    });
    let place = Place::new();
    let file = fs::File::create(place.path().join("large")).unwrap();
    file.set_len(50_000_000).unwrap();
    let ran = place
        .fetch(&["put", &server.url("/"), "@large"])
        .expect(CLIENT_ERROR);
    assert_eq!(ran.text(), "too long");
}

#[test]
fn an_early_error_with_a_reset_behind_it_is_still_the_answer() {
    let server = StandIn::start(|_, _| {
        let refusal = answer(
            "507 Insufficient Storage",
            &[("connection", "close")],
            b"full",
        );
        vec![Step::Send(refusal), Step::Close]
    });
    let place = Place::new();
    fs::write(place.path().join("small"), vec![b'x'; 200_000]).unwrap();
    let ran = place
        .fetch(&["put", &server.url("/"), "@small"])
        .expect(SERVER_ERROR);
    assert_eq!(ran.text(), "full");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// 100,000,000 zeros in brotli.
const BROTLI_BOMB: &str = "z///f/gnAOKxQCD3/p/////wTwDEYQGA7v0/////4Z8AiMMiAN37f/7//8M/\
    ARCHBQC69//8//+HfwIgDgsAdO//8x+8Hv8EQBwWAOhi1wM=";

#[test]
fn encoded_answers_are_decoded() {
    let nginx = Nginx::plain();
    let text = "periwinkle ".repeat(10_000);
    nginx.file("text.txt", text.as_bytes());
    let ran = fetch(&[&nginx.url("/zipped/text.txt"), "--show", "hb"]).expect(DONE);
    assert!(ran.text().ends_with(&text), "it comes as it was");

    // "periwinkle" in one uncompressed block.
    let brotli = b"\x8b\x04\x80periwinkle\x03";
    let server = StandIn::answering(answer("200 OK", &[("content-encoding", "br")], brotli));
    let ran = fetch(&[&server.url("/")]).expect(DONE);
    assert_eq!(ran.text(), "periwinkle");
    let accepted = &server.requests()[0].fields["accept-encoding"];
    assert_eq!(accepted, "gzip, br");
}

#[test]
fn an_answer_that_explodes_is_stopped() {
    let zeros = vec![0; 100_000_000];
    for (coding, bomb) in [
        ("gzip", gzip(&zeros)),
        ("br", STANDARD.decode(BROTLI_BOMB).unwrap()),
        ("gzip, gzip", gzip(&gzip(&zeros))),
    ] {
        let server = StandIn::answering(answer("200 OK", &[("content-encoding", coding)], &bomb));
        let ran = fetch(&[&server.url("/")]);
        assert_eq!(ran.code, REFUSED, "{coding}: {}", ran.err);
        assert!(ran.out.len() < 30_000_000, "{coding}: {}", ran.out.len());
    }
}

#[test]
fn an_encoding_that_lies_is_refused() {
    let cut = gzip(b"periwinkle periwinkle");
    let cut = &cut[..cut.len() - 9];
    for (what, coding, body) in [
        ("no gzip", "gzip", &b"plain text"[..]),
        ("a cut end", "gzip", cut),
        ("no brotli", "br", b"\xff\xff\xff\xff\xff\xff"),
        ("unknown", "zstd", b"x"),
        ("three over each other", "gzip, gzip, gzip", b"x"),
    ] {
        let server = StandIn::answering(answer("200 OK", &[("content-encoding", coding)], body));
        let ran = fetch(&[&server.url("/")]);
        assert_eq!(ran.code, REFUSED, "{what}: {}{}", ran.text(), ran.err);
    }
}

#[test]
fn what_is_shown_is_chosen_by_letters() {
    let mut bytes = head("404 Not Found", &[("content-length", "4"), ("x-a", "b")]);
    bytes.extend_from_slice(b"gone");
    let server = StandIn::answering(bytes);
    let shown = |letters: &str| {
        let url = server.url("/page");
        fetch(&["POST", &url, "a=1", "--show", letters]).expect(CLIENT_ERROR)
    };
    assert_eq!(shown("b").text(), "gone");
    assert_eq!(
        shown("h").text(),
        "HTTP/1.1 404 Not Found\ncontent-length: 4\nx-a: b\n\n"
    );
    assert_eq!(shown("B").text(), "{\"a\":\"1\"}\n");
    let head = shown("H").text();
    assert!(head.starts_with("POST /page HTTP/1.1\n"), "{head}");
    assert!(
        head.contains(&format!("host: {}\n", server.address)),
        "{head}"
    );
}

#[test]
fn the_console_of_our_own_server_can_be_spoken_to() {
    let agent = crate::agent::Home::new().start();
    let url = format!("http://{}/api/v1/status", agent.address);
    let status: Value = serde_json::from_slice(&fetch(&[&url]).expect(DONE).out).unwrap();
    let expected = agent.client().get("/api/v1/status").json();
    assert_eq!(status["setup"], expected["setup"]);
    let refused = fetch(&[&format!("http://{}/api/v1/users", agent.address)]).expect(CLIENT_ERROR);
    let problem: Value = serde_json::from_slice(&refused.out).unwrap();
    assert_eq!(problem["status"], json!(401));
}
