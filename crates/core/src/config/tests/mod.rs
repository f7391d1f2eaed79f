//! The configuration as its users meet it: sources in, values or words out.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::limits;

mod combinations;
mod mistakes;
mod precedence;
mod values;

const ALL: &[&str] = &["web", "metrics", "mqtt", "fetch", "sync", "upload"];

fn file(text: &str) -> Sources<'_> {
    Sources {
        file: Some(File {
            name: "periwinkle.toml",
            text,
        }),
        features: ALL,
        ..Sources::default()
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

/// What the user is told about a file that cannot be used.
fn complaint(text: &str) -> String {
    load(&file(text)).unwrap_err().to_string()
}

fn config(sources: &Sources<'_>) -> Config {
    match load(sources) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    }
}

fn origin(loaded: &Loaded, key: &str) -> String {
    let effective = loaded.effective.iter().find(|value| value.key == key);
    effective.unwrap().origin.to_string()
}
