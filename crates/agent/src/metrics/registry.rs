//! What the agent counts about itself: counters and gauges by name, shared by all services.
//!
//! Names read `periwinkle_<service>_<what>_<unit>`; the compiler checks them where they are
//! declared as constants:
//!
//! ```
//! use periwinkle::metrics::registry::{Instrument, Registry};
//!
//! const SENT: Instrument = Instrument::new("periwinkle_sync_sent_rows", "Rows the cloud took.");
//!
//! let registry = Registry::default();
//! let sent = registry.counter(SENT)?;
//! sent.add(3);
//! assert_eq!(registry.snapshot()[0].value, 3);
//! # Ok::<(), periwinkle::metrics::registry::RegisterError>(())
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periwinkle_core::limits::REGISTRY_INSTRUMENTS_MAX;
use serde::Serialize;

/// The instruments of one agent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    entries: Arc<Mutex<BTreeMap<&'static str, Entry>>>,
}

#[derive(Clone, Debug)]
struct Entry {
    help: &'static str,
    kind: Kind,
    value: Arc<AtomicI64>,
}

impl Registry {
    /// The counter of that name, at zero if it is new. A service that starts again goes on with
    /// the one it had.
    pub fn counter(&self, instrument: Instrument) -> Result<Counter, RegisterError> {
        self.value(instrument, Kind::Counter).map(Counter)
    }

    /// The gauge of that name, at zero if it is new.
    pub fn gauge(&self, instrument: Instrument) -> Result<Gauge, RegisterError> {
        self.value(instrument, Kind::Gauge).map(Gauge)
    }

    /// All instruments with their values now, ordered by name.
    pub fn snapshot(&self) -> Vec<Measure> {
        let entries = self.entries();
        let measures = entries.iter().map(|(name, entry)| Measure {
            name,
            help: entry.help,
            kind: entry.kind,
            value: entry.value.load(Ordering::Relaxed),
        });
        measures.collect()
    }

    fn value(&self, instrument: Instrument, kind: Kind) -> Result<Arc<AtomicI64>, RegisterError> {
        let Instrument { name, help } = instrument;
        let mut entries = self.entries();
        if let Some(entry) = entries.get(name) {
            return if entry.kind == kind {
                Ok(entry.value.clone())
            } else {
                Err(RegisterError::OtherKind { name })
            };
        }
        if entries.len() >= REGISTRY_INSTRUMENTS_MAX {
            return Err(RegisterError::TooMany { name });
        }
        let value = Arc::new(AtomicI64::new(0));
        let entry = Entry {
            help,
            kind,
            value: value.clone(),
        };
        entries.insert(name, entry);
        Ok(value)
    }

    /// A panic elsewhere leaves the map whole, as each entry is added in one step.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<&'static str, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an instrument was not given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A counter was asked for where a gauge has the name, or the other way round.
    #[error("{name} is in use for an instrument of the other kind; give one of them another name")]
    OtherKind {
        /// The name asked for.
        name: &'static str,
    },
    /// The registry is full.
    #[error(
        "{name} would be one instrument more than the {REGISTRY_INSTRUMENTS_MAX} a registry holds"
    )]
    TooMany {
        /// The name asked for.
        name: &'static str,
    },
}

/// Name and meaning of a counter or gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instrument {
    name: &'static str,
    help: &'static str,
}

impl Instrument {
    /// `name` as `periwinkle_<service>_<what>_<unit>` in small letters and digits, `help` as one
    /// line that says what is counted.
    ///
    /// # Panics
    ///
    /// If the name is not of that form or the help has several lines; in a constant, which is
    /// where instruments are declared, that is an error of the compiler.
    pub const fn new(name: &'static str, help: &'static str) -> Instrument {
        assert!(
            is_name(name.as_bytes()),
            "an instrument is named periwinkle_<service>_<what>_<unit>"
        );
        assert!(is_line(help.as_bytes()), "help is one line of text");
        Instrument { name, help }
    }
}

const fn is_name(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"periwinkle_";
    let mut n = 0;
    let mut parts = 1;
    let mut part = 0;
    while n < name.len() {
        if n < PREFIX.len() && name[n] != PREFIX[n] {
            return false;
        }
        match name[n] {
            b'_' if part == 0 => return false,
            b'_' => {
                parts += 1;
                part = 0;
            }
            b'a'..=b'z' | b'0'..=b'9' => part += 1,
            _ => return false,
        }
        n += 1;
    }
    parts >= 4 && part > 0
}

