//! The rows that every engine gets: 60 bytes of key, some 200 of value, 40 of one index entry.

/// Random numbers that are the same in every run (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed(self.0)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

fn mixed(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// A row to be written.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) index: [u8; INDEX_BYTES],
    pub(crate) value: [u8; VALUE_BYTES],
}

pub(crate) const KEY_BYTES: usize = 60;
pub(crate) const INDEX_BYTES: usize = 40;
pub(crate) const VALUE_BYTES: usize = 200;

impl Row {
    /// The row with this number; `version` changes the value and nothing else.
    pub(crate) fn new(number: u32, version: u32) -> Row {
        Row {
            key: key(number),
            index: index(number),
            value: value(number, version),
        }
    }
}

/// Keys have what keys of one device have in common in front, and come in no order.
pub(crate) fn key(number: u32) -> [u8; KEY_BYTES] {
    let mut key = *b"dev#a81758fffe03dc1f#rw\0Reading#hall-2/air/humidity#00000000";
    write_digits(&mut key[KEY_BYTES - 8..], scattered(number));
    key
}

/// Index keys are unique, so that finding by one finds one row.
pub(crate) fn index(number: u32) -> [u8; INDEX_BYTES] {
    let mut index = *b"gs1#Reading#open\0by-due-date#02026-00000";
    write_digits(&mut index[INDEX_BYTES - 8..], scattered(!number));
    index
}

/// Words and digits as rows have them: not as random as a key, not as repetitive as one letter.
fn value(number: u32, version: u32) -> [u8; VALUE_BYTES] {
    let mut random = Random::new(u64::from(number) << 32 | u64::from(version));
    let mut value = [0; VALUE_BYTES];
    for part in value.chunks_mut(16) {
        let digits = random.next();
        for (at, byte) in part.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(digits >> (4 * at) & 15) as usize];
        }
    }
    value
}

/// Another order of the same numbers: an odd factor loses none.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9E37_79B1)
}

fn write_digits(place: &mut [u8], number: u32) {
    for (at, byte) in place.iter_mut().rev().enumerate() {
        *byte = b"0123456789abcdef"[(number >> (4 * at) & 15) as usize];
    }
}
