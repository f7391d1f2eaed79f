//! Messages that end the connection they are sent on, and links that only look so.

use super::*;
use crate::limits::{MQTT_SUDDEN_ENDS_MAX, MQTT_TRIALS_LATER_MAX, MQTT_TRIALS_MAX};

const MS: Duration = Duration::from_millis(1);

/// A broker that closes the connection for some messages, and counts what it is sent.
struct Broker {
    it: Session,
    now: Mono,
    is_bad: fn(&[u8]) -> bool,
    /// How long it takes for anything.
    delay: Duration,
    arrived: Vec<String>,
    connections: u32,
    told: Vec<String>,
}

impl Broker {
    fn new(is_bad: fn(&[u8]) -> bool) -> Broker {
        Broker {
            it: session(Config {
                spill_delay: Duration::from_secs(100_000),
                ..config()
            }),
            now: at(1),
            is_bad,
            delay: MS,
            arrived: Vec::new(),
            connections: 0,
            told: Vec::new(),
        }
    }

    fn publish(&mut self, payload: &str, qos: QoS, tag: u64) {
        let publication = Publication {
            tag: Some(tag),
            ..Publication::new("t", payload.as_bytes(), qos)
        };
        self.it.publish(&publication, self.now).unwrap();
    }

    /// One connection, for at most this time, or until the broker has had enough.
    fn connect_for(&mut self, life: Duration) {
        self.connections += 1;
        let end = self.now + life;
        connect(&mut self.it, self.connections > 1, &[], self.now);
        while self.now < end {
            if self.serve() {
                break;
            }
            match self.it.poll_timeout() {
                _ if !self.it.pending().is_empty() => {}
                Some((due, _)) if due <= end => {
                    self.now = self.now.max(due);
                    self.it.handle_timeout(self.now);
                }
                _ => self.now = end,
            }
        }
        self.now = self.now.min(end.max(self.now));
        self.it.handle_disconnected(self.now);
        self.told.extend(told(&mut self.it));
        self.now = self.now + Duration::from_secs(1);
    }

