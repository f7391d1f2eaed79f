//! A full disk, and a limit on the size of files: writes are refused with an error, reads and the
//! console go on, and when there is room again so do writes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::agent::Home;
use crate::eventually::eventually;

/// A file system of its own, in memory, unmounted at the end.
pub struct Mount(PathBuf);

impl Mount {
    pub fn new(path: PathBuf, bytes: &str) -> Mount {
        std::fs::create_dir_all(&path).expect("it is ours");
        mount(
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={bytes},mode=0700"),
                "tmpfs",
            ],
            &path,
        );
        Mount(path)
    }

    pub fn resize(&self, bytes: &str) {
        mount(&["-o", &format!("remount,size={bytes}")], &self.0);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The agent that used it was killed first; a mount left behind harms nobody.
        let _ = as_root("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], path: &Path) {
    let status = as_root("mount")
        .args(arguments)
        .arg(path)
        .status()
        .expect("mount runs");
    assert!(
        status.success(),
        "mounting needs root, or sudo without a password"
    );
}

fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("-n").arg(program);
    command
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_and_recovers() {
    let home = Home::with("[metrics]\nenable = false\n");
    let mount = Mount::new(home.state(), "10m");
    let agent = home.start();
    let owner = agent.owner();
    let big = json!({"value": "x".repeat(200_000)});
    let put = |n: usize| owner.json("PUT", &format!("/api/v1/data/Setting/big{n}"), &big);
    let refused = (0..200)
        .map(|n| (n, put(n)))
        .find(|(_, answer)| answer.status != 200)
        .map(|(n, answer)| (n, answer.expect(507)))
        .expect("ten megabytes are full some time");
    let (full_at, answer) = refused;
    assert!(full_at > 5, "only {full_at} rows fitted");
    assert_eq!(answer.json()["kind"], "full");
    // Down to the last bytes, so that not even a session's row has room.
    for (size, name) in [(2000, "small"), (1, "tiny")] {
        let value = json!({"value": "x".repeat(size)});
        let put = |n: usize| owner.json("PUT", &format!("/api/v1/data/Setting/{name}{n}"), &value);
        assert!(
            (0..2000).any(|n| put(n).status == 507),
            "{name} rows fit for ever"
        );
    }

    for n in 0..full_at {
        owner
            .get(&format!("/api/v1/data/Setting/big{n}"))
            .expect(200);
    }
    owner
        .get(&format!("/api/v1/data/Setting/big{full_at}"))
        .expect(404);
    owner.get("/api/v1/session").expect(200);
    agent.login().get("/api/v1/status").expect(200);
    put(full_at).expect(507);

    mount.resize("64m");
    put(full_at).expect(200);
    let agent = agent.kill().start();
    let owner = agent.login();
    for n in 0..=full_at {
        owner
            .get(&format!("/api/v1/data/Setting/big{n}"))
            .expect(200);
    }
    drop(agent);
    drop(mount);
}

/// Sets how large a file the process may write from now on.
pub fn limit_file_size(pid: u32, bytes: &str) {
    let status = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={bytes}")])
        .status();
    assert!(status.expect("prlimit runs").success());
}

#[test]
fn a_file_size_limit_is_a_full_disk_and_not_the_end_of_the_process() {
    let agent = Home::with("[metrics]\nenable = false\n").start();
    let owner = agent.owner();
    let put = |name: &str| {
        let value = json!({"value": "x".repeat(2000)});
        owner.json("PUT", &format!("/api/v1/data/Setting/{name}"), &value)
    };
    put("before").expect(200);

    limit_file_size(agent.pid(), "1024:unlimited");
    let first = put("first").expect(500);
    assert_eq!(first.json()["kind"], "disk");
    assert!(first.text().contains("File too large"), "{}", first.text());
    // The storage took a failed write; opened again, it knows that there is no room.
    let refused = eventually("writes are refused as by a full disk", || {
        Some(put("later")).filter(|answer| answer.status == 507)
    });
    assert_eq!(refused.json()["kind"], "full");
    let state = |name: &str| agent.status()["db"][name].take();
    assert_eq!(
        (state("failure"), state("disk_full")),
        (json!(null), json!(true))
    );
    owner.get("/api/v1/data/Setting/before").expect(200);
    owner.get("/api/v1/data/Setting/later").expect(404);

    limit_file_size(agent.pid(), "unlimited:unlimited");
    put("later").expect(200);
    assert_eq!(state("disk_full"), json!(false));
    let agent = agent.kill().start();
    let owner = agent.login();
    for name in ["before", "later"] {
        owner
            .get(&format!("/api/v1/data/Setting/{name}"))
            .expect(200);
    }
}

#[test]
fn under_a_small_file_size_limit_the_log_has_small_segments() {
    let home = Home::with("[metrics]\nenable = false\n");
    let mut command = Command::new("prlimit");
    command.arg("--fsize=300000").arg("--");
    let agent = home.start_under(command);
    let owner = agent.owner();
    let value = json!({"value": "x".repeat(20_000)});
    for n in 0..100 {
        let path = format!("/api/v1/data/Setting/row{n}");
        owner.json("PUT", &path, &value).expect(200);
    }
    let status = agent.status();
    assert!(status["db"]["bytes"].as_u64() > Some(2_000_000), "{status}");
    assert!(status["db"]["segments"].as_u64() > Some(6), "{status}");
}
