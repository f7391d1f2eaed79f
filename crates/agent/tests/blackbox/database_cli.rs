//! `periwinkle db`, on the files and through the running agent.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::agent::{Agent, Home};

mod care;
mod traced;
mod whole_files;

/// Runs `periwinkle db WORDS`.
fn db(home: &Home, words: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("db").chain(words.iter().copied()).collect();
    home.run(&words)
}

/// What a command prints that ends well.
#[track_caller]
fn good(home: &Home, words: &[&str]) -> String {
    let output = db(home, words);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {out}{err}");
    out
}

/// What a command complains of, and its exit code.
#[track_caller]
fn bad(home: &Home, words: &[&str], code: i32) -> String {
    let output = db(home, words);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {out}{err}");
    err
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}

fn input(home: &Home, words: &[&str], text: &str) -> Output {
    let words: Vec<&str> = std::iter::once("db").chain(words.iter().copied()).collect();
    let mut child = home
        .command(&words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn quiet() -> Home {
    Home::with("[metrics]\nenable = false\n")
}

/// The same steps give the same answers, whoever serves them.
fn work_with_items(home: &Home) {
    let made = json(&good(
        home,
        &[
            "put",
            "Setting",
            "greeting",
            "value=hello",
            "note=n",
            "--json",
        ],
    ));
    assert_eq!(
        (&made["value"], &made["note"]),
        (&json!("hello"), &json!("n"))
    );
    let got = json(&good(home, &["get", "Setting", "id=greeting", "--json"]));
    assert_eq!(got, made);
    good(
        home,
        &["update", "Setting", "greeting", "value=hi", "note:=null"],
    );
    let shown = good(home, &["get", "Setting", "greeting"]);
    assert!(
        shown.starts_with("id        greeting\nvalue     hi\n"),
        "{shown}"
    );

    good(
        home,
        &[
            "put",
            "Metric",
            "2026-11",
            "2026-11-22",
            "cpu_avg=12.5000000000000000001",
        ],
    );
    let metric = good(home, &["get", "Metric", "2026-11", "2026-11-22", "--json"]);
    assert!(
        metric.contains("\"cpu_avg\":12.5000000000000000001,"),
        "{metric}"
    );

    for id in ["a", "b", "c/d e"] {
        good(home, &["put", "Setting", id, "value=東京"]);
    }
    let listed = good(home, &["find", "Setting", "--json", "--limit", "3"]);
    let ids: Vec<Value> = listed
        .lines()
        .map(|line| json(line)["id"].clone())
        .collect();
    assert_eq!(ids, ["a", "b", "c/d e"]);
    let table = good(home, &["find", "Setting", "value=hi"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("id        value  created"), "{table}");
    assert!(lines[1].starts_with("greeting  hi     20"), "{table}");
    assert_eq!(lines.len(), 2);
    let reversed = good(home, &["find", "Setting", "--all", "--reverse", "--json"]);
    assert_eq!(reversed.lines().count(), 4);
    assert_eq!(
        json(reversed.lines().next().unwrap_or_default())["id"],
        "greeting"
    );

    assert_eq!(good(home, &["remove", "Setting", "c/d e"]), "removed\n");
    let gone = bad(home, &["remove", "Setting", "c/d e"], 3);
    assert!(
        gone.starts_with("There is no Setting with this key (c/d e)"),
        "{gone}"
    );
    let stats = json(&good(home, &["stats", "--json"]));
    assert_eq!(stats["models"]["Setting"], 3);
    let models = good(home, &["models"]);
    let setting = models.lines().find(|line| line.starts_with("Setting"));
    let words: Vec<&str> = setting.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words, ["Setting", "3", "both", "id"]);
}

#[test]
fn items_are_worked_with_on_the_files() {
    let home = quiet();
    work_with_items(&home);
    assert!(!home.state().join("control.sock").exists());
}

#[test]
fn items_are_worked_with_through_the_running_agent() {
    let agent = quiet().start();
    work_with_items(agent.home());
    assert_eq!(agent.status()["state"], "running");
}

#[test]
fn a_mistake_says_what_to_do_and_has_its_exit_code() {
    let home = quiet();
    let absent = bad(&home, &["models"], 2);
    assert!(absent.contains("there is no database in"), "{absent}");
    assert!(!home.state().exists(), "reading makes nothing");
    good(&home, &["put", "Setting", "a", "value=1"]);
    for (words, code, part) in [
        (&["get", "Setting"][..], 64, "a Setting is named by id"),
        (&["get", "Setting", "a", "b"], 64, "2 are given"),
        (
            &["get", "Setting", "zz"],
            3,
            "There is no Setting with this key (zz)",
        ),
        (&["get", "Seting", "a"], 3, "did you mean \"Setting\"?"),
        (
            &["get", "User", "ada"],
            3,
            "User is the agent's own and cannot",
        ),
        (
            &["put", "Setting", "a", "valu=1"],
            3,
            "did you mean \"value\"?",
        ),
        (
            &["put", "Setting", "a", "value:={"],
            64,
            "value:= takes JSON",
        ),
        (&["put", "Setting", "a", "--new"], 3, "already (a)"),
        (
            &["put", "Metric", "2026-11", "x", "load1=y"],
            3,
            "Metric.load1 is the text \"y\"; expected a number",
        ),
        (&["update", "Setting", "a"], 64, "nothing to change"),
        (&["find", "Setting", "a"], 64, "such as id=a"),
        (&["find", "Setting", "--limit", "0"], 64, "from 1"),
        (&["find", "Setting", "--next", "xyz"], 3, "token"),
        (&["findd"], 64, "unrecognized subcommand"),
    ] {
        let words_told = bad(&home, words, code);
        assert!(words_told.contains(part), "{words:?}: {words_told}");
    }
}

#[test]
fn an_export_is_imported_again_here_and_there() {
    let home = quiet();
    for n in 0..120 {
        let id = format!("s{n:03}");
        assert!(
            input(
                &home,
                &["import", "-", "--model", "Setting"],
                &format!("{{\"id\":\"{id}\",\"value\":\"v{n}\"}}")
            )
            .status
            .success()
        );
        if n == 3 {
            break;
        }
    }
    let many: Vec<Value> = (4..3000)
        .map(|n| json!({"id": format!("s{n:04}"), "value": "x".repeat(200), "note": "ü"}))
        .collect();
    let file = home.path().join("many.json");
    fs::write(&file, serde_json::to_string_pretty(&many).expect("JSON")).expect("ours");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(
        good(&home, &["import", path, "--model", "Setting", "--dry-run"]),
        "2,996 items would be created\n"
    );
    assert_eq!(
        good(&home, &["import", path, "--model", "Setting"]),
        "2,996 items created\n"
    );
    let again = bad(&home, &["import", path, "--model", "Setting"], 3);
    assert!(
        again.contains(
            "many.json: line 2, column 3: there is a Setting with this key already (s0004)"
        ),
        "{again}"
    );
    assert!(
        again.ends_with("and 2,896 more\nnothing was written\n"),
        "{again}"
    );
    let skipped = good(
        &home,
        &[
            "import",
            path,
            "--model",
            "Setting",
            "--on-conflict",
            "skip",
            "--json",
        ],
    );
    assert_eq!(
        json(&skipped),
        json!({"created": 0, "replaced": 0, "skipped": 2996, "dry_run": false})
    );

    for form in ["properties", "dynamodb"] {
        let file = home.path().join(form);
        let path = file.to_str().expect("UTF-8");
        let told = good(&home, &["export", "--form", form, "--output", path]);
        assert!(told.starts_with("3,000 items in "), "{told}");
        assert_eq!(
            fs::metadata(&file).expect("there").permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            good(&home, &["export", "Setting", "--form", form]),
            fs::read_to_string(&file).expect("ours")
        );
        assert_eq!(
            good(&home, &["import", path, "--on-conflict", "replace"]),
            "0 items created, 3,000 replaced\n"
        );
    }

    // On another device, through its agent.
    let agent = quiet().start();
    let file = home.path().join("properties");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(
        good(agent.home(), &["import", path]),
        "3,000 items created\n"
    );
    assert_eq!(
        good(agent.home(), &["export"]),
        fs::read_to_string(&file).expect("ours")
    );
}

#[test]
fn every_bad_item_of_an_import_is_named_and_nothing_is_written() {
    let home = quiet();
    good(&home, &["put", "Setting", "there", "value=1"]);
    let file = home.path().join("items");
    let text = concat!(
        "{\"model\":\"Setting\",\"item\":{\"id\":\"good\"}}\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"x\",\"valu\":\"1\"}}\n",
        "\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"y\",}}\n",
        "{\"id\":\"plain\"}\n",
        "  {\"model\":\"Metric\",\"item\":{\"at\":\"z\",\"month\":\"november\"}}\n",
        "{\"model\":\"User\",\"item\":{\"name\":\"eve\",\"role\":\"owner\",\"password\":\"x\"}}\n",
        "{\"model\":\"Setting\",\"item\":{\"id\":\"there\"}}\n",
    );
    fs::write(&file, text).expect("ours");
    let path = file.to_str().expect("UTF-8");
    let told = bad(&home, &["import", path], 3);
    let expected = [
        "items: line 2, column 1: Setting has no field \"valu\"; did you mean \"value\"?",
        "items: line 4, column 37: expected a name in double quotes",
        "items: line 5, column 1: the object is neither",
        "items: line 6, column 3: Metric.month cannot be the text \"november\"",
        "items: line 7, column 1: User is the agent's own and cannot be imported",
        "items: line 8, column 1: there is a Setting with this key already (there)",
    ];
    for (line, part) in told.lines().zip(expected) {
        assert!(line.contains(part), "{part}\n{told}");
    }
    assert_eq!(
        good(&home, &["find", "Setting", "--json"]).lines().count(),
        1
    );
    let missing = bad(&home, &["import", "nowhere"], 2);
    assert!(missing.starts_with("nowhere cannot be read"), "{missing}");
}

#[test]
fn a_model_that_is_parked_is_shown_as_such_and_the_others_are_exported() {
    let home = Home::with("[db]\nschema = \"rooms.json5\"\n[metrics]\nenable = false\n");
    let schema = |version: &str| {
        let text = format!(
            "{{ format: 'onetable:1.1.0', version: '{version}',
               indexes: {{ primary: {{ hash: 'pk', sort: 'sk' }} }},
               models: {{ Room: {{
                   pk: {{ type: 'string', value: 'rooms' }},
                   sk: {{ type: 'string', value: 'Room#${{id}}' }},
                   id: {{ type: 'string', required: true }} }} }} }}"
        );
        fs::write(home.path().join("rooms.json5"), text).expect("ours");
    };
    schema("2.0.0");
    good(&home, &["put", "Room", "hall"]);
    good(&home, &["put", "Setting", "a", "value=1"]);
    schema("1.0.0");
    let listed = good(&home, &["models"]);
    assert!(
        listed.contains(
            "Room is parked: Room was written by version 2.0.0 of the schema, and this program knows \
             1.0.0: update it, or go back to the newer one"
        ),
        "{listed}"
    );
    assert!(good(&home, &["models", "Room"]).contains("Room is parked"));

    let file = home.path().join("all.jsonl");
    let path = file.to_str().expect("UTF-8");
    for words in [&["export"][..], &["export", "--output", path]] {
        let output = db(&home, words);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(3), "{out}{err}");
        assert!(err.starts_with("Room is not exported"), "{err}");
        let lines = match words.len() {
            1 => out,
            _ => fs::read_to_string(&file).expect("it is whole"),
        };
        assert!(lines.contains("{\"model\":\"Setting\""), "{lines}");
    }
    // Whoever asks for it is refused.
    bad(&home, &["export", "Room"], 3);
    good(&home, &["export", "Setting"]);
}

