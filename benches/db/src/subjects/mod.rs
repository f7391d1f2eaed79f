//! The engines under test behind one face, each configured as its users would.

mod ours;
#[cfg(feature = "peers")]
mod peers;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::fixture::Row;

/// An open database of rows with one index.
pub(crate) trait Subject: Send + Sync {
    /// Writes the rows, and their index entries, as one transaction.
    fn write(&self, rows: &[Row], safety: Safety) -> Result<()>;

    /// Returns when everything written so far is on the disk, as far as the engine offers that.
    fn sync(&self) -> Result<()>;

    /// What the calls of one reading thread go through.
    fn reader(&self) -> Result<Box<dyn Reader + '_>>;

    fn close(self: Box<Self>) -> Result<()>;

    /// Whether writers that wait at the same time share a sync without further ado.
    fn groups_writers(&self) -> bool {
        false
    }

    /// How much of its log is live, in percent, where the engine knows.
    fn live_pct(&self) -> Option<f64> {
        None
    }

    /// Bytes that the engine says it has written, and how often it has synced.
    fn flushed(&self) -> Option<Flushed> {
        None
    }
}

/// Every call touches all bytes of the values that it found, and answers with something that
/// depends on them.
pub(crate) trait Reader {
    fn get(&mut self, key: &[u8]) -> Result<u64>;

    /// So many rows in the order of keys, from `key` on.
    fn scan(&mut self, key: &[u8], rows: usize) -> Result<u64>;

    /// The row with this index entry.
    fn find(&mut self, index: &[u8]) -> Result<u64>;

    /// So many rows in the order of the index, from this entry on.
    fn page(&mut self, index: &[u8], rows: usize) -> Result<u64>;
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flushed {
    pub(crate) bytes: u64,
    pub(crate) syncs: u64,
}

/// When a write is safe from a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// Before the call returns.
    Durable,
    /// Some time later.
    Relaxed,
}

/// What the engine itself may keep of the values; the system's page cache is below all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cache {
    /// As it comes.
    Usual,
    /// Everything.
    All,
    /// As little as it can be told to.
    None,
}

pub(crate) const CACHE_ALL_BYTES: usize = 128 << 20;

/// How to open a database.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) directory: PathBuf,
    pub(crate) cache: Cache,
    /// Whether rows have their index entry.
    pub(crate) indexed: bool,
    /// How much of a log shall be live at least, in percent, where the engine lets one say.
    pub(crate) live_pct: Option<u64>,
}

pub(crate) fn open(name: &str, setup: &Setup) -> Result<Box<dyn Subject>> {
    Ok(match name {
        "periwinkle" => Box::new(ours::Ours::open(setup)?),
        #[cfg(feature = "peers")]
        "redb" => Box::new(peers::redb::Redb::open(setup)?),
        #[cfg(feature = "peers")]
        "sqlite-full" => Box::new(peers::sqlite::Sqlite::open(setup, "FULL")?),
        #[cfg(feature = "peers")]
        "sqlite-normal" => Box::new(peers::sqlite::Sqlite::open(setup, "NORMAL")?),
        #[cfg(feature = "peers")]
        "fjall" => Box::new(peers::fjall::Fjall::open(setup)?),
        name => bail!("there is no engine {name} in this build"),
    })
}

/// Reads every byte.
pub(crate) fn touch(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let rest = rest.iter().map(|byte| u64::from(*byte));
    words.chain(rest).fold(0, u64::wrapping_add)
}
