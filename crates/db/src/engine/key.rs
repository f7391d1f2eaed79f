//! The key of a row that was read.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// The key of a row, as bytes. The rows of one scan have one piece of memory for their keys: who
/// keeps a single one of many for long copies it.
#[derive(Clone)]
pub struct Key {
    bytes: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Key {
    /// These keys, each told by where it ends in the bytes.
    pub(crate) fn split(bytes: Vec<u8>, ends: Vec<u32>) -> impl ExactSizeIterator<Item = Key> {
        let bytes = Arc::<[u8]>::from(bytes);
        let mut start = 0;
        ends.into_iter().map(move |end| Key {
            bytes: Arc::clone(&bytes),
            start: std::mem::replace(&mut start, end),
            end,
        })
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Key {
        Key {
            bytes: Arc::from(key),
            start: 0,
            end: key.len() as u32,
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_piece_of_memory_are_as_if_each_had_its_own() {
        let keys: Vec<Key> = Key::split(b"abcc".to_vec(), vec![1, 1, 3, 4]).collect();
        let own: Vec<Key> = [&b"a"[..], b"", b"bc", b"c"].map(Key::from).into();
        assert_eq!(keys, own);
        assert!(keys[1] < keys[0] && keys[2] < keys[3]);
        assert_eq!(&*keys[2], b"bc");
        let piece = &keys[0].bytes;
        assert!(keys.iter().all(|key| Arc::ptr_eq(piece, &key.bytes)));
    }
}
