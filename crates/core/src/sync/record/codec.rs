//! The bytes of a record in the log, described in `docs/formats/record.md`.

use super::{BrokenRecord, Change, Frozen, Mark, Op, ParkKind, Parked, Record};
use crate::time::UnixMillis;
use crate::value::Map;
use crate::value::binary::{
    Attributes, BinaryError, decode_map_prefix, decode_some_prefix, decode_varint, encode_map,
    encode_varint,
};
use std::collections::BTreeSet;

/// The version that is written; older ones are read, newer ones refused.
const VERSION: u8 = 1;

const NOTHING: u8 = 0;
const CLEAN: u8 = 1;
const CHANGED: u8 = 2;

const HAS_BASE: u8 = 1;
const HAS_FROZEN: u8 = 1 << 1;
const HAS_PENDING: u8 = 1 << 2;
const HAS_PARKED: u8 = 1 << 3;
const HAS_STAMP: u8 = 1 << 4;

const CREATE: u8 = 1;
const SET: u8 = 2;
const DELETE: u8 = 3;
const REPLACE: u8 = 4;

const PARK_KINDS: [(ParkKind, u8); 4] = [
    (ParkKind::Refused, 1),
    (ParkKind::Conflicts, 2),
    (ParkKind::Schema, 3),
    (ParkKind::Direction, 4),
];

/// The bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Written by a newer program.
    #[error("record version {0} is newer than this program reads ({VERSION}): update the agent")]
    Newer(u8),
    /// The bytes end early, or go on too long.
    #[error("the record has a wrong length")]
    Length,
    /// A tag or flag that this version does not know.
    #[error("the record has an unknown tag {0:#04x}")]
    Tag(u8),
    /// A name or a reason that is not UTF-8.
    #[error("the record has text that is not UTF-8")]
    Utf8,
    /// An item in it cannot be read.
    #[error("the record has an item that cannot be read: {0}")]
    Item(#[from] BinaryError),
    /// What was read breaks the invariant of records.
    #[error("the record is not sound: {0}")]
    Broken(#[from] BrokenRecord),
}

impl Record {
    /// Appends the record's bytes.
    ///
    /// The item of a changed record is not written: it is what base, attempt and pending
    /// operation add up to, and reading adds them up again.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match (&self.item, &self.change) {
            (None, None) => out.push(NOTHING),
            (Some(item), None) => {
                out.push(CLEAN);
                encode_map(item, out);
            }
            (_, Some(change)) => {
                out.push(CHANGED);
                encode_change(change, out);
            }
        }
    }

    /// Reads what [`encode`](Record::encode) wrote; all of `bytes` must be used.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        decode(bytes, Reader::map)
    }

    /// The item alone, with only the attributes that are wanted. Those of a record that the cloud
    /// agrees with are all that is made.
    pub fn decode_item(bytes: &[u8], some: &Attributes) -> Result<Option<Map>, RecordError> {
        let Record { mut item, change } = decode(bytes, |reader| reader.some(some))?;
        if let (Some(item), Some(_)) = (&mut item, change) {
            item.retain_only(some.wanted());
        }
        Ok(item)
    }
}

fn decode<'a>(
    bytes: &'a [u8],
    clean: impl FnOnce(&mut Reader<'a>) -> Result<Map, RecordError>,
) -> Result<Record, RecordError> {
    let mut reader = Reader { bytes };
    let version = reader.byte()?;
    if version != VERSION {
        return Err(RecordError::Newer(version));
    }
    let record = match reader.byte()? {
        NOTHING => Record::default(),
        CLEAN => Record::clean(clean(&mut reader)?),
        CHANGED => reader.changed()?,
        tag => return Err(RecordError::Tag(tag)),
    };
    if reader.bytes.is_empty() {
        Ok(record)
    } else {
        Err(RecordError::Length)
    }
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    let flag = |present: bool, flag: u8| if present { flag } else { 0 };
    out.push(
        flag(change.base.is_some(), HAS_BASE)
            | flag(change.frozen.is_some(), HAS_FROZEN)
            | flag(change.pending.is_some(), HAS_PENDING)
            | flag(change.parked.is_some(), HAS_PARKED)
            | flag(change.stamp.is_some(), HAS_STAMP),
    );
    out.push(change.rounds);
    if let Some(base) = &change.base {
        encode_map(base, out);
    }
    if let Some(frozen) = &change.frozen {
        encode_varint(frozen.mark.epoch, out);
        encode_varint(frozen.mark.n, out);
        out.extend_from_slice(&frozen.version.to_le_bytes());
        encode_varint(frozen.schema.into(), out);
        encode_op(&frozen.op, out);
    }
    if let Some(pending) = &change.pending {
        encode_op(pending, out);
    }
    if let Some(parked) = &change.parked {
        out.extend(
            PARK_KINDS
                .iter()
                .find(|(kind, _)| *kind == parked.kind)
                .map(|(_, tag)| *tag),
        );
        encode_text(&parked.reason, out);
    }
    if let Some(stamp) = change.stamp {
        out.extend_from_slice(&stamp.0.to_le_bytes());
    }
}

