//! The client as programs hold it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::outbox::{Counts, Outbox};
use periwinkle_core::mqtt::request::Requests;
use periwinkle_core::mqtt::session::Session;
use periwinkle_core::mqtt::topic::Filter;
use periwinkle_db::Shelf;
use tokio::sync::watch;

use super::driver::Driver;
use super::error::MqttError;
use super::keeper::Keeper;
use super::link::Dialer;
use super::options::Options;
use super::publish::Publish;
use super::questions::{Questions, Request};
use super::readers::Readers;
use super::responder::Respond;
use super::shared::{Parts, Shared};
use super::state::ConnectionState;
use super::subscribe::Subscribe;
use crate::net::clock::Clock;
use crate::net::entropy;
use crate::stop::{Stopper, stop};

/// An MQTT client. Clones share one session and one connection.
#[derive(Clone, Debug)]
pub struct Mqtt {
    pub(super) shared: Arc<Shared>,
    /// Of a client that runs by itself: it stops when the last clone is gone.
    _runs: Option<Arc<Stopper>>,
}

impl Mqtt {
    /// A client of its own, beside or without an agent: it runs in a task of the runtime that this
    /// is called in, keeps nothing on flash, and ends when its last clone is gone.
    ///
    /// The connection is made in the background; publishing and subscribing need not wait for it.
    ///
    /// # Errors
    /// The options cannot be used: a file that cannot be read, a reply topic that is none.
    pub fn connect(options: Options) -> Result<Mqtt, MqttError> {
        let clock = Clock::new(Path::new(""));
        let (mqtt, mut driver) = Mqtt::open(options, clock, None)?;
        let (stopper, mut stopped) = stop();
        tokio::spawn(async move { driver.run(&mut stopped).await });
        Ok(Mqtt {
            _runs: Some(Arc::new(stopper)),
            ..mqtt
        })
    }

    /// A client, and the task that has to run for it. `shelf` is where it keeps its queue.
    pub(crate) fn open(
        mut options: Options,
        clock: Clock,
        shelf: Option<Shelf>,
    ) -> Result<(Mqtt, Driver), MqttError> {
        check(&options)?;
        let keeps = shelf.is_some();
        let mut keeper = Keeper::new(shelf);
        if !keeps {
            // There is no flash to spill to.
            options.session.spill_delay = NEVER;
        }
        if let Some(authenticator) = &options.authenticator {
            options.session.authentication = Some((authenticator.method(), Vec::new()));
        }
        let outbox = Outbox::new(options.budget);
        let ending = keeper.begin_life()?;
        let mut session = Session::new(options.session.clone(), outbox, ending);
        let mut readers = Readers::default();
        readers.set_unclaimed_age_max(options.budget.age_max);
        keeper.restore(&mut session, &mut readers, clock.now())?;
        let requests = Requests::new(options.session.version, &options.reply_topic(), random()?);
        let shared = Shared::new(Parts {
            session,
            readers,
            questions: Questions::new(requests),
            clock,
            durable_topics: durable_topics(&options)?,
            buffer_messages: options.buffer_messages,
            buffer_bytes: options.buffer_bytes,
            receive_max: options.session.receive_max.into(),
            reply_topic: options.reply_topic(),
            broker: options.address.to_string(),
            keeps,
        });
        shared.lock().readers.set_shared(Arc::downgrade(&shared));
        let dialer = Dialer::new(&options, &shared.clock)?;
        let driver = Driver::new(shared.clone(), dialer, keeper, &options);
        Ok((
            Mqtt {
                shared,
                _runs: None,
            },
            driver,
        ))
    }

    /// Describes a message to `topic`.
    pub fn publish<'a, P: AsRef<[u8]>>(&'a self, topic: &'a str, payload: P) -> Publish<'a, P> {
        Publish::new(&self.shared, topic, payload)
    }

    /// Asks for messages; awaiting it completes when the broker has acknowledged. All
    /// subscriptions that match get a message.
    pub fn subscribe(&self, filter: &str, qos: QoS) -> Subscribe {
        Subscribe::new(&self.shared, filter, qos)
    }

    /// Asks a question and waits for its answer, for as long as `deadline`: with version 5 by
    /// response topic and correlation data, with 3.1.1 by a pair of topics.
    pub fn request(&self, topic: &str, payload: impl AsRef<[u8]>, deadline: Duration) -> Request {
        Request::new(&self.shared, topic, payload.as_ref(), deadline)
    }

    /// Answers questions to topics that match `filter` with what `handler` makes of them, until
    /// the [`Responder`](super::Responder) is dropped.
    pub fn respond<H>(&self, filter: &str, handler: H) -> Respond<H> {
        Respond::new(self, filter, handler)
    }

    /// How the connection stands.
    pub fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.shared.connection.subscribe()
    }

    /// Waits until the broker has accepted a connection.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// The client was stopped.
    pub async fn connected(&self) -> Result<(), MqttError> {
        let mut connection = self.connection();
        let over = |state: &ConnectionState| {
            state.is_connected() || matches!(state, ConnectionState::Stopped)
        };
        match connection.wait_for(over).await {
            Ok(state) if state.is_connected() => Ok(()),
            _ => Err(MqttError::Stopped),
        }
    }

    /// Waits until nothing is queued or on its way any more.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// The client was stopped.
    pub async fn drained(&self) -> Result<(), MqttError> {
        self.below(0).await
    }

    /// Waits while more than so many messages are queued or on their way: a producer that is
    /// faster than the link awaits this now and then.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// The client was stopped.
    pub async fn below(&self, messages: usize) -> Result<(), MqttError> {
        std::future::poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.session.outbox().len() <= messages {
                return std::task::Poll::Ready(Ok(()));
            }
            if state.stopped {
                return std::task::Poll::Ready(Err(MqttError::Stopped));
            }
            state.wait_for_room(messages, context.waker());
            std::task::Poll::Pending
        })
        .await
    }

    /// Messages that are queued or on their way.
    pub fn queued(&self) -> usize {
        self.shared.lock().session.outbox().len()
    }

    /// What has become of messages since the start.
    pub fn counts(&self) -> Counts {
        self.shared.lock().session.outbox().counts()
    }

    /// The client id, which is the broker's if it gave one.
    pub fn client_id(&self) -> String {
        self.shared.lock().session.client_id().to_owned()
    }

    /// Ends all pauses: somebody knows that a connection may work now.
    pub fn retry(&self) {
        self.shared.change(|state, _| state.retry = true);
    }
}

/// A century.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(super) fn check(options: &Options) -> Result<(), MqttError> {
    let checked = options.session.check();
    checked.map_err(|error| MqttError::Options(error.to_string()))?;
    periwinkle_core::mqtt::topic::check_name(&options.reply_topic())
        .map_err(|error| MqttError::Options(format!("the reply topic: {error}")))
}

fn durable_topics(options: &Options) -> Result<Filters<()>, MqttError> {
    let mut filters = Filters::new();
    for text in &options.durable_topics {
        let filter = Filter::parse(text)
            .map_err(|error| MqttError::Options(format!("{text:?} is no filter: {error}")))?;
        filters.insert(filter, ());
    }
    Ok(filters)
}

pub(super) fn random() -> Result<u64, MqttError> {
    let bytes = entropy::bytes().map_err(|error| MqttError::Options(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}