#[test]
fn what_comes_on_standard_input_is_written_up_to_the_first_bad_batch() {
    let home = quiet();
    let line = |n: u32| {
        format!(
            "{{\"id\":\"s{n:05}\",\"value\":\"{}\"}}\n",
            "x".repeat(1000)
        )
    };
    let mut text: String = (0..1000).map(line).collect();
    text.push_str("{\"id\":7}\n");
    let output = input(&home, &["import", "-", "--model", "Setting"], &text);
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(3), "{err}");
    assert!(
        err.starts_with("standard input: line 1001, column 1: Setting.id is the number 7"),
        "{err}"
    );
    let there = good(&home, &["find", "Setting", "--all", "--json"])
        .lines()
        .count();
    assert!(
        err.contains(&format!("{there} items before it written")),
        "{there}: {err}"
    );
    assert!((500..1000).contains(&there), "{there}");
}

#[test]
fn a_pipe_by_name_is_refused_unless_it_is_only_checked() {
    let home = quiet();
    let text = "{\"id\":\"a\"}\n";
    let words = ["import", "/dev/stdin", "--model", "Setting"];
    let output = input(&home, &words, text);
    let (_, err) = texts(&output);
    assert_eq!(
        (output.status.code(), err.as_str()),
        (
            Some(3),
            "/dev/stdin can be read only once, but an import checks all of a file before it writes \
             the first item\ngive - and the items on standard input, where each batch is checked \
             as it comes; or save them as a file\n"
        )
    );
    let checked = input(&home, &[&words[..], &["--dry-run"]].concat(), text);
    let (out, err) = texts(&checked);
    assert_eq!(out, "1 item would be created\n", "{err}");
    let folder = home.path().to_str().expect("UTF-8");
    let told = bad(&home, &["import", folder], 2);
    assert_eq!(
        told,
        format!("{folder} cannot be read: Is a directory (os error 21)\n")
    );
}

