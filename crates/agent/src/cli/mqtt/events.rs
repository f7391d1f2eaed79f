//! A stream of events from the running agent.

use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use periwinkle_core::fetch::sse::{Event, EventReader};

use crate::cli::control;
use crate::cli::failure::Failure;
use crate::cli::inputs::Inputs;

/// What stands around the parts of a message in its event.
const FRAME_BYTES: usize = 1024;
/// Into so many bytes a byte of a message may grow: a control character in JSON.
const GROWTH: usize = 6;

/// Hears the events of a path until `heard` has enough. Each is a message that the agent took, so
/// its length has the bound of a packet.
pub(super) async fn listen(
    inputs: &Inputs,
    path: &str,
    mut heard: impl AsyncFnMut(&Event) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let config = inputs.load()?.config;
    let socket = config.control_socket();
    let bytes_max = config.mqtt.packet_bytes_max.as_usize();
    let request = control::request(Method::GET, path, control::JSON, Body::empty())?;
    let response = control::good(control::respond(&socket, request).await?).await?;
    let mut body = response.into_body();
    let bytes_max = bytes_max.saturating_mul(GROWTH).saturating_add(FRAME_BYTES);
    let mut events = EventReader::with_bound(bytes_max);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| control::broken(&error))?;
        let bytes = frame.data_ref().map_or(&[][..], |data| data);
        let read = events.handle_bytes(bytes);
        read.map_err(|error| Failure::internal(error.to_string()))?;
        while let Some(event) = events.poll_event() {
            if !heard(&event).await? {
                return Ok(());
            }
        }
    }
    Err(Failure::unreachable("the agent ended the stream")
        .hint("it was stopped, perhaps; `periwinkle status` tells"))
}
