//! The HTTP client beside curl and bare hyper-util, in turn, in one run, against nginx on loopback.
//! The server has core 0 for itself and the client core 1.
//!
//! What is measured lies in `benches/fetch`, a workspace of its own. Each step of each client is a
//! process; every round visits all clients.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use super::agent::pinned;
use super::build;
use super::server::{self, Server};
use super::table::{Figures, Line, collect, line, raw, table};
use super::turns::{Named, chosen, in_turn};
use crate::command::output;
use crate::{emulator, setup};

#[derive(Args)]
pub(crate) struct What {
    /// One round of a tenth: shows that everything runs, and no more
    #[arg(long)]
    quick: bool,
    /// Only this client, such as periwinkle
    #[arg(long)]
    only: Option<String>,
}

const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";
const ROUNDS: usize = 5;
const LARGE_BYTES: u64 = 1_000_000_000;
const WARM_UP_BYTES: u64 = 16_000_000;
const ANSWER_BYTES: usize = 64;

/// A client and the steps of each of its rounds.
struct Contender {
    name: &'static str,
    steps: &'static [&'static str],
    what: &'static str,
}

impl Named for Contender {
    fn name(&self) -> &'static str {
        self.name
    }
}

const TRANSFERS: &[&str] = &["small-1", "small-64", "download", "upload"];

const CONTENDERS: &[Contender] = &[
    Contender {
        name: "periwinkle",
        steps: &["small-1", "small-64", "download", "upload", "sign"],
        what: "the library's client on defaults, one thread",
    },
    Contender {
        name: "hyper-util",
        steps: TRANSFERS,
        what: "its pooled client over plain TCP, bodies read on the spot, one thread",
    },
    Contender {
        name: "curl",
        steps: TRANSFERS,
        what: "the program; --parallel --parallel-max 64; its start is in the figures",
    },
    Contender {
        name: "aws-sigv4",
        steps: &["sign"],
        what: "the signer of the SDK",
    },
];

const LINES: &[Line] = &[
    line("small_1_per_s", "small, one after the other, per s", 0, ""),
    line("small_1_cpu_us", "  processor time, us each", 1, ""),
    line("small_64_per_s", "small, 64 in flight, per s", 0, "curl"),
    line("small_64_of_hyper", "  of hyper-util", 2, "0.90"),
    line("small_64_cpu_us", "  processor time, us each", 1, ""),
    line("small_64_peak_mib", "  peak of memory, MiB", 1, ""),
    line("download_mb_per_s", "1 GB down, MB per s", 0, ""),
    line("download_of_curl", "  of curl", 2, "1.00"),
    line("download_cpu_s_per_gb", "  processor time, s per GB", 2, ""),
    line("download_peak_mib", "  peak of memory, MiB", 1, ""),
    line(
        "download_growth_kib",
        "  its growth from 16 MB to 1 GB, KiB",
        0,
        "flat",
    ),
    line("upload_mb_per_s", "1 GB up, MB per s", 0, ""),
    line("upload_of_curl", "  of curl", 2, "1.00"),
    line("upload_cpu_s_per_gb", "  processor time, s per GB", 2, ""),
    line("upload_peak_mib", "  peak of memory, MiB", 1, ""),
    line(
        "upload_growth_kib",
        "  its growth from 16 MB to 1 GB, KiB",
        0,
        "flat",
    ),
    line("sign_us", "a signature, body of 1 KB hashed, us", 1, "20"),
];

pub(super) fn run(what: &What) -> Result<()> {
    let contenders = chosen(CONTENDERS, what.only.as_deref())?;
    setup::bench_tools()?;
    let run = Run::new(what.quick)?;
    let begun = Instant::now();
    let rounds = if what.quick { 1 } else { ROUNDS };
    let mut figures = Figures::new();
    for round in 1..=rounds {
        for contender in in_turn(&contenders, round) {
            for step in contender.steps {
                run.step(contender.name, step, &mut figures)?;
            }
        }
    }
    derive(&mut figures);
    report(what, &contenders, &figures, rounds);
    println!("\ntook {} s", begun.elapsed().as_secs());
    fs::remove_dir_all(&run.folder).context("the files stay behind")
}

