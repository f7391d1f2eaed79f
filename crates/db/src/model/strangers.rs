//! Rows of another device: what lies here after the device's id was changed.

use std::ops::Bound;

use super::database::Database;
use super::error::DbError;
use super::keys;
use crate::engine::{KeyRange, Order};

/// How the partitions begin that belong to one device.
const OF_DEVICES: &str = "dev#";

impl Database {
    /// Another device whose rows lie here, if there is one: the id of this one was changed, or the
    /// files are those of another. None of these rows is shown, and the cloud takes them from that
    /// device only.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn other_device(&self) -> Result<Option<String>, DbError> {
        let Some(device) = self.shared.context.text("deviceId") else {
            return Ok(None);
        };
        let all = keys::begin(OF_DEVICES);
        let own = keys::begin(&format!("{OF_DEVICES}{device}#"));
        let before = KeyRange::new(Bound::Included(all.clone()), Bound::Excluded(own.clone()));
        // No id has a byte beyond that in it.
        let last = [&own[..], &[0xff]].concat();
        let behind = KeyRange::prefix(&all).after(&last, Order::Forward);
        for range in [before, behind] {
            let rows = self.shared.store.rows(&range, Order::Forward, 1)?;
            let key = rows.iter().next().and_then(|row| keys::parse_item(row.key));
            if let Some(key) = key {
                let id = key.pk[OF_DEVICES.len()..].split('#').next();
                return Ok(id.map(str::to_owned));
            }
        }
        Ok(None)
    }
}
