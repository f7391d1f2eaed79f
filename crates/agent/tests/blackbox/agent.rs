//! The real agent in a process and a state directory of its own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually::eventually;

/// A running agent; killed when it goes out of scope.
#[derive(Debug)]
pub struct Agent {
    home: Home,
    child: Child,
    pub address: SocketAddr,
}

/// A state directory and a configuration, with or without an agent running on them.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    address: SocketAddr,
    environment: Vec<(String, String)>,
}

/// The owner that tests set up.
pub const OWNER: &str = "olga";
pub const PASSWORD: &str = "periwinkle blossoms in may";

impl Home {
    /// A fresh home whose agent listens on a free port of loopback.
    pub fn new() -> Home {
        Home::with("")
    }

    /// A fresh home with more configuration; `[web] listen` is added.
    pub fn with(configuration: &str) -> Home {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let address = free_address();
        let text = format!("{configuration}\n[web]\nlisten = [\"http://{address}\"]\n");
        fs::write(folder.path().join("periwinkle.toml"), text).expect("it is ours");
        Home {
            folder,
            address,
            environment: Vec::new(),
        }
    }

    /// Sets a variable for every agent and command of this home.
    pub fn env(mut self, name: &str, value: &str) -> Home {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("periwinkle.toml")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The command line `periwinkle --config ... ARGUMENTS`.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_periwinkle"));
        command
            .arg("--config")
            .arg(self.config())
            .arg("--state")
            .arg(self.state());
        command.args(arguments).current_dir(self.path());
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    /// Starts the agent and waits until it answers.
    pub fn start(self) -> Agent {
        let command = self.command(&["run"]);
        self.spawn(command)
    }

    /// Starts the agent as the arguments of `wrapper`, a program that starts others.
    pub fn start_under(self, mut wrapper: Command) -> Agent {
        let command = self.command(&["run"]);
        wrapper.arg(command.get_program()).args(command.get_args());
        wrapper.current_dir(self.path());
        self.spawn(wrapper)
    }

    /// Starts a maker's own program with this home's configuration and waits until it answers.
    pub fn start_program(self, program: &Path) -> Agent {
        assert!(program.exists(), "{} is not built", program.display());
        let mut command = Command::new(program);
        command.arg("--config").arg(self.config());
        command.current_dir(self.path());
        self.spawn(command)
    }

    fn spawn(self, mut command: Command) -> Agent {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path().join("log"))
            .expect("it is ours");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program runs");
        let address = self.address;
        let mut agent = Agent {
            home: self,
            child,
            address,
        };
        agent.wait_until_it_answers();
        agent
    }
}

impl Agent {
    fn wait_until_it_answers(&mut self) {
        let client = Client::new(self.address);
        eventually("the agent answers", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the agent ended with {status}:\n{}", self.log());
            }
            let answer = client.try_send("GET", "/api/v1/status", &[], b"").ok()?;
            (answer.status == 200).then_some(())
        });
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The memory that the process holds at this moment.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok());
        number.expect("Linux tells the resident size")
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    pub fn setup_code(&self) -> String {
        let path = self.home.state().join("setup-code");
        fs::read_to_string(path).expect("without a terminal the code is in a file")
    }

    /// Sets the owner up and returns a client that is logged in.
    #[track_caller]
    pub fn owner(&self) -> Client {
        let mut client = self.client();
        let request =
            json!({"code": self.setup_code().trim(), "name": OWNER, "password": PASSWORD});
        let answer = client.post("/api/v1/setup", &request).expect(201);
        client.keep_session(&answer);
        client
    }

    /// Logs the owner in who was set up before.
    #[track_caller]
    pub fn login(&self) -> Client {
        let mut client = self.client();
        let request = json!({"name": OWNER, "password": PASSWORD});
        let answer = client.post("/api/v1/session", &request).expect(200);
        client.keep_session(&answer);
        client
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        let output = self.home.run(&["status", "--json"]);
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!(
                "no status ({error}): {text}{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// SIGKILL, as a power cut does to a process.
    pub fn kill(mut self) -> Home {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ran");
        self.take_home()
    }

    /// SIGTERM, and the exit code.
    pub fn stop(self) -> (Home, Option<i32>) {
        self.stop_by("TERM")
    }

    /// The same with another signal.
    pub fn stop_by(mut self, name: &str) -> (Home, Option<i32>) {
        signal(self.child.id(), name);
        let status = eventually("the agent stops", || self.child.try_wait().expect("it ran"));
        (self.take_home(), status.code())
    }

    fn take_home(&mut self) -> Home {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let empty = Home {
            folder,
            address: self.address,
            environment: Vec::new(),
        };
        std::mem::replace(&mut self.home, empty)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
    }
}

/// Sends a signal to a process by its name, as `kill` does.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(status.expect("kill runs").success());
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound")
}
