//! `GET /api/v1/events`: what happens, as server-sent events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use periwinkle_core::limits;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::body::Checked;
use crate::Error;
use crate::events::{Event, Events, Topic};
use crate::stop::Stop;
use crate::web::accounts::Accounts;
use crate::web::identity::Login;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};

/// Serves live listeners, up to a bound.
#[derive(Clone, Debug)]
pub struct Feed {
    events: Events,
    accounts: Arc<Accounts>,
    places: Arc<Places>,
    stop: Stop,
}

/// Live listeners by user: each has a share, so that nobody shuts the others out.
#[derive(Debug, Default)]
struct Places(Mutex<BTreeMap<String, usize>>);

/// Held for as long as a listener is served.
#[derive(Debug)]
struct Place {
    user: String,
    places: Arc<Places>,
}

impl Places {
    fn take(self: &Arc<Places>, user: &str) -> Option<Place> {
        let mut taken = self.0.lock().expect("no holder of the places panics");
        let all: usize = taken.values().sum();
        let own = taken.get(user).copied().unwrap_or_default();
        if all >= limits::EVENT_LISTENERS_MAX || own >= limits::EVENT_LISTENERS_PER_USER_MAX {
            return None;
        }
        taken.insert(user.to_owned(), own + 1);
        Some(Place {
            user: user.to_owned(),
            places: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .places
            .0
            .lock()
            .expect("no holder of the places panics");
        match taken.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.user)),
        }
    }
}

impl Feed {
    /// A feed of `events` that ends with `stop`, and for each listener with its session.
    pub fn new(events: Events, accounts: Arc<Accounts>, stop: Stop) -> Feed {
        Feed {
            events,
            accounts,
            places: Arc::default(),
            stop,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    topics: Option<String>,
}

pub(super) async fn listen(
    State(feed): State<Feed>,
    login: Login,
    Checked(Query(choice)): Checked<Query<Choice>>,
) -> Result<Response, Problem> {
    let topics = parse_topics(choice.topics.as_deref())?;
    let place = feed.places.take(&login.name).ok_or_else(|| {
        let detail = "Too many live listeners are connected; close one and try again.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "listeners_full", detail).retry_after_s(10)
    })?;
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tokio::spawn(feed.send(out, topics, login, place));
    Ok(response.map(Body::new))
}

impl Feed {
    /// Sends until the listener leaves, its session ends or the agent stops.
    async fn send(mut self, mut out: Out, topics: Vec<Topic>, login: Login, _place: Place) {
        let mut events = self.events.listen();
        let mut pulse = tokio::time::interval(HEARTBEAT);
        let mut id = 0_u64;
        loop {
            let sent = tokio::select! {
                event = events.recv() => match event {
                    _ if !self.accounts.is_open(&login) => return,
                    Ok(Event { topic, .. }) if !topics.contains(&topic) => continue,
                    Ok(event) => {
                        id += 1;
                        send_event(&mut out, id, event.topic.event_name(), &event.json).await
                    }
                    Err(RecvError::Lagged(missed)) => {
                        id += 1;
                        send_event(&mut out, id, "missed", &format!("{{\"events\":{missed}}}")).await
                    }
                    Err(RecvError::Closed) => return,
                },
                _ = pulse.tick() => {
                    if !self.accounts.is_open(&login) {
                        return;
                    }
                    out.write(":\n\n").await
                }
                () = self.stop.requested() => return,
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// Keeps proxies and the console's own watch from taking silence for loss.
const HEARTBEAT: Duration = Duration::from_secs(15);

async fn send_event(out: &mut Out, id: u64, name: &str, json: &str) -> Result<(), Error> {
    out.write(format!("id: {id}\nevent: {name}\ndata: {json}\n\n"))
        .await
}

fn parse_topics(text: Option<&str>) -> Result<Vec<Topic>, Problem> {
    let Some(text) = text else {
        return Ok(Topic::ALL.map(|(_, topic)| topic).to_vec());
    };
    let topic = |word: &str| {
        let found = Topic::ALL
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, topic)| *topic);
        found.ok_or_else(|| {
            let words = Topic::ALL.map(|(name, _)| name).join(", ");
            let detail = format!("There is no topic {word:?}; the topics are {words}.");
            Problem::bad_request("topic_unknown", detail).field("topics")
        })
    };
    text.split(',').map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_place_of_live_listeners() {
        let places = Arc::new(Places::default());
        let take = |user: &str, count: usize| -> Vec<Place> {
            (0..count).map_while(|_| places.take(user)).collect()
        };
        let eve = take("eve", 100);
        assert_eq!(eve.len(), limits::EVENT_LISTENERS_PER_USER_MAX);
        assert_eq!(take("ann", 1).len(), 1);
        drop(eve);
        assert!(places.0.lock().expect("nobody panicked").is_empty());
        let many: Vec<Place> = (0..100)
            .filter_map(|n| places.take(&format!("user{n}")))
            .collect();
        assert_eq!(many.len(), limits::EVENT_LISTENERS_MAX);
    }

    #[test]
    fn topics_are_chosen_by_name_and_unknown_ones_refused() {
        assert_eq!(parse_topics(None).expect("all").len(), 4);
        let chosen = parse_topics(Some("metrics,sync")).expect("both exist");
        assert_eq!(chosen, [Topic::Metrics, Topic::Sync]);
        let problem = parse_topics(Some("metric")).expect_err("no such topic");
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    }
}
