//! When to connect, how fast to send, and what not even to try.

mod profile;

pub use profile::{Profile, ProfileError};
