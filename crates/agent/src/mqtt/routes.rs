//! The rules `[[mqtt.route]]` at work: messages into models, changes of models out.

use periwinkle_core::config;
use periwinkle_core::limits::{MQTT_ROUTE_PAUSE_MAX, MQTT_ROUTE_PAUSE_MIN};
use periwinkle_core::mqtt::route::{Found, InRoute, Route, RouteError};
use periwinkle_core::mqtt::topic::Filter;
use periwinkle_core::retry::Backoff;
use periwinkle_core::schema::Role;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Database, DbError};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::client::Mqtt;
use super::message::Message;
use super::outward::{Saved, carry_out};
use super::warned::Warned;
use crate::net::entropy;

/// Why a message did not become an item.
#[derive(Debug, Error)]
enum Uncarried {
    #[error("{0}")]
    Route(#[from] RouteError),
    #[error("{0}")]
    Database(#[from] DbError),
    #[error("it is not on flash: {0}")]
    Durability(#[from] periwinkle_db::engine::DurabilityError),
}

/// All rules at work; dropping it ends them.
#[derive(Debug)]
pub(super) struct Carrying {
    _inward: JoinSet<()>,
    outward: Option<(oneshot::Sender<Saved>, JoinSet<()>)>,
}

impl Carrying {
    pub(super) fn start(mqtt: &Mqtt, db: &Database, routes: &[config::Route]) -> Carrying {
        let mut inward = JoinSet::new();
        let mut out = Vec::new();
        for route in routes {
            match route.rule() {
                Route::In(route) => {
                    inward.spawn(carry_in(mqtt.clone(), db.clone(), route));
                }
                Route::Out(route) => out.push(route),
            }
        }
        Carrying {
            _inward: inward,
            outward: (!out.is_empty()).then(|| {
                let (end, ended) = oneshot::channel();
                let mut task = JoinSet::new();
                task.spawn(carry_out(mqtt.clone(), db.clone(), out, ended));
                (end, task)
            }),
        }
    }

    /// The client has stopped: writes how far the rules have come.
    pub(super) async fn finish(self, saved: Saved) {
        if let Some((end, mut task)) = self.outward {
            // It has ended by itself if nobody listens.
            let _ = end.send(saved);
            task.join_next().await;
        }
    }
}

impl Uncarried {
    /// Whether the same message may become an item later.
    fn passes(&self) -> bool {
        use DbError::{Closed, Disk, Full};
        match self {
            Uncarried::Route(_) => false,
            Uncarried::Database(error) => matches!(error, Full { .. } | Disk(_) | Closed),
            Uncarried::Durability(_) => true,
        }
    }
}

/// A message is acknowledged when its item is on flash, or can never be one; those behind it wait,
/// for items are written in the order of their messages.
async fn carry_in(mqtt: Mqtt, db: Database, route: InRoute) {
    let mut asked = mqtt.subscribe(&route.from, route.qos).manual();
    // A shared subscription has no such option: what goes to a group may come from any of it.
    if !Filter::parse(&route.from).is_ok_and(|filter| filter.share_name().is_some()) {
        asked = asked.no_local();
    }
    let mut messages = match asked.begin() {
        Ok(messages) => messages,
        Err(error) => return tracing::error!(target: "mqtt", "a route does not work: {error}"),
    };
    let mut warned = Warned::default();
    while let Some(message) = messages.recv().await {
        let carried = carry(&db, &route, &message).await;
        let now = mqtt.shared.clock.mono();
        let mut state = mqtt.shared.lock();
        match carried {
            Ok(()) => state.carried.items += 1,
            Err(_) => state.carried.no_item += 1,
        }
        drop(state);
        if let Err(error) = carried
            && let Some(more) = warned.note(1, now)
        {
            let (topic, model) = (message.topic(), &route.model);
            tracing::warn!(target: "mqtt", topic, model, "a message became no item: {error}{more}");
        }
        message.ack();
    }
}

/// Makes an item of the message, as soon as there is room for it; or says why it never can be one.
async fn carry(db: &Database, route: &InRoute, message: &Message) -> Result<(), Uncarried> {
    let (topic, model) = (message.topic(), &route.model);
    let mut pauses = Backoff::decorrelated(MQTT_ROUTE_PAUSE_MIN, MQTT_ROUTE_PAUSE_MAX);
    let mut waits = false;
    while let Err(error) = take(db, route, message).await {
        if !error.passes() {
            return Err(error);
        }
        if !std::mem::replace(&mut waits, true) {
            tracing::warn!(target: "mqtt", topic, model, "messages wait to become items: {error}");
        }
        let random = entropy::bytes().map_or(0, u64::from_le_bytes);
        tokio::time::sleep(pauses.next_pause(random)).await;
    }
    if waits {
        tracing::info!(target: "mqtt", topic, model, "messages become items again");
    }
    Ok(())
}

async fn take(db: &Database, route: &InRoute, message: &Message) -> Result<(), Uncarried> {
    let item = match route.item(message.topic(), message.payload())? {
        Found::Properties(item) => item,
        Found::Texts(texts) => {
            let mut item = Map::new();
            for (name, text) in texts {
                let value = db.value_from_text(&route.model, &name, &text)?;
                item.insert(name, value);
            }
            item
        }
    };
    if is_there(db, &route.model, &item) {
        // Whoever wrote it may not have waited for the disk.
        if db.durable_sequence() < db.sequence() {
            db.flush().durable().await?;
        }
        return Ok(());
    }
    let written = db.upsert(&route.model, &item)?;
    written.ticket.durable().await?;
    Ok(())
}

/// Whether the item has these values already: what says nothing new is no change, which rules would
/// publish.
fn is_there(db: &Database, model: &str, item: &Map) -> bool {
    let Ok(Some(stored)) = db.get(model, item) else {
        return false;
    };
    let schema = db.schema().model(model);
    // Each device has its own idea of when an item was written.
    let is_time = |name: &str| {
        let field = schema.as_ref().ok().and_then(|model| model.field(name));
        field.is_some_and(|field| matches!(field.role(), Role::Created | Role::Updated))
    };
    let mut values = item.iter().filter(|(name, _)| !is_time(name));
    values.all(|(name, value)| match stored.get(name) {
        Some(stored) => stored == value,
        None => *value == Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use periwinkle_core::mqtt::codec::{PropertiesBuf, QoS};
    use periwinkle_testkit::disk::SimDisk;

    use super::*;
    use crate::net::clock::Clock;

    fn database(disk: &SimDisk) -> Database {
        crate::database::open_on(disk.storage(), Clock::new(Path::new("")))
    }

    fn setting<const N: usize>(more: [(&str, Value); N]) -> Map {
        let mut item = Map::from([("id", Value::from("led")), ("value", Value::from("on"))]);
        for (name, value) in more {
            item.insert(name.to_owned(), value);
        }
        item
    }

    #[test]
    fn an_item_is_there_when_it_has_all_values_but_those_of_when_it_was_written() {
        let db = database(&SimDisk::new(1));
        assert!(!is_there(&db, "Setting", &setting([])));
        db.upsert("Setting", &setting([])).unwrap();
        let table = [
            (setting([]), true),
            (setting([("value", Value::from("off"))]), false),
            (setting([("id", Value::from("fan"))]), false),
            // What is null is not there.
            (setting([("note", Value::Null)]), true),
            (setting([("note", Value::from("x"))]), false),
            (setting([("value", Value::Null)]), false),
            (setting([("updated", Value::from("long ago"))]), true),
            (setting([("created", Value::Null)]), true),
        ];
        for (item, expected) in table {
            assert_eq!(is_there(&db, "Setting", &item), expected, "{item:?}");
        }
    }

    #[tokio::test]
    async fn a_message_that_says_nothing_new_waits_until_flash_knows_the_old() {
        let disk = SimDisk::new(1);
        let db = database(&disk);
        let route = InRoute {
            from: "settings".to_owned(),
            model: "Setting".to_owned(),
            set: Vec::new(),
            qos: QoS::AtLeastOnce,
        };
        let payload = br#"{"id":"led","value":"on"}"#;
        let properties = PropertiesBuf::new();
        let message = Message::kept("settings", payload, properties, QoS::AtLeastOnce, false);
        disk.hold_syncs();
        db.upsert("Setting", &setting([])).unwrap();
        let before = db.sequence();
        let mut taking = std::pin::pin!(take(&db, &route, &message));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut taking).await;
        disk.release_syncs();
        assert!(early.is_err(), "{early:?}");
        taking.await.unwrap();
        assert_eq!((db.durable_sequence(), db.sequence()), (before, before));
    }
}
