//! Order, budget and age.

use super::*;
use crate::mqtt::codec::QoS;
use crate::time::Mono;
use std::time::Duration;

const ONE: QoS = QoS::AtLeastOnce;

fn at(seconds: u64) -> Mono {
    Mono::from_start(Duration::from_secs(seconds))
}

fn push(outbox: &mut Outbox, topic: &str, class: Class) -> Result<u64, Refused> {
    let publication = Publication {
        class,
        ..Publication::new(topic, b"x", ONE)
    };
    let slot = outbox.push(&publication, at(0), |_, _| {})?;
    Ok(outbox.id(slot).sequence())
}

/// The numbers of all that waits, in the order in which it leaves.
fn drain(outbox: &mut Outbox) -> Vec<u64> {
    let mut order = Vec::new();
    while let Some(slot) = outbox.next(|_| true) {
        order.push(outbox.at(slot).sequence());
        outbox.depart(slot);
        outbox.complete(slot, true);
    }
    order
}

#[test]
fn live_messages_go_first_and_the_backlog_has_a_share() {
    let mut outbox = Outbox::new(Budget::default());
    for index in 0..4 {
        push(&mut outbox, &format!("old/{index}"), Class::Normal).unwrap();
    }
    outbox.connect();
    for index in 0..6 {
        push(&mut outbox, &format!("new/{index}"), Class::Normal).unwrap();
    }
    assert_eq!(drain(&mut outbox), [1, 5, 6, 7, 2, 8, 9, 10, 3, 4]);
}

#[test]
fn a_live_message_waits_behind_the_backlog_of_its_topic() {
    let mut outbox = Outbox::new(Budget::default());
    push(&mut outbox, "a", Class::Normal).unwrap();
    push(&mut outbox, "b", Class::Normal).unwrap();
    push(&mut outbox, "a", Class::Normal).unwrap();
    outbox.connect();
    push(&mut outbox, "a", Class::Normal).unwrap();
    push(&mut outbox, "c", Class::Normal).unwrap();
    assert_eq!(drain(&mut outbox), [1, 5, 2, 3, 4]);
    // With its backlog gone, the topic is live again.
    push(&mut outbox, "old", Class::Normal).unwrap();
    outbox.disconnect();
    outbox.connect();
    push(&mut outbox, "a", Class::Normal).unwrap();
    assert_eq!(drain(&mut outbox), [7, 6]);
}

#[test]
fn higher_classes_go_first() {
    let mut outbox = Outbox::new(Budget::default());
    outbox.connect();
    for class in [
        Class::Low,
        Class::Normal,
        Class::High,
        Class::Low,
        Class::High,
    ] {
        push(&mut outbox, "t", class).unwrap();
    }
    assert_eq!(drain(&mut outbox), [3, 5, 2, 1, 4]);
}

#[test]
fn a_class_goes_before_lower_ones_whether_live_or_backlog() {
    let mut outbox = Outbox::new(Budget::default());
    for class in [Class::Low, Class::Low, Class::High, Class::High] {
        push(&mut outbox, "old", class).unwrap();
    }
    outbox.connect();
    for index in 0..8 {
        let class = match index % 2 {
            0 => Class::Low,
            _ => Class::High,
        };
        push(&mut outbox, &format!("new/{index}"), class).unwrap();
    }
    // High: 3 and 4 of old, 6, 8, 10 and 12 live, with the backlog's share; then low, alike.
    let expected = [3, 6, 8, 10, 4, 12, 1, 5, 7, 9, 2, 11];
    assert_eq!(drain(&mut outbox), expected);
}

#[test]
fn what_begins_again_goes_before_all_others_in_its_order() {
    let mut outbox = Outbox::new(Budget::default());
    outbox.connect();
    for _ in 0..4 {
        push(&mut outbox, "t", Class::Normal).unwrap();
    }
    for _ in 0..2 {
        let slot = outbox.next(|_| true).unwrap();
        outbox.depart(slot);
    }
    outbox.disconnect();
    assert_eq!(outbox.in_flight(), 2);
    outbox.begin_again(|_, _| {});
    outbox.connect();
    push(&mut outbox, "t", Class::Normal).unwrap();
    assert_eq!(drain(&mut outbox), [1, 2, 3, 4, 5]);
}

#[test]
fn rows_and_bytes_have_a_bound_and_the_refused_are_counted() {
    let budget = |rows_max, bytes_max| Budget {
        rows_max,
        bytes_max,
        ..Budget::default()
    };
    let mut outbox = Outbox::new(budget(2, usize::MAX));
    push(&mut outbox, "t", Class::Normal).unwrap();
    push(&mut outbox, "t", Class::Normal).unwrap();
    let refused = push(&mut outbox, "t", Class::High).unwrap_err();
    assert_eq!(refused, Refused::Rows { rows_max: 2 });

    let row = crate::limits::MQTT_OUTBOX_ROW_BYTES + 2;
    let mut outbox = Outbox::new(budget(9, 2 * row));
    push(&mut outbox, "t", Class::Normal).unwrap();
    push(&mut outbox, "t", Class::Normal).unwrap();
    assert_eq!(outbox.bytes(), 2 * row);
    let refused = push(&mut outbox, "t", Class::High).unwrap_err();
    let expected = Refused::Bytes {
        bytes: row,
        bytes_max: 2 * row,
    };
    assert_eq!(refused, expected);
    assert_eq!(outbox.counts().refused, 1);
    drain(&mut outbox);
    assert_eq!((outbox.len(), outbox.bytes()), (0, 0));
}

