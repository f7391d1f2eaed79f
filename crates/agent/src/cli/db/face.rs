//! The REST API of the database, wherever it is served.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream as Probe;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use periwinkle_core::limits::{CONTROL_ANSWER_WAIT_MAX, DB_COMMAND_ANSWER_BYTES_MAX};
use periwinkle_core::value::{Map, Value, json};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::super::failure::Failure;
use super::super::inputs::Inputs;
use super::super::{control, output};
use super::files::Files;

/// What a command does to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

/// Somebody who serves the API.
pub(super) struct Face {
    runtime: Runtime,
    way: Way,
    wanted: Use,
    /// The longest body of a request that is taken.
    body_bytes_max: usize,
}

enum Way {
    Agent(PathBuf),
    Files(Files),
}

/// A request: its body is JSON, or lines of it.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) body: Option<(&'static str, String)>,
}

impl<'a> Call<'a> {
    pub(super) fn get(path: &'a str) -> Call<'a> {
        Call {
            method: Method::GET,
            path,
            body: None,
        }
    }

    pub(super) fn json(method: Method, path: &'a str, body: &Map) -> Call<'a> {
        Call {
            method,
            path,
            body: Some(("application/json", body.to_json())),
        }
    }
}

impl Face {
    /// The running agent of this configuration, or else its files.
    pub(super) fn open(inputs: &Inputs, wanted: Use) -> Result<Face, Failure> {
        let config = inputs.load()?.config;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::internal(format!("no runtime: {error}")))?;
        let socket = config.control_socket();
        let body_bytes_max = config.web.body_bytes_max.as_usize();
        let way = match Probe::connect(&socket) {
            Ok(_) => Way::Agent(socket),
            Err(error) if is_silence(error.kind()) => {
                Way::Files(runtime.block_on(Files::open(&config, wanted))?)
            }
            Err(error) => return Err(control::no_connection(&socket, &error)),
        };
        Ok(Face {
            runtime,
            way,
            wanted,
            body_bytes_max,
        })
    }

    /// Whether an agent runs on this configuration.
    pub(super) fn is_served(inputs: &Inputs) -> Result<bool, Failure> {
        let socket = inputs.load()?.config.control_socket();
        match Probe::connect(&socket) {
            Ok(_) => Ok(true),
            Err(error) if is_silence(error.kind()) => Ok(false),
            Err(error) => Err(control::no_connection(&socket, &error)),
        }
    }

    /// What it was opened for.
    pub(super) fn wanted(&self) -> Use {
        self.wanted
    }

    /// What the commands work on.
    pub(super) fn describe(&self) -> String {
        match &self.way {
            Way::Agent(socket) => format!("speaking to the agent on {}", socket.display()),
            Way::Files(files) => format!("no agent runs; working on {}", files.path().display()),
        }
    }

    /// The longest body of a request that is taken.
    pub(super) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    /// A good answer as a value whose numbers keep their digits; null when it has no body.
    pub(super) fn value(&self, call: Call<'_>) -> Result<Value, Failure> {
        let bytes = self.bytes(call)?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        json::parse_bytes(&bytes).map_err(|error| {
            Failure::internal(format!("the agent's answer is not JSON: {error}"))
                .hint("are command and agent of the same version?")
        })
    }

    /// The body of a good answer.
    pub(super) fn bytes(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        self.runtime.block_on(async {
            let response = self.send(call).await?;
            let body = Limited::new(response.into_body(), DB_COMMAND_ANSWER_BYTES_MAX);
            let collected = within(CONTROL_ANSWER_WAIT_MAX, body.collect()).await?;
            let body = collected.map_err(|error| broken(&error))?;
            Ok(body.to_bytes())
        })
    }

    /// Hands the body of a good answer to `take` piece by piece, for as long as it wants more.
    pub(super) fn pieces(
        &self,
        call: Call<'_>,
        mut take: impl FnMut(Bytes) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut body = self.send(call).await?.into_body();
            while let Some(frame) = within(CONTROL_ANSWER_WAIT_MAX, body.frame()).await? {
                let frame = frame.map_err(|error| broken(&error))?;
                if let Ok(piece) = frame.into_data()
                    && take(piece)?.is_break()
                {
                    return Ok(());
                }
            }
            Ok(())
        })
    }

    /// Lets go of the files, after everything is on the disk.
    pub(super) fn close(self) -> Result<(), Failure> {
        match self.way {
            Way::Agent(_) => Ok(()),
            Way::Files(files) => files.close(),
        }
    }

    async fn send(&self, call: Call<'_>) -> Result<Response<Body>, Failure> {
        let (kind, body) = call.body.unwrap_or(("application/json", String::new()));
        let request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, kind)
            .body(Body::from(body))
            .map_err(|error| Failure::usage(format!("{:?} is no path: {error}", call.path)))?;
        let response = match &self.way {
            Way::Agent(socket) => exchange(socket, request).await?,
            Way::Files(files) => files.call(request).await,
        };
        match response.status().is_success() {
            true => Ok(response),
            false => Err(refusal(response).await),
        }
    }
}

/// Nobody listens: the socket is missing, or was left by an agent that was killed.
fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
    )
}

async fn exchange(
    socket: &std::path::Path,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| control::no_connection(socket, &error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // It ends with this exchange, whose own error is the one that counts.
    tokio::spawn(connection);
    let response = within(CONTROL_ANSWER_WAIT_MAX, sender.send_request(request)).await?;
    let response = response.map_err(|error| broken(&error))?;
    Ok(response.map(Body::new))
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        Failure::unreachable("the agent does not answer")
            .hint("its log says more; `kill` and `periwinkle run` start it anew")
    })
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::unreachable(format!("the answer broke off: {error}"))
        .hint("the log of the agent says why")
}

/// A refusal in the words of the API.
async fn refusal(response: Response<Body>) -> Failure {
    let status = response.status();
    let body = Limited::new(response.into_body(), DB_COMMAND_ANSWER_BYTES_MAX);
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return broken(&error),
    };
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let words = match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(words) => output::plain(words),
        None => format!("the agent answered {status}"),
    };
    failure_of(status, problem["kind"].as_str().unwrap_or(""), words)
}

fn failure_of(status: StatusCode, kind: &str, words: String) -> Failure {
    match kind {
        "corrupt" => Failure::input(words),
        "full" => Failure::refused(words),
        "closed" => Failure::unreachable(words),
        _ if status.is_server_error() => Failure::internal(words),
        _ => Failure::refused(words),
    }
}
