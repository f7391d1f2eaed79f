//! `periwinkle mqtt sub`.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use periwinkle_core::limits::MQTT_PRINT_AHEAD_LINES;
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::topic::Filter;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::args::Subscribe;
use super::broker;
use super::format::{Format, Shown};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::mqtt::{Message, Mqtt, RetainHandling, Subscription, Version};

/// Prints messages until there were enough of them, the time is over, or nobody reads them.
pub(super) async fn subscribe(subscribe: &Subscribe) -> Result<(), Failure> {
    let mut printer = Printer::new(subscribe)?;
    let options = broker::options(&subscribe.broker)?;
    let address = options.address.to_string();
    let mqtt = Mqtt::connect(options)?;
    // Before there is a connection: a session that was kept begins with what came meanwhile.
    let mut messages = begin(&mqtt, subscribe)?;
    broker::connected(&mqtt, &address).await?;
    let losses = tokio::spawn(broker::tell_losses(mqtt.connection()));
    let listening = listen(subscribe, &mut messages, &mut printer);
    let listened = within(subscribe.wait, listening).await;
    let printed = printer.finish().await;
    let missed: u64 = messages.iter().map(Subscription::missed).sum();
    if missed > 0 {
        output::complain(&format!(
            "{missed} messages with QoS 0 came faster than they were read, and are lost"
        ));
    }
    losses.abort();
    broker::end(mqtt).await;
    // Not before: the broker would be asked to forget subscriptions of a session that it keeps.
    drop(messages);
    listened.unwrap_or(Ok(()))?;
    printed
}

/// What came of the work, or nothing when the time was over first.
pub(super) async fn within<T>(wait: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match wait {
        Some(wait) => tokio::time::timeout(wait, work).await.ok(),
        None => Some(work.await),
    }
}

async fn listen(
    subscribe: &Subscribe,
    messages: &mut SelectAll<Subscription>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    for subscription in messages.iter() {
        subscription.acknowledged().await?;
    }
    if subscribe.only_subscribe {
        return Ok(());
    }
    while let Some(message) = messages.next().await {
        if !printer.take(message).await? {
            break;
        }
    }
    Ok(())
}

fn begin(mqtt: &Mqtt, subscribe: &Subscribe) -> Result<SelectAll<Subscription>, Failure> {
    let mut messages = SelectAll::new();
    for topic in subscribe.topics()? {
        let mut one = mqtt.subscribe(topic, subscribe.qos).manual();
        if subscribe.no_retained && subscribe.broker.version == Version::V5 {
            one = one.retained(RetainHandling::DoNotSend);
        }
        messages.push(one.begin()?);
    }
    Ok(messages)
}

/// Prints messages, and counts them. It prints on a thread of its own: whoever reads may take as
/// long as it likes, and meanwhile the connection goes on.
pub(super) struct Printer<'a> {
    subscribe: &'a Subscribe,
    format: Format,
    left_out: Filters<()>,
    printed: u64,
    lines: mpsc::Sender<Line>,
    printing: JoinHandle<Result<(), Failure>>,
}

/// What is printed for a message, which is acknowledged then and not before: what was not printed
/// comes again with the same session.
struct Line {
    text: Vec<u8>,
    message: Option<Message>,
}

/// Ends when there are no more lines, or nobody reads them.
fn print_all(mut lines: mpsc::Receiver<Line>) -> Result<(), Failure> {
    while let Some(line) = lines.blocking_recv() {
        if !line.text.is_empty() && !output::write(&line.text)? {
            break;
        }
        if let Some(message) = line.message {
            message.ack();
        }
    }
    Ok(())
}

impl Printer<'_> {
    pub(super) fn new(subscribe: &Subscribe) -> Result<Printer<'_>, Failure> {
        let mut left_out = Filters::new();
        for text in &subscribe.filter_out {
            let filter = Filter::parse(text)
                .map_err(|error| Failure::usage(format!("{text:?} is no topic filter: {error}")))?;
            left_out.insert(filter, ());
        }
        let format = match &subscribe.format {
            Some(format) => format.clone(),
            None if subscribe.json => Format::Json,
            None if subscribe.verbose => Format::topic_and_payload(),
            None => Format::payload(),
        };
        let (lines, to_print) = mpsc::channel(MQTT_PRINT_AHEAD_LINES);
        Ok(Printer {
            subscribe,
            format,
            left_out,
            printed: 0,
            lines,
            printing: tokio::task::spawn_blocking(|| print_all(to_print)),
        })
    }

    async fn take(&mut self, message: Message) -> Result<bool, Failure> {
        let held = message.clone();
        let shown = Shown {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos().level(),
            retain: message.retain(),
            dup: message.dup(),
            content_type: message.content_type(),
            response_topic: message.response_topic(),
            user: message.user().collect(),
            at: SystemTime::now(),
        };
        self.print(&shown, Some(held)).await
    }

    /// Whether more are wanted.
    pub(super) async fn print(
        &mut self,
        message: &Shown<'_>,
        held: Option<Message>,
    ) -> Result<bool, Failure> {
        let subscribe = self.subscribe;
        let mut is_left_out = subscribe.no_retained && message.retain;
        if subscribe.retained_only && !message.retain {
            // What the broker had kept came before this.
            return Ok(false);
        }
        self.left_out
            .matches(message.topic, |()| is_left_out = true);
        let mut text = Vec::new();
        if !is_left_out {
            text = self.format.line(message);
            if !subscribe.no_newline {
                text.push(b'\n');
            }
            self.printed += 1;
        }
        let line = Line {
            text,
            message: held,
        };
        let is_read = self.lines.send(line).await.is_ok();
        Ok(is_read && subscribe.count.is_none_or(|count| self.printed < count))
    }

    /// Everything is printed, or nobody reads any more. With -C and -W together, fewer messages than
    /// asked for are a failure.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        drop(self.lines);
        let printed = self.printing.await;
        printed.map_err(|error| Failure::internal(error.to_string()))??;
        match (self.subscribe.count, self.subscribe.wait) {
            (Some(count), Some(wait)) if self.printed < count => {
                let printed = self.printed;
                Err(Failure::unreachable(format!(
                    "{printed} of {count} messages came within {wait:?}"
                )))
            }
            _ => Ok(()),
        }
    }
}
