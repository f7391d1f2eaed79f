//! What `status` shows: each part of the agent contributes a section of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, RwLock};

use serde_json::Value;

type Section = Box<dyn Fn() -> Value + Send + Sync>;

/// The sections of the status; clones share one board.
#[derive(Clone, Default)]
pub struct StatusBoard(Arc<RwLock<BTreeMap<&'static str, Section>>>);

impl StatusBoard {
    /// Adds a section, or replaces the one of that name; it is asked each time that status is.
    pub fn add(&self, name: &'static str, section: impl Fn() -> Value + Send + Sync + 'static) {
        let mut sections = self.0.write().expect("no section panics while it is added");
        sections.insert(name, Box::new(section));
    }

    /// All sections, by name.
    pub fn show(&self) -> serde_json::Map<String, Value> {
        let sections = self.0.read().expect("no section panics while it is added");
        sections
            .iter()
            .map(|(name, section)| ((*name).to_owned(), section()))
            .collect()
    }
}

impl fmt::Debug for StatusBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatusBoard")
    }
}
