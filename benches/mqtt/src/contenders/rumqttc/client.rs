//! rumqttc as its documentation shows it: a task that publishes, a loop that polls. One thread.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::library;
use super::library::v5::mqttbytes::v5::PublishProperties;
use super::library::{AsyncClient, ClientError, Event, EventLoop, MqttOptions, Packet, QoS, v5};

use crate::figures::{Clock, Figures};
use crate::{PAYLOAD, TOPIC, Task};

const CAPACITY: usize = 1000;
const HOST: &str = "127.0.0.1";

pub(in crate::contenders) fn run(task: &Task, figures: &mut Figures) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &*task.step {
            "publish" => publish(task, figures).await,
            "receive" => receive(task, figures).await,
            "request" => request(task, figures).await,
            step => bail!("rumqttc has no step {step}"),
        }
    })
}

fn qos(level: u8) -> Result<QoS> {
    library::qos(level).ok().context("there is no such QoS")
}

async fn connected(task: &Task) -> Result<(AsyncClient, EventLoop)> {
    let mut options = MqttOptions::new("bench-rumqttc", HOST, task.port);
    options.set_inflight(task.window);
    let (client, mut events) = AsyncClient::new(options, CAPACITY);
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok((client, events))
}

async fn publish(task: &Task, figures: &mut Figures) -> Result<()> {
    let (client, mut events) = connected(task).await?;
    let (level, count) = (qos(task.qos)?, task.count);
    let clock = Clock::start()?;
    tokio::spawn(async move {
        for _ in 0..count {
            client.publish(TOPIC, level, false, *PAYLOAD).await?;
        }
        if level == QoS::AtMostOnce {
            // Its acknowledgement says that those before it have arrived.
            client.publish(TOPIC, QoS::AtLeastOnce, false, "").await?;
        }
        // The loop ends when nobody can ask it for anything.
        std::future::pending::<Result<(), ClientError>>().await
    });
    let mut left = if level == QoS::AtMostOnce { 1 } else { count };
    while left > 0 {
        if let Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) = events.poll().await? {
            left -= 1;
        }
    }
    figures.add_messages(count, &clock)
}

async fn receive(task: &Task, figures: &mut Figures) -> Result<()> {
    let (client, mut events) = connected(task).await?;
    client.subscribe("feed", qos(task.qos)?).await?;
    while !matches!(events.poll().await?, Event::Incoming(Packet::SubAck(_))) {}
    let order = format!("{} {} {}", task.qos, task.count, task.window);
    let clock = Clock::start()?;
    client
        .publish("start", QoS::AtLeastOnce, false, order)
        .await?;
    let mut left = task.count;
    while left > 0 {
        if let Event::Incoming(Packet::Publish(message)) = events.poll().await? {
            anyhow::ensure!(message.payload.len() == PAYLOAD.len(), "this was not sent");
            left -= 1;
        }
    }
    figures.add_messages(task.count, &clock)
}

/// One question at a time, with version 5.
async fn request(task: &Task, figures: &mut Figures) -> Result<()> {
    let options = v5::MqttOptions::new("bench-rumqttc", HOST, task.port);
    let (client, mut events) = v5::AsyncClient::new(options, CAPACITY);
    let at_most_once = v5::mqttbytes::QoS::AtMostOnce;
    client.subscribe("answers", at_most_once).await?;
    let mut times = Vec::new();
    let mut clock = Clock::start()?;
    let mut asked = Instant::now();
    let mut number = 0_u64;
    let mut rounds = 0;
    loop {
        let v5::Event::Incoming(packet) = events.poll().await? else {
            continue;
        };
        match packet {
            v5::mqttbytes::v5::Packet::SubAck(_) => clock = Clock::start()?,
            v5::mqttbytes::v5::Packet::Publish(answer) => {
                let properties = answer.properties.context("an answer has properties")?;
                let data = properties
                    .correlation_data
                    .context("and names its question")?;
                anyhow::ensure!(data[..] == number.to_be_bytes(), "nobody asked that");
                times.push(asked.elapsed());
                rounds += 1;
            }
            _ => continue,
        }
        if rounds == task.count {
            break;
        }
        number += 1;
        asked = Instant::now();
        let properties = PublishProperties {
            response_topic: Some("answers".to_owned()),
            correlation_data: Some(number.to_be_bytes().to_vec().into()),
            ..PublishProperties::default()
        };
        client
            .publish_with_properties("ask", at_most_once, false, &PAYLOAD[..], properties)
            .await?;
    }
    figures.add_messages(task.count, &clock)?;
    figures.add_times(&mut times);
    Ok(())
}