const fn is_line(help: &[u8]) -> bool {
    let mut n = 0;
    while n < help.len() {
        if help[n] == b'\n' || help[n] == b'\\' {
            return false;
        }
        n += 1;
    }
    !help.is_empty()
}

/// What the value of an instrument does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only rises, from zero at the start of the agent.
    Counter,
    /// Rises and falls.
    Gauge,
}

/// Counts events or amounts since the start of the agent. Clones count together.
#[derive(Clone, Debug)]
pub struct Counter(Arc<AtomicI64>);

impl Counter {
    /// Counts `amount` more.
    pub fn add(&self, amount: u32) {
        self.0.fetch_add(amount.into(), Ordering::Relaxed);
    }

    /// The count so far.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Shows how much there is of something now. Clones show the same.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// There are `value` now.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// There are `change` more, or less.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An instrument and its value at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Measure {
    /// Its name.
    pub name: &'static str,
    /// What is counted.
    #[serde(skip)]
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// Its value.
    pub value: i64,
}

/// The text that a Prometheus server collects; media type `text/plain; version=0.0.4`.
pub fn prometheus_text(measures: &[Measure]) -> String {
    let mut text = String::new();
    for Measure {
        name,
        help,
        kind,
        value,
    } in measures
    {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        )
        .expect("writing to a string does not fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Instrument = Instrument::new("periwinkle_sync_sent_rows", "Rows the cloud took.");
    const OPEN: Instrument = Instrument::new("periwinkle_web_open_connections", "Connections.");

    #[test]
    fn the_same_name_is_the_same_instrument() {
        let registry = Registry::default();
        registry.counter(SENT).unwrap().add(2);
        registry.clone().counter(SENT).unwrap().add(3);
        assert_eq!(registry.counter(SENT).unwrap().value(), 5);
    }

    #[test]
    fn a_gauge_rises_and_falls() {
        let registry = Registry::default();
        let open = registry.gauge(OPEN).unwrap();
        open.set(10);
        open.add(-4);
        assert_eq!(open.value(), 6);
    }

    #[test]
    fn a_name_is_of_one_kind() {
        let registry = Registry::default();
        registry.counter(SENT).unwrap();
        let refused = registry.gauge(SENT).unwrap_err();
        let name = "periwinkle_sync_sent_rows";
        assert_eq!(refused, RegisterError::OtherKind { name });
    }

    #[test]
    fn a_full_registry_refuses_new_names_and_gives_out_old_ones() {
        let registry = Registry::default();
        let instrument = |n: usize| {
            let name = format!("periwinkle_test_many_{n}");
            Instrument::new(name.leak(), "One of many.")
        };
        for n in 0..REGISTRY_INSTRUMENTS_MAX {
            registry.counter(instrument(n)).unwrap();
        }
        let refused = registry.counter(SENT).unwrap_err();
        let name = "periwinkle_sync_sent_rows";
        assert_eq!(refused, RegisterError::TooMany { name });
        registry.counter(instrument(0)).unwrap();
    }

    #[test]
    fn names_have_prefix_service_what_and_unit() {
        for name in [
            "periwinkle_web_open_connections",
            "periwinkle_db_flash_written_bytes",
        ] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "periwinkle",
            "periwinkle_web_requests",
            "periwinkle_web__bytes",
            "periwinkle_web_sent_",
            "periwinkle_web_Sent_bytes",
            "periwinkle_web_sent-rows_bytes",
            "othername1_web_sent_bytes",
        ] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "help is one line of text")]
    fn help_of_two_lines_is_refused() {
        let _ = Instrument::new("periwinkle_web_sent_bytes", "a\nb");
    }

    #[test]
    fn a_snapshot_is_ordered_by_name() {
        let registry = Registry::default();
        registry.gauge(OPEN).unwrap().set(-1);
        registry.counter(SENT).unwrap().add(7);
        assert_eq!(
            serde_json::to_string(&registry.snapshot()).unwrap(),
            concat!(
                r#"[{"name":"periwinkle_sync_sent_rows","kind":"counter","value":7},"#,
                r#"{"name":"periwinkle_web_open_connections","kind":"gauge","value":-1}]"#,
            )
        );
    }

    #[test]
    fn prometheus_reads_help_type_and_value() {
        let registry = Registry::default();
        registry.counter(SENT).unwrap().add(7);
        assert_eq!(
            prometheus_text(&registry.snapshot()),
            "# HELP periwinkle_sync_sent_rows Rows the cloud took.\n\
             # TYPE periwinkle_sync_sent_rows counter\n\
             periwinkle_sync_sent_rows 7\n"
        );
        assert_eq!(prometheus_text(&[]), "");
    }
}
