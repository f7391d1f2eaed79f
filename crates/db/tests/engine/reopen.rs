//! What opens leaves files that open again, with the same rows; what cannot is refused at the first
//! opening, and untouched.

use periwinkle_db::engine::{Batch, Engine, Entry, KeyRange, OpenError, OpenReport, Order, verify};
use periwinkle_testkit::disk::{Fault, SimDisk};

use crate::damage::crc32c;
use crate::life::{commit, flush, small_options};

const SEGMENT_HEADER: usize = 64;
const SALT: u64 = 0x1122_3344_5566_7788;

/// A log of at least three segments, the sealed ones with key files, of a process that was killed.
fn written() -> SimDisk {
    let disk = SimDisk::new(1);
    let (mut engine, _) = open(&disk).unwrap();
    for number in 0..60u32 {
        let mut batch = Batch::new();
        batch.put(format!("key {number}").as_bytes(), &[7; 40]);
        commit(&mut engine, &batch).unwrap();
        flush(&mut engine);
    }
    while let Some(file) = engine.take_key_file() {
        engine.key_file_made(file.run());
    }
    disk
}

fn open(disk: &SimDisk) -> Result<(Engine, OpenReport), OpenError> {
    Engine::open(disk.storage(), &small_options())
}

fn rows(engine: &mut Engine) -> Vec<Entry> {
    let rows = engine.scan(&KeyRange::all(), Order::Forward, usize::MAX);
    rows.unwrap()
}

/// The file and the finding of a refusal that left everything as it was.
fn refusal(disk: &SimDisk) -> (String, String) {
    let before = disk.files();
    let refused = open(disk).err();
    assert_eq!(disk.files(), before);
    match refused {
        Some(OpenError::Damaged(damage)) => (damage.file, damage.what),
        other => panic!("{other:?}"),
    }
}

/// Files and findings of a look that leaves everything as it was.
fn found(disk: &SimDisk) -> Vec<(String, String)> {
    let before = disk.files();
    let found = verify(&*disk.storage()).unwrap();
    assert_eq!(disk.files(), before);
    let damage = found.damage.into_iter();
    damage.map(|damage| (damage.file, damage.what)).collect()
}

/// The last two segments that hold anything.
fn last_two(disk: &SimDisk) -> [String; 2] {
    let files = disk.files().into_iter();
    let held = files.filter(|(_, bytes)| bytes.iter().skip(SEGMENT_HEADER).any(|b| *b != 0));
    let mut names: Vec<String> = held.map(|(name, _)| name).collect();
    names.retain(|name| name.ends_with(".log"));
    assert!(names.len() > 2, "{names:?}");
    names.split_off(names.len() - 2).try_into().unwrap()
}

/// Leaves a piece of the first frame.
fn tear(disk: &SimDisk, segment: &str) {
    let mut bytes = disk.files()[segment].clone();
    bytes[SEGMENT_HEADER + 40..].fill(0);
    disk.put_file(segment, &bytes);
}

#[test]
fn a_segment_whose_first_frame_is_torn_is_cut_and_the_log_opens_again() {
    let disk = written();
    let [_, last] = last_two(&disk);
    tear(&disk, &last);
    let (mut engine, report) = open(&disk).unwrap();
    assert_eq!(report.cut.unwrap().offset, SEGMENT_HEADER as u64);
    let expected = rows(&mut engine);
    assert!(expected.len() > 20);
    drop(engine);
    let (mut engine, again) = open(&disk).unwrap();
    assert_eq!(again.sequence, report.sequence);
    assert_eq!(rows(&mut engine), expected);
}

/// With the key file of the last segment left and the blank one behind it gone, the opening after
/// it would miss a segment.
#[test]
fn an_opening_that_fails_at_any_call_before_a_blank_segment_leaves_a_log_that_opens() {
    let disk = written();
    let [_, last] = last_two(&disk);
    let mut bytes = disk.files()[&last].clone();
    bytes[SEGMENT_HEADER..].fill(0);
    disk.put_file(&last, &bytes);
    let whole = disk.snapshot();
    let before = whole.counts().calls;
    let expected = rows(&mut open(&whole).unwrap().0);
    let calls = whole.counts().calls - before;
    let mut removals_that_failed = 0;
    for call in 0..calls {
        let disk = disk.snapshot();
        disk.fail_nth(call, Fault::Io);
        let opened = open(&disk).is_ok();
        let failed_to_remove = disk.struck().contains("remove");
        removals_that_failed += usize::from(failed_to_remove && !opened);
        disk.heal();
        let opened = open(&disk).map(|(mut engine, _)| rows(&mut engine));
        assert!(opened.is_ok_and(|rows| rows == expected), "call {call}");
    }
    assert!(removals_that_failed > 1, "{removals_that_failed}");
}

