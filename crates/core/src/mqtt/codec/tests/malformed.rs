//! What the standard forbids, each with the reason code it names and the place.

use super::*;

/// Bytes of a packet, the version, and what is wrong with it, where.
type Case<'a> = (Version, &'a [u8], Reason, usize, &'a str);

#[test]
fn each_breach_has_its_reason_and_its_place() {
    use Reason::*;
    use Version::*;
    let cases: &[Case<'_>] = &[
        (V311, &[0x00, 0], MalformedPacket, 0, "kind 0"),
        (V311, &[0x41, 2, 0, 1], MalformedPacket, 0, "flags"),
        (V311, &[0x60, 2, 0, 1], MalformedPacket, 0, "flags"),
        (
            V311,
            &[0x36, 5, 0, 1, b't', 0, 1],
            MalformedPacket,
            2,
            "QoS is 3",
        ),
        (
            V311,
            &[0x38, 3, 0, 1, b't'],
            MalformedPacket,
            2,
            "sent again",
        ),
        // Aborts another implementation.
        (
            V311,
            &[0x32, 5, 0, 1, b't', 0, 0],
            MalformedPacket,
            5,
            "id is zero",
        ),
        (
            V5,
            &[0x32, 6, 0, 1, b't', 0, 0, 0],
            MalformedPacket,
            5,
            "id is zero",
        ),
        (
            V311,
            &[0x32, 4, 0, 1, b't', 0],
            MalformedPacket,
            5,
            "two bytes",
        ),
        (
            V311,
            &[0x30, 3, 0, 2, b't'],
            MalformedPacket,
            4,
            "within text",
        ),
        (
            V311,
            &[0x30, 2, 0, 0],
            ProtocolError,
            2,
            "neither topic nor alias",
        ),
        (
            V5,
            &[0x30, 3, 0, 0, 0],
            ProtocolError,
            2,
            "neither topic nor alias",
        ),
        (
            V311,
            &[0x30, 3, 0, 1, b'+'],
            TopicNameInvalid,
            2,
            "wildcard",
        ),
        (V311, &[0x30, 3, 0, 1, 0], MalformedPacket, 2, "U+0000"),
        (V311, &[0x30, 3, 0, 1, 0xFF], MalformedPacket, 2, "UTF-8"),
        // A surrogate, written as if it were a character.
        (
            V311,
            &[0x30, 5, 0, 3, 0xED, 0xA0, 0x80],
            MalformedPacket,
            2,
            "UTF-8",
        ),
        (V311, &[0x40, 2, 0, 0], MalformedPacket, 2, "id is zero"),
        (
            V311,
            &[0x40, 3, 0, 1, 0],
            MalformedPacket,
            4,
            "follow the end",
        ),
        (
            V5,
            &[0x40, 3, 0, 1, 0x05],
            MalformedPacket,
            4,
            "no such reason",
        ),
        (
            V5,
            &[0x62, 3, 0, 1, 0x80],
            MalformedPacket,
            4,
            "no such reason",
        ),
        (V311, &[0x20, 2, 2, 0], MalformedPacket, 3, "reserved"),
        (V311, &[0x20, 2, 0, 6], MalformedPacket, 4, "no such reason"),
        (
            V311,
            &[0x20, 2, 1, 5],
            ProtocolError,
            4,
            "a session is present",
        ),
        (V311, &[0x82, 2, 0, 1], ProtocolError, 4, "not one filter"),
        (
            V311,
            &[0x82, 6, 0, 1, 0, 1, b'a', 3],
            MalformedPacket,
            7,
            "QoS is 3",
        ),
        (
            V311,
            &[0x82, 6, 0, 1, 0, 1, b'a', 4],
            MalformedPacket,
            7,
            "reserved",
        ),
        (
            V5,
            &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30],
            ProtocolError,
            8,
            "retain handling",
        ),
        (
            V311,
            &[0x82, 7, 0, 1, 0, 2, b'a', b'#', 0],
            TopicFilterInvalid,
            4,
            "`#`",
        ),
        (
            V311,
            &[0x90, 3, 0, 1, 3],
            MalformedPacket,
            4,
            "no such reason",
        ),
        (
            V311,
            &[0x90, 3, 0, 1, 0x87],
            MalformedPacket,
            4,
            "no such reason",
        ),
        (V311, &[0xC0, 1, 0], MalformedPacket, 2, "follow the end"),
        (V311, &[0xE0, 1, 0], MalformedPacket, 2, "follow the end"),
        (V311, &[0xF0, 0], ProtocolError, 2, "no such packet"),
        (V5, &[0xF0, 1, 1], MalformedPacket, 2, "no such reason"),
        (V5, &[0xF0, 1, 0x18], MalformedPacket, 3, "variable length"),
        // Properties.
        (
            V5,
            &[0x30, 5, 0, 1, b't', 1, 99],
            MalformedPacket,
            6,
            "no property",
        ),
        (
            V5,
            &[0x30, 6, 0, 1, b't', 2, 37, 1],
            MalformedPacket,
            6,
            "does not belong",
        ),
        (
            V5,
            &[0x30, 8, 0, 1, b't', 4, 1, 0, 1, 0],
            ProtocolError,
            8,
            "twice",
        ),
        (
            V5,
            &[0x30, 6, 0, 1, b't', 2, 1, 2],
            ProtocolError,
            8,
            "neither",
        ),
        (
            V5,
            &[0x30, 7, 0, 1, b't', 3, 35, 0, 0],
            TopicAliasInvalid,
            6,
            "zero",
        ),
        (
            V5,
            &[0x30, 6, 0, 1, b't', 2, 11, 0],
            ProtocolError,
            6,
            "zero",
        ),
        (
            V5,
            &[0x30, 8, 0, 1, b't', 4, 8, 0, 1, b'#'],
            ProtocolError,
            2,
            "response topic",
        ),
        (
            V5,
            &[0x30, 5, 0, 1, b't', 9, 1],
            MalformedPacket,
            6,
            "within the properties",
        ),
        (
            V5,
            &[0x30, 5, 0, 1, b't', 0x80, 0],
            MalformedPacket,
            5,
            "more bytes than it needs",
        ),
        (V5, &[0x20, 6, 0, 0, 3, 33, 0, 0], ProtocolError, 5, "zero"),
        (
            V5,
            &[0x20, 5, 0, 0, 2, 36, 2],
            ProtocolError,
            5,
            "maximum QoS",
        ),
        (
            V5,
            &[0xF0, 6, 0x18, 4, 22, 0, 1, 9],
            ProtocolError,
            8,
            "no authentication method",
        ),
        (
            V5,
            &[0xF0, 2, 0x18, 0],
            ProtocolError,
            4,
            "no authentication method",
        ),
    ];
    for (version, bytes, reason, at, words) in cases {
        let error = match frame(bytes) {
            Ok(frame) => Packet::decode(*version, frame.expect("a whole packet")).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(
            (error.reason, error.at),
            (*reason, *at),
            "{bytes:02x?} {error}"
        );
        assert!(error.what.contains(words), "{bytes:02x?} {error}");
    }
}

