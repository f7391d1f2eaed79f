//! Speaking to the running agent over its control socket: HTTP/1.1, the same API as the console.

use std::io::{self, ErrorKind};
use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use periwinkle_core::limits::{CONTROL_ANSWER_BYTES_MAX, CONTROL_ANSWER_WAIT_MAX};
use serde_json::Value;
use tokio::net::UnixStream;

use super::args::Json;
use super::failure::Failure;
use super::inputs::Inputs;
use super::output;

/// What the agent answered.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// Asks the agent of this configuration, and returns the body of a good answer; a refusal becomes
/// a failure in the agent's words. With `json`, what the agent answered is printed as it is.
pub(super) fn ask(
    inputs: &Inputs,
    json: Json,
    request: (Method, &str, Option<Value>),
) -> Result<Value, Failure> {
    let socket = inputs.load()?.config.control_socket();
    let answer = exchange(&socket, request)?;
    if json.json && !answer.body.is_empty() {
        output::print(&String::from_utf8_lossy(&answer.body))?;
    }
    understand(&answer)
}

/// Whether an agent listens at all: better known before somebody types a password than after.
pub(super) fn check_reachable(inputs: &Inputs) -> Result<(), Failure> {
    let socket = inputs.load()?.config.control_socket();
    match std::os::unix::net::UnixStream::connect(&socket) {
        Ok(_) => Ok(()),
        Err(error) => Err(no_connection(&socket, &error)),
    }
}

fn exchange(
    socket: &Path,
    (method, path, body): (Method, &str, Option<Value>),
) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    let request = request(method, path, body);
    runtime.block_on(async {
        let exchange = send(socket, request);
        match tokio::time::timeout(CONTROL_ANSWER_WAIT_MAX, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::unreachable(format!(
                "the agent on {} does not answer",
                socket.display()
            ))
            .hint("its log says more; `kill` and `periwinkle run` start it anew")),
        }
    })
}

pub(super) fn request(method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("paths are made of checked names")
}

async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let response = respond(socket, request).await?;
    collect(socket, response).await
}

pub(super) async fn collect(
    socket: &Path,
    response: Response<Incoming>,
) -> Result<Answer, Failure> {
    let status = response.status();
    let body = Limited::new(response.into_body(), CONTROL_ANSWER_BYTES_MAX);
    let body = body.collect().await;
    let body = body.map_err(|error| broken(socket, &error))?.to_bytes();
    Ok(Answer { status, body })
}

/// The head of the answer; its body is still to come.
pub(super) async fn respond(
    socket: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| no_connection(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(socket, &error))?;
    // It ends with this exchange, whose own error is the one that counts.
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    response.map_err(|error| broken(socket, &error))
}

pub(super) fn broken(socket: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::unreachable(format!(
        "the agent on {} broke the connection off: {error}",
        socket.display()
    ))
}

pub(super) fn no_connection(socket: &Path, error: &io::Error) -> Failure {
    let socket = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            Failure::unreachable(format!("no agent answers on {socket}")).hint(
                "start one with `periwinkle run`, or name the directory of the one that runs \
                 with --state",
            )
        }
        ErrorKind::PermissionDenied => Failure::refused(format!(
            "the agent's socket {socket} belongs to another user"
        ))
        .hint("run this command as that user, or as root"),
        _ => Failure::unreachable(format!(
            "the agent's socket {socket} cannot be used: {error}"
        )),
    }
}

pub(super) fn understand(answer: &Answer) -> Result<Value, Failure> {
    let body = match answer.body.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice::<Value>(&answer.body),
    };
    if answer.status.is_success() {
        return body.map_err(|error| {
            Failure::internal(format!("the agent's answer is not JSON: {error}"))
                .hint("are command and agent of the same version?")
        });
    }
    let body = body.unwrap_or_default();
    let detail = body["detail"].as_str().or(body["title"].as_str());
    let words = match detail {
        Some(detail) => output::plain(detail),
        None => format!("the agent answered {}", answer.status),
    };
    match answer.status.is_server_error() {
        true => Err(Failure::internal(words)),
        false => Err(Failure::refused(words)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    use serde_json::json;

    use super::*;

    /// What a command makes of an agent that answers with these bytes, and what it sent.
    fn against(answer: &'static str) -> (Result<Value, Failure>, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let agent = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"{\"a\":1}") {
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let request = (Method::POST, "/api/v1/x", Some(json!({"a": 1})));
        let result = exchange(&socket, request).and_then(|answer| understand(&answer));
        (result, agent.join().unwrap())
    }

    #[test]
    fn a_good_answer_is_its_json() {
        let (result, request) =
            against("HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n{\"b\": [2,3]}");
        assert_eq!(result, Ok(json!({"b": [2, 3]})));
        assert!(
            request.starts_with("POST /api/v1/x HTTP/1.1\r\nhost: localhost\r\n"),
            "{request}"
        );
        assert_eq!(
            against("HTTP/1.1 204 No Content\r\n\r\n").0,
            Ok(Value::Null)
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_agent() {
        for (answer, code, words) in [
            (
                "HTTP/1.1 409 Conflict\r\ncontent-length: 26\r\n\r\n{\"detail\":\"There is one.\"} ",
                3,
                "There is one.",
            ),
            (
                "HTTP/1.1 500 Oh\r\ncontent-length: 21\r\n\r\n{\"detail\":\"A\\u001bB\"}",
                1,
                "A\u{fffd}B",
            ),
            (
                "HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno!",
                3,
                "the agent answered 404 Not Found",
            ),
        ] {
            let failure = against(answer).0.unwrap_err();
            assert_eq!(
                (failure.code, failure.to_string()),
                (code, words.to_owned())
            );
        }
    }

    #[test]
    fn an_answer_that_is_no_http_is_told() {
        let failure = against("hello\r\n\r\n").0.unwrap_err();
        assert_eq!(failure.code, 4);
        assert!(
            failure.to_string().contains("broke the connection off"),
            "{failure}"
        );
    }

    #[test]
    fn an_answer_that_is_no_json_is_told() {
        let failure = against("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK")
            .0
            .unwrap_err();
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn without_an_agent_the_user_learns_how_to_start_one() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let ask = || exchange(&socket, (Method::GET, "/", None)).unwrap_err();
        let expected = format!(
            "no agent answers on {}\nstart one with `periwinkle run`, or name the directory of \
             the one that runs with --state",
            socket.display()
        );
        assert_eq!((ask().code, ask().to_string()), (4, expected.clone()));
        // The socket of an agent that was killed.
        drop(UnixListener::bind(&socket).unwrap());
        assert_eq!(ask().to_string(), expected);
        let inputs = Inputs {
            file: Some((
                "p.toml".to_owned(),
                format!("control.socket = '{}'", socket.display()),
            )),
            environment: Vec::new(),
            profile: None,
            overrides: Vec::new(),
        };
        assert_eq!(check_reachable(&inputs).unwrap_err().to_string(), expected);
    }
}
