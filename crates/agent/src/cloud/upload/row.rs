//! An upload as a row of the database.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use periwinkle_core::aws::s3::ObjectKey;
use periwinkle_core::value::{Map, Value};
use serde_json::json;

use super::hub::Running;

/// The model of uploads.
pub(super) const UPLOAD: &str = "Upload";
/// The model of watched files that were taken.
pub(super) const UPLOAD_FILE: &str = "UploadFile";

/// How an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It waits, or is being sent.
    Waiting,
    /// The object is at S3.
    Done,
    /// Somebody gave it up.
    Aborted,
    /// The file was changed before it was sent whole.
    Changed,
    /// The file went away before it was sent whole.
    Gone,
    /// It became too old.
    Expired,
}

impl State {
    const ALL: [State; 6] = [
        State::Waiting,
        State::Done,
        State::Aborted,
        State::Changed,
        State::Gone,
        State::Expired,
    ];

    /// The word in the database and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Done => "done",
            State::Aborted => "aborted",
            State::Changed => "changed",
            State::Gone => "gone",
            State::Expired => "expired",
        }
    }

    fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The row of an upload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) state: State,
    pub(super) bucket: String,
    pub(super) key: ObjectKey,
    pub(super) file: PathBuf,
    /// What the file was when it was taken.
    pub(super) identity: String,
    pub(super) bytes: u64,
    /// The file is a copy of ours.
    pub(super) copied: bool,
    /// A watch found it.
    pub(super) watched: bool,
    /// The file is removed once it is uploaded.
    pub(super) remove: bool,
    /// It has ended, and its file is still to be removed.
    pub(super) left: bool,
    pub(super) priority: u32,
    pub(super) attempts: u32,
    pub(super) content_type: Option<String>,
    /// By trusted time only, as is the next.
    pub(super) created_ms: Option<i64>,
    pub(super) ended_ms: Option<i64>,
    pub(super) error: Option<String>,
    /// The error is one that somebody has to set right.
    pub(super) refused: bool,
    pub(super) etag: Option<String>,
    /// What `docs/formats/upload.md` describes.
    pub(super) record: Option<Map>,
}

impl Row {
    /// The properties of the model.
    pub(super) fn properties(&self) -> Map {
        let mut row = Map::from([
            ("id", Value::from(self.id.as_str())),
            ("state", Value::from(self.state.as_str())),
            ("bucket", Value::from(self.bucket.as_str())),
            ("key", Value::from(self.key.as_str())),
            ("file", Value::from(self.file.to_string_lossy().as_ref())),
            ("identity", Value::from(self.identity.as_str())),
            ("bytes", whole(self.bytes)),
            ("copied", Value::from(self.copied)),
            ("watched", Value::from(self.watched)),
            ("remove", Value::from(self.remove)),
            ("left", Value::from(self.left)),
            ("refused", Value::from(self.refused)),
            ("priority", whole(self.priority.into())),
            ("attempts", whole(self.attempts.into())),
        ]);
        let texts = [
            ("content_type", &self.content_type),
            ("error", &self.error),
            ("etag", &self.etag),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                row.insert(name, text.as_str());
            }
        }
        for (name, time) in [("created_ms", self.created_ms), ("ended_ms", self.ended_ms)] {
            if let Some(time) = time {
                row.insert(name, time);
            }
        }
        if let Some(record) = &self.record {
            row.insert("record", Value::Map(record.clone()));
        }
        row
    }

    /// Reads a row; `None` when it lacks what every row has.
    pub(super) fn read(row: &Map) -> Option<Row> {
        let text = |name: &str| row.text(name).map(str::to_owned);
        let number = |name: &str| row.get(name).and_then(Value::as_i64);
        let flag = |name: &str| row.get(name) == Some(&Value::from(true));
        Some(Row {
            id: text("id")?,
            state: State::parse(row.text("state")?)?,
            bucket: text("bucket")?,
            key: ObjectKey::new(text("key")?).ok()?,
            file: PathBuf::from(row.text("file")?),
            identity: text("identity")?,
            bytes: u64::try_from(number("bytes")?).ok()?,
            copied: flag("copied"),
            watched: flag("watched"),
            remove: flag("remove"),
            left: flag("left"),
            priority: u32::try_from(number("priority")?).ok()?,
            attempts: u32::try_from(number("attempts")?).ok()?,
            content_type: text("content_type"),
            created_ms: number("created_ms"),
            ended_ms: number("ended_ms"),
            error: text("error"),
            refused: flag("refused"),
            etag: text("etag"),
            record: match row.get("record") {
                Some(Value::Map(record)) => Some(record.clone()),
                _ => None,
            },
        })
    }

    /// What waiting costs of our own disk.
    pub(super) fn kept_bytes(&self) -> u64 {
        if self.copied { self.bytes } else { 0 }
    }

    /// As the API shows it.
    pub(super) fn show(&self, running: Option<&Running>) -> serde_json::Value {
        // A row that has ended knows all of it.
        let running = running.filter(|_| self.state == State::Waiting);
        let trouble = running.map(Running::trouble).unwrap_or_default();
        json!({
            "id": self.id,
            "state": if running.is_some() { "sending" } else { self.state.as_str() },
            "bucket": self.bucket,
            "key": self.key.as_str(),
            "file": (!self.copied).then(|| self.file.display().to_string()),
            "bytes": self.bytes,
            "sent": match self.state {
                State::Done => self.bytes,
                _ => running.map_or(0, |running| running.sent.load(Ordering::Relaxed)),
            },
            "priority": self.priority,
            "attempts": self.attempts.saturating_add(trouble.failures),
            "watched": self.watched,
            "remove": self.remove,
            "content_type": self.content_type,
            "created_ms": self.created_ms,
            "ended_ms": self.ended_ms,
            "error": trouble.why.as_ref().or(self.error.as_ref()),
            "refused": self.refused && trouble.why.is_none(),
            "etag": self.etag,
        })
    }
}

