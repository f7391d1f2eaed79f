//! Tests of the engine from outside: on the simulated disk and on real files.
#![allow(
    clippy::unwrap_used,
    reason = "a step that fails fails the test, in helpers too"
)]

mod life;

mod backup;
mod compaction;
mod damage;
mod faults;
mod full_disk;
mod history;
mod index;
mod key_files;
mod killed;
mod leading;
mod memory;
mod oracle;
mod panics;
mod power_cut;
mod read_only;
mod reads;
mod reopen;
mod salvage;
mod store;
mod traced;
mod versions;
