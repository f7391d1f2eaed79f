//! Queries by an index of the schema: which part of it to look at, and its rows in their order.

use periwinkle_core::schema::{Field, FieldType, IndexPart, Model, nearest};
use periwinkle_core::value::{Map, Value, order};

use super::edit::Edit;
use super::error::DbError;
use super::find::{Find, Look, Place, Row, Source, Visited};
use super::index::Declared;
use super::keys;
use super::shared::Shared;
use super::window::Window;
use crate::engine::{IndexPosition, IndexRange, Order, RowRef, Step, Store};

/// The index of that name; `None` for the primary one.
pub(super) fn named<'a>(shared: &'a Shared, name: &str) -> Result<Option<&'a Declared>, DbError> {
    let names = || shared.schema.indexes().iter().map(|index| &index.name[..]);
    if names().next() == Some(name) {
        return Ok(None);
    }
    let found = shared.declared.iter().find(|index| index.name == name);
    found.map(Some).ok_or_else(|| {
        let hint = nearest(name, names()).map(|near| format!("; did you mean \"{near}\"?"));
        DbError::BadQuery {
            reason: format!(
                "the schema has no index \"{name}\"{}",
                hint.unwrap_or_default()
            ),
        }
    })
}

/// The part of an index in which items with these properties stand.
pub(super) fn window(
    index: &Declared,
    model: &Model,
    properties: &Map,
    context: &Map,
    find: &Find,
) -> Result<Window, DbError> {
    let parts = Parts::of(index, model, properties, context)?;
    let mut window = parts.window(find.text_prefix())?;
    for (side, value) in find.bounds() {
        let Some(open) = parts.open() else {
            return Err(bad(
                "a range needs a part of the index key that is not given",
            ));
        };
        let mut at = properties.clone();
        at.insert(open, bound(model, open, value)?);
        let parts = Parts::of(index, model, &at, context)?;
        window.narrow(*side, parts.window("")?);
    }
    Ok(window)
}

/// A bound of a number may be given as its text.
fn bound(model: &Model, name: &str, value: &Value) -> Result<Value, DbError> {
    let kind = model.field(name).map(Field::kind);
    match (kind, value) {
        (Some(FieldType::Number), Value::String(text)) => Ok(model.value_from_text(name, text)?),
        _ => Ok(value.clone()),
    }
}

fn bad(reason: &str) -> DbError {
    DbError::BadQuery {
        reason: reason.to_owned(),
    }
}

/// What is known of the two attributes of an index.
struct Parts<'a> {
    hash: IndexPart<'a>,
    sort: Option<IndexPart<'a>>,
}

impl<'a> Parts<'a> {
    fn of(
        index: &Declared,
        model: &'a Model,
        properties: &Map,
        context: &Map,
    ) -> Result<Parts<'a>, DbError> {
        let part = |attribute: &str| model.index_part(attribute, properties, context);
        let hash = part(&index.hash)?;
        if hash == IndexPart::Foreign {
            return Err(DbError::BadQuery {
                reason: format!(
                    "{} is not in the index \"{}\": it has no field for \"{}\"",
                    model.name(),
                    index.name,
                    index.hash
                ),
            });
        }
        let sort = index.sort.as_deref().map(part).transpose()?;
        Ok(Parts { hash, sort })
    }

    /// The first property that would narrow the search further.
    fn open(&self) -> Option<&'a str> {
        match (&self.hash, &self.sort) {
            (IndexPart::Begins(_, name), _) | (_, Some(IndexPart::Begins(_, name))) => Some(name),
            _ => None,
        }
    }

    /// The part of the index, narrowed to what is open and begins with `prefix`.
    fn window(&self, prefix: &str) -> Result<Window, DbError> {
        let mut start = Vec::new();
        match &self.hash {
            IndexPart::Exactly(value) => {
                if !order::append_first(value, &mut start) {
                    return Err(bad("the index holds texts, numbers and binary values only"));
                }
            }
            IndexPart::Begins(text, _) => {
                let text = format!("{text}{prefix}");
                if !text.is_empty() {
                    order::append_first_beginning(&text, &mut start);
                }
                return Ok(Window::beginning(start));
            }
            IndexPart::Foreign => {}
        }
        match &self.sort {
            Some(IndexPart::Exactly(value)) if prefix.is_empty() => {
                order::append_last(value, &mut start);
                Ok(Window::one(start))
            }
            Some(IndexPart::Begins(text, _)) => {
                let text = format!("{text}{prefix}");
                if !text.is_empty() {
                    order::append_last(&Value::from(text), &mut start);
                }
                Ok(Window::beginning(start))
            }
            _ if prefix.is_empty() => Ok(Window::beginning(start)),
            _ => Err(bad(
                "a prefix needs a part of the index key that is not given",
            )),
        }
    }
}

