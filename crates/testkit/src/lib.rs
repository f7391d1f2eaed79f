//! Simulated clock, network, disk and cloud for Periwinkle's tests. Never a normal dependency.

pub mod disk;
pub mod dynamo;
pub mod memory;
pub mod rng;
pub mod sigv4_judge;
