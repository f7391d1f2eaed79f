//! Lists of items: by as much of the key as is given, page by page.

use periwinkle_core::expr::{Condition, Projection, SortCondition};
use periwinkle_core::limits::{
    FIND_PAGE_BYTES_MAX, FIND_ROWS_DEFAULT, FIND_ROWS_MAX, FIND_ROWS_SEEN_MAX,
};
use periwinkle_core::schema::{Hidden, KeyRange, Model, Wanted};
use periwinkle_core::sync::record::Record;
use periwinkle_core::time::Now;
use periwinkle_core::value::attribute::item_bytes;
use periwinkle_core::value::binary::Attributes;
use periwinkle_core::value::{Map, Value};

use super::by_index::{self, Indexed};
use super::database::Database;
use super::edit::Edit;
use super::error::DbError;
use super::expression::Expression;
use super::index::Declared;
use super::shared::{STEP, Shared, is_expired, unreadable};
use super::window::{Side, Window};
use super::{keys, token};
use crate::engine::{self, Order, RowRef, Step, Store};

/// Which items to list, in which order, what of them, and how many at once.
///
/// ```
/// use periwinkle_db::Find;
///
/// let hot = Find::new().filter("temp > 20").project("name, temp").reverse().limit(10);
/// let november = Find::new().from("2026-11-01").below("2026-12-01");
/// # let _ = (hot, november);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Find {
    index: Option<String>,
    limit: Option<usize>,
    next: Option<String>,
    reversed: bool,
    prefix: String,
    bounds: Vec<(Side, Value)>,
    filters: Vec<Expression>,
    projection: Option<Expression>,
}

impl Find {
    /// A page of the usual size, from the first item on.
    pub fn new() -> Find {
        Find::default()
    }

    /// By an index of the schema: in the order of its sort key, only items that have the attributes
    /// of its key, and what is said here of keys holds for those of the index. Items with the same
    /// index key are in the order of their own keys.
    pub fn index(mut self, name: impl Into<String>) -> Find {
        self.index = Some(name.into());
        self
    }

    /// At most so many items. A page of large ones has fewer: the item with which it reaches 1 MiB
    /// is its last one.
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

    /// Only items whose first key value that is not given is this one or comes behind it in the
    /// order of keys, which compares texts: a number in a key needs its width in the template.
    pub fn from(self, value: impl Into<Value>) -> Find {
        self.bound(Side::From, value.into())
    }

    /// As [`from`](Find::from), without the value itself.
    pub fn above(self, value: impl Into<Value>) -> Find {
        self.bound(Side::Above, value.into())
    }

    /// Only items whose first key value that is not given is this one or comes before it.
    pub fn to(self, value: impl Into<Value>) -> Find {
        self.bound(Side::To, value.into())
    }

    /// As [`to`](Find::to), without the value itself.
    pub fn below(self, value: impl Into<Value>) -> Find {
        self.bound(Side::Below, value.into())
    }

    /// [`from`](Find::from) the one and [`to`](Find::to) the other.
    pub fn between(self, low: impl Into<Value>, high: impl Into<Value>) -> Find {
        self.from(low).to(high)
    }

    /// Only items of which this condition on properties holds. Called again, both must.
    pub fn filter(mut self, condition: impl Into<Expression>) -> Find {
        self.filters.push(condition.into());
        self
    }

    /// Only these parts of the items: a list of paths.
    pub fn project(mut self, paths: impl Into<Expression>) -> Find {
        self.projection = Some(paths.into());
        self
    }

    fn bound(mut self, side: Side, value: Value) -> Find {
        self.bounds.push((side, value));
        self
    }

    pub(super) fn text_prefix(&self) -> &str {
        &self.prefix
    }

    pub(super) fn bounds(&self) -> &[(Side, Value)] {
        &self.bounds
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
pub struct Page<T = Map> {
    /// The items in the order of their keys. There may be fewer than asked for before the end: one
    /// call looks at so many rows only, and a page has a bound in bytes.
    pub items: Vec<T>,
    /// For the next page; `None` at the end.
    pub next: Option<String>,
}

/// How many items there are, as far as one call looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Those that were met.
    pub items: u64,
    /// To go on counting behind them; `None` at the end.
    pub next: Option<String>,
}

impl Database {
    /// The items of a model that have the given properties, in the order of their keys.
    ///
    /// Key properties narrow the search, and so does what a filter says of them; all else is asked
    /// of each item that is found.
    ///
    /// # Errors
    /// The properties or an expression do not fit the model, or the token belongs to another query.
    pub fn find(&self, model: &str, properties: &Map, find: &Find) -> Result<Page, DbError> {
        let query = Query::new(self, model, properties, find)?;
        query.page(&mut *stored(&query)?, find)
    }

