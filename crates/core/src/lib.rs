//! The pure core of Periwinkle: bytes, events and [`Now`](time::Now) in; bytes, events and
//! deadlines out. No runtime, socket, file, clock or entropy of its own.

pub mod auth;
pub mod config;
pub mod limits;
pub mod sync;
pub mod aws;
pub mod limits;
pub mod secret;
pub mod ids;
pub mod limits;
pub mod schema;
pub mod time;
pub mod value;
