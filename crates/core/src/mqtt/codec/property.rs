//! Properties of MQTT 5 (section 2.2.2), kept as the bytes they travel in.
//!
//! [`Properties`] are checked once when a packet is read and looked up in place; they own nothing.
//! [`PropertiesBuf`] is the same bytes, owned, and grows by [`push`](PropertiesBuf::push).

use super::error::{Malformed, TooLong};
use super::kind::PacketKind;
use super::reason::Reason;
use super::wire::{Reader, put_binary, put_four_bytes, put_two_bytes, put_varint};
use crate::limits::{
    MQTT_PROPERTIES_BYTES_MAX, MQTT_REMAINING_BYTES_MAX, MQTT_USER_PROPERTIES_MAX,
};
use crate::mqtt::topic;

/// One property with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Property<'a> {
    PayloadFormatIndicator(bool),
    /// Seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionIdentifier(u32),
    /// Seconds; `u32::MAX` is for ever.
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// Seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    /// Seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    /// 0 or 1.
    MaximumQos(u8),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

/// Where a property may stand: one bit per kind of packet, and one for the will.
const fn places(kinds: &[PacketKind]) -> u32 {
    let mut bits = 0;
    let mut index = 0;
    while index < kinds.len() {
        bits |= 1 << kinds[index] as u32;
        index += 1;
    }
    bits
}

/// The will's properties are a set of their own inside CONNECT.
const WILL: u32 = 1 << 16;

/// Where properties of the caller's are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    Message,
    Will,
    Connect,
}

impl Place {
    const fn bits(self) -> u32 {
        match self {
            Place::Message => places(&[PacketKind::Publish]),
            Place::Will => WILL,
            Place::Connect => places(&[PacketKind::Connect]),
        }
    }
}

const fn allowed(id: u32) -> Option<u32> {
    use PacketKind::*;
    const MESSAGE: u32 = places(&[Publish]) | WILL;
    Some(match id {
        1 | 2 | 3 | 8 | 9 => MESSAGE,
        11 => places(&[Publish, Subscribe]),
        17 => places(&[Connect, Connack, Disconnect]),
        18 | 19 | 26 | 36 | 37 | 40 | 41 | 42 => places(&[Connack]),
        21 | 22 => places(&[Connect, Connack, Auth]),
        23 | 25 => places(&[Connect]),
        24 => WILL,
        28 => places(&[Connack, Disconnect]),
        31 => places(&[
            Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth,
        ]),
        33 | 34 | 39 => places(&[Connect, Connack]),
        35 => places(&[Publish]),
        38 => u32::MAX,
        _ => return None,
    })
}

impl<'a> Property<'a> {
    const fn id(&self) -> u8 {
        match self {
            Property::PayloadFormatIndicator(_) => 1,
            Property::MessageExpiryInterval(_) => 2,
            Property::ContentType(_) => 3,
            Property::ResponseTopic(_) => 8,
            Property::CorrelationData(_) => 9,
            Property::SubscriptionIdentifier(_) => 11,
            Property::SessionExpiryInterval(_) => 17,
            Property::AssignedClientIdentifier(_) => 18,
            Property::ServerKeepAlive(_) => 19,
            Property::AuthenticationMethod(_) => 21,
            Property::AuthenticationData(_) => 22,
            Property::RequestProblemInformation(_) => 23,
            Property::WillDelayInterval(_) => 24,
            Property::RequestResponseInformation(_) => 25,
            Property::ResponseInformation(_) => 26,
            Property::ServerReference(_) => 28,
            Property::ReasonString(_) => 31,
            Property::ReceiveMaximum(_) => 33,
            Property::TopicAliasMaximum(_) => 34,
            Property::TopicAlias(_) => 35,
            Property::MaximumQos(_) => 36,
            Property::RetainAvailable(_) => 37,
            Property::UserProperty(..) => 38,
            Property::MaximumPacketSize(_) => 39,
            Property::WildcardSubscriptionAvailable(_) => 40,
            Property::SubscriptionIdentifierAvailable(_) => 41,
            Property::SharedSubscriptionAvailable(_) => 42,
        }
    }

