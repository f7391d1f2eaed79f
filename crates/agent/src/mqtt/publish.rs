//! A message on its way out: described, queued, waited for.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use periwinkle_core::mqtt::codec::{
    Properties, PropertiesBuf, Property, QoS, Reason, TooLong, Version,
};
use periwinkle_core::mqtt::outbox::{Class, Mode, Publication};

use super::error::MqttError;
use super::shared::Shared;
use super::waiters::Until;

/// A message that is being described. Nothing happens before one of [`detach`](Self::detach),
/// [`track`](Self::track), [`accepted`](Self::accepted), [`sent`](Self::sent) and
/// [`acked`](Self::acked), which queue it.
#[must_use = "nothing is sent before detach, track, accepted, sent or acked"]
pub struct Publish<'a, P> {
    shared: &'a Arc<Shared>,
    topic: &'a str,
    payload: P,
    qos: QoS,
    retain: bool,
    expiry: Option<Duration>,
    class: Class,
    mode: Mode,
    properties: Result<PropertiesBuf, TooLong>,
}

impl<P> fmt::Debug for Publish<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .finish_non_exhaustive()
    }
}

impl<'a, P: AsRef<[u8]>> Publish<'a, P> {
    pub(super) fn new(shared: &'a Arc<Shared>, topic: &'a str, payload: P) -> Publish<'a, P> {
        Publish {
            shared,
            topic,
            payload,
            qos: QoS::AtMostOnce,
            retain: false,
            expiry: None,
            class: Class::Normal,
            mode: Mode::Spill,
            properties: Ok(PropertiesBuf::new()),
        }
    }

    /// How hard to try; [`QoS::AtMostOnce`] unless said.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// The broker keeps it for whoever subscribes later.
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// How long it is of use: when this time is over it is dropped from the queue, and with
    /// version 5 by the broker.
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// What goes first when the link is slow; [`Class::Normal`] unless said.
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// It is written to flash before it is accepted, and survives a power cut and a kill. A QoS of
    /// 0 becomes 1.
    pub fn durable(mut self) -> Self {
        self.mode = Mode::Durable;
        self
    }

    /// Adds a user property. With 3.1.1 there are none, and this is left out.
    pub fn property(self, name: &str, value: &str) -> Self {
        self.with(Property::UserProperty(name, value))
    }

    /// Says what kind of content it is, such as `application/json`.
    pub fn content_type(self, kind: &str) -> Self {
        self.with(Property::ContentType(kind))
    }

    /// Adds any property of a PUBLISH; one that is too long is told when the message is queued.
    pub fn with(mut self, property: Property<'_>) -> Self {
        self.properties = self.properties.and_then(|mut properties| {
            properties.push(property)?;
            Ok(properties)
        });
        self
    }

    /// Queues it and does not wait for anything. It survives loss of the link and an orderly
    /// restart, and from `mqtt.spill_delay` on a power cut, if its QoS is 1 or 2.
    ///
    /// # Errors
    /// It was not taken: the queue is full, or the topic or the size are not what the broker
    /// takes.
    pub fn detach(self) -> Result<(), MqttError> {
        self.queue(|_| None).map(drop)
    }

    /// Queues it, and gives what its progress can be waited for with.
    ///
    /// # Errors
    /// As [`detach`](Self::detach).
    pub fn track(self) -> Result<Delivery, MqttError> {
        let shared = self.shared.clone();
        let queued = self.queue(|state| Some(state.waiters.enter()))?;
        let (tag, durable) = (queued.0.expect("a tag was given"), queued.1);
        Ok(Delivery {
            shared,
            tag,
            durable,
        })
    }

    /// Queues it and waits until it is safe: a [`durable`](Self::durable) one from a power cut, any
    /// other from loss of the link.
    ///
    /// Dropping the future leaves the message in the queue.
    ///
    /// # Errors
    /// As [`detach`](Self::detach), or it could not be written to flash.
    pub async fn accepted(self) -> Result<(), MqttError> {
        self.track()?.accepted().await
    }

    /// Queues it and waits until the socket has taken it.
    ///
    /// Dropping the future leaves the message in the queue.
    ///
    /// # Errors
    /// As [`detach`](Self::detach), or it was dropped before it left.
    pub async fn sent(self) -> Result<(), MqttError> {
        self.track()?.sent().await
    }

    /// Queues it and waits for the broker's acknowledgement, PUBACK or PUBCOMP; with QoS 0 until
    /// the socket has taken it. The reason says whether anybody listens, where the broker tells.
    ///
    /// Dropping the future leaves the message in the queue.
    ///
    /// # Errors
    /// As [`detach`](Self::detach); the broker refused it, with its reason; or it was dropped.
    pub async fn acked(self) -> Result<Reason, MqttError> {
        self.track()?.acked().await
    }

    fn is_durable(&self) -> bool {
        let mut by_rule = false;
        if !self.shared.durable_topics.is_empty() {
            let topics = &self.shared.durable_topics;
            topics.matches(self.topic, |()| by_rule = true);
        }
        by_rule || self.mode == Mode::Durable
    }

    fn queue(
        self,
        tag: impl FnOnce(&mut super::shared::State) -> Option<u64>,
    ) -> Result<(Option<u64>, bool), MqttError> {
        let durable = self.is_durable();
        let mode = match durable {
            true if !self.shared.keeps => return Err(MqttError::NoStorage),
            true => Mode::Durable,
            false => Mode::Spill,
        };
        let properties = self.properties?;
        let qos = match mode {
            Mode::Durable => self.qos.max(QoS::AtLeastOnce),
            Mode::Spill => self.qos,
        };
        let mut publication = Publication {
            topic: self.topic,
            payload: self.payload.as_ref(),
            qos,
            retain: self.retain,
            properties: properties.as_properties(),
            expiry: self.expiry,
            class: self.class,
            mode,
            tag: None,
        };
        self.shared.change(|state, now| {
            publication.tag = tag(state);
            let published = state.publish(&publication, now);
            if let (Err(_), Some(tag)) = (&published, publication.tag) {
                state.waiters.leave(tag);
            }
            published.map(|()| (publication.tag, durable))
        })
    }
}

