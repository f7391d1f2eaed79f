//! WebSockets whose other end does what few do, byte for byte.

use std::time::Duration;

use periwinkle_core::limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::test_server::fetch;
use super::*;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// A frame of a server, which masks nothing.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("it is short");
    [&[first, length], content].concat()
}

fn goodbye(code: u16, words: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), words].concat())
}

/// A WebSocket to a server that sends these bytes, and what comes of the server's connection.
async fn socket(bytes: Vec<u8>) -> (WebSocket, tokio::sync::oneshot::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has ports");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("we connect");
        let socket = tokio_tungstenite::accept_async(stream).await;
        let mut stream = socket.expect("it is an opening").into_inner();
        stream.write_all(&bytes).await.expect("we read");
        let _ = sender.send(stream);
    });
    let socket = fetch().websocket(&url).open(&[]).await;
    (socket.expect("it opens"), receiver)
}

#[tokio::test]
async fn a_goodbye_tells_its_code_and_its_words() {
    for (bytes, told) in [
        (goodbye(1000, b""), Some((1000, ""))),
        (goodbye(1011, b"no disk"), Some((1011, "no disk"))),
        (goodbye(4000, "ä".as_bytes()), Some((4000, "ä"))),
        (frame(CLOSE, b""), None),
    ] {
        let (mut socket, _server) = socket(bytes).await;
        assert_eq!(socket.goodbye(), None);
        assert_eq!(socket.next().await.expect("it is no failure"), None);
        let goodbye = socket.goodbye();
        let goodbye = goodbye.map(|goodbye| (goodbye.code, &goodbye.reason[..]));
        assert_eq!(goodbye, told);
    }
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_the_end_also_where_the_connection_stays_open_or_more_follows() {
    let late = [frame(TEXT, b"a"), goodbye(1000, b""), frame(TEXT, b"late")].concat();
    let (mut socket, server) = socket(late).await;
    let begun = Instant::now();
    let text = Message::Text("a".to_owned());
    assert_eq!(socket.next().await.expect("it came"), Some(text));
    assert_eq!(socket.next().await.expect("it is the end"), None);
    assert_eq!(socket.next().await.expect("it stays the end"), None);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // It was answered in kind: a masked frame with the same code.
    let mut server = server.await.expect("it still listens");
    let mut answer = [0; 8];
    server.read_exact(&mut answer).await.expect("we said it");
    assert_eq!(answer[..2], [CLOSE, 0x82]);
    let code = [answer[6] ^ answer[2], answer[7] ^ answer[3]];
    assert_eq!(u16::from_be_bytes(code), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_that_nobody_answers_is_waited_for_and_not_for_ever() {
    let interval = limits::WEBSOCKET_PING_INTERVAL;
    let (mut socket, _server) = socket(Vec::new()).await;
    socket.close(1000, "").await.expect("it is open");
    let begun = Instant::now();
    let error = socket.next().await.expect_err("it is silent");
    assert!(
        matches!(error, WebSocketError::Silent(after) if after == interval),
        "{error:?}"
    );
    assert_eq!(begun.elapsed(), interval);
}

#[tokio::test]
async fn a_text_that_is_none_breaks_the_rules() {
    for bytes in [frame(TEXT, b"\xff\xfe"), goodbye(1000, b"\xff")] {
        let (mut socket, _server) = socket(bytes).await;
        let error = socket.next().await.expect_err("it is no text");
        assert!(matches!(error, WebSocketError::NoText(_)), "{error:?}");
    }
}
