//! Checksums of objects ("Checking object integrity" in the S3 User Guide).
//!
//! S3 compares them with what it received. Two are known here: CRC-32, which every stand-in of S3
//! understands, and CRC-64/NVME, which S3 itself prefers. Both are taken while a body passes, and
//! those of parts can be combined into that of the whole.
//!
//! ```
//! use periwinkle_core::aws::checksum::{Algorithm, Checksum};
//!
//! let mut checksum = Checksum::new(Algorithm::Crc32);
//! checksum.update(b"1234");
//! checksum.update(b"56789");
//! assert_eq!(checksum.value().base64(), "y/Q5Jg==");
//! ```

mod combine;
mod crc64;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Which checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// CRC-32 as in zlib and Ethernet.
    Crc32,
    /// CRC-64 as in the NVM Express specification.
    Crc64Nvme,
}

/// What the checksum of an object in parts is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The bytes of the whole object, however it was cut.
    FullObject,
    /// The checksums of the parts, one behind the other.
    Composite,
}

impl Algorithm {
    /// The field, in requests, trailers and answers.
    pub const fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        }
    }

    /// The name in `x-amz-checksum-algorithm`.
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc64Nvme => "CRC64NVME",
        }
    }

    /// The name of the element in XML.
    pub const fn element(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "ChecksumCRC32",
            Algorithm::Crc64Nvme => "ChecksumCRC64NVME",
        }
    }

    /// How many bytes a value has.
    pub const fn bytes(self) -> usize {
        match self {
            Algorithm::Crc32 => 4,
            Algorithm::Crc64Nvme => 8,
        }
    }

    /// How long the text of a value is: four letters for each three bytes begun.
    pub const fn text_bytes(self) -> usize {
        self.bytes().div_ceil(3) * 4
    }
}

impl Coverage {
    /// The name in `x-amz-checksum-type`.
    pub const fn name(self) -> &'static str {
        match self {
            Coverage::FullObject => "FULL_OBJECT",
            Coverage::Composite => "COMPOSITE",
        }
    }
}

/// A checksum that is being taken.
#[derive(Clone, Debug)]
pub struct Checksum {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Crc32(crc32fast::Hasher),
    Crc64Nvme(u64),
}

impl Checksum {
    /// The checksum of nothing yet.
    pub fn new(algorithm: Algorithm) -> Checksum {
        let state = match algorithm {
            Algorithm::Crc32 => State::Crc32(crc32fast::Hasher::new()),
            Algorithm::Crc64Nvme => State::Crc64Nvme(0),
        };
        Checksum { state }
    }

    /// The checksum of some bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Value {
        let mut checksum = Checksum::new(algorithm);
        checksum.update(bytes);
        checksum.value()
    }

    /// More bytes pass.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc32(hasher) => hasher.update(bytes),
            State::Crc64Nvme(crc) => *crc = crc64::update(*crc, bytes),
        }
    }

    /// The value of what passed so far.
    pub fn value(&self) -> Value {
        match &self.state {
            State::Crc32(hasher) => Value {
                algorithm: Algorithm::Crc32,
                bits: u64::from(hasher.clone().finalize()),
            },
            State::Crc64Nvme(crc) => Value {
                algorithm: Algorithm::Crc64Nvme,
                bits: *crc,
            },
        }
    }
}

/// The value of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    algorithm: Algorithm,
    bits: u64,
}

impl Value {
    /// Which checksum it is.
    pub const fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    /// Reads the text of a header, trailer or element.
    pub fn parse(algorithm: Algorithm, text: &str) -> Option<Value> {
        Value::from_bytes(algorithm, &STANDARD.decode(text).ok()?)
    }

