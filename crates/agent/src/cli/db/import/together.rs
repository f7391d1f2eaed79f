//! What the items of a file have to do with each other, of which each request sees only some.

use std::collections::{BTreeMap, HashMap, HashSet};

use periwinkle_core::hex;
use periwinkle_core::limits::IMPORT_MARKS_MAX;
use serde_json::Value;

use super::super::args::Conflict;

/// Stands for a key or a unique value.
type Mark = [u8; 16];

/// Line and column.
pub(super) type At = (u64, u64);

/// What an item would touch, in the words of the API.
#[derive(Debug)]
pub(super) struct Touched {
    model: String,
    key: Mark,
    item: Mark,
    /// Whether the database has the item.
    is_there: bool,
    claims: Vec<(String, Mark)>,
    freed: Vec<Mark>,
    bytes: (u64, u64),
}

/// How much more a model takes, and what is said when that is not enough.
#[derive(Debug)]
struct Room {
    rows: Option<i128>,
    bytes: Option<i128>,
    refusal: String,
}

/// A row of the file that would be written.
#[derive(Clone, Copy, Debug)]
struct Row {
    item: Mark,
    at: At,
    bytes: u64,
}

/// What the items so far would leave behind, in bounded memory: of a longer file the rest is
/// compared with what came first.
#[derive(Debug)]
pub(super) struct Together {
    on_conflict: Conflict,
    rows: HashMap<Mark, Row>,
    /// Who has a unique value, and since where in the file.
    claims: HashMap<Mark, (Mark, At)>,
    /// Unique values that items of the database lose.
    freed: HashSet<Mark>,
    rooms: BTreeMap<String, Room>,
    marks_max: usize,
}

/// What is to be said of an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As the database says.
    AsTold,
    /// Nothing: what the database says does not hold once the items before it are written.
    Good,
    /// This.
    Fault(String),
}

impl Together {
    pub(super) fn new(on_conflict: Conflict) -> Together {
        Together {
            on_conflict,
            rows: HashMap::new(),
            claims: HashMap::new(),
            freed: HashSet::new(),
            rooms: BTreeMap::new(),
            marks_max: IMPORT_MARKS_MAX,
        }
    }

    /// Takes in how much room there is; it is the first word on a model that counts.
    pub(super) fn read_rooms(&mut self, rooms: &Value) {
        for (model, room) in rooms.as_object().into_iter().flatten() {
            let number = |name: &str| room[name].as_u64().map(i128::from);
            self.rooms.entry(model.clone()).or_insert_with(|| Room {
                rows: number("rows"),
                bytes: number("bytes"),
                refusal: room["refusal"].as_str().unwrap_or_default().to_owned(),
            });
        }
    }

    /// Whether the later of two items with the same key counts.
    pub(super) fn replaces(&self) -> bool {
        self.on_conflict == Conflict::Replace
    }

    /// Whether an item before this one has its key.
    pub(super) fn has(&self, touched: &Touched) -> bool {
        self.rows.contains_key(&touched.key)
    }

    /// Judges the item at a place, of which the database alone has said something, or nothing.
    pub(super) fn judge(&mut self, touched: &Touched, at: At, told: Option<Told<'_>>) -> Verdict {
        let before = self.rows.get(&touched.key).copied();
        if let Some(verdict) = before.and_then(|before| self.of_key(touched, before)) {
            return verdict;
        }
        if self.on_conflict == Conflict::Skip && touched.is_there {
            return Verdict::AsTold;
        }
        if let Some(words) = self.claimed(touched) {
            return Verdict::Fault(words);
        }
        if told
            .as_ref()
            .is_some_and(|told| !self.is_overcome(touched, told))
        {
            return Verdict::AsTold;
        }
        if let Some(words) = self.take_room(touched, before) {
            return Verdict::Fault(words);
        }
        self.remember(touched, at);
        Verdict::Good
    }

    fn of_key(&self, touched: &Touched, before: Row) -> Option<Verdict> {
        let (line, column) = before.at;
        if before.item != touched.item {
            return Some(Verdict::Fault(format!(
                "line {line}, column {column} has another item, whose key is written like that of \
                 this one: a value has in it what separates the parts of the key"
            )));
        }
        match self.on_conflict {
            Conflict::Fail => Some(Verdict::Fault(format!(
                "line {line}, column {column} has this {} already; leave one of them out, or say \
                 --on-conflict skip or replace",
                touched.model
            ))),
            Conflict::Skip => Some(Verdict::Good),
            Conflict::Replace => None,
        }
    }