/// On the files, and through the running agent.
#[test]
fn the_one_item_of_a_model_is_named_without_a_key() {
    let home = Home::with("[db]\nschema = \"place.json5\"\n[metrics]\nenable = false\n");
    let schema = "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' } },
        models: {
            Place: {
                pk: { type: 'string', value: 'place' },
                sk: { type: 'string', value: 'Place' },
                street: { type: 'string' },
            },
            Day: {
                pk: { type: 'string', value: 'days' },
                sk: { type: 'string', value: 'Day#${at}' },
                at: { type: 'date', required: true },
            },
        },
    }";
    fs::write(home.path().join("place.json5"), schema).expect("ours");
    good(&home, &["put", "Place", "street=a", "--new"]);
    let work = |home: &Home| {
        good(home, &["remove", "Place"]);
        let absent = bad(home, &["get", "Place"], 3);
        assert!(
            absent.starts_with("There is no Place with this key; list"),
            "{absent}"
        );
        good(home, &["put", "Place", "street=a"]);
        good(home, &["update", "Place", "street=b"]);
        let found = good(home, &["get", "Place", "--json"]);
        assert_eq!(json(&found), json!({"street": "b"}));
        let one_too_many = bad(home, &["get", "Place", "x"], 64);
        assert!(
            one_too_many.contains("there is one item only"),
            "{one_too_many}"
        );
        // A time in a path is a text, whatever it was given as.
        let day = good(home, &["put", "Day", "at:=1795342913667", "--json"]);
        assert_eq!(json(&day), json!({"at": "2026-11-22T10:21:53.667Z"}));
        good(home, &["remove", "Day", "at:=1795342913667"]);
    };
    work(&home);
    work(home.start().home());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = quiet();
    let items: String = (0..2000)
        .map(|n| format!("{{\"id\":\"s{n}\",\"value\":\"{}\"}}\n", "x".repeat(200)))
        .collect();
    assert!(
        input(&home, &["import", "-", "--model", "Setting"], &items)
            .status
            .success()
    );
    for words in [
        &["db", "export"][..],
        &["db", "find", "Setting", "--all", "--json"],
    ] {
        let mut child = home
            .command(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(
            (output.status.code(), texts(&output).1),
            (Some(0), String::new()),
            "{words:?}"
        );
    }
}

