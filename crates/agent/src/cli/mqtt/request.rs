//! `periwinkle mqtt request`.

use serde_json::Map;

use super::args::Request;
use super::{broker, payload};
use crate::api::insert_payload;
use crate::cli::failure::Failure;
use crate::cli::output;

/// Asks, and prints the answer as it came, or as a line of JSON.
pub(super) async fn request(request: &Request) -> Result<(), Failure> {
    let payload = payload::one(&request.what)?;
    let mut options = broker::options(&request.broker)?;
    options.reply_topic.clone_from(&request.response_topic);
    let mqtt = broker::connect(options).await?;
    let asked = mqtt
        .request(&request.topic, &payload, request.wait)
        .qos(request.qos);
    let answer = asked.await;
    broker::end(mqtt).await;
    let answer = answer?;
    match request.json.json {
        true => {
            let mut all = Map::new();
            insert_payload(&mut all, &answer);
            output::print(&serde_json::Value::Object(all).to_string())
        }
        false => {
            output::write(&answer)?;
            output::write(b"\n").map(drop)
        }
    }
}