    /// The value in big-endian bytes.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Value> {
        if bytes.len() != algorithm.bytes() {
            return None;
        }
        let bits = bytes
            .iter()
            .fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Some(Value { algorithm, bits })
    }

    /// The text for a header, trailer or element: big-endian, in Base64.
    pub fn base64(self) -> String {
        STANDARD.encode(self.bytes().as_slice())
    }

    /// The value in big-endian bytes.
    pub fn bytes(self) -> Vec<u8> {
        self.bits.to_be_bytes()[8 - self.algorithm.bytes()..].to_vec()
    }

    /// The checksum of the bytes of `self` followed by the `next_bytes` bytes of `next`.
    ///
    /// # Panics
    /// When the two are of different kinds.
    #[must_use]
    pub fn followed_by(self, next: Value, next_bytes: u64) -> Value {
        assert_eq!(
            self.algorithm, next.algorithm,
            "checksums of one object are of one kind"
        );
        let bits = match self.algorithm {
            Algorithm::Crc32 => combine::CRC_32.combine(self.bits, next.bits, next_bytes),
            Algorithm::Crc64Nvme => combine::CRC_64_NVME.combine(self.bits, next.bits, next_bytes),
        };
        Value { bits, ..self }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base64())
    }
}

/// The checksum of a whole object from those of its parts with their lengths.
pub fn full_object(algorithm: Algorithm, parts: impl IntoIterator<Item = (Value, u64)>) -> Value {
    let nothing = Checksum::new(algorithm).value();
    parts.into_iter().fold(nothing, |whole, (part, bytes)| {
        whole.followed_by(part, bytes)
    })
}

/// The composite checksum of an object as S3 shows it: the checksum of the parts' checksums, and
/// how many there are.
pub fn composite(algorithm: Algorithm, parts: impl IntoIterator<Item = Value>) -> String {
    let mut checksum = Checksum::new(algorithm);
    let mut count = 0_usize;
    for part in parts {
        checksum.update(&part.bytes());
        count += 1;
    }
    format!("{}-{count}", checksum.value())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Crc32, Algorithm::Crc64Nvme];

    /// The definition, bit by bit.
    fn slow(algorithm: Algorithm, bytes: &[u8]) -> u64 {
        let (polynomial, ones) = match algorithm {
            Algorithm::Crc32 => (0xEDB8_8320, u64::from(u32::MAX)),
            Algorithm::Crc64Nvme => (0x9A6C_9329_AC4B_C9B5, u64::MAX),
        };
        let crc = bytes.iter().fold(ones, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 1 { polynomial } else { 0 }
            })
        });
        crc ^ ones
    }

    #[test]
    fn the_check_values_of_the_catalogue_are_met() {
        let check = |algorithm| Checksum::of(algorithm, b"123456789").bits;
        assert_eq!(check(Algorithm::Crc32), 0xCBF4_3926);
        assert_eq!(check(Algorithm::Crc64Nvme), 0xAE8B_1486_0A79_9888);
    }

    #[test]
    fn a_value_is_written_as_the_fields_of_s3_and_read_back() {
        for algorithm in BOTH {
            let value = Checksum::of(algorithm, b"hello");
            let text = value.base64();
            assert_eq!(text.len(), algorithm.text_bytes());
            assert_eq!(Value::parse(algorithm, &text), Some(value));
            assert_eq!(Value::parse(algorithm, "AAAA"), None);
            assert_eq!(Value::parse(algorithm, "no base64"), None);
        }
        assert_eq!(Checksum::of(Algorithm::Crc32, b"").base64(), "AAAAAA==");
    }

    #[test]
    fn a_composite_checksum_covers_the_checksums_and_counts_the_parts() {
        let parts = [b"one".as_slice(), b"two"].map(|part| Checksum::of(Algorithm::Crc32, part));
        let mut joined = parts[0].bytes();
        joined.extend(parts[1].bytes());
        let whole = Checksum::of(Algorithm::Crc32, &joined);
        assert_eq!(composite(Algorithm::Crc32, parts), format!("{whole}-2"));
    }

    proptest! {
        #[test]
        fn pieces_make_the_checksum_that_the_definition_makes(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cuts in prop::collection::vec(0_usize..300, 0..4),
        ) {
            for algorithm in BOTH {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
                cuts.extend([0, bytes.len()]);
                cuts.sort_unstable();
                let mut checksum = Checksum::new(algorithm);
                let mut parts = Vec::new();
                for pair in cuts.windows(2) {
                    let part = &bytes[pair[0]..pair[1]];
                    checksum.update(part);
                    parts.push((Checksum::of(algorithm, part), part.len() as u64));
                }
                let expected = slow(algorithm, &bytes);
                prop_assert_eq!(checksum.value().bits, expected);
                prop_assert_eq!(full_object(algorithm, parts).bits, expected);
            }
        }
    }
}
