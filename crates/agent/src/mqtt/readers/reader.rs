//! One reader: how it reads, and what it has had.

use std::task::Waker;

use periwinkle_core::limits::{MQTT_RESUBSCRIBE_PAUSE, MQTT_RETAINED_REST};
use periwinkle_core::mqtt::codec::{QoS, Reason, RetainHandling};
use periwinkle_core::mqtt::session::SubscriptionId;
use periwinkle_core::time::Mono;

use super::super::buffer::{Bounds, Buffer};

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mqtt) struct Manner {
    /// How much waits for it, and whether it acknowledges by itself.
    pub(in crate::mqtt) bounds: Bounds,
    /// No message comes with a higher one.
    pub(in crate::mqtt) qos: QoS,
    /// Messages are on flash before the broker hears that they came.
    pub(in crate::mqtt) durable: bool,
    /// Which retained messages it wants.
    pub(in crate::mqtt) retained: RetainHandling,
    /// The retain flag is to be as it was published.
    pub(in crate::mqtt) as_published: bool,
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) filter: String,
    pub(super) manner: Manner,
    pub(super) subscription: SubscriptionId,
    /// What the broker puts on the copies of a message that are for this one.
    pub(super) identifier: Option<u32>,
    pub(super) buffer: Buffer,
    /// Retained messages are for it, too.
    pub(super) is_new: bool,
    /// When the broker answered or sent a retained message last.
    pub(super) awaited: Mono,
    pub(super) answer: Option<Result<QoS, Reason>>,
    pub(super) gone: bool,
    pub(super) waker: Option<Waker>,
}

impl Reader {
    /// Whether a retained message is for it, and not only for one that came later.
    pub(super) fn takes_retained(&mut self, now: Mono) -> bool {
        if self.is_new {
            self.awaited = now;
        }
        self.is_new
    }

    /// Another one asks for the same filter, so that its retained messages come again.
    pub(super) fn grow_old(&mut self, now: Mono) {
        if self.answer.is_some() && self.awaited + MQTT_RETAINED_REST <= now {
            self.is_new = false;
        }
    }

    pub(super) fn wake(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.waker.take());
    }

    /// Nobody may wait for the answer, so the log says what is new about it.
    pub(super) fn tell_answer(&self, answer: Result<QoS, Reason>) {
        let filter = self.filter.as_str();
        let (before, now) = (self.answer.and_then(Result::err), answer.err());
        match now {
            Some(reason) if before != now => {
                let pause = MQTT_RESUBSCRIBE_PAUSE;
                tracing::warn!(
                    target: "mqtt", filter,
                    "the broker refused a subscription: {reason}; it is asked again every {pause:?}"
                );
            }
            None if before.is_some() => {
                tracing::info!(target: "mqtt", filter, "the broker granted the subscription now");
            }
            _ => {}
        }
    }
}
