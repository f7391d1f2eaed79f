//! How many lists are in the making at one time: each holds a page of items and its text.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::StatusCode;
use periwinkle_core::limits::{API_LIST_SMALL_BYTES_MAX, API_LIST_WAIT_MAX, API_LISTS_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::session::text_answer;
use crate::web::problem::Problem;

/// The places that lists take.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// The place of one list.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A text, and the place that is free again when all of it was sent.
struct Held {
    text: String,
    _place: Place,
}

impl Default for Places {
    fn default() -> Places {
        Places(Arc::new(Semaphore::new(API_LISTS_MAX)))
    }
}

impl Places {
    /// A place, as soon as one is free.
    pub(super) async fn take(&self) -> Result<Place, Problem> {
        let place = Arc::clone(&self.0).acquire_owned();
        match timeout(API_LIST_WAIT_MAX, place).await {
            Ok(permit) => Ok(Place {
                _permit: permit.expect("the places are never closed"),
            }),
            Err(_) => {
                let detail = "Too many lists are on their way; try again.";
                Err(
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "lists_full", detail)
                        .retry_after_s(5),
                )
            }
        }
    }
}

impl Place {
    /// An answer that keeps the place until it is sent, unless it is small.
    pub(super) fn answer(self, text: String) -> Response {
        if text.len() <= API_LIST_SMALL_BYTES_MAX {
            return text_answer(StatusCode::OK, text);
        }
        let held = Held { text, _place: self };
        let mut answer = text_answer(StatusCode::OK, String::new());
        *answer.body_mut() = Body::from(Bytes::from_owner(held));
        answer
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    async fn fill(places: &Places, bytes: usize) -> Vec<Response> {
        let mut answers = Vec::new();
        for _ in 0..API_LISTS_MAX {
            let place = places.take().await.unwrap();
            answers.push(place.answer("x".repeat(bytes)));
        }
        answers
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_keeps_its_place_until_it_is_gone() {
        let places = Places::default();
        let mut answers = fill(&places, API_LIST_SMALL_BYTES_MAX + 1).await;
        let refused = places.take().await.err().unwrap();
        assert_eq!(refused.into_response().status(), 503);
        let waiting = places.take();
        let sent = axum::body::to_bytes(answers.remove(0).into_body(), usize::MAX).await;
        assert_eq!(sent.unwrap().len(), API_LIST_SMALL_BYTES_MAX + 1);
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_answer_keeps_no_place() {
        let places = Places::default();
        let _answers = fill(&places, API_LIST_SMALL_BYTES_MAX).await;
        let _more = fill(&places, 1).await;
    }

    #[test]
    fn a_held_answer_says_its_length_and_its_type() {
        let place = Places::default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let taken = runtime.unwrap().block_on(place.take()).unwrap();
        let answer = taken.answer("x".repeat(API_LIST_SMALL_BYTES_MAX + 1));
        assert_eq!(answer.headers()["content-type"], "application/json");
        let size = axum::body::HttpBody::size_hint(answer.body());
        assert_eq!(size.exact(), Some(API_LIST_SMALL_BYTES_MAX as u64 + 1));
    }
}
