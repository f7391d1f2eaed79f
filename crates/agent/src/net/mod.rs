//! The only place that constructs listeners, TLS configurations and outgoing connections, and that
//! reads the clock and entropy.

#[cfg(feature = "fetch")]
pub mod client_tls;
pub mod clock;
pub mod deadline;
#[cfg(feature = "fetch")]
pub mod dial;
pub mod entropy;
#[cfg(feature = "fetch")]
pub mod link;
pub mod listen;
#[cfg(feature = "fetch")]
pub mod outbound;
#[cfg(all(test, feature = "fetch"))]
pub(crate) mod test_authority;
pub mod tls;
#[cfg(feature = "fetch")]
mod tunnel;
#[cfg(feature = "fetch")]
pub mod websocket;
