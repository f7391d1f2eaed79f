//! What must be true of every history, and the memory that is needed to say so.

use periwinkle_core::sync::record::{ItemKey, Mark, is_metadata};
use periwinkle_core::sync::store::{Conflict, ConflictKind};
use periwinkle_core::value::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

pub(crate) fn broken(text: impl Into<String>) -> Result<(), Broken> {
    Err(Broken(text.into()))
}

/// A local write: what the fields were meant to be afterwards, or that the item was to go.
#[derive(Clone, Debug)]
pub(crate) struct LocalWrite {
    pub(crate) sequence: u64,
    pub(crate) key: ItemKey,
    pub(crate) wrote: Option<Map>,
}

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// When the device was first shown a value that somebody else wrote.
    seen: BTreeMap<String, u64>,
    /// Values of others that the answer to a write has shown.
    told: BTreeSet<String>,
    /// When an attempt first left, and its body.
    attempts: BTreeMap<(ItemKey, Mark), (u64, String)>,
    /// Marks that were applied to a key.
    applied: BTreeMap<ItemKey, BTreeSet<Mark>>,
    /// Values of others that went with an item that the device deleted or replaced.
    taken_along: Vec<(ItemKey, String, Value)>,
    /// Values that have been in the cloud.
    landed: BTreeSet<(ItemKey, String, Value)>,
    /// Keys whose items the device has written in the cloud.
    made: BTreeSet<ItemKey>,
    /// Keys that the device's deletes have hit.
    deleted: BTreeSet<ItemKey>,
    /// Keys whose evidence somebody has erased.
    pub(crate) erased: BTreeSet<ItemKey>,
    pub(crate) writes: Vec<LocalWrite>,
}

impl Memory {
    /// An attempt leaves: the same mark must mean the same body, always.
    pub(crate) fn attempt_leaves(
        &mut self,
        key: &ItemKey,
        mark: Mark,
        body: &str,
        now: u64,
    ) -> Result<(), Broken> {
        let first = self
            .attempts
            .entry((key.clone(), mark))
            .or_insert((now, body.to_owned()));
        if first.1 != body {
            return broken(format!("{key} {mark}: body changed\n{}\n{body}", first.1));
        }
        Ok(())
    }

    /// A reply reaches the device with values of others in it.
    pub(crate) fn shown(&mut self, body: &str, now: u64) {
        for part in body.split("\"F").skip(1) {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            if body.starts_with(r#"{"Attributes""#) {
                self.told.insert(format!("F{digits}"));
            }
            self.seen.entry(format!("F{digits}")).or_insert(now);
        }
    }

    /// The item under `key` changed in the cloud by a request of the device.
    pub(crate) fn device_wrote(
        &mut self,
        key: &ItemKey,
        before: Option<&Map>,
        after: Option<&Map>,
        body: &str,
        sent: u64,
    ) -> Result<(), Broken> {
        self.check_overwrites(key, before, after, body, sent)?;
        let Some(after) = after else {
            self.deleted.insert(key.clone());
            // A late copy of an earlier create may come after this: debris, to be cleared away.
            self.applied.remove(key);
            return Ok(());
        };
        self.cloud_has(key, after);
        self.made.insert(key.clone());
        let mark: Mark = after
            .text("_m")
            .and_then(|text| text.parse().ok())
            .expect("has a mark");
        let applied = self.applied.entry(key.clone()).or_default();
        if !applied.insert(mark) && !self.erased.contains(key) {
            return broken(format!("{key}: {mark} was applied twice"));
        }
        let version = |item: &Map| item.get("_v").and_then(Value::as_i64);
        if let Some(old) = before.and_then(version)
            && version(after) != Some(old + 1)
        {
            return broken(format!("{key}: version {old} became {:?}", version(after)));
        }
        Ok(())
    }

