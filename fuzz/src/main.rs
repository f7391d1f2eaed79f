//! `fuzz [--seconds N] [--seed N] [target]`: feeds one target or all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use periwinkle_fuzz::{Plan, TARGETS, run};

fn main() -> ExitCode {
    let mut plan = Plan {
        corpus: folder("corpus"),
        finds: folder("finds"),
        time: Duration::from_secs(5),
        seed: 1,
    };
    let mut wanted = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let is_target = TARGETS.iter().any(|target| target.name == argument);
        if is_target {
            wanted = Some(argument);
            continue;
        }
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (&*argument, number) {
            ("--seconds", Some(seconds)) => plan.time = Duration::from_secs(seconds),
            ("--seed", Some(seed)) => plan.seed = seed,
            _ => return usage(),
        }
    }
    let chosen = |name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let mut failed = false;
    for target in TARGETS.iter().filter(|target| chosen(target.name)) {
        match run(*target, &plan) {
            Ok(fed) => println!("fuzz: {:<11} {fed} inputs", target.name),
            Err(file) => {
                failed = true;
                eprintln!("fuzz: {:<11} panicked on {}", target.name, file.display());
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn usage() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("fuzz [--seconds N] [--seed N] [{}]", names.join(" | "));
    ExitCode::from(64)
}