    /// A unique value that another item of the file still has.
    fn claimed(&self, touched: &Touched) -> Option<String> {
        touched.claims.iter().find_map(|(field, claim)| {
            let (owner, at) = self.claims.get(claim)?;
            let has_it_still = self.rows.get(owner).is_some_and(|row| row.at == *at);
            (*owner != touched.key && has_it_still).then(|| {
                let ((line, column), model) = (at, &touched.model);
                format!(
                    "line {line}, column {column} has a {model} with this {field} already; use \
                     another one"
                )
            })
        })
    }

    /// Whether what the database says of an item does not hold behind those before it.
    fn is_overcome(&self, touched: &Touched, told: &Told<'_>) -> bool {
        match told.kind {
            "not_unique" => {
                let mut claims = touched.claims.iter();
                let claim = claims.find(|(field, _)| Some(field.as_str()) == told.field);
                claim.is_some_and(|(_, claim)| {
                    self.freed.contains(claim) || self.claims.contains_key(claim)
                })
            }
            // Its bound is counted here.
            "full" => self
                .rooms
                .get(&touched.model)
                .is_some_and(|room| room.refusal == told.words),
            _ => false,
        }
    }

    /// Counts the item in; the words if there is no room for it.
    fn take_room(&mut self, touched: &Touched, before: Option<Row>) -> Option<String> {
        let room = self.rooms.get_mut(&touched.model)?;
        let (now, was) = touched.bytes;
        let was = before.map_or(was, |before| before.bytes);
        let more = match (before, touched.is_there) {
            (None, false) => 1,
            _ => 0,
        };
        let rows = room.rows.map(|rows| rows - more);
        let bytes = room
            .bytes
            .map(|bytes| bytes - i128::from(now) + i128::from(was));
        let grows = more > 0 || now > was;
        if grows && rows.into_iter().chain(bytes).any(|left| left < 0) {
            return Some(room.refusal.clone());
        }
        (room.rows, room.bytes) = (rows, bytes);
        None
    }

    fn remember(&mut self, touched: &Touched, at: At) {
        let marks = self.rows.len() + self.claims.len() + self.freed.len();
        let more = 1 + touched.claims.len() + touched.freed.len();
        if !self.has(touched) && marks + more > self.marks_max {
            return;
        }
        let row = Row {
            item: touched.item,
            at,
            bytes: touched.bytes.0,
        };
        self.rows.insert(touched.key, row);
        let claims = touched.claims.iter();
        self.claims
            .extend(claims.map(|(_, claim)| (*claim, (touched.key, at))));
        self.freed.extend(&touched.freed);
    }
}

/// What the database says of an item alone.
pub(super) struct Told<'a> {
    pub(super) kind: &'a str,
    pub(super) field: Option<&'a str>,
    pub(super) words: &'a str,
}

impl Touched {
    /// One of the `traces` of an answer.
    pub(super) fn read(trace: &Value) -> Option<Touched> {
        let mark = |value: &Value| hex::decode::<16>(value.as_str()?);
        let claims = trace["claims"].as_object()?.iter();
        let claims = claims.map(|(field, claim)| Some((field.clone(), mark(claim)?)));
        let freed = trace["freed"].as_array()?.iter();
        Some(Touched {
            model: trace["model"].as_str()?.to_owned(),
            key: mark(&trace["key"])?,
            item: mark(&trace["item"])?,
            is_there: trace["is_there"].as_bool()?,
            claims: claims.collect::<Option<_>>()?,
            freed: freed.map(mark).collect::<Option<_>>()?,
            bytes: (trace["bytes"][0].as_u64()?, trace["bytes"][1].as_u64()?),
        })
    }

    /// Stands for its key.
    pub(super) fn key(&self) -> Mark {
        self.key
    }

