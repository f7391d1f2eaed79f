//! `periwinkle mqtt bench`: what a broker and the way to it can do.

use std::time::{Duration, Instant};

use serde_json::json;

use super::args::Bench;
use super::broker;
use crate::cli::failure::Failure;
use crate::cli::{human, output};
use crate::mqtt::{Mqtt, QoS, Subscription};

/// Publishes to a topic that it has subscribed to itself, and takes the time.
pub(super) async fn bench(bench: &Bench) -> Result<(), Failure> {
    if bench.broker.agent {
        let words = "--agent: a measurement needs a connection of its own; name the broker";
        return Err(Failure::usage(words));
    }
    let mut options = broker::options(&bench.broker)?;
    options.session.in_flight_max = bench.window;
    options.buffer_messages = bench.number as usize;
    options.buffer_bytes = usize::MAX;
    let default = format!("periwinkle/bench/{}", options.session.client_id);
    let topic = bench.topic.as_ref().unwrap_or(&default).clone();
    let mqtt = broker::connect(options).await?;
    let measured = measure(bench, &mqtt, &topic).await;
    broker::end(mqtt).await;
    let figures = measured?;
    match bench.json.json {
        true => output::print(&figures.json().to_string()),
        false => output::print(&figures.page(bench)),
    }
}

struct Figures {
    messages: u32,
    /// Until the broker had acknowledged the last one.
    sent: Duration,
    /// Until the last one was back.
    received: Duration,
    /// From publishing to receiving, in order.
    latencies: Vec<Duration>,
}

/// How long the broker may be silent before what is missing counts as lost.
const SILENCE: Duration = Duration::from_secs(10);

async fn measure(bench: &Bench, mqtt: &Mqtt, topic: &str) -> Result<Figures, Failure> {
    let messages = mqtt.subscribe(topic, bench.qos).await?;
    let begun = Instant::now();
    let (sent, received) = tokio::join!(
        send(bench, mqtt, topic, begun),
        receive(bench, messages, begun)
    );
    let sent = sent?;
    let mut latencies = received?;
    let received = begun.elapsed();
    latencies.sort_unstable();
    Ok(Figures {
        messages: bench.number,
        sent,
        received,
        latencies,
    })
}

/// Each message begins with the time at which it was published.
async fn send(
    bench: &Bench,
    mqtt: &Mqtt,
    topic: &str,
    begun: Instant,
) -> Result<Duration, Failure> {
    let mut payload = vec![0; bench.size as usize];
    for _ in 0..bench.number {
        mqtt.below(usize::from(bench.window)).await?;
        let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        payload[..8].copy_from_slice(&nanos.to_be_bytes());
        mqtt.publish(topic, &payload).qos(bench.qos).detach()?;
    }
    mqtt.drained().await?;
    Ok(begun.elapsed())
}

async fn receive(
    bench: &Bench,
    mut messages: Subscription,
    begun: Instant,
) -> Result<Vec<Duration>, Failure> {
    let mut latencies = Vec::new();
    while latencies.len() < bench.number as usize {
        match tokio::time::timeout(SILENCE, messages.recv()).await {
            Ok(Some(message)) => latencies.extend(age(message.payload(), begun.elapsed())),
            Ok(None) => return Err(Failure::internal("the client ended by itself")),
            // With QoS 0 a broker may drop what it likes.
            Err(_) if bench.qos == QoS::AtMostOnce => break,
            Err(_) => {
                let (came, number) = (latencies.len(), bench.number);
                return Err(Failure::unreachable(format!(
                    "{came} of {number} messages came back, and then none for {SILENCE:?}"
                )));
            }
        }
    }
    Ok(latencies)
}

fn age(payload: &[u8], now: Duration) -> Option<Duration> {
    let nanos: [u8; 8] = payload.get(..8)?.try_into().ok()?;
    Some(now.saturating_sub(Duration::from_nanos(u64::from_be_bytes(nanos))))
}

impl Figures {
    fn rate(&self, count: usize, time: Duration) -> u64 {
        (count as f64 / time.as_secs_f64().max(1e-9)) as u64
    }

    fn latency_us(&self, percent: usize) -> u64 {
        let at = self.latencies.len() * percent / 100;
        let latency = self.latencies.get(at).or(self.latencies.last());
        latency.map_or(0, |latency| {
            u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
        })
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "messages": self.messages,
            "received": self.latencies.len(),
            "sent_per_s": self.rate(self.messages as usize, self.sent),
            "received_per_s": self.rate(self.latencies.len(), self.received),
            "latency_p50_us": self.latency_us(50),
            "latency_p99_us": self.latency_us(99),
        })
    }

    fn page(&self, bench: &Bench) -> String {
        let mut page = format!(
            "{} of {} bytes, QoS {}, {} on their way at most\n  sent      {} per s\n  received  \
             {} per s\n  latency   {} us in the middle, {} us for 99 of 100\n",
            human::counted(self.messages.into(), "message"),
            bench.size,
            bench.qos.level(),
            bench.window,
            human::count(self.rate(self.messages as usize, self.sent)),
            human::count(self.rate(self.latencies.len(), self.received)),
            human::count(self.latency_us(50)),
            human::count(self.latency_us(99)),
        );
        let lost = self.messages as usize - self.latencies.len().min(self.messages as usize);
        if lost > 0 {
            page.push_str(&format!("  lost      {}\n", human::count(lost as u64)));
        }
        page
    }
}
