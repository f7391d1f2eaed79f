//! Simulated clock, network and disk for Periwinkle's tests. Never a normal dependency.

pub mod disk;
pub mod rng;
//! Simulated clock, network, disk and cloud for Periwinkle's tests. Never a normal dependency.

pub mod dynamo;
