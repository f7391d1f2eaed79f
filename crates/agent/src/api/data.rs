//! The rows of the database: list, create, read, change, remove.
//!
//! The path after the model is the item's key: the variables of its key templates in order, those
//! aside that the agent knows itself, such as `deviceId`. Where that leaves nothing, the model has one
//! item, and its path ends with the slash.

use axum::extract::{FromRequestParts, Query, State};
use axum::response::Response;
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use percent_encoding::percent_decode_str;
use periwinkle_core::limits;
use periwinkle_core::schema::{Durability, FieldType, Model, PropertyError};
use periwinkle_core::value::{Map, Value};
use periwinkle_db::{Committed, Database, DbError, Expression, Find, Write};
use tokio::task::spawn_blocking;

use super::DataApi;
use super::body::Properties;
use super::expressions::Expressions;
use super::models::json_text;
use super::path::encoded;
use super::session::text_answer;
use crate::database::sentence;
use crate::web::identity::Login;
use crate::web::problem::Problem;
use crate::web::rows::is_internal;

/// What the path of a request names: a model, or one of its items by the parts of its key.
///
/// The path is taken apart before its segments are decoded, so that a part may contain a slash.
pub(super) struct Named {
    model: String,
    key: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Named, Problem> {
        let path = parts.uri.path();
        let path = path.strip_prefix("/data/").unwrap_or(path);
        let mut segments = path.split('/').map(|segment| {
            let text = percent_decode_str(segment).decode_utf8();
            text.map(String::from).map_err(|_| {
                let detail = format!("The path segment {segment:?} is not UTF-8.");
                Problem::bad_request("address_invalid", detail)
            })
        });
        Ok(Named {
            model: segments.next().transpose()?.unwrap_or_default(),
            key: segments.collect::<Result<_, _>>()?,
        })
    }
}

/// A page of items, or with `count` how many there are. What the parameters do not name is a
/// property that the items must have.
pub(super) async fn list(
    State(api): State<DataApi>,
    login: Login,
    named: Named,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let model = shown_model(&api.db, &named.model)?;
    let asked = parse_find(model, query)?;
    let place = api.lists.take(&login.name).await?;
    let body = if asked.counts {
        let Asked {
            properties, find, ..
        } = asked;
        let name = model.name().to_owned();
        let count = scanned(&api.db, move |db| db.count(&name, &properties, &find)).await?;
        Map::from([
            ("count", Value::from(count.items)),
            ("next", next(count.next)),
        ])
    } else {
        let Asked {
            properties, find, ..
        } = asked;
        let name = model.name().to_owned();
        let page = scanned(&api.db, move |db| db.find(&name, &properties, &find)).await?;
        let items = page.items.into_iter().map(Value::Map).collect();
        Map::from([("items", Value::List(items)), ("next", next(page.next))])
    };
    Ok(place.answer(json_text(&Value::Map(body))))
}

/// What a scan answers: at once when memory has nearly all of it, otherwise from a thread that may
/// wait for the disk.
async fn scanned<T: Send + 'static>(
    db: &Database,
    scan: impl Fn(&Database) -> Result<T, DbError> + Send + 'static,
) -> Result<T, Problem> {
    match scan(&db.inline()) {
        Err(DbError::Waits(_)) => {}
        done => return Ok(done?),
    }
    let db = db.clone();
    let scanned = spawn_blocking(move || scan(&db)).await;
    Ok(scanned.map_err(|error| Problem::internal(&error))??)
}

fn next(token: Option<String>) -> Value {
    token.map_or(Value::Null, Value::from)
}

/// What the parameters of a list ask for.
struct Asked {
    properties: Map,
    find: Find,
    counts: bool,
}

fn parse_find(model: &Model, query: Vec<(String, String)>) -> Result<Asked, Problem> {
    let mut properties = Map::new();
    let mut find = Find::new().limit(limits::API_PAGE_ROWS);
    let mut counts = false;
    let mut expressions = Expressions::default();
    let (mut filters, mut paths) = (Vec::new(), None);
    for (name, value) in query {
        if expressions.read_parameter(&name, &value)? {
            continue;
        }
        find = match name.as_str() {
            "limit" => find.limit(parse_limit(&value)?),
            "next" => find.next(value),
            "reverse" if parse_switch(&name, &value)? => find.reverse(),
            "reverse" => find,
            "index" => find.index(value),
            "prefix" => find.prefix(value),
            "from" => find.from(value),
            "above" => find.above(value),
            "to" => find.to(value),
            "below" => find.below(value),
            "filter" => {
                filters.push(value);
                find
            }
            "project" => {
                paths = Some(value);
                find
            }
            "count" => {
                counts = parse_switch(&name, &value)?;
                find
            }
            _ => {
                let value = model.value_from_text(&name, &value);
                properties.insert(name, value.map_err(DbError::from)?);
                find
            }
        };
    }
    for filter in filters {
        find = find.filter(expressions.expression(filter));
    }
    if let Some(paths) = paths {
        find = find.project(expressions.expression(paths));
    }
    check_all_used(&expressions)?;
    Ok(Asked {
        properties,
        find,
        counts,
    })
}

