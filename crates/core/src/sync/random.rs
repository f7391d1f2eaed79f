//! The machine's own randomness: from a seed, so that every history can be replayed.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
///
/// For jitter and for texts that must differ between starts. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn seeded(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Somewhere between half of `around` and one and a half of it.
    pub(crate) fn jitter(&mut self, around: Duration) -> Duration {
        around / 2 + around.mul_f64(self.unit())
    }

    /// At least 0 and below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Sixteen hexadecimal digits.
    pub(crate) fn text(&mut self) -> String {
        format!("{:016x}", self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_half_of_its_middle() {
        let mut random = Random::seeded(1);
        let around = Duration::from_secs(10);
        for _ in 0..1000 {
            let jitter = random.jitter(around);
            assert!(jitter >= Duration::from_secs(5) && jitter < Duration::from_secs(15));
        }
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let mut one = Random::seeded(7);
        let mut other = Random::seeded(7);
        assert_eq!(one.text(), other.text());
        assert_ne!(one.next(), Random::seeded(8).next());
    }
}