/// The rows of the store in the order of an index, as a transaction leaves them so far.
pub(super) struct Indexed<'a> {
    store: Store,
    index: &'a Declared,
    edit: Option<&'a Edit>,
    range: IndexRange,
    order: Order,
}

impl<'a> Indexed<'a> {
    pub(super) fn new(
        store: Store,
        index: &'a Declared,
        edit: Option<&'a Edit>,
        window: &Window,
        after: Option<Vec<u8>>,
        order: Order,
    ) -> Result<Indexed<'a>, DbError> {
        let mut range = IndexRange::new(window.range());
        if let Some(place) = after {
            range = range.after(parse_place(&place).ok_or(DbError::BadToken)?, order);
        }
        Ok(Indexed {
            store,
            index,
            edit,
            range,
            order,
        })
    }

    /// Rows that the transaction writes, and where they stand in the index.
    fn written(&self, edit: &'a Edit) -> Vec<(IndexPosition, Row<'a>)> {
        let rows = edit.rows().iter();
        rows.filter_map(|row| {
            let index_key = self.index.key_of(row.after.item.as_ref()?)?;
            let position = IndexPosition {
                index_key,
                sequence: 0,
                key: keys::item(&row.key),
            };
            let is_in = self.range.contains(self.index.id, &position);
            is_in.then_some((position, Row::Written(&row.after)))
        })
        .collect()
    }

    /// Rows as a transaction leaves them.
    fn visit_edited(
        &mut self,
        edit: &'a Edit,
        step: Step,
        look: Look<'_>,
    ) -> Result<Visited, DbError> {
        let Indexed { store, index, .. } = self;
        let stored = store.some_rows_by_index(index.id, &self.range, self.order, step)?;
        // Behind the last one that was read there may be others, unless it was the end.
        let horizon = stored.iter().next_back().filter(|_| stored.goes_on(step));
        let horizon = horizon.map(position);
        let mut rows = self.written(edit);
        rows.retain(|(position, _)| {
            horizon.as_ref().is_none_or(|last| {
                let compared = position.compare(self.index.id, last);
                match self.order {
                    Order::Forward => compared.is_le(),
                    Order::Reverse => compared.is_ge(),
                }
            })
        });
        for found in stored.iter() {
            let key = keys::parse_item(found.1.key);
            if !key.is_some_and(|key| edit.holds(&key)) {
                rows.push((position(found), Row::Stored(found.1)));
            }
        }
        rows.sort_by(|(one, _), (other, _)| {
            let compared = one.compare(self.index.id, other);
            match self.order {
                Order::Forward => compared,
                Order::Reverse => compared.reverse(),
            }
        });
        let behind = match rows.get(step.rows - 1) {
            Some((last, _)) => Some(last.clone()),
            // The transaction may hide all that was read.
            None => horizon,
        };
        rows.truncate(step.rows);
        let goes_on = behind.is_some();
        if let Some(last) = behind {
            self.range = self.range.clone().after(last, self.order);
        }
        for (position, row) in &rows {
            let place = Place::InIndex(&position.index_key, &position.key);
            if !look(place, *row)? {
                break;
            }
        }
        Ok(Visited {
            rows: rows.len(),
            goes_on,
        })
    }
}

impl Source for Indexed<'_> {
    fn visit(&mut self, step: Step, look: Look<'_>) -> Result<Visited, DbError> {
        if let Some(edit) = self.edit {
            return self.visit_edited(edit, step, look);
        }
        let Indexed { store, index, .. } = self;
        let rows = store.some_rows_by_index(index.id, &self.range, self.order, step)?;
        if let Some(last) = rows.iter().next_back() {
            self.range = self.range.clone().after(position(last), self.order);
        }
        for (index_key, row) in rows.iter() {
            if !look(Place::InIndex(index_key, row.key), Row::Stored(row))? {
                break;
            }
        }
        Ok(Visited {
            rows: rows.len(),
            goes_on: rows.goes_on(step),
        })
    }
}

fn position((index_key, row): (&[u8], RowRef<'_>)) -> IndexPosition {
    IndexPosition {
        index_key: index_key.to_vec(),
        sequence: row.sequence,
        key: row.key.to_vec(),
    }
}

/// A place in an index as a token carries it: the length of the index key (4 bytes), the index
/// key, the key.
pub(super) fn write_place(index_key: &[u8], key: &[u8], bytes: &mut Vec<u8>) {
    let length = u32::try_from(index_key.len()).expect("index keys are bounded");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(index_key);
    bytes.extend_from_slice(key);
}

fn parse_place(bytes: &[u8]) -> Option<IndexPosition> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (index_key, key) = rest.split_at_checked(length)?;
    Some(IndexPosition {
        index_key: index_key.to_vec(),
        sequence: 0,
        key: key.to_vec(),
    })
}
