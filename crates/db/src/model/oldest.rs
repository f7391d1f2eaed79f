//! Which rows give way when there is no room: the oldest that may, found without looking at one
//! twice.

use std::collections::BTreeMap;

use periwinkle_core::limits::{DB_SCAN_ROWS, DROPPED_ROWS_PER_WRITE_MAX};
use periwinkle_core::schema::Model;
use periwinkle_core::sync::record::{ItemKey, Record};

use super::error::DbError;
use super::index::{self, Line};
use super::keys;
use super::rows::{Drop, Excess};
use super::writer::Writer;
use crate::engine::IndexPosition;

/// How many rows the first look takes. Most often the very first one may go.
const FIRST_LOOK_ROWS: usize = 4;

/// The last row of each line that a frame has looked at, by model. All up to it have gone, are
/// written by the frame, or may not go.
#[derive(Default)]
pub(super) struct Looked {
    lines: BTreeMap<(Line, String), IndexPosition>,
    /// How many of the rows that the frame itself has made.
    made: BTreeMap<String, usize>,
}

impl Looked {
    /// A row of the frame got a new record: it may go again.
    pub(super) fn forget_from(&mut self, model: &str, place: usize) {
        if let Some(made) = self.made.get_mut(model) {
            *made = (*made).min(place);
        }
    }
}

/// The last row of the queue, by model, up to which there is none that may go for as long as it
/// stands where it does: rows of other models, and those on their way. A row that is written again
/// moves to the end.
#[derive(Debug, Default)]
pub(super) struct PassedOver(BTreeMap<String, IndexPosition>);

/// What can be done about a row in line.
enum Turn {
    /// It belongs to another model, or is on its way.
    Passes,
    /// The frame writes it.
    Written,
    MayGo(Record),
}