    /// Whether the database has the item.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOT_UNIQUE: Option<Told<'static>> = Some(Told {
        kind: "not_unique",
        field: Some("door"),
        words: "there is another Room with this door",
    });

    /// A room by its key; doors are unique.
    fn room(key: u8, door: u8) -> Touched {
        Touched {
            model: "Room".to_owned(),
            key: [key; 16],
            item: [key; 16],
            is_there: false,
            claims: match door {
                0 => Vec::new(),
                door => vec![("door".to_owned(), [door; 16])],
            },
            freed: Vec::new(),
            bytes: (100, 0),
        }
    }

    fn words(verdict: Verdict) -> String {
        match verdict {
            Verdict::AsTold => "as told".to_owned(),
            Verdict::Good => "good".to_owned(),
            Verdict::Fault(words) => words,
        }
    }

    /// What is said of rooms one after the other, each on a line of its own.
    #[track_caller]
    fn check(mut together: Together, rooms: Vec<(Touched, Option<Told<'_>>)>, expected: &[&str]) {
        let judged = rooms.into_iter().zip(1..);
        let judged: Vec<String> = judged
            .map(|((room, told), line)| words(together.judge(&room, (line, 1), told)))
            .collect();
        assert_eq!(judged, expected);
    }

    #[test]
    fn a_key_that_comes_again_is_at_fault_or_counts_as_it_was_said() {
        let again = "line 1, column 1 has this Room already; leave one of them out, or say \
                     --on-conflict skip or replace";
        for (on_conflict, second) in [
            (Conflict::Fail, again),
            (Conflict::Skip, "good"),
            (Conflict::Replace, "good"),
        ] {
            let rooms = vec![(room(1, 0), None), (room(2, 0), None), (room(1, 0), None)];
            check(Together::new(on_conflict), rooms, &["good", "good", second]);
            let mut alike = room(1, 0);
            alike.item = [9; 16];
            let alike_words = "line 1, column 1 has another item, whose key is written like that \
                               of this one: a value has in it what separates the parts of the key";
            let rooms = vec![(room(1, 0), None), (alike, None)];
            check(Together::new(on_conflict), rooms, &["good", alike_words]);
        }
    }

    #[test]
    fn a_unique_value_is_taken_by_the_item_that_has_it_last() {
        let taken = "line 1, column 1 has a Room with this door already; use another one";
        let rooms = vec![(room(1, 7), None), (room(2, 7), None)];
        check(Together::new(Conflict::Fail), rooms, &["good", taken]);
        // The first lets go of it.
        let rooms = vec![
            (room(1, 7), None),
            (room(1, 8), None),
            (room(2, 7), None),
            (room(3, 8), None),
        ];
        let taken = taken.replace("line 1", "line 2");
        let expected = ["good", "good", "good", &taken];
        check(Together::new(Conflict::Replace), rooms, &expected);
        // One that is skipped takes nothing.
        let rooms = vec![(room(1, 7), None), (room(1, 8), None), (room(2, 8), None)];
        check(Together::new(Conflict::Skip), rooms, &["good"; 3]);
    }

    #[test]
    fn a_unique_value_of_the_database_is_free_once_its_item_is_replaced() {
        let mut replaced = room(1, 8);
        (replaced.is_there, replaced.freed) = (true, vec![[7; 16]]);
        let rooms = vec![
            (room(2, 7), NOT_UNIQUE),
            (replaced, None),
            (room(3, 7), NOT_UNIQUE),
            (room(4, 7), NOT_UNIQUE),
        ];
        let taken = "line 3, column 1 has a Room with this door already; use another one";
        let expected = ["as told", "good", "good", taken];
        check(Together::new(Conflict::Replace), rooms, &expected);
    }

    #[test]
    fn a_bound_holds_over_the_whole_file() {
        let with = |rows: u64, bytes: Option<u64>| {
            let mut together = Together::new(Conflict::Replace);
            let room = json!({"rows": rows, "bytes": bytes, "refusal": "Room is full"});
            together.read_rooms(&json!({ "Room": room }));
            // What comes later has been written to by nobody yet.
            together.read_rooms(&json!({"Room": {"rows": 9, "bytes": null, "refusal": "x"}}));
            together
        };
        let mut there = room(4, 0);
        (there.is_there, there.bytes) = (true, (100, 100));
        let rooms = || {
            vec![
                (room(1, 0), None),
                (room(2, 0), None),
                (room(1, 0), None),
                (room(3, 0), None),
            ]
        };
        check(with(3, None), rooms(), &["good"; 4]);
        let full = ["good", "good", "good", "Room is full"];
        check(with(2, None), rooms(), &full);
        check(with(3, Some(299)), rooms(), &full);
        check(with(0, Some(0)), vec![(there, None)], &["good"]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        for (marks_max, third) in [(2, "good"), (3, "has this Room already")] {
            let mut together = Together::new(Conflict::Fail);
            together.marks_max = marks_max;
            for key in [1, 2, 3] {
                let judged = together.judge(&room(key, 0), (key.into(), 1), None);
                assert_eq!(judged, Verdict::Good);
            }
            let first = words(together.judge(&room(1, 0), (4, 1), None));
            assert!(first.contains("has this Room already"), "{first}");
            let last = words(together.judge(&room(3, 0), (5, 1), None));
            assert!(last.contains(third), "{marks_max}: {last}");
        }
    }
}
