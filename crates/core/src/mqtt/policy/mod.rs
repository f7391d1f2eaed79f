//! When to connect, how fast to send, and what not even to try.

mod connection;
mod profile;
mod throttle;

pub use connection::{Command, Connection, ConnectionConfig, End, Past};
pub use profile::{Profile, ProfileError};
pub use throttle::Throttle;
