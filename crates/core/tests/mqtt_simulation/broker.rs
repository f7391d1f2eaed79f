//! A compact broker: one session, QoS 2 delivered at PUBREL, everything checked that a broker may
//! demand. It answers when it is told to, so that a window can fill up.

use crate::ledger::{Broken, Down, Ledger};
use periwinkle_core::mqtt::codec::{
    Ack, Connack, Inbox, Packet, PacketId, Properties, PropertiesBuf, Property, Publish, QoS,
    Reason, Suback, Version,
};
use std::collections::{BTreeMap, VecDeque};

/// What the broker allows at once, on one connection after the other.
const RECEIVE_MAX: [u16; 5] = [5, 2, 4, 1, 3];
/// Ids that the broker gives, few enough to come again soon.
const IDS: u16 = 12;
/// What the device allows at once.
pub(crate) const DEVICE_RECEIVE_MAX: u16 = 4;

#[derive(Debug, Default)]
pub(crate) struct Broker {
    version: Version,
    session: Option<Session>,
    link: Option<Link>,
    connections: usize,
    /// Messages that it had received but not delivered when it forgot everything.
    forgotten: Vec<u64>,
    /// It forgot everything, and not all of the device knows.
    has_forgotten: bool,
    /// It closes the connection for some messages.
    pub(crate) is_touchy: bool,
}

/// Whether a touchy broker closes the connection for this message.
pub(crate) const fn is_poison(number: u64) -> bool {
    number % 30 == 7
}

#[derive(Debug)]
struct Link {
    inbox: Inbox,
    out: Vec<u8>,
    accepted: bool,
    /// The session began with this connection, and nothing shows that the device knows.
    unknown_start: bool,
    receive_max: u16,
    /// Answers that are still to be given.
    owed: VecDeque<Vec<u8>>,
    /// PUBLISH packets with QoS 1 and 2 whose exchange the broker has not ended.
    open: Vec<PacketId>,
}

#[derive(Debug, Default)]
struct Session {
    subscribed: bool,
    /// Messages with QoS 2 that wait for PUBREL.
    received: BTreeMap<PacketId, u64>,
    queue: VecDeque<Down>,
    flight: Vec<(PacketId, Down, Step)>,
    last_id: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    New,
    Sent,
    Released,
}

impl Broker {
    pub(crate) fn new(version: Version) -> Broker {
        Broker {
            version,
            ..Broker::default()
        }
    }

    pub(crate) fn connect(&mut self) {
        self.connections += 1;
        self.link = Some(Link {
            unknown_start: false,
            receive_max: RECEIVE_MAX[self.connections % RECEIVE_MAX.len()],
            inbox: Inbox::new(1 << 20),
            out: Vec::new(),
            accepted: false,
            owed: VecDeque::new(),
            open: Vec::new(),
        });
    }

    pub(crate) fn disconnect(&mut self, ledger: &mut Ledger) {
        // When the answer to CONNECT is lost that says that the session is new, the device cannot
        // know that it is: the protocol has no second word for it. What was released is taken for
        // done, and received ids for known.
        if self.link.take().is_some_and(|link| link.unknown_start) {
            self.excuse_forgotten(ledger);
            ledger.unsure_down = true;
        }
    }

    pub(crate) fn excuse_forgotten(&mut self, ledger: &mut Ledger) {
        ledger.unsure_down |= self.has_forgotten;
        for number in self.forgotten.drain(..) {
            ledger.excuse_up(number);
        }
    }

