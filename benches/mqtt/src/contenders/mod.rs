//! The clients. libmosquitto's is a program of its own, in C: `libmosquitto.c`.

#[cfg(feature = "ours")]
mod periwinkle;
/// The version of now.
#[cfg(feature = "peers")]
mod rumqttc {
    use rumqttc as library;
    pub(super) mod client;
}
/// The one before, which writes several messages at once.
#[cfg(feature = "peers")]
#[path = "rumqttc"]
mod rumqttc_24 {
    use rumqttc_24 as library;
    pub(super) mod client;
}

use anyhow::{Result, bail};

use crate::Task;
use crate::figures::Figures;

pub(crate) fn run(client: &str, task: &Task, figures: &mut Figures) -> Result<()> {
    match client {
        #[cfg(feature = "ours")]
        "periwinkle" => periwinkle::run(periwinkle::Keep::Spill, task, figures),
        #[cfg(feature = "ours")]
        "direct" => periwinkle::run(periwinkle::Keep::Session, task, figures),
        #[cfg(feature = "ours")]
        "durable" => periwinkle::run(periwinkle::Keep::Durable, task, figures),
        #[cfg(feature = "peers")]
        "rumqttc" => rumqttc::client::run(task, figures),
        #[cfg(feature = "peers")]
        "rumqttc-0.24" => rumqttc_24::client::run(task, figures),
        client => bail!("there is no client {client}"),
    }
}
