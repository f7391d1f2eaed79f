//! Questions and their answers, over messages.
//!
//! With version 5 a question names its response topic and carries correlation data, and one
//! response topic serves all questions. With 3.1.1 a pair of topics does: the question goes to
//! `PREFIX/SEQUENCE`, the answer comes on `REPLY/SEQUENCE`.
//!
//! The contract: [`ask`](Requests::ask) gives what to publish; every message that came on a reply
//! topic goes through [`handle_message`](Requests::handle_message), what became of a publication
//! through [`handle_published`](Requests::handle_published);
//! [`poll_output`](Requests::poll_output) tells how questions ended.

use super::codec::{Properties, PropertiesBuf, Property, Reason, Version};
use super::session::Outcome;
use crate::limits::{MQTT_ANSWER_BYTES_MAX, MQTT_REQUESTS_MAX};
use crate::time::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Questions that are not answered yet.
#[derive(Debug)]
pub struct Requests {
    version: Version,
    /// Where answers come: with version 5 the topic itself, with 3.1.1 what is before the number.
    reply_topic: String,
    /// Tells questions of this life from those of earlier ones, and of other clients.
    epoch: u64,
    last: u64,
    /// With its deadline, and the time that it was given.
    waiting: BTreeMap<RequestId, (Mono, Duration)>,
    deadlines: BTreeSet<(Mono, RequestId)>,
    outputs: VecDeque<(RequestId, Result<Vec<u8>, RequestError>)>,
}

/// The name of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// A question as it is to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Its name, for [`Requests::handle_refused`].
    pub id: RequestId,
    /// Where to.
    pub topic: String,
    /// Response topic and correlation data; empty with 3.1.1.
    pub properties: PropertiesBuf,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// None came in time.
    #[error("no answer came within {0:?}")]
    TimedOut(Duration),
    /// The question did not reach the broker.
    #[error("the question was not sent: {0}")]
    NotSent(String),
    /// The broker did not take it.
    #[error("the broker refused the question: {0}")]
    Refused(Reason),
    /// Nobody is there who could answer; the broker said so.
    #[error("nobody listens to the topic of the question")]
    NobodyListens,
    /// The subscription to the answers is not there.
    #[error("answers cannot come: the broker refused the subscription to them: {0}")]
    NoReplyTopic(Reason),
    /// The answer is larger than one may be.
    #[error("the answer has {bytes} bytes, and at most {bytes_max} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// There are as many questions as there may be.
    #[error("{requests_max} questions wait for their answers already")]
    TooMany {
        /// The bound.
        requests_max: usize,
    },
    /// The session ended.
    #[error("the session was stopped")]
    Stopped,
}

