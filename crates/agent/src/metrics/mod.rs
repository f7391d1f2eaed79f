//! The device measures itself: `/proc` and `/sys` are read at an interval, two readings make a
//! [`Sample`], samples go to a ring in memory and to whoever watches, and once a minute they are
//! summed up in one [`Row`] for the database.
//!
//! The way of a number: [`Readers`] fill a [`Reading`] -> [`Sample::between`] two readings ->
//! [`Feed`] (ring and live subscribers) and [`Aggregate`] -> [`Row`] -> the sink of [`run`].
//!
//! Whatever a device does not have (a thermal sensor in a container, `/sys` at all) is absent from
//! the sample; it is never zero and never an error.

pub mod parse;

mod aggregate;
mod feed;
mod hundredths;
mod keep;
mod readers;
mod reading;
mod sample;
mod sensors;
mod service;
mod source;

pub use aggregate::{Aggregate, Row};
pub use feed::{Feed, History};
pub use hundredths::Hundredths;
pub use keep::{service, show};
pub use readers::Readers;
pub use reading::{Core, DiskTotals, Interface, Load, Memory, Process, Reading, Space, Ticks};
pub use sample::Sample;
pub use service::{Options, run};
