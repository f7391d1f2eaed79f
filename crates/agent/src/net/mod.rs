//! The only place that constructs listeners, TLS configurations and outgoing connections, and that
//! reads the clock and entropy.

#[cfg(any(feature = "fetch", feature = "mqtt"))]
pub mod client_tls;
pub mod clock;
pub mod deadline;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
pub mod dial;
pub mod entropy;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
pub mod link;
pub mod listen;
#[cfg(feature = "fetch")]
pub mod outbound;
#[cfg(feature = "fetch")]
pub mod pool;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
pub mod proxy_logins;
#[cfg(feature = "fetch")]
mod send_queue;
#[cfg(feature = "upload")]
pub mod server_offset;
#[cfg(feature = "fetch")]
pub mod standing;
#[cfg(all(test, feature = "fetch"))]
pub(crate) mod test_authority;
pub mod time_daemons;
pub mod tls;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
mod tunnel;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
pub mod websocket;
#[cfg(feature = "fetch")]
pub mod websocket_messages;
#[cfg(feature = "mqtt")]
pub(crate) mod websocket_pieces;
