//! The REST API of the database, wherever it is served.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream as Probe;
use std::path::PathBuf;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Response};
use periwinkle_core::limits::CONTROL_ANSWER_WAIT_MAX;
use periwinkle_core::value::{Map, Value, json};
use tokio::runtime::Runtime;

use super::super::control;
use super::super::failure::Failure;
use super::super::inputs::Inputs;
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
            body: Some((control::JSON, body.to_json())),
        }
    }
}

impl Face {
    /// The running agent of this configuration, or else its files.
    pub(super) fn open(inputs: &Inputs, wanted: Use) -> Result<Face, Failure> {
        let config = inputs.load()?.config;
        let runtime = control::runtime()?;
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
        json::parse_bytes(&bytes).map_err(|error| control::no_json(&error))
    }

    /// The body of a good answer.
    pub(super) fn bytes(&self, call: Call<'_>) -> Result<Bytes, Failure> {
        self.runtime
            .block_on(async { control::collect(self.send(call).await?).await })
    }

    /// Hands the body of a good answer to `take` piece by piece, for as long as it wants more.
    pub(super) fn pieces(
        &self,
        call: Call<'_>,
        take: impl FnMut(Bytes) -> Result<ControlFlow<()>, Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let response = self.send(call).await?;
            control::pieces(response, CONTROL_ANSWER_WAIT_MAX, take).await
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
        let (kind, body) = call.body.unwrap_or((control::JSON, String::new()));
        let request = control::request(call.method, call.path, kind, Body::from(body))?;
        let response = match &self.way {
            Way::Agent(socket) => {
                let responding = control::respond(socket, request);
                control::within(CONTROL_ANSWER_WAIT_MAX, responding).await??
            }
            Way::Files(files) => files.call(request).await,
        };
        control::good(response).await
    }
}

/// Nobody listens: the socket is missing, or was left by an agent that was killed.
fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory
    )
}
