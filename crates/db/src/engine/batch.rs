//! A batch: the writes of one transaction, already in the form in which they go to the log.

use std::ops::Range;

use periwinkle_core::limits::DB_LEAD_OUT_BYTES_MAX;

use super::crc32c::Crc;
use super::index::IndexId;

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;
const TAG_PUT_INDEXED: u8 = 5;
const TAG_INDEX: u8 = 7;

/// Bytes of the checksum behind every value.
pub(crate) const VALUE_CRC_BYTES: usize = 4;

/// Writes that become visible and durable together or not at all.
///
/// Later writes of a key win over earlier ones of the same batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    payload: Vec<u8>,
    ops: Vec<Op>,
    leads_out: bool,
}

/// One write, by its places in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) key: Range<usize>,
    pub(crate) write: Write,
    /// The encoded index entries that the row has from now on.
    pub(crate) entries: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// The row has the value that lies there.
    Put(Range<usize>),
    Delete,
    /// The row, if there is one, keeps its value.
    Index,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets `key` to `value`. The row is in no index.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> &mut Batch {
        self.put_indexed(key, value, &[])
    }

    /// Sets `key` to `value`. The row is in these indexes, each under the key given, and in no
    /// others, whatever was before.
    pub fn put_indexed(
        &mut self,
        key: &[u8],
        value: &[u8],
        entries: &[(IndexId, &[u8])],
    ) -> &mut Batch {
        self.payload
            .reserve(key.len() + value.len() + VALUE_CRC_BYTES + 8);
        let encoded = encoded_entries(entries.iter().copied());
        let indexed = !encoded.is_empty();
        self.payload
            .push(if indexed { TAG_PUT_INDEXED } else { TAG_PUT });
        write_length(&mut self.payload, key.len());
        write_length(&mut self.payload, value.len());
        if indexed {
            write_length(&mut self.payload, encoded.len());
        }
        let key_at = self.append(key);
        let value_at = self.append(value);
        let crc = value_crc(key, value).to_le_bytes();
        self.payload.extend_from_slice(&crc);
        let entries = self.append(&encoded);
        self.ops.push(Op {
            key: key_at,
            write: Write::Put(value_at),
            entries,
        });
        self
    }

    /// Puts the row of `key` into these indexes and takes it out of all others; its value stays.
    /// Without such a row nothing happens.
    pub fn index(&mut self, key: &[u8], entries: &[(IndexId, &[u8])]) -> &mut Batch {
        let encoded = encoded_entries(entries.iter().copied());
        self.payload.push(TAG_INDEX);
        write_length(&mut self.payload, key.len());
        write_length(&mut self.payload, encoded.len());
        let key = self.append(key);
        let entries = self.append(&encoded);
        self.ops.push(Op {
            key,
            write: Write::Index,
            entries,
        });
        self
    }

    /// Removes `key`, from its indexes too; removing what is not there is allowed.
    pub fn delete(&mut self, key: &[u8]) -> &mut Batch {
        self.payload.push(TAG_DELETE);
        write_length(&mut self.payload, key.len());
        let key = self.append(key);
        let entries = self.append(&[]);
        self.ops.push(Op {
            key,
            write: Write::Delete,
            entries,
        });
        self
    }

    /// Says that the batch is a step to fewer rows, though it may bring as much as it takes away: a
    /// removal that a record has to remember for a while, or the answer to one. On a full disk it
    /// may use the room that is kept for deletes, if it brings at most
    /// [`DB_LEAD_OUT_BYTES_MAX`] a write more.
    pub fn lead_out(&mut self) -> &mut Batch {
        self.leads_out = true;
        self
    }

    /// How many writes the batch holds.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether the batch holds no write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of the batch in the log, without the frame's header.
    pub fn bytes(&self) -> usize {
        self.payload.len()
    }

    /// The puts and deletes in order: key, and the value unless it is a removal.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.ops.iter().filter_map(|op| {
            let value = match op.write.clone() {
                Write::Put(value) => Some(&self.payload[value]),
                Write::Delete => None,
                Write::Index => return None,
            };
            Some((&self.payload[op.key.clone()], value))
        })
    }

    /// What the batch will make of `key`: `None` when it does not touch its value.
    pub fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.iter()
            .rev()
            .find(|(other, _)| *other == key)
            .map(|(_, value)| value)
    }

    /// How much more it may bring than it takes away to pass as one that makes room; `None` when
    /// it must take away twice as much.
    pub(crate) fn lead_out_bytes(&self) -> Option<u64> {
        let bytes = DB_LEAD_OUT_BYTES_MAX * self.ops.len() as u64;
        self.leads_out.then_some(bytes)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The index entries of a write.
    pub(crate) fn entries(&self, op: &Op) -> Entries<'_> {
        Entries(&self.payload[op.entries.clone()])
    }

    fn append(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.payload.len();
        self.payload.extend_from_slice(bytes);
        start..self.payload.len()
    }
}

