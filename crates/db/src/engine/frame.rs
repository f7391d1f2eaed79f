//! Segment headers and frames: the bytes of the log, and how a reader tells whole from damaged.
//!
//! `docs/formats/log.md` has the format byte by byte.

use super::crc32c::Crc;

/// The version of the log format that this engine writes, and the newest that it reads.
///
/// Version 1 had no index entries.
pub const LOG_VERSION: u32 = 2;

/// The oldest version that this engine reads.
const LOG_VERSION_MIN: u32 = 1;

/// Bytes of a segment's header. Frames follow at once.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 64;
/// Bytes of a frame's header. The payload follows at once.
pub(crate) const FRAME_HEADER_BYTES: usize = 32;

const SEGMENT_MAGIC: [u8; 8] = *b"PERIWLOG";
const FRAME_MAGIC: [u8; 4] = [0xF7, b'p', b'w', 0x1E];

/// What the header of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    pub(crate) segment: u32,
    /// Part of every checksum of the segment, so that a stored value cannot pose as a frame.
    pub(crate) salt: u64,
}

/// Why the first bytes of a file are not a header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged,
    Newer(u32),
}

impl SegmentHeader {
    /// The header of a segment to be made.
    pub(crate) fn new(segment: u32, salt: u64) -> SegmentHeader {
        SegmentHeader {
            version: LOG_VERSION,
            segment,
            salt,
        }
    }

    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header. The checksum comes before the version: a flipped bit in the version must
    /// not look like a file from the future.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderFault> {
        let bytes = bytes
            .first_chunk::<SEGMENT_HEADER_BYTES>()
            .ok_or(HeaderFault::Damaged)?;
        if bytes[0..8] != SEGMENT_MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return Err(HeaderFault::Damaged);
        }
        match u32_at(bytes, 8) {
            version @ LOG_VERSION_MIN..=LOG_VERSION => Ok(SegmentHeader {
                version,
                segment: u32_at(bytes, 16),
                salt: u64_at(bytes, 24),
            }),
            0 => Err(HeaderFault::Damaged),
            newer => Err(HeaderFault::Newer(newer)),
        }
    }

    fn frame_crc(self, header: &[u8], payload: &[u8]) -> u32 {
        Crc::new()
            .add(&self.salt.to_le_bytes())
            .add(&self.segment.to_le_bytes())
            .add(&header[0..4])
            .add(&header[8..FRAME_HEADER_BYTES])
            .add(payload)
            .finish()
    }
}

fn header_crc(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> u32 {
    Crc::new().add(&bytes[0..12]).add(&bytes[16..]).finish()
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// One transaction.
    Batch,
    /// The last frame of an orderly close: everything before it was synced. No payload.
    Close,
    /// Rows that compaction moved here from the oldest segment, and what it gave up.
    Moves,
    /// A kind that this version does not know; the frame itself is whole.
    Unknown(u8),
}

impl FrameKind {
    pub(crate) fn is_batch(self) -> bool {
        self == FrameKind::Batch
    }

    pub(crate) fn is_unknown(self) -> bool {
        matches!(self, FrameKind::Unknown(_))
    }

    fn code(self) -> u8 {
        match self {
            FrameKind::Batch => 1,
            FrameKind::Close => 2,
            FrameKind::Moves => 3,
            FrameKind::Unknown(code) => code,
        }
    }

    fn from_code(code: u8) -> FrameKind {
        match code {
            1 => FrameKind::Batch,
            2 => FrameKind::Close,
            3 => FrameKind::Moves,
            code => FrameKind::Unknown(code),
        }
    }
}

/// A whole frame, as found in the bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: FrameKind,
    pub(crate) sequence: u64,
    /// The highest sequence that was known to be synced when this frame was written.
    pub(crate) synced: u64,
    /// Of a frame that was read; one to be written gets it when it is encoded.
    pub(crate) crc: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Appends the frame to `out`.
    pub(crate) fn encode(self, segment: SegmentHeader, out: &mut Vec<u8>) {
        let mut header = [0; FRAME_HEADER_BYTES];
        let length = u32::try_from(self.payload.len()).expect("a transaction is bounded");
        header[0..4].copy_from_slice(&FRAME_MAGIC);
        header[8..12].copy_from_slice(&length.to_le_bytes());
        header[12] = self.kind.code();
        header[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        header[24..32].copy_from_slice(&self.synced.to_le_bytes());
        let crc = segment.frame_crc(&header, self.payload);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(self.payload);
    }

    /// The frame that begins at the first of `bytes`, if it is whole.
    pub(crate) fn decode(segment: SegmentHeader, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        if header[0..4] != FRAME_MAGIC {
            return None;
        }
        let length = usize::try_from(u32_at(header, 8)).ok()?;
        let payload = bytes[FRAME_HEADER_BYTES..].get(..length)?;
        let frame = Frame {
            kind: FrameKind::from_code(header[12]),
            sequence: u64_at(header, 16),
            synced: u64_at(header, 24),
            crc: u32_at(header, 4),
            payload,
        };
        let whole =
            frame.crc == segment.frame_crc(header, payload) && frame.synced < frame.sequence;
        whole.then_some(frame)
    }

    /// Whether these bytes are the head of a frame of that checksum and sequence.
    pub(crate) fn is_head(bytes: &[u8], crc: u32, sequence: u64) -> bool {
        bytes.first_chunk().is_some_and(|header| {
            let header: &[u8; FRAME_HEADER_BYTES] = header;
            header[0..4] == FRAME_MAGIC
                && u32_at(header, 4) == crc
                && u64_at(header, 16) == sequence
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.payload.len()
    }
}

/// All whole frames that begin anywhere in `bytes`: how marks are found behind damage.
pub(crate) fn frames_anywhere(
    segment: SegmentHeader,
    bytes: &[u8],
) -> impl Iterator<Item = Frame<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at + FRAME_HEADER_BYTES <= bytes.len() {
            if let Some(frame) = Frame::decode(segment, &bytes[at..]) {
                at += frame.bytes();
                return Some(frame);
            }
            at += 1;
        }
        None
    })
}

