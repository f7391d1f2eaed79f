//! Everything that must hold before a change goes in.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, output, program, show};
use crate::emulator::Emulator;
use crate::{console, docs, fuzz, lint, paths, setup, tidy};

/// All of it, or only the tests that a filter names.
pub(crate) fn run(filter: &[String]) -> Result<()> {
    setup::tools()?;
    if !filter.is_empty() {
        let emulator = Emulator::start(&paths::tools().join("test"))?;
        return show(with_counterparts(&mut runner(&["--workspace"]), &emulator).args(filter));
    }
    lint::run()?;
    tidy::run()?;
    docs::run()?;
    console::check()?;
    console::test()?;
    fuzz::check()?;
    show(&mut cargo(&["test", "--workspace", "--doc"]))?;
    let emulator = Emulator::start(&paths::tools().join("test"))?;
    show(with_counterparts(&mut template(), &emulator))?;
    show(with_counterparts(&mut runner(lint::WEB_ONLY), &emulator))?;
    show(with_counterparts(&mut runner(&["--workspace"]), &emulator))
}

/// nextest where it is installed, for its one process per test and its reports.
fn runner(selection: &[&str]) -> Command {
    let has_nextest = output(&mut cargo(&["nextest", "--version"])).is_ok();
    let mut command = cargo(if has_nextest {
        &["nextest", "run"]
    } else {
        &["test"]
    });
    if has_nextest && std::env::var_os("CI").is_some() {
        command.args(["--profile", "ci"]);
    }
    command.args(selection);
    command
}

/// `cloud/template.yaml`, as text and deployed.
fn template() -> Command {
    let mut command = program(paths::judges_bin("python"));
    command.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]);
    command.arg(paths::assets().join("test_template.py"));
    command
}

/// How the black-box tests find the programs that are not ours.
fn with_counterparts<'a>(command: &'a mut Command, emulator: &Emulator) -> &'a mut Command {
    let tools = fs::canonicalize(paths::tools()).unwrap_or_else(|_| paths::tools());
    command
        .env("PERIWINKLE_TEST_TOOLS", tools)
        .env("PERIWINKLE_TEST_MINISTACK", &emulator.endpoint)
        .env("PERIWINKLE_TEST_PYTHON", paths::judges_bin("python"))
        .env("PERIWINKLE_TEST_NODE_MODULES", paths::node_modules())
        .env("PERIWINKLE_TEST_ASSETS", paths::assets())
}