#[test]
fn a_script_runs_in_the_shell_and_ends_at_the_first_failure() {
    let home = quiet();
    let script = "# a remark\nput Setting a 'value=one word' --json\n\nget Setting a --json\nexit\nget Setting b\n";
    let output = input(&home, &["shell"], script);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
    let lines: Vec<Value> = out.lines().map(json).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["value"], "one word");
    let output = input(
        &home,
        &["shell"],
        "get Setting a\nget Setting b\nremove Setting a\n",
    );
    let (_, err) = texts(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(err.starts_with("line 2: There is no Setting"), "{err}");
    good(&home, &["get", "Setting", "a"]);
    let output = input(&home, &["shell"], "put Setting 'a\n");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn an_agent_whose_socket_is_elsewhere_is_named_and_not_disturbed() {
    let agent = quiet().start();
    let elsewhere = agent.home().path().join("other.sock");
    let setting = format!("control.socket={}", elsewhere.display());
    let told = bad(
        agent.home(),
        &["--set", &setting, "put", "Setting", "a", "value=1"],
        3,
    );
    assert!(told.contains(&format!("process {}", agent.pid())), "{told}");
    assert!(told.contains("--state"), "{told}");
}

#[test]
fn a_damaged_database_is_named_with_the_way_on() {
    let home = quiet();
    let many: String = (0..300).map(|n| format!("{{\"id\":\"s{n}\"}}\n")).collect();
    for _ in 0..2 {
        assert!(
            input(
                &home,
                &[
                    "import",
                    "-",
                    "--model",
                    "Setting",
                    "--on-conflict",
                    "replace"
                ],
                &many
            )
            .status
            .success()
        );
    }
    let segment = home.state().join("db/00000001.log");
    let mut bytes = fs::read(&segment).expect("it is there");
    bytes[300] ^= 1;
    fs::write(&segment, &bytes).expect("ours");
    let told = bad(&home, &["find", "Setting"], 2);
    assert!(told.contains("00000001.log is damaged at byte"), "{told}");
    assert!(told.contains("periwinkle db salvage"), "{told}");
    assert_eq!(fs::read(&segment).expect("it is there"), bytes);
}

#[test]
fn root_leaves_the_files_to_their_owner() {
    let home = quiet();
    good(&home, &["put", "Setting", "a", "value=1"]);
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let nobody = 65534;
    for path in all_files(&home) {
        std::os::unix::fs::chown(path, Some(nobody), Some(nobody)).expect("root may");
    }
    let items: String = (0..200)
        .map(|n| format!("{{\"id\":\"s{n}\",\"value\":\"{}\"}}\n", "x".repeat(60_000)))
        .collect();
    assert!(
        input(&home, &["import", "-", "--model", "Setting"], &items)
            .status
            .success()
    );
    let files = all_files(&home);
    assert!(files.len() > 5, "more segments were made: {files:?}");
    for path in files {
        let owner = fs::metadata(&path).expect("there");
        assert_eq!(
            (owner.uid(), owner.gid()),
            (nobody, nobody),
            "{}",
            path.display()
        );
    }
}

fn all_files(home: &Home) -> Vec<PathBuf> {
    let mut files = vec![home.state()];
    let mut at = 0;
    while at < files.len() {
        if files[at].is_dir() {
            let inside = fs::read_dir(&files[at]).expect("it can be listed");
            let inside: Vec<PathBuf> = inside.map(|entry| entry.expect("there").path()).collect();
            files.extend(inside);
        }
        at += 1;
    }
    files
}

#[test]
fn only_the_owner_may_take_the_whole_database_or_put_one_in() {
    let agent = quiet().start();
    let stranger = agent.client();
    stranger.get("/api/v1/database").expect(401);
    stranger.get("/api/v1/database/export").expect(401);
    let owner = agent.owner();
    owner
        .post(
            "/api/v1/users",
            &json!({"name": "eddy", "password": "a long enough one", "role": "editor"}),
        )
        .expect(201);
    let editor = login(&agent, "eddy", "a long enough one");
    assert_eq!(
        editor.get("/api/v1/database").expect(200).json()["rows"].as_u64(),
        Some(4)
    );
    editor.get("/api/v1/database/export").expect(403);
    editor
        .post("/api/v1/database/import", &json!([]))
        .expect(403);
    let items = json!([{"model": "Setting", "item": {"id": "a"}}]);
    let imported = owner
        .post("/api/v1/database/import", &items)
        .expect(200)
        .json();
    assert_eq!(
        (&imported["created"], &imported["written"]),
        (&json!(1), &json!(true))
    );
    let export = owner.get("/api/v1/database/export").expect(200);
    assert_eq!(export.fields["content-type"], "application/x-ndjson");
    assert!(!export.text().contains("olga"), "{}", export.text());
    let plain = owner.send(
        "POST",
        "/api/v1/database/import",
        &[("content-type", "text/plain")],
        b"[]",
    );
    plain.expect(415);
    owner.get("/api/v1/database/export?model=User").expect(404);
    owner
        .get("/api/v1/database/export?modell=Setting")
        .expect(400);
    owner.get("/api/v1/database/export?form=xml").expect(400);
}

fn login(agent: &Agent, name: &str, password: &str) -> crate::client::Client {
    let mut client = agent.client();
    let answer = client
        .post(
            "/api/v1/session",
            &json!({"name": name, "password": password}),
        )
        .expect(200);
    client.keep_session(&answer);
    client
}

#[test]
fn conditions_filters_and_updates_are_expressions() {
    let home = quiet();
    for n in 1..=9 {
        let at = format!("2026-11-0{n}");
        good(
            &home,
            &["put", "Metric", "2026-11", &at, &format!("cpu_avg={n}0")],
        );
    }
    let ats = |words: &[&str]| -> Vec<String> {
        let all = [&["find", "Metric", "--json"], words].concat();
        let lines = good(&home, &all);
        let at = |line: &str| json(line)["at"].as_str().unwrap_or_default().to_owned();
        lines.lines().map(at).collect()
    };
    assert_eq!(
        ats(&["--filter", "cpu_avg > 75"]),
        ["2026-11-08", "2026-11-09"]
    );
    let given = [
        "--values",
        r#"{":least": 75}"#,
        "--names",
        r##"{"#c": "cpu_avg"}"##,
    ];
    assert_eq!(
        ats(&[&["--filter", "#c > :least"], &given[..]].concat()),
        ["2026-11-08", "2026-11-09"]
    );
    let november = [
        "month=2026-11",
        "--from",
        "2026-11-03",
        "--below",
        "2026-11-05",
    ];
    assert_eq!(ats(&november), ["2026-11-03", "2026-11-04"]);
    assert_eq!(
        good(
            &home,
            &["find", "Metric", "--count", "--filter", "cpu_avg < 30"]
        ),
        "2\n"
    );
    let parts = good(
        &home,
        &["find", "Metric", "--project", "at,cpu_avg", "--limit", "1"],
    );
    assert_eq!(parts, "at          cpu_avg\n2026-11-01       10\n");

    let item = ["Metric", "2026-11", "2026-11-01"];
    fn update<'a>(item: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
        [&["update"], item, more].concat()
    }
    good(
        &home,
        &update(
            &item,
            &[
                "--apply",
                "SET cpu_avg = cpu_avg + 5",
                "--if",
                "cpu_avg = 10",
            ],
        ),
    );
    let told = bad(
        &home,
        &update(&item, &["cpu_avg=1", "--if", "cpu_avg = 10"]),
        3,
    );
    assert!(told.starts_with("The condition does not hold"), "{told}");
    let told = bad(
        &home,
        &update(&item, &["cpu_avg=1", "--if", "cpu_avg >"]),
        3,
    );
    assert!(told.contains("expected"), "{told}");
    let told = bad(
        &home,
        &[&["remove"][..], &item, &["--if", "cpu_avg = 10"]].concat(),
        3,
    );
    assert!(told.starts_with("The condition does not hold"), "{told}");
    good(
        &home,
        &[&["remove"][..], &item, &["--if", "cpu_avg = 15"]].concat(),
    );
    let script = "find Metric where cpu_avg > 75 and begins_with(at, '2026-11-09')\n";
    let output = input(&home, &["shell"], script);
    let (out, err) = texts(&output);
    assert_eq!(out.lines().count(), 2, "{out}{err}");
}

