//! The MQTT client over the REST API: what `periwinkle mqtt --agent` and the console use.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use periwinkle_core::limits;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::{Checked, Fields};
use super::session::json_answer;
use crate::mqtt::{Class, Message, Mqtt, MqttError, Publish, QoS, Subscription};
use crate::stop::Stop;
use crate::web::accounts::Accounts;
use crate::web::identity::Login;
use crate::web::problem::Problem;
use crate::web::stream::{Out, stream};

/// What the handlers work with.
#[derive(Clone, Debug)]
struct MqttApi {
    mqtt: Mqtt,
    accounts: Arc<Accounts>,
    places: Arc<Semaphore>,
    stop: Stop,
}

/// `GET /mqtt`, `POST /mqtt/publish`, `GET /mqtt/subscribe`, `POST /mqtt/request` and
/// `POST /mqtt/retry`.
pub fn router(mqtt: Mqtt, accounts: Arc<Accounts>, stop: Stop) -> Router {
    Router::new()
        .route("/mqtt", get(show))
        .route("/mqtt/publish", post(publish))
        .route("/mqtt/subscribe", get(subscribe))
        .route("/mqtt/request", post(request))
        .route("/mqtt/retry", post(retry))
        .with_state(MqttApi {
            mqtt,
            accounts,
            places: Arc::new(Semaphore::new(limits::MQTT_LISTENERS_MAX)),
            stop,
        })
}

async fn show(State(api): State<MqttApi>) -> Response {
    json_answer(StatusCode::OK, &api.mqtt.show())
}

async fn retry(State(api): State<MqttApi>) -> StatusCode {
    api.mqtt.retry();
    StatusCode::ACCEPTED
}

/// A message to be published.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outgoing {
    topic: String,
    /// Text; or `payload_base64`.
    payload: Option<String>,
    payload_base64: Option<String>,
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    durable: bool,
    expiry_s: Option<u64>,
    content_type: Option<String>,
    #[serde(default)]
    class: Urgency,
    /// User properties, name and value.
    #[serde(default)]
    user: Vec<(String, String)>,
    #[serde(default)]
    wait: Wait,
}

/// What goes first: [`Class`] by name.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Urgency {
    High,
    #[default]
    Normal,
    Low,
}

impl From<Urgency> for Class {
    fn from(urgency: Urgency) -> Class {
        match urgency {
            Urgency::High => Class::High,
            Urgency::Normal => Class::Normal,
            Urgency::Low => Class::Low,
        }
    }
}

/// What the answer waits for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wait {
    #[default]
    Queued,
    Accepted,
    Sent,
    Acked,
}

async fn publish(
    State(api): State<MqttApi>,
    Fields(outgoing): Fields<Outgoing>,
) -> Result<Response, Problem> {
    let payload = payload(outgoing.payload, outgoing.payload_base64)?;
    let mut message = api
        .mqtt
        .publish(&outgoing.topic, &payload)
        .qos(qos(outgoing.qos)?)
        .class(outgoing.class.into());
    if outgoing.retain {
        message = message.retain();
    }
    if outgoing.durable {
        message = message.durable();
    }
    if let Some(seconds) = outgoing.expiry_s {
        message = message.expiry(Duration::from_secs(seconds));
    }
    if let Some(kind) = &outgoing.content_type {
        message = message.content_type(kind);
    }
    for (name, value) in &outgoing.user {
        message = message.property(name, value);
    }
    let reason = send(message, outgoing.wait).await?;
    Ok(json_answer(StatusCode::OK, &json!({"reason": reason})))
}

async fn send<P: AsRef<[u8]>>(
    message: Publish<'_, P>,
    wait: Wait,
) -> Result<Option<String>, Problem> {
    match wait {
        Wait::Queued => message.detach()?,
        Wait::Accepted => message.track()?.accepted().await?,
        Wait::Sent => message.track()?.sent().await?,
        Wait::Acked => return Ok(Some(message.track()?.acked().await?.to_string())),
    }
    Ok(None)
}

#[derive(Debug, Deserialize)]
struct Asked {
    topic: String,
    payload: Option<String>,
    payload_base64: Option<String>,
    #[serde(default = "default_question_qos")]
    qos: u8,
    #[serde(default = "default_wait_ms")]
    timeout_ms: u64,
}

const fn default_question_qos() -> u8 {
    1
}

const fn default_wait_ms() -> u64 {
    5000
}

async fn request(
    State(api): State<MqttApi>,
    Fields(asked): Fields<Asked>,
) -> Result<Response, Problem> {
    let payload = payload(asked.payload, asked.payload_base64)?;
    let wait = Duration::from_millis(asked.timeout_ms);
    if wait > limits::MQTT_REST_QUESTION_WAIT_MAX {
        let most = limits::MQTT_REST_QUESTION_WAIT_MAX.as_millis();
        let detail = format!("timeout_ms is at most {most}.");
        return Err(Problem::bad_request("body_invalid", detail).field("timeout_ms"));
    }
    let question = api.mqtt.request(&asked.topic, payload, wait);
    let answer = question.qos(qos(asked.qos)?).await?;
    let mut shown = serde_json::Map::new();
    insert_payload(&mut shown, &answer);
    Ok(json_answer(StatusCode::OK, &Value::Object(shown)))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    filter: String,
    #[serde(default)]
    qos: u8,
}

