//! The payload of a compaction's frame: rows in their new place, under their old sequences, and
//! from which segment on the log is needed.

use std::ops::Range;

use super::batch::{Entries, PayloadFault, VALUE_CRC_BYTES, read_length, take, write_length};

const TAG_MOVED: u8 = 3;
const TAG_FIRST: u8 = 4;
const TAG_MOVED_INDEXED: u8 = 6;

/// The most that an entry takes beside its key and value: tag, two lengths, sequence, checksum.
const ENTRY_BYTES_MAX: u64 = 1 + 2 * 4 + 8 + VALUE_CRC_BYTES as u64;
/// The most that an index entry takes beside its key: the number of the index, its length, and
/// the length of all entries.
const INDEX_ENTRY_BYTES_MAX: u64 = 3 + 2 + 4;

/// Bytes of the entry that gives segments up.
pub(crate) const GIVE_UP_ENTRY_BYTES: u64 = 1 + 4;

/// Bytes that a row takes at most when it is moved.
pub(crate) fn moved_bytes_max(key: usize, value: u32) -> u64 {
    ENTRY_BYTES_MAX + key as u64 + u64::from(value)
}

/// Bytes that an index entry adds to its row at most.
pub(crate) fn moved_entry_bytes_max(key: usize) -> u64 {
    INDEX_ENTRY_BYTES_MAX + key as u64
}

/// A payload in the making.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    payload: Vec<u8>,
}

impl Moves {
    /// Adds a row; `stored` is its value with the checksum behind it, `entries` are its encoded
    /// index entries. Returns where in the payload the value begins.
    pub(crate) fn push(
        &mut self,
        key: &[u8],
        stored: &[u8],
        sequence: u64,
        entries: &[u8],
    ) -> usize {
        let indexed = !entries.is_empty();
        self.payload.push(if indexed {
            TAG_MOVED_INDEXED
        } else {
            TAG_MOVED
        });
        write_length(&mut self.payload, key.len());
        write_length(&mut self.payload, stored.len() - VALUE_CRC_BYTES);
        if indexed {
            write_length(&mut self.payload, entries.len());
        }
        self.payload.extend_from_slice(&sequence.to_le_bytes());
        self.payload.extend_from_slice(key);
        let value_at = self.payload.len();
        self.payload.extend_from_slice(stored);
        self.payload.extend_from_slice(entries);
        value_at
    }

    /// Says that no segment before `segment` is needed any more.
    pub(crate) fn give_up_before(&mut self, segment: u32) {
        self.payload.push(TAG_FIRST);
        self.payload.extend_from_slice(&segment.to_le_bytes());
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// One entry as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Row {
        key: Range<usize>,
        value: Range<usize>,
        sequence: u64,
        /// Its encoded index entries.
        entries: Range<usize>,
    },
    First(u32),
}

/// Reads the entries of a payload.
pub(crate) fn decode_moves(payload: &[u8]) -> Result<Vec<Move>, PayloadFault> {
    let mut at = 0;
    let mut moves = Vec::new();
    while at < payload.len() {
        moves.push(decode_move(payload, &mut at)?);
    }
    Ok(moves)
}

fn decode_move(payload: &[u8], at: &mut usize) -> Result<Move, PayloadFault> {
    let tag = payload[*at];
    *at += 1;
    match tag {
        TAG_MOVED | TAG_MOVED_INDEXED => {
            let key_length = read_length(payload, at)?;
            let value_length = read_length(payload, at)?;
            let entries_length = match tag {
                TAG_MOVED => 0,
                _ => read_length(payload, at)?,
            };
            let sequence = u64::from_le_bytes(read_array(payload, at)?);
            let key = take(payload, at, key_length)?;
            let value = take(payload, at, value_length)?;
            take(payload, at, VALUE_CRC_BYTES)?;
            let entries = take(payload, at, entries_length)?;
            Entries::check(&payload[entries.clone()])?;
            Ok(Move::Row {
                key,
                value,
                sequence,
                entries,
            })
        }
        TAG_FIRST => Ok(Move::First(u32::from_le_bytes(read_array(payload, at)?))),
        tag => Err(PayloadFault::UnknownTag(tag)),
    }
}

fn read_array<const N: usize>(payload: &[u8], at: &mut usize) -> Result<[u8; N], PayloadFault> {
    let place = take(payload, at, N)?;
    payload[place]
        .try_into()
        .map_err(|_| PayloadFault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_reads_back_as_the_moves_it_was_made_of() {
        let mut moves = Moves::default();
        let at = moves.push(b"key", b"value....", 77, &[3, 1, b'x']);
        let row = moves.payload().len() as u64;
        moves.give_up_before(9);
        assert_eq!(moves.payload().len() as u64, row + GIVE_UP_ENTRY_BYTES);
        let payload = moves.payload();
        let read = decode_moves(payload).unwrap();
        let [
            Move::Row {
                key,
                value,
                sequence,
                entries,
            },
            Move::First(9),
        ] = &read[..]
        else {
            panic!("{read:?}");
        };
        assert_eq!((&payload[key.clone()], *sequence), (&b"key"[..], 77));
        assert_eq!((&payload[value.clone()], value.start), (&b"value"[..], at));
        assert_eq!(&payload[entries.clone()], [3, 1, b'x']);
        assert!(payload.len() as u64 <= moved_bytes_max(3, 5) + moved_entry_bytes_max(1) + 5);
        for end in 1..payload.len() {
            let whole = end == payload.len() - 5;
            assert_eq!(decode_moves(&payload[..end]).is_ok(), whole, "cut at {end}");
        }
        assert_eq!(decode_moves(&[1]), Err(PayloadFault::UnknownTag(1)));
    }
}
