//! An agent inside the maker's own program, with one action of the maker's: it streams the body
//! in and any number of lines out, in constant memory.
//!
//! ```text
//! cargo run --example streaming -- --config periwinkle.toml
//! ```

use periwinkle::axum::Router;
use periwinkle::axum::extract::Query;
use periwinkle::axum::routing::{get, post};
use periwinkle::{Agent, Body, Response, Result, StreamExt, now, spawn, stream, writeln};
use serde::Deserialize;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default = "ten_million")]
    lines: u64,
}

fn ten_million() -> u64 {
    10_000_000
}

async fn test_action(Query(wanted): Query<Wanted>, body: Body) -> Result<Response> {
    let mut body = body.into_data_stream();
    let mut received = 0;
    while let Some(chunk) = body.next().await {
        received += chunk?.len();
    }
    // Writes wait when the client is slow; everything else runs on.
    let (mut out, response) = stream();
    spawn(async move {
        writeln!(out, "Got {received} bytes").await?;
        for _ in 0..wanted.lines {
            writeln!(out, "Hello World, now is {}", now()).await?;
        }
        Ok(())
    });
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let file = std::env::args()
        .skip_while(|word| word != "--config")
        .nth(1);
    Agent::builder()
        .config_file(file.as_deref().unwrap_or("periwinkle.toml"))?
        .routes(Router::new().route("/test", post(test_action)))
        .public_routes(Router::new().route("/hello", get(|| async { "hello" })))
        .build()
        .await?
        .run()
        .await
}
