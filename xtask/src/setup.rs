//! Installs what the other verbs need and the machine lacks. Each step leaves a stamp with what it
//! was made from, so that a second run only compares stamps.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{is_installed, output, program};
use crate::{console, paths};

/// A program, or a file by its whole path, and the Debian package that brings it.
struct Package {
    program: &'static str,
    name: &'static str,
    purpose: &'static str,
}

const fn package(program: &'static str, name: &'static str, purpose: &'static str) -> Package {
    Package {
        program,
        name,
        purpose,
    }
}

const NGINX: Package = package(
    "nginx",
    "nginx-light",
    "a server to try the client against, and a peer in the benchmarks",
);

const TEST_PACKAGES: &[Package] = &[
    package("chromium", "chromium", "the browser tests"),
    package(
        "strace",
        "strace",
        "disk faults and kills at a chosen system call",
    ),
    package("faketime", "faketime", "devices whose clock is wrong"),
    package("mosquitto", "mosquitto", "the MQTT broker of the tests"),
    package("mosquitto_sub", "mosquitto-clients", "its clients"),
    package("iptables", "iptables", "networks that drop and reset"),
    package("ip", "iproute2", "network namespaces for them"),
    package("python3", "python3", "the AWS emulator and the judges"),
    package("pip3", "python3-pip", "their packages"),
    package("node", "nodejs", "the console and its judges"),
    package("npm", "npm", "their packages"),
    NGINX,
    package("tinyproxy", "tinyproxy", "a proxy of HTTP"),
    package("microsocks", "microsocks", "a proxy of SOCKS"),
];

const BENCH_PACKAGES: &[Package] = &[
    NGINX,
    package("curl", "curl", "the peer in the benchmark of the client"),
    package(
        "taskset",
        "util-linux",
        "one core for the server, the other for the load",
    ),
    package(
        "/usr/include/mosquitto.h",
        "libmosquitto-dev",
        "a peer in the MQTT benchmark",
    ),
    package("mosquitto", "mosquitto", "the broker of the MQTT benchmark"),
    package("valgrind", "valgrind", "instructions, counted"),
];

/// Everything the tests and the demo use.
pub(crate) fn tools() -> Result<()> {
    let started = Instant::now();
    fs::create_dir_all(paths::tools())?;
    // Debian's packages come through one lock and a slow unpacker, the others through the network.
    install_first(TEST_PACKAGES, &["python3", "pip3", "node", "npm"])?;
    thread::scope(|scope| {
        let system = scope.spawn(|| install(TEST_PACKAGES));
        let rest = emulator()
            .and_then(|()| judges())
            .and_then(|()| node())
            .and_then(|()| console());
        system.join().expect("installing does not panic").and(rest)
    })?;
    println!(
        "setup: ready after {:.1} s",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// What only the benchmarks use.
pub(crate) fn bench_tools() -> Result<()> {
    install(BENCH_PACKAGES)
}

/// The console's packages, beside its sources as its own tools expect.
pub(crate) fn console() -> Result<()> {
    console::ensure_present()?;
    let lock = paths::console().join("package-lock.json");
    let made_from =
        fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    step(
        "console",
        &made_from,
        &paths::console().join("node_modules"),
        "npm packages of console/",
        || {
            // The browser driver would otherwise fetch a browser of its own.
            output(&mut console::npm(&[
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
            ]))
            .map(drop)
        },
    )
}

fn emulator() -> Result<()> {
    python("emulator", "the AWS emulator (ministack)")
}

fn judges() -> Result<()> {
    python(
        "judges",
        "the Python judges (boto3, moto, paho-mqtt, pytest)",
    )
}

/// A Python environment from the list of exact versions `xtask/assets/<name>.txt`.
fn python(name: &str, what: &str) -> Result<()> {
    let list = paths::assets().join(format!("{name}.txt"));
    let made_from = fs::read_to_string(&list)?;
    let folder = paths::tools().join(format!("venv-{name}"));
    step(name, &made_from, &folder, what, || {
        // The environment goes without a pip of its own: copying it takes longer than all the rest.
        output(
            program("python3")
                .args(["-m", "venv", "--clear", "--without-pip"])
                .arg(&folder),
        )?;
        let mut pip = program("python3");
        pip.args(["-m", "pip", "--python"])
            .arg(folder.join("bin/python"));
        pip.args([
            "install",
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
        ]);
        output(pip.arg("--requirement").arg(&list)).map(drop)
    })
}

fn node() -> Result<()> {
    let folder = paths::tools().join("node");
    let lock = paths::assets().join("package-lock.json");
    let made_from = fs::read_to_string(&lock)?;
    step(
        "node",
        &made_from,
        &folder.join("node_modules"),
        "the JavaScript judges (dynamodb-onetable)",
        || {
            fs::create_dir_all(&folder)?;
            for name in ["package.json", "package-lock.json"] {
                fs::copy(paths::assets().join(name), folder.join(name))?;
            }
            let mut npm = program("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(&folder);
            output(&mut npm).map(drop)
        },
    )
}

/// Does the work unless the stamp says that it was done from the same input and the result is
/// there.
fn step(
    name: &str,
    made_from: &str,
    result: &Path,
    what: &str,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let stamp: PathBuf = paths::tools().join(format!("{name}.stamp"));
    if result.exists() && fs::read_to_string(&stamp).is_ok_and(|old| old == made_from) {
        return Ok(());
    }
    println!("setup: installing {what} in {}", paths::below_root(result));
    let started = Instant::now();
    fs::create_dir_all(paths::tools())?;
    work().with_context(|| format!("setup of {what}"))?;
    fs::write(&stamp, made_from)?;
    println!(
        "setup: {name} took {:.1} s",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// Those of the packages that other steps of the same setup run.
fn install_first(packages: &'static [Package], programs: &[&str]) -> Result<()> {
    let first: Vec<&Package> = packages
        .iter()
        .filter(|one| programs.contains(&one.program))
        .collect();
    install_missing(&first)
}

fn install(packages: &'static [Package]) -> Result<()> {
    install_missing(&packages.iter().collect::<Vec<_>>())
}

fn install_missing(packages: &[&Package]) -> Result<()> {
    let missing: Vec<&&Package> = packages
        .iter()
        .filter(|one| !is_installed(one.program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for one in &missing {
        println!(
            "setup: installing the system package {} for {}",
            one.name, one.purpose
        );
    }
    let names: Vec<&str> = missing.iter().map(|one| one.name).collect();
    if !is_installed("apt-get") {
        bail!(
            "this system has no apt-get: please install {} by hand",
            names.join(", ")
        );
    }
    let started = Instant::now();
    output(&mut apt_get(&["update", "-qq"])?)?;
    let mut command = apt_get(&["install", "-qq", "--yes", "--no-install-recommends"])?;
    output(command.args(&names))?;
    for one in missing {
        ensure!(
            is_installed(one.program),
            "the package {} brought no {}",
            one.name,
            one.program
        );
    }
    println!(
        "setup: system packages took {:.1} s",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// As root, or through sudo, which asks for the password on the terminal if it must.
fn apt_get(arguments: &[&str]) -> Result<Command> {
    let is_root = fs::metadata("/proc/self")?.uid() == 0;
    ensure!(
        is_root || is_installed("sudo"),
        "installing system packages needs root or sudo"
    );
    let mut command = program(if is_root { "env" } else { "sudo" });
    // RUNLEVEL keeps Debian from starting the servers that it installs.
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"])
        .args(arguments);
    Ok(command)
}
