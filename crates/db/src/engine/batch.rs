//! A batch: the writes of one transaction, already in the form in which they go to the log.

use std::ops::Range;

use periwinkle_core::limits::DB_LEAD_OUT_BYTES_MAX;

use super::crc32c::Crc;

const TAG_PUT: u8 = 1;
const TAG_DELETE: u8 = 2;

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

/// One write, by its place in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) key: Range<usize>,
    /// `None` deletes.
    pub(crate) value: Option<Range<usize>>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> &mut Batch {
        self.payload
            .reserve(key.len() + value.len() + VALUE_CRC_BYTES + 8);
        self.payload.push(TAG_PUT);
        write_length(&mut self.payload, key.len());
        write_length(&mut self.payload, value.len());
        let key_at = self.append(key);
        let value_at = self.append(value);
        let crc = value_crc(key, value).to_le_bytes();
        self.payload.extend_from_slice(&crc);
        self.ops.push(Op {
            key: key_at,
            value: Some(value_at),
        });
        self
    }

    /// Removes `key`; removing what is not there is allowed.
    pub fn delete(&mut self, key: &[u8]) -> &mut Batch {
        self.payload.push(TAG_DELETE);
        write_length(&mut self.payload, key.len());
        let key = self.append(key);
        self.ops.push(Op { key, value: None });
        self
    }

    /// Says that the batch is a step to fewer rows, though it may bring as much as it takes away: a
    /// removal that a record has to remember for a while, or the answer to one. On a full disk it
    /// may use the room that is kept for deletes, if it brings at most
    /// [`DB_LEAD_OUT_BYTES_MAX`](periwinkle_core::limits::DB_LEAD_OUT_BYTES_MAX) a write more.
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

    /// The writes in order: key, and the value unless it is a removal.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        self.ops.iter().map(|op| {
            let value = op.value.clone().map(|value| &self.payload[value]);
            (&self.payload[op.key.clone()], value)
        })
    }

    /// What the batch will make of `key`: `None` when it does not touch it.
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

fn decode_op(payload: &[u8], at: &mut usize) -> Result<Op, PayloadFault> {
    let tag = payload[*at];
    *at += 1;
    match tag {
        TAG_PUT => {
            let key_length = read_length(payload, at)?;
            let value_length = read_length(payload, at)?;
            let key = take(payload, at, key_length)?;
            let value = take(payload, at, value_length)?;
            take(payload, at, VALUE_CRC_BYTES)?;
            Ok(Op {
                key,
                value: Some(value),
            })
        }
        TAG_DELETE => {
            let key_length = read_length(payload, at)?;
            let key = take(payload, at, key_length)?;
            Ok(Op { key, value: None })
        }
        tag => Err(PayloadFault::UnknownTag(tag)),
    }
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
            .put(b"k", b"");
        assert_eq!(decode_ops(batch.payload()).unwrap(), batch.ops());
        assert_eq!(batch.len(), 4);
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
        batch.put(b"key", b"value");
        for end in 1..batch.payload().len() {
            let read = decode_ops(&batch.payload()[..end]);
            assert_eq!(read, Err(PayloadFault::Malformed), "cut at {end}");
        }
        assert_eq!(decode_ops(&[9]), Err(PayloadFault::UnknownTag(9)));
        assert_eq!(
            decode_ops(&[2, 0xff, 0xff, 0xff, 0xff]),
            Err(PayloadFault::Malformed)
        );
    }
}
