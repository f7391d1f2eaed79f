//! Any valid packet, from a seed.

use super::*;
use periwinkle_testkit::rng::Rng;

const TEXTS: &[&str] = &["", "a", "sensor/温度", "käse", "a longer text with spaces"];
const TOPICS: &[&str] = &["a", "a/b", "/", "$SYS/x", "dev/1/temperature", "温度/1"];
const FILTERS: &[&str] = &["#", "+", "a/+/b", "a/#", "$share/g/a/+", "dev/1", "$SYS/#"];

/// Calls `with` with the packet of this seed.
pub(in crate::mqtt) fn packet(seed: u64, version: Version, with: impl FnOnce(&Packet<'_>)) {
    let mut rng = Rng::new(seed);
    let rng = &mut rng;
    let bytes: Vec<u8> = (0..rng.index(200)).map(|_| rng.next_u64() as u8).collect();
    let id = PacketId::new(rng.below(65_535) as u16 + 1).unwrap();
    let kind = PacketKind::from_number(rng.below(15) as u8 + 1).unwrap();
    let kind = match (kind, version) {
        (PacketKind::Auth, Version::V311) => PacketKind::Pingreq,
        _ => kind,
    };
    let set = properties(rng, version, kind);
    let will_set = properties(rng, version, PacketKind::Publish);
    let properties = set.as_properties();
    let will_set = without_alias(will_set);
    let ack = Ack {
        id,
        reason: reason(rng, version, kind),
        properties,
    };
    with(&match kind {
        PacketKind::Connect => {
            let user_name = pick(rng, &[None, Some("owner")]);
            let password = (user_name.is_some() && rng.one_in(2)).then_some(&bytes[..]);
            Packet::Connect(Connect {
                version,
                client_id: pick(rng, TEXTS),
                clean_start: true,
                keep_alive_s: rng.next_u64() as u16,
                will: rng.one_in(2).then(|| Will {
                    topic: pick(rng, TOPICS),
                    payload: &bytes,
                    qos: qos(rng),
                    retain: rng.one_in(2),
                    properties: will_set.as_properties(),
                }),
                user_name,
                password,
                properties,
            })
        }
        PacketKind::Connack => {
            let reason = match version {
                Version::V311 => Reason::from_return_code(rng.below(6) as u8).unwrap(),
                Version::V5 => reason(rng, version, kind),
            };
            Packet::Connack(Connack {
                session_present: reason == Reason::Success && rng.one_in(2),
                reason,
                properties,
            })
        }
        PacketKind::Publish => {
            let qos = qos(rng);
            Packet::Publish(Publish {
                dup: qos != QoS::AtMostOnce && rng.one_in(2),
                qos,
                retain: rng.one_in(2),
                topic: pick(rng, TOPICS),
                id: (qos != QoS::AtMostOnce).then_some(id),
                properties,
                payload: &bytes,
            })
        }
        PacketKind::Puback => Packet::Puback(ack),
        PacketKind::Pubrec => Packet::Pubrec(ack),
        PacketKind::Pubrel => Packet::Pubrel(ack),
        PacketKind::Pubcomp => Packet::Pubcomp(ack),
        PacketKind::Subscribe => Packet::Subscribe(Subscribe {
            id,
            properties,
            filters: (0..=rng.below(9)).map(|_| request(rng, version)).collect(),
        }),
        PacketKind::Suback => Packet::Suback(Suback {
            id,
            properties,
            reasons: reasons(rng, version, kind),
        }),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe {
            id,
            properties,
            filters: (0..=rng.below(9)).map(|_| pick(rng, FILTERS)).collect(),
        }),
        PacketKind::Unsuback => Packet::Unsuback(Unsuback {
            id,
            properties,
            reasons: match version {
                Version::V311 => Vec::new(),
                Version::V5 => reasons(rng, version, kind),
            },
        }),
        PacketKind::Pingreq => Packet::Pingreq,
        PacketKind::Pingresp => Packet::Pingresp,
        PacketKind::Disconnect => Packet::Disconnect(Disconnect {
            reason: reason(rng, version, kind),
            properties,
        }),
        PacketKind::Auth => Packet::Auth(Auth {
            reason: reason(rng, version, kind),
            properties,
        }),
    });
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.index(of.len())]
}

fn qos(rng: &mut Rng) -> QoS {
    QoS::from_level(rng.below(3) as u8).unwrap()
}

