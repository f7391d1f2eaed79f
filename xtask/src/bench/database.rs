//! The database beside redb, SQLite and fjall, in turn, in one run; and its model layer.
//!
//! What is measured lies in `benches/db`, a workspace of its own. Each step of each engine is a
//! process; every round visits all engines.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::build;
use super::table::{Figures, Line, collect, line, raw, table};
use super::turns::{Named, chosen, in_turn};
use crate::command::{output, program};
use crate::paths;

#[derive(Args)]
pub(crate) struct What {
    /// Where the databases are made: a directory on the disk to be measured
    #[arg(long)]
    dir: Option<PathBuf>,
    /// One round over a tenth of the rows: shows that everything runs, and no more
    #[arg(long)]
    quick: bool,
    /// Only this engine, such as periwinkle
    #[arg(long)]
    only: Option<String>,
}

const ROUNDS: usize = 5;
const ROWS: u32 = 100_000;
const QUICK_ROWS: u32 = 10_000;

/// An engine and the steps of each of its rounds.
struct Contender {
    name: &'static str,
    rounds: &'static [&'static str],
    /// Whether the long run over changes is made, once.
    wears: bool,
    /// Whether one can say how much of what lies on the disk shall be live.
    has_density: bool,
    modes: &'static str,
}

impl Named for Contender {
    fn name(&self) -> &'static str {
        self.name
    }
}

const LIFE: &[&str] = &[
    "fill",
    "open",
    "resident",
    "read",
    "write",
    "durable",
    "grouped",
    "crash",
    "open-killed",
];

const CONTENDERS: &[Contender] = &[
    Contender {
        name: "periwinkle",
        rounds: &[
            "fill-plain",
            "memory-plain",
            "fill",
            "memory",
            "open",
            "resident",
            "read",
            "write",
            "durable",
            "grouped",
            "crash",
            "open-killed",
        ],
        wears: true,
        has_density: true,
        modes: "relaxed: synced within 5 s or 1 MiB, by its own thread. durable: fdatasync, shared by all who wait",
    },
    Contender {
        name: "redb",
        rounds: LIFE,
        wears: true,
        has_density: false,
        modes: "relaxed: Durability::None. durable: Durability::Immediate. Reads within one snapshot",
    },
    Contender {
        name: "sqlite-normal",
        rounds: &["fill", "open", "read", "write", "crash", "open-killed"],
        wears: true,
        has_density: false,
        modes: "WAL, synchronous NORMAL: synced before a checkpoint. Table without rowid, prepared statements",
    },
    Contender {
        name: "sqlite-full",
        rounds: &["fill", "durable", "grouped"],
        wears: false,
        has_density: false,
        modes: "WAL, synchronous FULL: every commit is synced",
    },
    Contender {
        name: "fjall",
        rounds: LIFE,
        wears: true,
        has_density: false,
        modes: "relaxed: journal in the page cache, not synced. durable: PersistMode::SyncData. Up to 64 MiB of rows stay in memory",
    },
];