/// Of those that wait so many, and of those that have ended: those that are being sent first, then
/// those that somebody has to set right, then the others by priority; then the latest that ended.
pub(super) fn foremost(
    rows: Vec<Row>,
    limit: usize,
    is_sending: impl Fn(&str) -> bool,
) -> Vec<Row> {
    let waits = |row: &Row| row.state == State::Waiting;
    let (mut queued, mut over): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(waits);
    queued.sort_by_cached_key(|row| (!is_sending(&row.id), !row.refused, Reverse(row.priority)));
    over.sort_by_key(|row| Reverse(row.ended_ms));
    queued.truncate(limit);
    over.truncate(limit);
    queued.append(&mut over);
    queued
}

pub(super) fn whole(number: u64) -> Value {
    Value::from(i64::try_from(number).expect("lengths are less than 2^63"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_shows_those_that_need_somebody_first_and_the_latest_that_ended() {
        let of = |id: &str, state, priority, refused, ended_ms| Row {
            id: id.to_owned(),
            state,
            priority,
            refused,
            ended_ms,
            ..row()
        };
        let waits = |id, priority, refused| of(id, State::Waiting, priority, refused, None);
        let rows = vec![
            of("late", State::Done, 5, false, Some(9)),
            waits("low", 1, false),
            waits("high", 9, false),
            waits("wrong", 1, true),
            waits("moving", 1, false),
            of("early", State::Gone, 9, false, Some(3)),
            of("later", State::Aborted, 1, false, Some(10)),
            of("timeless", State::Done, 1, false, None),
        ];
        for (limit, expected) in [
            (0, &[][..]),
            (1, &["moving", "later"]),
            (3, &["moving", "wrong", "high", "later", "late", "early"]),
            (
                9,
                &[
                    "moving", "wrong", "high", "low", "later", "late", "early", "timeless",
                ],
            ),
        ] {
            let shown = foremost(rows.clone(), limit, |id| id == "moving");
            let ids: Vec<&str> = shown.iter().map(|row| &row.id[..]).collect();
            assert_eq!(ids, expected);
        }
    }

    fn row() -> Row {
        Row {
            id: "01J".into(),
            state: State::Changed,
            bucket: "abc".into(),
            key: ObjectKey::new("k/ä").expect("it is one"),
            file: PathBuf::from("/v/ä.txt"),
            identity: "5@7.000000008/9".into(),
            bytes: 5,
            copied: true,
            watched: true,
            remove: true,
            left: true,
            priority: 9,
            attempts: 3,
            content_type: Some("text/plain".into()),
            created_ms: Some(1),
            ended_ms: Some(2),
            error: Some("no".into()),
            refused: true,
            etag: Some("\"e\"".into()),
            record: Some(Map::from([("version", 1)])),
        }
    }

    #[test]
    fn a_row_is_written_and_read_back() {
        let row = row();
        assert_eq!(Row::read(&row.properties()), Some(row.clone()));
        for state in State::ALL {
            let bare = Row {
                state,
                copied: false,
                watched: false,
                remove: false,
                left: false,
                content_type: None,
                created_ms: None,
                ended_ms: None,
                error: None,
                refused: false,
                etag: None,
                record: None,
                ..row.clone()
            };
            assert_eq!(Row::read(&bare.properties()), Some(bare));
        }
        let mut broken = row.properties();
        broken.insert("state", "new");
        assert_eq!(Row::read(&broken), None);
    }
}
