//! Lists of items: by as much of the key as is given, page by page.

use periwinkle_core::limits::{DB_SCAN_ROWS, FIND_ROWS_DEFAULT, FIND_ROWS_MAX, FIND_ROWS_SEEN_MAX};
use periwinkle_core::schema::{Field, KeyRange, Model};
use periwinkle_core::time::Now;
use periwinkle_core::value::{Map, Value};

use super::database::Database;
use super::error::DbError;
use super::shared::decode;
use super::{keys, token};
use crate::engine::{self, Entry, Order};

/// Which items to list, and how many at once.
#[derive(Clone, Debug, Default)]
pub struct Find {
    limit: Option<usize>,
    next: Option<String>,
    reversed: bool,
    prefix: String,
}

impl Find {
    /// A page of the usual size, from the first item on.
    pub fn new() -> Find {
        Find::default()
    }

    /// At most so many items.
    pub fn limit(mut self, rows: usize) -> Find {
        self.limit = Some(rows);
        self
    }

    /// Goes on behind the page that gave this token.
    pub fn next(mut self, token: impl Into<String>) -> Find {
        self.next = Some(token.into());
        self
    }

    /// From the last key to the first.
    pub fn reverse(mut self) -> Find {
        self.reversed = true;
        self
    }

    /// Only items whose first key value that is not given begins with this text.
    pub fn prefix(mut self, text: impl Into<String>) -> Find {
        self.prefix = text.into();
        self
    }

    fn order(&self) -> Order {
        if self.reversed {
            Order::Reverse
        } else {
            Order::Forward
        }
    }

    fn rows(&self) -> Result<usize, DbError> {
        match self.limit {
            None => Ok(FIND_ROWS_DEFAULT),
            Some(rows @ 1..=FIND_ROWS_MAX) => Ok(rows),
            Some(rows) => Err(DbError::BadQuery {
                reason: format!("limit is {rows}; expected 1 to {FIND_ROWS_MAX}"),
            }),
        }
    }
}

/// Some of the items that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The items in the order of their keys. There may be fewer than asked for before the end.
    pub items: Vec<Map>,
    /// For the next page; `None` at the end.
    pub next: Option<String>,
}

impl Database {
    /// The items of a model that have the given properties, in the order of their keys.
    ///
    /// Key properties narrow the search; others filter what was found.
    ///
    /// # Errors
    /// The properties do not fit the model, or the token belongs to another query.
    pub fn find(&self, model: &str, properties: &Map, find: &Find) -> Result<Page, DbError> {
        let model = self.shared.model(model)?;
        let context = &self.shared.context;
        let query = Query {
            model,
            conditions: model.conditions(properties, context)?,
            now: self.shared.environment.now(),
        };
        let range = model.key_range(properties, context)?;
        if matches!(range, KeyRange::One(_)) && !find.prefix.is_empty() {
            return Err(DbError::BadQuery {
                reason: "a prefix needs a part of the key that is not given".to_owned(),
            });
        }
        let name = query_name(model, &range, find);
        let mut rows = keys::range(&range, &find.prefix);
        if let Some(next) = &find.next {
            rows = rows.after(&token::parse(&name, next)?, find.order());
        }
        let found = self.collect(&query, rows, find)?;
        Ok(Page {
            items: found.items,
            next: found.last.map(|key| token::make(&name, &key)),
        })
    }

    fn collect(
        &self,
        query: &Query<'_>,
        mut rows: engine::KeyRange,
        find: &Find,
    ) -> Result<Found, DbError> {
        let wanted = find.rows()?;
        let mut found = Found::default();
        let mut seen = 0;
        loop {
            // One more than is wanted tells whether there is a next page.
            let step = DB_SCAN_ROWS.min(wanted - found.items.len() + 1);
            let page = self.shared.store.scan(&rows, find.order(), step)?;
            for entry in &page {
                if found.items.len() == wanted {
                    return Ok(found);
                }
                if let Some(item) = self.matching(query, entry)? {
                    found.items.push(item);
                }
                found.last = Some(entry.key.to_vec());
            }
            seen += page.len();
            match page.last() {
                Some(last) if page.len() == step => {
                    if seen >= FIND_ROWS_SEEN_MAX {
                        return Ok(found);
                    }
                    rows = rows.after(&last.key, find.order());
                }
                _ => {
                    found.last = None;
                    return Ok(found);
                }
            }
        }
    }

    fn matching(&self, query: &Query<'_>, entry: &Entry) -> Result<Option<Map>, DbError> {
        let Some(key) = keys::parse_item(&entry.key) else {
            return Ok(None);
        };
        let record = decode(&key, &entry.value)?;
        let Some(item) = self.shared.visible(query.model, &record, query.now) else {
            return Ok(None);
        };
        let own = self.shared.schema.model_of(item);
        let fits = own.is_some_and(|own| own.name() == query.model.name())
            && query
                .conditions
                .iter()
                .all(|(field, value)| field.stored_in(item).as_deref() == value.as_ref());
        Ok(fits.then(|| query.model.properties(item, self.hidden)))
    }
}

struct Query<'a> {
    model: &'a Model,
    conditions: Vec<(&'a Field, Option<Value>)>,
    now: Now,
}

#[derive(Default)]
struct Found {
    items: Vec<Map>,
    /// The key of the last row that was looked at, while there may be more.
    last: Option<Vec<u8>>,
}

/// What a token belongs to.
fn query_name(model: &Model, range: &KeyRange, find: &Find) -> Vec<u8> {
    format!(
        "{}\0{range:?}\0{}\0{}",
        model.name(),
        find.prefix,
        find.reversed
    )
    .into_bytes()
}
