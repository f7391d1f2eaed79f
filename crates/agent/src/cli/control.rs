//! Speaking to the running agent over its control socket: HTTP/1.1, the same API as the console.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use periwinkle_core::limits::{CONTROL_ANSWER_BYTES_MAX, CONTROL_ANSWER_WAIT_MAX};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::args::Json;
use super::failure::Failure;
use super::inputs::Inputs;
use super::output;

/// What bodies are, unless something else is said.
pub(super) const JSON: &str = "application/json";

/// Asks the agent of this configuration, and returns the body of a good answer; a refusal becomes
/// a failure in the agent's words. With `json`, what the agent answered is printed as it is.
pub(super) fn ask(
    inputs: &Inputs,
    json: Json,
    (method, path, body): (Method, &str, Option<Value>),
) -> Result<Value, Failure> {
    let socket = inputs.load()?.config.control_socket();
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = request(method, path, JSON, body)?;
    let (status, body) = runtime()?.block_on(async {
        let exchange = async {
            let response = respond(&socket, request).await?;
            Ok::<_, Failure>((response.status(), collect(response).await?))
        };
        within(CONTROL_ANSWER_WAIT_MAX, exchange).await?
    })?;
    if json.json && !body.is_empty() {
        output::print(&String::from_utf8_lossy(&body))?;
    }
    match status.is_success() {
        true => parse(&body),
        false => Err(refusal(status, &body)),
    }
}

/// Whether an agent listens at all: better known before somebody types a password than after.
pub(super) fn check_reachable(inputs: &Inputs) -> Result<(), Failure> {
    let socket = inputs.load()?.config.control_socket();
    match std::os::unix::net::UnixStream::connect(&socket) {
        Ok(_) => Ok(()),
        Err(error) => Err(no_connection(&socket, &error)),
    }
}

/// What a command waits on.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::internal(format!("the system gives no event loop: {error}")))
}

/// A request of the API, with a body of this kind.
pub(super) fn request(
    method: Method,
    path: &str,
    kind: &str,
    body: Body,
) -> Result<Request<Body>, Failure> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, kind)
        .body(body)
        .map_err(|error| Failure::usage(format!("{path:?} is no path: {error}")))
}

/// The head of the answer, however long it takes; its body is still to come.
pub(super) async fn respond(
    socket: &Path,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| no_connection(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // It ends with this exchange, whose own error is the one that counts.
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    Ok(response.map_err(|error| broken(&error))?.map(Body::new))
}

/// The answer, if it is a good one.
pub(super) async fn good(response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status();
    match status.is_success() {
        true => Ok(response),
        false => Err(refusal(status, &collect(response).await?)),
    }
}

/// The whole body.
pub(super) async fn collect(response: Response<Body>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), CONTROL_ANSWER_BYTES_MAX);
    let body = within(CONTROL_ANSWER_WAIT_MAX, body.collect()).await?;
    Ok(body.map_err(|error| broken(&error))?.to_bytes())
}

/// Hands the body to `take` piece by piece, for as long as it wants more. `pause_max` is the
/// longest time between two.
pub(super) async fn pieces(
    response: Response<Body>,
    pause_max: Duration,
    mut take: impl FnMut(Bytes) -> Result<ControlFlow<()>, Failure>,
) -> Result<(), Failure> {
    let mut body = response.into_body();
    while let Some(frame) = within(pause_max, body.frame()).await? {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Ok(piece) = frame.into_data()
            && take(piece)?.is_break()
        {
            break;
        }
    }
    Ok(())
}

/// What `work` gives, if the agent does it in time.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        Failure::unreachable("the agent does not answer")
            .hint("its log says more; `kill` and `periwinkle run` start it anew")
    })
}

/// The JSON of a good answer; null when it has no body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Failure> {
    match body.is_empty() {
        true => Ok(Value::Null),
        false => serde_json::from_slice(body).map_err(|error| no_json(&error)),
    }
}

pub(super) fn no_json(error: &dyn std::fmt::Display) -> Failure {
    Failure::internal(format!("the agent's answer is not JSON: {error}"))
        .hint("are command and agent of the same version?")
}

/// A refusal in the words of the API.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(words) => output::plain(words),
        None => format!("the agent answered {status}"),
    };
    match (problem["kind"].as_str().unwrap_or_default(), status) {
        ("corrupt" | "credentials_missing", _) => Failure::input(words),
        ("cloud_unreachable" | "no_answer", _)
        | (_, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
            Failure::unreachable(words)
        }
        (_, StatusCode::BAD_GATEWAY | StatusCode::INSUFFICIENT_STORAGE) => Failure::refused(words),
        _ if status.is_server_error() => Failure::internal(words),
        _ => Failure::refused(words),
    }
}

pub(super) fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::unreachable(format!("the agent broke its answer off: {error}"))
        .hint("the log of the agent says why")
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
        let result = ask(&inputs(&socket), Json::default(), request);
        (result, agent.join().unwrap())
    }

    fn inputs(socket: &Path) -> Inputs {
        Inputs {
            file: Some((
                "p.toml".to_owned(),
                format!("control.socket = '{}'", socket.display()),
            )),
            environment: Vec::new(),
            profile: None,
            overrides: Vec::new(),
        }
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
                "HTTP/1.1 502 Oh\r\ncontent-length: 39\r\n\r\n\
                 {\"kind\":\"cloud_refused\",\"detail\":\"No.\"}",
                3,
                "No.",
            ),
            (
                "HTTP/1.1 502 Oh\r\ncontent-length: 44\r\n\r\n\
                 {\"kind\":\"cloud_unreachable\",\"detail\":\"Far.\"}",
                4,
                "Far.",
            ),
            (
                "HTTP/1.1 409 Oh\r\ncontent-length: 46\r\n\r\n\
                 {\"kind\":\"credentials_missing\",\"detail\":\"Who?\"}",
                2,
                "Who?",
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
            failure.to_string().contains("broke its answer off"),
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
        let ask = || {
            let request = (Method::GET, "/", None);
            ask(&inputs(&socket), Json::default(), request).unwrap_err()
        };
        let expected = format!(
            "no agent answers on {}\nstart one with `periwinkle run`, or name the directory of \
             the one that runs with --state",
            socket.display()
        );
        assert_eq!((ask().code, ask().to_string()), (4, expected.clone()));
        // The socket of an agent that was killed.
        drop(UnixListener::bind(&socket).unwrap());
        assert_eq!(ask().to_string(), expected);
        assert_eq!(
            check_reachable(&inputs(&socket)).unwrap_err().to_string(),
            expected
        );
    }
}
