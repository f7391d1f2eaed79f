//! The engines of others.

pub(super) mod fjall;
pub(super) mod redb;
pub(super) mod sqlite;
