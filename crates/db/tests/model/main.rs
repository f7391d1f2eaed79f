//! Behaviours of the model layer, on simulated and on real disks.
#![allow(clippy::unwrap_used, reason = "a step that fails fails the test")]

mod bounds;
mod by_index;
mod converge;
mod crash;
mod filtering;
mod finding;
mod histories;
mod index_keys;
mod items;
mod keys;
mod large;
mod migration;
mod oracle;
mod replication;
mod shelves;
mod strangers;
mod streams;
mod together;
mod traces;
mod transfer;
mod typed;
mod unique;
mod upgrade;
mod versions;
mod world;
mod writing;
