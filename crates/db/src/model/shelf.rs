//! Rows of bytes that a service of the agent keeps beside the items: in the same log, so that one
//! sync serves both, without a schema, so that a row costs no more than its bytes.

use super::database::Database;
use super::error::DbError;
use super::keys;
use super::shared::STEP;
use crate::engine::{Batch, Durability, KeyRange, Order, Ticket};

/// The rows of one service. No other shelf, no model and no change stream sees them.
#[derive(Clone, Debug)]
pub struct Shelf {
    db: Database,
    prefix: Vec<u8>,
}

/// Writes to a shelf that become visible and durable together or not at all.
#[derive(Clone, Debug)]
pub struct ShelfBatch {
    batch: Batch,
    prefix: Vec<u8>,
    key: Vec<u8>,
}

impl Database {
    /// The shelf of this name, which is there without being made.
    ///
    /// # Panics
    /// The name holds a zero byte.
    pub fn shelf(&self, name: &str) -> Shelf {
        assert!(!name.contains('\0'), "a shelf's name ends with a zero byte");
        Shelf {
            db: self.clone(),
            prefix: keys::shelf(name),
        }
    }
}

impl Shelf {
    /// The row of `key`, as committed.
    ///
    /// # Errors
    /// The disk failed, or the row is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DbError> {
        let key = [&self.prefix, key].concat();
        let row = self.db.shared.store.get(&key)?;
        Ok(row.map(|entry| entry.value.to_vec()))
    }

    /// Calls `row` with key and value of every row whose key begins with `start`, in the order of
    /// their keys.
    ///
    /// # Errors
    /// The disk failed, or a row is damaged.
    pub fn each(&self, start: &[u8], mut row: impl FnMut(&[u8], &[u8])) -> Result<(), DbError> {
        let mut range = KeyRange::prefix(&[&self.prefix, start].concat());
        loop {
            let found = (self.db.shared.store).some_rows(&range, Order::Forward, STEP)?;
            for found in found.iter() {
                row(&found.key[self.prefix.len()..], found.value);
            }
            match found.last() {
                Some(last) if found.goes_on(STEP) => {
                    range = range.after(last.key, Order::Forward);
                }
                _ => return Ok(()),
            }
        }
    }

    /// An empty batch for this shelf.
    pub fn batch(&self) -> ShelfBatch {
        ShelfBatch {
            batch: Batch::new(),
            prefix: self.prefix.clone(),
            key: Vec::new(),
        }
    }

    /// Commits a batch: visible when this returns, durable when the ticket says so.
    ///
    /// # Errors
    /// As a write of an item: the disk is full or failed, or the batch is too large.
    pub fn commit(&self, batch: &ShelfBatch, durability: Durability) -> Result<Ticket, DbError> {
        let shared = &self.db.shared;
        let _state = shared.write_lock()?;
        let committed = shared.store.commit(&batch.batch, durability)?;
        Ok(committed.ticket)
    }
}

impl ShelfBatch {
    /// Sets `key` to `value`.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> &mut ShelfBatch {
        self.name(key);
        self.batch.put(&self.key, value);
        self
    }

    /// Removes `key`; removing what is not there is allowed.
    pub fn delete(&mut self, key: &[u8]) -> &mut ShelfBatch {
        self.name(key);
        self.batch.delete(&self.key);
        self
    }

    /// Whether the batch holds no write.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Bytes of the batch in the log.
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    fn name(&mut self, key: &[u8]) {
        self.key.clear();
        self.key.extend_from_slice(&self.prefix);
        self.key.extend_from_slice(key);
    }
}
