//! How many lists are in the making at one time: each holds a page of items and its text.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use periwinkle_core::limits::{
    API_LIST_PIECE_BYTES, API_LIST_SMALL_BYTES_MAX, API_LIST_STALL_MAX, API_LIST_WAIT_MAX,
    API_LISTS_MAX, API_LISTS_PER_USER_MAX,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::session::text_answer;
use crate::web::problem::Problem;

/// The places that lists take. Each user has a share, so that nobody shuts the others out.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    by_user: BTreeMap<String, usize>,
    /// Answers on their way that keep a place.
    answers: Vec<Weak<Mutex<Rest>>>,
}

/// The place of one list.
#[derive(Debug)]
pub(super) struct Place {
    user: String,
    shared: Arc<Shared>,
}

/// What of an answer has yet to be sent, and its place until all of it was.
#[derive(Debug)]
struct Rest {
    text: Bytes,
    /// Its bytes, also when it was given up.
    bytes: usize,
    place: Option<Place>,
    /// When the reader took something last.
    moved: Instant,
}

/// An answer in pieces, taken as the reader takes them.
struct Sending(Arc<Mutex<Rest>>);

impl Places {
    /// A place for a list of this user, as soon as one is free. Answers whose readers take nothing
    /// are given up for it.
    pub(super) async fn take(&self, user: &str) -> Result<Place, Problem> {
        let end = Instant::now() + API_LIST_WAIT_MAX;
        loop {
            let freed = self.0.freed.notified();
            if let Some(place) = self.try_take(user) {
                return Ok(place);
            }
            self.give_up_stalled(user);
            if let Some(place) = self.try_take(user) {
                return Ok(place);
            }
            let next = end.min(Instant::now() + API_LIST_STALL_MAX / 4);
            let waited = timeout_at(next, freed).await;
            if waited.is_err() && Instant::now() >= end {
                let detail = "Too many lists are on their way; try again.";
                let full = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "lists_full", detail);
                return Err(full.retry_after_s(5));
            }
        }
    }

    fn try_take(&self, user: &str) -> Option<Place> {
        let mut taken = self.0.lock();
        let all: usize = taken.by_user.values().sum();
        let own = taken.by_user.get(user).copied().unwrap_or_default();
        if all >= API_LISTS_MAX || own >= API_LISTS_PER_USER_MAX {
            return None;
        }
        taken.by_user.insert(user.to_owned(), own + 1);
        Some(Place {
            user: user.to_owned(),
            shared: Arc::clone(&self.0),
        })
    }

    /// Ends the answer of which nothing was taken for the longest time, if that would help the user.
    fn give_up_stalled(&self, user: &str) {
        let taken = self.0.lock();
        let is_own = taken.by_user.get(user).copied() >= Some(API_LISTS_PER_USER_MAX);
        let answers = taken.answers.clone();
        drop(taken);
        let would_help = |answer: &Arc<Mutex<Rest>>| {
            let rest = lock(answer);
            let place = rest.place.as_ref();
            let helps = place.is_some_and(|place| !is_own || place.user == user);
            helps && rest.moved.elapsed() >= API_LIST_STALL_MAX
        };
        let answers = answers.iter().filter_map(Weak::upgrade);
        let stalled = answers.filter(would_help);
        if let Some(answer) = stalled.min_by_key(|answer| lock(answer).moved) {
            // It is let go when its answer is locked no more.
            let place = lock(&answer).give_up();
            drop(place);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }
}

impl Place {
    /// An answer that keeps the place until it is sent, unless it is small.
    pub(super) fn answer(self, text: String) -> Response {
        if text.len() <= API_LIST_SMALL_BYTES_MAX {
            return text_answer(StatusCode::OK, text);
        }
        let shared = Arc::clone(&self.shared);
        let rest = Arc::new(Mutex::new(Rest {
            bytes: text.len(),
            text: text.into(),
            place: Some(self),
            moved: Instant::now(),
        }));
        let mut taken = shared.lock();
        taken.answers.retain(|answer| answer.strong_count() > 0);
        taken.answers.push(Arc::downgrade(&rest));
        drop(taken);
        let mut answer = text_answer(StatusCode::OK, String::new());
        *answer.body_mut() = Body::new(Sending(rest));
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.lock();
        match taken.by_user.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.by_user.remove(&self.user)),
        }
        drop(taken);
        self.shared.freed.notify_waiters();
    }
}