/// A CONNECT with these bytes from the protocol's name on.
fn connect(body: &[u8]) -> Result<(), Reason> {
    let mut bytes = vec![0x10, body.len() as u8];
    bytes.extend_from_slice(body);
    decode(Version::V311, &bytes)
        .map(|_| ())
        .map_err(|error| error.reason)
}

#[test]
fn a_connect_that_contradicts_itself_is_refused() {
    use Reason::*;
    let mqtt = |level: u8, flags: u8, rest: &[u8]| {
        connect(&[&[0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 0], rest].concat())
    };
    assert_eq!(mqtt(4, 0x02, &[0, 0]), Ok(()));
    assert_eq!(mqtt(5, 0x00, &[0, 0, 0]), Ok(()));
    assert_eq!(
        connect(b"\x00\x06MQIsdp\x03\x02\0\0\0\0"),
        Err(UnsupportedProtocolVersion)
    );
    assert_eq!(mqtt(3, 0x02, &[0, 0]), Err(UnsupportedProtocolVersion));
    assert_eq!(mqtt(4, 0x03, &[0, 0]), Err(MalformedPacket));
    assert_eq!(mqtt(4, 0x00, &[0, 0]), Err(ClientIdentifierNotValid));
    assert_eq!(mqtt(4, 0x22, &[0, 0]), Err(MalformedPacket));
    assert_eq!(mqtt(4, 0x0A, &[0, 0]), Err(MalformedPacket));
    assert_eq!(
        mqtt(4, 0x1E, &[0, 0, 0, 1, b't', 0, 0]),
        Err(MalformedPacket)
    );
    assert_eq!(
        mqtt(4, 0x06, &[0, 0, 0, 1, b'#', 0, 0]),
        Err(TopicNameInvalid)
    );
    assert_eq!(mqtt(4, 0x42, &[0, 0, 0, 1, b'p']), Err(MalformedPacket));
    assert_eq!(mqtt(5, 0x42, &[0, 0, 0, 0, 1, b'p']), Ok(()));
    assert_eq!(mqtt(4, 0x82, &[0, 0]), Err(MalformedPacket));
    assert_eq!(mqtt(4, 0x02, &[0, 0, 9]), Err(MalformedPacket));
}

#[test]
fn an_error_says_what_and_where() {
    let error = decode(Version::V311, &[0x32, 5, 0, 1, b't', 0, 0]).unwrap_err();
    assert_eq!(error.to_string(), "PUBLISH, byte 5: the packet id is zero");
}
