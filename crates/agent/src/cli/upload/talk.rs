//! Speaking to the running agent, with bodies of any length both ways.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use periwinkle_core::limits::{CONTROL_ANSWER_WAIT_MAX, DB_COMMAND_ANSWER_BYTES_MAX};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::super::failure::Failure;
use super::super::inputs::Inputs;
use super::super::{control, output};

/// The running agent.
pub(super) struct Talk {
    runtime: Runtime,
    socket: PathBuf,
}

const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text in a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

impl Talk {
    pub(super) fn new(inputs: &Inputs) -> Result<Talk, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
        Ok(Talk {
            runtime,
            socket: inputs.load()?.config.control_socket(),
        })
    }

    /// A good answer; null when it has no body.
    pub(super) fn value(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.runtime.block_on(async {
            let response = self.send(method, path, "application/json", body).await?;
            understand(response).await
        })
    }

    /// The answer to a body that comes on standard input.
    pub(super) fn put_input(&self, path: &str, kind: Option<&str>) -> Result<Value, Failure> {
        let kind = kind.unwrap_or("application/octet-stream");
        self.runtime.block_on(async {
            let response = self.send(Method::PUT, path, kind, standard_input()).await?;
            understand(response).await
        })
    }

    /// Hands the body of a good answer to `take` piece by piece; gives its length if it was told.
    pub(super) fn pieces(
        &self,
        path: &str,
        mut take: impl FnMut(Bytes, Option<u64>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let kind = "application/json";
            let response = self.send(Method::GET, path, kind, Body::empty()).await?;
            let length = response.headers().get(http::header::CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken(&error))?;
                if let Ok(piece) = frame.into_data()
                    && take(piece, length)?.is_break()
                {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Body,
    ) -> Result<Response<hyper::body::Incoming>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, kind)
            .body(body)
            .map_err(|error| Failure::usage(format!("{path:?} is no path: {error}")))?;
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| control::no_connection(&self.socket, &error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // It ends with this exchange, whose own error is the one that counts.
        tokio::spawn(connection);
        let response = sender.send_request(request).await;
        let response = response.map_err(|error| broken(&error))?;
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response).await),
        }
    }
}

/// Read in a thread of its own: a terminal or a pipe may stay silent for as long as it likes.
fn standard_input() -> Body {
    let (pieces, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(bytes) => Ok(Bytes::copy_from_slice(&buffer[..bytes])),
                Err(error) => Err(error),
            };
            // Without a receiver the agent has refused it.
            if piece.is_err() | pieces.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let piece: std::io::Result<Bytes> = receiver.recv().await?;
        Some((piece, receiver))
    });
    Body::from_stream(stream)
}

async fn understand(response: Response<hyper::body::Incoming>) -> Result<Value, Failure> {
    let body = Limited::new(response.into_body(), DB_COMMAND_ANSWER_BYTES_MAX);
    let body = tokio::time::timeout(CONTROL_ANSWER_WAIT_MAX, body.collect()).await;
    let body = body.map_err(|_| broken(&"nothing more comes"))?;
    let body = body.map_err(|error| broken(&error))?.to_bytes();
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).map_err(|error| {
        Failure::internal(format!("the agent's answer is not JSON: {error}"))
            .hint("are command and agent of the same version?")
    })
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::unreachable(format!("the connection to the agent broke off: {error}"))
        .hint("the log of the agent says why")
}

/// A refusal in the words of the API.
async fn refusal(response: Response<hyper::body::Incoming>) -> Failure {
    let status = response.status();
    let problem = understand(response).await.unwrap_or_default();
    let words = match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(words) => output::plain(words),
        None => format!("the agent answered {status}"),
    };
    match problem["kind"].as_str().unwrap_or_default() {
        "cloud_unreachable" => Failure::unreachable(words),
        "credentials_missing" => Failure::input(words),
        _ if status == StatusCode::INTERNAL_SERVER_ERROR => Failure::internal(words),
        _ => Failure::refused(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_travel_in_paths_as_they_are() {
        assert_eq!(
            encoded("${deviceId}/a b/ä?#"),
            "%24%7BdeviceId%7D/a%20b/%C3%A4%3F%23"
        );
        assert_eq!(encoded("pump-7/x_1.~txt"), "pump-7/x_1.~txt");
    }
}