impl Rest {
    /// Frees the memory; the place is to be let go when no lock is held.
    fn give_up(&mut self) -> Option<Place> {
        self.text = Bytes::new();
        self.place.take()
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut rest = lock(&self.0);
        if rest.place.is_none() {
            let slow = "nothing of the answer was taken while others waited for its place";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, slow))));
        }
        if rest.text.is_empty() {
            return Poll::Ready(None);
        }
        rest.moved = Instant::now();
        let bytes = rest.text.len().min(API_LIST_PIECE_BYTES);
        // A copy: a part of the text would keep all of it in memory.
        let piece = Bytes::copy_from_slice(&rest.text.split_to(bytes));
        rest.bytes -= bytes;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(lock(&self.0).bytes as u64)
    }
}

/// What is under these locks is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;
    use tokio::time::advance;

    use super::*;

    const LARGE: usize = API_LIST_SMALL_BYTES_MAX + 1;

    async fn fill(places: &Places, bytes: usize) -> Vec<Response> {
        let mut answers = Vec::new();
        for n in 0..API_LISTS_MAX {
            let user = ["ada", "bob"][n / API_LISTS_PER_USER_MAX];
            let place = places.take(user).await.unwrap();
            answers.push(place.answer("x".repeat(bytes)));
        }
        answers
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_keeps_its_place_until_it_is_gone() {
        let places = Places::default();
        let mut answers = fill(&places, LARGE).await;
        assert!(places.try_take("eve").is_none());
        let sent = to_bytes(answers.remove(0).into_body(), usize::MAX).await;
        assert_eq!(sent.unwrap().len(), LARGE);
        assert!(places.try_take("eve").is_some());
        drop(answers.remove(0));
        places.take("eve").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn lists_in_the_making_are_waited_for_so_long() {
        let places = Places::default();
        let mut made = Vec::new();
        for n in 0..API_LISTS_MAX {
            made.push(places.take(&format!("user {n}")).await.unwrap());
        }
        let refused = places.take("eve").await.err().unwrap();
        assert_eq!(refused.into_response().status(), 503);
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.take("eve").await.is_ok() }
        });
        tokio::task::yield_now().await;
        drop(made.pop());
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_cannot_take_all_places() {
        let places = Places::default();
        let mut made = Vec::new();
        for _ in 0..API_LISTS_PER_USER_MAX {
            made.push(places.take("ada").await.unwrap());
        }
        assert!(places.try_take("ada").is_none());
        assert!(places.try_take("bob").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_loses_its_place_to_one_who_waits() {
        let places = Places::default();
        let mut answers = fill(&places, 3 * API_LIST_PIECE_BYTES).await;
        // Who takes something now and then keeps it.
        let mut steady = answers.remove(0).into_body();
        advance(API_LIST_STALL_MAX).await;
        let piece = steady.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece.len(), API_LIST_PIECE_BYTES);
        let _place = places.take("eve").await.unwrap();
        assert_eq!(
            to_bytes(steady, usize::MAX).await.unwrap().len(),
            2 * API_LIST_PIECE_BYTES
        );
        // The one that had waited the longest was cut off, and no other.
        let cut = to_bytes(answers.remove(0).into_body(), usize::MAX).await;
        assert!(cut.is_err(), "half an answer is no answer");
        for answer in answers {
            to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_answer_keeps_no_place() {
        let places = Places::default();
        let _answers = fill(&places, API_LIST_SMALL_BYTES_MAX).await;
        let _more = fill(&places, 1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_answer_says_its_length_and_its_type() {
        let place = Places::default().take("ada").await.unwrap();
        let answer = place.answer("x".repeat(LARGE));
        assert_eq!(answer.headers()["content-type"], "application/json");
        let size = axum::body::HttpBody::size_hint(answer.body());
        assert_eq!(size.exact(), Some(LARGE as u64));
    }
}
