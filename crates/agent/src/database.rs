//! The database as the agent holds it: opened with its schema, watched, reopened, closed.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use periwinkle_core::config::Config;
use periwinkle_core::limits;
use periwinkle_core::schema::{Schema, SchemaError};
use periwinkle_core::time::Now;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::engine::{
    self, DurabilityError, FileStorage, OpenReport, Storage, StorageError,
};
use periwinkle_db::{
    Change, Database, DbError, DbOpenError, Environment, Event, Options, QueueBounds, Since,
};
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::events::{Events, Topic};
use crate::net::clock::Clock;
use crate::net::entropy;
use crate::supervise::{ServiceContext, ServiceError};
use crate::web::problem::Problem;
use crate::web::rows::is_internal;
use crate::{Error, Result};

/// The schema that the agent has without a configured one.
const BUILT_IN_SCHEMA: &str = include_str!("schema.json5");

/// The database in a maker's handler; everything that [`Database`] does.
#[derive(Clone, Debug)]
pub struct Db(pub Database);

impl Deref for Db {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Db {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Db, Problem> {
        let db = parts.extensions.get::<Db>().cloned();
        db.ok_or_else(|| Problem::internal(&"this request did not come through the agent"))
    }
}

/// Reads the schema, configured or built in, and opens the database in `folder`.
pub async fn open(config: &Config, folder: &Path, device: &str, clock: Clock) -> Result<Database> {
    let (db, report) = open_as(
        FileStorage::open,
        Database::open,
        config,
        folder,
        device,
        clock,
    )
    .await?;
    if let Some(tail) = &report.cut {
        let kept = tail.kept.as_deref().unwrap_or("nowhere, for want of room");
        tracing::warn!(
            file = tail.file,
            offset = tail.offset,
            bytes = tail.bytes,
            kept,
            "the last stop was not orderly: an unfinished write was cut off"
        );
    }
    if let Some(other) = db.other_device().map_err(Error::Database)? {
        tracing::warn!(
            other,
            "rows of another device lie in the database, as after device.id was changed: they are \
             not shown, and the cloud takes what waits of them from that device only; go back to \
             its id, or export under it and import into a new state directory"
        );
    }
    Ok(db)
}

/// The same for reading only: nothing in `folder` is changed.
pub async fn open_read_only(
    config: &Config,
    folder: &Path,
    device: &str,
    clock: Clock,
) -> Result<Database> {
    let storage = FileStorage::open_read_only;
    let opened = open_as(
        storage,
        Database::open_read_only,
        config,
        folder,
        device,
        clock,
    )
    .await;
    opened.map(|(db, _)| db)
}

/// The database of an agent on a disk that is none.
#[cfg(all(test, feature = "mqtt"))]
pub(crate) fn open_on(storage: Arc<dyn Storage>, clock: Clock) -> Database {
    let environment = Arc::new(Surroundings(clock));
    let options = Options {
        context: Map::from([("deviceId", Value::from("pump-7"))]),
        ..Options::default()
    };
    let opened = Database::open(storage, built_in_schema(), options, environment);
    opened.expect("the disk was in order or can be recovered").0
}

type OpenStorage = fn(PathBuf) -> std::result::Result<FileStorage, StorageError>;
type OpenDatabase = fn(
    Arc<dyn Storage>,
    Schema,
    Options,
    Arc<dyn Environment>,
) -> std::result::Result<(Database, OpenReport), DbOpenError>;

async fn open_as(
    open_storage: OpenStorage,
    open_database: OpenDatabase,
    config: &Config,
    folder: &Path,
    device: &str,
    clock: Clock,
) -> Result<(Database, OpenReport)> {
    let schema = read_schema(config)?;
    let options = Options {
        context: Map::from([("deviceId", Value::from(device))]),
        engine: engine_options(config),
        queue: QueueBounds {
            rows_max: config.db.queue_rows_max.map(u64::from),
            bytes_max: config.db.queue_bytes_max.map(|bytes| bytes.0),
        },
    };
    let path = folder.to_owned();
    let folder = path.clone();
    let opened = spawn_blocking(move || {
        let storage = open_storage(folder).map_err(|error| error.to_string())?;
        let environment = Arc::new(Surroundings(clock));
        open_database(Arc::new(storage), schema, options, environment)
            .map_err(|error| error.to_string())
    });
    let opened = opened.await.map_err(|error| error.to_string()).flatten();
    opened.map_err(|reason| Error::DatabaseOpen { path, reason })
}

fn read_schema(config: &Config) -> Result<Schema> {
    let Some(path) = &config.db.schema else {
        return Ok(built_in_schema());
    };
    let named =
        |error: &dyn std::fmt::Display| Error::Schema(format!("{}: {error}", path.display()));
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| named(&format_args!("cannot be read: {error}")))?;
    parse_schema(&text).map_err(|error| named(&error))
}