    /// The device and its flash know that the session is new.
    pub(crate) fn note_known(&mut self) {
        if self.link.as_ref().is_some_and(|link| !link.unknown_start) {
            self.forgotten.clear();
            self.has_forgotten = false;
        }
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.subscribed)
    }

    /// Forgets everything; messages that waited here are lost, and that is the broker's fault.
    pub(crate) fn forget(&mut self, ledger: &mut Ledger) {
        if let Some(session) = self.session.take() {
            self.forgotten.extend(session.received.values());
            self.has_forgotten = true;
            let flight = session.flight.iter().map(|(_, down, _)| *down);
            for down in session.queue.iter().copied().chain(flight) {
                ledger.excuse_down(down.number);
            }
        }
        ledger.excuse_twice();
    }

    /// Whether it has not closed the connection.
    pub(crate) const fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Bytes for the device.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.link.as_mut().expect("there is a connection").out
    }

    pub(crate) fn is_idle(&self) -> bool {
        let session = self.session.as_ref();
        session.is_none_or(|session| session.queue.is_empty() && session.flight.is_empty())
    }

    /// Somebody publishes a message for the device.
    pub(crate) fn publish(&mut self, down: Down, ledger: &mut Ledger) {
        match &mut self.session {
            Some(session) if session.subscribed => session.queue.push_back(down),
            _ => ledger.excuse_down(down.number),
        }
    }

    /// Gives up to so many of the answers it owes, and sends what the window allows.
    pub(crate) fn answer(&mut self, count: usize) {
        let Some(link) = self.link.as_mut().filter(|link| link.accepted) else {
            return;
        };
        for _ in 0..count {
            let Some(answer) = link.owed.pop_front() else {
                break;
            };
            let ends = matches!(answer[0] >> 4, 4 | 7);
            if ends {
                let id = PacketId::new(u16::from_be_bytes([answer[2], answer[3]]));
                if let Some(place) = link.open.iter().position(|open| Some(*open) == id) {
                    link.open.remove(place);
                }
            }
            link.out.extend_from_slice(&answer);
        }
        self.send_messages();
    }

    fn send_messages(&mut self) {
        let (Some(session), Some(link)) = (&mut self.session, &mut self.link) else {
            return;
        };
        while session.flight.len() < usize::from(DEVICE_RECEIVE_MAX)
            && let Some(down) = session.queue.pop_front()
        {
            let id = loop {
                session.last_id = session.last_id % IDS + 1;
                let id = PacketId::new(session.last_id).unwrap();
                if session.flight.iter().all(|(used, ..)| *used != id) {
                    break id;
                }
            };
            session.flight.push((id, down, Step::New));
        }
        for (id, down, step) in &mut session.flight {
            if *step == Step::New {
                *step = Step::Sent;
                write_message(self.version, &mut link.out, *id, *down, false);
            }
        }
    }

    /// Bytes of the device.
    pub(crate) fn receive(&mut self, bytes: &[u8], ledger: &mut Ledger) -> Result<(), Broken> {
        let Some(mut link) = self.link.take() else {
            return Ok(());
        };
        link.inbox.extend(bytes);
        let mut inbox = std::mem::replace(&mut link.inbox, Inbox::new(0));
        self.link = Some(link);
        while let Some(frame) = inbox.take().map_err(wrong)? {
            let packet = Packet::decode(self.version, frame).map_err(wrong)?;
            self.handle(packet, ledger)?;
            if self.link.is_none() {
                return Ok(());
            }
        }
        if let Some(link) = &mut self.link {
            link.inbox = inbox;
        }
        Ok(())
    }

    fn handle(&mut self, packet: Packet<'_>, ledger: &mut Ledger) -> Result<(), Broken> {
        if !matches!(packet, Packet::Connect(_))
            && let Some(link) = &mut self.link
        {
            link.unknown_start = false;
        }
        match packet {
            Packet::Connect(_) => self.accept(),
            Packet::Publish(publish) => return self.take(&publish, ledger),
            Packet::Pubrel(ack) => {
                let session = self.session.as_mut().expect("made at CONNECT");
                let held = session.received.remove(&ack.id);
                if let Some(number) = held {
                    ledger.note_up(number)?;
                }
                let reason = match (held, self.version) {
                    (None, Version::V5) => Reason::PacketIdentifierNotFound,
                    _ => Reason::Success,
                };
                self.owe(&Packet::Pubcomp(Ack::because(ack.id, reason)));
            }
            Packet::Subscribe(subscribe) => {
                self.session.as_mut().expect("made at CONNECT").subscribed = true;
                let reasons = subscribe.filters.iter().map(|_| Reason::GrantedQos2);
                self.owe(&Packet::Suback(Suback {
                    id: subscribe.id,
                    properties: Properties::EMPTY,
                    reasons: reasons.collect(),
                }));
            }
            Packet::Puback(ack) | Packet::Pubcomp(ack) => {
                let session = self.session.as_mut().expect("made at CONNECT");
                session.flight.retain(|(id, ..)| *id != ack.id);
            }
            Packet::Pubrec(ack) => self.release(ack.id),
            Packet::Pingreq => self.write(&Packet::Pingresp),
            Packet::Disconnect(_) => self.link = None,
            other => return Err(Broken(format!("the device sent {other:?}"))),
        }
        Ok(())
    }

    fn accept(&mut self) {
        let session_present = self.session.is_some();
        let session = self.session.get_or_insert_default();
        let link = self.link.as_mut().expect("there is a connection");
        link.accepted = true;
        link.unknown_start = !session_present;
        let mut set = PropertiesBuf::new();
        if self.version == Version::V5 {
            set.push(Property::ReceiveMaximum(link.receive_max))
                .unwrap();
        }
        let connack = Packet::Connack(Connack {
            session_present,
            reason: Reason::Success,
            properties: set.as_properties(),
        });
        connack.encode(self.version, &mut link.out).unwrap();
        for (id, down, step) in &session.flight {
            match step {
                Step::New => {}
                Step::Sent => write_message(self.version, &mut link.out, *id, *down, true),
                Step::Released => Packet::Pubrel(Ack::new(*id))
                    .encode(self.version, &mut link.out)
                    .unwrap(),
            }
        }
    }

    fn take(&mut self, publish: &Publish<'_>, ledger: &mut Ledger) -> Result<(), Broken> {
        let number = number_of(publish.payload);
        let Some(id) = publish.id else {
            return ledger.note_up(number);
        };
        if self.is_touchy && is_poison(number) {
            self.link = None;
            return Ok(());
        }
        let link = self.link.as_mut().expect("there is a connection");
        link.open.push(id);
        if self.version == Version::V5 && link.open.len() > usize::from(link.receive_max) {
            return Err(Broken("more at once than the receive maximum".into()));
        }
        if publish.qos == QoS::AtLeastOnce {
            ledger.note_up(number)?;
            self.owe(&Packet::Puback(Ack::new(id)));
            return Ok(());
        }
        // An id that it holds already is the same message for it, whatever is in it.
        let session = self.session.as_mut().expect("made at CONNECT");
        session.received.entry(id).or_insert(number);
        self.owe(&Packet::Pubrec(Ack::new(id)));
        Ok(())
    }

    fn release(&mut self, released: PacketId) {
        let session = self.session.as_mut().expect("made at CONNECT");
        for (id, _, step) in &mut session.flight {
            if *id == released {
                *step = Step::Released;
            }
        }
        self.write(&Packet::Pubrel(Ack::new(released)));
    }

    fn owe(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        let link = self.link.as_mut().expect("there is a connection");
        link.owed.push_back(bytes);
    }

    fn write(&mut self, packet: &Packet<'_>) {
        let link = self.link.as_mut().expect("there is a connection");
        packet.encode(self.version, &mut link.out).unwrap();
    }
}

fn write_message(version: Version, out: &mut Vec<u8>, id: PacketId, down: Down, dup: bool) {
    let payload = down.number.to_string();
    let publish = Publish {
        dup,
        id: Some(id),
        payload: payload.as_bytes(),
        ..Publish::new("down/x", down.qos)
    };
    Packet::Publish(publish).encode(version, out).unwrap();
}

pub(crate) fn number_of(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

fn wrong(error: impl std::fmt::Display) -> Broken {
    Broken(format!("the device sent what is no packet: {error}"))
}
