//! Answers that few servers give.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use periwinkle_core::limits;

use super::test_server::{Server, answer, fetch};
use super::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("into memory");
    encoder.finish().expect("into memory")
}

/// An answer in one chunk, whose head has these lines.
fn chunked(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{:x}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    bytes
}

async fn text_of(bytes: Vec<u8>) -> Result<String, FetchError> {
    let server = Server::always(bytes).await;
    fetch().get_text(&server.url("/")).await
}

fn in_gzip(body: Vec<u8>) -> Vec<u8> {
    answer("200 OK\r\ncontent-encoding: gzip", body)
}

#[tokio::test]
async fn zeros_behind_gzip_are_passed_over_to_their_bound_and_other_bytes_are_an_error() {
    let zeros = |count: u64| vec![0; usize::try_from(count).expect("it is small")];
    let most = limits::GZIP_PADDING_BYTES_MAX;
    for (body, expected) in [
        (gzip("a"), Some("a")),
        ([gzip("a"), zeros(1)].concat(), Some("a")),
        ([gzip("a"), zeros(most)].concat(), Some("a")),
        ([gzip("a"), zeros(most + 1)].concat(), None),
        ([gzip("a"), gzip("b")].concat(), Some("ab")),
        ([gzip("a"), zeros(512), gzip("b")].concat(), Some("ab")),
        ([gzip("a"), zeros(9), b"x".to_vec()].concat(), None),
        ([gzip("a"), b"junk".to_vec()].concat(), None),
        ([gzip("a"), gzip("b")[..12].to_vec()].concat(), None),
        (gzip("a")[..18].to_vec(), None),
    ] {
        match (text_of(in_gzip(body)).await, expected) {
            (Ok(text), Some(expected)) => assert_eq!(text, expected),
            (Err(FetchError::Decode { .. }), None) => {}
            (other, _) => panic!("{other:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn gzip_that_comes_byte_by_byte_is_the_same() {
    let body = [gzip("one"), vec![0; 3], gzip("two")].concat();
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in &body {
        bytes.extend_from_slice(&[b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(text_of(bytes).await.expect("it is whole"), "onetwo");
}

#[tokio::test]
async fn what_was_encoded_for_its_way_is_undone_or_refused() {
    let one = gzip("hello");
    let both = "transfer-encoding: gzip, chunked";
    let lines = "transfer-encoding: x-gzip\r\ntransfer-encoding: chunked";
    let twice = "transfer-encoding: gzip, chunked\r\ncontent-encoding: gzip";
    let double = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&one).expect("into memory");
        encoder.finish().expect("into memory")
    };
    for bytes in [
        chunked(both, &one),
        chunked(lines, &one),
        chunked(twice, &double),
    ] {
        assert_eq!(text_of(bytes).await.expect("it is gzip"), "hello");
    }
    for head in [
        "transfer-encoding: deflate, chunked",
        "transfer-encoding: chunked, chunked",
    ] {
        let error = text_of(chunked(head, b"x")).await.expect_err("it is odd");
        assert!(matches!(error, FetchError::Decode { .. }), "{error:?}");
    }
    // What is left as it is, such as a file, is none the less not what travelled.
    let server = Server::always(chunked(both, &one)).await;
    let request = fetch().get(&server.url("/")).undecoded();
    let answer = request.send().await.expect("it answers");
    assert_eq!(answer.text().await.expect("it is gzip"), "hello");
}

#[tokio::test]
async fn a_field_over_several_lines_is_read_as_one() {
    let folded = "HTTP/1.1 200 OK\r\nx-long: one\r\n  two\r\ncontent-length: 2\r\n\r\nhi";
    let server = Server::always(folded).await;
    let request = fetch().get(&server.url("/"));
    let answer = request.send().await.expect("it answers");
    let words: Vec<&str> = answer
        .header("x-long")
        .expect("it is text")
        .split_whitespace()
        .collect();
    assert_eq!(words, ["one", "two"]);
    assert_eq!(answer.text().await.expect("it is whole"), "hi");
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_no_answer() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let server = Server::always(switch).await;
    let error = fetch()
        .get(&server.url("/"))
        .send()
        .await
        .expect_err("it speaks another protocol now");
    assert!(
        matches!(&error, FetchError::Protocol { reason, .. } if reason.contains("nobody asked")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_download_that_asks_for_a_part_has_the_part() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("part");
    let part = "206 Partial Content\r\ncontent-range: bytes 0-4/10\r\netag: \"e\"";
    let server = Server::always(answer(part, "hello")).await;
    for _ in 0..2 {
        let request = fetch().get(&server.url("/f")).header("range", "bytes=0-4");
        let done = request.download(&path).run().await.expect("it is there");
        assert_eq!((done.bytes, done.resumed_from), (5, 0));
        assert_eq!(std::fs::read(&path).expect("it is there"), b"hello");
    }
    for seen in server.seen() {
        assert_eq!(seen.field("range"), Some("bytes=0-4"));
        assert_eq!(seen.field("if-range"), None);
    }
    assert_eq!(std::fs::read_dir(&folder).expect("it is there").count(), 1);

    // What was left of the whole file is not gone on with.
    std::fs::write(folder.path().join("part.part"), "0123456").expect("it is ours");
    let cut = "HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\n\r\nhel";
    let server = Server::new(move |at, _| match at {
        0 => cut
            .replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n")
            .into_bytes(),
        _ => answer(part, "hello"),
    })
    .await;
    let request = fetch().get(&server.url("/f")).header("range", "bytes=0-4");
    let done = request.download(&path).run().await.expect("it is there");
    assert_eq!((done.bytes, server.seen().len()), (5, 2));
    assert_eq!(std::fs::read(&path).expect("it is there"), b"hello");
}