/// Messages as server-sent events: one JSON object each, until the listener leaves. One that reads
/// too slowly misses messages, and is told how many.
async fn subscribe(
    State(api): State<MqttApi>,
    login: Login,
    Checked(Query(wanted)): Checked<Query<Wanted>>,
) -> Result<Response, Problem> {
    let place = api.places.clone().try_acquire_owned().map_err(|_| {
        let detail = "Too many programs listen to messages; close one and try again.";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "listeners_full", detail).retry_after_s(10)
    })?;
    let messages = api.mqtt.subscribe(&wanted.filter, qos(wanted.qos)?).await?;
    let (out, mut response) = stream();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tokio::spawn(listen(api, out, messages, login, place));
    Ok(response.map(Body::new))
}

async fn listen(
    mut api: MqttApi,
    mut out: Out,
    mut messages: Subscription,
    login: Login,
    _place: OwnedSemaphorePermit,
) {
    let mut pulse = tokio::time::interval(limits::MQTT_LISTENER_PULSE);
    let mut missed = 0;
    loop {
        let sent = tokio::select! {
            message = messages.recv() => match message {
                Some(message) => {
                    let before = std::mem::replace(&mut missed, messages.missed());
                    let gap = missed - before;
                    let gap = match gap {
                        0 => String::new(),
                        _ => format!("event: missed\ndata: {{\"messages\":{gap}}}\n\n"),
                    };
                    let shown = show_message(&message);
                    out.write(format!("{gap}event: message\ndata: {shown}\n\n")).await
                }
                None => return,
            },
            _ = pulse.tick() => out.write(":\n\n").await,
            () = api.stop.requested() => return,
        };
        if sent.is_err() || !api.accounts.is_open(&login) {
            return;
        }
    }
}

fn show_message(message: &Message) -> Value {
    let mut shown = serde_json::Map::new();
    shown.insert("topic".to_owned(), json!(message.topic()));
    insert_payload(&mut shown, message.payload());
    shown.insert("qos".to_owned(), json!(message.qos().level()));
    shown.insert("retain".to_owned(), json!(message.retain()));
    for (name, text) in [
        ("content_type", message.content_type()),
        ("response_topic", message.response_topic()),
    ] {
        if let Some(text) = text {
            shown.insert(name.to_owned(), text.into());
        }
    }
    let user: Vec<_> = message.user().collect();
    if !user.is_empty() {
        shown.insert("user".to_owned(), json!(user));
    }
    Value::Object(shown)
}

/// Text as text, everything else in base 64 under another name.
pub(crate) fn insert_payload(shown: &mut serde_json::Map<String, Value>, payload: &[u8]) {
    match std::str::from_utf8(payload) {
        Ok(text) => shown.insert("payload".to_owned(), json!(text)),
        Err(_) => shown.insert("payload_base64".to_owned(), json!(BASE64.encode(payload))),
    };
}

fn payload(text: Option<String>, base64: Option<String>) -> Result<Vec<u8>, Problem> {
    match (text, base64) {
        (Some(_), Some(_)) => {
            let detail = "Give either payload or payload_base64.";
            Err(Problem::bad_request("body_invalid", detail).field("payload"))
        }
        (text, None) => Ok(text.unwrap_or_default().into_bytes()),
        (None, Some(base64)) => BASE64.decode(base64).map_err(|error| {
            let detail = format!("payload_base64 is no base 64: {error}.");
            Problem::bad_request("body_invalid", detail).field("payload_base64")
        }),
    }
}

fn qos(level: u8) -> Result<QoS, Problem> {
    QoS::from_level(level)
        .ok_or_else(|| Problem::bad_request("body_invalid", "A QoS is 0, 1 or 2.").field("qos"))
}

impl From<MqttError> for Problem {
    fn from(error: MqttError) -> Problem {
        use periwinkle_core::mqtt::request::RequestError;
        use periwinkle_core::mqtt::session::PublishError;
        let (status, kind) = match &error {
            MqttError::Publish(PublishError::Full(_)) => {
                (StatusCode::INSUFFICIENT_STORAGE, "queue_full")
            }
            MqttError::Publish(_) | MqttError::Subscribe { .. } | MqttError::Property(_) => {
                (StatusCode::BAD_REQUEST, "message_invalid")
            }
            MqttError::Rejected(_) | MqttError::Denied { .. } => {
                (StatusCode::BAD_GATEWAY, "broker_refused")
            }
            MqttError::Dropped(_) => (StatusCode::CONFLICT, "message_dropped"),
            MqttError::Request(RequestError::TimedOut(_)) => {
                (StatusCode::GATEWAY_TIMEOUT, "no_answer")
            }
            MqttError::Request(_) => (StatusCode::BAD_GATEWAY, "no_answer"),
            MqttError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            other => return Problem::internal(other),
        };
        Problem::new(status, kind, crate::database::sentence(&error.to_string()))
    }
}

/// The client in a maker's handler.
impl<S: Sync> FromRequestParts<S> for Mqtt {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Mqtt, Problem> {
        let mqtt = parts.extensions.get::<Mqtt>().cloned();
        mqtt.ok_or_else(|| Problem::internal(&"there is no MQTT client: set mqtt.enable"))
    }
}
