//! Those who do things: programs on the device, applications beside it, and bad luck.

use super::{Event, TABLE, World, config, keys};
use crate::check::{Broken, LocalWrite, content};
use periwinkle_core::sync::machine::Machine;
use periwinkle_core::sync::record::{ItemKey, is_metadata};
use periwinkle_core::sync::store::Store as _;
use periwinkle_core::value::{Map, Value};

impl World {
    /// One thing that somebody does.
    pub(super) fn act(&mut self) -> Result<(), Broken> {
        let odds = [
            self.weather.plain_edits,
            self.weather.plain_erasure,
            self.weather.aware_edits,
            self.weather.crashes,
            self.weather.restored_files,
            self.weather.restored_tables,
        ];
        let mut draw = self.rng.below(100);
        for (what, odds) in odds.into_iter().enumerate() {
            if draw < odds {
                match what {
                    0 => self.plain_edit(),
                    1 => self.plain_erasure(),
                    2 => self.aware_edit(),
                    3 => self.crash(),
                    4 => self.restore_file(),
                    _ => self.restore_table(),
                }
                return Ok(());
            }
            draw -= odds;
        }
        self.local_write();
        if self.rng.percent(8) {
            self.backups
                .push((self.store.durable(), self.memory.writes.clone()));
            let table = self.dynamo.table(TABLE).clone();
            self.table_backups.push(table);
        }
        Ok(())
    }

    fn value(&mut self, side: char) -> Value {
        self.next_value += 1;
        Value::from(format!("{side}{}", self.next_value))
    }

    /// A program on the device writes.
    pub(crate) fn local_write(&mut self) {
        let keys = keys();
        let key = self.rng.pick(&keys).clone();
        let delete = self.rng.percent(20);
        let field = *self.rng.pick(&["x", "y", "z"]);
        let drop_field = self.rng.percent(10);
        let value = self.value('L');
        let mut item = self
            .store
            .get(&key)
            .item
            .unwrap_or_else(|| Map::from([("pk", key.pk.as_str()), ("sk", key.sk.as_str())]));
        if drop_field {
            item.remove(field);
        } else {
            item.insert(field, value);
        }
        self.write_local(&key, (!delete).then_some(item));
    }

    pub(crate) fn write_local(&mut self, key: &ItemKey, item: Option<Map>) {
        let mut changed = false;
        let sequence = self
            .store
            .modify(std::slice::from_ref(key), &mut |frame| {
                changed = frame.records[0].write(item.clone());
            })
            .expect("the store works");
        if !changed {
            return;
        }
        self.tell(|| format!("local write {sequence} {key} {item:?}"));
        self.memory.writes.push(LocalWrite {
            sequence,
            key: key.clone(),
            wrote: content(item.as_ref()),
        });
        let now = self.now();
        self.machine
            .handle_change(now, &self.store)
            .expect("the store works");
        if self.rng.percent(70) {
            self.at(
                5,
                Event::Durable {
                    life: self.life,
                    sequence,
                },
            );
        }
    }

    fn foreign_key(&mut self) -> ItemKey {
        let keys = keys();
        let settings = if self.rng.percent(85) {
            &keys[..3]
        } else {
            &keys[..]
        };
        self.rng.pick(settings).clone()
    }

    fn plain_edit(&mut self) {
        let key = self.foreign_key();
        let field = *self.rng.pick(&["x", "y", "w"]);
        let value = self.value('F');
        self.edit(&key, |item| {
            item.insert(field, value);
        });
    }

    fn aware_edit(&mut self) {
        let key = self.foreign_key();
        let field = *self.rng.pick(&["x", "z"]);
        let value = self.value('F');
        let fresh = self.server_ms() * 1024;
        self.edit(&key, |item| {
            let version = item.get("_v").and_then(Value::as_i64);
            item.insert("_v", version.map_or(fresh, |version| version + 1));
            item.insert("_w", "cloud");
            item.insert(field, value);
        });
    }

    /// Changes an item in the table; makes it if it is not there.
    pub(crate) fn edit(&mut self, key: &ItemKey, change: impl FnOnce(&mut Map)) {
        let place = (key.pk.clone(), key.sk.clone());
        let item = self
            .dynamo
            .table(TABLE)
            .entry(place)
            .or_insert_with(|| Map::from([("pk", key.pk.as_str()), ("sk", key.sk.as_str())]));
        change(item);
        let item = item.clone();
        self.tell(|| format!("somebody edits {key}: {item:?}"));
        self.memory.cloud_has(key, &item);
    }

    fn plain_erasure(&mut self) {
        let key = self.foreign_key();
        self.memory.erased.insert(key.clone());
        let place = (key.pk.clone(), key.sk.clone());
        if self.rng.percent(50) {
            self.dynamo.table(TABLE).remove(&place);
            self.tell(|| format!("somebody deletes {key}"));
            return;
        }
        let value = self.value('F');
        self.edit(&key, |item| {
            item.retain(|name, _| !is_metadata(name));
            item.insert("x", value);
        });
    }

    fn crash(&mut self) {
        if self.rng.percent(50) {
            self.store.power_cut();
        } else {
            // Only the process dies: recovery makes durable what it finds.
            self.store.sync(u64::MAX);
        }
        self.begin_life();
    }

    pub(super) fn begin_life(&mut self) {
        self.memory.lose_after(self.store.durable_sequence());
        self.tell(|| format!("life ends, durable {}", self.store.durable_sequence()));
        self.life += 1;
        self.born_ms = self.now_ms;
        self.offset_ms = 0;
        self.machine = Machine::new(config(self.rules, self.poll), self.rng.next());
    }

    fn restore_file(&mut self) {
        if self.backups.is_empty() {
            return;
        }
        let (backup, writes) = self.rng.pick(&self.backups).clone();
        self.store.restore(backup);
        // What the lost lives wrote and did not send is gone with them.
        self.memory.writes = writes;
        self.begin_life();
    }

    fn restore_table(&mut self) {
        if self.table_backups.is_empty() {
            return;
        }
        let backup = self.rng.pick(&self.table_backups).clone();
        let epoch = ("dev#a#sys".to_owned(), "~epoch".to_owned());
        if backup.get(&epoch) == self.dynamo.table(TABLE).get(&epoch) {
            // Within one epoch nothing shows that the table went back.
            return;
        }
        *self.dynamo.table(TABLE) = backup;
        // A restore takes longer than any request can be on its way.
        self.events
            .retain(|_, event| !matches!(event, Event::Arrives { .. }));
        self.tell(|| "the table goes back".to_owned());
        self.memory.table_went_back();
    }
}
