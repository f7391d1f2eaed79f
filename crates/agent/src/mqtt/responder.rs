//! The other side of a question: a handler that answers.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use periwinkle_core::limits::MQTT_ANSWERS_MAX;
use periwinkle_core::mqtt::codec::{PropertiesBuf, QoS};
use periwinkle_core::mqtt::outbox::Publication;
use periwinkle_core::mqtt::request::answer_to;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::client::Mqtt;
use super::error::MqttError;
use super::message::Message;
use super::shared::Shared;
use super::subscribe::Subscription;

/// What a handler answers with: bytes, or nothing.
pub trait Reply {
    /// The answer; without one, the one who asked waits until the deadline.
    fn into_reply(self) -> Option<Vec<u8>>;
}

impl Reply for Vec<u8> {
    fn into_reply(self) -> Option<Vec<u8>> {
        Some(self)
    }
}

impl Reply for String {
    fn into_reply(self) -> Option<Vec<u8>> {
        Some(self.into_bytes())
    }
}

impl Reply for &'static str {
    fn into_reply(self) -> Option<Vec<u8>> {
        Some(self.as_bytes().to_vec())
    }
}

impl<T: Reply> Reply for Option<T> {
    fn into_reply(self) -> Option<Vec<u8>> {
        self.and_then(Reply::into_reply)
    }
}

/// A failure is logged and not answered.
impl<T: Reply, E: fmt::Display> Reply for Result<T, E> {
    fn into_reply(self) -> Option<Vec<u8>> {
        match self {
            Ok(reply) => reply.into_reply(),
            Err(error) => {
                tracing::warn!(target: "mqtt", "a question was not answered: {error}");
                None
            }
        }
    }
}

/// A responder that is being described; awaiting it subscribes.
#[must_use = "nothing is answered before it is awaited"]
#[derive(Debug)]
pub struct Respond<H> {
    mqtt: Mqtt,
    filter: String,
    qos: QoS,
    handler: H,
}

impl<H> Respond<H> {
    pub(super) fn new(mqtt: &Mqtt, filter: &str, handler: H) -> Respond<H> {
        Respond {
            mqtt: mqtt.clone(),
            filter: filter.to_owned(),
            qos: QoS::AtLeastOnce,
            handler,
        }
    }

    /// How hard questions and answers are sent; [`QoS::AtLeastOnce`] unless said.
    pub fn qos(mut self, qos: QoS) -> Self {
        self.qos = qos;
        self
    }
}

impl<H, F> Respond<H>
where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: Reply + Send,
{
    async fn serve(self) -> Result<Responder, MqttError> {
        let questions = self.mqtt.subscribe(&self.filter, self.qos).await?;
        let task = tokio::spawn(answer_all(
            self.mqtt.shared.clone(),
            questions,
            Arc::new(self.handler),
            self.qos,
        ));
        Ok(Responder { task: Some(task) })
    }
}

/// Completes when the broker has acknowledged the subscription.
impl<H, F> IntoFuture for Respond<H>
where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: Reply + Send,
{
    type Output = Result<Responder, MqttError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.serve())
    }
}

/// Answers questions until it is dropped. Those that are being worked on are answered still.
#[must_use = "it answers for as long as it is held"]
#[derive(Debug)]
pub struct Responder {
    task: Option<JoinHandle<()>>,
}

impl Responder {
    /// Answers for as long as the client runs, held or not.
    pub fn detach(mut self) {
        self.task = None;
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn answer_all<H, F>(
    shared: Arc<Shared>,
    mut questions: Subscription,
    handler: Arc<H>,
    qos: QoS,
) where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: Reply + Send,
{
    let places = Arc::new(Semaphore::new(MQTT_ANSWERS_MAX));
    while let Some(question) = questions.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Some((topic, properties)) = place_of_answer(&shared, &question) else {
            tracing::debug!(target: "mqtt", topic = question.topic(), "a message asks for no answer");
            continue;
        };
        let (shared, handler) = (shared.clone(), handler.clone());
        tokio::spawn(async move {
            let answer = handler(question).await.into_reply();
            if let Some(answer) = answer {
                send(&shared, &topic, &properties, &answer, qos);
            }
            drop(place);
        });
    }
}

fn place_of_answer(shared: &Shared, question: &Message) -> Option<(String, PropertiesBuf)> {
    let version = shared.lock().session.version();
    let reply_topic = &shared.reply_topic;
    answer_to(
        version,
        question.topic(),
        question.properties(),
        reply_topic,
    )
}

fn send(shared: &Shared, topic: &str, properties: &PropertiesBuf, answer: &[u8], qos: QoS) {
    let publication = Publication {
        properties: properties.as_properties(),
        ..Publication::new(topic, answer, qos)
    };
    let sent = shared.change(|state, now| state.publish(&publication, now));
    if let Err(error) = sent {
        tracing::warn!(target: "mqtt", "an answer was not sent: {error}");
    }
}
