//! When to connect, how fast to send, and what not even to try.

mod connection;
mod profile;
mod servers;
mod throttle;
mod windows;

pub use connection::{Command, Connection, ConnectionConfig, End, Past};
pub use profile::{Profile, ProfileError};
pub use servers::Holds;
pub use throttle::Throttle;
pub use windows::place_of;
