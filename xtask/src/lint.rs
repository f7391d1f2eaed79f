//! Formatting and clippy, for every build that is shipped.

use anyhow::Result;

use crate::command::{cargo, show};

/// The smallest build: the web server alone.
pub(crate) const WEB_ONLY: &[&str] = &[
    "--package",
    "periwinkle",
    "--no-default-features",
    "--features",
    "web",
];

/// Clients alone, as a program takes them that has a web server of its own or none.
const ONE_CLIENT: &[&str] = &["fetch", "mqtt"];

pub(crate) fn run() -> Result<()> {
    show(&mut cargo(&["fmt", "--all", "--check"]))?;
    clippy(&["--workspace"])?;
    clippy(WEB_ONLY)?;
    let (_, package) = WEB_ONLY.split_last().expect("it names its feature");
    for feature in ONE_CLIENT {
        clippy(&[package, &[feature]].concat())?;
    }
    of_a_workspace_of_its_own("db", &[])?;
    of_a_workspace_of_its_own("fetch", &[])?;
    of_a_workspace_of_its_own("mqtt", &["--features", "ours"])
}

/// Without the peers that it measures beside, where it can be built so.
fn of_a_workspace_of_its_own(name: &str, features: &[&str]) -> Result<()> {
    let manifest = format!("benches/{name}/Cargo.toml");
    show(&mut cargo(&[
        "fmt",
        "--check",
        "--manifest-path",
        &manifest,
    ]))?;
    let mut selection = vec!["--manifest-path", &manifest, "--target-dir", "target/lint"];
    selection.push("--no-default-features");
    selection.extend(features);
    clippy(&selection)
}

fn clippy(selection: &[&str]) -> Result<()> {
    let mut command = cargo(&["clippy", "--all-targets"]);
    show(command.args(selection).args(["--", "-D", "warnings"]))
}
