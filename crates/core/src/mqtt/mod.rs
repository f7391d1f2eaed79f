//! MQTT 3.1.1 and 5, as a client: the packets, the session, what waits to be sent, and when to
//! connect. Pure: bytes, events and time in; bytes, events and deadlines out.

pub mod address;
pub mod codec;
pub mod filters;
pub mod outbox;
pub mod policy;
pub mod request;
pub mod route;
pub mod session;
pub mod topic;