/// The torn tail shows that the segment before it was synced; once it is cut, nothing does.
#[test]
fn damage_that_a_key_file_passes_over_is_told_before_a_torn_segment_behind_it_is_cut() {
    let disk = written();
    let [sealed, last] = last_two(&disk);
    let used = disk.files()[&sealed].len();
    let whole = disk.snapshot();
    whole.flip_bit(&sealed, (SEGMENT_HEADER + 40) * 8);
    assert!(open(&whole).unwrap().1.key_files_used > 1);
    tear(&disk, &last);
    for at in SEGMENT_HEADER..used {
        let disk = disk.snapshot();
        disk.flip_bit(&sealed, at * 8 + at % 8);
        assert_eq!(refusal(&disk).0, sealed, "byte {at}");
    }
}

#[test]
fn a_log_that_gives_up_a_segment_with_rows_in_it_is_damaged() {
    let value = [&b"kvalue"[..], &crc32c(b"kvalue").to_le_bytes()].concat();
    let put = [&[1, 1, 5], &value[..]].concat();
    let moved = [&[3, 1, 5][..], &1u64.to_le_bytes(), &value].concat();
    let give_up = [4, 2, 0, 0, 0];
    let log = |second: &[u8]| {
        let disk = SimDisk::new(0);
        disk.put_file("00000001.log", &segment(1, 1, &put));
        disk.put_file("00000002.log", &segment(2, 3, second));
        disk
    };
    let what = "rows of a segment that was given up as no longer needed";
    let disk = log(&give_up);
    let refused = refusal(&disk);
    assert_eq!(refused, ("00000001.log".to_owned(), what.to_owned()));
    assert_eq!(found(&disk), [refused]);

    let disk = log(&[&moved[..], &give_up].concat());
    assert_eq!(found(&disk), []);
    for _ in 0..2 {
        let (mut engine, _) = open(&disk).unwrap();
        assert_eq!(&*engine.get(b"k").unwrap().unwrap().value, b"value");
        assert!(!disk.files().contains_key("00000001.log"));
    }
}

#[test]
fn a_look_tells_of_moves_that_an_opening_refuses() {
    let value = [&b"kvalue"[..], &crc32c(b"kvalue").to_le_bytes()].concat();
    let put = [&[1, 1, 5], &value[..]].concat();
    let moved = |sequence: u64| [&[3, 1, 5][..], &sequence.to_le_bytes(), &value].concat();
    let give_up = |first: u32| [&[4][..], &first.to_le_bytes()].concat();
    for (payload, whole) in [
        (moved(1), true),
        (moved(2), false),
        ([moved(1), give_up(2)].concat(), true),
        ([moved(1), give_up(3)].concat(), false),
    ] {
        let disk = SimDisk::new(0);
        disk.put_file("00000001.log", &segment(1, 1, &put));
        disk.put_file("00000002.log", &segment(2, 3, &payload));
        let files: Vec<String> = found(&disk).into_iter().map(|(file, _)| file).collect();
        if whole {
            assert_eq!(files, [""; 0], "{payload:?}");
            open(&disk).unwrap();
        } else {
            assert_eq!(files, [refusal(&disk).0], "{payload:?}");
        }
    }
}

#[test]
fn a_key_file_that_gives_up_what_its_segment_does_not_is_not_used() {
    let sound = written();
    let expected = rows(&mut open(&sound.snapshot()).unwrap().0);
    let [sealed, _] = last_two(&sound);
    let keys = sealed.replace(".log", ".keys");
    let id: u32 = sealed[..8].parse().unwrap();
    // A segment behind its own: it is no key file. Its own: only the rows tell that it is wrong,
    // and then none is believed.
    for (given_up, all_go) in [(u32::MAX, false), (id + 1, false), (id, true)] {
        let disk = sound.snapshot();
        let mut bytes = disk.files()[&keys].clone();
        bytes[68..72].copy_from_slice(&given_up.to_le_bytes());
        let crc = crc32c(&[&bytes[..12], &bytes[16..]].concat());
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        disk.put_file(&keys, &bytes);
        let (mut engine, report) = open(&disk).unwrap();
        assert_eq!(rows(&mut engine), expected, "{given_up}");
        assert_eq!(report.key_files_used == 0, all_go, "{given_up}");
        drop(engine);
        let left = disk.files().keys().any(|name| name.ends_with(".keys"));
        assert_eq!(left, !all_go, "{given_up}");
        assert_eq!(rows(&mut open(&disk).unwrap().0), expected, "{given_up}");
    }
}

/// A segment with one frame, its sequence the segment's id.
fn segment(id: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..8].copy_from_slice(b"PERIWLOG");
    bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
    bytes[16..20].copy_from_slice(&id.to_le_bytes());
    bytes[24..32].copy_from_slice(&SALT.to_le_bytes());
    let crc = crc32c(&[&bytes[..12], &bytes[16..]].concat());
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());

    let mut head = [0; 32];
    head[..4].copy_from_slice(&[0xF7, b'p', b'w', 0x1E]);
    head[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[12] = kind;
    head[16..24].copy_from_slice(&u64::from(id).to_le_bytes());
    head[24..32].copy_from_slice(&u64::from(id - 1).to_le_bytes());
    let crc = crc32c(
        &[
            &SALT.to_le_bytes()[..],
            &id.to_le_bytes(),
            &head[..4],
            &head[8..],
            payload,
        ]
        .concat(),
    );
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    [&bytes[..], &head, payload].concat()
}
