//! CRC-32C (Castagnoli), sixteen bytes a step.
//!
//! The polynomial finds all errors of up to five flipped bits in frames of our size, and is the
//! one that storage hardware uses. The `crc32fast` crate knows only the IEEE polynomial.

/// The reversed polynomial 0x1EDC6F41.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// Bytes of a step, each of which has a table. A step waits for the one before, so long steps are
/// faster than short ones as long as the tables stay in the processor's nearest memory.
const STEP_BYTES: usize = 16;

static TABLES: [[u32; 256]; STEP_BYTES] = tables();

/// A running checksum: `Crc::new().add(a).add(b).finish()` equals that of `a` and `b` joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) const fn new() -> Crc {
        Crc(!0)
    }

    pub(crate) fn add(self, bytes: &[u8]) -> Crc {
        let (words, rest) = bytes.as_chunks();
        let state = words.iter().fold(self.0, step);
        Crc(rest.iter().fold(state, |state, byte| step1(state, *byte)))
    }

    pub(crate) const fn finish(self) -> u32 {
        !self.0
    }

    /// The checksum of what this one covers and, behind it, of `bytes` more that `behind` covers.
    pub(crate) fn join(self, behind: Crc, bytes: u64) -> Crc {
        let moved = product(power_of_x(8 * bytes), self.finish());
        Crc(!(moved ^ behind.finish()))
    }
}

/// The product of two polynomials modulo that of the checksum. The highest bit is the coefficient of
/// x^0.
fn product(one: u32, mut other: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        product ^= other * (one >> bit & 1);
        other = (other >> 1) ^ (POLYNOMIAL * (other & 1));
    }
    product
}

/// x^`exponent` modulo the polynomial of the checksum.
fn power_of_x(mut exponent: u64) -> u32 {
    let (mut power, mut square) = (1 << 31, 1 << 30);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = product(power, square);
        }
        square = product(square, square);
        exponent >>= 1;
    }
    power
}

#[inline]
fn step(state: u32, bytes: &[u8; STEP_BYTES]) -> u32 {
    let bytes = u128::from_le_bytes(*bytes);
    // Copies of two words stay in registers, where sixteen bytes would be written to be read again.
    let halves = [bytes as u64 ^ u64::from(state), (bytes >> 64) as u64];
    let tables = TABLES.as_chunks::<8>().0.iter().rev();
    let mut crc = 0;
    for at in 0..8 {
        for (tables, half) in tables.clone().zip(halves) {
            crc ^= tables[7 - at][(half >> (8 * at) & 0xff) as usize];
        }
    }
    crc
}

#[inline]
fn step1(state: u32, byte: u8) -> u32 {
    (state >> 8) ^ TABLES[0][((state ^ u32::from(byte)) & 0xff) as usize]
}

const fn tables() -> [[u32; 256]; STEP_BYTES] {
    let mut tables = [[0u32; 256]; STEP_BYTES];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ (POLYNOMIAL * (state & 1));
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut row = 1;
    while row < STEP_BYTES {
        let mut byte = 0;
        while byte < 256 {
            let last = tables[row - 1][byte];
            tables[row][byte] = (last >> 8) ^ tables[0][(last & 0xff) as usize];
            byte += 1;
        }
        row += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc32c(bytes: &[u8]) -> u32 {
        Crc::new().add(bytes).finish()
    }

    #[test]
    fn published_vectors_come_out_right() {
        // RFC 3720 (iSCSI), section B.4, and the catalogue's check value.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xff; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(&ascending), 0x46DD_794E);
        assert_eq!(crc32c(&descending), 0x113F_DB5C);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn parts_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..100u8).map(|i| i.wrapping_mul(37)).collect();
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(Crc::new().add(a).add(b).finish(), crc32c(&bytes));
            let (first, behind) = (Crc::new().add(a), Crc::new().add(b));
            assert_eq!(first.join(behind, b.len() as u64).finish(), crc32c(&bytes));
        }
    }
}
