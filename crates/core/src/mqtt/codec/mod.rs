//! The packets of MQTT 3.1.1 and 5, both directions, as a client and as a server need them.
//!
//! Nothing is copied on the way in: a packet borrows from the bytes that it was read from. Nothing
//! is read past a bound: lengths are compared with their limits before room is made. Whatever is
//! wrong is a [`Malformed`] with the protocol's reason code and the place.
//!
//! ```
//! use periwinkle_core::mqtt::codec::{Inbox, Packet, Publish, QoS, Version};
//!
//! let mut bytes = Vec::new();
//! let hello = Publish { payload: b"hello", ..Publish::new("greetings", QoS::AtMostOnce) };
//! Packet::Publish(hello.clone()).encode(Version::V5, &mut bytes).unwrap();
//!
//! let mut inbox = Inbox::new(1024);
//! inbox.extend(&bytes);
//! let frame = inbox.take().unwrap().expect("a whole packet is there");
//! assert_eq!(Packet::decode(Version::V5, frame).unwrap(), Packet::Publish(hello));
//! ```

mod ack;
mod connack;
mod connect;
mod disconnect;
mod error;
mod inbox;
mod kind;
mod packet;
mod property;
mod publish;
mod reason;
mod subscribe;
#[cfg(test)]
pub(super) mod tests;
mod wire;

pub use ack::Ack;
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use disconnect::{Auth, Disconnect};
pub use error::{Malformed, TooLong};
pub(crate) use inbox::Begun;
pub use inbox::{Frame, Inbox};
pub use kind::{PacketId, PacketKind, QoS, Version};
pub use packet::Packet;
pub(crate) use property::{Place, checked as checked_properties};
pub use property::{Properties, PropertiesBuf, Property};
pub use publish::Publish;
pub(crate) use publish::{PublishFront, PublishHead, between_bytes, encode_publish, publish_bytes};
pub use reason::Reason;
pub use subscribe::{
    FilterRequest, RetainHandling, Suback, Subscribe, SubscribeOptions, Unsuback, Unsubscribe,
};
