//! The REST API, version 1: what the console, the command line and the maker's programs use.
//!
//! `docs/guide/api.md` describes it. Who may call what stands in `web::policy`.

mod backup;
mod body;
mod data;
mod database;
pub mod events;
mod expressions;
#[cfg(feature = "metrics")]
mod metrics;
mod models;
#[cfg(feature = "mqtt")]
mod mqtt;
pub(crate) mod path;
mod places;
mod session;
mod setup;
mod status;
#[cfg(feature = "sync")]
mod sync;
mod transaction;
#[cfg(feature = "upload")]
mod uploads;
mod users;
pub(crate) mod verify;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, delete, get, post, put};

use periwinkle_db::Database;

use crate::status::StatusBoard;
use crate::web::accounts::Accounts;
use crate::web::problem::Problem;
use events::Feed;

#[cfg(feature = "metrics")]
pub use metrics::router as metrics_router;
#[cfg(feature = "mqtt")]
pub(crate) use mqtt::insert_payload;
#[cfg(feature = "mqtt")]
pub use mqtt::router as mqtt_router;
#[cfg(feature = "sync")]
pub use sync::router as sync_router;
#[cfg(feature = "upload")]
pub use uploads::router as uploads_router;

/// What the handlers of the API work with.
#[derive(Clone, Debug)]
pub struct Api {
    /// Users and sessions.
    pub accounts: Arc<Accounts>,
    /// The database, which may be away for a moment.
    pub db: Database,
    /// The sections of the status.
    pub status: StatusBoard,
    /// The live events.
    pub feed: Feed,
}

/// What the handlers of items and of the database itself work with.
#[derive(Clone, Debug)]
pub struct DataApi {
    /// The database, which may be away for a moment.
    pub db: Database,
    lists: places::Places,
}

impl DataApi {
    /// The items of this database.
    pub fn new(db: Database) -> DataApi {
        DataApi {
            db,
            lists: places::Places::default(),
        }
    }
}

/// The routes that every agent has; `more` are those of its optional services.
pub fn router(api: Api, more: Router) -> Router {
    let data = DataApi::new(api.db.clone());
    let v1 = Router::new()
        .route("/setup", get(setup::show).post(setup::set_up))
        .route(
            "/session",
            get(session::show)
                .post(session::log_in)
                .delete(session::log_out),
        )
        .route("/session/password", put(session::change_password))
        .route("/users", get(users::list).post(users::add))
        .route("/users/{name}", delete(users::remove).patch(users::change))
        .route("/agent/setup-code", post(setup::renew_code))
        .route("/status", get(status::show))
        .with_state(api.clone())
        .merge(data_routes(data))
        .merge(
            Router::new()
                .route("/events", get(events::listen))
                .with_state(api.feed),
        )
        .merge(more);
    whole(v1)
}

/// The routes of items and of the database alone: what the command line calls on the files when
/// no agent runs.
pub fn data_router(api: DataApi) -> Router {
    whole(data_routes(api))
}

fn data_routes(api: DataApi) -> Router {
    Router::new()
        .route("/models", get(models::list))
        .route("/data/{model}", get(data::list).post(data::create))
        // The one item of a model whose key has no parts.
        .route("/data/{model}/", item())
        .route("/data/{model}/{*key}", item())
        .route("/transaction", post(transaction::run))
        .route("/database", get(database::stats))
        .route("/database/export", get(database::export))
        .route("/database/import", post(database::import))
        .route("/database/backup", get(backup::backup))
        .route("/database/verify", post(verify::verify))
        .with_state(api)
}

fn item() -> MethodRouter<DataApi> {
    get(data::show)
        .patch(data::update)
        .put(data::upsert)
        .delete(data::remove)
}

fn whole(v1: Router) -> Router {
    Router::new()
        .nest("/api/v1", v1)
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        // The dispatcher bounds every body; axum's own bound would only be a second, lower one.
        .layer(DefaultBodyLimit::disable())
}

async fn no_such_path(uri: http::Uri) -> Problem {
    Problem::not_found(format!("The API has nothing at {}.", uri.path()))
}

async fn wrong_method(method: http::Method, uri: http::Uri) -> Problem {
    let detail = format!("{} does not take {method}.", uri.path());
    Problem::new(
        http::StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        detail,
    )
}