    /// Values that others wrote may only go if the device had seen them before it decided.
    ///
    /// A delete or a whole put takes along fields that it does not know; that must be on record
    /// once the device learns of it.
    fn check_overwrites(
        &mut self,
        key: &ItemKey,
        before: Option<&Map>,
        after: Option<&Map>,
        body: &str,
        sent: u64,
    ) -> Result<(), Broken> {
        for (name, value) in before.into_iter().flatten() {
            let Some(text) = value.as_str().filter(|text| text.starts_with('F')) else {
                continue;
            };
            let stays = after.and_then(|after| after.get(name)) == Some(value);
            let seen = self.seen.get(text).is_some_and(|seen| *seen <= sent);
            if stays || seen {
                continue;
            }
            let names_it = body.contains(&format!(":\"{name}\""));
            if !names_it && !body.contains("UpdateExpression") {
                self.taken_along
                    .push((key.clone(), name.to_owned(), value.clone()));
            } else {
                return broken(format!("{key}: {name} = {text} was overwritten unseen"));
            }
        }
        Ok(())
    }

    /// Notes the values that an item has in the cloud.
    pub(crate) fn cloud_has(&mut self, key: &ItemKey, item: &Map) {
        for (name, value) in item {
            self.landed
                .insert((key.clone(), name.to_owned(), value.clone()));
        }
    }

    /// The table went back in time: what was applied since is not, and may be applied again.
    pub(crate) fn table_went_back(&mut self) {
        self.applied.clear();
    }

    /// Forgets the writes that a power cut took.
    pub(crate) fn lose_after(&mut self, durable: u64) {
        self.writes.retain(|write| write.sequence <= durable);
    }

    /// After the quiet: every durable local write has reached the cloud, or its loss is on record.
    pub(crate) fn check_writes_arrived(
        &self,
        key: &ItemKey,
        went_back: bool,
        conflicts: &[Conflict],
    ) -> Result<(), Broken> {
        let lost: Vec<&Conflict> = conflicts.iter().filter(|entry| entry.key == *key).collect();
        let Some(last) = self.writes.iter().rfind(|write| write.key == *key) else {
            return Ok(());
        };
        let Some(wrote) = &last.wrote else {
            let on_record = lost.iter().any(|entry| entry.kind == ConflictKind::Delete);
            // After something went back, the device may not know of the item that is there.
            let never_there = went_back || !self.made.contains(key);
            if !self.deleted.contains(key)
                && !on_record
                && !never_there
                && !self.erased.contains(key)
            {
                return broken(format!("{key}: its delete never reached the cloud"));
            }
            return Ok(());
        };
        for (name, value) in wrote {
            let ours = value.as_str().is_some_and(|text| text.starts_with('L'));
            let arrived = self
                .landed
                .contains(&(key.clone(), name.to_owned(), value.clone()));
            let on_record = lost
                .iter()
                .any(|entry| entry.local.as_ref().and_then(|local| local.get(name)) == Some(value));
            if ours && !arrived && !on_record {
                return broken(format!("{key}: {name} = {value:?} never reached the cloud"));
            }
        }
        Ok(())
    }

    /// After the quiet: what deletes took along, and their answers told of, is on record. Where the
    /// answer was lost, so is the knowledge.
    pub(crate) fn check_taken_along(
        &self,
        key: &ItemKey,
        conflicts: &[Conflict],
    ) -> Result<(), Broken> {
        for (_, name, value) in self.taken_along.iter().filter(|(taken, ..)| taken == key) {
            let told = value.as_str().is_some_and(|text| self.told.contains(text));
            let on_record = conflicts
                .iter()
                .any(|entry| entry.cloud.as_ref().and_then(|cloud| cloud.get(name)) == Some(value));
            if told && !on_record {
                return broken(format!(
                    "{key}: {name} = {value:?} was taken along unrecorded"
                ));
            }
        }
        Ok(())
    }

    /// The last durable local state of a key, if it was ever written here.
    pub(crate) fn last_write(&self, key: &ItemKey) -> Option<&LocalWrite> {
        self.writes.iter().rfind(|write| write.key == *key)
    }
}

/// An item as programs see it.
pub(crate) fn content(item: Option<&Map>) -> Option<Map> {
    let item = item?;
    let fields = item.iter().filter(|(name, _)| !is_metadata(name));
    Some(fields.map(|(name, value)| (name, value.clone())).collect())
}
