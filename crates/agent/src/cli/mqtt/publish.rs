//! `periwinkle mqtt pub`.

use std::collections::VecDeque;

use periwinkle_core::mqtt::session::PublishError;
use serde_json::json;

use super::args::Publish;
use super::{broker, payload};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::mqtt::{Delivery, Mqtt, MqttError};

/// Messages whose acknowledgement is not waited for yet.
const AHEAD_MAX: usize = 1000;

/// Publishes, and ends when the broker has acknowledged everything.
pub(super) async fn publish(publish: &Publish) -> Result<(), Failure> {
    let topic = publish.topic()?;
    if publish.durable {
        let why = "--durable needs --agent: only the running agent has flash to keep messages on";
        return Err(Failure::usage(why));
    }
    // What cannot be read is better known before there is a connection.
    let payload = match publish.what.lines {
        true => None,
        false => Some(payload::read(&publish.what)?),
    };
    let mqtt = broker::connect(broker::options(&publish.broker)?).await?;
    let losses = tokio::spawn(broker::tell_losses(mqtt.connection()));
    let mut outgoing = Outgoing {
        mqtt: &mqtt,
        publish,
        topic,
        waiting: VecDeque::new(),
        acknowledged: 0,
    };
    let published = outgoing.all(payload).await;
    let acknowledged = outgoing.acknowledged;
    losses.abort();
    broker::end(mqtt).await;
    published?;
    match publish.json.json {
        true => output::print(&json!({ "messages": acknowledged }).to_string()),
        false => Ok(()),
    }
}

struct Outgoing<'a> {
    mqtt: &'a Mqtt,
    publish: &'a Publish,
    topic: &'a str,
    waiting: VecDeque<Delivery>,
    acknowledged: u64,
}

impl Outgoing<'_> {
    async fn all(&mut self, payload: Option<Vec<u8>>) -> Result<(), Failure> {
        match payload {
            Some(payload) => self.repeat(&payload).await?,
            None => self.lines().await?,
        }
        self.wait_for_all_but(0).await
    }

    async fn repeat(&mut self, payload: &[u8]) -> Result<(), Failure> {
        for turn in 0..self.publish.repeat {
            if turn > 0 && !self.publish.repeat_delay.is_zero() {
                tokio::time::sleep(self.publish.repeat_delay).await;
            }
            self.take(payload).await?;
        }
        Ok(())
    }

    async fn lines(&mut self) -> Result<(), Failure> {
        let mut lines = payload::lines();
        while let Some(line) = lines.recv().await {
            self.take(&line?).await?;
        }
        Ok(())
    }

    /// Waits for room, which those before it make.
    async fn take(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.wait_for_all_but(AHEAD_MAX - 1).await?;
        loop {
            match self.queue(payload) {
                Err(MqttError::Publish(PublishError::Full(_))) if !self.waiting.is_empty() => {
                    self.wait_for_all_but(self.waiting.len() - 1).await?;
                }
                queued => {
                    self.waiting.push_back(queued?);
                    return Ok(());
                }
            }
        }
    }

    fn queue(&self, payload: &[u8]) -> Result<Delivery, MqttError> {
        let publish = self.publish;
        let mut message = self.mqtt.publish(self.topic, payload).qos(publish.qos);
        if publish.retain {
            message = message.retain();
        }
        if let Some(seconds) = publish.expiry {
            message = message.expiry(std::time::Duration::from_secs(seconds));
        }
        if let Some(kind) = &publish.content_type {
            message = message.content_type(kind);
        }
        for (name, value) in &publish.properties {
            message = message.property(name, value);
        }
        message.track()
    }

    /// In the order in which they were published, so that the first refusal is the one that is
    /// told.
    async fn wait_for_all_but(&mut self, count: usize) -> Result<(), Failure> {
        while self.waiting.len() > count {
            let Some(first) = self.waiting.pop_front() else {
                break;
            };
            first.acked().await?;
            self.acknowledged += 1;
        }
        Ok(())
    }
}
