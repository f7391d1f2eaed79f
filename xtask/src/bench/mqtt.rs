//! The MQTT client beside rumqttc and libmosquitto, in turn, in one run: at a sink that
//! acknowledges at once, so that the client is measured, and at mosquitto.
//!
//! What is measured lies in `benches/mqtt`, a workspace of its own. Each step of each client is a
//! process on one core, its counterpart is on the other; every round visits all clients.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::agent::{fresh_folder, pinned};
use super::instructions::collected;
use super::server::{Server, wait_for};
use super::table::{Figures, Line, collect, line, raw, table};
use super::turns::{Named, chosen, in_turn};
use super::{build, median};
use crate::command::{output, program, show};
use crate::{emulator, paths, setup};

#[derive(Args)]
pub(crate) struct What {
    /// One round over a tenth of the messages: shows that everything runs, and no more
    #[arg(long)]
    quick: bool,
    /// Only this client, such as periwinkle
    #[arg(long)]
    only: Option<String>,
    /// How often each step is done
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
}

const ROUNDS: usize = 5;
const CLIENT_CORE: &str = "1";
const COUNTERPART_CORE: &str = "0";
const SINK: &str = "sink";
const MOSQUITTO: &str = "mosquitto";
const INSTRUCTIONS_SHORT: u32 = 10_000;
const INSTRUCTIONS_LONG: u32 = 30_000;

/// A client, and what it is asked to do.
struct Contender {
    name: &'static str,
    /// It differs from the client before it in how messages are kept, so only publishing counts.
    only_publishes: bool,
    about: &'static str,
}

impl Named for Contender {
    fn name(&self) -> &'static str {
        self.name
    }
}

const OURS: &str = "periwinkle";
const DIRECT: &str = "direct";
const DURABLE: &str = "durable";
const RUMQTTC: &str = "rumqttc";
const RUMQTTC_24: &str = "rumqttc-0.24";
const LIBMOSQUITTO: &str = "libmosquitto";

const CONTENDERS: &[Contender] = &[
    Contender {
        name: OURS,
        only_publishes: false,
        about: "outbox in memory, spilled to flash when an acknowledgement is late",
    },
    Contender {
        name: DIRECT,
        only_publishes: true,
        about: "periwinkle without an agent: messages handed straight to the session",
    },
    Contender {
        name: DURABLE,
        only_publishes: true,
        about: "periwinkle, every message on flash before it is accepted",
    },
    Contender {
        name: RUMQTTC,
        only_publishes: false,
        about: "0.25, which writes each message by itself",
    },
    Contender {
        name: RUMQTTC_24,
        only_publishes: false,
        about: "0.24, which writes several messages at once",
    },
    Contender {
        name: LIBMOSQUITTO,
        only_publishes: false,
        about: "Debian's, its own loop in one thread",
    },
];

/// What is done once a round.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    qos: u8,
    window: u16,
    count: u32,
}

const MANY: u32 = 200_000;
const MANY_AT_MOSQUITTO: u32 = 40_000;
const FEW: u32 = 10_000;

const fn step(name: &'static str, qos: u8, window: u16, count: u32) -> Step {
    Step {
        name,
        qos,
        window,
        count,
    }
}

const STEPS: &[Step] = &[
    step("publish", 0, 1000, MANY),
    step("publish", 1, 1, FEW),
    step("publish", 1, 100, MANY),
    step("publish", 1, 1000, MANY),
    step("publish", 2, 1, FEW),
    step("publish", 2, 100, MANY),
    step("publish", 2, 1000, MANY),
    step("receive", 0, 1000, MANY),
    step("receive", 1, 1, FEW),
    step("receive", 1, 100, MANY),
    step("receive", 1, 1000, MANY),
    step("receive", 2, 1, FEW),
    step("receive", 2, 100, MANY),
    step("receive", 2, 1000, MANY),
    step("request", 0, 1, FEW),
];

/// Twice as many messages as a session has names for wait for a broker that comes late.
const QUEUE: Step = step("queue", 1, 1000, 200_000);

impl Step {
    /// How many messages; fewer where it is the broker that takes the time.
    fn count(&self, broker: &str, is_quick: bool) -> u32 {
        let count = match broker {
            SINK => self.count,
            _ => self.count.min(MANY_AT_MOSQUITTO),
        };
        if is_quick { count / 10 } else { count }
    }

    fn figure(&self, broker: &str, name: &str) -> String {
        let Step {
            name: step,
            qos,
            window,
            ..
        } = self;
        format!("{broker}_{step}_q{qos}_w{window}_{name}")
    }

    fn title(&self) -> String {
        match (self.name, self.qos) {
            ("request", _) => "request".to_owned(),
            (name, 0) => format!("{name}, QoS 0"),
            (name, qos) => format!("{name}, QoS {qos}, {} in flight", self.window),
        }
    }
}

