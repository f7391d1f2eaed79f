//! agent

pub mod metrics;
