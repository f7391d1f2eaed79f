//! fjall: two keyspaces, written by one batch. Relaxed leaves the journal to the system's page
//! cache, which is fjall's default; durable syncs it.

use anyhow::{Context, Result};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::fixture::Row;
use crate::subjects::{CACHE_ALL_BYTES, Cache, Reader, Safety, Setup, Subject, touch};

pub(crate) struct Fjall {
    database: Database,
    rows: Keyspace,
    index: Keyspace,
    indexed: bool,
}

impl Fjall {
    pub(crate) fn open(setup: &Setup) -> Result<Fjall> {
        let builder = Database::builder(&setup.directory);
        let database = match setup.cache {
            Cache::Usual => builder,
            Cache::All => builder.cache_size(CACHE_ALL_BYTES as u64),
            Cache::None => builder.cache_size(0),
        }
        .open()?;
        Ok(Fjall {
            rows: database.keyspace("rows", KeyspaceCreateOptions::default)?,
            index: database.keyspace("index", KeyspaceCreateOptions::default)?,
            database,
            indexed: setup.indexed,
        })
    }
}

impl Subject for Fjall {
    fn write(&self, rows: &[Row], safety: Safety) -> Result<()> {
        let mut batch = self.database.batch().durability(match safety {
            Safety::Durable => Some(PersistMode::SyncData),
            Safety::Relaxed => Some(PersistMode::Buffer),
        });
        for row in rows {
            batch.insert(&self.rows, &row.key[..], &row.value[..]);
            if self.indexed {
                batch.insert(&self.index, &row.index[..], &row.key[..]);
            }
        }
        Ok(batch.commit()?)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(FjallReader(self)))
    }

    /// Dropping persists and ends the threads.
    fn close(self: Box<Self>) -> Result<()> {
        self.database.persist(PersistMode::SyncAll)?;
        Ok(())
    }
}

struct FjallReader<'a>(&'a Fjall);

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &[u8]) -> Result<u64> {
        let value = self.0.rows.get(key)?.context("a row is missing")?;
        Ok(touch(&value))
    }

    fn scan(&mut self, key: &[u8], rows: usize) -> Result<u64> {
        let mut sum = 0;
        for entry in self.0.rows.range(key..).take(rows) {
            sum += touch(&entry.value()?);
        }
        Ok(sum)
    }

    fn find(&mut self, index: &[u8]) -> Result<u64> {
        let key = self.0.index.get(index)?;
        self.get(&key.context("an index entry is missing")?)
    }

    fn page(&mut self, index: &[u8], rows: usize) -> Result<u64> {
        let mut sum = 0;
        for entry in self.0.index.range(index..).take(rows) {
            sum += self.get(&entry.value()?)?;
        }
        Ok(sum)
    }
}
