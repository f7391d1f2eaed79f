//! The mark of an attempt: how the device recognises its own write in the cloud.

use std::fmt;
use std::str::FromStr;

const EPOCH_DIGITS: usize = 10;
const N_DIGITS: usize = 12;

/// The name of one attempt, never used twice: the epoch of this start and a number within it.
///
/// Written to the item's `_m` as text of fixed width, `0000000007.000000000042`, so that comparing
/// texts compares marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The epoch that this start of the database took in the cloud.
    pub epoch: u64,
    /// Counts from 1 within the epoch.
    pub n: u64,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0EPOCH_DIGITS$}.{:0N_DIGITS$}", self.epoch, self.n)
    }
}

/// The text is no mark of ours; another writer may keep what it likes in its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a mark: expected {EPOCH_DIGITS} digits, a dot and {N_DIGITS} digits")]
#[non_exhaustive]
pub struct MarkError;

impl FromStr for Mark {
    type Err = MarkError;

    fn from_str(text: &str) -> Result<Mark, MarkError> {
        let (epoch, n) = text.split_once('.').ok_or(MarkError)?;
        Ok(Mark {
            epoch: digits(epoch, EPOCH_DIGITS)?,
            n: digits(n, N_DIGITS)?,
        })
    }
}

fn digits(text: &str, width: usize) -> Result<u64, MarkError> {
    if text.len() != width || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MarkError);
    }
    text.parse().map_err(|_| MarkError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_a_fixed_width_and_reads_back() {
        let mark = Mark { epoch: 7, n: 42 };
        assert_eq!(mark.to_string(), "0000000007.000000000042");
        assert_eq!("0000000007.000000000042".parse(), Ok(mark));
    }

    #[test]
    fn texts_sort_as_marks_do() {
        let marks = [(1, 9), (1, 10), (2, 1), (10, 0)].map(|(epoch, n)| Mark { epoch, n });
        assert!(marks.is_sorted());
        assert!(marks.map(|mark| mark.to_string()).is_sorted());
    }

    #[test]
    fn foreign_texts_are_no_marks() {
        for text in [
            "",
            "7.42",
            "0000000007",
            "000000000x.000000000042",
            "+000000007.000000000042",
        ] {
            assert_eq!(text.parse::<Mark>(), Err(MarkError), "{text:?}");
        }
    }
}
