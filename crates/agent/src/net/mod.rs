//! The only place that constructs listeners and TLS configurations and that reads the clock and
//! entropy.

pub mod clock;
pub mod deadline;
pub mod entropy;
pub mod listen;
#[cfg(feature = "fetch")]
pub mod outbound;
pub mod tls;
