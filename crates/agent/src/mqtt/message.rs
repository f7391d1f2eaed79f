//! A message that came, in memory of its own.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use periwinkle_core::mqtt::codec::{Properties, PropertiesBuf, Property, QoS};
use periwinkle_core::mqtt::session;

use super::shared::Shared;

/// A message that came. Clones share its bytes.
#[derive(Clone)]
pub struct Message {
    /// Topic, payload, properties: one piece of memory, and one allocation.
    bytes: Bytes,
    topic_bytes: usize,
    properties: Option<Arc<PropertiesBuf>>,
    qos: QoS,
    retain: bool,
    dup: bool,
    pub(super) receipt: Option<Receipt>,
}

/// The right to say that a message has been dealt with.
#[derive(Clone)]
pub(super) struct Receipt {
    pub(super) shared: Weak<Shared>,
    pub(super) holder: Holder,
}

/// Who has the message until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The broker; the number of the receipt.
    Broker(u64),
    /// Flash; the row.
    Flash(u64),
}

impl Message {
    pub(super) fn copy(message: &session::Message<'_>) -> Message {
        let mut bytes = Vec::with_capacity(message.topic.len() + message.payload.len());
        bytes.extend_from_slice(message.topic.as_bytes());
        bytes.extend_from_slice(message.payload);
        let properties = (!message.properties.is_empty()).then(|| {
            let checked = PropertiesBuf::of_publish(message.properties.as_bytes());
            Arc::new(checked.unwrap_or_default())
        });
        Message {
            bytes: bytes.into(),
            topic_bytes: message.topic.len(),
            properties,
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            receipt: None,
        }
    }

    /// A message that was kept on flash.
    pub(super) fn kept(
        topic: &str,
        payload: &[u8],
        properties: PropertiesBuf,
        qos: QoS,
        retain: bool,
    ) -> Message {
        Message {
            bytes: Bytes::from([topic.as_bytes(), payload].concat()),
            topic_bytes: topic.len(),
            properties: Some(Arc::new(properties)),
            qos,
            retain,
            dup: true,
            receipt: None,
        }
    }

    /// What it takes in memory, as the bounds of buffers count it.
    pub(super) fn memory_bytes(&self) -> usize {
        let properties = self.properties.as_ref();
        let properties = properties.map_or(0, |set| set.as_properties().as_bytes().len());
        size_of::<Message>() + self.bytes.len() + properties
    }

    /// The same for a reader that asked for no more than this quality of service.
    pub(super) fn lower(&mut self, qos: QoS) {
        self.qos = self.qos.min(qos);
    }

    /// Where it was published.
    pub fn topic(&self) -> &str {
        // It was a `&str` when it was copied.
        std::str::from_utf8(&self.bytes[..self.topic_bytes]).unwrap_or_default()
    }

    /// What it says.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.topic_bytes..]
    }

    /// What it says, to be kept without a copy.
    pub fn payload_bytes(&self) -> Bytes {
        self.bytes.slice(self.topic_bytes..)
    }

    /// What it says, if that is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.payload()).ok()
    }

    /// How hard it was sent to us.
    pub const fn qos(&self) -> QoS {
        self.qos
    }

    /// Whether the broker had kept it from before the subscription.
    pub const fn retain(&self) -> bool {
        self.retain
    }

    /// Whether it may have come before.
    pub const fn dup(&self) -> bool {
        self.dup
    }

    /// Its properties; none with 3.1.1.
    pub fn properties(&self) -> Properties<'_> {
        match &self.properties {
            Some(properties) => properties.as_properties(),
            None => Properties::EMPTY,
        }
    }

    /// The first user property of this name.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties().user(name)
    }

    /// All user properties, name and value.
    pub fn user(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.properties().iter();
        all.filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// What kind of content its sender says it is.
    pub fn content_type(&self) -> Option<&str> {
        self.properties().find(|property| match property {
            Property::ContentType(kind) => Some(kind),
            _ => None,
        })
    }

    /// Where an answer is expected.
    pub fn response_topic(&self) -> Option<&str> {
        self.properties().find(|property| match property {
            Property::ResponseTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// Says that it has been dealt with, so that the broker, or flash, need not keep it. Only a subscription
    /// made with [`manual`](super::Subscribe::manual) or [`durable`](super::Subscribe::durable)
    /// waits for this; otherwise, and the second time, it does nothing.
    ///
    /// A message that is never acknowledged comes again on a later connection.
    pub fn ack(&self) {
        if let Some(receipt) = &self.receipt
            && let Some(shared) = receipt.shared.upgrade()
        {
            shared.change(|state, now| match receipt.holder {
                Holder::Broker(number) => state.acknowledge(number, now),
                Holder::Flash(row) => state.rows_done.push(row),
            });
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads are the maker's business.
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("payload_bytes", &self.payload().len())
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("dup", &self.dup)
            .finish_non_exhaustive()
    }
}