pub(super) fn run(what: &What) -> Result<()> {
    let contenders = chosen(CONTENDERS, what.only.as_deref())?;
    setup::bench_tools()?;
    let run = Run::new(what)?;
    let begun = Instant::now();
    let rounds = if what.quick { 1 } else { what.rounds };
    let mut figures = Figures::new();
    for round in 1..=rounds {
        for contender in in_turn(&contenders, round) {
            run.round(contender, &mut figures)?;
            let seconds = begun.elapsed().as_secs();
            println!(
                "round {round} of {rounds}: {} ({seconds} s)",
                contender.name
            );
        }
    }
    for contender in &contenders {
        run.count_instructions(contender, &mut figures)?;
    }
    report(&contenders, &figures, rounds);
    println!("\ntook {} s", begun.elapsed().as_secs());
    Ok(())
}

/// The programs, and the brokers while they run.
struct Run {
    bench: PathBuf,
    libmosquitto: PathBuf,
    folder: PathBuf,
    is_quick: bool,
    brokers: Vec<Broker>,
}

/// A broker and what belongs to it.
struct Broker {
    name: &'static str,
    port: u16,
    _servers: Vec<Server>,
}

impl Run {
    fn new(what: &What) -> Result<Run> {
        let bench = build("mqtt", &[])?;
        let folder = fresh_folder("mqtt")?;
        let libmosquitto = compile(&folder)?;
        let brokers = vec![sink(&bench)?, mosquitto(&bench, &folder)?];
        Ok(Run {
            bench,
            libmosquitto,
            folder,
            is_quick: what.quick,
            brokers,
        })
    }

    fn round(&self, contender: &Contender, figures: &mut Figures) -> Result<()> {
        let name = contender.name;
        for broker in &self.brokers {
            for step in STEPS {
                let is_published = step.name == "publish" && step.qos > 0;
                if contender.only_publishes && !is_published {
                    continue;
                }
                self.step(name, broker, step, figures)?;
            }
        }
        if name == OURS {
            self.step(name, &self.brokers[0], &QUEUE, figures)?;
        }
        Ok(())
    }

    fn step(
        &self,
        client: &'static str,
        broker: &Broker,
        step: &Step,
        figures: &mut Figures,
    ) -> Result<()> {
        let count = step.count(broker.name, self.is_quick);
        let mut command = pinned(self.program(client), Some(CLIENT_CORE));
        self.arguments(&mut command, client, broker, step, count);
        let printed = output(&mut command)
            .with_context(|| format!("{client}, {}, {}", step.title(), broker.name))?;
        let named = |name: &str| step.figure(broker.name, name);
        collect(client, &printed, named, figures)
    }

    fn program(&self, client: &str) -> &Path {
        match client {
            LIBMOSQUITTO => &self.libmosquitto,
            _ => &self.bench,
        }
    }

    fn arguments(
        &self,
        command: &mut Command,
        client: &str,
        broker: &Broker,
        step: &Step,
        count: u32,
    ) {
        if client != LIBMOSQUITTO {
            command.arg(client);
        }
        command.arg(step.name);
        command.args([broker.port.to_string(), step.qos.to_string()]);
        command.args([count.to_string(), step.window.to_string()]);
        command.env("MQTTBENCH_DIRECTORY", &self.folder);
    }

    /// Instructions per message, of the difference between a long run and a short one, so that
    /// start and stop count for nothing.
    fn count_instructions(&self, contender: &Contender, figures: &mut Figures) -> Result<()> {
        for step in STEPS.iter().filter(|step| step.counts_instructions()) {
            if contender.only_publishes && step.name != "publish" {
                continue;
            }
            let short = self.instructions(contender.name, step, INSTRUCTIONS_SHORT)?;
            let long = self.instructions(contender.name, step, INSTRUCTIONS_LONG)?;
            let more = f64::from(INSTRUCTIONS_LONG - INSTRUCTIONS_SHORT);
            let name = step.figure(SINK, "instructions");
            let values = figures.entry((contender.name, name)).or_default();
            values.push((long - short) / more);
        }
        Ok(())
    }

    fn instructions(&self, client: &str, step: &Step, count: u32) -> Result<f64> {
        let log = self.folder.join("valgrind.log");
        let mut command = program("valgrind");
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(format!("--log-file={}", log.display()))
            .arg(self.program(client));
        self.arguments(&mut command, client, &self.brokers[0], step, count);
        output(&mut command)?;
        Ok(collected(&log)? as f64)
    }
}

impl Step {
    fn counts_instructions(&self) -> bool {
        self.window == 1000
    }
}

fn compile(folder: &Path) -> Result<PathBuf> {
    let binary = folder.join("libmosquitto");
    let source = paths::root().join("benches/mqtt/libmosquitto.c");
    show(
        program("cc")
            .args(["-O3", "-o"])
            .arg(&binary)
            .arg(source)
            .arg("-lmosquitto"),
    )?;
    Ok(binary)
}

fn sink(bench: &Path) -> Result<Broker> {
    let (server, line) = announced(pinned(bench, Some(COUNTERPART_CORE)).arg("sink"))?;
    Ok(Broker {
        name: SINK,
        port: line.parse().context("the sink names no port")?,
        _servers: vec![server],
    })
}

