//! What happens in the agent, as live listeners hear it: samples, changes, states.

use std::sync::Arc;

use periwinkle_core::limits;
use tokio::sync::broadcast;

/// What an event is about; listeners choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A sample of the device's own metrics.
    Metrics,
    /// A durable change of the database.
    Changes,
    /// The state of replication.
    Sync,
    /// The states of the services.
    Status,
}

impl Topic {
    /// Every topic, with the word that chooses it.
    pub const ALL: [(&'static str, Topic); 4] = [
        ("metrics", Topic::Metrics),
        ("changes", Topic::Changes),
        ("sync", Topic::Sync),
        ("status", Topic::Status),
    ];

    /// The name of the topic's events, as `text/event-stream` carries it.
    pub fn event_name(self) -> &'static str {
        match self {
            Topic::Metrics => "metrics",
            Topic::Changes => "change",
            Topic::Sync => "sync",
            Topic::Status => "status",
        }
    }
}

/// One event, ready to be sent.
#[derive(Clone, Debug)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// Its JSON text, on one line.
    pub json: Arc<str>,
}

/// Where services publish events and live listeners hear them.
///
/// Nobody waits for a slow listener: one that falls behind by more than
/// [`EVENTS_BEHIND_MAX`](limits::EVENTS_BEHIND_MAX) is told how many it missed.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Default for Events {
    fn default() -> Events {
        Events(broadcast::Sender::new(limits::EVENTS_BEHIND_MAX))
    }
}

impl Events {
    /// Publishes an event; `json` is only made when somebody listens.
    pub fn publish(&self, topic: Topic, json: impl FnOnce() -> String) {
        if self.has_listeners() {
            // An error means that the last listener has just left.
            let _ = self.0.send(Event {
                topic,
                json: json().into(),
            });
        }
    }

    /// Whether anybody listens at this moment.
    pub fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Hears every event published from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
