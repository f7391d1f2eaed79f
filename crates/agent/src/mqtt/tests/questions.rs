//! Questions and answers.

use std::time::Duration;

use periwinkle_core::mqtt::codec::{QoS, Reason, Version};
use periwinkle_core::mqtt::request::RequestError;

use super::{Broker, client, options};
use crate::mqtt::{Message, Mqtt, MqttError};

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn many_questions_at_once_get_their_own_answers() {
    for version in [Version::V5, Version::V311] {
        let broker = Broker::start().await;
        let mut options = options(&broker);
        options.session.version = version;
        let mqtt = Mqtt::connect(options).unwrap();
        let filter = match version {
            Version::V5 => "service/double",
            Version::V311 => "service/double/+",
        };
        let serving = mqtt.respond(filter, |question: Message| async move {
            let number: u32 = question.text()?.parse().ok()?;
            Some((number * 2).to_string())
        });
        let _serving = serving.await.unwrap();
        let asked = (0..50).map(|number: u32| {
            let question = mqtt.request("service/double", number.to_string(), WAIT);
            async move { (number, question.await.unwrap()) }
        });
        for (number, answer) in futures_util::future::join_all(asked).await {
            assert_eq!(answer, (number * 2).to_string().into_bytes());
        }
    }
}

#[tokio::test]
async fn no_answer_a_refusal_and_nobody_there_are_told_apart() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    let error = |wait| {
        let question = mqtt.request("nobody", "?", wait);
        async move {
            match question.await.unwrap_err() {
                MqttError::Request(error) => error,
                other => panic!("{other}"),
            }
        }
    };
    let short = Duration::from_millis(30);
    assert_eq!(error(short).await, RequestError::TimedOut(short));
    broker.change(|manners| manners.reason = Reason::NotAuthorized);
    assert_eq!(
        error(WAIT).await,
        RequestError::Refused(Reason::NotAuthorized)
    );
    broker.change(|manners| manners.reason = Reason::NoMatchingSubscribers);
    assert_eq!(error(WAIT).await, RequestError::NobodyListens);
}

#[tokio::test]
async fn answers_that_cannot_come_are_an_error_at_once() {
    let broker = Broker::start().await;
    let mqtt = client(&broker).await;
    broker.change(|manners| manners.grants = false);
    for time in ["first", "second"] {
        let request = mqtt.request("service", "?", WAIT).qos(QoS::AtMostOnce);
        let error = request.await.unwrap_err();
        let told =
            "answers cannot come: the broker refused the subscription to them: not authorized";
        assert!(error.to_string().starts_with(told), "{time}: {error}");
    }
}
