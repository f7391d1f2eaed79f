//! Formatting and clippy, for every build that is shipped.

use anyhow::Result;

use crate::command::{cargo, show};
use crate::paths;

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
    // Workspaces of their own, checked without the peers that take long to build.
    bench("db", &["--no-default-features"])?;
    bench("fetch", &[])
}

fn bench(name: &str, features: &[&str]) -> Result<()> {
    let manifest = paths::root().join("benches").join(name).join("Cargo.toml");
    let manifest = manifest.display().to_string();
    let selection = ["--manifest-path", &manifest];
    show(cargo(&["fmt", "--check"]).args(selection))?;
    clippy(&[&selection, features].concat())
}

fn clippy(selection: &[&str]) -> Result<()> {
    let mut command = cargo(&["clippy", "--all-targets"]);
    show(command.args(selection).args(["--", "-D", "warnings"]))
}
