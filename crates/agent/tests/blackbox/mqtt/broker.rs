//! mosquitto in a process and a directory of its own.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::eventually::eventually;

/// A broker; killed when it goes out of scope.
pub(super) struct Mosquitto {
    folder: TempDir,
    pub(super) port: u16,
    scheme: &'static str,
    /// In front of the program, such as `ip netns exec NAME`.
    prefix: Vec<String>,
    process: Option<Child>,
}

/// What its directory has to hold, and what its configuration says.
pub(super) struct Setup {
    /// Of the whole broker.
    pub(super) global: String,
    /// Of its one listener.
    pub(super) listener: String,
    pub(super) scheme: &'static str,
    pub(super) prefix: Vec<String>,
    /// Files by their names; the configuration names them by [`Mosquitto::FOLDER`].
    pub(super) files: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            global: "allow_anonymous true\nmax_queued_messages 0\n".to_owned(),
            listener: String::new(),
            scheme: "mqtt",
            prefix: Vec::new(),
            files: Vec::new(),
        }
    }
}

impl Setup {
    /// It only starts if there is a listener of the other kind, too.
    pub(super) fn websockets(mut self, scheme: &'static str) -> Setup {
        let other = free_port();
        self.scheme = scheme;
        self.listener = format!("protocol websockets\n{}", self.listener);
        self.listener
            .push_str(&format!("\nlistener {other} 127.0.0.1\n"));
        self
    }

    pub(super) fn global(mut self, lines: &str) -> Setup {
        self.global.push_str(lines);
        self
    }
}

/// Stands for the broker's directory in its configuration.
pub(super) const FOLDER: &str = "{folder}";

/// Sessions and queues are written down when it is stopped.
pub(super) const PERSISTENT: &str = "persistence true\npersistence_location {folder}/\n";

impl Mosquitto {
    /// One that takes everything from everybody, and has kept nothing after a restart.
    pub(super) fn plain() -> Mosquitto {
        Mosquitto::new(Setup::default())
    }

    pub(super) fn new(setup: Setup) -> Mosquitto {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let place = folder.path().display().to_string();
        // It would give its rights up, and with them that to its own directory.
        let text = format!(
            "user root\n{}\nlistener {port} 127.0.0.1\n{}\n",
            setup.global, setup.listener
        );
        let text = text.replace(FOLDER, &place);
        fs::write(folder.path().join("mosquitto.conf"), text).unwrap();
        for (name, content) in &setup.files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let mut broker = Mosquitto {
            folder,
            port,
            scheme: setup.scheme,
            prefix: setup.prefix,
            process: None,
        };
        broker.start();
        broker
    }

    pub(super) fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.port)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Again, on the same port and with what it has kept.
    pub(super) fn start(&mut self) {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.file("log"))
            .unwrap();
        let mut words = self.prefix.clone();
        words.push(mosquitto().display().to_string());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("-c")
            .arg(self.file("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(command.spawn().unwrap());
        eventually("mosquitto runs", || self.is_running().then_some(()));
    }

    fn is_running(&self) -> bool {
        match self.prefix.is_empty() {
            true => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            // Out of reach from here: it says so in its log.
            false => fs::read_to_string(self.file("log")).is_ok_and(|log| log.contains("running")),
        }
    }

    /// As an administrator does: it writes down what it has to keep.
    pub(super) fn stop(&mut self) {
        self.signal(Signal::TERM);
    }

    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
    }

    fn signal(&mut self, signal: Signal) {
        let mut child = self.process.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        child.wait().unwrap();
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- mosquitto's log\n{}", self.log());
        }
    }
}

/// Debian has it where only root looks.
fn mosquitto() -> PathBuf {
    ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| Path::exists(path))
        .expect("mosquitto is missing: run `cargo xtask test`, or once `cargo xtask setup`")
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