    /// The next property; its id is known to exist.
    fn read(reader: &mut Reader<'a>) -> Result<Property<'a>, Malformed> {
        let id = reader.varint()?;
        Ok(match id {
            1 => Property::PayloadFormatIndicator(flag(reader)?),
            2 => Property::MessageExpiryInterval(reader.four_bytes()?),
            3 => Property::ContentType(reader.string()?),
            8 => Property::ResponseTopic(reader.string()?),
            9 => Property::CorrelationData(reader.binary()?),
            11 => Property::SubscriptionIdentifier(reader.varint()?),
            17 => Property::SessionExpiryInterval(reader.four_bytes()?),
            18 => Property::AssignedClientIdentifier(reader.string()?),
            19 => Property::ServerKeepAlive(reader.two_bytes()?),
            21 => Property::AuthenticationMethod(reader.string()?),
            22 => Property::AuthenticationData(reader.binary()?),
            23 => Property::RequestProblemInformation(flag(reader)?),
            24 => Property::WillDelayInterval(reader.four_bytes()?),
            25 => Property::RequestResponseInformation(flag(reader)?),
            26 => Property::ResponseInformation(reader.string()?),
            28 => Property::ServerReference(reader.string()?),
            31 => Property::ReasonString(reader.string()?),
            33 => Property::ReceiveMaximum(reader.two_bytes()?),
            34 => Property::TopicAliasMaximum(reader.two_bytes()?),
            35 => Property::TopicAlias(reader.two_bytes()?),
            36 => Property::MaximumQos(reader.byte()?),
            37 => Property::RetainAvailable(flag(reader)?),
            38 => Property::UserProperty(reader.string()?, reader.string()?),
            39 => Property::MaximumPacketSize(reader.four_bytes()?),
            40 => Property::WildcardSubscriptionAvailable(flag(reader)?),
            41 => Property::SubscriptionIdentifierAvailable(flag(reader)?),
            42 => Property::SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(reader.malformed("there is no property with this id")),
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.push(self.id());
        match *self {
            Property::PayloadFormatIndicator(value)
            | Property::RequestProblemInformation(value)
            | Property::RequestResponseInformation(value)
            | Property::RetainAvailable(value)
            | Property::WildcardSubscriptionAvailable(value)
            | Property::SubscriptionIdentifierAvailable(value)
            | Property::SharedSubscriptionAvailable(value) => out.push(u8::from(value)),
            Property::MaximumQos(value) => out.push(value),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value)
            | Property::TopicAlias(value) => put_two_bytes(out, value),
            Property::MessageExpiryInterval(value)
            | Property::SessionExpiryInterval(value)
            | Property::WillDelayInterval(value)
            | Property::MaximumPacketSize(value) => put_four_bytes(out, value),
            Property::SubscriptionIdentifier(value) => {
                let bytes = value as usize;
                if bytes > MQTT_REMAINING_BYTES_MAX {
                    return Err(TooLong {
                        what: "a subscription identifier",
                        bytes,
                        bytes_max: MQTT_REMAINING_BYTES_MAX,
                    });
                }
                put_varint(out, bytes);
            }
            Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                put_binary(out, bytes, "a property")?;
            }
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => put_binary(out, text.as_bytes(), "a property")?,
            Property::UserProperty(name, value) => {
                put_binary(out, name.as_bytes(), "the name of a user property")?;
                put_binary(out, value.as_bytes(), "a user property")?;
            }
        }
        Ok(())
    }

    /// Why no broker should be sent this value.
    fn unsendable(&self) -> Option<&'static str> {
        let texts = match *self {
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => [text, ""],
            Property::UserProperty(name, value) => [name, value],
            _ => return None,
        };
        if texts.iter().any(|text| topic::unwelcome(text).is_some()) {
            return Some("a text holds a control character or a non-character");
        }
        match self {
            Property::ResponseTopic(text) if topic::check_name(text).is_err() => {
                Some("the response topic is no topic that can be published to")
            }
            _ => None,
        }
    }

    /// What the standard says about values, beyond their type.
    const fn fault(&self) -> Option<(Reason, &'static str)> {
        Some(match self {
            Property::ReceiveMaximum(0) => (Reason::ProtocolError, "the receive maximum is zero"),
            Property::MaximumPacketSize(0) => {
                (Reason::ProtocolError, "the maximum packet size is zero")
            }
            Property::MaximumQos(2..) => (Reason::ProtocolError, "the maximum QoS is not 0 or 1"),
            Property::TopicAlias(0) => (Reason::TopicAliasInvalid, "the topic alias is zero"),
            Property::SubscriptionIdentifier(0) => {
                (Reason::ProtocolError, "the subscription identifier is zero")
            }
            _ => return None,
        })
    }
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.error(
            Reason::ProtocolError,
            "a property that is 0 or 1 is neither",
        )),
    }
}

