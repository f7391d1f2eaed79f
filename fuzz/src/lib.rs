//! Parsers that meet bytes from outside, each as a plain function of those bytes.
//!
//! A target panics when a promise of its parser does not hold: beside never panicking itself, that
//! what was read can be written and read again, and that nothing is changed by reading. What it
//! returns tells inputs apart that were treated differently; the driver keeps one of each kind.

// Two files of `crates/testkit`, which as a whole would bring the oracles of other tests with it.
#[allow(dead_code)]
#[path = "../../crates/testkit/src/disk.rs"]
mod disk;
mod driver;
#[allow(dead_code)]
#[path = "../../crates/testkit/src/rng.rs"]
mod rng;
mod targets;

pub use driver::{Plan, run};
pub use targets::{TARGETS, Target};
