//! The pure core of Periwinkle: bytes, events and [`Now`](time::Now) in; bytes, events and
//! deadlines out. No runtime, socket, file, clock or entropy of its own.

pub mod auth;
pub mod aws;
pub mod config;
pub mod expr;
pub mod fetch;
pub mod hex;
pub mod ids;
pub mod limits;
pub mod mqtt;
mod nearest;
pub mod retry;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod sync;
pub mod time;
pub mod time_daemon;
pub mod upload;
pub mod value;
pub mod wall;
