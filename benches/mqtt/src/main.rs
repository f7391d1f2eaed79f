//! One step of one client: `mqttbench CLIENT STEP PORT QOS COUNT WINDOW`, or one of the two
//! counterparts: `mqttbench sink`, which is a broker that acknowledges at once, and
//! `mqttbench partner PORT`, which does at a real broker what the sink does by itself.
//!
//! A step prints figures, one a line: a name and a number. `cargo xtask bench mqtt` runs the steps
//! of all clients in turn and makes tables of them; each step is a process of its own, so that
//! processor time and memory are those of one client.

mod contenders;
mod figures;
mod link;
mod peer;
mod process;
mod wire;

use anyhow::{Context, Result, bail};

use figures::Figures;

/// What to run a step with.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) step: String,
    pub(crate) port: u16,
    pub(crate) qos: u8,
    pub(crate) count: u32,
    pub(crate) window: u16,
}

/// What is sent, a hundred bytes.
pub(crate) const PAYLOAD: &[u8; 100] = &[b'x'; 100];
/// Where to.
pub(crate) const TOPIC: &str = "bench/line/7/temperature";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["sink"] => peer::sink(),
        ["partner", port] => peer::partner(port.parse().context("PORT is no number")?),
        [client, step, port, qos, count, window] => {
            let task = Task {
                step: (*step).to_owned(),
                port: port.parse().context("PORT is no number")?,
                qos: qos.parse().context("QOS is no number")?,
                count: count.parse().context("COUNT is no number")?,
                window: window.parse().context("WINDOW is no number")?,
            };
            let mut figures = Figures::default();
            contenders::run(client, &task, &mut figures)?;
            figures.print();
            Ok(())
        }
        _ => bail!("usage: mqttbench CLIENT STEP PORT QOS COUNT WINDOW | sink | partner PORT"),
    }
}