    /// How many items there are of those that [`find`](Database::find) would list. A limit means
    /// nothing here; the number of rows that one call looks at is bounded.
    ///
    /// # Errors
    /// As `find`.
    pub fn count(&self, model: &str, properties: &Map, find: &Find) -> Result<Count, DbError> {
        let query = Query::new(self, model, properties, find)?;
        let mut items = 0;
        let rows = &mut *stored(&query)?;
        let count = |_, _| {
            items += 1;
            0
        };
        let last = query.walk(rows, usize::MAX, count)?;
        let next = last.map(|place| query.token(&place));
        Ok(Count { items, next })
    }
}

/// Where the rows that a query looks at come from, in its order.
pub(super) trait Source {
    /// Shows the rows of one further step, unless one is the last that is wanted.
    fn visit(&mut self, step: Step, look: Look<'_>) -> Result<Visited, DbError>;
}

/// What came of a step.
pub(super) struct Visited {
    /// How many rows there were.
    pub(super) rows: usize,
    /// Whether there may be more.
    pub(super) goes_on: bool,
}

/// Looks at a row, and answers whether it wants another one.
pub(super) type Look<'a> = &'a mut dyn FnMut(Place<'_>, Row<'_>) -> Result<bool, DbError>;

/// A row's place in the order of the source, as a token carries it.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Key(&'a [u8]),
    /// The index key and the key.
    InIndex(&'a [u8], &'a [u8]),
}

impl Place<'_> {
    fn write(self, bytes: &mut Vec<u8>) {
        bytes.clear();
        match self {
            Place::Key(key) => bytes.extend_from_slice(key),
            Place::InIndex(index_key, key) => by_index::write_place(index_key, key, bytes),
        }
    }
}

/// A row as it is stored, or as a transaction is about to write it.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    Stored(RowRef<'a>),
    Written(&'a Record),
}

impl Row<'_> {
    /// About as many as it has in the log.
    fn bytes(self) -> usize {
        match self {
            Row::Stored(row) => row.value.len(),
            Row::Written(record) => record.item.as_ref().map_or(0, item_bytes),
        }
    }
}

/// The rows of the store, in the order of the query.
fn stored<'a>(query: &Query<'a>) -> Result<Box<dyn Source + 'a>, DbError> {
    Ok(match query.by_index(None)? {
        Some(rows) => Box::new(rows),
        None => Box::new(Stored::new(query)?),
    })
}

/// The rows of the store, by primary key.
pub(super) struct Stored {
    store: Store,
    range: engine::KeyRange,
    order: Order,
}

impl Stored {
    pub(super) fn new(query: &Query<'_>) -> Result<Stored, DbError> {
        Ok(Stored {
            store: query.store.clone(),
            range: query.rest()?,
            order: query.order,
        })
    }
}

impl Source for Stored {
    fn visit(&mut self, step: Step, look: Look<'_>) -> Result<Visited, DbError> {
        let rows = self.store.some_rows(&self.range, self.order, step)?;
        if let Some(last) = rows.last() {
            let range = std::mem::replace(&mut self.range, engine::KeyRange::all());
            self.range = range.after(last.key, self.order);
        }
        for row in rows.iter() {
            if !look(Place::Key(row.key), Row::Stored(row))? {
                break;
            }
        }
        Ok(Visited {
            rows: rows.len(),
            goes_on: rows.goes_on(step),
        })
    }
}

/// A query that was read: what to look at, what must hold, and what to show.
pub(super) struct Query<'a> {
    shared: &'a Shared,
    store: Store,
    model: &'a Model,
    hidden: Hidden,
    now: Now,
    pub(super) order: Order,
    index: Option<&'a Declared>,
    window: Window,
    next: Option<&'a str>,
    wanted: Vec<Wanted<'a>>,
    filters: Vec<Condition>,
    projection: Option<Projection>,
    /// The attributes that have to be read of a row; `None` for all.
    attributes: Option<&'a Attributes>,
}

