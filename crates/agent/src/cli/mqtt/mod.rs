//! `periwinkle mqtt`: messages by hand.
//!
//! `pub`, `sub`, `request` and `bench` are clients of their own, with options named as those of
//! mosquitto's tools; with `--agent`, the first three go through the running agent instead, its
//! connection and its queue. `status` asks the running agent.

mod args;
mod bench;
mod broker;
mod events;
mod format;
mod payload;
mod publish;
mod request;
mod status;
mod subscribe;
mod through_agent;

pub(in crate::cli) use args::Mqtt;

use args::MqttCommand;

use super::control;
use super::failure::Failure;
use super::inputs::Inputs;
use crate::mqtt::MqttError;

/// Does what was typed after `mqtt`.
pub(in crate::cli) fn run(inputs: &Inputs, mqtt: &Mqtt) -> Result<(), Failure> {
    match &mqtt.command {
        MqttCommand::Pub(publish) if publish.broker.agent => {
            through_agent::publish(inputs, publish)
        }
        MqttCommand::Sub(subscribe) if subscribe.broker.agent => {
            through_agent::tell_offline(inputs)?;
            on_a_runtime(through_agent::subscribe(inputs, subscribe))
        }
        MqttCommand::Request(request) if request.broker.agent => {
            through_agent::request(inputs, request)
        }
        MqttCommand::Pub(publish) => on_a_runtime(publish::publish(publish)),
        MqttCommand::Sub(subscribe) => on_a_runtime(subscribe::subscribe(subscribe)),
        MqttCommand::Request(request) => on_a_runtime(request::request(request)),
        MqttCommand::Bench(bench) => on_a_runtime(bench::bench(bench)),
        MqttCommand::Status(json) => status::status(inputs, *json),
    }
}

fn on_a_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = control::runtime()?;
    let done = runtime.block_on(work);
    // A thread that still reads standard input would hold the end up.
    runtime.shutdown_background();
    done
}

impl From<MqttError> for Failure {
    fn from(error: MqttError) -> Failure {
        let words = error.to_string();
        match error {
            MqttError::Publish(_) | MqttError::Subscribe { .. } | MqttError::Property(_) => {
                Failure::usage(words)
            }
            MqttError::Rejected(_) | MqttError::Denied { .. } | MqttError::Dropped(_) => {
                Failure::refused(words)
            }
            MqttError::Request(_) => Failure::unreachable(words),
            MqttError::Options(_) => Failure::input(words),
            _ => Failure::internal(words),
        }
    }
}
