//! Event streams and WebSockets.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{CLIENT_ERROR, DONE, Place, REFUSED, UNREACHABLE, fetch};
use crate::stand_in::{StandIn, Step, answer, head};

const STREAM: (&str, &str) = ("content-type", "text/event-stream");

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn an_event_stream_that_breaks_off_goes_on_behind_the_last_event() {
    let server = StandIn::start(|number, _| {
        let mut bytes = head("200 OK", &[STREAM]);
        bytes.extend_from_slice(match number {
            1 => b"retry: 10\n\nid: 1\ndata: one\n\nid: 2\nevent: petal\ndata: two\ndata: lines\n\ndata: half",
            _ => b": nothing\n\nid: 3\ndata: three\n\n",
        });
        match number {
            1 => vec![Step::Send(bytes), Step::Reset],
            2 => vec![Step::Send(bytes), Step::Close],
            _ => vec![Step::Send(answer("204 No Content", &[], b""))],
        }
    });
    let ran = fetch(&["--sse", &server.url("/")]).expect(DONE);
    assert_eq!(
        lines(&ran.text()),
        [
            json!({"event": "message", "data": "one", "id": "1"}),
            json!({"event": "petal", "data": "two\nlines", "id": "2"}),
            json!({"event": "message", "data": "three", "id": "3"}),
        ]
    );
    let requests = server.requests();
    let last: Vec<_> = requests
        .iter()
        .map(|one| one.fields.get("last-event-id"))
        .collect();
    assert_eq!(last, [None, Some(&"2".to_owned()), Some(&"3".to_owned())]);
    assert!(
        requests
            .iter()
            .all(|one| one.fields["accept"] == "text/event-stream")
    );
}

#[test]
fn an_event_stream_that_is_refused_or_none_is_told() {
    let server = StandIn::answering(answer("403 Forbidden", &[], b"no"));
    fetch(&["--sse", &server.url("/")]).expect(CLIENT_ERROR);
    assert_eq!(server.requests().len(), 1);
    let server = StandIn::answering(answer("200 OK", &[("content-type", "text/html")], b"<p>"));
    fetch(&["--sse", &server.url("/")])
        .expect(REFUSED)
        .tells("stream of events");
}

#[test]
fn an_event_without_end_is_refused() {
    let server = StandIn::start(|_, _| {
        vec![
            Step::Send(head("200 OK", &[STREAM])),
            Step::Repeat(b"data: more and more".repeat(500)),
        ]
    });
    fetch(&["--sse", &server.url("/")]).expect(REFUSED);
}

/// Sends back what it gets, and closes when it gets `bye`, for a failure when it gets `fail`.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    continue;
                };
                let mut goodbye = None;
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Message::Text(text) if text == "fail" => {
                            goodbye = Some(CloseFrame {
                                code: 1011.into(),
                                reason: "no\u{1b}disk".into(),
                            });
                            break;
                        }
                        Message::Text(text) if text == "bye" => break,
                        Message::Text(_) | Message::Binary(_) => {
                            socket.send(message).await.unwrap();
                        }
                        _ => {}
                    }
                }
                let _ = socket.close(goodbye).await;
                // What the client still says is heard: unread, it would reset the connection.
                while let Some(Ok(_)) = socket.next().await {}
            }
        });
    });
    address
}

#[test]
fn lines_go_over_a_web_socket_and_messages_come_back() {
    let url = format!("ws://{}/", echo());
    let ran = Place::new()
        .fetch_with_input(
            &["--ws", &url],
            "blue flower\nzweite Blüte\nbye\n".as_bytes(),
        )
        .expect(DONE);
    assert_eq!(ran.text(), "blue flower\nzweite Blüte\n");
}

#[test]
fn a_web_socket_that_is_closed_for_a_failure_is_one() {
    let url = format!("ws://{}/", echo());
    Place::new()
        .fetch_with_input(&["--ws", &url], b"fail\n")
        .expect(REFUSED)
        .tells("code 1011: no\u{fffd}disk");
}

#[test]
fn a_web_socket_that_is_refused_is_told() {
    let server = StandIn::answering(answer("404 Not Found", &[], b"no"));
    fetch(&["--ws", &server.url("/")])
        .expect(CLIENT_ERROR)
        .tells("404");
    fetch(&["--ws", "ws://127.0.0.1:1/"]).expect(UNREACHABLE);
}
