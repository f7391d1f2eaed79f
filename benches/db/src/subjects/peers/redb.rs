//! redb: two tables. Relaxed is a commit without durability, which the next durable one saves.

use anyhow::{Context, Result};
use redb::{Builder, Database, Durability, ReadOnlyTable, TableDefinition};

use crate::fixture::Row;
use crate::subjects::{CACHE_ALL_BYTES, Cache, Reader, Safety, Setup, Subject, touch};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

const ROWS: Bytes = TableDefinition::new("rows");
const INDEX: Bytes = TableDefinition::new("index");

pub(crate) struct Redb {
    database: Database,
    indexed: bool,
}

impl Redb {
    pub(crate) fn open(setup: &Setup) -> Result<Redb> {
        let mut builder = Builder::new();
        match setup.cache {
            Cache::Usual => {}
            Cache::All => drop(builder.set_cache_size(CACHE_ALL_BYTES)),
            Cache::None => drop(builder.set_cache_size(0)),
        }
        Ok(Redb {
            database: builder.create(setup.directory.join("rows.redb"))?,
            indexed: setup.indexed,
        })
    }
}

impl Subject for Redb {
    fn write(&self, rows: &[Row], safety: Safety) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match safety {
            Safety::Durable => Durability::Immediate,
            Safety::Relaxed => Durability::None,
        })?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for row in rows {
                table.insert(&row.key[..], &row.value[..])?;
            }
        }
        if self.indexed {
            let mut table = transaction.open_table(INDEX)?;
            for row in rows {
                table.insert(&row.index[..], &row.key[..])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn sync(&self) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction.commit()?)
    }

    /// One snapshot for all calls, which is the fastest way to read.
    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        use redb::ReadableDatabase;
        let transaction = self.database.begin_read()?;
        Ok(Box::new(RedbReader {
            rows: transaction.open_table(ROWS)?,
            index: transaction.open_table(INDEX)?,
        }))
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.close()?)
    }
}

struct RedbReader {
    rows: Table,
    index: Table,
}

impl Reader for RedbReader {
    fn get(&mut self, key: &[u8]) -> Result<u64> {
        let value = self.rows.get(key)?.context("a row is missing")?;
        Ok(touch(value.value()))
    }

    fn scan(&mut self, key: &[u8], rows: usize) -> Result<u64> {
        let mut sum = 0;
        for entry in self.rows.range(key..)?.take(rows) {
            sum += touch(entry?.1.value());
        }
        Ok(sum)
    }

    fn find(&mut self, index: &[u8]) -> Result<u64> {
        let key = self.index.get(index)?;
        self.get(key.context("an index entry is missing")?.value())
    }

    fn page(&mut self, index: &[u8], rows: usize) -> Result<u64> {
        let mut sum = 0;
        for entry in self.index.range(index..)?.take(rows) {
            let value = self.rows.get(entry?.1.value())?;
            sum += touch(value.context("a row is missing")?.value());
        }
        Ok(sum)
    }
}