impl super::shared::State {
    /// Takes a message into the queue.
    pub(super) fn publish(
        &mut self,
        publication: &Publication<'_>,
        now: periwinkle_core::time::Mono,
    ) -> Result<(), MqttError> {
        if self.stopped {
            return Err(MqttError::Stopped);
        }
        // With 3.1.1 there is no place for properties.
        if !publication.properties.is_empty() && self.session.version() == Version::V311 {
            let properties = Properties::EMPTY;
            let plain = Publication {
                properties,
                ..*publication
            };
            self.session.publish(&plain, now)?;
        } else {
            self.session.publish(publication, now)?;
        }
        self.used = true;
        Ok(())
    }
}

/// A message in the queue, as one who waits for it sees it. Dropping it changes nothing but that
/// nobody waits.
#[must_use = "detach does the same without waiting"]
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    tag: u64,
    durable: bool,
}

impl Delivery {
    /// Waits until the message is safe, as [`Publish::accepted`] does.
    ///
    /// # Errors
    /// It could not be written to flash.
    pub async fn accepted(&self) -> Result<(), MqttError> {
        match self.durable {
            true => self.reach(Until::Accepted).await.map(drop),
            false => Ok(()),
        }
    }

    /// Waits until the socket has taken the message.
    ///
    /// # Errors
    /// It was dropped before it left.
    pub async fn sent(&self) -> Result<(), MqttError> {
        self.reach(Until::Sent).await.map(drop)
    }

    /// Waits for the broker's answer.
    ///
    /// # Errors
    /// The broker refused the message, or it was dropped.
    pub async fn acked(&self) -> Result<Reason, MqttError> {
        self.reach(Until::Acked).await
    }

    async fn reach(&self, until: Until) -> Result<Reason, MqttError> {
        poll_fn(|context| self.poll(until, context)).await
    }

    pub(super) fn poll(
        &self,
        until: Until,
        context: &mut Context<'_>,
    ) -> Poll<Result<Reason, MqttError>> {
        let mut state = self.shared.lock();
        match state.waiters.poll(self.tag, until, context) {
            Poll::Pending if state.stopped => Poll::Ready(Err(MqttError::Stopped)),
            polled => polled,
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.lock().waiters.leave(self.tag);
    }
}

/// The topic that hands a message straight to a rule of AWS IoT, without the broker's price for
/// it (Basic Ingest, "Reducing messaging costs with Basic Ingest"). Nobody can subscribe to it.
///
/// ```
/// assert_eq!(periwinkle::mqtt::basic_ingest("store", "pump/7/flow"), "$aws/rules/store/pump/7/flow");
/// ```
pub fn basic_ingest(rule: &str, topic: &str) -> String {
    format!("$aws/rules/{rule}/{topic}")
}
