//! `pub`, `sub` and `request` with `--agent`: the running agent's connection, by its REST API.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use periwinkle_core::fetch::sse::Event;
use serde_json::{Value, json};

use super::args::{Publish, Request, Subscribe};
use super::format::Shown;
use super::subscribe::{Printer, within};
use super::{events, payload};
use crate::api::insert_payload;
use crate::api::path::encoded;
use crate::cli::args::Json;
use crate::cli::failure::Failure;
use crate::cli::inputs::Inputs;
use crate::cli::{control, output};

/// Ends when the agent has taken everything into its queue, on flash if that was asked for: what
/// the broker thinks of it, the agent's status tells.
pub(super) fn publish(inputs: &Inputs, publish: &Publish) -> Result<(), Failure> {
    let mut messages = 0_u64;
    if publish.what.lines {
        let mut lines = payload::lines();
        while let Some(line) = lines.blocking_recv() {
            hand_over(inputs, publish, &line?)?;
            messages += 1;
        }
    } else {
        let payload = payload::read(&publish.what)?;
        for turn in 0..publish.repeat {
            if turn > 0 {
                std::thread::sleep(publish.repeat_delay);
            }
            hand_over(inputs, publish, &payload)?;
            messages += 1;
        }
    }
    match publish.json.json {
        true => output::print(&json!({ "messages": messages }).to_string()),
        false => Ok(()),
    }
}

fn hand_over(inputs: &Inputs, publish: &Publish, payload: &[u8]) -> Result<(), Failure> {
    let message = json!({
        "topic": publish.topic()?,
        "payload_base64": STANDARD.encode(payload),
        "qos": publish.qos.level(),
        "retain": publish.retain,
        "durable": publish.durable,
        "expiry_s": publish.expiry,
        "content_type": publish.content_type,
        "user": publish.properties,
        "wait": if publish.durable { "accepted" } else { "queued" },
    });
    ask(inputs, "/api/v1/mqtt/publish", message).map(drop)
}

/// Says that nothing comes now, and why: one who waits would not know.
pub(super) fn tell_offline(inputs: &Inputs) -> Result<(), Failure> {
    let status = control::ask(inputs, Json::default(), (Method::GET, "/api/v1/mqtt", None))?;
    let state = status["state"].as_str().unwrap_or_default();
    if state != "connected" {
        let why = status["why"].as_str();
        let why = why.map_or_else(String::new, |why| format!(", {why}"));
        let words = format!(
            "the agent is not connected to its broker ({state}{why}); messages come when it is"
        );
        output::complain(&output::plain(&words));
    }
    Ok(())
}

/// Prints what the agent receives.
pub(super) async fn subscribe(inputs: &Inputs, subscribe: &Subscribe) -> Result<(), Failure> {
    let [topic] = subscribe.topics()?[..] else {
        return Err(Failure::usage("--agent: one -t at a time"));
    };
    let mut printer = Printer::new(subscribe)?;
    let filter = encoded(topic);
    let path = format!(
        "/api/v1/mqtt/subscribe?filter={filter}&qos={}",
        subscribe.qos.level()
    );
    let listening = events::listen(inputs, &path, async |event| take(&mut printer, event).await);
    let listened = within(subscribe.wait, listening).await;
    let printed = printer.finish().await;
    listened.unwrap_or(Ok(()))?;
    printed
}

async fn take(printer: &mut Printer<'_>, event: &Event) -> Result<bool, Failure> {
    let data = &event.data;
    if event.kind == "missed" {
        let missed = format!("messages came faster than they were read; lost: {data}");
        output::complain(&output::plain(&missed));
        return Ok(true);
    }
    let unclear = |what: &str| Failure::internal(format!("the agent tells of no {what}: {data}"));
    let message: Value = serde_json::from_str(data).map_err(|_| unclear("message"))?;
    let payload = payload_of(&message).ok_or_else(|| unclear("payload"))?;
    let user = message["user"].as_array().map_or(&[][..], Vec::as_slice);
    let shown = Shown {
        topic: message["topic"].as_str().ok_or_else(|| unclear("topic"))?,
        payload: &payload,
        qos: message["qos"]
            .as_u64()
            .and_then(|qos| u8::try_from(qos).ok())
            .unwrap_or(0),
        retain: message["retain"].as_bool().unwrap_or(false),
        dup: false,
        content_type: message["content_type"].as_str(),
        response_topic: message["response_topic"].as_str(),
        user: user.iter().filter_map(pair).collect(),
        at: SystemTime::now(),
    };
    printer.print(&shown, None).await
}

fn pair(value: &Value) -> Option<(&str, &str)> {
    Some((value[0].as_str()?, value[1].as_str()?))
}

fn payload_of(message: &Value) -> Option<Vec<u8>> {
    match message["payload"].as_str() {
        Some(text) => Some(text.as_bytes().to_vec()),
        None => STANDARD.decode(message["payload_base64"].as_str()?).ok(),
    }
}

/// Asks a question through the agent.
pub(super) fn request(inputs: &Inputs, request: &Request) -> Result<(), Failure> {
    let payload = payload::one(&request.what)?;
    let question = json!({
        "topic": request.topic()?,
        "payload_base64": STANDARD.encode(payload),
        "qos": request.qos.level(),
        "timeout_ms": millis(request.wait),
    });
    let answer = ask(inputs, "/api/v1/mqtt/request", question)?;
    let payload = payload_of(&answer);
    let payload = payload.ok_or_else(|| Failure::internal("the agent's answer has no payload"))?;
    match request.json.json {
        true => {
            let mut all = serde_json::Map::new();
            insert_payload(&mut all, &payload);
            output::print(&Value::Object(all).to_string())
        }
        false => output::write(&[&payload[..], b"\n"].concat()).map(drop),
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

fn ask(inputs: &Inputs, path: &str, body: Value) -> Result<Value, Failure> {
    control::ask(inputs, Json::default(), (Method::POST, path, Some(body)))
}
