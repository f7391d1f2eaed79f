//! A measurement travels: from /proc to the ring, the log, the page and the cloud.

use serde_json::Value;

use crate::agent::Home;
use crate::eventually::eventually;

const QUICK: &str = "[metrics]\ninterval = \"200 ms\"\nrow = \"1 s\"\n";

#[test]
fn a_sample_reaches_the_page_live_and_the_ring() {
    let agent = Home::with(QUICK).start();
    let owner = agent.owner();
    let samples: Vec<Value> = owner.events("metrics", "metrics").take(2).collect();
    assert!(
        samples[1]["at_ms"].as_i64() > samples[0]["at_ms"].as_i64(),
        "{samples:?}"
    );
    assert!(
        samples[1]["mem_total_bytes"].as_u64() > Some(1_000_000),
        "{samples:?}"
    );
    let ring = owner.get("/api/v1/metrics").expect(200).json();
    assert_eq!(ring["interval_ms"], 200);
    assert!(
        ring["samples"]
            .as_array()
            .is_some_and(|samples| samples.len() >= 2),
        "{ring}"
    );
}

#[test]
fn rows_reach_the_database_and_survive_a_kill() {
    let agent = Home::with(&format!("{QUICK}[db]\nlazy_flush = \"1 s\"\n")).start();
    let owner = agent.owner();
    let rows = |owner: &crate::client::Client| {
        owner.get("/api/v1/data/Metric").expect(200).json()["items"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let before = eventually("two rows", || {
        Some(rows(&owner)).filter(|rows| rows.len() >= 2)
    });
    assert!(before[0]["samples"].as_u64() >= Some(1), "{before:?}");
    eventually("they are durable", || {
        let db = &agent.status()["db"];
        (db["durable_sequence"] == db["sequence"]).then_some(())
    });
    let agent = agent.kill().start();
    let after = rows(&agent.login());
    assert_eq!(after[..before.len()], before[..]);
}
