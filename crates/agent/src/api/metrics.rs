//! The device's recent past, sample by sample.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};

use crate::metrics::{Feed, History};

/// `GET /metrics` over the samples of `feed`.
pub fn router(feed: Feed) -> Router {
    Router::new().route("/metrics", get(show)).with_state(feed)
}

async fn show(State(feed): State<Feed>) -> Json<History> {
    Json(feed.history())
}
