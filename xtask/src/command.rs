//! Running other programs: loudly for the steps a developer waits for, quietly for the rest.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::paths;

/// A program to run at the root of the repository, with no standard input.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(paths::root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Shows the command, runs it with its output in view, and fails as it fails.
pub(crate) fn show(command: &mut Command) -> Result<()> {
    println!("\n$ {}", line(command));
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs the command in silence and returns what it printed; on failure the error holds all of it.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}):\n{text}{complaint}",
            line(command),
            output.status
        );
    }
    Ok(text)
}

/// Whether a program of this name is on the search path.
pub(crate) fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file())
}

/// Makes the program end when this one does, however this one ends.
pub(crate) fn tied(name: &Path) -> Command {
    if !is_installed("setpriv") {
        return program(name);
    }
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(name);
    command
}

fn line(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let mut words = vec![name.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(shorten));
    words.join(" ")
}

/// Paths below the root are shown from there.
fn shorten(word: &OsStr) -> String {
    let root = format!("{}/", paths::root().display());
    word.to_string_lossy().replace(&root, "")
}
