//! A small dynamic answer: the agent beside a raw epoll responder and nginx, in turn, in one run.
//! The server has core 0 for itself and the load core 1.

use std::thread;

use anyhow::{Context, Result, ensure};

use super::agent::{Agent, fresh_folder, pinned};
use super::server::{self, Server, wait_for};
use super::{listed, median};
use crate::command::{cargo, output, program, show};
use crate::{emulator, paths, setup, size};

const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";
const CONNECTIONS: &str = "64";
const ROUNDS: usize = 7;
const ROUND: &str = "1500ms";
const WARM_UP: &str = "300ms";

/// What is measured, with its figures so far.
struct Contender {
    name: &'static str,
    port: u16,
    path: &'static str,
    rates: Vec<f64>,
    medians_us: Vec<f64>,
    p99s_us: Vec<f64>,
}

pub(super) fn run() -> Result<()> {
    ensure!(
        thread::available_parallelism()?.get() >= 2,
        "the benchmark needs two cores"
    );
    setup::bench_tools()?;
    let binary = size::FULL.make()?;
    show(&mut cargo(&[
        "build",
        "--profile",
        "dist",
        "--package",
        "rawepoll",
    ]))?;
    let agent = Agent::start(&binary, "web", Some(SERVER_CORE))?;
    let body_bytes = body_bytes(agent.port)?;
    let (floor, floor_port) = floor(body_bytes)?;
    let (nginx, nginx_port) = nginx(body_bytes)?;
    let mut contenders = [
        contender("rawepoll", floor_port, "/"),
        contender("periwinkle", agent.port, "/api/v1/status"),
        contender("nginx", nginx_port, "/"),
    ];
    measure(&mut contenders)?;
    report(&contenders, body_bytes);
    drop((floor, nginx, agent));
    Ok(())
}

fn contender(name: &'static str, port: u16, path: &'static str) -> Contender {
    Contender {
        name,
        port,
        path,
        rates: Vec::new(),
        medians_us: Vec::new(),
        p99s_us: Vec::new(),
    }
}

/// Every round visits all, every other one in reverse, so that a slow minute hits all alike.
fn measure(contenders: &mut [Contender]) -> Result<()> {
    for contender in &*contenders {
        load(contender, WARM_UP)?;
    }
    for _ in 0..ROUNDS {
        for contender in &mut *contenders {
            let [rate, median, _, p99, _] = load(contender, ROUND)?;
            contender.rates.push(rate);
            contender.medians_us.push(median);
            contender.p99s_us.push(p99);
        }
        contenders.reverse();
    }
    contenders.sort_by_key(|contender| contender.name != "rawepoll");
    Ok(())
}

/// One run of the load: requests per second, then latencies in microseconds.
fn load(contender: &Contender, end: &str) -> Result<[f64; 5]> {
    let mut command = program("taskset");
    command
        .args(["--cpu-list", LOAD_CORE])
        .arg(paths::built("dist", "rawload"));
    command.args([
        &contender.port.to_string(),
        contender.path,
        CONNECTIONS,
        end,
    ]);
    let line = output(&mut command).with_context(|| format!("load on {}", contender.name))?;
    let figures: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    figures
        .try_into()
        .ok()
        .context("the load printed something else than its figures")
}

fn report(contenders: &[Contender], body_bytes: usize) {
    println!(
        "\nweb, small dynamic answer ({body_bytes} bytes of body), {CONNECTIONS} keep-alive connections, \
         server on core {SERVER_CORE}, load on core {LOAD_CORE}, {ROUNDS} rounds of {ROUND}"
    );
    println!(
        "  {:11} {:>9} {:>8} {:>8} {:>8}",
        "", "req/s", "of floor", "p50 us", "p99 us"
    );
    let floor = median(&contenders[0].rates);
    for one in contenders {
        let rate = median(&one.rates);
        let (p50, p99) = (median(&one.medians_us), median(&one.p99s_us));
        println!(
            "  {:11} {rate:>9.0} {:>8.2} {p50:>8.0} {p99:>8.0}",
            one.name,
            rate / floor
        );
    }
    for one in contenders {
        println!("  raw {:11} {}", one.name, listed(&one.rates, 0));
    }
}

fn floor(body_bytes: usize) -> Result<(Server, u16)> {
    let port = emulator::free_port()?;
    let mut command = pinned(&paths::built("dist", "rawepoll"), Some(SERVER_CORE));
    let server = Server(
        command
            .args([port.to_string(), body_bytes.to_string()])
            .spawn()?,
    );
    wait_for(port)?;
    Ok((server, port))
}

fn nginx(body_bytes: usize) -> Result<(Server, u16)> {
    let port = emulator::free_port()?;
    let body = "x".repeat(body_bytes);
    let lines = format!(
        "default_type application/json;
         location / {{ add_header cache-control no-store; return 200 '{body}'; }}"
    );
    let server = server::nginx(&fresh_folder("nginx")?, port, SERVER_CORE, &lines)?;
    Ok((server, port))
}

/// The peers answer with as many bytes as the agent does.
fn body_bytes(port: u16) -> Result<usize> {
    let answer = super::agent::ask(port).context("the agent does not answer")?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .context("the agent's answer has no end of head")?;
    Ok(body.len())
}