impl<'a> Query<'a> {
    pub(super) fn new(
        db: &'a Database,
        model: &str,
        properties: &Map,
        find: &'a Find,
    ) -> Result<Query<'a>, DbError> {
        let (shared, hidden) = (&*db.shared, db.hidden);
        let model = shared.model(model)?;
        let wanted = model.wanted(properties, db.context(), hidden)?;
        let filters = find.filters.iter();
        let filters: Vec<_> = filters
            .map(|filter| filter.condition("filter", model, hidden))
            .collect::<Result<_, _>>()?;
        let projection = find.projection.as_ref();
        let index = match &find.index {
            Some(name) => by_index::named(shared, name)?,
            None => None,
        };
        let window = match index {
            Some(index) => by_index::window(index, model, properties, db.context(), find)?,
            None => window(db, model, properties, find, &filters)?,
        };
        let is_plain = wanted.is_empty() && filters.is_empty() && projection.is_none();
        let attributes = is_plain.then(|| model.attributes_listed(hidden));
        Ok(Query {
            shared,
            store: db.store_to_scan(),
            model,
            attributes: attributes.flatten(),
            hidden,
            now: shared.environment.now(),
            order: find.order(),
            index,
            window,
            next: find.next.as_deref(),
            wanted,
            filters,
            projection: projection
                .map(|paths| paths.projection(model, hidden))
                .transpose()?,
        })
    }

    /// One page of items.
    pub(super) fn page(&self, source: &mut dyn Source, find: &Find) -> Result<Page, DbError> {
        let mut items = Vec::new();
        let keep = |item, stored_bytes| {
            let item = self.show(item);
            let bytes = match self.projection {
                Some(_) => item_bytes(&item),
                None => stored_bytes,
            };
            items.push(item);
            bytes
        };
        let last = self.walk(source, find.rows()?, keep)?;
        let next = last.map(|place| self.token(&place));
        Ok(Page { items, next })
    }

    /// Meets up to `limit` items, in as many rows as one call looks at. `meet` gets an item and the
    /// bytes that it has in its row, and answers how many of a page it takes. Answers the place of
    /// the last row that was dealt with, unless there are no more.
    fn walk(
        &self,
        source: &mut dyn Source,
        limit: usize,
        mut meet: impl FnMut(Map, usize) -> usize,
    ) -> Result<Option<Box<[u8]>>, DbError> {
        let mut last = Vec::new();
        let (mut seen, mut met, mut bytes, mut full) = (0, 0, 0, false);
        while seen < FIND_ROWS_SEEN_MAX && !full {
            // One more than is wanted tells whether there is a next page.
            let rows = STEP.rows.min((limit - met).saturating_add(1));
            let step = Step { rows, ..STEP };
            let visited = source.visit(step, &mut |place, row| {
                full = met == limit || bytes >= FIND_PAGE_BYTES_MAX;
                if !full {
                    if let Some(item) = self.matching(row)? {
                        met += 1;
                        bytes += meet(item, row.bytes());
                    }
                    place.write(&mut last);
                }
                Ok(!full)
            })?;
            seen += visited.rows;
            if !visited.goes_on && !full {
                return Ok(None);
            }
        }
        Ok(Some(last.into()))
    }

    fn matching(&self, row: Row<'_>) -> Result<Option<Map>, DbError> {
        let item = match row {
            Row::Written(record) => record.item.clone(),
            Row::Stored(row) => self.read(row)?,
        };
        Ok(item.filter(|item| self.is_about(item)))
    }

    /// The item of a row, as far as the query looks at it.
    fn read(&self, row: RowRef<'_>) -> Result<Option<Map>, DbError> {
        let whole = || Record::decode(row.value).map(|record| record.item);
        let item = match self.attributes {
            None => whole(),
            Some(names) => match Record::decode_item(row.value, names) {
                // Only its key tells whose an item is that does not say so.
                Ok(Some(item)) if !self.shared.schema.names_model(&item) => whole(),
                read => read,
            },
        };
        item.or_else(|source| match keys::parse_item(row.key) {
            Some(key) => Err(unreadable(&key, source)),
            None => Ok(None),
        })
    }

    /// Whether the query is about an item.
    fn is_about(&self, item: &Map) -> bool {
        let own = self.shared.schema.model_of(item);
        own.is_some_and(|own| std::ptr::eq(own, self.model))
            && !is_expired(self.model, item, || self.now)
            && self.wanted.iter().all(|wanted| wanted.holds(item))
            && self.filters.iter().all(|filter| {
                let seen = self.model.seen(item, self.hidden);
                filter.holds(&seen)
            })
    }

    fn show(&self, item: Map) -> Map {
        match &self.projection {
            Some(paths) => self.model.project(&item, paths, self.hidden),
            None => self.model.into_properties(item, self.hidden),
        }
    }

    /// The rows that are still to be looked at.
    pub(super) fn rest(&self) -> Result<engine::KeyRange, DbError> {
        let range = self.window.range();
        match self.next {
            Some(next) => Ok(range.after(&token::parse(&self.name(), next)?, self.order)),
            None => Ok(range),
        }
    }

    /// The rows by the index that the query names, if it names one, as a transaction leaves them
    /// so far.
    pub(super) fn by_index(&self, edit: Option<&'a Edit>) -> Result<Option<Indexed<'a>>, DbError> {
        let Some(index) = self.index else {
            return Ok(None);
        };
        let after = self.next.map(|next| token::parse(&self.name(), next));
        let after = after.transpose()?;
        let store = self.store.clone();
        let rows = Indexed::new(store, index, edit, &self.window, after, self.order)?;
        Ok(Some(rows))
    }

    fn token(&self, place: &[u8]) -> String {
        token::make(&self.name(), place)
    }

    /// What a token belongs to.
    fn name(&self) -> Vec<u8> {
        let order = [u8::from(self.order == Order::Reverse)];
        let index = self.index.map_or("", |index| &index.name).as_bytes();
        let model = self.model.name().as_bytes();
        [model, &order, index, &order, &self.window.name()].concat()
    }
}