/// With its queues open as far as they go, and the partner beside it.
fn mosquitto(bench: &Path, folder: &Path) -> Result<Broker> {
    let port = emulator::free_port()?;
    let configuration = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n\
         max_queued_messages 0\nset_tcp_nodelay true\nlog_type error\n"
    );
    fs::write(&configuration, text)?;
    let mut command = pinned(Path::new("mosquitto"), Some(COUNTERPART_CORE));
    let broker = Server(command.arg("-c").arg(&configuration).spawn()?);
    wait_for(port)?;
    let mut command = pinned(bench, Some(COUNTERPART_CORE));
    let (partner, line) = announced(command.arg("partner").arg(port.to_string()))?;
    ensure!(line == "ready", "the partner is not connected");
    Ok(Broker {
        name: MOSQUITTO,
        port,
        _servers: vec![partner, broker],
    })
}

/// Starts a program that says with its first line that it serves, and where.
fn announced(command: &mut Command) -> Result<(Server, String)> {
    let mut server = Server(command.stdout(Stdio::piped()).spawn()?);
    let out = server.0.stdout.as_mut().context("its output is a pipe")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    Ok((server, line.trim_end().to_owned()))
}

fn report(contenders: &[&Contender], figures: &Figures, rounds: usize) {
    println!("\nMQTT client: messages of 100 bytes; medians of {rounds} rounds");
    println!("  client and broker on a core each; one thread; 3.1.1, requests 5");
    for contender in contenders {
        println!("  {:13} {}", contender.name, contender.about);
    }
    let names: Vec<&'static str> = contenders.iter().map(|contender| contender.name).collect();
    for broker in [SINK, MOSQUITTO] {
        for (figure, unit, digits) in [
            ("per_s", "messages per second", 0),
            ("cpu_us", "processor time per message, us", 2),
            ("peak_kib", "most memory, KiB", 0),
            ("p50_us", "round trip, half of them within, us", 1),
            ("p99_us", "round trip, 99 of 100 within, us", 1),
            ("instructions", "instructions per message (callgrind)", 0),
            ("first_us", "queueing one of the first 10,000, us", 2),
            ("last_us", "queueing one of the last 10,000, us", 2),
        ] {
            show_figures(broker, (figure, unit, digits), &names, figures);
        }
    }
    bars(figures);
}

fn show_figures(
    broker: &str,
    (figure, unit, digits): (&str, &str, usize),
    names: &[&'static str],
    figures: &Figures,
) {
    let steps = STEPS.iter().chain([&QUEUE]);
    let texts: Vec<(String, String)> = steps
        .map(|step| (step.figure(broker, figure), step.title()))
        .filter(|(name, _)| figures.keys().any(|(_, known)| known == name))
        .collect();
    if texts.is_empty() {
        return;
    }
    println!("\nat {broker}: {unit}");
    let lines: Vec<Line<'_>> = texts
        .iter()
        .map(|(name, title)| line(name, title, digits, ""))
        .collect();
    table(&lines, names, figures);
    raw(&lines, names, figures);
}

/// A bar: ours against somebody else's, or against a number.
fn bars(figures: &Figures) {
    let of = |client: &'static str, figure: &str| {
        let values = figures.get(&(client, figure.to_owned()))?;
        Some(median(values))
    };
    let ratio = |ours: &'static str, other: &'static str, figure: &str| {
        Some(of(ours, figure)? / of(other, figure)?)
    };
    let sink = "sink_publish_q1_w1000";
    let broker = "mosquitto_publish_q1_w1000";
    let lines = [
        (
            "rate at the sink, QoS 1, 1000 in flight, of rumqttc's",
            ratio(OURS, RUMQTTC, &format!("{sink}_per_s")),
            "at least 2.5",
        ),
        (
            "  of that of rumqttc 0.24",
            ratio(OURS, RUMQTTC_24, &format!("{sink}_per_s")),
            "",
        ),
        (
            "  instructions per message",
            of(OURS, &format!("{sink}_instructions")),
            "under 1500",
        ),
        (
            "  processor time, outbox against messages handed straight",
            ratio(OURS, DIRECT, &format!("{sink}_cpu_us")),
            "under 1.10",
        ),
        (
            "processor time at mosquitto, 1000 in flight, of rumqttc's",
            ratio(OURS, RUMQTTC, &format!("{broker}_cpu_us")),
            "at most 1.05",
        ),
        (
            "rate at mosquitto, 1000 in flight, of libmosquitto's",
            ratio(OURS, LIBMOSQUITTO, &format!("{broker}_per_s")),
            "at least 0.85",
        ),
        (
            "200,000 queued: rate of sending, of that without a queue",
            of(OURS, &QUEUE.figure(SINK, "per_s"))
                .zip(of(OURS, &format!("{sink}_per_s")))
                .map(|(queued, straight)| queued / straight),
            "",
        ),
    ];
    println!("\nbars");
    for (title, value, bar) in lines {
        if let Some(value) = value {
            println!("  {title:60} {value:>8.2}  {bar}");
        }
    }
}
