//! User instructions per request under callgrind: the figure that does not depend on what else the
//! machine is doing. Two runs of different length, and the difference of their totals, so that
//! start and stop count for nothing.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::agent::{configuration, fresh_folder};
use crate::command::{cargo, output, program, show, tied};
use crate::{emulator, paths, setup, size};

const CONNECTIONS: &str = "16";
const SHORT: u64 = 2_000;
const LONG: u64 = 12_000;
/// Valgrind takes some fifty times as long as the machine itself.
const PATIENCE: Duration = Duration::from_secs(120);
const BAR: u64 = 6_000;

/// A program with its arguments, what to ask it, and where.
struct Subject {
    binary: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    port: u16,
    path: &'static str,
}

pub(super) fn run() -> Result<()> {
    setup::bench_tools()?;
    let binary = size::FULL.make()?;
    show(&mut cargo(&[
        "build",
        "--profile",
        "dist",
        "--package",
        "rawepoll",
    ]))?;
    let agent = per_request(&agent(binary)?)?;
    let floor = per_request(&floor()?)?;
    println!("\nuser instructions per small dynamic answer, {CONNECTIONS} keep-alive connections");
    println!("  periwinkle {agent:>7} (bar {BAR})");
    println!("  rawepoll   {floor:>7}");
    Ok(())
}

fn agent(binary: PathBuf) -> Result<Subject> {
    let folder = fresh_folder("instructions")?;
    let port = emulator::free_port()?;
    let config = folder.join("periwinkle.toml");
    // A sample a second would be counted as if the requests had caused it.
    let quiet = format!(
        "{}\n[metrics]\nenable = false\n",
        configuration(&folder, port)
    );
    fs::write(&config, quiet)?;
    let arguments = vec![
        "run".into(),
        "--config".into(),
        config.display().to_string(),
    ];
    Ok(Subject {
        binary,
        arguments,
        folder,
        port,
        path: "/api/v1/status",
    })
}

fn floor() -> Result<Subject> {
    let port = emulator::free_port()?;
    let binary = paths::built("dist", "rawepoll");
    let arguments = vec![port.to_string(), "120".into()];
    Ok(Subject {
        binary,
        arguments,
        folder: fresh_folder("floor")?,
        port,
        path: "/",
    })
}

fn per_request(subject: &Subject) -> Result<u64> {
    let short = total(subject, SHORT)?;
    let long = total(subject, LONG)?;
    Ok(long.saturating_sub(short) / (LONG - SHORT))
}

/// Instructions of a whole run that answers so many requests.
fn total(subject: &Subject, requests: u64) -> Result<u64> {
    let log = subject.folder.join("valgrind.log");
    let mut server = start(subject, &log)?;
    let mut load = program(paths::built("dist", "rawload"));
    load.args([
        &subject.port.to_string(),
        subject.path,
        CONNECTIONS,
        &format!("{requests}x"),
    ]);
    let loaded = output(&mut load);
    end(&mut server)?;
    loaded?;
    collected(&log)
}

/// The total in a log of callgrind.
pub(super) fn collected(log: &Path) -> Result<u64> {
    let text = fs::read_to_string(log)?;
    let total = text
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, number)| number.trim().parse().ok());
    total.with_context(|| format!("no total in {}", log.display()))
}

fn start(subject: &Subject, log: &Path) -> Result<Child> {
    let mut command: Command = tied(Path::new("valgrind"));
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command
        .arg(format!("--log-file={}", log.display()))
        .arg(&subject.binary)
        .args(&subject.arguments);
    let output = fs::File::create(subject.folder.join("server.log"))?;
    command
        .current_dir(&subject.folder)
        .stdout(output.try_clone()?)
        .stderr(output);
    let mut server = command.spawn().context("cannot start valgrind")?;
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", subject.port)).is_err() {
        if server.try_wait()?.is_some() || started.elapsed() > PATIENCE {
            bail!(
                "the server does not answer; its log is in {}",
                subject.folder.display()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

/// Asks it to end, which makes valgrind write its total.
fn end(server: &mut Child) -> Result<()> {
    output(program("kill").args(["-TERM", &server.id().to_string()]))?;
    server.wait()?;
    Ok(())
}
