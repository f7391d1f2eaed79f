//! From what was read to packets, and what comes with them.

use super::output::{AckToken, CloseReason, Message, Persist};
use super::persist::Then;
use super::received::Step;
use super::{Link, Session};
use crate::mqtt::codec::{
    Ack, Frame, Inbox, Malformed, Packet, PacketId, Properties, Property, Publish, QoS, Reason,
    Version, checked_properties,
};
use crate::time::Mono;
use std::ops::Range;

/// Where a received message is kept by whom it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nowhere, or in memory.
    InMemory,
    /// On flash, together with its packet id. When the broker has released the id,
    /// [`Persist::Forget`] says so.
    OnFlash,
}

/// What a turn of reading brought.
#[derive(Debug)]
pub(super) enum Taken {
    Message(Place),
    Other,
    Nothing,
}

/// Where a message lies in the frame that was taken last.
#[derive(Clone, Debug)]
pub(super) struct Place {
    topic: Topic,
    properties: Range<usize>,
    payload: Range<usize>,
    qos: QoS,
    retain: bool,
    dup: bool,
    token: Option<AckToken>,
}

#[derive(Clone, Debug)]
enum Topic {
    /// The one that is noted as the last.
    Heard,
    Alias(usize),
}

/// A message to the topic of the last one, sent for the first time and without properties. That
/// topic has been checked, and there is nothing else to check.
#[derive(Clone, Debug)]
struct Alike {
    qos: QoS,
    retain: bool,
    id: Option<PacketId>,
    payload: Range<usize>,
}

impl Alike {
    fn find(frame: Frame<'_>, version: Version, topic: &str) -> Option<Alike> {
        let qos = match frame.first & !0x01 {
            0x30 => QoS::AtMostOnce,
            0x32 => QoS::AtLeastOnce,
            0x34 => QoS::ExactlyOnce,
            _ => return None,
        };
        let (length, rest) = frame.body.split_first_chunk()?;
        if topic.is_empty() || usize::from(u16::from_be_bytes(*length)) != topic.len() {
            return None;
        }
        let mut rest = rest.strip_prefix(topic.as_bytes())?;
        let mut id = None;
        if qos != QoS::AtMostOnce {
            let (number, behind) = rest.split_first_chunk()?;
            id = Some(PacketId::new(u16::from_be_bytes(*number))?);
            rest = behind;
        }
        if version == Version::V5 {
            rest = rest.strip_prefix(&[0])?;
        }
        Some(Alike {
            qos,
            retain: frame.first & 0x01 != 0,
            id,
            payload: frame.body.len() - rest.len()..frame.body.len(),
        })
    }
}

impl Session {
    /// Takes one packet from what was read.
    pub(super) fn take_packet(&mut self) -> Taken {
        let reads = match self.link {
            Link::Up => self.wants_read(),
            Link::Connecting(_) => true,
            _ => false,
        };
        if !reads {
            return Taken::Nothing;
        }
        let alike = match self.inbox.take() {
            Ok(None) => return Taken::Nothing,
            Ok(Some(frame)) if self.link == Link::Up => {
                Alike::find(frame, self.config.version, &self.heard_topic)
            }
            Ok(Some(_)) => None,
            Err(malformed) if malformed.reason == Reason::PacketTooLarge => {
                return self.meet_too_long(malformed);
            }
            Err(malformed) => return self.refuse_packet(malformed),
        };
        if let Some(alike) = alike {
            return self.published_alike(alike);
        }
        // While the packet borrows from the inbox, the rest of the session is not to be had.
        let inbox = std::mem::replace(&mut self.inbox, Inbox::new(0));
        let taken = self.handle_frame(inbox.last_frame());
        self.inbox = inbox;
        taken
    }

    /// By far the commonest packet when much is sent. Says whether there was one.
    pub(super) fn take_plain_pubacks(&mut self) -> bool {
        let mut any = false;
        while self.link == Link::Up
            && self.wants_read()
            && let Some(id) = self.inbox.take_plain_puback()
        {
            self.puback(id, Reason::Success);
            any = true;
        }
        any
    }

