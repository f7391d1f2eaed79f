//! Behaviours of the model layer, on simulated and on real disks.

mod bounds;
mod crash;
mod finding;
mod items;
mod replication;
mod streams;
mod world;
