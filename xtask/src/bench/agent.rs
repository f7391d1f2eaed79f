//! The agent as the benchmarks run it: as shipped, on defaults, with a new state directory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::command::{output, program, tied};
use crate::{emulator, paths};

const START_SECONDS_MAX: u64 = 20;

/// A running agent; dropping it ends it.
pub(super) struct Agent {
    child: Child,
    pub(super) port: u16,
    /// From just before the process was made to its first answer.
    pub(super) until_answer: Duration,
}

impl Agent {
    /// With a new state directory. `core` pins it to one core.
    pub(super) fn start(binary: &Path, name: &str, core: Option<&str>) -> Result<Self> {
        let folder = fresh_folder(name)?;
        Self::start_in(&folder, "", binary, core)
    }

    /// With the state directory that the folder has, or a new one. `more` is configuration.
    pub(super) fn start_in(
        folder: &Path,
        more: &str,
        binary: &Path,
        core: Option<&str>,
    ) -> Result<Self> {
        let port = emulator::free_port()?;
        let config = folder.join("periwinkle.toml");
        fs::write(&config, configuration(folder, port) + more)?;
        let mut command = pinned(binary, core);
        command.arg("run").arg("--config").arg(&config);
        let log = fs::File::create(folder.join("agent.log"))?;
        command
            .current_dir(folder)
            .stdout(log.try_clone()?)
            .stderr(log);
        let started = Instant::now();
        let child = command.spawn().context("cannot start the agent")?;
        let mut agent = Self {
            child,
            port,
            until_answer: Duration::ZERO,
        };
        agent.wait_for_answer(started, folder)?;
        Ok(agent)
    }

    /// A number that the system tells of the process, from a file below `/proc/PID`.
    pub(super) fn told(&self, file: &str, field: &str) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/{file}", self.child.id()))?;
        let rest = text.lines().find_map(|line| line.strip_prefix(field));
        let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.with_context(|| format!("the system does not tell {field}"))
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(mut self) -> Result<()> {
        let pid = self.child.id().to_string();
        output(program("kill").args(["-TERM", &pid]))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }

    fn wait_for_answer(&mut self, started: Instant, folder: &Path) -> Result<()> {
        loop {
            if ask(self.port).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                self.until_answer = started.elapsed();
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || started.elapsed() > Duration::from_secs(START_SECONDS_MAX) {
                bail!(
                    "the agent does not answer; its log:\n{}",
                    fs::read_to_string(folder.join("agent.log"))?
                );
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Its state is thrown away at the next start, so there is nothing to end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program on one core; `None` leaves it to the system.
pub(super) fn pinned(binary: &Path, core: Option<&str>) -> Command {
    let Some(core) = core else {
        return tied(binary);
    };
    let mut command = tied(Path::new("taskset"));
    command.args(["--cpu-list", core]).arg(binary);
    command
}

/// Below the place of the tools, emptied.
pub(super) fn fresh_folder(name: &str) -> Result<PathBuf> {
    let folder = paths::tools().join("bench").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

pub(super) fn configuration(folder: &Path, port: u16) -> String {
    let state = folder.join("state");
    format!(
        "[runtime]\nstate = \"{}\"\n\n[web]\nlisten = [\"http://127.0.0.1:{port}\"]\n",
        state.display()
    )
}

pub(super) fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = "GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
