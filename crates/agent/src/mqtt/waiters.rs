//! Who waits for what becomes of a message, found by the message's tag in constant time.

use std::task::{Context, Poll, Waker};

use periwinkle_core::mqtt::codec::Reason;
use periwinkle_core::mqtt::session::Outcome;

use super::error::MqttError;

/// Up to where somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Safe from a power cut: on flash, by its mode or because it was spilled.
    Accepted,
    /// Taken by the socket.
    Sent,
    /// Answered by the broker.
    Acked,
}

/// All who wait. A tag is a place and how often it was used.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    places: Vec<Waiter>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Waiter {
    uses: u32,
    accepted: bool,
    sent: bool,
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

impl Waiters {
    /// A tag for a message that is about to be taken.
    pub(super) fn enter(&mut self) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Waiter::default());
            u32::try_from(self.places.len() - 1).expect("messages have a bound")
        });
        let uses = self.places[place as usize].uses;
        u64::from(uses) << 32 | u64::from(place)
    }

    /// Nobody waits any more.
    pub(super) fn leave(&mut self, tag: u64) {
        let place = tag as u32;
        if let Some(waiter) = self.find(tag) {
            let uses = waiter.uses.wrapping_add(1);
            *waiter = Waiter {
                uses,
                ..Waiter::default()
            };
            self.free.push(place);
        }
    }

    fn find(&mut self, tag: u64) -> Option<&mut Waiter> {
        let waiter = self.places.get_mut(tag as u32 as usize)?;
        (waiter.uses == (tag >> 32) as u32).then_some(waiter)
    }

    pub(super) fn accepted(&mut self, tag: u64) -> Option<Waker> {
        let waiter = self.find(tag)?;
        waiter.accepted = true;
        waiter.waker.take()
    }

    pub(super) fn sent(&mut self, tag: u64) -> Option<Waker> {
        let waiter = self.find(tag)?;
        waiter.sent = true;
        waiter.waker.take()
    }

    pub(super) fn done(&mut self, tag: u64, outcome: Outcome) -> Option<Waker> {
        let waiter = self.find(tag)?;
        waiter.outcome = Some(outcome);
        waiter.waker.take()
    }

    /// The client has stopped: nothing more will happen.
    pub(super) fn wake_all(&mut self) -> Vec<Waker> {
        let wakers = self.places.iter_mut();
        wakers.filter_map(|waiter| waiter.waker.take()).collect()
    }

    pub(super) fn poll(
        &mut self,
        tag: u64,
        until: Until,
        context: &mut Context<'_>,
    ) -> Poll<Result<Reason, MqttError>> {
        let Some(waiter) = self.find(tag) else {
            return Poll::Ready(Err(MqttError::Stopped));
        };
        match waiter.outcome {
            Some(Outcome::Done(reason)) => return Poll::Ready(Ok(reason)),
            Some(Outcome::Rejected(reason)) => {
                return Poll::Ready(Err(MqttError::Rejected(reason)));
            }
            Some(Outcome::Dropped(cause)) => return Poll::Ready(Err(MqttError::Dropped(cause))),
            None => {}
        }
        let reached = match until {
            Until::Accepted => waiter.accepted,
            Until::Sent => waiter.sent,
            Until::Acked => false,
        };
        if reached {
            return Poll::Ready(Ok(Reason::Success));
        }
        match &waiter.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => waiter.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_core::mqtt::outbox::DropCause;

    fn look(waiters: &mut Waiters, tag: u64, until: Until) -> Option<Result<Reason, String>> {
        let mut context = Context::from_waker(Waker::noop());
        match waiters.poll(tag, until, &mut context) {
            Poll::Ready(result) => Some(result.map_err(|error| error.to_string())),
            Poll::Pending => None,
        }
    }

    #[test]
    fn each_step_is_reached_in_its_turn() {
        let mut waiters = Waiters::default();
        let tag = waiters.enter();
        assert_eq!(look(&mut waiters, tag, Until::Accepted), None);
        assert!(waiters.accepted(tag).is_some());
        let done = Some(Ok(Reason::Success));
        assert_eq!(look(&mut waiters, tag, Until::Accepted), done);
        assert_eq!(look(&mut waiters, tag, Until::Sent), None);
        waiters.sent(tag);
        assert_eq!(look(&mut waiters, tag, Until::Sent), done);
        assert_eq!(look(&mut waiters, tag, Until::Acked), None);
        let nobody = Reason::NoMatchingSubscribers;
        waiters.done(tag, Outcome::Done(nobody));
        assert_eq!(look(&mut waiters, tag, Until::Acked), Some(Ok(nobody)));
    }

    #[test]
    fn a_failure_ends_every_wait_with_its_own_words() {
        let mut waiters = Waiters::default();
        for until in [Until::Accepted, Until::Sent, Until::Acked] {
            let tag = waiters.enter();
            waiters.done(tag, Outcome::Dropped(DropCause::Storage));
            let told = look(&mut waiters, tag, until);
            let words = "the message was dropped: it could not be written to flash";
            assert_eq!(told, Some(Err(words.to_owned())));
            waiters.leave(tag);
        }
    }

    #[test]
    fn a_tag_that_was_left_means_nobody_though_its_place_is_used_again() {
        let mut waiters = Waiters::default();
        let old = waiters.enter();
        waiters.leave(old);
        let new = waiters.enter();
        assert_ne!(old, new);
        assert_eq!(waiters.places.len(), 1);
        waiters.done(old, Outcome::Done(Reason::Success));
        assert_eq!(look(&mut waiters, new, Until::Acked), None);
        waiters.leave(old);
        assert_eq!(waiters.free.len(), 0);
    }
}
