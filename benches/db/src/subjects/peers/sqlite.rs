//! SQLite: one table and one index, a write-ahead log, statements prepared once.
//!
//! With `FULL` every commit is synced. With `NORMAL` the log is synced before a checkpoint only.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use rusqlite::{Connection, TransactionBehavior, params};

use crate::fixture::Row;
use crate::subjects::{CACHE_ALL_BYTES, Cache, Reader, Safety, Setup, Subject, touch};

const TABLE: &str = "create table if not exists rows
    (key blob primary key, attribute blob, value blob not null) without rowid";
const INDEX: &str = "create index if not exists by_attribute on rows (attribute)";
const INSERT: &str = "insert or replace into rows values (?1, ?2, ?3)";
const GET: &str = "select value from rows where key = ?1";
const SCAN: &str = "select key, value from rows where key >= ?1 order by key limit ?2";
const PAGE: &str =
    "select attribute, value from rows where attribute >= ?1 order by attribute limit ?2";
const FIND: &str = "select value from rows where attribute = ?1";

pub(crate) struct Sqlite {
    writer: Mutex<Connection>,
    setup: Setup,
    synchronous: &'static str,
}

impl Sqlite {
    pub(crate) fn open(setup: &Setup, synchronous: &'static str) -> Result<Sqlite> {
        let writer = connect(&setup.directory, setup.cache, synchronous)?;
        writer.execute(TABLE, [])?;
        if setup.indexed {
            writer.execute(INDEX, [])?;
        }
        Ok(Sqlite {
            writer: Mutex::new(writer),
            setup: setup.clone(),
            synchronous,
        })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(directory: &Path, cache: Cache, synchronous: &str) -> Result<Connection> {
    let connection = Connection::open(directory.join("rows.sqlite"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    match cache {
        Cache::Usual => {}
        // Negative numbers are KiB, others pages.
        Cache::All => {
            connection.pragma_update(None, "cache_size", -(CACHE_ALL_BYTES as i64 / 1024))?;
        }
        Cache::None => connection.pragma_update(None, "cache_size", 0)?,
    }
    Ok(connection)
}

impl Subject for Sqlite {
    /// The connection decides how safe a write is.
    fn write(&self, rows: &[Row], _safety: Safety) -> Result<()> {
        let mut writer = self.writer();
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for row in rows {
                let index = self.setup.indexed.then_some(row.index);
                insert.execute(params![row.key, index, row.value])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// There is none but that of a checkpoint, which comes by itself.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        let Setup {
            directory, cache, ..
        } = &self.setup;
        Ok(Box::new(SqliteReader(connect(
            directory,
            *cache,
            self.synchronous,
        )?)))
    }

    fn close(self: Box<Self>) -> Result<()> {
        let writer = self
            .writer
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        writer.close().map_err(|(_, error)| error.into())
    }
}

struct SqliteReader(Connection);

impl SqliteReader {
    fn value(&self, statement: &str, key: &[u8]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(statement)?;
        Ok(statement.query_row([key], |row| Ok(touch(row.get_ref(0)?.as_blob()?)))?)
    }

    /// Of so many rows from there on.
    fn values(&self, statement: &str, from: &[u8], rows: usize) -> Result<u64> {
        let mut statement = self.0.prepare_cached(statement)?;
        let mut found = statement.query(params![from, rows as i64])?;
        let mut sum = 0;
        while let Some(row) = found.next()? {
            sum += touch(row.get_ref(1)?.as_blob()?);
        }
        Ok(sum)
    }
}

impl Reader for SqliteReader {
    fn get(&mut self, key: &[u8]) -> Result<u64> {
        self.value(GET, key)
    }

    fn scan(&mut self, key: &[u8], rows: usize) -> Result<u64> {
        self.values(SCAN, key, rows)
    }

    fn find(&mut self, index: &[u8]) -> Result<u64> {
        self.value(FIND, index)
    }

    fn page(&mut self, index: &[u8], rows: usize) -> Result<u64> {
        self.values(PAGE, index, rows)
    }
}