impl Requests {
    /// None yet. `epoch` differs between starts and clients.
    pub fn new(version: Version, reply_topic: &str, epoch: u64) -> Requests {
        Requests {
            version,
            reply_topic: reply_topic.to_owned(),
            epoch,
            last: 0,
            waiting: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The filter to subscribe to for the answers.
    pub fn reply_filter(&self) -> String {
        match self.version {
            Version::V5 => self.reply_topic.clone(),
            Version::V311 => format!("{}/+", self.reply_topic),
        }
    }

    /// Questions that are not answered.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A question to `topic`, whose answer has to come within `wait`.
    pub fn ask(
        &mut self,
        topic: &str,
        wait: Duration,
        now: Mono,
    ) -> Result<Question, RequestError> {
        if self.waiting.len() >= MQTT_REQUESTS_MAX {
            return Err(RequestError::TooMany {
                requests_max: MQTT_REQUESTS_MAX,
            });
        }
        self.last += 1;
        let id = RequestId(self.last);
        let question = self.question(id, topic)?;
        self.waiting.insert(id, (now + wait, wait));
        self.deadlines.insert((now + wait, id));
        Ok(question)
    }

    fn question(&self, id: RequestId, topic: &str) -> Result<Question, RequestError> {
        let mut properties = PropertiesBuf::new();
        let topic = match self.version {
            Version::V311 => format!("{topic}/{}", self.number(id)),
            Version::V5 => {
                let data = self.correlation(id);
                properties
                    .push(Property::ResponseTopic(&self.reply_topic))
                    .and_then(|()| properties.push(Property::CorrelationData(&data)))
                    .map_err(|error| RequestError::NotSent(error.to_string()))?;
                topic.to_owned()
            }
        };
        Ok(Question {
            id,
            topic,
            properties,
        })
    }

    fn correlation(&self, id: RequestId) -> [u8; 16] {
        let mut data = [0; 16];
        data[..8].copy_from_slice(&self.epoch.to_be_bytes());
        data[8..].copy_from_slice(&id.0.to_be_bytes());
        data
    }

    /// The last level of the topics of a question and its answer.
    fn number(&self, id: RequestId) -> String {
        format!("{:016x}-{}", self.epoch, id.0)
    }

    /// A message that came; says whether it was an answer that somebody waited for. One that comes
    /// too late or twice, or answers a question of somebody else, is none.
    pub fn handle_message(
        &mut self,
        topic: &str,
        properties: Properties<'_>,
        payload: &[u8],
    ) -> bool {
        let id = match self.version {
            Version::V5 => (topic == self.reply_topic)
                .then(|| self.answered_by_data(properties))
                .flatten(),
            Version::V311 => self.answered_by_topic(topic),
        };
        let Some(id) = id.filter(|id| self.waiting.contains_key(id)) else {
            return false;
        };
        let answer = match payload.len() <= MQTT_ANSWER_BYTES_MAX {
            true => Ok(payload.to_vec()),
            false => Err(RequestError::TooLarge {
                bytes: payload.len(),
                bytes_max: MQTT_ANSWER_BYTES_MAX,
            }),
        };
        self.end(id, answer);
        true
    }

    fn answered_by_data(&self, properties: Properties<'_>) -> Option<RequestId> {
        let data = properties.find(|property| match property {
            Property::CorrelationData(data) => Some(data),
            _ => None,
        })?;
        let (epoch, id) = data.split_first_chunk::<8>()?;
        let id = RequestId(u64::from_be_bytes(id.try_into().ok()?));
        (u64::from_be_bytes(*epoch) == self.epoch).then_some(id)
    }

    fn answered_by_topic(&self, topic: &str) -> Option<RequestId> {
        let rest = topic.strip_prefix(self.reply_topic.as_str())?;
        let (epoch, id) = rest.strip_prefix('/')?.split_once('-')?;
        let id = RequestId(id.parse().ok()?);
        // Only the text that we would write ourselves.
        (u64::from_str_radix(epoch, 16).ok()? == self.epoch && rest[1..] == self.number(id))
            .then_some(id)
    }

    /// How the publication of a question ended. A success changes nothing: the answer is awaited.
    pub fn handle_published(&mut self, id: RequestId, outcome: Outcome) {
        match outcome {
            Outcome::Done(Reason::NoMatchingSubscribers) => {
                self.end(id, Err(RequestError::NobodyListens));
            }
            Outcome::Done(_) => {}
            Outcome::Rejected(reason) => self.end(id, Err(RequestError::Refused(reason))),
            Outcome::Dropped(cause) => {
                self.end(id, Err(RequestError::NotSent(cause.to_string())));
            }
        }
    }

    /// The question could not even be queued.
    pub fn handle_refused(&mut self, id: RequestId, why: &str) {
        self.end(id, Err(RequestError::NotSent(why.to_owned())));
    }

    /// The broker refused the subscription to the answers.
    pub fn handle_no_replies(&mut self, reason: Reason) {
        self.end_all(&RequestError::NoReplyTopic(reason));
    }

    /// The session ends.
    pub fn stop(&mut self) {
        self.end_all(&RequestError::Stopped);
    }

    /// Nobody waits for this answer any more.
    pub fn cancel(&mut self, id: RequestId) {
        self.forget(id);
    }

    /// When to call [`handle_timeout`](Requests::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Ends the questions whose time is over.
    pub fn handle_timeout(&mut self, now: Mono) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            let wait = self
                .waiting
                .get(&id)
                .map_or(Duration::ZERO, |(_, wait)| *wait);
            self.end(id, Err(RequestError::TimedOut(wait)));
        }
    }

    /// The next question that ended, and how.
    pub fn poll_output(&mut self) -> Option<(RequestId, Result<Vec<u8>, RequestError>)> {
        self.outputs.pop_front()
    }

    fn end(&mut self, id: RequestId, result: Result<Vec<u8>, RequestError>) {
        if self.forget(id) {
            self.outputs.push_back((id, result));
        }
    }

    fn end_all(&mut self, error: &RequestError) {
        let ids: Vec<RequestId> = self.waiting.keys().copied().collect();
        for id in ids {
            self.end(id, Err(error.clone()));
        }
    }

    fn forget(&mut self, id: RequestId) -> bool {
        match self.waiting.remove(&id) {
            Some((at, _)) => self.deadlines.remove(&(at, id)),
            None => false,
        }
    }
}

