//! The code of the guide, which compiles as it stands there.
#![allow(
    dead_code,
    unused_variables,
    unused_mut,
    clippy::print_stdout,
    reason = "it is there to be compiled"
)]

use std::time::Duration;

use periwinkle::core::aws::dynamodb::{GetItem, KeyCondition, Query};
use periwinkle::core::value::Map;
use periwinkle::fetch::{Fetch, FetchError, Payload};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Status {}

#[derive(Deserialize)]
struct Reply {}

#[derive(Serialize)]
struct Order {}

async fn weather(fetch: Fetch) -> periwinkle::Result<String> {
    let page = fetch.get_text("https://weather.example/today").await;
    page.map_err(|error| periwinkle::Error::Other(error.into()))
}

async fn requests(fetch: Fetch, order: Order) -> Result<(), FetchError> {
    let page = fetch.get_text("https://www.example.com").await?;
    let status: Status = fetch.get_json("https://api.example.com/status").await?;
    let reply: Reply = fetch
        .post_json("https://api.example.com/orders", &order)
        .await?;

    let answer = fetch
        .put("https://api.example.com/files/7")
        .query("overwrite", "true")
        .header("x-request", "42")
        .body(Payload::file("/var/log/app.log"))
        .deadline(Duration::from_secs(300))
        .send()
        .await?
        .success()
        .await?;
    Ok(())
}

async fn download(fetch: Fetch, digits: &str) -> Result<(), FetchError> {
    let done = fetch
        .download("https://example.com/image.bin", "/data/image.bin")
        .sha256(digits)
        .run()
        .await?;
    Ok(())
}

async fn streams(fetch: Fetch) -> Result<(), FetchError> {
    let mut events = fetch.get("https://api.example.com/events").events();
    while let Some(event) = events.next().await? {
        println!("{}: {}", event.kind, event.data);
    }

    let mut socket = fetch
        .websocket("wss://api.example.com/live")
        .open(&["v1"])
        .await?;
    socket.send_text("hello").await?;
    Ok(())
}

async fn aws(fetch: Fetch, key: Map) -> Result<(), Box<dyn std::error::Error>> {
    let aws = fetch.aws();
    let tables = aws.call("dynamodb", "ListTables", Map::default()).await?;
    let who = aws.caller_identity().await?;
    let item = aws
        .dynamodb(&GetItem {
            table: "devices".into(),
            key,
            ..GetItem::default()
        })
        .await?;
    let mut pages = aws.query(Query::new(
        "devices",
        KeyCondition::partition("pk", "dev#1#rw"),
    ));
    Ok(())
}

/// Code without its layout.
fn dense(code: &str) -> String {
    let dense: String = code.split_whitespace().collect();
    dense.replace(",)", ")").replace(",}", "}")
}

#[test]
fn the_code_of_the_guide_compiles_as_it_stands_there() {
    let guide = include_str!("../../../../../docs/guide/fetch.md");
    let here = dense(include_str!("guide.rs"));
    let blocks: Vec<&str> = guide
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), 5);
    for block in blocks {
        let code = block.strip_prefix("use periwinkle::fetch::Fetch;");
        let code = code.unwrap_or(block);
        assert!(here.contains(&dense(code)), "not compiled: {code}");
    }
}
