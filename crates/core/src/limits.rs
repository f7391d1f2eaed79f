//! Every bound of the product, in one file, with its unit in its name.
//!
//! A bound that a configuration key may move is the default of that key.

// ---- device metrics ----

/// How often the device is measured.
pub const METRICS_INTERVAL_MS: u64 = 1_000;
/// How often the device may be measured at most; below this the reading itself becomes the load.
pub const METRICS_INTERVAL_MS_MIN: u64 = 100;
/// The time that one stored row sums up.
pub const METRICS_PERIOD_MS: u64 = 60_000;
/// Samples kept in memory: 15 minutes at the default interval.
pub const METRICS_RING_SAMPLES_MAX: usize = 900;
/// Samples that wait for a slow subscriber before it misses the oldest.
pub const METRICS_SUBSCRIBER_SAMPLES_MAX: usize = 16;
/// How long a stored row is worth keeping where its time is trusted: 30 days.
pub const METRICS_ROW_LIFE_S: u64 = 30 * 24 * 3_600;
/// Processor cores measured one by one; the total always covers all of them.
pub const METRICS_CORES_MAX: usize = 64;
/// Network interfaces measured; further ones are not looked at.
pub const METRICS_INTERFACES_MAX: usize = 32;
/// Temperature sensors read.
pub const METRICS_SENSORS_MAX: usize = 32;
/// Readings between two looks for temperature sensors that came or went.
pub const METRICS_SENSOR_SCAN_READINGS: u32 = 60;
/// Bytes taken from one file of `/proc` or `/sys`; whole lines beyond are not looked at.
pub const METRICS_FILE_BYTES_MAX: usize = 64 * 1024;
/// Counters and gauges that one registry holds.
pub const REGISTRY_INSTRUMENTS_MAX: usize = 512;