struct Run {
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    is_quick: bool,
    _server: Server,
}

impl Run {
    fn new(is_quick: bool) -> Result<Run> {
        let binary = build("fetch", &[])?;
        let folder = folder()?;
        let large = if is_quick {
            LARGE_BYTES / 10
        } else {
            LARGE_BYTES
        };
        fill(&folder.join("large"), large)?;
        fill(&folder.join("large.small"), WARM_UP_BYTES)?;
        let port = emulator::free_port()?;
        Ok(Run {
            binary,
            port,
            is_quick,
            _server: nginx(&folder, port)?,
            folder,
        })
    }

    fn step(&self, client: &'static str, step: &str, figures: &mut Figures) -> Result<()> {
        let (path, count) = match step {
            "small-1" => ("small", 20_000),
            "small-64" => ("small", 50_000),
            "download" => ("large", 1),
            "upload" => ("put/large", 1),
            _ => ("", 50_000),
        };
        let count: u32 = if self.is_quick { count / 10 } else { count };
        let mut command = pinned(&self.binary, Some(CLIENT_CORE));
        command.args([
            client,
            step,
            &format!("http://127.0.0.1:{}/{path}", self.port),
            &count.max(1).to_string(),
        ]);
        command.arg(self.folder.join("large"));
        let printed = output(&mut command).with_context(|| format!("{client}, {step}"))?;
        collect(client, &printed, str::to_owned, figures)
    }
}

/// Figures that compare, round by round.
fn derive(figures: &mut Figures) {
    for (name, figure, peer) in [
        ("small_64_of_hyper", "small_64_per_s", "hyper-util"),
        ("download_of_curl", "download_mb_per_s", "curl"),
        ("upload_of_curl", "upload_mb_per_s", "curl"),
    ] {
        let Some(peers) = figures.get(&(peer, figure.to_owned())).cloned() else {
            continue;
        };
        for contender in CONTENDERS {
            if let Some(own) = figures.get(&(contender.name, figure.to_owned())) {
                let ratios = own.iter().zip(&peers).map(|(own, peer)| own / peer);
                let ratios = ratios.collect();
                figures.insert((contender.name, name.to_owned()), ratios);
            }
        }
    }
}

fn report(what: &What, contenders: &[&Contender], figures: &Figures, rounds: usize) {
    println!(
        "\nHTTP client, nginx on loopback and core {SERVER_CORE}, client on core {CLIENT_CORE}, answers of \
         {ANSWER_BYTES} bytes, files in memory; medians of {rounds} rounds"
    );
    if what.quick {
        println!("  quick: large bodies have 100 MB, and there is a tenth of the requests");
    }
    for contender in contenders {
        println!("  {:11} {}", contender.name, contender.what);
    }
    let names: Vec<&'static str> = contenders.iter().map(|one| one.name).collect();
    table(LINES, &names, figures);
    raw(LINES, &names, figures);
}

/// In memory, so that no disk is measured.
fn folder() -> Result<PathBuf> {
    let folder = Path::new("/dev/shm/periwinkle-bench-fetch").to_path_buf();
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("put"))?;
    Ok(folder)
}

fn fill(path: &Path, bytes: u64) -> Result<()> {
    let piece: Vec<u8> = (0..1_000_000_u32).map(|n| (n * 31 % 251) as u8).collect();
    let mut file = File::create(path)?;
    for _ in 0..bytes / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(())
}

/// What is put is kept as a file.
fn nginx(folder: &Path, port: u16) -> Result<Server> {
    let body = "x".repeat(ANSWER_BYTES);
    let lines = format!(
        "sendfile on;
         client_max_body_size 0;
         root .;
         location /small {{ return 200 '{body}'; }}
         location /put/ {{ dav_methods PUT; }}"
    );
    server::nginx(folder, port, SERVER_CORE, &lines)
}
