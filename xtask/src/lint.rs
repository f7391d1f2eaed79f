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

pub(crate) fn run() -> Result<()> {
    show(&mut cargo(&["fmt", "--all", "--check"]))?;
    clippy(&["--workspace"])?;
    clippy(WEB_ONLY)?;
    ["db", "fetch", "mqtt"]
        .map(|name| format!("benches/{name}/Cargo.toml"))
        .into_iter()
        .try_for_each(|manifest| of_a_workspace_of_its_own(&manifest))
}

/// Without the peers that it measures beside.
fn of_a_workspace_of_its_own(manifest: &str) -> Result<()> {
    show(&mut cargo(&["fmt", "--check", "--manifest-path", manifest]))?;
    clippy(&["--manifest-path", manifest, "--no-default-features"])
}

fn clippy(selection: &[&str]) -> Result<()> {
    let mut command = cargo(&["clippy", "--all-targets"]);
    show(command.args(selection).args(["--", "-D", "warnings"]))
}
