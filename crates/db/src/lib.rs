//! The embedded database of Periwinkle: an append-only checksummed log under a model layer.
//!
//! Synchronous and runtime-free. [`engine`] keeps bytes; the model layer above it knows items.

pub mod engine;