fn encode_op(op: &Op, out: &mut Vec<u8>) {
    match op {
        Op::Create(item) => {
            out.push(CREATE);
            encode_map(item, out);
        }
        Op::Set { set, remove } => {
            out.push(SET);
            encode_map(set, out);
            encode_varint(remove.len() as u64, out);
            for name in remove {
                encode_text(name, out);
            }
        }
        Op::Delete => out.push(DELETE),
        Op::Replace(item) => {
            out.push(REPLACE);
            encode_map(item, out);
        }
    }
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_varint(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn changed(&mut self) -> Result<Record, RecordError> {
        let flags = self.byte()?;
        let known = HAS_BASE | HAS_FROZEN | HAS_PENDING | HAS_PARKED | HAS_STAMP;
        if flags & !known != 0 {
            return Err(RecordError::Tag(flags));
        }
        let has = |flag: u8| flags & flag != 0;
        let rounds = self.byte()?;
        let change = Change {
            base: has(HAS_BASE).then(|| self.map()).transpose()?,
            frozen: has(HAS_FROZEN).then(|| self.frozen()).transpose()?,
            pending: has(HAS_PENDING).then(|| self.op()).transpose()?,
            parked: has(HAS_PARKED).then(|| self.parked()).transpose()?,
            rounds,
            stamp: has(HAS_STAMP)
                .then(|| self.i64())
                .transpose()?
                .map(UnixMillis),
        };
        change.check_operations()?;
        let predicted = change.predicted();
        let item = match &change.pending {
            Some(op) => op.apply(predicted),
            None => predicted,
        };
        Ok(Record {
            item,
            change: Some(Box::new(change)),
        })
    }

    fn frozen(&mut self) -> Result<Frozen, RecordError> {
        let mark = Mark {
            epoch: self.varint()?,
            n: self.varint()?,
        };
        let version = self.i64()?;
        let schema = u32::try_from(self.varint()?).map_err(|_| RecordError::Length)?;
        Ok(Frozen {
            mark,
            version,
            schema,
            op: self.op()?,
        })
    }

    fn op(&mut self) -> Result<Op, RecordError> {
        match self.byte()? {
            CREATE => Ok(Op::Create(self.map()?)),
            SET => {
                let set = self.map()?;
                let count = self.varint()?;
                let remove: Result<BTreeSet<String>, _> = (0..count).map(|_| self.text()).collect();
                Ok(Op::Set {
                    set,
                    remove: remove?,
                })
            }
            DELETE => Ok(Op::Delete),
            REPLACE => Ok(Op::Replace(self.map()?)),
            tag => Err(RecordError::Tag(tag)),
        }
    }

    fn parked(&mut self) -> Result<Parked, RecordError> {
        let tag = self.byte()?;
        let known = PARK_KINDS.iter().find(|(_, known)| *known == tag);
        let (kind, _) = known.ok_or(RecordError::Tag(tag))?;
        Ok(Parked {
            kind: *kind,
            reason: self.text()?,
        })
    }

    fn map(&mut self) -> Result<Map, RecordError> {
        let (map, used) = decode_map_prefix(self.bytes)?;
        self.take(used)?;
        Ok(map)
    }

    fn some(&mut self, attributes: &Attributes) -> Result<Map, RecordError> {
        let (map, used) = decode_some_prefix(self.bytes, attributes)?;
        self.take(used)?;
        Ok(map)
    }

    fn text(&mut self) -> Result<String, RecordError> {
        let length = usize::try_from(self.varint()?).map_err(|_| RecordError::Length)?;
        let text = self.take(length)?;
        String::from_utf8(text.to_vec()).map_err(|_| RecordError::Utf8)
    }

    fn varint(&mut self) -> Result<u64, RecordError> {
        let (value, used) = decode_varint(self.bytes).ok_or(RecordError::Length)?;
        self.take(used)?;
        Ok(value)
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        let bytes = self.take(8)?.try_into().expect("eight bytes were taken");
        Ok(i64::from_le_bytes(bytes))
    }

    fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or(RecordError::Length)?;
        self.bytes = rest;
        Ok(taken)
    }
}