/// The sequence of the whole frame that begins at the first of `bytes`, and how long it is.
pub(crate) fn known_frame(bytes: &[u8]) -> Option<(u64, u64)> {
    let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
    Some((u64_at(header, 16), frame_bytes(bytes)?))
}

/// How long the frame is that begins at the first of `bytes`, whole or not.
pub(crate) fn frame_bytes(bytes: &[u8]) -> Option<u64> {
    let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
    let length = u64::from(u32_at(header, 8));
    (header[0..4] == FRAME_MAGIC).then_some(FRAME_HEADER_BYTES as u64 + length)
}

/// Whether a frame begins with these last bytes of a file that goes on behind them. A power cut
/// leaves none: the room of a segment is on the disk, with its size, before a frame is written to it.
pub(crate) fn goes_beyond(bytes: &[u8]) -> bool {
    match frame_bytes(bytes) {
        Some(length) => length > bytes.len() as u64,
        None => {
            let seen = bytes.len().min(FRAME_MAGIC.len());
            bytes.len() < FRAME_HEADER_BYTES && bytes[..seen] == FRAME_MAGIC[..seen]
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: SegmentHeader = SegmentHeader {
        version: LOG_VERSION,
        segment: 7,
        salt: 0x0123_4567_89AB_CDEF,
    };

    fn encoded(sequence: u64, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let frame = Frame {
            kind: FrameKind::Batch,
            sequence,
            synced: sequence - 1,
            crc: 0,
            payload,
        };
        frame.encode(SEGMENT, &mut out);
        out
    }

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let whole = encoded(9, b"some payload");
        assert!(Frame::decode(SEGMENT, &whole).is_some());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::decode(SEGMENT, &bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_is_whole_only_in_its_own_segment() {
        let bytes = encoded(9, b"x");
        let other_segment = SegmentHeader {
            segment: 8,
            ..SEGMENT
        };
        let other_salt = SegmentHeader { salt: 1, ..SEGMENT };
        assert_eq!(Frame::decode(other_segment, &bytes), None);
        assert_eq!(Frame::decode(other_salt, &bytes), None);
    }

    #[test]
    fn every_flipped_bit_of_a_segment_header_is_damage_and_never_a_newer_version() {
        let whole = SEGMENT.encode();
        assert_eq!(SegmentHeader::decode(&whole), Ok(SEGMENT));
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = SegmentHeader::decode(&bytes);
            assert_eq!(read, Err(HeaderFault::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_a_newer_version_is_told_from_damage_and_older_ones_are_read() {
        let of_version = |version| {
            let header = SegmentHeader { version, ..SEGMENT };
            SegmentHeader::decode(&header.encode())
        };
        for version in [LOG_VERSION_MIN, LOG_VERSION] {
            assert_eq!(of_version(version).map(|read| read.version), Ok(version));
        }
        let newer = LOG_VERSION + 1;
        assert_eq!(of_version(newer), Err(HeaderFault::Newer(newer)));
        assert_eq!(of_version(0), Err(HeaderFault::Damaged));
    }

    #[test]
    fn frames_are_found_behind_garbage() {
        let mut bytes = b"garbage".to_vec();
        bytes.extend(encoded(3, b"three"));
        bytes.extend([0xF7; 5]);
        bytes.extend(encoded(5, b"five"));
        let found: Vec<u64> = frames_anywhere(SEGMENT, &bytes)
            .map(|f| f.sequence)
            .collect();
        assert_eq!(found, [3, 5]);
    }
}
