//! Subscriptions, as streams of messages.

use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use periwinkle_core::mqtt::codec::{QoS, RetainHandling, SubscribeOptions};

use super::buffer::Bounds;
use super::error::MqttError;
use super::message::Message;
use super::readers::{Manner, ReaderId};
use super::shared::Shared;

/// A subscription that is being described; awaiting it asks the broker.
#[must_use = "nothing is asked before it is awaited, or begun"]
pub struct Subscribe {
    shared: Arc<Shared>,
    filter: String,
    options: SubscribeOptions,
    manner: Manner,
    master: bool,
}

impl fmt::Debug for Subscribe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

impl Subscribe {
    pub(super) fn new(shared: &Arc<Shared>, filter: &str, qos: QoS) -> Subscribe {
        Subscribe {
            filter: filter.to_owned(),
            options: SubscribeOptions::qos(qos),
            manner: Manner {
                bounds: Bounds {
                    manual: false,
                    messages_max: shared.buffer_messages,
                    bytes_max: shared.buffer_bytes,
                    receive_max: shared.receive_max,
                },
                qos,
                durable: false,
                retained: RetainHandling::Send,
                as_published: false,
            },
            master: false,
            shared: shared.clone(),
        }
    }

    /// The reader says of each message when it has been dealt with, by [`Message::ack`]; until
    /// then the broker keeps it. None of these is dropped: the broker sends no more than
    /// `receive_max` before it waits for an acknowledgement. Messages with QoS 0 cannot be
    /// acknowledged, and are dropped when the buffer is full.
    pub fn manual(mut self) -> Self {
        self.manner.bounds.manual = true;
        self
    }

    /// Messages with QoS 1 and 2 are on flash before the broker hears that they came, and stay
    /// there until the reader says that they have been dealt with, by [`Message::ack`]. What was
    /// not comes again after a restart, whatever ended the life before: a message with QoS 2 once,
    /// for its packet id is on flash with it.
    pub fn durable(mut self) -> Self {
        self.manner.bounds.manual = true;
        self.manner.durable = true;
        self
    }

    /// Messages that wait for the reader at most. Beyond that the client waits a moment for the
    /// reader; then the oldest is dropped and counted, unless it is to be acknowledged by the
    /// reader.
    pub fn buffer(mut self, messages: usize) -> Self {
        self.manner.bounds.messages_max = messages.max(1);
        self
    }

    /// The same in bytes: topics, payloads, properties, and a little for each message. What a
    /// reader is to acknowledge is never dropped; there nothing more is read from the broker while
    /// so much waits.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.manner.bounds.bytes_max = bytes.max(1);
        self
    }

    /// Later subscriptions that this filter covers are served by it: the broker is asked once, and
    /// finer filters are matched here.
    pub fn master(mut self) -> Self {
        self.master = true;
        self
    }

    /// Not what this client publishes itself. Version 5 only, and not for shared subscriptions.
    /// While another subscription to the same filter, or one below the same master, wants it, the
    /// broker sends it, and it cannot be told from what others publish.
    pub fn no_local(mut self) -> Self {
        self.options.no_local = true;
        self
    }

    /// The retain flag stays as it was published. Version 5 only. Others that share the filter see
    /// it as it was published, too.
    pub fn retain_as_published(mut self) -> Self {
        self.options.retain_as_published = true;
        self.manner.as_published = true;
        self
    }

    /// Which retained messages come first. Version 5 only.
    pub fn retained(mut self, handling: RetainHandling) -> Self {
        self.options.retain_handling = handling;
        self.manner.retained = handling;
        self
    }

    /// Asks and does not wait for the broker's answer, for which there may be no connection now;
    /// [`Subscription::acknowledged`] waits for it.
    ///
    /// # Errors
    /// It is no filter, or one that this broker does not take.
    pub fn begin(self) -> Result<Subscription, MqttError> {
        let Subscribe {
            shared,
            filter,
            options,
            manner,
            master,
        } = self;
        if manner.durable && !shared.keeps {
            return Err(MqttError::NoStorage);
        }
        let entered = shared.change(|state, now| {
            if state.stopped {
                return Err(MqttError::Stopped);
            }
            let session = &mut state.session;
            let asked = match master {
                true => session.subscribe_master(&filter, options, now),
                false => session.subscribe(&filter, options, now),
            };
            let subscription = asked.map_err(|source| MqttError::Subscribe {
                filter: filter.clone(),
                source,
            })?;
            state.used = true;
            let identifier = session.identifier(subscription);
            let readers = &mut state.readers;
            Ok(readers.enter(&filter, manner, subscription, identifier, now))
        });
        Ok(Subscription {
            id: entered?,
            shared,
            filter,
        })
    }

    async fn granted(self) -> Result<Subscription, MqttError> {
        let subscription = self.begin()?;
        subscription.acknowledged().await?;
        Ok(subscription)
    }
}

/// Completes when the broker has acknowledged the subscription. Dropping the future takes it back.
impl IntoFuture for Subscribe {
    type Output = Result<Subscription, MqttError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.granted())
    }
}

/// Messages of one subscription, as a stream that goes on over lost connections and ends with the
/// client.
///
/// Dropping it gives the subscription up, at the broker too, unless the client has been stopped
/// before.
#[derive(Debug)]
pub struct Subscription {
    shared: Arc<Shared>,
    id: ReaderId,
    filter: String,
}

impl Subscription {
    /// The filter that was asked for.
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Waits for the broker's answer: the quality of service that it granted.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// The broker refused, or the client was stopped.
    pub async fn acknowledged(&self) -> Result<QoS, MqttError> {
        let answer = poll_fn(|context| {
            let mut state = self.shared.lock();
            state.readers.poll_answer(self.id, context)
        });
        match answer.await {
            Some(Ok(qos)) => Ok(qos),
            Some(Err(reason)) => Err(MqttError::Denied {
                filter: self.filter.clone(),
                reason,
            }),
            None => Err(MqttError::Stopped),
        }
    }

    /// The quality of service that the broker granted; none if it has not answered, or refused.
    pub fn granted(&self) -> Option<QoS> {
        let state = self.shared.lock();
        state.readers.answer(self.id)?.ok()
    }

    /// Messages that were dropped because this reader did not keep up.
    pub fn missed(&self) -> u64 {
        self.shared.lock().readers.missed_by(self.id)
    }

    /// The next message; none when the client has been stopped.
    ///
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|context| self.poll(context)).await
    }

    /// Gives the subscription up. Messages that came before are dropped unread.
    pub fn unsubscribe(self) {}

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let (polled, goes_on) = {
            let mut state = self.shared.lock();
            state.readers.poll_next(self.id, context)
        };
        if goes_on {
            self.shared.change(|_, _| {});
        }
        polled
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.change(|state, now| {
            let left = state.readers.leave(self.id, now);
            if let Some(left) = left.filter(|_| !state.stopped) {
                state.session.unsubscribe(left.subscription, now);
                for receipt in left.unread {
                    state.acknowledge(receipt, now);
                }
            }
        });
    }
}
