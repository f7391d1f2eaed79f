//! The engine of Periwinkle.

use std::ops::Bound;
use std::sync::Arc;

use anyhow::{Context, Result};
use periwinkle_db::engine::{
    Batch, Durability, FileStorage, IndexId, IndexRange, KeyRange, Options, Order, Store,
};

use super::{CACHE_ALL_BYTES, Cache, Flushed, Reader, Safety, Setup, Subject, touch};
use crate::fixture::Row;

/// One that is ordered by its keys.
const INDEX: IndexId = IndexId(100);

pub(crate) struct Ours {
    store: Store,
    indexed: bool,
}

impl Ours {
    pub(crate) fn open(setup: &Setup) -> Result<Ours> {
        let storage = Arc::new(FileStorage::open(&setup.directory)?);
        let usual = Options::default();
        let options = Options {
            cache_bytes: match setup.cache {
                Cache::Usual => usual.cache_bytes,
                Cache::All => CACHE_ALL_BYTES,
                Cache::None => 0,
            },
            live_percent_min: setup.live_pct.unwrap_or(usual.live_percent_min),
            ..usual
        };
        let (store, _report) = Store::open(storage, options)?;
        Ok(Ours {
            store,
            indexed: setup.indexed,
        })
    }
}

impl Subject for Ours {
    fn write(&self, rows: &[Row], safety: Safety) -> Result<()> {
        let mut batch = Batch::new();
        for row in rows {
            if self.indexed {
                batch.put_indexed(&row.key, &row.value, &[(INDEX, &row.index)]);
            } else {
                batch.put(&row.key, &row.value);
            }
        }
        match safety {
            Safety::Relaxed => drop(self.store.commit(&batch, Durability::Relaxed)?),
            Safety::Durable => {
                let committed = self.store.commit(&batch, Durability::Immediate)?;
                committed.ticket.wait()?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(self.store.flush().wait()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(OursReader(&self.store)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.store.close()?)
    }

    fn groups_writers(&self) -> bool {
        true
    }

    fn live_pct(&self) -> Option<f64> {
        let stats = self.store.stats();
        let all = stats.bytes_live + stats.bytes_garbage;
        Some(100.0 * stats.bytes_live as f64 / all as f64)
    }

    fn flushed(&self) -> Option<Flushed> {
        let stats = self.store.stats();
        Some(Flushed {
            bytes: stats.bytes_written,
            syncs: stats.syncs,
        })
    }
}

struct OursReader<'a>(&'a Store);

impl Reader for OursReader<'_> {
    fn get(&mut self, key: &[u8]) -> Result<u64> {
        let entry = self.0.get(key)?.context("a row is missing")?;
        Ok(touch(&entry.value))
    }

    fn scan(&mut self, key: &[u8], rows: usize) -> Result<u64> {
        let range = KeyRange::new(Bound::Included(key.to_vec()), Bound::Unbounded);
        let found = self.0.rows(&range, Order::Forward, rows)?;
        Ok(found.iter().map(|row| touch(row.value)).sum())
    }

    fn find(&mut self, index: &[u8]) -> Result<u64> {
        let range = IndexRange::new(KeyRange::prefix(index));
        let found = self.0.scan_index(INDEX, &range, Order::Forward, 1)?;
        let found = found.first().context("an index entry is missing")?;
        Ok(touch(&found.entry.value))
    }

    fn page(&mut self, index: &[u8], rows: usize) -> Result<u64> {
        let range = KeyRange::new(Bound::Included(index.to_vec()), Bound::Unbounded);
        let range = IndexRange::new(range);
        let found = self.0.rows_by_index(INDEX, &range, Order::Forward, rows)?;
        Ok(found.iter().map(|(_, row)| touch(row.value)).sum())
    }
}
