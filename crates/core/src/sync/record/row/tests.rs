use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn item(a: i64) -> Map {
    Map::from([("a", a)])
}

fn pending(record: &Record) -> Option<&Op> {
    record.change.as_ref()?.pending.as_ref()
}

/// Freezes what is pending, as the machine does.
fn freeze(record: &mut Record, n: u64) {
    let change = record.change.as_mut().expect("something waits");
    let op = change.pending.take().expect("something is pending");
    change.frozen = Some(Frozen {
        mark: Mark { epoch: 1, n },
        op,
        version: 1,
        schema: 1,
    });
}

#[test]
fn a_first_write_is_a_create() {
    let mut record = Record::default();
    assert!(record.write(Some(item(1))));
    assert_eq!(pending(&record), Some(&Op::Create(item(1))));
    assert_eq!(record.base(), None);
}

#[test]
fn an_item_is_read_with_the_attributes_asked_for_and_no_others() {
    let wide = Map::from([("a", 1), ("b", 2), ("c", 3)]);
    let clean = Record::clean(wide.clone());
    let mut changed = Record::clean(Map::from([("a", 0), ("b", 2)]));
    changed.write(Some(wide));
    for record in [clean, changed] {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let some = ["b", "c", "d"].into_iter().collect();
        let read = Record::decode_item(&bytes, &some).unwrap();
        assert_eq!(read, Some(Map::from([("b", 2), ("c", 3)])), "{record:?}");
    }
}

#[test]
fn set_and_set_are_one_set() {
    let mut record = Record::clean(Map::from([("a", 1), ("b", 1), ("c", 1)]));
    record.write(Some(Map::from([("a", 2), ("b", 1), ("c", 1)])));
    record.write(Some(Map::from([("a", 2), ("b", 3)])));
    assert_eq!(
        pending(&record),
        Some(&Op::Set {
            set: Map::from([("a", 2), ("b", 3)]),
            remove: ["c".to_owned()].into()
        })
    );
}

#[test]
fn a_value_that_is_put_back_leaves_nothing_to_tell() {
    let mut record = Record::clean(item(1));
    record.write(Some(item(2)));
    record.write(Some(item(1)));
    assert_eq!(record, Record::clean(item(1)));
}

#[test]
fn set_and_delete_are_a_delete() {
    let mut record = Record::clean(item(1));
    record.write(Some(item(2)));
    record.write(None);
    assert_eq!(pending(&record), Some(&Op::Delete));
    assert_eq!(record.base(), Some(&item(1)));
}

#[test]
fn delete_and_create_are_a_replacement_and_stay_one() {
    let mut record = Record::clean(item(1));
    record.write(None);
    record.write(Some(item(2)));
    assert_eq!(pending(&record), Some(&Op::Replace(item(2))));
    record.write(Some(item(3)));
    assert_eq!(pending(&record), Some(&Op::Replace(item(3))));
}

#[test]
fn a_create_that_was_never_sent_and_its_delete_are_nothing() {
    let mut record = Record::default();
    record.write(Some(item(1)));
    record.write(None);
    assert!(record.is_empty());
}

#[test]
fn a_create_on_its_way_is_never_cancelled() {
    let mut record = Record::default();
    record.write(Some(item(1)));
    freeze(&mut record, 1);
    record.write(None);
    assert_eq!(pending(&record), Some(&Op::Delete));
    assert!(record.change.as_ref().unwrap().frozen.is_some());
    record.write(Some(item(2)));
    assert_eq!(pending(&record), Some(&Op::Replace(item(2))));
}

#[test]
fn writes_after_the_freeze_wait_in_a_second_slot() {
    let mut record = Record::clean(item(1));
    record.write(Some(item(2)));
    freeze(&mut record, 1);
    record.write(Some(item(3)));
    let change = record.change.as_ref().unwrap();
    let set = |a| Op::Set {
        set: item(a),
        remove: BTreeSet::new(),
    };
    assert_eq!(
        change.frozen.as_ref().map(|frozen| &frozen.op),
        Some(&set(2))
    );
    assert_eq!(change.pending, Some(set(3)));
}

#[test]
fn a_write_of_the_same_content_is_no_write() {
    let mut record = Record::clean(Map::from([("a", 1), ("_v", 9)]));
    assert!(!record.write(Some(item(1))));
    assert_eq!(record, Record::clean(Map::from([("a", 1), ("_v", 9)])));
}

#[test]
fn the_metadata_of_the_item_outlives_a_write() {
    let mut record = Record::clean(Map::from([("a", 1), ("_v", 9)]));
    record.write(Some(item(2)));
    assert_eq!(record.item, Some(Map::from([("a", 2), ("_v", 9)])));
}

