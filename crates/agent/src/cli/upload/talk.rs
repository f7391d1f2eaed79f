//! Speaking to the running agent, with bodies of any length both ways.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use http::header::CONTENT_LENGTH;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::super::control;
use super::super::failure::Failure;
use super::super::inputs::Inputs;

/// The running agent.
pub(super) struct Talk {
    runtime: Runtime,
    socket: PathBuf,
}

impl Talk {
    pub(super) fn new(inputs: &Inputs) -> Result<Talk, Failure> {
        Ok(Talk {
            runtime: control::runtime()?,
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
        self.answer(method, path, control::JSON, body)
    }

    /// The answer to a body that comes on standard input.
    pub(super) fn put_input(&self, path: &str, kind: Option<&str>) -> Result<Value, Failure> {
        let kind = kind.unwrap_or("application/octet-stream");
        self.answer(Method::PUT, path, kind, standard_input())
    }

    fn answer(&self, method: Method, path: &str, kind: &str, body: Body) -> Result<Value, Failure> {
        let request = control::request(method, path, kind, body)?;
        self.runtime.block_on(async {
            let response = control::good(control::respond(&self.socket, request).await?).await?;
            control::parse(&control::collect(response).await?)
        })
    }

    /// Hands the body of a good answer to `take` piece by piece; gives its length if it was told.
    pub(super) fn pieces(
        &self,
        path: &str,
        mut take: impl FnMut(Bytes, Option<u64>) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        let request = control::request(Method::GET, path, control::JSON, Body::empty())?;
        self.runtime.block_on(async {
            let response = control::good(control::respond(&self.socket, request).await?).await?;
            let length = response.headers().get(CONTENT_LENGTH);
            let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
            // How long S3 may be silent is for the agent to judge.
            control::pieces(response, Duration::MAX, |piece| take(piece, length)).await
        })
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
