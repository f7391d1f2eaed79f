//! The embedded web server: connections, identity, route policy, and streamed answers.

pub mod accounts;
pub mod cookie;
pub mod dispatch;
pub mod first_owner;
pub mod identity;
pub mod passwords;
pub mod policy;
pub mod problem;
pub mod rows;
pub mod server;
pub mod service;
pub mod stream;
