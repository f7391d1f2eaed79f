//! The one reader of the system's entropy.

use std::io;

/// Fills `bytes` with random bytes fit for keys.
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

/// `N` random bytes fit for keys.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Chance for pauses, evenly distributed over all of `u64`; without entropy it is 0, the shortest
/// pause.
pub fn chance() -> u64 {
    u64::from_le_bytes(bytes().unwrap_or_default())
}
