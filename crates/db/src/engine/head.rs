//! Pieces of keys that mostly decide how the keys stand to each other.

/// Eight bytes of a key from `at` on, as a number of the same order. Zeros stand for bytes that
/// the key does not have, so that keys with different numbers are in order, and those with the
/// same number must be compared. All keys must begin with the same `at` bytes.
pub(crate) fn head(key: &[u8], at: usize) -> u64 {
    let rest = key.get(at..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(bytes)
        }
    }
}

/// With how many bytes both keys begin.
pub(crate) fn shared_bytes(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
    let words = 8 * words.take_while(|(one, other)| one == other).count();
    let rest = one[words..].iter().zip(&other[words..]);
    words + rest.take_while(|(one, other)| one == other).count()
}

/// With how many bytes all keys begin.
pub(crate) fn shared_by_all<'k>(mut keys: impl Iterator<Item = &'k [u8]>) -> usize {
    let Some(first) = keys.next() else { return 0 };
    keys.fold(first.len(), |shared, key| {
        shared_bytes(&first[..shared], key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_order_keys_as_far_as_they_go() {
        let mut keys = ["", "a", "a\0", "ab", "abcdefgh", "abcdefghi", "abd", "b"];
        keys.sort_unstable();
        for (one, other) in keys.iter().zip(&keys[1..]) {
            assert!(head(one.as_bytes(), 0) <= head(other.as_bytes(), 0));
        }
        assert_eq!(head(b"xxab", 2), 0x6162 << 48);
        assert_eq!(head(b"x", 2), 0);
    }

    #[test]
    fn shared_bytes_are_counted_to_the_first_that_differs() {
        let key: Vec<u8> = (0..40).collect();
        for at in 0..40 {
            let mut other = key.clone();
            other[at] = 99;
            assert_eq!(shared_bytes(&key, &other), at);
            assert_eq!(shared_bytes(&key, &key[..at]), at);
            let all = [&key[..], &other, &key];
            assert_eq!(shared_by_all(all.into_iter()), at);
        }
        assert_eq!(shared_bytes(&key, &key), 40);
        assert_eq!(shared_by_all(std::iter::empty()), 0);
    }
}
