//! The web console: TypeScript in `console/`, its bundle committed in the agent's sources.

use anyhow::{Result, ensure};

use crate::command::{program, show};
use crate::{paths, setup};

pub(crate) fn build() -> Result<()> {
    setup::console()?;
    show(&mut npm(&["run", "--silent", "build"]))
}

/// Types, and whether the committed bundle is what these sources give.
pub(crate) fn check() -> Result<()> {
    setup::console()?;
    show(&mut npm(&["run", "--silent", "check"]))
}

/// The console's own tests, against its stand-in for the agent.
pub(crate) fn test() -> Result<()> {
    setup::console()?;
    show(&mut npm(&["run", "--silent", "test"]))
}

pub(crate) fn npm(arguments: &[&str]) -> std::process::Command {
    let mut command = program("npm");
    command.args(arguments).current_dir(paths::console());
    command
}

/// A console without sources cannot be checked, which must not pass as checked.
pub(crate) fn ensure_present() -> Result<()> {
    ensure!(
        paths::console().join("package.json").is_file(),
        "console/package.json is missing"
    );
    Ok(())
}