fn reason(rng: &mut Rng, version: Version, kind: PacketKind) -> Reason {
    if version == Version::V311 {
        return Reason::Success;
    }
    let fitting: Vec<Reason> = (Reason::ALL.iter().copied())
        .filter(|reason| reason.belongs_to(kind))
        .collect();
    match fitting.is_empty() {
        true => Reason::Success,
        false => pick(rng, &fitting),
    }
}

fn reasons(rng: &mut Rng, version: Version, kind: PacketKind) -> Vec<Reason> {
    let old = [
        Reason::Success,
        Reason::GrantedQos2,
        Reason::UnspecifiedError,
    ];
    (0..=rng.below(9))
        .map(|_| match version {
            Version::V311 => pick(rng, &old),
            Version::V5 => reason(rng, version, kind),
        })
        .collect()
}

fn request(rng: &mut Rng, version: Version) -> FilterRequest<'static> {
    let filter = pick(rng, FILTERS);
    let mut options = SubscribeOptions::qos(qos(rng));
    if version == Version::V5 {
        options.no_local = rng.one_in(2) && !filter.starts_with("$share");
        options.retain_as_published = rng.one_in(2);
        options.retain_handling = pick(
            rng,
            &[
                RetainHandling::Send,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ],
        );
    }
    FilterRequest { filter, options }
}

/// Some of the properties that this kind of packet may carry.
fn properties(rng: &mut Rng, version: Version, kind: PacketKind) -> PropertiesBuf {
    let mut set = PropertiesBuf::new();
    if kind == PacketKind::Auth {
        set.push(Property::AuthenticationMethod("tokens")).unwrap();
    }
    if version == Version::V311 || rng.one_in(3) {
        return set;
    }
    for property in possible(rng, kind) {
        if rng.one_in(3) {
            set.push(property).unwrap();
        }
    }
    set
}

fn possible(rng: &mut Rng, kind: PacketKind) -> Vec<Property<'static>> {
    let number = rng.next_u64() as u32;
    let short = (number as u16).max(1);
    let text = pick(rng, TEXTS);
    let user = Property::UserProperty(pick(rng, TEXTS), text);
    let mut all = vec![user, user];
    match kind {
        PacketKind::Publish => all.extend([
            Property::PayloadFormatIndicator(rng.one_in(2)),
            Property::MessageExpiryInterval(number),
            Property::ContentType(text),
            Property::ResponseTopic("a/b"),
            Property::CorrelationData(b"\x00\x01"),
            Property::TopicAlias(short),
            Property::SubscriptionIdentifier(number % 268_435_455 + 1),
            Property::SubscriptionIdentifier(1),
        ]),
        PacketKind::Connect => all.extend([
            Property::SessionExpiryInterval(number),
            Property::AuthenticationMethod(text),
            Property::RequestProblemInformation(true),
            Property::RequestResponseInformation(false),
            Property::ReceiveMaximum(short),
            Property::TopicAliasMaximum(short),
            Property::MaximumPacketSize(number.max(1)),
        ]),
        PacketKind::Connack => all.extend([
            Property::SessionExpiryInterval(number),
            Property::AssignedClientIdentifier(text),
            Property::ServerKeepAlive(short),
            Property::ResponseInformation(text),
            Property::ServerReference(text),
            Property::ReasonString(text),
            Property::MaximumQos(1),
            Property::RetainAvailable(false),
            Property::MaximumPacketSize(number.max(1)),
            Property::WildcardSubscriptionAvailable(true),
            Property::SubscriptionIdentifierAvailable(false),
            Property::SharedSubscriptionAvailable(true),
        ]),
        PacketKind::Subscribe => all.push(Property::SubscriptionIdentifier(7)),
        PacketKind::Disconnect => all.extend([
            Property::SessionExpiryInterval(number),
            Property::ServerReference(text),
        ]),
        PacketKind::Auth => all.push(Property::ReasonString(text)),
        _ => {}
    }
    all
}

/// What a will may carry of the properties of a message.
fn without_alias(set: PropertiesBuf) -> PropertiesBuf {
    let mut kept = PropertiesBuf::new();
    for property in set.as_properties().iter() {
        let of_publish = matches!(
            property,
            Property::TopicAlias(_) | Property::SubscriptionIdentifier(_)
        );
        if !of_publish {
            kept.push(property).unwrap();
        }
    }
    kept
}
