//! Graves: what a delete leaves behind until nothing sent before it can arrive any more.
//!
//! A request that was given up may still be on its way. If it made the item and lands after our
//! delete, the item is back although nobody wants it: debris. A grave remembers the mark of the
//! delete; whatever carries a mark not above it is debris. When no signature of that time can be
//! valid any more, one conditional delete removes what may have landed, and the grave is closed.

use super::answer::Outcome;
use super::{Machine, Purpose, Reason, Wake};
use crate::limits::{SYNC_BATCH_ROWS_MAX, SYNC_GRAVE_MS, SYNC_GRAVE_SWEEP_MS};
use crate::sync::record::{ItemKey, Mark};
use crate::sync::request;
use crate::sync::store::{Conflict, ConflictKind, Side, Store, StoreError};
use crate::time::{Mono, Now};
use crate::value::Map;
use crate::value::binary::{decode_map, encode_map};
use std::time::Duration;

const PREFIX: &str = "grave/";

/// When the graves are looked at, and how far the look has come.
#[derive(Clone, Debug)]
pub(super) struct Graves {
    due: Mono,
    looked: Option<String>,
    closing: bool,
}

/// One grave, as its service row holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grave {
    key: ItemKey,
    mark: Mark,
    /// The life that dug it, and when on the clock of that life.
    epoch: u64,
    at_ms: u64,
}

impl Graves {
    pub(super) fn new() -> Graves {
        Graves {
            due: Mono::ZERO,
            looked: None,
            closing: false,
        }
    }

    pub(super) fn due(&self) -> Option<(Mono, Wake)> {
        (!self.closing).then_some((self.due, Wake::Graves))
    }
}

impl Machine {
    /// The service row of a new grave.
    pub(super) fn dig(&self, key: &ItemKey, mark: Mark, now: Now) -> (String, Option<Vec<u8>>) {
        let at_ms = millis(now.mono);
        let grave = Grave {
            key: key.clone(),
            mark,
            epoch: self.epoch(),
            at_ms,
        };
        (name_of(key), Some(grave.encode()))
    }

    /// The mark of the grave under that key, if there is one.
    pub(super) fn grave_of(
        &self,
        key: &ItemKey,
        store: &dyn Store,
    ) -> Result<Option<Mark>, StoreError> {
        if !self.config.rules.graves {
            return Ok(None);
        }
        let row = store.service(&name_of(key))?;
        Ok(row
            .and_then(|bytes| Grave::decode(&bytes))
            .map(|grave| grave.mark))
    }

    /// Looks for the next grave that is old enough and closes it; one at a time.
    pub(super) fn graves_close(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if self.graves.closing || self.graves.due > now.mono {
            return Ok(());
        }
        let after = self
            .graves
            .looked
            .clone()
            .unwrap_or_else(|| PREFIX.to_owned());
        let rows = store.services_after(&after, SYNC_BATCH_ROWS_MAX)?;
        let full = rows.len() == SYNC_BATCH_ROWS_MAX;
        for (name, bytes) in rows {
            if !name.starts_with(PREFIX) {
                break;
            }
            self.graves.looked = Some(name.clone());
            match Grave::decode(&bytes) {
                Some(grave) if grave.epoch != self.epoch() => self.dig_again(grave, now, store)?,
                Some(grave) if grave.is_old(now) => {
                    self.graves.closing = true;
                    let request = request::clear_debris(&self.config, &grave.key, grave.mark);
                    self.send(Purpose::Grave(name), request, now);
                    return Ok(());
                }
                Some(_) => {}
                None => remove(&name, store)?,
            }
        }
        if full {
            self.busy = true;
        } else {
            self.graves.looked = None;
            self.graves.due = now.mono + Duration::from_millis(SYNC_GRAVE_SWEEP_MS);
        }
        Ok(())
    }

    /// A grave of an earlier life: its age is unknown, so it counts from now.
    fn dig_again(&self, grave: Grave, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        let row = self.dig(&grave.key, grave.mark, now);
        store.modify(&[], &mut |frame| frame.service.push(row.clone()))?;
        Ok(())
    }

    pub(super) fn grave_answered(
        &mut self,
        name: &str,
        outcome: Outcome,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        self.graves.closing = false;
        match outcome {
            Outcome::Done(answer) => self.close(name, answer.item(), now, store),
            Outcome::ConditionFailed(_) => self.close(name, None, now, store),
            Outcome::Again { .. } => {
                self.graves.looked = None;
                Ok(())
            }
            Outcome::Refused(error) => {
                let wait = Duration::from_millis(SYNC_GRAVE_MS);
                self.graves.looked = None;
                self.graves.due = now.mono + wait;
                self.outputs
                    .push_back(super::Output::Alarm(Reason::of(&error)));
                Ok(())
            }
        }
    }

    fn close(
        &mut self,
        name: &str,
        debris: Option<Map>,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let row = store.service(name)?.and_then(|bytes| Grave::decode(&bytes));
        let conflict = row.zip(debris).map(|(grave, debris)| Conflict {
            model: self
                .config
                .model_of(&grave.key)
                .map_or(String::new(), |model| model.name.clone()),
            key: grave.key,
            kind: ConflictKind::Debris,
            local: None,
            cloud: Some(debris),
            winner: Side::Local,
            at: self.link.server_now(now),
        });
        self.counts.conflicts += u64::from(conflict.is_some());
        store.modify(&[], &mut |frame| {
            frame.service.push((name.to_owned(), None));
            frame.conflicts.extend(conflict.clone());
        })?;
        Ok(())
    }
}

impl Grave {
    fn is_old(&self, now: Now) -> bool {
        millis(now.mono).saturating_sub(self.at_ms) >= SYNC_GRAVE_MS
    }

    fn encode(&self) -> Vec<u8> {
        let row = Map::from([
            ("pk", self.key.pk.clone().into()),
            ("sk", self.key.sk.clone().into()),
            ("mark", self.mark.to_string().into()),
            ("epoch", self.epoch.into()),
            ("at_ms", crate::value::Value::from(self.at_ms)),
        ]);
        let mut bytes = Vec::new();
        encode_map(&row, &mut bytes);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Grave> {
        let row = decode_map(bytes).ok()?;
        let number = |name: &str| u64::try_from(row.get(name)?.as_i64()?).ok();
        Some(Grave {
            key: ItemKey::of(&row)?,
            mark: row.text("mark")?.parse().ok()?,
            epoch: number("epoch")?,
            at_ms: number("at_ms")?,
        })
    }
}

fn name_of(key: &ItemKey) -> String {
    format!("{PREFIX}{}\0{}", key.pk, key.sk)
}

fn remove(name: &str, store: &dyn Store) -> Result<(), StoreError> {
    store.modify(&[], &mut |frame| {
        frame.service.push((name.to_owned(), None));
    })?;
    Ok(())
}

fn millis(at: Mono) -> u64 {
    u64::try_from(at.since_start().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grave_reads_back() {
        let grave = Grave {
            key: ItemKey::new("dev#a#rw", "Setting#1"),
            mark: Mark { epoch: 3, n: 9 },
            epoch: 4,
            at_ms: 12,
        };
        assert_eq!(Grave::decode(&grave.encode()), Some(grave));
        assert_eq!(Grave::decode(b"no"), None);
    }
}