/// A maker's schema, with the models of the agent itself: it need not name them.
pub(crate) fn parse_schema(text: &str) -> std::result::Result<Schema, SchemaError> {
    Schema::parse_over(text, &built_in_schema())
}

pub(crate) fn built_in_schema() -> Schema {
    Schema::parse(BUILT_IN_SCHEMA).expect("the built-in schema is tested")
}

fn engine_options(config: &Config) -> engine::Options {
    engine::Options {
        flush_interval: config.db.flush,
        lazy_interval: config.db.lazy_flush,
        cache_bytes: config.db.cache.as_usize(),
        ..engine::Options::default()
    }
}

/// The clock and the entropy that the database borrows.
struct Surroundings(Clock);

impl Environment for Surroundings {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        entropy::fill(bytes).expect("the system's entropy was there at the start");
    }
}

/// The service `db`: reopens a store that failed, purges what has expired, closes at the end.
pub async fn run(db: Database, mut ctx: ServiceContext) -> Result<(), ServiceError> {
    reopen_if_failed(&db).await?;
    ctx.ready();
    let heartbeat = ctx.heartbeat();
    let mut look = tokio::time::interval(limits::DB_LOOK_INTERVAL);
    let mut purge = tokio::time::interval(limits::DB_PURGE_INTERVAL);
    keep_bounds(&db).await?;
    loop {
        tokio::select! {
            () = ctx.stop.requested() => break,
            _ = look.tick() => reopen_if_failed(&db).await?,
            _ = purge.tick() => purge_expired(&db, ctx.clock.now()).await?,
        }
        heartbeat.beat();
    }
    let closed = spawn_blocking(move || db.close()).await?;
    closed.map_err(|error| ServiceError::new(format!("the last flush failed: {error}")))
}

/// How often the service gives a sign of life, at least.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An error here is what makes the supervisor try again later, with growing pauses.
async fn reopen_if_failed(db: &Database) -> Result<(), ServiceError> {
    let Some(failure) = db.failure() else {
        return Ok(());
    };
    let again = db.clone();
    spawn_blocking(move || again.reopen())
        .await?
        .map_err(|error| {
            ServiceError::new(format!("{failure}; opening it again failed: {error}"))
        })?;
    tracing::warn!("the database was opened again after a failure: {failure}");
    Ok(())
}

/// Bounds of models may have been lowered since the last start.
async fn keep_bounds(db: &Database) -> Result<(), ServiceError> {
    let again = db.clone();
    match spawn_blocking(move || again.keep_bounds()).await? {
        Ok(0) => {}
        Ok(rows) => tracing::warn!(rows, "dropped what is beyond the bounds of models"),
        Err(error) => tracing::warn!("rows beyond the bounds of models stay for now: {error}"),
    }
    for (model, beyond) in db.stats().beyond {
        let (rows, bytes) = (beyond.rows, beyond.bytes);
        tracing::warn!(
            model,
            rows,
            bytes,
            "the model has more than its bounds admit; remove rows, or raise the bound"
        );
    }
    Ok(())
}