const ENGINE: &[Line<'_>] = &[
    line("get_cached_us", "get, in the engine's cache, us", 2, "1"),
    line(
        "get_uncached_us",
        "get, not in the engine's cache, us",
        2,
        "2",
    ),
    line("find_us", "row by an index entry, cached, us", 2, ""),
    line(
        "find_page_us",
        "100 rows in the order of the index, cached, us",
        1,
        "",
    ),
    line("scan_us", "scan of 100, cached, us", 1, "redb"),
    line("scan_uncached_us", "scan of 100, not cached, us", 1, ""),
    line("insert_us", "insert, relaxed, us", 2, "3"),
    line(
        "insert_cpu_us",
        "  the same, processor time of all threads, us",
        2,
        "",
    ),
    line("update_us", "update, relaxed, us", 2, ""),
    line("durable_us", "insert, durable, one writer, us", 0, ""),
    line("floor_us", "  raw append + fdatasync meanwhile, us", 0, ""),
    line("durable_of_floor", "  of the raw append", 2, "1.3"),
    line(
        "grouped_32_per_s",
        "inserts, durable, 32 writers, per s",
        0,
        "",
    ),
    line(
        "grouped_256_per_s",
        "inserts, durable, 256 writers, per s",
        0,
        "",
    ),
    line("durable_bytes", "bytes written per durable insert", 0, ""),
    line("durable_flush_of_bar", "  of 4096 + frames", 2, "1.1"),
    line("grouped_32_bytes", "  32 writers", 0, ""),
    line(
        "grouped_32_flush_of_bar",
        "  of 4096 + frames, 32 writers",
        2,
        "1.1",
    ),
    line("grouped_256_bytes", "  256 writers", 0, ""),
    line(
        "grouped_256_flush_of_bar",
        "  of 4096 + frames, 256 writers",
        2,
        "1.1",
    ),
    line(
        "wear_bytes",
        "bytes written per update, steady, relaxed",
        0,
        "",
    ),
    line("wear_device_bytes", "  at the disk, by everybody", 0, ""),
    line(
        "wear_amplification",
        "  of the bytes of the row (write amplification)",
        2,
        "",
    ),
    line(
        "wear_live_pct",
        "  live bytes of those on the disk, %",
        0,
        "",
    ),
    line("wear_log_live_pct", "  of those of the log, %", 0, ""),
    line(
        "wear_dense_bytes",
        "the same with a log kept at 70 % live",
        0,
        "",
    ),
    line(
        "wear_dense_amplification",
        "  of the bytes of the row (write amplification)",
        2,
        "",
    ),
    line(
        "wear_dense_live_pct",
        "  live bytes of those on the disk, %",
        0,
        "",
    ),
    line("wear_dense_log_live_pct", "  of those of the log, %", 0, ""),
    line("fill_us", "bulk load, us per row", 2, ""),
    line("disk_mib", "on the disk after it, MiB", 1, ""),
    line(
        "open_clean_ms",
        "open after a close, to the first get, ms",
        1,
        "40",
    ),
    line(
        "open_killed_ms",
        "open after a kill, to the first get, ms",
        1,
        "150",
    ),
    line("resident_open_mib", "memory after opening, MiB", 1, ""),
    line(
        "resident_read_mib",
        "memory after as many gets as rows, MiB",
        1,
        "",
    ),
    line(
        "memory_per_row",
        "memory per row beside its key, bytes",
        0,
        "96",
    ),
    line(
        "memory_per_entry",
        "memory per index entry beside its key, bytes",
        0,
        "96",
    ),
];

const MODEL: &[Line<'_>] = &[
    line("model_get_us", "get, decoded, cached, us", 2, "3"),
    line(
        "model_typed_get_us",
        "  as a type of the program's own, us",
        2,
        "",
    ),
    line("model_create_us", "create, relaxed, us", 2, "12"),
    line("model_update_us", "update, relaxed, us", 2, ""),
    line("model_page_us", "page of 100 by primary key, us", 0, ""),
    line("model_index_page_us", "page of 100 by an index, us", 0, ""),
    line(
        "model_transaction_us",
        "transaction of 10 creates, relaxed, us",
        0,
        "",
    ),
    line("model_durable_us", "create, durable, one writer, us", 0, ""),
    line("model_open_ms", "open after a close, ms", 1, ""),
    line(
        "model_memory_bytes",
        "memory per item, key included, bytes",
        0,
        "",
    ),
];

const KEY_BYTES: f64 = 60.0;
const INDEX_KEY_BYTES: f64 = 40.0;

pub(super) fn run(what: &What) -> Result<()> {
    let contenders = chosen(CONTENDERS, what.only.as_deref())?;
    let binary = build("db", &[])?;
    let run = Run {
        binary,
        folder: folder(what)?,
        rows: if what.quick { QUICK_ROWS } else { ROWS },
        is_quick: what.quick,
    };
    let begun = Instant::now();
    let rounds = if what.quick { 1 } else { ROUNDS };
    let mut figures = Figures::new();
    for round in 1..=rounds {
        for contender in in_turn(&contenders, round) {
            for step in contender.rounds {
                run.step(contender.name, step, &mut figures)?;
            }
        }
        run.step("model", "model", &mut figures)?;
        run.step("model", "model-open", &mut figures)?;
    }
    for contender in contenders.iter().filter(|contender| contender.wears) {
        run.step(contender.name, "wear", &mut figures)?;
        if contender.has_density {
            run.step(contender.name, "wear-dense", &mut figures)?;
        }
    }
    derive(&mut figures, run.rows);
    report(&run, &contenders, &figures, rounds)?;
    println!("\ntook {} s", begun.elapsed().as_secs());
    fs::remove_dir_all(&run.folder).context("the databases stay behind")
}

