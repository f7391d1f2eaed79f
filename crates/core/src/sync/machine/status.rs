//! What the owner sees of replication.

use super::{Machine, Reason};
use crate::limits::SYNC_PARKED_ROWS_SHOWN_MAX;
use crate::sync::record::ItemKey;
use crate::sync::store::{Store, StoreError};
use crate::time::{Now, UnixMillis};
use crate::value::{Map, Value};

/// The state of replication in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is switched off.
    Off,
    /// It takes its epoch, or reads through the partitions before it may send.
    Starting,
    /// Everything is sent.
    Idle,
    /// Changes are on their way.
    Sending,
    /// Something must pass or be put right first; the reason says what.
    Waiting,
    /// Somebody must decide; the reason says what.
    Paused,
    /// The database failed.
    Failed,
}

/// The answer of `GET /api/v1/sync`.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why it waits or is paused.
    pub reason: Option<Reason>,
    /// Rows that the cloud does not know yet, parked ones included.
    pub queued_rows: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Writes that have left and are not answered.
    pub in_flight: usize,
    /// The first items that are set aside.
    pub parked: Vec<ParkedItem>,
    /// When the table last answered as it should.
    pub last_exchange: Option<UnixMillis>,
    /// The last error, and when it happened.
    pub last_error: Option<(Option<UnixMillis>, Reason)>,
    /// Writes that were done since the start.
    pub sent: u64,
    /// Changes that were taken over from the cloud since the start.
    pub received: u64,
    /// Entries made in the table of conflicts since the start.
    pub conflicts: u64,
    /// The server's clock minus ours, in milliseconds, once known.
    pub clock_offset_ms: Option<i64>,
    /// When the next attempt is made, while nothing may be sent.
    pub next_attempt: Option<UnixMillis>,
    /// The epoch of this start; 0 before it has one.
    pub epoch: u64,
    /// The table.
    pub table: String,
    /// Its region.
    pub region: String,
}

/// An item that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedItem {
    /// Its model.
    pub model: String,
    /// Its key.
    pub key: ItemKey,
    /// The class of the reason, and the reason in words.
    pub reason: String,
}

impl Machine {
    /// How it goes.
    pub fn status(&self, now: Now, store: &dyn Store) -> Result<Status, StoreError> {
        let backlog = store.backlog();
        let waits = self.link.gate().filter(|gate| *gate > now.mono);
        let (state, reason) = self.state(waits.is_some(), backlog.rows > 0);
        Ok(Status {
            state,
            reason,
            queued_rows: backlog.rows,
            queued_bytes: backlog.bytes,
            in_flight: self.lanes_sent(),
            parked: self.parked_items(store)?,
            last_exchange: self.link.last_exchange(),
            last_error: self.link.last_error().cloned(),
            sent: self.counts.sent,
            received: self.counts.received,
            conflicts: self.counts.conflicts,
            clock_offset_ms: self.link.offset_ms(),
            next_attempt: waits.and_then(|gate| Some(now.wall?.plus(gate.since(now.mono)))),
            epoch: self.epoch(),
            table: self.config.table.clone(),
            region: self.config.region.clone(),
        })
    }

    /// The state in one word; cheaper than the whole [`status`](Machine::status).
    pub fn state_word(&self, now: Now, store: &dyn Store) -> State {
        let waits = self.link.gate().is_some_and(|gate| gate > now.mono);
        self.state(waits, store.backlog().rows > 0).0
    }

    fn state(&self, waits: bool, queued: bool) -> (State, Option<Reason>) {
        if let Some(reason) = self.twins.reason() {
            return (State::Paused, Some(reason.clone()));
        }
        if let Some(reason) = self.link.trouble().filter(|_| waits) {
            return (State::Waiting, Some(reason.clone()));
        }
        let reason = self.link.trouble().or(self.pull.trouble()).cloned();
        if !self.is_running() || self.pull.must_finish_first() {
            return (State::Starting, reason);
        }
        let sending = queued && (!self.lanes.is_empty() || self.is_seeking());
        (if sending { State::Sending } else { State::Idle }, reason)
    }

