//! `GET /api/v1/events`: what happens, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use periwinkle_core::limits;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Error;
use crate::events::{Event, Events, Topic};
use crate::stop::Stop;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};

/// Serves live listeners, up to a bound.
#[derive(Clone, Debug)]
pub struct Feed {
    events: Events,
    places: Arc<Semaphore>,
    stop: Stop,
}

impl Feed {
    /// A feed of `events` that ends with `stop`.
    pub fn new(events: Events, stop: Stop) -> Feed {
        Feed {
            events,
            places: Arc::new(Semaphore::new(limits::EVENT_LISTENERS_MAX)),
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
    Query(choice): Query<Choice>,
) -> Result<Response, Problem> {
    let topics = parse_topics(choice.topics.as_deref())?;
    let place = feed.places.clone().try_acquire_owned().map_err(|_| {
        let detail = "Too many live listeners are connected; close one and try again.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "listeners_full", detail).retry_after_s(10)
    })?;
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tokio::spawn(feed.send(out, topics, place));
    Ok(response.map(Body::new))
}

impl Feed {
    /// Sends until the listener leaves or the agent stops.
    async fn send(mut self, mut out: Out, topics: Vec<Topic>, _place: OwnedSemaphorePermit) {
        let mut events = self.events.listen();
        let mut pulse = tokio::time::interval(HEARTBEAT);
        let mut id = 0_u64;
        loop {
            let sent = tokio::select! {
                event = events.recv() => match event {
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
                _ = pulse.tick() => out.write(":\n\n").await,
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
    fn topics_are_chosen_by_name_and_unknown_ones_refused() {
        assert_eq!(parse_topics(None).expect("all").len(), 4);
        let chosen = parse_topics(Some("metrics,sync")).expect("both exist");
        assert_eq!(chosen, [Topic::Metrics, Topic::Sync]);
        let problem = parse_topics(Some("metric")).expect_err("no such topic");
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
    }
}
