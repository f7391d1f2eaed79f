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
    let manifest = paths::root().join("benches/db/Cargo.toml");
    let manifest = manifest.display().to_string();
    show(&mut cargo(&[
        "fmt",
        "--check",
        "--manifest-path",
        &manifest,
    ]))?;
    clippy(&["--manifest-path", &manifest, "--no-default-features"])
}

fn clippy(selection: &[&str]) -> Result<()> {
    let mut command = cargo(&["clippy", "--all-targets"]);
    show(command.args(selection).args(["--", "-D", "warnings"]))
}
