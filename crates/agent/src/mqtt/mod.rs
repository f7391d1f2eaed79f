//! The MQTT client, 3.1.1 and 5.
//!
//! ```no_run
//! use std::time::Duration;
//! use periwinkle::mqtt::{Mqtt, Options, QoS};
//! use periwinkle::StreamExt;
//!
//! # async fn example() -> Result<(), periwinkle::mqtt::MqttError> {
//! let mqtt = Mqtt::connect(Options::new("mqtt://localhost", "pump-7")?)?;
//! let mut changes = mqtt.subscribe("/myDevice/change", QoS::ExactlyOnce).await?;
//! mqtt.publish("/myDevice/init", "Initialized").qos(QoS::AtLeastOnce).detach()?;
//! mqtt.publish("/alarm", "fire").qos(QoS::AtLeastOnce).acked().await?;
//! let answer = mqtt.request("service/time", b"now", Duration::from_secs(5)).await?;
//! while let Some(message) = changes.next().await {
//!     println!("{}: {:?}", message.topic(), message.text());
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod driver;
mod error;
#[cfg(feature = "sync")]
mod iot_signer;
mod keeper;
mod kept;
mod link;
mod message;
mod options;
mod outward;
mod publish;
mod questions;
mod readers;
mod responder;
mod routes;
mod service;
mod shared;
mod state;
mod status;
mod subscribe;
#[cfg(test)]
mod tests;
mod unclaimed;
mod waiters;

pub use client::Mqtt;
pub use error::MqttError;
#[cfg(feature = "sync")]
pub(crate) use iot_signer::IotSigner;
pub use message::Message;
pub use options::{Authenticator, Options, Presign, TlsOptions};
pub use periwinkle_core::fetch::proxy::Proxy;
pub use periwinkle_core::mqtt::codec::{
    Properties, Property, QoS, Reason, RetainHandling, Version,
};
pub use periwinkle_core::mqtt::outbox::Class;
pub use publish::{Delivery, Publish, basic_ingest};
pub use questions::Request;
pub use responder::{Reply, Respond, Responder};
pub(crate) use service::{MqttService, checked};
pub use state::{ConnectionState, OfflineKind, OfflineReason};
pub use subscribe::{Subscribe, Subscription};