fn parse_limit(text: &str) -> Result<usize, Problem> {
    let limit = text
        .parse()
        .ok()
        .filter(|limit| (1..=limits::API_PAGE_ROWS_MAX).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!(
            "The limit is a number from 1 to {}.",
            limits::API_PAGE_ROWS_MAX
        );
        Problem::bad_request("query_invalid", detail).field("limit")
    })
}

pub(super) fn parse_switch(name: &str, text: &str) -> Result<bool, Problem> {
    match text {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => {
            let detail = format!("{name} is true or false.");
            Err(Problem::bad_request("query_invalid", detail).field(name))
        }
    }
}

pub(super) async fn show(State(api): State<DataApi>, named: Named) -> Result<Response, Problem> {
    let model = shown_model(&api.db, &named.model)?;
    let keys = parse_key(&api.db, model, &named.key)?;
    let item = api.db.require(model.name(), &keys)?;
    Ok(value_answer(StatusCode::OK, &Value::Map(item)))
}

pub(super) async fn create(
    State(api): State<DataApi>,
    named: Named,
    terms: Terms,
    Properties(properties): Properties,
) -> Result<Response, Problem> {
    let model = shown_model(&api.db, &named.model)?;
    let write = terms.of(Write::create(model.name(), properties));
    let made = kept(model, api.db.write(&write)?).await?;
    let place = path_of(model, &api.db.segments(model.name(), &made.item)?);
    let mut response = value_answer(StatusCode::CREATED, &Value::Map(made.item));
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

pub(super) async fn update(
    State(api): State<DataApi>,
    named: Named,
    terms: Terms,
    Properties(properties): Properties,
) -> Result<Response, Problem> {
    change(&api, &named, terms, properties, Write::update).await
}

pub(super) async fn upsert(
    State(api): State<DataApi>,
    named: Named,
    terms: Terms,
    Properties(properties): Properties,
) -> Result<Response, Problem> {
    change(&api, &named, terms, properties, Write::upsert).await
}

async fn change(
    api: &DataApi,
    named: &Named,
    terms: Terms,
    properties: Map,
    write: fn(String, Map) -> Write,
) -> Result<Response, Problem> {
    let model = shown_model(&api.db, &named.model)?;
    let properties = with_key(&api.db, model, &named.key, properties)?;
    let write = terms.of(write(model.name().to_owned(), properties));
    let changed = kept(model, api.db.write(&write)?).await?;
    Ok(value_answer(StatusCode::OK, &Value::Map(changed.item)))
}

pub(super) async fn remove(
    State(api): State<DataApi>,
    named: Named,
    terms: Terms,
) -> Result<StatusCode, Problem> {
    let model = shown_model(&api.db, &named.model)?;
    let keys = parse_key(&api.db, model, &named.key)?;
    let write = terms.of(Write::remove(model.name(), keys));
    kept(model, api.db.write(&write)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a write has beside its body: `?if=` a condition, `?apply=` an update expression, and what
/// their placeholders stand for.
#[derive(Default)]
pub(super) struct Terms {
    condition: Option<Expression>,
    changes: Option<Expression>,
}

impl Terms {
    fn of(self, mut write: Write) -> Write {
        if let Some(changes) = self.changes {
            write = write.apply(changes);
        }
        match self.condition {
            Some(condition) => write.when(condition),
            None => write,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Terms {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Terms, Problem> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(query) = query
            .map_err(|error| Problem::bad_request("query_invalid", sentence(&error.to_string())))?;
        let mut expressions = Expressions::default();
        let (mut condition, mut changes) = (None, None);
        for (name, value) in query {
            match name.as_str() {
                "if" => condition = Some(value),
                "apply" => changes = Some(value),
                _ if expressions.read_parameter(&name, &value)? => {}
                _ => {
                    let detail = format!(
                        "A write takes the parameters if, apply, names and values, not {name}."
                    );
                    return Err(Problem::bad_request("query_invalid", detail).field(name));
                }
            }
        }
        let terms = Terms {
            condition: condition.map(|text| expressions.expression(text)),
            changes: changes.map(|text| expressions.expression(text)),
        };
        check_all_used(&expressions)?;
        Ok(terms)
    }
}

fn check_all_used(expressions: &Expressions) -> Result<(), Problem> {
    expressions
        .check_all_used()
        .map_err(|(place, words)| Problem::bad_request("query_invalid", words).field(place))
}

/// A model, unless it is the agent's own.
pub(super) fn shown_model<'a>(db: &'a Database, name: &str) -> Result<&'a Model, Problem> {
    let models = db.schema().models().iter();
    let shown = models.filter(|model| !is_internal(model.name()));
    if let Some(model) = shown.clone().find(|model| model.name() == name) {
        return Ok(model);
    }
    if is_internal(name) {
        let detail = format!(
            "{name} is the agent's own and cannot be seen or changed here; users are at \
             /api/v1/users."
        );
        let status = StatusCode::NOT_FOUND;
        return Err(Problem::new(status, "unknown_model", detail));
    }
    let names = shown.map(Model::name);
    Err(DbError::from(PropertyError::unknown_model(name, names)).into())
}

/// What the caller hears of is on the disk, if its model asks for that.
async fn kept(model: &Model, committed: Committed) -> Result<Committed, Problem> {
    if model.process().durability == Durability::Immediate {
        committed.ticket.durable().await?;
    }
    Ok(committed)
}

fn parse_key(db: &Database, model: &Model, key: &[String]) -> Result<Map, Problem> {
    let mut segments: Vec<&str> = key.iter().map(String::as_str).collect();
    // What stands behind the last slash is a part of a key only where there is one.
    if segments == [""] && model.asked_names(db.context()).next().is_none() {
        segments.clear();
    }
    Ok(db.key_from_segments(model.name(), &segments)?)
}

/// The key of the path decides; a body that says otherwise is a mistake.
fn with_key(
    db: &Database,
    model: &Model,
    key: &[String],
    mut properties: Map,
) -> Result<Map, Problem> {
    let named = parse_key(db, model, key)?;
    for (name, value) in named.clone() {
        match properties.get(&name) {
            Some(given) if *given != value && !is_same_time(db, model, &named, &name, given)? => {
                let detail = format!("{name} is part of the key and differs from the path.");
                return Err(Problem::bad_request("key_differs", detail).field(name));
            }
            _ => drop(properties.insert(name, value)),
        }
    }
    Ok(properties)
}

/// Whether a part of the key is a time that the body only writes in another form.
fn is_same_time(
    db: &Database,
    model: &Model,
    named: &Map,
    name: &str,
    given: &Value,
) -> Result<bool, Problem> {
    if model
        .field(name)
        .is_none_or(|field| field.kind() != FieldType::Date)
    {
        return Ok(false);
    }
    let mut other = named.clone();
    other.insert(name, given.clone());
    let key = |named: &Map| model.key(named, db.context()).map_err(DbError::from);
    Ok(key(&other)? == key(named)?)
}

fn path_of(model: &Model, key: &[String]) -> String {
    let segments: Vec<String> = key.iter().map(|part| encoded(part)).collect();
    format!("/api/v1/data/{}/{}", model.name(), segments.join("/"))
}

/// A JSON answer whose numbers keep their digits.
pub(super) fn value_answer(status: StatusCode, body: &Value) -> Response {
    text_answer(status, json_text(body))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use periwinkle_core::schema::Schema;
    use periwinkle_core::time::{Mono, Now};
    use periwinkle_db::engine::{self, Storage, StorageFile};
    use periwinkle_db::{Environment, Options};
    use periwinkle_testkit::disk::SimDisk;
    use tokio::time::Instant;

    use super::*;

    const SCHEMA: &str = "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: { Reading: {
            pk: { type: 'string', value: 'readings#' },
            sk: { type: 'string', value: 'Reading#${id}' },
            id: { type: 'string', required: true },
        } },
    }";

    struct Still;

    impl Environment for Still {
        fn now(&self) -> Now {
            Now {
                mono: Mono::from_start(Duration::ZERO),
                wall: None,
                trusted: false,
            }
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    /// The threads that read contents of files.
    #[derive(Clone, Default)]
    struct Readers(Arc<Mutex<Vec<ThreadId>>>);

    impl Readers {
        fn take(&self) -> Vec<ThreadId> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    struct WatchedDisk(Arc<dyn Storage>, Readers);

    struct WatchedFile(Arc<dyn StorageFile>, Readers);

    impl WatchedDisk {
        fn watched(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
            Arc::new(WatchedFile(file, self.1.clone()))
        }
    }

    impl Storage for WatchedDisk {
        fn list(&self) -> io::Result<Vec<String>> {
            self.0.list()
        }

        fn create(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            self.0.create(name).map(|file| self.watched(file))
        }

        fn open(&self, name: &str) -> io::Result<Arc<dyn StorageFile>> {
            self.0.open(name).map(|file| self.watched(file))
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }

        fn sync_dir(&self) -> io::Result<()> {
            self.0.sync_dir()
        }

        fn free_bytes(&self) -> io::Result<u64> {
            self.0.free_bytes()
        }
    }

    impl StorageFile for WatchedFile {
        fn size(&self) -> io::Result<u64> {
            self.0.size()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.1.0.lock().unwrap().push(thread::current().id());
            self.0.read_at(offset, buffer)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, bytes)
        }

        fn reserve(&self, size: u64) -> io::Result<()> {
            self.0.reserve(size)
        }

        fn truncate(&self, size: u64) -> io::Result<()> {
            self.0.truncate(size)
        }

        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }

        fn sync_and_forget(&self, offset: u64) -> io::Result<()> {
            self.0.sync_and_forget(offset)
        }
    }

    /// A database of so many rows that keeps no value in memory.
    fn database(rows: usize) -> (DataApi, Readers) {
        database_of((0..rows).map(|row| format!("{row:03}")))
    }

    fn database_of(ids: impl Iterator<Item = String>) -> (DataApi, Readers) {
        let disk = SimDisk::new(1);
        let readers = Readers::default();
        let open = || {
            let storage = WatchedDisk(disk.storage(), readers.clone());
            let options = Options {
                engine: engine::Options {
                    cache_bytes: 0,
                    ..engine::Options::default()
                },
                ..Options::default()
            };
            let schema = Schema::parse(SCHEMA).unwrap();
            Database::open(Arc::new(storage), schema, options, Arc::new(Still))
                .unwrap()
                .0
        };
        let db = open();
        for id in ids {
            db.create("Reading", &Map::from([("id", id)])).unwrap();
        }
        // What waits for the disk is in memory still.
        db.close().unwrap();
        drop(db);
        let db = open();
        readers.take();
        (DataApi::new(db), readers)
    }

    async fn listed(api: &DataApi, parameter: (&str, &str)) -> Result<Response, Problem> {
        let named = Named {
            model: "Reading".to_owned(),
            key: Vec::new(),
        };
        let query = vec![(parameter.0.to_owned(), parameter.1.to_owned())];
        list(State(api.clone()), Login::local(0), named, Query(query)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_waits_for_those_whose_large_answers_are_on_their_way() {
        let id_bytes = 1000;
        let rows = limits::API_LIST_SMALL_BYTES_MAX / id_bytes + 1;
        let ids = (0..rows).map(|row| format!("{row:0id_bytes$}"));
        let (api, _) = database_of(ids);
        let whole = ("limit", "200");
        let mut answers = Vec::new();
        for _ in 0..limits::API_LISTS_PER_USER_MAX {
            answers.push(listed(&api, whole).await.unwrap());
        }
        // The one of which nothing was taken for the longest time gives way.
        let full = Instant::now();
        listed(&api, ("count", "true")).await.unwrap();
        let waited = full.elapsed();
        let stall_max = limits::API_LIST_STALL_MAX;
        assert!((stall_max..stall_max * 2).contains(&waited), "{waited:?}");
        let cut = axum::body::to_bytes(answers.remove(0).into_body(), 1 << 20).await;
        assert!(cut.is_err(), "half an answer is no answer");
        // A small answer keeps no place.
        for _ in 0..=limits::API_LISTS_MAX {
            listed(&api, ("limit", "1")).await.unwrap();
        }
        listed(&api, whole).await.unwrap();
    }

    #[tokio::test]
    async fn a_list_of_more_values_than_may_be_read_inline_is_read_on_another_thread() {
        let bound = limits::DB_SCAN_INLINE_MISSES_MAX;
        let own = thread::current().id();
        for (rows, inline) in [(bound, true), (bound + 1, false)] {
            let (api, readers) = database(rows);
            for asked in ["limit", "count"] {
                let value = if asked == "limit" { "200" } else { "true" };
                let answer = listed(&api, (asked, value)).await.unwrap();
                let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await;
                let body = String::from_utf8(body.unwrap().into()).unwrap();
                let whole = match asked {
                    "limit" => body.matches("\"id\"").count() == rows,
                    _ => body.contains(&format!("\"count\":{rows}")),
                };
                assert!(whole, "{rows} rows, {asked}: {body}");
                let threads = readers.take();
                assert!(!threads.is_empty(), "nothing was in memory");
                let all = threads.iter().all(|thread| (*thread == own) == inline);
                assert!(all, "{rows} rows, {asked}: {threads:?}");
            }
        }
    }
}
