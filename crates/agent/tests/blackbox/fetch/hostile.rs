//! Servers that break off, lie, drip and never end: an error in time, never a wrong answer.

use std::net::TcpListener;
use std::time::Duration;

use periwinkle_core::limits;

use super::{DONE, Place, REFUSED, UNREACHABLE, fetch};
use crate::stand_in::{StandIn, Step, answer, head};

#[test]
fn an_answer_that_is_reset_after_any_byte_is_an_error_unless_it_was_whole() {
    let whole = answer("200 OK", &[("content-type", "text/plain")], b"periwinkle");
    check_every_cut(&whole, |cut| vec![Step::Send(cut), Step::Reset]);
}

#[test]
fn an_answer_that_ends_after_any_byte_is_an_error_unless_it_was_whole() {
    let mut whole = head("200 OK", &[("transfer-encoding", "chunked")]);
    whole.extend_from_slice(b"4\r\nperi\r\n6;x=y\r\nwinkle\r\n0\r\n\r\n");
    check_every_cut(&whole, |cut| vec![Step::Send(cut), Step::Close]);
}

/// Serves every beginning of an answer, one after the other, and the whole of it last.
fn check_every_cut(whole: &[u8], steps: fn(Vec<u8>) -> Vec<Step>) {
    let bytes = whole.to_vec();
    let server = StandIn::start(move |number, _| steps(bytes[..number - 1].to_vec()));
    let place = Place::new();
    for length in 0..whole.len() {
        let ran = place.fetch(&[&server.url("/")]);
        assert_eq!(ran.code, UNREACHABLE, "{length} bytes: {}", ran.err);
        assert!("periwinkle".starts_with(&ran.text()), "{}", ran.text());
    }
    let ran = place.fetch(&[&server.url("/")]).expect(DONE);
    assert_eq!(ran.text(), "periwinkle");
}

#[test]
fn a_file_of_a_broken_download_does_not_take_its_final_name() {
    let short = head("200 OK", &[("content-length", "50")]);
    let server = StandIn::start(move |_, _| {
        vec![
            Step::Send([&short[..], b"periwinkle"].concat()),
            Step::Close,
        ]
    });
    let place = Place::new();
    place
        .fetch(&[&server.url("/"), "--output", "flower"])
        .expect(UNREACHABLE);
    assert!(!place.path().join("flower").exists());
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused() {
    let long = "x".repeat(200_000);
    let fields = "x: y\r\n".repeat(2_000);
    for (what, bytes) in [
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!".to_owned(),
        ),
        (
            "a negative length",
            "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello".to_owned(),
        ),
        (
            "a length of letters",
            "HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello".to_owned(),
        ),
        (
            "a signed length",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello".to_owned(),
        ),
        (
            "a huge length",
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 9{}\r\n\r\nhello",
                "9".repeat(30)
            ),
        ),
        ("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        (
            "another version",
            "HTTP/3.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        ("no status", "HTTP/1.1 OK\r\n\r\n".to_owned()),
        (
            "a long field",
            format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n"),
        ),
        ("many fields", format!("HTTP/1.1 200 OK\r\n{fields}\r\n")),
        (
            "a bad field name",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n".to_owned(),
        ),
        (
            "a zero byte",
            "HTTP/1.1 200 OK\r\na: b\0c\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
    ] {
        let server = StandIn::answering(bytes);
        let ran = fetch(&[&server.url("/")]);
        assert_eq!(ran.code, REFUSED, "{what}: {}{}", ran.text(), ran.err);
        assert_eq!(ran.text(), "", "{what}");
    }
}

#[test]
fn chunks_that_are_none_are_refused() {
    for (what, chunks) in [
        ("letters", "zz\r\nhello\r\n0\r\n\r\n"),
        ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        ("no size", "\r\nhello\r\n0\r\n\r\n"),
        (
            "a size beyond 64 bits",
            "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("no end of a chunk", "5\r\nhelloX\r\n0\r\n\r\n"),
        ("a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let mut bytes = head("200 OK", &[("transfer-encoding", "chunked")]);
        bytes.extend_from_slice(chunks.as_bytes());
        let server = StandIn::answering(bytes);
        let ran = fetch(&[&server.url("/")]);
        assert_eq!(ran.code, REFUSED, "{what}: {}{}", ran.text(), ran.err);
    }
}

#[test]
fn headers_without_end_end_the_exchange() {
    for line in ["x: y\r\n", "yyyyyyyy"] {
        let server = StandIn::start(move |_, _| {
            vec![
                Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()),
                Step::Repeat(line.repeat(1000).into_bytes()),
            ]
        });
        fetch(&[&server.url("/")]).expect(REFUSED);
    }
}

#[test]
fn an_answer_that_drips_ends_by_the_deadline() {
    let whole = answer("200 OK", &[], &[b'x'; 10_000]);
    let server =
        StandIn::start(move |_, _| vec![Step::Drip(whole.clone(), Duration::from_millis(50))]);
    let ran = fetch(&[&server.url("/"), "--timeout", "1 s"])
        .expect(UNREACHABLE)
        .tells("1s");
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
}

#[test]
fn a_server_that_says_nothing_ends_by_the_deadline() {
    let server = StandIn::start(|_, _| vec![Step::Hold]);
    let ran = fetch(&[&server.url("/"), "--timeout", "500 ms"]).expect(UNREACHABLE);
    assert!(ran.took >= Duration::from_millis(500), "{:?}", ran.took);
}

#[test]
fn a_connection_that_is_never_made_ends_by_its_own_deadline() {
    // The system takes the connection, and nobody says a word about TLS.
    let silent = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = silent.local_addr().expect("it is bound");
    let url = format!("https://{address}/");
    let ran = fetch(&[&url, "--connect-timeout", "500 ms"]).expect(UNREACHABLE);
    assert!(ran.took >= Duration::from_millis(500), "{:?}", ran.took);
    let whole = limits::DIAL_TLS_MAX;
    assert!(ran.took < whole, "{:?}", ran.took);
}

#[test]
fn interim_answers_are_not_the_answer() {
    let mut bytes = head("100 Continue", &[]);
    for _ in 0..3 {
        bytes.extend(head(
            "103 Early Hints",
            &[("link", "</a.css>; rel=preload")],
        ));
    }
    bytes.extend(answer("200 OK", &[], b"hello"));
    let server = StandIn::answering(bytes);
    let ran = fetch(&[&server.url("/"), "--show", "hb"]).expect(DONE);
    assert!(
        ran.text().starts_with("HTTP/1.1 200 OK\n"),
        "{}",
        ran.text()
    );
    assert!(ran.text().ends_with("\n\nhello"), "{}", ran.text());
}

#[test]
fn interim_answers_without_end_end_by_the_deadline() {
    let server = StandIn::start(|_, _| {
        let hints = head("103 Early Hints", &[]);
        vec![Step::Repeat(hints.repeat(100))]
    });
    // Each of them is short and whole: no bound but the deadline is ever met.
    let ran = fetch(&[&server.url("/"), "--timeout", "1 s"])
        .expect(UNREACHABLE)
        .tells("1s");
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
    assert!(ran.took < Duration::from_secs(20), "{:?}", ran.took);
}
