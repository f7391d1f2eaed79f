//! The client against a small broker in the same process: that everything is wired up. What the
//! session decides is simulated in core.

mod broker;
mod faults;
mod keeping;
mod power;
mod publishing;
mod questions;
mod receiving;
mod schedule;
mod threads;
mod websockets;

use super::{Mqtt, Options};
use broker::Broker;

/// A client of this broker, connected.
async fn client(broker: &Broker) -> Mqtt {
    let mqtt = Mqtt::connect(options(broker)).unwrap();
    mqtt.connected().await.unwrap();
    mqtt
}

fn options(broker: &Broker) -> Options {
    let mut options = Options::new(&broker.address(), "pump-7").unwrap();
    let pause = std::time::Duration::from_millis(10);
    options.connection.pause = (pause, pause);
    options
}