/// What a responder needs of a question: where the answer goes, and with which properties.
///
/// With 3.1.1 the answer goes to `reply_prefix`, and to the last level of the question's topic.
pub fn answer_to(
    version: Version,
    topic: &str,
    properties: Properties<'_>,
    reply_prefix: &str,
) -> Option<(String, PropertiesBuf)> {
    if version == Version::V311 {
        let (_, number) = topic.rsplit_once('/')?;
        return Some((format!("{reply_prefix}/{number}"), PropertiesBuf::new()));
    }
    let response = properties.find(|property| match property {
        Property::ResponseTopic(topic) => Some(topic.to_owned()),
        _ => None,
    })?;
    let mut answer = PropertiesBuf::new();
    let data = properties.find(|property| match property {
        Property::CorrelationData(data) => Some(data),
        _ => None,
    });
    if let Some(data) = data {
        answer.push(Property::CorrelationData(data)).ok()?;
    }
    Some((response, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Mono {
        Mono::from_start(Duration::from_secs(seconds))
    }

    /// The answer of a responder that turns the question round.
    fn answer(version: Version, requests: &mut Requests, question: &Question) -> bool {
        let properties = question.properties.as_properties();
        let (topic, properties) = answer_to(version, &question.topic, properties, "me/re").unwrap();
        requests.handle_message(
            &topic,
            properties.as_properties(),
            question.topic.as_bytes(),
        )
    }

    #[test]
    fn answers_find_their_questions_in_any_order() {
        for version in [Version::V311, Version::V5] {
            let mut requests = Requests::new(version, "me/re", 7);
            let one = requests.ask("service/time", WAIT, at(0)).unwrap();
            let two = requests.ask("service/time", WAIT, at(1)).unwrap();
            assert!(answer(version, &mut requests, &two));
            assert!(answer(version, &mut requests, &one));
            assert_eq!(requests.poll_output().unwrap().0, two.id);
            let (id, text) = requests.poll_output().unwrap();
            assert_eq!((id, text), (one.id, Ok(one.topic.clone().into_bytes())));
            assert_eq!(requests.poll_timeout(), None);
        }
    }

    #[test]
    fn a_late_a_second_and_a_strange_answer_are_none() {
        for version in [Version::V311, Version::V5] {
            let mut requests = Requests::new(version, "me/re", 7);
            let late = requests.ask("t", WAIT, at(0)).unwrap();
            assert_eq!(requests.poll_timeout(), Some(at(5)));
            requests.handle_timeout(at(5));
            let (id, error) = requests.poll_output().unwrap();
            assert_eq!((id, error), (late.id, Err(RequestError::TimedOut(WAIT))));
            assert!(!answer(version, &mut requests, &late));

            let twice = requests.ask("t", WAIT, at(6)).unwrap();
            assert!(answer(version, &mut requests, &twice));
            assert!(!answer(version, &mut requests, &twice));

            let waiting = requests.ask("t", WAIT, at(6)).unwrap();
            let mut before = Requests::new(version, "me/re", 6);
            for _ in 0..3 {
                let strange = before.ask("t", WAIT, at(0)).unwrap();
                assert!(!answer(version, &mut requests, &strange));
            }
            assert!(!requests.handle_message("me/re/x", Properties::EMPTY, b""));
            assert!(!requests.handle_message("other", Properties::EMPTY, b""));
            assert_eq!(requests.len(), 1);
            requests.cancel(waiting.id);
            assert!(requests.is_empty());
        }
    }

    #[test]
    fn each_failure_is_told_as_what_it_is() {
        let mut requests = Requests::new(Version::V5, "me/re", 7);
        let mut fails = |end: fn(&mut Requests, RequestId)| {
            let question = requests.ask("t", WAIT, at(0)).unwrap();
            end(&mut requests, question.id);
            requests
                .poll_output()
                .map(|(_, result)| result.unwrap_err())
        };
        use crate::mqtt::outbox::DropCause;
        assert_eq!(
            fails(|it, id| it.handle_published(id, Outcome::Rejected(Reason::NotAuthorized))),
            Some(RequestError::Refused(Reason::NotAuthorized))
        );
        assert_eq!(
            fails(|it, id| it.handle_published(id, Outcome::Done(Reason::NoMatchingSubscribers))),
            Some(RequestError::NobodyListens)
        );
        assert_eq!(
            fails(|it, id| it.handle_published(id, Outcome::Dropped(DropCause::Expired))),
            Some(RequestError::NotSent("it expired while it waited".into()))
        );
        assert_eq!(
            fails(|it, _| it.handle_no_replies(Reason::NotAuthorized)),
            Some(RequestError::NoReplyTopic(Reason::NotAuthorized))
        );
        assert_eq!(fails(|it, _| it.stop()), Some(RequestError::Stopped));
        assert_eq!(
            fails(|it, id| it.handle_published(id, Outcome::Done(Reason::Success))),
            None
        );
    }

    #[test]
    fn as_many_may_wait_as_may_and_no_more() {
        let mut requests = Requests::new(Version::V5, "me/re", 7);
        for _ in 0..MQTT_REQUESTS_MAX {
            requests.ask("t", WAIT, at(0)).unwrap();
        }
        let error = requests.ask("t", WAIT, at(0)).unwrap_err();
        assert!(matches!(error, RequestError::TooMany { .. }));
    }

    #[test]
    fn an_answer_has_a_bound() {
        for (bytes, fits) in [
            (MQTT_ANSWER_BYTES_MAX, true),
            (MQTT_ANSWER_BYTES_MAX + 1, false),
        ] {
            let mut requests = Requests::new(Version::V5, "me/re", 7);
            let question = requests.ask("t", WAIT, at(0)).unwrap();
            let properties = question.properties.as_properties();
            assert!(requests.handle_message("me/re", properties, &vec![0; bytes]));
            assert_eq!(requests.poll_output().unwrap().1.is_ok(), fits);
        }
    }
}
