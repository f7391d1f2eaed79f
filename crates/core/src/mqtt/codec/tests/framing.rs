//! Packets come out of the inbox whole and in order, however their bytes arrive.

use super::*;
use crate::limits::MQTT_READ_BYTES;
use periwinkle_testkit::rng::Rng;

/// Packets of these seeds behind each other, with the length of each.
fn stream(seeds: std::ops::Range<u64>) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut lengths = Vec::new();
    for seed in seeds {
        random::packet(seed, Version::V5, |packet| {
            let before = bytes.len();
            packet.encode(Version::V5, &mut bytes).unwrap();
            lengths.push(bytes.len() - before);
        });
    }
    (bytes, lengths)
}

fn take_all(inbox: &mut Inbox, taken: &mut Vec<usize>) {
    while let Some(frame) = inbox.take().unwrap() {
        taken.push(frame.head_bytes + frame.body.len());
    }
}

#[test]
fn packets_that_arrive_together_are_all_taken() {
    let (bytes, lengths) = stream(0..300);
    let mut inbox = Inbox::new(1 << 20);
    let mut taken = Vec::new();
    inbox.extend(&bytes);
    take_all(&mut inbox, &mut taken);
    assert_eq!(taken, lengths);
    assert!(inbox.is_empty());
}

#[test]
fn packets_that_arrive_byte_by_byte_are_all_taken() {
    let (bytes, lengths) = stream(0..300);
    let mut inbox = Inbox::new(1 << 20);
    let mut taken = Vec::new();
    for byte in bytes {
        inbox.extend(&[byte]);
        take_all(&mut inbox, &mut taken);
    }
    assert_eq!(taken, lengths);
}

#[test]
fn packets_that_arrive_in_any_pieces_are_all_taken() {
    let (bytes, lengths) = stream(0..600);
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut inbox = Inbox::new(1 << 20);
        let (mut at, mut taken) = (0, Vec::new());
        while at < bytes.len() {
            let count = (1 + rng.index(3000)).min(bytes.len() - at);
            inbox.extend(&bytes[at..at + count]);
            at += count;
            if rng.one_in(2) {
                take_all(&mut inbox, &mut taken);
            }
        }
        take_all(&mut inbox, &mut taken);
        assert_eq!(taken, lengths, "seed {seed}");
    }
}

#[test]
fn a_packet_at_the_bound_is_taken_and_one_beyond_is_refused_before_it_is_there() {
    let message = vec![7; 1000];
    let packet = Packet::Publish(Publish {
        payload: &message,
        ..Publish::new("a", QoS::AtMostOnce)
    });
    let bytes = encode(Version::V311, &packet);
    let mut inbox = Inbox::new(bytes.len());
    inbox.extend(&bytes);
    assert!(inbox.take().unwrap().is_some());

    let mut inbox = Inbox::new(bytes.len() - 1);
    inbox.extend(&bytes[..3]);
    let error = inbox.take().unwrap_err();
    assert_eq!(error.reason, Reason::PacketTooLarge);
    assert_eq!(error.kind, Some(PacketKind::Publish));
}

#[test]
fn an_announced_length_alone_reserves_no_memory() {
    let mut inbox = Inbox::new(usize::MAX);
    inbox.extend(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F]);
    assert_eq!(inbox.take(), Ok(None));
    assert!(inbox.capacity() <= MQTT_READ_BYTES);
}

#[test]
fn memory_of_a_large_packet_is_given_back() {
    let message = vec![7; 200_000];
    let packet = Packet::Publish(Publish {
        payload: &message,
        ..Publish::new("a", QoS::AtMostOnce)
    });
    let mut inbox = Inbox::new(1 << 20);
    inbox.extend(&encode(Version::V311, &packet));
    assert!(inbox.take().unwrap().is_some());
    assert!(inbox.capacity() > 200_000);
    inbox.give_back();
    assert!(inbox.capacity() <= MQTT_READ_BYTES);
}

#[test]
fn a_length_of_five_bytes_is_refused() {
    let mut inbox = Inbox::new(usize::MAX);
    inbox.extend(&[0x30, 0xFF, 0xFF, 0xFF]);
    assert_eq!(inbox.take(), Ok(None));
    inbox.extend(&[0xFF]);
    assert_eq!(inbox.take().unwrap_err().reason, Reason::MalformedPacket);
}

#[test]
fn a_new_connection_starts_with_nothing_of_the_old_one() {
    let mut inbox = Inbox::new(1 << 20);
    inbox.extend(&[0x30, 0x10]);
    inbox.clear();
    inbox.extend(&[0xD0, 0x00]);
    assert_eq!(
        inbox.take().unwrap().unwrap().kind(),
        Ok(PacketKind::Pingresp)
    );
}