impl Writer<'_> {
    /// The first rows of a line that may go, until there is room. A bound that was lowered is reached
    /// step by step.
    pub(super) fn pick(
        &mut self,
        model: &Model,
        line: Line,
        mut excess: Excess,
    ) -> Result<Vec<Drop>, DbError> {
        let place = (line, model.name().to_owned());
        let mut last = self.edit.looked.lines.remove(&place);
        let mut is_passing = line == Line::Queue && last.is_none();
        if is_passing {
            last = self.state.passed_over.0.get(model.name()).cloned();
        }
        let mut drops = Vec::new();
        let mut look = FIRST_LOOK_ROWS;
        'looking: loop {
            let store = &self.shared.store;
            let found = index::line(store, line, model.name(), last.as_ref(), look);
            let is_end = found.len() < look;
            for position in found {
                if excess.is_none() || drops.len() == DROPPED_ROWS_PER_WRITE_MAX {
                    break 'looking;
                }
                if let Some(key) = keys::parse_item(&position.key) {
                    match self.turn(model, &key)? {
                        Turn::Passes => {}
                        Turn::Written => is_passing = false,
                        Turn::MayGo(record) => {
                            is_passing = false;
                            excess.take(index::bytes_in(line, &key, &record));
                            drops.push(Drop { key, record });
                        }
                    }
                }
                if is_passing {
                    let passed = &mut self.state.passed_over.0;
                    passed.insert(model.name().to_owned(), position.clone());
                }
                last = Some(position);
            }
            if is_end {
                break;
            }
            look = (look * 2).min(DB_SCAN_ROWS);
        }
        if let Some(last) = last {
            self.edit.looked.lines.insert(place, last);
        }
        Ok(drops)
    }

    fn turn(&self, model: &Model, key: &ItemKey) -> Result<Turn, DbError> {
        let own = self.shared.schema.model_of_key(key);
        if own.is_none_or(|own| own.name() != model.name()) {
            return Ok(Turn::Passes);
        }
        if self.edit.holds(key) {
            return Ok(Turn::Written);
        }
        let record = self.shared.record(key)?;
        Ok(match self.may_drop(model, &record) {
            true => Turn::MayGo(record),
            false => Turn::Passes,
        })
    }

    /// The first rows that the frame itself has made, until there is room for the one that was
    /// written.
    pub(super) fn pick_of_frame(
        &mut self,
        model: &Model,
        written: &ItemKey,
        mut excess: Excess,
    ) -> Vec<Drop> {
        let made = &self.edit.looked.made;
        let mut at = made.get(model.name()).copied().unwrap_or(0);
        let mut drops = Vec::new();
        let mut stays = None;
        while let (Some(row), false) = (self.edit.rows().get(at), excess.is_none()) {
            index::steps::add(1);
            if row.key == *written {
                stays = Some(at);
            } else if self.may_drop(model, &row.after) {
                let (key, record) = (row.key.clone(), row.after.clone());
                excess.take(index::row_bytes(&key, &record));
                drops.push(Drop { key, record });
            }
            at += 1;
        }
        let made = &mut self.edit.looked.made;
        made.insert(model.name().to_owned(), stays.unwrap_or(at));
        drops
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use periwinkle_core::schema::Schema;
    use periwinkle_core::time::{Mono, Now, UnixMillis};
    use periwinkle_core::value::Map;

    use super::super::database::Database;
    use super::super::import::ImportOptions;
    use super::super::index::steps;
    use super::super::options::{Environment, Options, QueueBounds};
    use super::super::transfer::Row;
    use crate::engine::{Durability, FileStorage};

    struct Still;

    impl Environment for Still {
        fn now(&self) -> Now {
            Now {
                mono: Mono::ZERO,
                wall: Some(UnixMillis(1_795_342_913_667)),
                trusted: true,
            }
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    const SCHEMA: &str = "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: {
            Sample: {
                pk: { type: 'string', value: 'dev#${deviceId}#up' },
                sk: { type: 'string', value: 'Sample#${n}' },
                deviceId: { type: 'string', required: true },
                n: { type: 'number', required: true },
            },
            Alarm: {
                pk: { type: 'string', value: 'dev#${deviceId}#up' },
                sk: { type: 'string', value: 'Alarm#${n}' },
                deviceId: { type: 'string', required: true },
                n: { type: 'number', required: true },
            },
        },
        process: { Sample: { sync: 'up', BOUND }, Alarm: { sync: 'up' } },
    }";

    fn open(folder: &tempfile::TempDir, bound: &str, queue: QueueBounds) -> Database {
        let schema = Schema::parse(&SCHEMA.replace("BOUND", bound)).unwrap();
        let options = Options {
            context: Map::from([("deviceId", "d1")]),
            queue,
            ..Options::default()
        };
        let storage = Arc::new(FileStorage::open(folder.path()).unwrap());
        let (db, _) = Database::open(storage, schema, options, Arc::new(Still)).unwrap();
        db.durability(Durability::Lazy)
    }

    fn of_number(n: i64) -> Map {
        Map::from([("n", n)])
    }

    /// What it takes to write so many rows in one frame.
    fn steps_of_a_frame(rows: i64, bound: &str, queue: QueueBounds) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&folder, bound, queue);
        let items = (0..rows).map(|n| Row::Properties {
            model: "Sample".to_owned(),
            properties: of_number(n),
        });
        let items: Vec<_> = items.collect();
        steps::of(|| {
            let imported = db.import(&items, ImportOptions::default()).unwrap();
            assert_eq!(imported.created, rows as u64);
        })
    }

    #[test]
    fn a_frame_looks_at_each_of_its_rows_so_many_times_whatever_their_number() {
        let rows_max = QueueBounds {
            rows_max: Some(1_000_000),
            bytes_max: Some(1 << 30),
        };
        let none = QueueBounds::default();
        let bounds = [
            ("bytes_max: 1000000000", none),
            ("rows_max: 10", none),
            ("rows_max: 1000000", rows_max),
            ("durability: 'relaxed'", rows_max),
        ];
        for (bound, queue) in bounds {
            let [few, many] = [200, 800].map(|rows| steps_of_a_frame(rows, bound, queue));
            assert!(few >= 200, "{bound}: {few}");
            // With the square of the rows it would be sixteen times as many.
            assert!(many <= 5 * few, "{bound}: {few}, then {many}");
        }
    }

    #[test]
    fn a_write_at_the_bound_of_the_queue_passes_over_no_row_twice() {
        let folder = tempfile::tempdir().unwrap();
        let queue = QueueBounds {
            rows_max: Some(1000),
            bytes_max: None,
        };
        let db = open(&folder, "durability: 'relaxed'", queue);
        for n in 0..900 {
            db.create("Alarm", &of_number(n)).unwrap();
        }
        for n in 0..100 {
            db.create("Sample", &of_number(n)).unwrap();
        }
        let next = |n| {
            steps::of(|| {
                db.create("Sample", &of_number(n)).unwrap();
            })
        };
        // Behind all the alarms there is a row that may go.
        let first = next(100);
        assert!((900..2000).contains(&first), "{first}");
        for n in 101..150 {
            let steps = next(n);
            assert!(steps <= 16, "{n}: {steps}");
        }
        assert_eq!(db.stats().dropped["Sample"].rows, 50);
        assert_eq!(db.stats().rows["Alarm"], 900);
        assert_eq!(db.stats().queue.rows, 1000);
    }
}