async fn purge_expired(db: &Database, now: Now) -> Result<(), ServiceError> {
    let again = db.clone();
    match spawn_blocking(move || again.purge_expired(now)).await? {
        Ok(0) => {}
        Ok(rows) => tracing::debug!(rows, "purged what had expired"),
        // Reported by the store itself; the next look reopens it.
        Err(error) => tracing::warn!("expired rows stay for now: {error}"),
    }
    Ok(())
}

/// The service `changes`: tells live listeners what has become durable.
pub async fn tell_changes(
    db: Database,
    events: Events,
    mut ctx: ServiceContext,
) -> Result<(), ServiceError> {
    let mut changes = db.changes(Since::Now);
    ctx.ready();
    loop {
        let next = tokio::select! {
            next = changes.next() => next,
            () = ctx.stop.requested() => return Ok(()),
        };
        match next {
            Some(Event::Change(change)) if is_internal(&change.model) => {}
            Some(Event::Change(change)) => {
                events.publish(Topic::Changes, || change_json(&change));
            }
            // Listeners read again what they show.
            Some(Event::Gap { sequence }) => {
                events.publish(Topic::Changes, || json!({"gap": sequence}).to_string());
            }
            None => return Ok(()),
        }
    }
}

fn change_json(change: &Change) -> String {
    let (kind, origin) = (change.kind.as_str(), change.origin.as_str());
    let item = change
        .item
        .as_ref()
        .map_or_else(|| "null".to_owned(), Map::to_json);
    let (model, key) = (json!(change.model), json!(change.key));
    format!(
        "{{\"model\":{model},\"key\":{key},\"type\":\"{kind}\",\"origin\":\"{origin}\",\
         \"item\":{item}}}"
    )
}

/// The section `db` of the status, with what each model has.
pub fn show_all(db: &Database) -> serde_json::Value {
    let stats = db.stats();
    let mut shown = show(db);
    let fields = shown.as_object_mut().expect("it was made as an object");
    fields.insert("bytes_cached".to_owned(), json!(stats.engine.bytes_cached));
    let committed = json!(stats.engine.bytes_committed);
    fields.insert("bytes_committed".to_owned(), committed);
    fields.insert("bytes_moved".to_owned(), json!(stats.engine.bytes_moved));
    fields.insert("models".to_owned(), json!(stats.rows));
    shown
}

