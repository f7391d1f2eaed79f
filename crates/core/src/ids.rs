//! Identifiers: ULID, UID and UUID. Time and entropy are arguments.

use crate::time::UnixMillis;

/// Where the bits of identifiers come from: the operating system in the agent, a seed in tests.
pub trait Entropy {
    /// Fills the whole slice with unpredictable bytes.
    fn fill(&mut self, bytes: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, bytes: &mut [u8]) {
        self(bytes);
    }
}

/// Makes ULIDs that rise, also within one millisecond and when the clock jumps back.
///
/// Source: the ULID specification, sections "Components" and "Monotonicity". Other than there, the
/// random part counts up in its third letter and not in its last: texts that are alike up to
/// their ends are slow to find one among many, and a burst makes hundreds of them.
#[derive(Clone, Debug, Default)]
pub struct UlidSource {
    last_ms: u64,
    last_random: u128,
}

impl UlidSource {
    /// The next identifier: 26 letters of Crockford's base 32, sorted by the time of creation.
    ///
    /// Without a wall time, or when it went back, the time of the last identifier is kept and the
    /// random part counts up, so that the order of creation is the order of the text.
    pub fn next(&mut self, wall: Option<UnixMillis>, entropy: &mut dyn Entropy) -> String {
        let ms = wall.map_or(0, |wall| u64::try_from(wall.0).unwrap_or(0)) & TIME_MASK;
        if ms > self.last_ms || self.last_random == 0 {
            self.last_ms = ms.max(self.last_ms);
            self.last_random = fresh_random(entropy);
        } else if self.last_random > RANDOM_MASK - RANDOM_STEP {
            self.last_ms += 1;
            self.last_random = fresh_random(entropy);
        } else {
            self.last_random += RANDOM_STEP;
        }
        ulid_text(self.last_ms, self.last_random)
    }
}

/// A random text of `letters` letters of Crockford's base 32: 50 bits at the usual 10 letters.
pub fn uid(letters: usize, entropy: &mut dyn Entropy) -> String {
    let mut bytes = vec![0; letters];
    entropy.fill(&mut bytes);
    bytes.iter().map(|byte| letter(u128::from(*byte))).collect()
}

/// A random UUID, version 4 of RFC 9562 section 5.4.
pub fn uuid(entropy: &mut dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 0x0f] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is below 16"));
        }
    }
    text
}

const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_MASK: u64 = (1 << 48) - 1;
const RANDOM_MASK: u128 = (1 << 80) - 1;
/// One in the third of the sixteen letters: room for some ten thousand within a millisecond.
const RANDOM_STEP: u128 = 1 << (5 * 13);

fn fresh_random(entropy: &mut dyn Entropy) -> u128 {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes[6..]);
    // Zero marks a source that has made nothing yet.
    u128::from_be_bytes(bytes).max(1)
}

fn ulid_text(ms: u64, random: u128) -> String {
    let mut bits = u128::from(ms) << 80 | random;
    let mut text = [0; 26];
    for place in text.iter_mut().rev() {
        *place = LETTERS[(bits & 31) as usize];
        bits >>= 5;
    }
    str::from_utf8(&text).expect("they are letters").to_owned()
}

fn letter(bits: u128) -> char {
    char::from(LETTERS[(bits & 31) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(byte: u8) -> impl FnMut(&mut [u8]) {
        move |bytes: &mut [u8]| bytes.fill(byte)
    }

    #[test]
    fn a_ulid_holds_its_time_and_its_random_bits() {
        let id = UlidSource::default().next(Some(UnixMillis(1_469_918_176_385)), &mut constant(0));
        assert_eq!(id, "01ARYZ6S410000000000000001");
        let id = UlidSource::default().next(Some(UnixMillis(1)), &mut constant(0xff));
        assert_eq!(id, "0000000001ZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn ulids_rise_within_a_millisecond_and_when_the_clock_goes_back_or_is_missing() {
        let mut source = UlidSource::default();
        let mut entropy = constant(0x55);
        let times = [
            Some(5000),
            Some(5000),
            Some(4000),
            None,
            Some(5001),
            Some(9000),
            None,
        ];
        let ids: Vec<_> = times
            .iter()
            .map(|ms| source.next(ms.map(UnixMillis), &mut entropy))
            .collect();
        let mut sorted = ids.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(ids, sorted);
    }

    #[test]
    fn ulids_of_one_millisecond_differ_early() {
        let mut source = UlidSource::default();
        let mut next = || source.next(Some(UnixMillis(7)), &mut constant(0));
        assert_eq!(next(), "00000000070000000000000001");
        assert_eq!(next(), "00000000070010000000000001");
        let in_all = 2
            + (2..1 << 15)
                .map(|_| next())
                .filter(|id| id.starts_with("0000000007"))
                .count();
        assert_eq!(in_all, 1 << 15);
        assert_eq!(next(), "00000000080000000000000001");
    }

    #[test]
    fn a_full_random_part_moves_to_the_next_millisecond() {
        let mut source = UlidSource::default();
        let first = source.next(Some(UnixMillis(7)), &mut constant(0xff));
        let second = source.next(Some(UnixMillis(7)), &mut constant(0));
        assert_eq!(&first[..10], "0000000007");
        assert_eq!(second, "00000000080000000000000001");
    }

    #[test]
    fn a_uid_has_the_letters_that_are_asked_for() {
        assert_eq!(uid(10, &mut constant(33)), "1111111111");
        assert_eq!(uid(0, &mut constant(33)), "");
    }

    #[test]
    fn a_uuid_carries_its_version_and_variant() {
        assert_eq!(
            uuid(&mut constant(0xff)),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