impl AsRef<Batch> for Batch {
    fn as_ref(&self) -> &Batch {
        self
    }
}

/// The checksum behind a value. It covers the key, so that a value read at the wrong place is
/// not taken for the right one.
pub(crate) fn value_crc(key: &[u8], value: &[u8]) -> u32 {
    Crc::new().add(key).add(value).finish()
}

/// Why a payload with a right checksum cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadFault {
    /// It holds something that this version does not know.
    UnknownTag(u8),
    /// Lengths that lead outside.
    Malformed,
}

/// Reads the writes of a payload.
pub(crate) fn decode_ops(payload: &[u8]) -> Result<Vec<Op>, PayloadFault> {
    let mut at = 0;
    let mut ops = Vec::new();
    while at < payload.len() {
        ops.push(decode_op(payload, &mut at)?);
    }
    Ok(ops)
}

/// The first writes of a payload that may be damaged, up to the first that makes no sense.
pub(crate) fn decode_ops_before_fault(payload: &[u8], ops_max: usize) -> Vec<Op> {
    let mut at = 0;
    let ops = std::iter::from_fn(|| {
        let more = at < payload.len();
        more.then(|| decode_op(payload, &mut at).ok()).flatten()
    });
    ops.take(ops_max).collect()
}

fn decode_op(payload: &[u8], at: &mut usize) -> Result<Op, PayloadFault> {
    let tag = payload[*at];
    *at += 1;
    let mut length = |wanted: bool| match wanted {
        true => read_length(payload, at),
        false => Ok(0),
    };
    if !matches!(tag, TAG_PUT | TAG_DELETE | TAG_PUT_INDEXED | TAG_INDEX) {
        return Err(PayloadFault::UnknownTag(tag));
    }
    let puts = matches!(tag, TAG_PUT | TAG_PUT_INDEXED);
    let key_length = length(true)?;
    let value_length = length(puts)?;
    let entries_length = length(matches!(tag, TAG_PUT_INDEXED | TAG_INDEX))?;
    let key = take(payload, at, key_length)?;
    let write = match tag {
        TAG_DELETE => Write::Delete,
        TAG_INDEX => Write::Index,
        _ => {
            let value = take(payload, at, value_length)?;
            take(payload, at, VALUE_CRC_BYTES)?;
            Write::Put(value)
        }
    };
    let entries = take(payload, at, entries_length)?;
    Entries::check(&payload[entries.clone()])?;
    Ok(Op {
        key,
        write,
        entries,
    })
}

/// Index entries as they lie in the log, known to be well formed: the number of the index, the
/// length of the index key, the index key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    pub(crate) const NONE: Entries<'static> = Entries(&[]);

    /// The entries in bytes from outside.
    pub(crate) fn check(bytes: &'a [u8]) -> Result<Entries<'a>, PayloadFault> {
        let mut at = 0;
        while at < bytes.len() {
            u16::try_from(read_length(bytes, &mut at)?).map_err(|_| PayloadFault::Malformed)?;
            let length = read_length(bytes, &mut at)?;
            take(bytes, &mut at, length)?;
        }
        Ok(Entries(bytes))
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = (IndexId, &'a [u8])> {
        self.spans().map(move |(index, key)| (index, &self.0[key]))
    }

    /// The entries with the places of their keys.
    pub(crate) fn spans(self) -> impl Iterator<Item = (IndexId, Range<usize>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let index = u16::try_from(read_length(self.0, &mut at).ok()?).ok()?;
            let length = read_length(self.0, &mut at).ok()?;
            let key = take(self.0, &mut at, length).ok()?;
            Some((IndexId(index), key))
        })
    }
}