    fn handle_frame(&mut self, frame: Frame<'_>) -> Taken {
        match Packet::decode(self.config.version, frame) {
            Ok(packet) => self.handle_packet(packet, frame.body),
            Err(malformed) => self.refuse_packet(malformed),
        }
    }

    pub(super) fn refuse_packet(&mut self, malformed: Malformed) -> Taken {
        self.close(CloseReason::Malformed(malformed));
        Taken::Other
    }

    fn handle_packet(&mut self, packet: Packet<'_>, body: &[u8]) -> Taken {
        if let Link::Connecting(_) = self.link {
            match packet {
                Packet::Connack(connack) => self.connack(connack),
                Packet::Auth(auth) => self.auth(auth),
                _ => self.breach("it sent something else before CONNACK"),
            }
            return Taken::Other;
        }
        match packet {
            Packet::Publish(publish) => return self.published_to_us(&publish, body),
            Packet::Puback(ack) => self.puback(ack.id, ack.reason),
            Packet::Pubrec(ack) => self.pubrec(ack),
            Packet::Pubrel(ack) => self.pubrel(ack.id),
            Packet::Pubcomp(ack) => self.pubcomp(ack),
            Packet::Suback(suback) => self.suback(&suback),
            Packet::Unsuback(unsuback) => self.unsuback(&unsuback),
            Packet::Pingresp => {
                self.alive.note_pong();
                self.suspicion.note_pong(self.now);
            }
            Packet::Disconnect(disconnect) if self.config.version == Version::V5 => {
                self.disconnected_by_broker(disconnect);
            }
            Packet::Auth(auth) => self.auth(auth),
            Packet::Connack(_) => self.breach("it sent a second CONNACK"),
            _ => self.breach("it sent a packet that only clients send"),
        }
        Taken::Other
    }

    /// The broker did what it must not.
    fn breach(&mut self, what: &'static str) {
        self.close(CloseReason::Protocol {
            reason: Reason::ProtocolError,
            what,
        });
    }

    fn published_to_us(&mut self, publish: &Publish<'_>, body: &[u8]) -> Taken {
        let Some(topic) = self.resolve(publish) else {
            return Taken::Other;
        };
        let token = match publish.id {
            None => None,
            Some(id) => match self.admit(id, publish.qos, publish.dup) {
                Some(token) => Some(token),
                None => return Taken::Other,
            },
        };
        let payload = body.len() - publish.payload.len()..body.len();
        let properties_bytes = publish.properties.as_bytes().len();
        Taken::Message(Place {
            topic,
            properties: payload.start - properties_bytes..payload.start,
            payload,
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            token,
        })
    }

    /// A message to the topic of the last one.
    fn published_alike(&mut self, alike: Alike) -> Taken {
        let Alike {
            qos,
            retain,
            id,
            payload,
        } = alike;
        let token = match id {
            None => None,
            Some(id) => match self.admit(id, qos, false) {
                Some(token) => Some(token),
                None => return Taken::Other,
            },
        };
        Taken::Message(Place {
            topic: Topic::Heard,
            properties: payload.start..payload.start,
            payload,
            qos,
            retain,
            dup: false,
            token,
        })
    }

    /// The topic of a message, or that of its alias.
    fn resolve(&mut self, publish: &Publish<'_>) -> Option<Topic> {
        if !publish.topic.is_empty() {
            self.heard_topic.clear();
            self.heard_topic.push_str(publish.topic);
        }
        let alias = publish.properties.find(|property| match property {
            Property::TopicAlias(alias) => Some(usize::from(alias)),
            _ => None,
        });
        let Some(alias) = alias else {
            return Some(Topic::Heard);
        };
        let Some(place) = self.aliases_in.get_mut(alias - 1) else {
            self.close(CloseReason::Protocol {
                reason: Reason::TopicAliasInvalid,
                what: "it uses a topic alias above our maximum",
            });
            return None;
        };
        if !publish.topic.is_empty() {
            *place = Some(publish.topic.into());
            return Some(Topic::Heard);
        }
        if place.is_none() {
            self.breach("it uses a topic alias that it has not given to a topic");
            return None;
        }
        Some(Topic::Alias(alias - 1))
    }