/// The section `db` of the status.
pub fn show(db: &Database) -> serde_json::Value {
    let stats = db.stats();
    let engine = &stats.engine;
    json!({
        "rows": stats.rows.values().sum::<u64>(),
        "bytes": engine.bytes_total,
        "bytes_live": engine.bytes_live,
        "bytes_garbage": engine.bytes_garbage,
        "segments": engine.segments,
        "segments_freed": engine.segments_freed,
        "sequence": engine.sequence,
        "durable_sequence": engine.durable_sequence,
        "bytes_written": engine.bytes_written,
        "write_amplification_pct": engine.write_amplification_pct(),
        "syncs": engine.syncs,
        "cut_tails": engine.cut_tails,
        "queue": {"rows": stats.queue.rows, "bytes": stats.queue.bytes},
        "bytes_by_model": stats.bytes,
        "beyond": stats.beyond.iter()
            .map(|(model, beyond)| {
                (model.clone(), json!({"rows": beyond.rows, "bytes": beyond.bytes}))
            })
            .collect::<serde_json::Map<_, _>>(),
        "dropped": stats.dropped.iter()
            .map(|(model, dropped)| {
                (model.clone(), json!({"rows": dropped.rows, "unsent": dropped.unsent}))
            })
            .collect::<serde_json::Map<_, _>>(),
        "parked_models": db.parked_models().iter()
            .map(|parked| {
                let versions = json!({
                    "written": parked.written.to_string(), "known": parked.known.to_string(),
                });
                (parked.model.clone(), versions)
            })
            .collect::<serde_json::Map<_, _>>(),
        "disk_full": engine.disk_full,
        "compaction_stopped": engine.compaction_stopped,
        "failure": db.failure().map(|failure| failure.to_string()),
    })
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Problem {
        use http::StatusCode;
        let kind = error.kind();
        let status = match kind {
            "unknown_model" | "not_found" => StatusCode::NOT_FOUND,
            "exists" | "not_unique" | "parked_model" => StatusCode::CONFLICT,
            "condition_failed" => StatusCode::PRECONDITION_FAILED,
            "read_only_model" | "read_only" => StatusCode::FORBIDDEN,
            "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            "full" => StatusCode::INSUFFICIENT_STORAGE,
            "corrupt" | "disk" | "reentrant" => StatusCode::INTERNAL_SERVER_ERROR,
            "closed" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut problem = Problem::new(status, kind, sentence(&error.to_string()));
        if let Some(field) = error.field() {
            problem = problem.field(field);
        }
        let (at, cause) = match &error {
            DbError::InTransaction { at, source, .. } => (Some(*at), &**source),
            error => (None, error),
        };
        if let Some(at) = at {
            problem = problem.write(at);
        }
        match cause {
            DbError::ConditionFailed { item, .. } => problem.item(
                item.as_ref()
                    .map_or_else(|| "null".to_owned(), |item| item.to_json()),
            ),
            _ => problem,
        }
    }
}

impl From<DurabilityError> for Problem {
    fn from(error: DurabilityError) -> Problem {
        let detail = format!(
            "{} Whether the change is there shows when it is read again.",
            sentence(&error.to_string())
        );
        Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR, "disk", detail)
    }
}

/// How errors begin, if not with a name.
const SMALL: [&str; 8] = [
    "there ", "the ", "this ", "write ", "limit ", "a ", "no ", "cannot ",
];

/// Words of an error as a sentence of their own.
pub(crate) fn sentence(words: &str) -> String {
    // Those of a service may be one already.
    let words = words.trim_end_matches('.');
    let mut letters = words.chars();
    let end = if words.ends_with('?') { "" } else { "." };
    match letters.next() {
        // A name in front keeps its letters.
        Some(first) if SMALL.iter().any(|small| words.starts_with(small)) => {
            format!("{}{}{end}", first.to_uppercase(), letters.as_str())
        }
        _ => format!("{words}{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_one_sentence_with_one_full_stop() {
        assert_eq!(sentence("there is none"), "There is none.");
        assert_eq!(
            sentence("NoSuchBucket: it does not exist."),
            "NoSuchBucket: it does not exist."
        );
    }

    #[test]
    fn the_built_in_schema_says_which_way_each_model_travels() {
        let schema = built_in_schema();
        let models = schema.models().iter();
        let directions: Vec<_> = models
            .map(|model| (model.name(), model.direction().as_str()))
            .collect();
        assert_eq!(
            directions,
            [
                ("Metric", "up"),
                ("Setting", "both"),
                ("User", "none"),
                ("Session", "none"),
                ("Upload", "none"),
                ("UploadFile", "none"),
                ("Conflicts", "none"),
            ]
        );
    }

    #[test]
    fn a_makers_schema_need_not_name_the_agents_own_models() {
        let own = "{
            version: '2.0.0',
            params: { isoDates: true },
            indexes: { primary: { hash: 'pk', sort: 'sk' } },
            models: { Pump: {
                pk: { type: 'string', value: 'dev#${deviceId}#rw' },
                sk: { type: 'string', value: 'Pump#${id}' },
                deviceId: { type: 'string', required: true },
                id: { type: 'string', required: true },
            } },
            process: { Pump: { sync: 'both' } },
        }";
        let schema = parse_schema(own).unwrap();
        assert_eq!(schema.major_version(), 2);
        for model in ["Pump", "Metric", "Setting", "User", "Session", "Conflicts"] {
            assert!(schema.model(model).is_ok(), "{model}");
        }
    }
}
