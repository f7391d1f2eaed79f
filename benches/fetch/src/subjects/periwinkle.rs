//! The library's client, as an agent on defaults hands it out.

use std::path::Path;

use anyhow::{Result, ensure};
use periwinkle::Agent;
use periwinkle::fetch::{Answer, Fetch, Payload};
use tokio::runtime::Runtime;

use super::{Subject, runtime};
use crate::process;
use crate::steps::{Done, timed};

pub(crate) struct Periwinkle;

impl Subject for Periwinkle {
    fn small(&self, url: &str, count: u32, in_flight: u32) -> Result<Done> {
        let runtime = runtime()?;
        let fetch = client(&runtime)?;
        let all = |count| runtime.block_on(requests(&fetch, url, count, in_flight));
        all(count / 10)?;
        timed(process::own, || all(count))
    }

    fn download(&self, url: &str) -> Result<Done> {
        let runtime = runtime()?;
        let fetch = client(&runtime)?;
        runtime.block_on(get(&fetch, &format!("{url}.small")))?;
        timed(process::own, || runtime.block_on(get(&fetch, url)))
    }

    fn upload(&self, url: &str, file: &Path) -> Result<Done> {
        let runtime = runtime()?;
        let fetch = client(&runtime)?;
        let small = file.with_extension("small");
        runtime.block_on(put(&fetch, &format!("{url}.small"), &small))?;
        timed(process::own, || runtime.block_on(put(&fetch, url, file)))
    }
}

fn client(runtime: &Runtime) -> Result<Fetch> {
    let state = std::env::temp_dir().join(format!("fetchbench-{}", std::process::id()));
    let text = format!("[runtime]\nstate = \"{}\"\n", state.display());
    let agent = runtime.block_on(Agent::builder().config_text("bench", text).build())?;
    let fetch = agent.fetch();
    drop(agent);
    std::fs::remove_dir_all(&state)?;
    Ok(fetch)
}

async fn requests(fetch: &Fetch, url: &str, count: u32, in_flight: u32) -> Result<u64> {
    let mut tasks = Vec::new();
    for number in 0..in_flight {
        let (fetch, url) = (fetch.clone(), url.to_owned());
        let share = count / in_flight + u32::from(number < count % in_flight);
        tasks.push(tokio::spawn(async move {
            let mut bytes = 0;
            for _ in 0..share {
                bytes += get(&fetch, &url).await?;
            }
            anyhow::Ok(bytes)
        }));
    }
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    Ok(bytes)
}

async fn get(fetch: &Fetch, url: &str) -> Result<u64> {
    body(fetch.get(url).send().await?).await
}

async fn put(fetch: &Fetch, url: &str, file: &Path) -> Result<u64> {
    let bytes = file.metadata()?.len();
    body(fetch.put(url).body(Payload::file(file)).send().await?).await?;
    Ok(bytes)
}

/// To its end, kept nowhere.
async fn body(mut answer: Answer) -> Result<u64> {
    ensure!(answer.is_success(), "{}", answer.status());
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await? {
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}
