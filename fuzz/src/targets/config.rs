//! Configuration files.

use periwinkle_core::config::{File, Override, Sources, load};

use super::{kind_of, words};

/// A file; a wrong one is refused with words for each fault.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let assignment = text
        .lines()
        .next()
        .and_then(|line| Override::set(line).ok());
    let loaded = load(&Sources {
        file: Some(File {
            name: "periwinkle.toml",
            text: &text,
        }),
        features: &["web", "console", "metrics", "fetch", "sync"],
        overrides: assignment.into_iter().collect(),
        ..Sources::default()
    });
    match loaded {
        Ok(loaded) => kind_of((0, loaded.hints.len(), loaded.profile.is_some())),
        Err(errors) => {
            assert!(errors.iter().count() > 0, "refused without a word");
            kind_of((1, words(&errors)))
        }
    }
}