/// The rows among which a query has to look.
fn window(
    db: &Database,
    model: &Model,
    properties: &Map,
    find: &Find,
    filters: &[Condition],
) -> Result<Window, DbError> {
    let context = db.context();
    let range = model.key_range(properties, context)?;
    if matches!(range, KeyRange::One(_)) && !find.prefix.is_empty() {
        return Err(DbError::BadQuery {
            reason: "a prefix needs a part of the key that is not given".to_owned(),
        });
    }
    let mut window = Window::of(&range, &find.prefix);
    for (side, value) in &find.bounds {
        let at = model.key_range_at(properties, context, value)?;
        window.narrow(*side, Window::of(&at, ""));
    }
    if !filters.is_empty() && !matches!(range, KeyRange::One(_)) {
        narrow_by_filters(db, model, properties.clone(), filters, &mut window);
    }
    Ok(window)
}

/// Leaves out the rows of which the filters say by their keys alone that they do not fit.
fn narrow_by_filters(
    db: &Database,
    model: &Model,
    mut known: Map,
    filters: &[Condition],
    window: &mut Window,
) {
    let context = db.context();
    while let Ok(Some(open)) = model.open_key_part(&known, context) {
        let mut fixed = filters.iter().filter_map(|filter| filter.fixed(open));
        let Some(value) = fixed.next() else {
            break;
        };
        known.insert(open, value);
    }
    let Ok(range) = model.key_range(&known, context) else {
        return;
    };
    let narrower = Window::of(&range, "");
    window.narrow(Side::From, narrower.clone());
    window.narrow(Side::To, narrower);
    let Ok(Some(open)) = model.open_key_part(&known, context) else {
        return;
    };
    if !model.orders_keys(open) {
        return;
    }
    let beginning = |text: &Value| Some(Window::of(&range, text.as_str()?));
    let exactly = |value: &Value| match model.key_range_at(&known, context, value) {
        // Where the key goes on behind the value, its end says nothing of those below.
        Ok(at @ KeyRange::One(_)) => Some(Window::of(&at, "")),
        _ => None,
    };
    for (side, at) in filters
        .iter()
        .flat_map(|filter| filter.ranges(open))
        .flat_map(|range| match range {
            SortCondition::Less(high) => vec![(Side::Below, exactly(&high))],
            SortCondition::AtMost(high) => vec![(Side::To, exactly(&high))],
            SortCondition::Greater(low) | SortCondition::AtLeast(low) => {
                vec![(Side::From, beginning(&low))]
            }
            SortCondition::Between(low, high) => {
                vec![(Side::From, beginning(&low)), (Side::To, exactly(&high))]
            }
            SortCondition::BeginsWith(text) => {
                vec![(Side::From, beginning(&text)), (Side::To, beginning(&text))]
            }
            SortCondition::Equals(_) => Vec::new(),
        })
    {
        if let Some(at) = at {
            window.narrow(side, at);
        }
    }
}
