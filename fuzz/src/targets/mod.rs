//! The list of targets.

mod config;
mod expression;
mod fetch;
mod import;
mod json;
mod log;
mod mqtt;
mod record;
mod schema;
mod session;
mod time_daemon;
mod value;

use std::hash::{DefaultHasher, Hash, Hasher};

/// One parser and its promises.
#[derive(Clone, Copy)]
pub struct Target {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Feeds it. The same number for inputs that were treated alike.
    pub feed: fn(&[u8]) -> u64,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "log",
        feed: log::feed,
    },
    Target {
        name: "keys",
        feed: log::feed_keys,
    },
    Target {
        name: "schema",
        feed: schema::feed,
    },
    Target {
        name: "expression",
        feed: expression::feed,
    },
    Target {
        name: "json",
        feed: json::feed,
    },
    Target {
        name: "attribute",
        feed: json::feed_attribute,
    },
    Target {
        name: "value",
        feed: value::feed,
    },
    Target {
        name: "record",
        feed: record::feed,
    },
    Target {
        name: "config",
        feed: config::feed,
    },
    Target {
        name: "import",
        feed: import::feed,
    },
    Target {
        name: "mqtt",
        feed: mqtt::feed,
    },
    Target {
        name: "session",
        feed: session::feed,
    },
    Target {
        name: "fetch",
        feed: fetch::feed,
    },
    Target {
        name: "time_daemon",
        feed: time_daemon::feed,
    },
];

/// A number for what happened.
fn kind_of(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// An error's words without the places and names in it, so that errors of a kind look alike.
fn words(error: &impl ToString) -> u64 {
    let text = error.to_string();
    let letters = text.split(|c: char| !c.is_ascii_alphabetic());
    kind_of(
        letters
            .filter(|word| word.len() > 3)
            .take(12)
            .collect::<Vec<_>>(),
    )
}