pub(crate) fn encoded_entries<'a>(entries: impl Iterator<Item = (IndexId, &'a [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, key) in entries {
        write_length(&mut out, usize::from(index.0));
        write_length(&mut out, key.len());
        out.extend_from_slice(key);
    }
    out
}

pub(crate) fn take(
    payload: &[u8],
    at: &mut usize,
    length: usize,
) -> Result<Range<usize>, PayloadFault> {
    let end = at
        .checked_add(length)
        .filter(|end| *end <= payload.len())
        .ok_or(PayloadFault::Malformed)?;
    Ok(std::mem::replace(at, end)..end)
}

/// Lengths are LEB128: seven bits a byte, lowest first, the high bit on all but the last.
pub(crate) fn write_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

pub(crate) fn read_length(payload: &[u8], at: &mut usize) -> Result<usize, PayloadFault> {
    let mut length = 0usize;
    // Four groups of seven bits: more than a transaction can be long.
    for shift in [0, 7, 14, 21] {
        let byte = *payload.get(*at).ok_or(PayloadFault::Malformed)?;
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(PayloadFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_as_the_writes_it_was_made_of() {
        let mut batch = Batch::new();
        batch
            .put(b"a", b"1")
            .delete(b"b")
            .put(b"", &[7; 300])
            .put_indexed(b"k", b"", &[(IndexId(0), b""), (IndexId(300), &[9; 200])])
            .index(b"l", &[(IndexId(3), b"x")]);
        assert_eq!(decode_ops(batch.payload()).unwrap(), batch.ops());
        assert_eq!((batch.len(), batch.iter().count()), (5, 4));
        let entries: Vec<_> = batch.entries(&batch.ops()[3]).iter().collect();
        assert_eq!(entries, [(IndexId(0), &b""[..]), (IndexId(300), &[9; 200])]);
        assert_eq!(batch.get(b"a"), Some(Some(&b"1"[..])));
        assert_eq!(batch.get(b"b"), Some(None));
        assert_eq!(batch.get(b"c"), None);
    }

    #[test]
    fn the_last_write_of_a_key_is_the_one_that_counts() {
        let mut batch = Batch::new();
        batch.put(b"a", b"1").put(b"a", b"2");
        assert_eq!(batch.get(b"a"), Some(Some(&b"2"[..])));
        batch.delete(b"a");
        assert_eq!(batch.get(b"a"), Some(None));
    }

    #[test]
    fn lengths_survive_at_every_size_class() {
        for length in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            (1 << 28) - 1,
        ] {
            let mut bytes = Vec::new();
            write_length(&mut bytes, length);
            assert_eq!(read_length(&bytes, &mut 0), Ok(length));
        }
    }

    #[test]
    fn a_truncated_or_unknown_payload_is_refused() {
        let mut batch = Batch::new();
        batch.put_indexed(b"key", b"value", &[(IndexId(7), b"index key")]);
        for end in 1..batch.payload().len() {
            let read = decode_ops(&batch.payload()[..end]);
            assert_eq!(read, Err(PayloadFault::Malformed), "cut at {end}");
        }
        // An index beyond those that there can be.
        let index = [7, 1, 4, b'k', 0x80, 0x80, 4, 0];
        assert_eq!(decode_ops(&index), Err(PayloadFault::Malformed));
        assert_eq!(decode_ops(&[9]), Err(PayloadFault::UnknownTag(9)));
        assert_eq!(
            decode_ops(&[2, 0xff, 0xff, 0xff, 0xff]),
            Err(PayloadFault::Malformed)
        );
    }
}
