//! The whole promise on one machine: a device, its console, and a cloud that it replicates with.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, show, tied};
use crate::emulator::{self, Emulator};
use crate::{paths, setup};

const THING: &str = "demo-device";
const START_SECONDS_MAX: u64 = 20;

pub(crate) fn run() -> Result<()> {
    setup::tools()?;
    show(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "periwinkle",
    ]))?;
    let folder = paths::tools().join("demo");
    // The emulator forgets everything when it stops, so the device starts anew with it.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let cloud = Emulator::start(&folder)?;
    cloud.deploy(THING, &folder.join("credentials.json"))?;
    let port = console_port()?;
    let config = folder.join("periwinkle.toml");
    fs::write(&config, configuration(&cloud.endpoint, port, &folder))?;
    let mut agent = start(&config, port, &folder)?;
    let code = fs::read_to_string(folder.join("state/setup-code"))
        .context("the agent left no setup code")?;
    println!("{}", tour(port, code.trim(), &cloud.endpoint, &config));
    let status = agent.wait()?;
    bail!(
        "the agent ended by itself ({status}); its log is {}",
        folder.join("agent.log").display()
    )
}

/// The usual port if nobody has it.
fn console_port() -> Result<u16> {
    match std::net::TcpListener::bind("127.0.0.1:8080") {
        Ok(_) => Ok(8080),
        Err(_) => emulator::free_port(),
    }
}

fn configuration(endpoint: &str, port: u16, folder: &Path) -> String {
    format!(
        r#"# Written by `cargo xtask demo`.
[device]
id = "{THING}"
name = "Demo device"

[runtime]
state = "{}"

[web]
listen = ["http://127.0.0.1:{port}"]

[metrics]
row = "5 secs"

[sync]
enable = true
endpoint = "{endpoint}"
region = "us-east-1"
table = "periwinkle"
credentials = "file"
credentials_file = "{}"
"#,
        folder.join("state").display(),
        folder.join("credentials.json").display()
    )
}

/// Starts the agent in `folder` and waits until its console answers.
fn start(config: &Path, port: u16, folder: &Path) -> Result<Child> {
    let log = fs::File::create(folder.join("agent.log"))?;
    let mut agent = tied(&paths::built("release", "periwinkle"))
        .args(["run", "--config"])
        .arg(config)
        .current_dir(folder)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the agent")?;
    let deadline = Instant::now() + Duration::from_secs(START_SECONDS_MAX);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = agent.try_wait()?;
        if ended.is_some() || Instant::now() > deadline {
            let log = fs::read_to_string(folder.join("agent.log"))?;
            bail!("the agent does not answer; its log:\n{log}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(agent)
}

fn tour(port: u16, code: &str, endpoint: &str, config: &Path) -> String {
    let judge = format!(
        "{} {} --endpoint {endpoint}",
        paths::below_root(&paths::judges_bin("python")),
        paths::below_root(&paths::assets().join("judge.py"))
    );
    let agent = paths::below_root(&paths::built("release", "periwinkle"));
    let config = paths::below_root(config);
    format!(
        r#"
  A device and its cloud are running on this machine.

    console     http://127.0.0.1:{port}
    setup code  {code}

  Two minutes, with a second terminal at the root of the repository:

    1. Open the console, enter the code, choose a name and a password. The charts are this machine.
    2. Under "Data", add a Setting with the id `greeting` and the value `hello`. Ask the cloud for it:

       {judge} get 'dev#{THING}#rw' 'Setting#greeting'

    3. Now change it in the cloud, as any program may, and watch the open page:

       {judge} update 'dev#{THING}#rw' 'Setting#greeting' value='hello from the cloud'

    4. The rows of measurements, one every few seconds:

       {judge} query "dev#{THING}#up#$(date -u +%Y-%m)"

    5. What the console shows, in the terminal:

       {agent} status --config {config}

  Ctrl-C ends it all."#
    )
}
