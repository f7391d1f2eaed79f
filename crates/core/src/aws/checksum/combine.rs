//! The checksum of two pieces from the checksums of each.
//!
//! A checksum is a remainder of polynomials over one bit. Bytes behind a piece multiply its
//! remainder by a power of x, so the two are combined by one multiplication, whatever the lengths.

use super::crc64;

/// A checksum whose lowest power stands in the highest bit.
pub(super) struct Polynomial {
    terms: u64,
    /// The polynomial 1.
    one: u64,
}

pub(super) const CRC_32: Polynomial = Polynomial {
    terms: 0xEDB8_8320,
    one: 1 << 31,
};

pub(super) const CRC_64_NVME: Polynomial = Polynomial {
    terms: crc64::POLYNOMIAL,
    one: 1 << 63,
};

impl Polynomial {
    /// The checksum of a first piece followed by a second of `second_bytes`.
    pub(super) fn combine(&self, first: u64, second: u64, second_bytes: u64) -> u64 {
        self.multiply(first, self.power_of_bytes(second_bytes)) ^ second
    }

    /// x to the power of eight times `bytes`, by squaring.
    fn power_of_bytes(&self, bytes: u64) -> u64 {
        let mut square = self.one >> 8;
        let mut power = self.one;
        let mut left = bytes;
        while left > 0 {
            if left & 1 == 1 {
                power = self.multiply(power, square);
            }
            square = self.multiply(square, square);
            left >>= 1;
        }
        power
    }

    fn multiply(&self, one: u64, other: u64) -> u64 {
        let mut product = 0;
        let mut shifted = other;
        let mut bit = self.one;
        while bit > 0 {
            if one & bit != 0 {
                product ^= shifted;
            }
            shifted = (shifted >> 1) ^ if shifted & 1 == 1 { self.terms } else { 0 };
            bit >>= 1;
        }
        product
    }
}
