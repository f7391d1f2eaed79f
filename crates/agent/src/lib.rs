//! Periwinkle: a device agent, as a library inside the maker's own program.
//!
//! ```no_run
//! use periwinkle::{Agent, Body, Response, Result, StreamExt, now, spawn, stream, writeln};
//! use periwinkle::axum::{Router, routing::post};
//!
//! async fn test_action(body: Body) -> Result<Response> {
//!     let mut body = body.into_data_stream();
//!     while let Some(chunk) = body.next().await {
//!         println!("Got body data {}", chunk?.len());
//!     }
//!     let (mut out, response) = stream(); // writes wait when the client is slow; others run on
//!     spawn(async move {
//!         for _ in 0..10_000_000 {
//!             writeln!(out, "Hello World, now is {}", now()).await?;
//!         }
//!         Ok(())
//!     });
//!     Ok(response)
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<()> {
//!     let routes = Router::new().route("/test", post(test_action));
//!     Agent::builder().config_file("periwinkle.toml")?.routes(routes).build().await?.run().await
//! }
//! ```
//!
//! The maker owns the runtime; the library installs no logger and no recorder. A route that
//! [`routes`](Builder::routes) adds requires a login; [`public_routes`](Builder::public_routes)
//! is the explicit way to say otherwise.

mod agent;
mod api;
pub mod cli;
#[cfg(feature = "fetch")]
mod cloud;
#[cfg(feature = "console")]
mod console;
mod database;
mod error;
mod events;
#[cfg(feature = "fetch")]
pub mod fetch;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "mqtt")]
pub mod mqtt;
mod net;
#[cfg(any(feature = "fetch", feature = "mqtt"))]
mod secret_file;
mod services;
mod signals;
mod state;
mod status;
mod stop;
mod supervise;
mod tar;
mod task;
mod timekeeping;
mod web;

pub use agent::{Agent, Builder, SetupCodeTo};
pub use axum;
pub use axum::body::Body;
pub use axum::response::Response;
#[cfg(feature = "upload")]
pub use cloud::upload;
pub use database::Db;
pub use error::{Error, Result};
pub use futures_util::StreamExt;
pub use periwinkle_core as core;
pub use periwinkle_db as db;
pub use stop::{Stop, Stopper};
pub use task::{now, spawn};
pub use web::identity::{Identity, Login};
pub use web::problem::Problem;
pub use web::stream::{Out, stream};
