//! Black-box tests: the real binary, spoken to as a user, a browser or the cloud would.
#![allow(clippy::print_stderr, reason = "a failed test shows the agent's log")]

mod agent;
mod bad_input;
#[cfg(feature = "fetch")]
mod certificates;
mod client;
#[cfg(feature = "sync")]
mod counterparts;
mod data;
#[cfg(feature = "sync")]
mod dialect;
mod eventually;
#[cfg(feature = "sync")]
mod expressions;
#[cfg(feature = "sync")]
mod fault_proxy;
#[cfg(feature = "fetch")]
mod fetch;

#[cfg(feature = "console")]
mod browser;
mod database_cli;
mod first_start;
mod full_disk;
mod hostile;
mod library;
mod lifecycle;
#[cfg(feature = "metrics")]
mod measurement;
#[cfg(all(feature = "mqtt", feature = "sync"))]
mod mqtt;
#[cfg(feature = "fetch")]
mod nginx;
#[cfg(feature = "fetch")]
mod proxies;
#[cfg(feature = "sync")]
mod replication;
#[cfg(feature = "sync")]
mod s3;
#[cfg(feature = "fetch")]
mod stand_in;
mod trusted_time;
#[cfg(all(feature = "sync", feature = "upload"))]
mod upload;
