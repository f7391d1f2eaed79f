//! `periwinkle mqtt sub`.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::SelectAll;
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::topic::Filter;

use super::args::Subscribe;
use super::broker;
use super::format::{Format, Shown};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::mqtt::{Message, Mqtt, Property, RetainHandling, Subscription, Version};

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
    losses.abort();
    broker::end(mqtt).await;
    // Not before: the broker would be asked to forget subscriptions of a session that it keeps.
    drop(messages);
    listened.unwrap_or(Ok(()))?;
    printer.check_enough()
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
        let goes_on = printer.take(&message)?;
        // Only now: what was not printed comes again with the same session.
        message.ack();
        if !goes_on {
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

/// Prints messages, and counts them.
pub(super) struct Printer<'a> {
    subscribe: &'a Subscribe,
    format: Format,
    left_out: Filters<()>,
    printed: u64,
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
        Ok(Printer {
            subscribe,
            format,
            left_out,
            printed: 0,
        })
    }

    fn take(&mut self, message: &Message) -> Result<bool, Failure> {
        let user = message
            .properties()
            .iter()
            .filter_map(|property| match property {
                Property::UserProperty(name, value) => Some((name, value)),
                _ => None,
            });
        self.print(&Shown {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos().level(),
            retain: message.retain(),
            dup: message.dup(),
            content_type: message.content_type(),
            response_topic: message.response_topic(),
            user: user.collect(),
            at: SystemTime::now(),
        })
    }

    /// Whether more are wanted.
    pub(super) fn print(&mut self, message: &Shown<'_>) -> Result<bool, Failure> {
        let subscribe = self.subscribe;
        let mut is_left_out = subscribe.no_retained && message.retain;
        if subscribe.retained_only && !message.retain {
            // What the broker had kept came before this.
            return Ok(false);
        }
        self.left_out
            .matches(message.topic, |()| is_left_out = true);
        if is_left_out {
            return Ok(true);
        }
        let mut line = self.format.line(message);
        if !subscribe.no_newline {
            line.push(b'\n');
        }
        self.printed += 1;
        let is_read = output::write(&line)?;
        Ok(is_read && subscribe.count.is_none_or(|count| self.printed < count))
    }

    /// With -C and -W together, fewer messages than asked for are a failure.
    pub(super) fn check_enough(&self) -> Result<(), Failure> {
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
