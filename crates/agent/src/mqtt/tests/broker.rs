//! A broker that knows just enough, and misbehaves when told to.

use std::sync::{Arc, Mutex};

use periwinkle_core::mqtt::codec::{
    Ack, Connack, Frame, Inbox, Packet, PacketId, Properties, Publish, QoS, Reason, Suback,
    Unsuback, Version,
};
use periwinkle_core::mqtt::topic::Filter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// A message that came to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: QoS,
    pub(super) dup: bool,
}

/// A message for all subscribers: topic, payload, quality of service, properties.
type Going = (String, Vec<u8>, QoS, Vec<u8>);

/// What the broker does.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    /// It acknowledges messages.
    pub(super) acknowledges: bool,
    /// With this reason.
    pub(super) reason: Reason,
    /// It grants subscriptions.
    pub(super) grants: bool,
    /// It remembers sessions, or says so.
    pub(super) session_present: bool,
}

#[derive(Clone)]
pub(super) struct Broker {
    shared: Arc<Shared>,
    port: u16,
}

struct Shared {
    manners: Mutex<Manners>,
    came: watch::Sender<Vec<Came>>,
    acks: watch::Sender<usize>,
    /// Messages for all subscribers; `None` cuts all connections.
    out: broadcast::Sender<Option<Going>>,
}

impl Broker {
    pub(super) async fn start() -> Broker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            manners: Mutex::new(Manners {
                acknowledges: true,
                reason: Reason::Success,
                grants: true,
                session_present: false,
            }),
            came: watch::Sender::new(Vec::new()),
            acks: watch::Sender::new(0),
            out: broadcast::Sender::new(10_000),
        });
        let accepted = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Client::new(stream, accepted.clone()).serve());
            }
        });
        Broker { shared, port }
    }

    pub(super) fn address(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.shared.manners.lock().unwrap());
    }

    pub(super) fn publish(&self, topic: &str, payload: &[u8], qos: QoS) {
        self.shared
            .out
            .send(Some((topic.into(), payload.into(), qos, Vec::new())))
            .unwrap();
    }

    pub(super) fn cut(&self) {
        let _ = self.shared.out.send(None);
    }

    /// The payloads that came, once there are so many.
    pub(super) async fn came(&self, count: usize) -> Vec<Came> {
        let mut came = self.shared.came.subscribe();
        let all = came.wait_for(|came| came.len() >= count).await.unwrap();
        all.clone()
    }

    /// Waits until so many messages were acknowledged to the broker.
    pub(super) async fn acked(&self, count: usize) {
        let mut acks = self.shared.acks.subscribe();
        acks.wait_for(|acks| *acks >= count).await.unwrap();
    }

    pub(super) fn acks(&self) -> usize {
        *self.shared.acks.borrow()
    }
}

struct Client {
    stream: TcpStream,
    shared: Arc<Shared>,
    version: Version,
    filters: Vec<(String, QoS)>,
    out: Vec<u8>,
    last_id: PacketId,
}

impl Client {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Client {
        Client {
            stream,
            shared,
            version: Version::V5,
            filters: Vec::new(),
            out: Vec::new(),
            last_id: PacketId::FIRST,
        }
    }

    async fn serve(mut self) {
        let mut inbox = Inbox::new(1 << 20);
        let mut messages = self.shared.out.subscribe();
        let mut bytes = vec![0; 1 << 16];
        loop {
            tokio::select! {
                read = self.stream.read(&mut bytes) => match read {
                    Ok(count) if count > 0 => inbox.extend(&bytes[..count]),
                    _ => return,
                },
                message = messages.recv() => match message {
                    Ok(Some((topic, payload, qos, properties))) => {
                        self.forward(&topic, &payload, qos, &properties);
                    }
                    _ => return,
                },
            }
            while let Some(frame) = inbox.take().unwrap() {
                self.handle(frame);
            }
            let out = std::mem::take(&mut self.out);
            if self.stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }

    fn send(&mut self, packet: &Packet<'_>) {
        packet.encode(self.version, &mut self.out).unwrap();
    }

    fn handle(&mut self, frame: Frame<'_>) {
        let manners = self.shared.manners.lock().unwrap().clone();
        match Packet::decode(self.version, frame).unwrap() {
            Packet::Connect(connect) => {
                self.version = connect.version;
                self.send(&Packet::Connack(Connack {
                    session_present: manners.session_present,
                    reason: Reason::Success,
                    properties: Properties::EMPTY,
                }));
            }
            Packet::Subscribe(subscribe) => {
                let asked = subscribe.filters.iter();
                self.filters
                    .extend(asked.map(|it| (it.filter.to_owned(), it.options.qos)));
                let granted = match manners.grants {
                    true => Reason::GrantedQos2,
                    false => Reason::NotAuthorized,
                };
                self.send(&Packet::Suback(Suback {
                    id: subscribe.id,
                    properties: Properties::EMPTY,
                    reasons: vec![granted; subscribe.filters.len()],
                }));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let gone = &unsubscribe.filters;
                self.filters
                    .retain(|(filter, _)| !gone.contains(&filter.as_str()));
                self.send(&Packet::Unsuback(Unsuback {
                    id: unsubscribe.id,
                    properties: Properties::EMPTY,
                    reasons: vec![Reason::Success; gone.len()],
                }));
            }
            Packet::Publish(publish) => self.published(&publish, &manners),
            Packet::Pubrel(ack) => self.send(&Packet::Pubcomp(Ack::new(ack.id))),
            Packet::Pubrec(ack) => self.send(&Packet::Pubrel(Ack::new(ack.id))),
            Packet::Puback(_) | Packet::Pubcomp(_) => {
                self.shared.acks.send_modify(|acks| *acks += 1);
            }
            Packet::Pingreq => self.send(&Packet::Pingresp),
            _ => {}
        }
    }

    fn published(&mut self, publish: &Publish<'_>, manners: &Manners) {
        let came = Came {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            dup: publish.dup,
        };
        self.shared.came.send_modify(|all| all.push(came));
        let properties = publish.properties.as_bytes().to_vec();
        let message = (
            publish.topic.to_owned(),
            publish.payload.to_vec(),
            publish.qos,
        );
        let _ = self
            .shared
            .out
            .send(Some((message.0, message.1, message.2, properties)));
        let (Some(id), true) = (publish.id, manners.acknowledges) else {
            return;
        };
        match publish.qos {
            QoS::ExactlyOnce => self.send(&Packet::Pubrec(Ack::because(id, manners.reason))),
            _ => self.send(&Packet::Puback(Ack::because(id, manners.reason))),
        }
    }

    fn forward(&mut self, topic: &str, payload: &[u8], qos: QoS, properties: &[u8]) {
        let matches = |(filter, granted): &(String, QoS)| {
            Filter::parse(filter)
                .unwrap()
                .matches(topic)
                .then_some(*granted)
        };
        let Some(granted) = self.filters.iter().filter_map(matches).max() else {
            return;
        };
        let qos = qos.min(granted);
        self.last_id = self.last_id.next();
        let properties =
            periwinkle_core::mqtt::codec::PropertiesBuf::of_publish(properties).unwrap();
        let publish = Publish {
            payload,
            id: (qos != QoS::AtMostOnce).then_some(self.last_id),
            properties: match self.version {
                Version::V5 => properties.as_properties(),
                Version::V311 => Properties::EMPTY,
            },
            ..Publish::new(topic, qos)
        };
        publish_to(&mut self.out, self.version, publish);
    }
}

fn publish_to(out: &mut Vec<u8>, version: Version, publish: Publish<'_>) {
    Packet::Publish(publish).encode(version, out).unwrap();
}