    /// Whether a message with QoS 1 or 2 is to be told, and what acknowledges it.
    ///
    /// With QoS 2, an id that is in use names a message that was told. One that is not marked as
    /// sent again cannot be that message: then the broker has begun anew without our knowing.
    pub(super) fn admit(&mut self, id: PacketId, qos: QoS, dup: bool) -> Option<AckToken> {
        let step = match qos {
            QoS::ExactlyOnce if dup => self.received.step(id),
            _ => Step::None,
        };
        if step == Step::None || !self.config.rules.dedup {
            if qos == QoS::ExactlyOnce {
                self.received.set_step(id, Step::Told);
            }
            return Some(self.received.push(id, qos, false));
        }
        // It was told before. Its acknowledgement is sent again, or still to come.
        self.received.push(id, qos, step != Step::Told);
        self.send_acks();
        None
    }

    /// The message that [`take_packet`](Session::take_packet) found.
    pub(super) fn message(&self, place: Place) -> Message<'_> {
        let body = self.inbox.last_frame().body;
        let topic = match place.topic {
            Topic::Heard => &self.heard_topic,
            Topic::Alias(alias) => self.aliases_in[alias].as_deref().unwrap_or_default(),
        };
        Message {
            topic,
            payload: &body[place.payload],
            qos: place.qos,
            retain: place.retain,
            dup: place.dup,
            properties: match self.config.version {
                Version::V311 => Properties::EMPTY,
                Version::V5 => checked_properties(&body[place.properties]),
            },
            token: place.token,
        }
    }

    /// The message has been dealt with: the broker need not keep it. Acknowledgements leave in the
    /// order in which the messages came.
    pub fn acknowledge(&mut self, token: AckToken, kept: Kept, now: Mono) {
        self.now = now;
        let was_held = self.is_held();
        self.received.acknowledge(token, kept == Kept::OnFlash);
        if self.link == Link::Up {
            self.send_acks();
        }
        self.resume_after(was_held);
    }

    fn send_acks(&mut self) {
        while let Some((id, qos)) = self.received.pop_acknowledged() {
            match qos {
                QoS::ExactlyOnce => self.write(&Packet::Pubrec(Ack::new(id))),
                _ => self.write(&Packet::Puback(Ack::new(id))),
            }
        }
    }

    fn pubrel(&mut self, id: PacketId) {
        match self.received.step(id) {
            Step::OnFlash if self.received.forgetting.contains(&id) => {}
            Step::OnFlash if self.config.rules.durable_forget => {
                self.received.forgetting.push(id);
                self.persist(Persist::Forget(id), Some(Then::Complete(id)));
            }
            Step::OnFlash => {
                self.persist(Persist::Forget(id), None);
                self.complete_received(id, Reason::Success);
            }
            Step::Acknowledged => self.complete_received(id, Reason::Success),
            Step::None => {
                let reason = match self.config.version {
                    Version::V311 => Reason::Success,
                    Version::V5 => Reason::PacketIdentifierNotFound,
                };
                self.write(&Packet::Pubcomp(Ack::because(id, reason)));
            }
            Step::Told => self.breach("it released a message that we have not acknowledged"),
        }
    }

    /// The id of a received message is free again.
    pub(super) fn complete_received(&mut self, id: PacketId, reason: Reason) {
        self.received.forgetting.retain(|other| *other != id);
        self.received.set_step(id, Step::None);
        if self.link == Link::Up {
            self.write(&Packet::Pubcomp(Ack::because(id, reason)));
        }
    }
}
