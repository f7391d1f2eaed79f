//! What a reader of items expects and wants, so that it looks for nothing twice.

use super::super::Name;
use super::super::name::Head;

/// The attributes that items are expected to have, and those of them that are wanted.
///
/// Items of one model have nearly the same attributes in the same order: each name is first
/// compared with the one that should come, in one step. An item may have others all the same.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    expected: Vec<Expected>,
    wanted: Vec<Name>,
}

impl Attributes {
    /// These are expected; one that is named with `true` is wanted.
    pub fn new(expected: impl IntoIterator<Item = (Name, bool)>) -> Attributes {
        let mut expected: Vec<_> = expected.into_iter().collect();
        // Of those that are named twice the one that is wanted comes first, and stays.
        expected.sort_unstable_by(|(one, wanted), (other, is_wanted)| {
            one.cmp(other).then(is_wanted.cmp(wanted))
        });
        expected.dedup_by(|(other, _), (one, _)| one == other);
        let wanted = expected.iter().filter(|(_, is_wanted)| *is_wanted);
        Attributes {
            wanted: wanted.map(|(name, _)| name.clone()).collect(),
            expected: expected.into_iter().map(Expected::new).collect(),
        }
    }

    /// Those that are wanted, in order.
    pub fn wanted(&self) -> &[Name] {
        &self.wanted
    }

    pub(super) fn expected(&self) -> &[Expected] {
        &self.expected
    }
}

/// All of them are wanted.
impl<N: Into<Name>> FromIterator<N> for Attributes {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Attributes {
        Attributes::new(names.into_iter().map(|name| (name.into(), true)))
    }
}

/// An attribute that may come next.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) name: Name,
    pub(super) head: Head,
    pub(super) is_wanted: bool,
    /// How many bytes the encoding of the name has.
    pub(super) length: usize,
    /// What it begins with where `mask` has ones.
    bytes: u128,
    /// Nothing fits that of a long name, whose length may take more than a byte.
    mask: u128,
}

const COMPARED_BYTES: usize = 16;

impl Expected {
    fn new((name, is_wanted): (Name, bool)) -> Expected {
        let mut bytes = [0; COMPARED_BYTES];
        let mut mask = [0; COMPARED_BYTES];
        let length = name.as_bytes().len();
        bytes[0] = length as u8;
        if length < COMPARED_BYTES {
            bytes[1..=length].copy_from_slice(name.as_bytes());
            mask[..=length].fill(0xFF);
        }
        Expected {
            head: name.head(),
            length: 1 + length,
            name,
            is_wanted,
            bytes: u128::from_le_bytes(bytes),
            mask: u128::from_le_bytes(mask),
        }
    }

    /// Whether the bytes begin with this name. It may be so although the answer is no, for a long
    /// name and near the end.
    #[inline]
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        let first = bytes.first_chunk::<COMPARED_BYTES>();
        first.is_some_and(|first| u128::from_le_bytes(*first) & self.mask == self.bytes)
    }
}
