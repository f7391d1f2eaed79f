//! Questions that wait for their answers.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use periwinkle_core::mqtt::codec::{
    PropertiesBuf, Property, QoS, Reason, SubscribeOptions, TooLong,
};
use periwinkle_core::mqtt::outbox::{Class, Publication};
use periwinkle_core::mqtt::request::{Question, RequestError, RequestId, Requests};
use periwinkle_core::mqtt::session::{self, Outcome, Session, SubscriptionId};
use periwinkle_core::time::Mono;

use super::error::MqttError;
use super::shared::{Shared, State};

/// Tags of questions have this bit, those of other messages do not.
const QUESTION: u64 = 1 << 63;

/// The questions of a client.
#[derive(Debug)]
pub(super) struct Questions {
    pub(super) requests: Requests,
    /// The subscription to the answers, once somebody asked.
    subscription: Option<SubscriptionId>,
    /// The broker's last word on that, if it said no.
    refused: Option<Reason>,
    waiting: BTreeMap<RequestId, Waiting>,
    by_tag: BTreeMap<u64, RequestId>,
    last_tag: u64,
}

#[derive(Debug)]
struct Waiting {
    tag: u64,
    answer: Option<Result<Vec<u8>, RequestError>>,
    waker: Option<Waker>,
}

impl Questions {
    pub(super) fn new(requests: Requests) -> Questions {
        Questions {
            requests,
            subscription: None,
            refused: None,
            waiting: BTreeMap::new(),
            by_tag: BTreeMap::new(),
            last_tag: QUESTION,
        }
    }

    /// Whether this is the tag of a question.
    pub(super) const fn is_tag(tag: u64) -> bool {
        tag & QUESTION != 0
    }

    /// Whether the message is an answer that somebody waits for.
    pub(super) fn take(&mut self, message: &session::Message<'_>) -> bool {
        !self.requests.is_empty()
            && self
                .requests
                .handle_message(message.topic, message.properties, message.payload)
    }

    pub(super) fn done(&mut self, tag: u64, outcome: Outcome) {
        if let Some(id) = self.by_tag.remove(&tag) {
            self.requests.handle_published(id, outcome);
        }
    }

    /// The broker's answer to a subscription, which may be that to the answers.
    pub(super) fn answered(&mut self, subscription: SubscriptionId, answer: Result<QoS, Reason>) {
        if self.subscription != Some(subscription) {
            return;
        }
        self.refused = answer.err();
        if let Some(reason) = self.refused {
            self.requests.handle_no_replies(reason);
        }
    }

    /// A connection stands; the broker is asked for everything again.
    pub(super) const fn begin_connection(&mut self) {
        self.refused = None;
    }

    /// Gives answers to those who wait for them.
    pub(super) fn deliver(&mut self, woken: &mut Vec<Waker>) {
        while let Some((id, answer)) = self.requests.poll_output() {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.answer = Some(answer);
                woken.extend(waiting.waker.take());
            }
        }
    }

    fn subscribe(&mut self, session: &mut Session, now: Mono) -> Result<(), MqttError> {
        if self.subscription.is_none() {
            let filter = self.requests.reply_filter();
            let options = SubscribeOptions::qos(QoS::AtLeastOnce);
            let subscribed = session.subscribe(&filter, options, now);
            let subscription =
                subscribed.map_err(|source| MqttError::Subscribe { filter, source })?;
            self.subscription = Some(subscription);
        }
        Ok(())
    }

    fn leave(&mut self, id: RequestId) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.by_tag.remove(&waiting.tag);
        }
        self.requests.cancel(id);
    }
}

/// A question that is being described; awaiting it asks.
#[must_use = "nothing is asked before it is awaited"]
pub struct Request {
    shared: Arc<Shared>,
    topic: String,
    payload: Vec<u8>,
    deadline: Duration,
    qos: QoS,
    class: Class,
    properties: Result<PropertiesBuf, TooLong>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("topic", &self.topic)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Request {
    pub(super) fn new(
        shared: &Arc<Shared>,
        topic: &str,
        payload: &[u8],
        deadline: Duration,
    ) -> Self {
        Request {
            shared: shared.clone(),
            topic: topic.to_owned(),
            payload: payload.to_vec(),
            deadline,
            qos: QoS::AtLeastOnce,
            class: Class::Normal,
            properties: Ok(PropertiesBuf::new()),
        }
    }

    /// How hard to try to get the question to the broker; [`QoS::AtLeastOnce`] unless said.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }

    /// What goes first when the link is slow.
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// Adds a user property. With 3.1.1 there are none, and this is left out.
    pub fn property(mut self, name: &str, value: &str) -> Self {
        self.properties = self.properties.and_then(|mut properties| {
            properties.push(Property::UserProperty(name, value))?;
            Ok(properties)
        });
        self
    }

    fn ask(&self) -> Result<Asked, MqttError> {
        let own = self.properties.as_ref().map_err(Clone::clone)?;
        self.shared.change(|state, now| {
            if state.stopped {
                return Err(MqttError::Stopped);
            }
            let questions = &mut state.questions;
            questions.subscribe(&mut state.session, now)?;
            if let Some(reason) = questions.refused {
                return Err(RequestError::NoReplyTopic(reason).into());
            }
            let question = questions.requests.ask(&self.topic, self.deadline, now)?;
            let id = question.id;
            questions.last_tag += 1;
            let tag = questions.last_tag;
            questions.by_tag.insert(tag, id);
            let waiting = Waiting {
                tag,
                answer: None,
                waker: None,
            };
            questions.waiting.insert(id, waiting);
            let published = self.publish(state, question, own, now);
            if published.is_err() {
                state.questions.leave(id);
            }
            published.map(|()| Asked {
                shared: self.shared.clone(),
                id,
            })
        })
    }

    fn publish(
        &self,
        state: &mut State,
        question: Question,
        own: &PropertiesBuf,
        now: Mono,
    ) -> Result<(), MqttError> {
        let mut properties = question.properties;
        for property in own.as_properties().iter() {
            properties.push(property)?;
        }
        let publication = Publication {
            properties: properties.as_properties(),
            // Nobody waits for it any longer.
            expiry: Some(self.deadline),
            class: self.class,
            tag: Some(state.questions.last_tag),
            ..Publication::new(&question.topic, &self.payload, self.qos)
        };
        state.publish(&publication, now)
    }

    async fn answer(self) -> Result<Vec<u8>, MqttError> {
        let asked = self.ask()?;
        poll_fn(|context| asked.poll(context)).await
    }
}

/// Completes with the answer, or when the deadline is over. Dropping the future forgets the
/// question: an answer that comes later is nobody's.
impl IntoFuture for Request {
    type Output = Result<Vec<u8>, MqttError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.answer())
    }
}

struct Asked {
    shared: Arc<Shared>,
    id: RequestId,
}

impl Asked {
    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, MqttError>> {
        let mut state = self.shared.lock();
        let stopped = state.stopped;
        let Some(waiting) = state.questions.waiting.get_mut(&self.id) else {
            return Poll::Ready(Err(MqttError::Stopped));
        };
        match waiting.answer.take() {
            Some(answer) => Poll::Ready(answer.map_err(MqttError::from)),
            None if stopped => Poll::Ready(Err(RequestError::Stopped.into())),
            None => {
                waiting.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.shared.lock().questions.leave(self.id);
    }
}
