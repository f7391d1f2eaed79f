//! A link that fails in silence, or loudly, in a network of its own made of a network namespace and
//! its packet filter.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use super::broker::{Mosquitto, Setup};
use crate::eventually::eventually;

/// A namespace that lives as long as the process in it.
struct Network {
    keeper: Child,
}

impl Network {
    fn new() -> Network {
        let mut command = Command::new("unshare");
        command.arg("--net");
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            command.arg("--map-root-user");
        }
        command.args(["sh", "-c", "ip link set lo up && echo up && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(keeper.stdout.as_mut().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "namespaces are not permitted here");
        Network { keeper }
    }

    /// What to put before a program for it to run in there.
    fn prefix(&self) -> Vec<String> {
        let mut words = vec!["nsenter".to_owned(), "--net".to_owned()];
        if fs::metadata("/proc/self").unwrap().uid() != 0 {
            words.extend(["--user", "--preserve-credentials"].map(str::to_owned));
        }
        words.extend(["--target".to_owned(), self.keeper.id().to_string()]);
        words
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let prefix = self.prefix();
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(program).args(words);
        command
    }

    #[track_caller]
    fn run(&self, program: &str, words: &[&str]) -> String {
        let output = self.command(program, words).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {words:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// `iptables` on everything that comes in; on the loopback that is both directions.
    fn filter(&self, words: &str) {
        let mut all = vec!["-w"];
        all.extend(words.split(' '));
        self.run("iptables", &all);
    }

    fn broker(&self) -> Mosquitto {
        Mosquitto::new(Setup {
            prefix: self.prefix(),
            ..Setup::default()
        })
    }

    /// The port at the client's end of its connection with the broker.
    fn client_port(&self, broker: &Mosquitto) -> u16 {
        let ours = format!("dport = :{}", broker.port);
        let words = ["-Htn", "state", "established", &ours];
        eventually("a connection", || {
            let text = self.run("ss", &words);
            let local = text.split_whitespace().nth(2)?;
            local.rsplit_once(':')?.1.parse().ok()
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// `periwinkle mqtt` in the network.
fn periwinkle(network: &Network, broker: &Mosquitto, words: &[&str]) -> Command {
    let port = broker.port.to_string();
    let verb = words[0];
    let mut all = vec!["mqtt", verb, "-p", &port];
    all.extend(&words[1..]);
    network.command(env!("CARGO_BIN_EXE_periwinkle"), &all)
}

/// Whoever only waits for messages hears nothing of a connection whose packets vanish: the keep
/// alive has to notice.
#[test]
fn a_connection_whose_packets_vanish_is_noticed_and_replaced() {
    let network = Network::new();
    let broker = network.broker();
    let words = [
        "sub", "-t", "a", "-q", "1", "-i", "me", "-c", "-k", "1", "-C", "2",
    ];
    let mut command = periwinkle(&network, &broker, &words);
    let mut sub = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    let client_port = network.client_port(&broker);
    let publish = |text: &str| {
        let port = broker.port.to_string();
        network.run(
            "mosquitto_pub",
            &["-p", &port, "-t", "a", "-m", text, "-q", "1", "-r"],
        );
    };
    publish("before");
    assert_eq!(lines.next().unwrap().unwrap(), "before");
    network.filter(&format!("-A INPUT -p tcp --sport {client_port} -j DROP"));
    network.filter(&format!("-A INPUT -p tcp --dport {client_port} -j DROP"));
    publish("after");
    assert_eq!(lines.next().unwrap().unwrap(), "after");
    let output = sub.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("the connection is lost: nothing was heard of the broker"),
        "{told}"
    );
}

#[test]
fn a_connection_that_is_reset_again_and_again_loses_no_line() {
    const LINES: usize = 2000;
    let network = Network::new();
    let broker = network.broker();
    let port = broker.port.to_string();
    let collector = [
        "-p",
        &port,
        "-i",
        "collector",
        "-c",
        "-q",
        "1",
        "-t",
        "line",
    ];
    network.run("mosquitto_sub", &[&collector[..], &["-E"]].concat());
    let words = ["pub", "-t", "line", "-l", "-q", "1", "--pause-max", "0.2"];
    let mut command = periwinkle(&network, &broker, &words);
    let mut publisher = command
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = publisher.stdin.take().unwrap();
    let rule = format!("INPUT -p tcp --dport {port} -j REJECT --reject-with tcp-reset");
    for turn in 0..4 {
        for number in turn * LINES / 4..(turn + 1) * LINES / 4 {
            writeln!(input, "{number}").unwrap();
        }
        let before = network.client_port(&broker);
        network.filter(&format!("-A {rule}"));
        writeln!(input, "cut {turn}").unwrap();
        eventually("the connection is gone", || {
            let left = network.run("ss", &["-Htn", "state", "established"]);
            (!left.contains(&format!(":{before} "))).then_some(())
        });
        network.filter(&format!("-D {rule}"));
    }
    drop(input);
    let output = publisher.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let words = [&collector[..], &["-W", "2"]].concat();
    let output = network.command("mosquitto_sub", &words).output().unwrap();
    let came = String::from_utf8(output.stdout).unwrap();
    let mut numbers: Vec<usize> = came.lines().filter_map(|line| line.parse().ok()).collect();
    assert!(numbers.len() >= LINES, "{} of {LINES}", numbers.len());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (0..LINES).collect::<Vec<_>>());
    for turn in 0..4 {
        assert!(
            came.contains(&format!("cut {turn}\n")),
            "the line of cut {turn}"
        );
    }
}