    fn parked_items(&self, store: &dyn Store) -> Result<Vec<ParkedItem>, StoreError> {
        let mut items = Vec::new();
        for key in store.parked(None, SYNC_PARKED_ROWS_SHOWN_MAX)? {
            let record = store.record(&key)?;
            let Some(parked) = record.parked() else {
                continue;
            };
            items.push(ParkedItem {
                model: self
                    .config
                    .model_of(&key)
                    .map_or(String::new(), |model| model.name.clone()),
                reason: format!("{}: {}", parked.kind.as_str(), parked.reason),
                key,
            });
        }
        Ok(items)
    }
}

impl State {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Off => "off",
            State::Starting => "starting",
            State::Idle => "idle",
            State::Sending => "sending",
            State::Waiting => "waiting",
            State::Paused => "paused",
            State::Failed => "failed",
        }
    }
}

impl Status {
    /// The JSON object of the API.
    pub fn to_value(&self) -> Value {
        let number = |number: usize| Value::from(number as u64);
        let parked: Vec<Value> = self.parked.iter().map(ParkedItem::to_value).collect();
        Value::from(Map::from([
            ("enabled", Value::from(self.state != State::Off)),
            ("state", self.state.as_str().into()),
            (
                "reason",
                optional(self.reason.as_ref().map(Reason::to_value)),
            ),
            ("queued_rows", self.queued_rows.into()),
            ("queued_bytes", self.queued_bytes.into()),
            ("in_flight", number(self.in_flight)),
            ("parked", parked.into()),
            ("last_exchange_ms", time(self.last_exchange)),
            (
                "last_error",
                optional(self.last_error.as_ref().map(error_value)),
            ),
            ("sent", self.sent.into()),
            ("received", self.received.into()),
            ("conflicts", self.conflicts.into()),
            (
                "clock_offset_ms",
                optional(self.clock_offset_ms.map(Value::from)),
            ),
            ("next_attempt_ms", time(self.next_attempt)),
            ("epoch", self.epoch.into()),
            ("table", (&self.table).into()),
            ("region", (&self.region).into()),
        ]))
    }

    /// The status of a replication that is switched off.
    pub fn off() -> Status {
        Status {
            state: State::Off,
            reason: None,
            queued_rows: 0,
            queued_bytes: 0,
            in_flight: 0,
            parked: Vec::new(),
            last_exchange: None,
            last_error: None,
            sent: 0,
            received: 0,
            conflicts: 0,
            clock_offset_ms: None,
            next_attempt: None,
            epoch: 0,
            table: String::new(),
            region: String::new(),
        }
    }
}

impl Reason {
    fn to_value(&self) -> Value {
        let fields = [
            ("kind", &self.kind),
            ("text", &self.text),
            ("hint", &self.hint),
        ];
        Value::from(Map::from(fields))
    }
}

impl ParkedItem {
    fn to_value(&self) -> Value {
        let key = vec![Value::from(&self.key.pk), Value::from(&self.key.sk)];
        Value::from(Map::from([
            ("model", Value::from(&self.model)),
            ("key", key.into()),
            ("reason", (&self.reason).into()),
        ]))
    }
}

fn error_value((at, reason): &(Option<UnixMillis>, Reason)) -> Value {
    Value::from(Map::from([
        ("at_ms", time(*at)),
        ("kind", (&reason.kind).into()),
        ("text", (&reason.text).into()),
    ]))
}

fn time(at: Option<UnixMillis>) -> Value {
    optional(at.map(|at| Value::from(at.0)))
}

fn optional(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replication_that_is_off_says_so_in_every_field() {
        assert_eq!(
            Status::off().to_value().to_json(),
            concat!(
                r#"{"clock_offset_ms":null,"conflicts":0,"enabled":false,"epoch":0,"in_flight":0,"#,
                r#""last_error":null,"last_exchange_ms":null,"next_attempt_ms":null,"parked":[],"#,
                r#""queued_bytes":0,"queued_rows":0,"reason":null,"received":0,"region":"","#,
                r#""sent":0,"state":"off","table":""}"#
            )
        );
    }
}