#[test]
fn the_oldest_of_the_lowest_class_make_room_but_never_what_is_on_its_way() {
    let mut outbox = Outbox::new(Budget {
        rows_max: 4,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    outbox.connect();
    push(&mut outbox, "t", Class::Low).unwrap();
    push(&mut outbox, "t", Class::High).unwrap();
    push(&mut outbox, "t", Class::Low).unwrap();
    push(&mut outbox, "t", Class::Normal).unwrap();
    // The high one is on its way.
    let slot = outbox.next(|_| true).unwrap();
    outbox.depart(slot);
    assert_eq!(push(&mut outbox, "t", Class::High), Ok(5));
    assert_eq!(push(&mut outbox, "t", Class::Normal), Ok(6));
    assert_eq!(push(&mut outbox, "t", Class::Normal), Ok(7));
    assert!(push(&mut outbox, "t", Class::Low).is_err());
    assert_eq!(outbox.counts().overflowed, [0, 1, 2]);
    assert_eq!(outbox.in_flight(), 1);
    assert_eq!(drain(&mut outbox), [5, 6, 7]);
}

/// What a message of this class and kind pushes out of a full queue, or that it is refused.
fn pushes_out(outbox: &mut Outbox, class: Class, qos: QoS, mode: Mode) -> Result<Vec<u64>, ()> {
    let publication = Publication {
        class,
        mode,
        ..Publication::new("t", b"x", qos)
    };
    let mut gone = Vec::new();
    let pushed = outbox.push(&publication, at(0), |entry, _| gone.push(entry.sequence));
    pushed.map(|_| gone).map_err(drop)
}

/// A queue that is full with one message of each class and kind, the durable ones first, and those
/// from the highest class on: its numbers are 1 to 9.
fn full_of_everything() -> Outbox {
    let mut outbox = Outbox::new(Budget {
        rows_max: 9,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    for (qos, mode) in [
        (ONE, Mode::Durable),
        (ONE, Mode::Spill),
        (QoS::AtMostOnce, Mode::Spill),
    ] {
        for class in Class::ALL {
            pushes_out(&mut outbox, class, qos, mode).unwrap();
        }
    }
    outbox
}

#[test]
fn what_is_queued_again_is_as_old_as_it_was() {
    let mut outbox = Outbox::new(Budget {
        rows_max: 2,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    push(&mut outbox, "a", Class::Normal).unwrap();
    push(&mut outbox, "b", Class::Normal).unwrap();
    let first = outbox.next(|_| true).unwrap();
    outbox.depart(first);
    outbox.put_back(first);
    push(&mut outbox, "c", Class::Normal).unwrap();
    assert_eq!(drain(&mut outbox), [2, 3]);
}

#[test]
fn the_lowest_class_makes_room_first_and_in_it_what_promises_least() {
    let mut outbox = full_of_everything();
    let gone: Vec<u64> = (0..9)
        .flat_map(|_| pushes_out(&mut outbox, Class::High, ONE, Mode::Durable).unwrap())
        .collect();
    assert_eq!(gone, [9, 6, 3, 8, 5, 2, 7, 4, 1]);
    assert_eq!(outbox.counts().overflowed, [3, 3, 3]);
    assert_eq!(outbox.counts().overflowed_durable, 3);
}

#[test]
fn a_durable_message_makes_room_for_durable_ones_of_its_class_or_higher_only() {
    for (qos, last) in [(QoS::AtMostOnce, 10), (ONE, 4)] {
        let mut outbox = full_of_everything();
        let gone: Vec<u64> = (0..6)
            .flat_map(|_| pushes_out(&mut outbox, Class::High, qos, Mode::Spill).unwrap())
            .collect();
        assert_eq!(gone, [9, 6, 8, 5, 7, last]);
        let mut outbox = full_of_everything();
        let gone: Vec<u64> = (0..5)
            .flat_map(|_| pushes_out(&mut outbox, Class::Normal, ONE, Mode::Durable).unwrap())
            .collect();
        assert_eq!(gone, [9, 6, 3, 8, 5]);
    }
    let mut outbox = Outbox::new(Budget {
        rows_max: 100,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    pushes_out(&mut outbox, Class::Normal, ONE, Mode::Durable).unwrap();
    for _ in 0..200 {
        pushes_out(&mut outbox, Class::Normal, QoS::AtMostOnce, Mode::Spill).unwrap();
    }
    assert_eq!(outbox.iter().next().unwrap().1.sequence(), 1);
    assert_eq!(outbox.counts().overflowed_durable, 0);
    for _ in 0..100 {
        pushes_out(&mut outbox, Class::Low, ONE, Mode::Spill).unwrap_err();
    }
    assert_eq!(outbox.counts().overflowed, [0, 101, 0]);
}

#[test]
fn nothing_is_pushed_out_for_a_message_that_would_not_fit_even_then() {
    let row = crate::limits::MQTT_OUTBOX_ROW_BYTES;
    let mut outbox = Outbox::new(Budget {
        bytes_max: 3 * (row + 2),
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    pushes_out(&mut outbox, Class::Normal, ONE, Mode::Durable).unwrap();
    for _ in 0..2 {
        pushes_out(&mut outbox, Class::Normal, ONE, Mode::Spill).unwrap();
    }
    // All but the durable one could go, and that is enough, or it is not.
    for (bytes, left) in [(row + 5, 3), (row + 4, 2)] {
        let payload = vec![0; bytes - 1];
        let large = Publication::new("t", &payload, ONE);
        let pushed = outbox.push(&large, at(0), |_, _| {});
        assert_eq!(pushed.is_ok(), left == 2, "{bytes}");
        assert_eq!(outbox.len(), left);
    }
}

#[test]
fn a_message_that_fits_nowhere_pushes_nothing_out() {
    let mut outbox = Outbox::new(Budget {
        bytes_max: 1000,
        overflow: Overflow::DropOldest,
        ..Budget::default()
    });
    push(&mut outbox, "t", Class::Low).unwrap();
    let large = vec![0; 2000];
    let pushed = outbox.push(&Publication::new("t", &large, ONE), at(0), |_, _| {});
    assert!(pushed.is_err());
    assert_eq!(outbox.len(), 1);
}

#[test]
fn what_waits_for_too_long_is_found_and_what_is_on_its_way_is_not() {
    let mut outbox = Outbox::new(Budget {
        age_max: Some(Duration::from_secs(160)),
        ..Budget::default()
    });
    outbox.connect();
    push(&mut outbox, "t", Class::Normal).unwrap();
    push(&mut outbox, "t", Class::Normal).unwrap();
    let slot = outbox.next(|_| true).unwrap();
    outbox.depart(slot);
    assert_eq!(outbox.deadline(), Some(at(10)));
    assert_eq!(outbox.too_old(at(159)), []);
    let old = outbox.too_old(at(169));
    let old: Vec<u64> = old.iter().map(|slot| outbox.id(*slot).sequence()).collect();
    assert_eq!(old, [2]);
}

#[test]
fn what_was_found_on_flash_is_as_old_as_it_was_there() {
    let mut outbox = Outbox::new(Budget {
        age_max: Some(Duration::from_secs(160)),
        ..Budget::default()
    });
    for (sequence, age) in [(1, 0), (2, 150), (3, 151)] {
        let stored = StoredEntry {
            sequence,
            publication: Publication::new("t", b"", ONE),
            stage: Stage::Queued,
            packet_id: None,
            age: Duration::from_secs(age),
        };
        outbox.restore(&stored, at(0));
    }
    // Nothing new has to come before they are looked at.
    assert_eq!(outbox.deadline(), Some(at(10)));
    let old = outbox.too_old(at(10));
    let old: Vec<u64> = old.iter().map(|slot| outbox.id(*slot).sequence()).collect();
    assert_eq!(old, [2, 3]);
    let young = outbox.iter().next().unwrap().1;
    assert_eq!(young.age(at(10)), Duration::from_secs(10));
}

#[test]
fn only_late_messages_are_spilled_and_only_once() {
    let mut outbox = Outbox::new(Budget::default());
    let second = Duration::from_secs(1);
    outbox
        .push(
            &Publication::new("t", b"", QoS::AtMostOnce),
            at(0),
            |_, _| {},
        )
        .unwrap();
    assert_eq!(outbox.spill_at(second), None);
    for seconds in [1, 2, 3] {
        outbox
            .push(&Publication::new("t", b"", ONE), at(seconds), |_, _| {})
            .unwrap();
    }
    assert_eq!(outbox.spill_at(second), Some(at(2)));
    assert!(outbox.next_spill(at(2)).is_some());
    assert!(outbox.next_spill(at(2)).is_some());
    assert!(outbox.next_spill(at(2)).is_none());
    assert_eq!(outbox.spill_at(second), Some(at(4)));
    assert_eq!(outbox.counts().spilled, 2);
    let slot = outbox.next_spill(at(3)).expect("the third");
    outbox.unspill(slot);
    assert_eq!(outbox.counts().spilled, 2, "its write failed");
    assert_eq!(outbox.next_spill(at(3)), Some(slot));
    assert_eq!(outbox.counts().spilled, 3);
}

#[test]
fn what_is_counted_for_a_row_covers_what_it_needs() {
    // The slab's place, the allocation's own words, and one entry of the map of topics.
    let needed = size_of::<Entry>() + 16 + 2 * size_of::<(u64, u32)>();
    assert!(needed <= crate::limits::MQTT_OUTBOX_ROW_BYTES, "{needed}");
}
