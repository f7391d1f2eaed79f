//! Black-box tests: the real binary, spoken to as a user, a browser or the cloud would.

mod agent;
mod client;
mod counterparts;
mod eventually;
mod fault_proxy;

mod first_start;
mod hostile;
mod lifecycle;
mod measurement;
mod replication;
