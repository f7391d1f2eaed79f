//! Our client, as a maker's program uses it. One thread.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use periwinkle::Agent;
use periwinkle::mqtt::{Mqtt, Options, Publish, QoS, Version};

use crate::figures::{Clock, Figures, micros};
use crate::{PAYLOAD, TOPIC, Task};

/// Messages that wait in the queue beyond those on their way, as in the channels of the others.
const AHEAD: usize = 1000;
const DEADLINE: Duration = Duration::from_secs(10);

/// Where messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nowhere but in the session: a client without an agent.
    Session,
    /// In the agent's queue, on flash when an acknowledgement is late.
    Spill,
    /// On flash before a message is accepted.
    Durable,
}

pub(super) fn run(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &*task.step {
            "publish" => publish(keep, task, figures).await,
            "receive" => receive(keep, task, figures).await,
            "request" => request(keep, task, figures).await,
            "queue" => queue(keep, task, figures).await,
            step => bail!("periwinkle has no step {step}"),
        }
    })
}

fn qos(level: u8) -> QoS {
    match level {
        0 => QoS::AtMostOnce,
        1 => QoS::AtLeastOnce,
        _ => QoS::ExactlyOnce,
    }
}

async fn open(keep: Keep, task: &Task, version: Version) -> Result<Mqtt> {
    let address = format!("mqtt://127.0.0.1:{}", task.port);
    if keep != Keep::Session {
        return in_an_agent(&address, task, version).await;
    }
    let mut options = Options::new(&address, "bench-periwinkle")?;
    options.session.version = version;
    options.session.in_flight_max = task.window;
    options.session.clean_start = true;
    options.budget.bytes_max = 256 << 20;
    Ok(Mqtt::connect(options)?)
}

/// An agent that does nothing else, in the same thread, with a new database on the disk.
async fn in_an_agent(address: &str, task: &Task, version: Version) -> Result<Mqtt> {
    let folder = std::env::var("MQTTBENCH_DIRECTORY").context("MQTTBENCH_DIRECTORY is not set")?;
    let state = Path::new(&folder).join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state)?;
    }
    let version = match version {
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    };
    let text = format!(
        "[runtime]\nstate = {state:?}\n[web]\nlisten = []\n[mqtt]\nenable = true\n\
         url = {address:?}\nversion = {version:?}\nclean_start = true\nin_flight_max = {}\n\
         queue_bytes_max = \"256 MiB\"\n",
        task.window
    );
    let agent = Agent::builder()
        .config_text("bench.toml", text)
        .build()
        .await?;
    let mqtt = agent.mqtt()?;
    tokio::spawn(agent.run());
    Ok(mqtt)
}

/// How a message is described in this mode.
fn message<'a>(keep: Keep, mqtt: &'a Mqtt, level: u8) -> Publish<'a, &'static [u8; 100]> {
    let message = mqtt.publish(TOPIC, PAYLOAD).qos(qos(level));
    match keep {
        Keep::Durable => message.durable(),
        _ => message,
    }
}

async fn publish(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    let mqtt = open(keep, task, Version::V311).await?;
    mqtt.connected().await?;
    let clock = Clock::start()?;
    for number in 0..task.count as usize {
        if number % AHEAD == 0 {
            mqtt.below(AHEAD).await?;
        }
        message(keep, &mqtt, task.qos).detach()?;
    }
    if task.qos == 0 {
        // Its acknowledgement says that those before it have arrived.
        mqtt.publish(TOPIC, "")
            .qos(QoS::AtLeastOnce)
            .acked()
            .await?;
    }
    mqtt.drained().await?;
    figures.add_messages(task.count, &clock)
}

async fn receive(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    let mqtt = open(keep, task, Version::V311).await?;
    let mut feed = mqtt.subscribe("feed", qos(task.qos)).await?;
    let order = format!("{} {} {}", task.qos, task.count, task.window);
    let clock = Clock::start()?;
    mqtt.publish("start", order)
        .qos(QoS::AtLeastOnce)
        .detach()?;
    for _ in 0..task.count {
        let Some(message) = feed.recv().await else {
            bail!("the client has ended");
        };
        anyhow::ensure!(
            message.payload().len() == PAYLOAD.len(),
            "this was not sent"
        );
    }
    figures.add_messages(task.count, &clock)
}

/// One question at a time, with version 5.
async fn request(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    let mqtt = open(keep, task, Version::V5).await?;
    let ask = || mqtt.request("ask", PAYLOAD, DEADLINE).qos(QoS::AtMostOnce);
    // The first one brings the subscription to the answers with it.
    ask().await?;
    let mut times = Vec::new();
    let clock = Clock::start()?;
    for _ in 0..task.count {
        let asked = Instant::now();
        let answer = ask().await?;
        anyhow::ensure!(answer == PAYLOAD, "nobody asked that");
        times.push(asked.elapsed());
    }
    figures.add_messages(task.count, &clock)?;
    figures.add_times(&mut times);
    Ok(())
}

/// All messages are queued before there is a connection, which then sends them. With one thread
/// nothing is sent before the first wait.
async fn queue(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    const PART: u32 = 10_000;
    let mqtt = open(keep, task, Version::V311).await?;
    let mut part = Instant::now();
    for number in 1..=task.count {
        message(keep, &mqtt, task.qos).detach()?;
        if number == PART {
            figures.add("first_us", micros(part.elapsed()) / f64::from(PART));
        }
        if number == task.count.saturating_sub(PART) {
            part = Instant::now();
        }
    }
    figures.add("last_us", micros(part.elapsed()) / f64::from(PART));
    let clock = Clock::start()?;
    mqtt.drained().await?;
    figures.add_messages(task.count, &clock)
}