#[test]
fn a_list_follows_an_index_of_the_schema() {
    let home = Home::with("[db]\nschema = \"rooms.json5\"\n[metrics]\nenable = false\n");
    let schema = "{
        version: '1.0.0',
        indexes: { primary: { hash: 'pk', sort: 'sk' }, by_floor: { hash: 'fpk', sort: 'area' } },
        models: { Room: {
            pk: { type: 'string', value: 'home#' },
            sk: { type: 'string', value: 'Room#${name}' },
            fpk: { type: 'string', value: 'floor#${floor}' },
            name: { type: 'string', required: true },
            floor: { type: 'number' },
            area: { type: 'number' },
        } },
    }";
    fs::write(home.path().join("rooms.json5"), schema).expect("ours");
    for (name, floor, area) in [
        ("attic", 2, 30),
        ("bath", 1, 8),
        ("hall", 1, 20),
        ("den", 1, 9),
    ] {
        let words = [format!("floor={floor}"), format!("area={area}")];
        good(&home, &["put", "Room", name, &words[0], &words[1]]);
    }
    let table = good(
        &home,
        &[
            "find",
            "Room",
            "floor=1",
            "--index",
            "by_floor",
            "--project",
            "name,area",
        ],
    );
    assert_eq!(table, "name  area\nbath     8\nden      9\nhall    20\n");
    let told = bad(&home, &["find", "Room", "--index", "by_flor"], 3);
    assert!(told.contains("no index \"by_flor\""), "{told}");
}

#[test]
fn the_commands_of_the_guide_work_as_they_stand_there() {
    let guide = include_str!("../../../../docs/guide/database.md");
    let commands: Vec<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with("periwinkle db "))
        .collect();
    assert!(commands.len() > 20, "{commands:?}");
    let home = quiet();
    let place = home.path().to_str().expect("UTF-8").to_owned();
    fs::write(
        home.path().join("settings.json"),
        r#"[{"id":"one","value":"1"}]"#,
    )
    .expect("ours");
    fs::create_dir(home.path().join("usb")).expect("ours");
    good(&home, &["put", "Setting", "first", "value=1"]);
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_periwinkle"));
    let folder = binary.parent().expect("it lies in one").display();
    let path = std::env::var("PATH").unwrap_or_default();
    for command in commands {
        let command = command.replace("/mnt/usb", &format!("{place}/usb"));
        let output = std::process::Command::new("sh")
            .args(["-c", &command])
            .current_dir(home.path())
            .env("PATH", format!("{folder}:{path}"))
            .stdin(Stdio::null())
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{command}: {:?}", texts(&output));
    }
}
