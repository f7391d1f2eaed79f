//! The local AWS emulator: one process that checks signatures and policies.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{output, program, tied};
use crate::paths;

const START_SECONDS_MAX: u64 = 30;

/// A running emulator; dropping it stops it.
pub(crate) struct Emulator {
    child: Child,
    pub(crate) endpoint: String,
}

impl Emulator {
    /// On a free port of the loopback, with its log in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = free_port()?;
        let log = folder.join("emulator.log");
        let file = File::create(&log)?;
        let child = tied(&paths::emulator_bin("ministack"))
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "localhost")
            .env("AUTH", "true")
            // Its MQTT listener binds every interface, whatever the host above says.
            .env("IOT_MTLS_ENABLED", "0")
            .env("LOG_LEVEL", "WARNING")
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start the emulator")?;
        let mut emulator = Self {
            child,
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        emulator.wait_until_ready(port, &log)?;
        Ok(emulator)
    }

    fn wait_until_ready(&mut self, port: u16, log: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the emulator ended at once ({status}); its log is {}",
                    log.display()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "the emulator is not ready after {START_SECONDS_MAX} s; its log is {}",
                    log.display()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Deploys `cloud/template.yaml` and writes the credentials of a device, which do not expire.
    pub(crate) fn deploy(&self, thing: &str, credentials: &Path) -> Result<()> {
        let mut command = program(paths::judges_bin("python"));
        command.arg(paths::assets().join("deploy.py"));
        command.args([
            "--endpoint",
            &self.endpoint,
            "--thing",
            thing,
            "--long-lived",
            "--out",
        ]);
        output(command.arg(credentials).stdin(Stdio::null())).map(drop)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Nothing of it is worth an orderly end, and one that has ended already is just as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free now, which is as much as can be known.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
