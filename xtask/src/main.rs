//! The one door to everything a developer does: `cargo xtask <verb>`.

mod bench;
mod command;
mod console;
mod demo;
mod docs;
mod emulator;
mod fuzz;
mod lint;
mod paths;
mod setup;
mod size;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything a developer does with Periwinkle.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the tests need, then check and test everything
    Test {
        /// Only the tests whose names contain one of these words, and no other check
        filter: Vec<String>,
    },
    /// Install what the other verbs need; a second run is quick
    Setup,
    /// Formatting, and clippy on every build, with warnings as errors
    Lint,
    /// The rules that no compiler knows: imports, names, sizes, bounds
    Tidy,
    /// API documentation with warnings as errors, and the links between pages
    Docs,
    /// Build the web console into the agent's sources
    Console {
        /// Only compare the committed bundle with its sources
        #[arg(long)]
        check: bool,
    },
    /// Sizes of the shipped binaries against their bars
    Size,
    /// Measure: web, database and clients beside their peers; start, memory, writes to the flash
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Parsers against changed inputs; for hours with `--seconds`, under libFuzzer with `--deep`
    Fuzz(fuzz::Options),
    /// A live device and a cloud on this machine, until Ctrl-C
    Demo,
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Test { filter } => test::run(&filter),
        Verb::Setup => setup::tools(),
        Verb::Lint => lint::run(),
        Verb::Tidy => tidy::run(),
        Verb::Docs => docs::run(),
        Verb::Console { check: true } => console::check(),
        Verb::Console { check: false } => console::build(),
        Verb::Size => size::run(),
        Verb::Bench { what } => bench::run(what),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Demo => demo::run(),
    }
}
