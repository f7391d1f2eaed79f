//! A directory of arbitrary files, opened, verified and salvaged.

use std::collections::BTreeMap;

use periwinkle_db::engine::{Engine, KeyRange, OpenError, Options, Order, salvage, verify};

use super::{kind_of, words};
use crate::disk::SimDisk;

/// The first byte: whether the checksums are made right. Then file after file: a byte for its
/// name, two for its length, its bytes.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let Some((flags, rest)) = bytes.split_first() else {
        return 0;
    };
    let mut files = files(rest);
    if flags & 1 == 1 {
        files.values_mut().for_each(|file| repair(file));
    }
    feed_files(&files)
}

/// The same with key files that fit their segments, whatever their rows and index entries are.
pub(super) fn feed_keys(bytes: &[u8]) -> u64 {
    let Some((_, rest)) = bytes.split_first() else {
        return 0;
    };
    let mut files = files(rest);
    files.values_mut().for_each(|file| repair(file));
    let facts: Vec<(String, [u8; 48])> = files
        .iter()
        .filter_map(|(name, file)| Some((name.replace(".log", ".keys"), facts_of(file)?)))
        .collect();
    for (name, facts) in facts {
        let keys = files.get_mut(&name).filter(|keys| keys.len() >= 88);
        if let Some(keys) = keys.filter(|_| name.ends_with(".keys")) {
            keys[..12].copy_from_slice(b"PERIWKEY\x01\0\0\0");
            keys[16..64].copy_from_slice(&facts);
            repair(keys);
        }
    }
    feed_files(&files)
}

fn feed_files(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    let disk = SimDisk::new(1);
    for (name, bytes) in files {
        disk.put_file(name, bytes);
    }
    let before = disk.files();
    let inspected = verify(&*disk.storage()).map(|found| found.damage.is_empty());
    let saved = rescue(&disk);
    assert_eq!(disk.files(), before, "looking changes nothing");
    kind_of((opened(&disk), inspected.ok(), saved))
}

fn options() -> Options {
    Options {
        segment_bytes: 4096,
        segment_bytes_min: 512,
        cache_bytes: 500,
        salt: 1,
        ..Options::default()
    }
}

fn opened(disk: &SimDisk) -> u64 {
    let before = disk.files();
    let (mut engine, report) = match Engine::open(disk.storage(), &options()) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(disk.files(), before, "what is refused is untouched");
            let io = matches!(error, OpenError::Io { .. });
            return kind_of((1, io, words(&error)));
        }
    };
    let rows = rows(&mut engine);
    drop(engine);
    let (mut engine, _) = Engine::open(disk.storage(), &options()).expect("it opens again");
    assert_eq!(rows, self::rows(&mut engine), "and holds the same");
    kind_of((
        0,
        report.clean,
        report.cut.is_some(),
        rows.map(|rows| rows.len().min(3)),
    ))
}

/// All rows; `None` when one of them cannot be read.
fn rows(engine: &mut Engine) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let rows = engine
        .scan(&KeyRange::all(), Order::Forward, usize::MAX)
        .ok()?;
    let rows = rows.into_iter();
    Some(
        rows.map(|row| (row.key.to_vec(), row.value.to_vec()))
            .collect(),
    )
}

fn rescue(disk: &SimDisk) -> Option<u64> {
    let new = SimDisk::new(2);
    let saved = salvage(&*disk.storage(), new.storage(), &options()).ok()?;
    let (mut engine, report) = Engine::open(new.storage(), &options()).expect("it was just made");
    assert!(report.clean);
    let rows = rows(&mut engine).expect("every row that was saved can be read");
    assert_eq!(rows.len() as u64, saved.rows);
    Some(saved.rows.min(3))
}

fn files(mut bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    while let [name, low, high, rest @ ..] = bytes {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (contents, rest) = rest.split_at(length);
        files.insert(file_name(*name), contents.to_vec());
        bytes = rest;
    }
    files
}

fn file_name(code: u8) -> String {
    let number = code & 15;
    match code >> 4 {
        0 => format!("{number:08}.log"),
        1 => format!("{number:08}.keys"),
        2 => "reserve".to_owned(),
        3 => format!("{number:08}-00000064.tail"),
        _ => format!("{:08}.log", code & 31),
    }
}

/// Bytes 16 to 63 of a key file that fits this segment, as `docs/formats/keys.md` has it.
fn facts_of(segment: &[u8]) -> Option<[u8; 48]> {
    let mut facts = [0; 48];
    facts[0..4].copy_from_slice(segment.get(16..20)?);
    facts[16..24].copy_from_slice(segment.get(24..32)?);
    let mut at = 64;
    while let Some(head) = segment.get(at..at + 32) {
        if head[..4] != *b"\xf7pw\x1e" {
            break;
        }
        let end = at + 32 + u32::from_le_bytes(head[8..12].try_into().ok()?) as usize;
        facts[4..8].copy_from_slice(&(end as u32).to_le_bytes());
        facts[8..12].copy_from_slice(&(at as u32).to_le_bytes());
        facts[12..16].copy_from_slice(&head[4..8]);
        if at == 64 {
            facts[24..32].copy_from_slice(&head[16..24]);
        }
        facts[32..40].copy_from_slice(&head[16..24]);
        facts[40..48].copy_from_slice(&head[24..32]);
        at = end;
    }
    (at > 64).then_some(facts)
}

/// Makes the checksums of a key file, or of the header and of all frames of a segment, right, so
/// that what lies behind them is met too. As `docs/formats/log.md` has it.
fn repair(file: &mut [u8]) {
    if file.len() >= 88 && file[..8] == *b"PERIWKEY" {
        let covered = [&file[..12], &file[16..]].concat();
        file[12..16].copy_from_slice(&crc32c(&covered).to_le_bytes());
    }
    if file.len() < 64 || file[..8] != *b"PERIWLOG" {
        return;
    }
    let header = [&file[..12], &file[16..64]].concat();
    file[12..16].copy_from_slice(&crc32c(&header).to_le_bytes());
    let (salt, segment) = (file[24..32].to_vec(), file[16..20].to_vec());
    let mut at = 64;
    while let Some(frame) = file.get_mut(at..).filter(|rest| rest.len() >= 32) {
        let length = u32::from_le_bytes([frame[8], frame[9], frame[10], frame[11]]) as usize;
        let Some(frame) = frame.get_mut(..length.saturating_add(32)) else {
            return;
        };
        let covered = [&salt[..], &segment, &frame[..4], &frame[8..]].concat();
        frame[4..8].copy_from_slice(&crc32c(&covered).to_le_bytes());
        at += length + 32;
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut state = !0u32;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = (state >> 1) ^ (0x82F6_3B78 * (state & 1));
        }
    }
    !state
}
