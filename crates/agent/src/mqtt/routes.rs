//! The rules `[[mqtt.route]]` at work: messages into models, changes of models out.

use periwinkle_core::config;
use periwinkle_core::mqtt::route::{Found, InRoute, OutRoute, Route, RouteError};
use periwinkle_core::value::Map;
use periwinkle_db::{Change, ChangeKind, Database, DbError, Event, Since};
use thiserror::Error;
use tokio::task::JoinSet;

use super::client::Mqtt;
use super::message::Message;

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
    _tasks: JoinSet<()>,
}

impl Carrying {
    pub(super) fn start(mqtt: &Mqtt, db: &Database, routes: &[config::Route]) -> Carrying {
        let mut tasks = JoinSet::new();
        let mut outward = Vec::new();
        for route in routes {
            match route.rule() {
                Route::In(route) => {
                    tasks.spawn(carry_in(mqtt.clone(), db.clone(), route));
                }
                Route::Out(route) => outward.push(route),
            }
        }
        if !outward.is_empty() {
            tasks.spawn(carry_out(mqtt.clone(), db.clone(), outward));
        }
        Carrying { _tasks: tasks }
    }
}

/// A message is acknowledged when its item is on flash, or can never be one.
async fn carry_in(mqtt: Mqtt, db: Database, route: InRoute) {
    let asked = mqtt.subscribe(&route.from, route.qos).manual().no_local();
    let mut messages = match asked.begin() {
        Ok(messages) => messages,
        Err(error) => return tracing::error!(target: "mqtt", "a route does not work: {error}"),
    };
    while let Some(message) = messages.recv().await {
        if let Err(error) = take(&db, &route, &message).await {
            let (topic, model) = (message.topic(), &route.model);
            tracing::warn!(target: "mqtt", topic, model, "a message became no item: {error}");
            if matches!(error, Uncarried::Durability(_)) {
                continue;
            }
        }
        message.ack();
    }
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
    let written = db.upsert(&route.model, &item)?;
    written.ticket.durable().await?;
    Ok(())
}

async fn carry_out(mqtt: Mqtt, db: Database, routes: Vec<OutRoute>) {
    let mut changes = db.changes(Since::Now);
    while let Some(event) = changes.next().await {
        match event {
            Event::Change(change) => {
                for route in routes.iter().filter(|route| route.model == change.model) {
                    send(&mqtt, &db, route, &change);
                }
            }
            Event::Gap { .. } => {
                tracing::warn!(target: "mqtt", "changes were missed: their messages are not sent");
            }
        }
    }
}

fn send(mqtt: &Mqtt, db: &Database, route: &OutRoute, change: &Change) {
    let (Some(item), false) = (&change.item, change.kind == ChangeKind::Remove) else {
        return;
    };
    let sent = route
        .message(item, db.context())
        .map_err(|error| error.to_string());
    let sent = sent.and_then(|(topic, payload)| {
        let mut message = mqtt.publish(&topic, &payload).qos(route.qos);
        if route.retain {
            message = message.retain();
        }
        if route.durable {
            message = message.durable();
        }
        message.detach().map_err(|error| error.to_string())
    });
    if let Err(error) = sent {
        let model = &route.model;
        tracing::warn!(target: "mqtt", model, "a change was not published: {error}");
    }
}
