//! Starting, stopping, and what is said when something is wrong.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::agent::{Home, signal};
use crate::eventually::eventually;

#[test]
fn a_second_agent_is_refused_with_the_pid_of_the_first() {
    let agent = Home::new().start();
    let output = agent.home().run(&["run"]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&format!("process {}", agent.pid())), "{text}");
}

#[test]
fn an_orderly_stop_is_quick_and_keeps_relaxed_writes() {
    let agent = Home::with("[db]\nflush = \"1 hour\"\n").start();
    let owner = agent.owner();
    owner
        .post(
            "/api/v1/data/Setting",
            &json!({"id": "kept", "value": "yes"}),
        )
        .expect(201);
    let start = Instant::now();
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    let agent = home.start();
    let setting = agent
        .login()
        .get("/api/v1/data/Setting/kept")
        .expect(200)
        .json();
    assert_eq!(setting["value"], "yes");
}

#[test]
fn an_agent_under_nohup_outlives_its_terminal() {
    let agent = Home::new().start_under(Command::new("nohup"));
    signal(agent.pid(), "HUP");
    assert_eq!(agent.client().get("/api/v1/status").status, 200);
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    let log = fs::read_to_string(home.path().join("log")).unwrap();
    assert!(log.contains("SIGTERM") && !log.contains("SIGHUP"), "{log}");
}

#[test]
fn a_stop_does_not_wait_for_a_live_listener() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let mut events = owner.events("change", "changes");
    let body = json!({"value": "1"});
    owner.json("PUT", "/api/v1/data/Setting/a", &body);
    assert!(events.next().is_some());
    let (_, code) = agent.stop();
    assert_eq!(code, Some(0));
}

#[test]
fn a_mistake_in_the_configuration_names_file_line_and_the_nearest_key() {
    let home = Home::with("[metrics]\nintervall = \"1 s\"\n");
    for verb in ["run", "check"] {
        let output = home.run(&[verb]);
        assert_eq!(output.status.code(), Some(2), "{verb}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("periwinkle.toml:2"), "{text}");
        assert!(text.contains("metrics.interval"), "{text}");
    }
    assert!(
        !home.state().exists(),
        "a refused start leaves nothing behind"
    );
}

#[test]
fn check_shows_each_value_with_its_origin() {
    let home = Home::with("[db]\nflush = \"2 s\"\n[profile.lab.db]\nflush = \"7 s\"\n")
        .env("PERIWINKLE_WEB__IDLE_TIMEOUT", "5 mins");
    let output = home.run(&["--profile", "lab", "check"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |key: &str| {
        text.lines()
            .find(|line| line.contains(key))
            .unwrap_or_default()
    };
    assert!(
        line("flush").contains("7 s") && line("flush").contains("periwinkle.toml:4"),
        "{text}"
    );
    let variable = "PERIWINKLE_WEB__IDLE_TIMEOUT";
    assert!(line("idle_timeout").contains(variable), "{text}");
}

#[test]
fn a_broken_schema_is_refused_with_its_place() {
    let home = Home::with("[db]\nschema = \"schema.json5\"\n");
    fs::write(
        home.path().join("schema.json5"),
        "{format: 'onetable:1.1.0', models: {",
    )
    .expect("ours");
    let output = home.run(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("schema.json5"), "{text}");
}

#[test]
fn rows_of_another_device_are_warned_of_at_the_start() {
    let home = Home::with("[metrics]\nenable = false\n");
    let mut home = home.env("PERIWINKLE_DEVICE__ID", "two");
    let put = ["db", "put", "Setting", "a", "value=1"];
    for (id, warned) in [("two", false), ("one", true)] {
        let device = format!("device.id={id}");
        let made = home.run(&[&put[..], &["--set", &device]].concat());
        assert!(made.status.success(), "{made:?}");
        let agent = home.start();
        let log = agent.log();
        let told = log.contains("rows of another device lie in the database");
        assert_eq!(told && log.contains("other=\"one\""), warned, "{log}");
        home = agent.stop().0;
    }
}

#[test]
fn a_damaged_database_is_named_and_left_as_it_is() {
    let agent = Home::new().start();
    let owner = agent.owner();
    for n in 0..50 {
        let setting = json!({"id": format!("s{n}"), "value": "x".repeat(100)});
        owner.post("/api/v1/data/Setting", &setting).expect(201);
    }
    let (home, _) = agent.stop();
    let segment = first_segment(&home);
    let mut bytes = fs::read(&segment).expect("it is there");
    bytes[300] ^= 1;
    fs::write(&segment, &bytes).expect("it is ours");
    let output = home.run(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let name = segment
        .file_name()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    assert!(text.contains(&name), "{text}");
    assert_eq!(
        fs::read(&segment).expect("it is there"),
        bytes,
        "nothing was overwritten"
    );
}

fn first_segment(home: &Home) -> std::path::PathBuf {
    let folder = home.state().join("db");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the database is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    files.remove(0)
}

#[test]
fn status_without_an_agent_says_how_to_start_one() {
    let home = Home::new();
    let output = home.run(&["status"]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("periwinkle run"), "{text}");
}

#[test]
fn the_control_socket_serves_the_owner_of_the_process_alone() {
    use std::os::unix::fs::PermissionsExt;
    let agent = Home::new().start();
    let socket = agent.home().state().join("control.sock");
    let mode = fs::metadata(&socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = agent.status();
    assert_eq!(status["state"], "running");
    let services = status["services"].as_array().expect("a list").clone();
    eventually("every service runs", || {
        let status = agent.status();
        let all = status["services"]
            .as_array()?
            .iter()
            .all(|one| one["state"] == "running");
        all.then_some(())
    });
    assert!(
        services.iter().any(|one| one["name"] == "web"),
        "{services:?}"
    );
}

#[test]
fn users_are_managed_from_the_command_line() {
    let agent = Home::new().start();
    let home = agent.home();
    let add = home
        .command(&["user", "add", "ruth", "--role", "owner", "--password-stdin"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            use std::io::Write;
            let mut input = child.stdin.take().expect("it is piped");
            input.write_all(crate::agent::PASSWORD.as_bytes())?;
            drop(input);
            child.wait_with_output()
        })
        .expect("the binary runs");
    assert_eq!(add.status.code(), Some(0));
    let list = home.run(&["user", "list", "--json"]);
    let users: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert_eq!(users["users"][0]["name"], "ruth");
    let setup = agent.client().get("/api/v1/setup").expect(200).json();
    assert_eq!(
        setup["needed"], false,
        "an owner from the command line is an owner"
    );
}
