//! Parsers against changed inputs: `fuzz/` with its own small driver, or under libFuzzer.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{cargo, output, program, show};
use crate::paths;

/// What libFuzzer has to see of a program, as `cargo fuzz` passes it; without the address
/// sanitizer, which needs a nightly compiler and would find little where nothing is unsafe.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
     --cfg fuzzing -Ccodegen-units=1";

/// How one run goes.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long each target gets
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Decides what is random
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Under libFuzzer, which sees what code an input reaches; needs a C++ compiler and a target
    #[arg(long, requires = "target")]
    pub(crate) deep: bool,
    /// Only this target
    pub(crate) target: Option<String>,
}

/// Feeds the corpus and what is made from it to each target.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.target {
        Some(target) if options.deep => deep(target, options),
        target => show(build(&["--bin", "fuzz", "--"]).args(arguments(target.as_ref(), options))),
    }
}

/// A short run of all targets, over the committed corpus first.
pub(crate) fn check() -> Result<()> {
    run(&Options {
        seconds: 2,
        seed: 1,
        deep: false,
        target: None,
    })
}

fn arguments(target: Option<&String>, options: &Options) -> Vec<String> {
    let (seconds, seed) = (options.seconds.to_string(), options.seed.to_string());
    let given = ["--seconds".into(), seconds, "--seed".into(), seed];
    given.into_iter().chain(target.cloned()).collect()
}

fn build(arguments: &[&str]) -> Command {
    let mut command = cargo(&["run", "--quiet", "--release", "--locked"]);
    command
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .args(arguments);
    command.env("CARGO_TARGET_DIR", paths::root().join("target/fuzz"));
    command
}

fn deep(target: &str, options: &Options) -> Result<()> {
    // Named, so that the flags are not those of build scripts and procedural macros, too.
    let host = host()?;
    let mut command = build(&[
        "--target",
        &host,
        "--features",
        "deep",
        "--bin",
        "deep",
        "--",
    ]);
    let folder = paths::root().join("target/fuzz-deep");
    command.env("RUSTFLAGS", COVERAGE);
    command.env("CARGO_TARGET_DIR", &folder);
    command.env("PERIWINKLE_FUZZ_TARGET", target);
    let limit = format!("-max_total_time={}", options.seconds);
    let seed = format!("-seed={}", options.seed);
    // What is found goes to a folder that is not committed; the corpus is only read.
    let found = format!("target/fuzz-deep/corpus/{target}");
    fs::create_dir_all(paths::root().join(&found))?;
    command.args([&limit, &seed, "-artifact_prefix=target/fuzz-deep/"]);
    command.args([&found, &format!("fuzz/corpus/{target}")]);
    show(&mut command)
}

/// The triple of this machine.
fn host() -> Result<String> {
    let told = output(program("rustc").arg("-vV"))?;
    let line = told.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc names no host")
}