#[test]
fn a_write_takes_a_parked_item_up_again() {
    let mut record = Record::clean(item(1));
    record.write(Some(item(2)));
    record.change.as_mut().unwrap().parked = Some(Parked::new(ParkKind::Refused, "too large"));
    assert!(!record.is_sendable());
    record.write(Some(item(3)));
    assert!(record.is_sendable());
}

#[test]
fn a_record_with_everything_reads_back() {
    let mut record = Record::clean(Map::from([("a", 1), ("b", 1), ("_v", 9)]));
    record.write(Some(item(2)));
    freeze(&mut record, 7);
    record.write(None);
    record.stamp(Some(UnixMillis(-5)));
    let change = record.change.as_mut().unwrap();
    change.rounds = 3;
    change.parked = Some(Parked::new(ParkKind::Schema, "newer"));
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(Record::decode(&bytes), Ok(record));
}

#[test]
fn a_change_that_has_nothing_to_tell_or_carries_metadata_is_not_read() {
    // Base only, an empty map; found by fuzzing.
    let nothing = [1, 2, 1, 0, 0];
    let read = Record::decode(&nothing);
    assert_eq!(
        read,
        Err(super::super::RecordError::Broken(
            BrokenRecord::NothingToTell
        ))
    );
    // Pending: create an item whose only field is `_v`, 1.
    let metadata = [1, 2, 4, 0, 1, 1, 2, b'_', b'v', 0x81];
    let read = Record::decode(&metadata);
    let expected = Err(super::super::RecordError::Broken(
        BrokenRecord::MetadataInOperation,
    ));
    assert_eq!(read, expected);
}

#[test]
fn a_newer_version_is_refused_by_name() {
    assert_eq!(
        Record::decode(&[9, 0]),
        Err(super::super::RecordError::Newer(9))
    );
}

#[test]
fn the_bytes_are_the_ones_in_the_format_description() {
    let mut record = Record::clean(Map::from([("a", 1)]));
    record.write(Some(Map::from([("b", 2)])));
    freeze(&mut record, 3);
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let expected = [
        &[1, 2, 0b011, 0][..],
        &[1, 0x01, b'a', 0x81],
        &[1, 3],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[1],
        &[2, 1, 0x01, b'b', 0x82, 1, 1, b'a'],
    ]
    .concat();
    assert_eq!(bytes, expected);
}

/// What can happen to a record between two looks at it.
#[derive(Clone, Debug)]
enum Step {
    Write(Option<Map>),
    Freeze,
    Answer,
    Foreign(Option<Map>),
}

fn items() -> impl Strategy<Value = Option<Map>> {
    let field = ("[a-c_]", 0..3_i64);
    let metadata = proptest::option::of((Just("_v"), 0..9_i64));
    proptest::option::of((proptest::collection::vec(field, 0..3), metadata).prop_map(
        |(fields, metadata)| {
            let mut map: Map = fields.into_iter().collect();
            map.extend(metadata);
            map
        },
    ))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => items().prop_map(Step::Write),
        2 => Just(Step::Freeze),
        1 => Just(Step::Answer),
        1 => items().prop_map(Step::Foreign),
    ];
    proptest::collection::vec(step, 0..24)
}

fn take(record: &mut Record, step: Step, n: u64) {
    let change = record.change.as_deref();
    let frozen = change.is_some_and(|change| change.frozen.is_some());
    match step {
        Step::Write(wanted) => {
            record.write(wanted);
        }
        Step::Freeze if change.is_some_and(|change| !frozen && change.pending.is_some()) => {
            freeze(record, n);
        }
        Step::Answer if frozen => {
            let cloud = change.and_then(Change::predicted);
            let wanted = record.item.clone();
            record.rebase(cloud, wanted.as_ref(), false);
        }
        Step::Foreign(cloud) => {
            let wanted = record.item.clone();
            record.rebase(cloud, wanted.as_ref(), false);
        }
        Step::Freeze | Step::Answer => {}
    }
}

proptest! {
    #[test]
    fn the_item_is_always_base_and_frozen_and_pending(steps in steps()) {
        let mut record = Record::default();
        for (n, step) in steps.into_iter().enumerate() {
            let wanted = match &step {
                Step::Write(wanted) => wanted.clone(),
                _ => record.item.clone(),
            };
            take(&mut record, step, n as u64);
            prop_assert_eq!(record.check(), Ok(()));
            prop_assert!(same_content(record.item.as_ref(), wanted.as_ref()));
        }
    }

    #[test]
    fn every_record_reads_back(steps in steps()) {
        let mut record = Record::default();
        for (n, step) in steps.into_iter().enumerate() {
            take(&mut record, step, n as u64);
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            prop_assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(0..8_u8, 0..40)) {
        let _ = Record::decode(&bytes);
    }
}