/// A new database with so many items of the model layer, closed in order, and its schema.
pub(super) fn fill(folder: &Path, items: u32) -> Result<PathBuf> {
    let binary = build("db", &["--no-default-features"])?;
    let mut command = program(binary);
    command.args(["model", "model-fill"]).arg(folder);
    output(command.arg(items.to_string()))?;
    Ok(paths::root().join("benches/db/readings.json5"))
}

/// By default below `target`, which lies on a disk where `/tmp` may not.
fn folder(what: &What) -> Result<PathBuf> {
    let parent = what.dir.clone();
    let parent = parent.unwrap_or_else(|| paths::built("benches-db", ""));
    fs::create_dir_all(&parent)?;
    let folder = fs::canonicalize(parent)?.join("periwinkle-bench-db");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let kind = file_system(&folder)?;
    if ["tmpfs", "ramfs"].contains(&kind[0].as_str()) {
        bail!(
            "{} is in memory: name a directory on a disk with --dir",
            folder.display()
        );
    }
    Ok(folder)
}

/// Kind, device and options of the file system under a directory.
fn file_system(folder: &Path) -> Result<Vec<String>> {
    let mut command = program("findmnt");
    command.args([
        "--noheadings",
        "--output",
        "FSTYPE,SOURCE,OPTIONS",
        "--target",
    ]);
    let words = output(command.arg(folder))?;
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    ensure!(
        words.len() >= 2,
        "findmnt does not know {}",
        folder.display()
    );
    Ok(words)
}

struct Run {
    binary: PathBuf,
    folder: PathBuf,
    rows: u32,
    is_quick: bool,
}

impl Run {
    fn step(&self, engine: &'static str, step: &str, figures: &mut Figures) -> Result<()> {
        let mut command = program(&self.binary);
        command
            .args([engine, step])
            .arg(self.folder.join(engine))
            .arg(self.rows.to_string());
        if self.is_quick {
            command.arg("quick");
        }
        if step.starts_with("memory") {
            // What opening took and gave back goes back to the system, and is not counted as held.
            command.env("MALLOC_MMAP_THRESHOLD_", "65536");
            command.env("MALLOC_TRIM_THRESHOLD_", "65536");
        }
        if step == "crash" {
            // It ends by a signal, as it should.
            ensure!(!command.status()?.success(), "{engine} was not killed");
            return Ok(());
        }
        let printed = output(&mut command).with_context(|| format!("{engine}, {step}"))?;
        collect(engine, &printed, str::to_owned, figures)
    }
}

/// Figures that are made of others.
fn derive(figures: &mut Figures, rows: u32) {
    let engine = "periwinkle";
    let of = |name: &str| figures.get(&(engine, name.to_owned())).cloned();
    let (Some(plain), Some(indexed)) = (of("memory_plain_bytes"), of("memory_bytes")) else {
        return;
    };
    let rows = f64::from(rows);
    let per_row = plain.iter().map(|bytes| bytes / rows - KEY_BYTES).collect();
    let entries = indexed.iter().zip(&plain);
    let per_entry = entries
        .map(|(indexed, plain)| (indexed - plain) / rows - INDEX_KEY_BYTES)
        .collect();
    figures.insert((engine, "memory_per_row".to_owned()), per_row);
    figures.insert((engine, "memory_per_entry".to_owned()), per_entry);
}

fn report(run: &Run, contenders: &[&Contender], figures: &Figures, rounds: usize) -> Result<()> {
    println!(
        "\ndatabase engine: {} rows of 60 + 200 bytes, keys in no order, one index of 40 bytes; \
         medians of {rounds} rounds",
        run.rows
    );
    println!(
        "  on {}: {}",
        run.folder.display(),
        file_system(&run.folder)?.join(" ")
    );
    println!("  bytes written: write_bytes less cancelled_write_bytes of /proc/self/io");
    println!("  not cached: the engine keeps no value, the system's page cache does");
    for contender in contenders {
        println!("  {:13} {}", contender.name, contender.modes);
    }
    let names: Vec<&'static str> = contenders.iter().map(|contender| contender.name).collect();
    table(ENGINE, &names, figures);
    println!(
        "\ndatabase model layer: {} items, schema with templates, ulid, pattern, enum",
        run.rows
    );
    table(MODEL, &["model"], figures);
    raw(ENGINE, &names, figures);
    raw(MODEL, &["model"], figures);
    Ok(())
}
