//! Our client, as a maker's program uses it. One thread.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use periwinkle::mqtt::{Mqtt, Options, QoS, Version};

use crate::figures::{Clock, Figures, micros};
use crate::{PAYLOAD, TOPIC, Task};

/// Messages that wait in the queue beyond those on their way, as in the channels of the others.
const AHEAD: usize = 1000;
const DEADLINE: Duration = Duration::from_secs(10);

/// Where messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nowhere but in the session.
    Session,
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

fn open(_: Keep, task: &Task, version: Version) -> Result<Mqtt> {
    let address = format!("mqtt://127.0.0.1:{}", task.port);
    let mut options = Options::new(&address, "bench-periwinkle")?;
    options.session.version = version;
    options.session.in_flight_max = task.window;
    options.session.clean_start = true;
    Ok(Mqtt::connect(options)?)
}

async fn publish(keep: Keep, task: &Task, figures: &mut Figures) -> Result<()> {
    let mqtt = open(keep, task, Version::V311)?;
    mqtt.connected().await?;
    let clock = Clock::start()?;
    for number in 0..task.count as usize {
        if number % AHEAD == 0 {
            mqtt.below(AHEAD).await?;
        }
        mqtt.publish(TOPIC, PAYLOAD).qos(qos(task.qos)).detach()?;
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
    let mqtt = open(keep, task, Version::V311)?;
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
    let mqtt = open(keep, task, Version::V5)?;
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
    let mqtt = open(keep, task, Version::V311)?;
    let mut part = Instant::now();
    for number in 1..=task.count {
        mqtt.publish(TOPIC, PAYLOAD).qos(qos(task.qos)).detach()?;
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