    /// Whether the connection is closed.
    fn serve(&mut self) -> bool {
        let mut inbox = Inbox::new(usize::MAX);
        inbox.extend(self.it.pending());
        let bytes = self.it.pending().len();
        self.it.handle_written(bytes, self.now);
        self.now = self.now + self.delay;
        let mut answers = Vec::new();
        let mut closed = false;
        while let Some(frame) = inbox.take().unwrap() {
            match Packet::decode(Version::V5, frame).unwrap() {
                Packet::Publish(publish) if (self.is_bad)(publish.payload) => {
                    closed = true;
                    break;
                }
                Packet::Publish(publish) => {
                    let text = std::str::from_utf8(publish.payload).unwrap().to_owned();
                    self.arrived.push(text);
                    let ack = publish.id.map(|id| match publish.qos {
                        QoS::ExactlyOnce => Packet::Pubrec(Ack::new(id)),
                        _ => Packet::Puback(Ack::new(id)),
                    });
                    let mut answer = |ack: Packet<'_>| ack.encode(Version::V5, &mut answers);
                    ack.map(&mut answer).transpose().unwrap();
                }
                Packet::Pubrel(ack) => {
                    let answer = Packet::Pubcomp(Ack::new(ack.id));
                    answer.encode(Version::V5, &mut answers).unwrap();
                }
                Packet::Pingreq => Packet::Pingresp.encode(Version::V5, &mut answers).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        self.it.handle_bytes(&answers, self.now);
        self.told.extend(told(&mut self.it));
        closed
    }

    fn unsendable(&self) -> u64 {
        self.it.outbox().counts().unsendable
    }
}

const LONG: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = MQTT_SUDDEN_ENDS_MAX + MQTT_TRIALS_MAX;

fn is_poison(payload: &[u8]) -> bool {
    payload.starts_with(b"poison")
}

#[test]
fn a_message_that_ends_each_connection_is_given_up_and_all_others_arrive() {
    // With QoS 2 the second connection still ends exchanges that the first began.
    for (qos, attempts) in [(ONE, ATTEMPTS), (TWO, ATTEMPTS + 1)] {
        let mut broker = Broker::new(is_poison);
        for (tag, payload) in ["a", "b", "poison", "c", "d"].into_iter().enumerate() {
            broker.publish(payload, qos, tag as u64);
        }
        for connection in 0..=attempts {
            if connection == attempts - MQTT_TRIALS_MAX {
                broker.publish("zero", QoS::AtMostOnce, 9);
            }
            assert_eq!(broker.unsendable(), 0);
            broker.connect_for(LONG);
        }
        assert_eq!(broker.unsendable(), 1);
        assert!(broker.it.outbox().is_empty());
        let dropped = "Done(2, Dropped(EndsConnections))".to_owned();
        assert!(broker.told.contains(&dropped), "{:?}", broker.told);
        assert_eq!(broker.arrived, ["a", "b", "c", "d", "zero"]);
        // All is as before.
        for tag in 10..30 {
            broker.publish("e", qos, tag);
        }
        broker.connect_for(LONG);
        assert!(broker.it.outbox().is_empty());
    }
}

#[test]
fn a_broker_that_takes_no_message_costs_ever_fewer() {
    let mut broker = Broker::new(|_| true);
    for tag in 0..10 {
        broker.publish("good", ONE, tag);
    }
    let mut given_up = Vec::new();
    for _ in 0..200 {
        broker.connect_for(LONG);
        if broker.unsendable() > given_up.len() as u64 {
            given_up.push(broker.connections);
        }
    }
    let first = ATTEMPTS + 1;
    let between: Vec<u32> = given_up.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(given_up[0], first);
    assert_eq!(
        between[..3],
        [
            2 * MQTT_TRIALS_MAX,
            4 * MQTT_TRIALS_MAX,
            MQTT_TRIALS_LATER_MAX
        ]
    );
    assert!(
        between[3..].iter().all(|it| *it == MQTT_TRIALS_LATER_MAX),
        "{between:?}"
    );
}

#[test]
fn a_connection_that_ends_without_the_message_clears_it() {
    let mut broker = Broker::new(is_poison);
    broker.publish("poison", ONE, 1);
    for round in 0..20 {
        for _ in 0..ATTEMPTS - 1 {
            broker.connect_for(LONG);
        }
        // This one ends while nothing is on its way: so the link does such things.
        broker.connect_for(Duration::from_secs(1));
        assert_eq!(broker.unsendable(), 0, "round {round}");
    }
}

#[test]
fn ends_with_a_reason_of_their_own_say_nothing_of_a_message() {
    for reason in [
        Reason::ServerBusy,
        Reason::ServerShuttingDown,
        Reason::SessionTakenOver,
    ] {
        let mut it = session(config());
        publish(&mut it, ONE, 1);
        for round in 0..20 {
            connect(&mut it, round > 0, &[], at(10 * round + 1));
            sent(&mut it);
            assert!(!it.suspicion.is_careful());
            let farewell = Packet::Disconnect(Disconnect::because(reason));
            receive(&mut it, &farewell, at(10 * round + 2));
            told(&mut it);
            it.handle_disconnected(at(10 * round + 2));
        }
    }
}

#[test]
fn what_a_broker_has_against_a_message_counts_as_an_end() {
    let mut it = session(config());
    publish(&mut it, ONE, 1);
    for round in 0..u64::from(MQTT_SUDDEN_ENDS_MAX) {
        assert!(!it.suspicion.is_careful());
        connect(&mut it, round > 0, &[], at(10 * round + 1));
        sent(&mut it);
        let farewell = Packet::Disconnect(Disconnect::because(Reason::PacketTooLarge));
        receive(&mut it, &farewell, at(10 * round + 2));
        told(&mut it);
        it.handle_disconnected(at(10 * round + 2));
    }
    assert!(it.suspicion.is_careful());
}

#[test]
fn links_of_every_quality_cost_no_message() {
    // Each connection ends after a random time, as bad links do; the answer takes a while.
    let mut random = 1_u64;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as f64 / f64::from(1_u32 << 31)
    };
    for (life_ms, delay_ms) in [
        (300, 200),
        (1000, 300),
        (3000, 100),
        (3000, 1000),
        (10_000, 500),
        (30_000, 2000),
    ] {
        let mut broker = Broker::new(|_| false);
        broker.delay = Duration::from_millis(delay_ms);
        for tag in 0..400 {
            broker.publish(&tag.to_string(), ONE, tag);
            let life = -(1.0 - next()).ln() * f64::from(life_ms);
            broker.connect_for(Duration::from_micros((life * 1000.0) as u64));
        }
        assert_eq!(broker.unsendable(), 0, "{life_ms} {delay_ms}");
        broker.connect_for(LONG);
        broker.connect_for(LONG);
        assert!(broker.it.outbox().is_empty(), "{life_ms} {delay_ms}");
    }
}