/// The properties of one packet, checked, in the bytes of that packet.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// No property.
    pub const EMPTY: Properties<'static> = Properties(&[]);

    /// Reads and checks the properties of a packet.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Properties<'a>, Malformed> {
        let place = 1 << reader.kind() as u32;
        Properties::read_for(reader, place)
    }

    pub(crate) fn read_of_will(reader: &mut Reader<'a>) -> Result<Properties<'a>, Malformed> {
        Properties::read_for(reader, WILL)
    }

    fn read_for(reader: &mut Reader<'a>, place: u32) -> Result<Properties<'a>, Malformed> {
        let length = reader.varint()? as usize;
        if length == 0 {
            return Ok(Properties::EMPTY);
        }
        if length > MQTT_PROPERTIES_BYTES_MAX {
            return Err(reader.error(Reason::PacketTooLarge, "the properties are too long"));
        }
        let mut inside = reader.clone();
        let bytes = reader.take(length, "the packet ends within the properties")?;
        inside = inside.narrowed(length);
        check(&mut inside, place)?;
        Ok(Properties(bytes))
    }

    /// The bytes, without the length before them.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One after the other, in the order in which they travel.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        let mut reader = Reader::new(self.0, 0, PacketKind::Publish);
        std::iter::from_fn(move || {
            // They were checked when they were read, or written by us.
            (!reader.is_empty()).then(|| Property::read(&mut reader).ok())?
        })
    }

    /// The first one that `pick` finds something in.
    pub fn find<T>(self, pick: impl FnMut(Property<'a>) -> Option<T>) -> Option<T> {
        match self.is_empty() {
            true => None,
            false => self.iter().find_map(pick),
        }
    }

    /// The first user property of this name.
    pub fn user(self, name: &str) -> Option<&'a str> {
        self.find(|property| match property {
            Property::UserProperty(key, value) if key == name => Some(value),
            _ => None,
        })
    }

    /// What the other side says about its reason.
    pub fn reason_string(self) -> Option<&'a str> {
        self.find(|property| match property {
            Property::ReasonString(text) => Some(text),
            _ => None,
        })
    }

    /// Why these cannot be sent at this place, if they cannot: what a broker would close the
    /// connection for is better found before it is taken.
    pub(crate) fn unsendable(self, place: Place) -> Option<&'static str> {
        if self.is_empty() {
            return None;
        }
        let mut reader = Reader::new(self.0, 0, PacketKind::Publish);
        if let Err(malformed) = check(&mut reader, place.bits()) {
            return Some(malformed.what);
        }
        self.find(|property| property.unsendable())
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        put_varint(out, self.0.len());
        out.extend_from_slice(self.0);
    }
}

impl std::fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Every property is known, stands where it may, as often as it may, with a value it may have.
fn check(reader: &mut Reader<'_>, place: u32) -> Result<(), Malformed> {
    const MANY_TIMES: u64 = 1 << 38;
    let mut seen = 0_u64;
    let mut users = 0;
    while !reader.is_empty() {
        let before = reader.clone();
        let id = reader.clone().varint()?;
        let Some(allowed) = allowed(id) else {
            return Err(before.malformed("there is no property with this id"));
        };
        if allowed & place == 0 {
            return Err(before.malformed("the property does not belong to this packet"));
        }
        let bit = 1_u64 << id;
        let in_publish = place & (1 << PacketKind::Publish as u32) != 0;
        let repeats = MANY_TIMES | if in_publish { 1 << 11 } else { 0 };
        if seen & bit & !repeats != 0 {
            return Err(before.error(Reason::ProtocolError, "the property is there twice"));
        }
        seen |= bit;
        users += usize::from(id == 38);
        if users > MQTT_USER_PROPERTIES_MAX {
            return Err(before.error(Reason::QuotaExceeded, "there are too many user properties"));
        }
        if let Some((reason, what)) = Property::read(reader)?.fault() {
            return Err(before.error(reason, what));
        }
    }
    let data_without_method = seen & (1 << 22) != 0 && seen & (1 << 21) == 0;
    if data_without_method {
        return Err(reader.error(
            Reason::ProtocolError,
            "there is data for no authentication method",
        ));
    }
    Ok(())
}

/// Properties that are being put together.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PropertiesBuf(Vec<u8>);

impl PropertiesBuf {
    /// None yet.
    pub const fn new() -> PropertiesBuf {
        PropertiesBuf(Vec::new())
    }

    /// Adds one. Refused are values that are too long to be written; they leave nothing behind.
    pub fn push(&mut self, property: Property<'_>) -> Result<(), TooLong> {
        let before = self.0.len();
        let mut written = property.write(&mut self.0);
        if written.is_ok() && self.0.len() > MQTT_PROPERTIES_BYTES_MAX {
            written = Err(TooLong {
                what: "the set of properties",
                bytes: self.0.len(),
                bytes_max: MQTT_PROPERTIES_BYTES_MAX,
            });
        }
        if written.is_err() {
            self.0.truncate(before);
        }
        written
    }

    /// As they stand.
    pub fn as_properties(&self) -> Properties<'_> {
        Properties(&self.0)
    }

    /// These bytes as properties of a PUBLISH, checked.
    pub fn of_publish(bytes: &[u8]) -> Result<PropertiesBuf, Malformed> {
        let mut reader = Reader::new(bytes, 0, PacketKind::Publish);
        check(&mut reader, places(&[PacketKind::Publish]))?;
        Ok(PropertiesBuf(bytes.to_vec()))
    }
}

impl std::fmt::Debug for PropertiesBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_properties().fmt(f)
    }
}

/// Properties that were checked when they were taken in.
pub(crate) const fn checked(bytes: &[u8]) -> Properties<'_> {
    Properties(bytes)
}
