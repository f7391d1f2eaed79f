//! The same targets under libFuzzer; `PERIWINKLE_FUZZ_TARGET` names one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use periwinkle_fuzz::{TARGETS, Target};

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PERIWINKLE_FUZZ_TARGET").expect("PERIWINKLE_FUZZ_TARGET is set");
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.expect("PERIWINKLE_FUZZ_TARGET names a target")
});

fuzz_target!(|bytes: &[u8]| {
    (CHOSEN.feed)(bytes);
});
