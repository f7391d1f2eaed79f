//! Backups, damage, reading without writing, and a full disk.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{all_files, bad, db, good, input, json as parsed, quiet, texts};
use crate::agent::Home;
use crate::full_disk::Mount;

/// Imports so many settings of a thousand bytes.
fn fill(home: &Home, count: u32, letter: &str) {
    let line =
        |n: u32| json!({"id": format!("s{n:05}"), "value": letter.repeat(1000)}).to_string() + "\n";
    let items: String = (0..count).map(line).collect();
    let words = [
        "import",
        "-",
        "--model",
        "Setting",
        "--on-conflict",
        "replace",
    ];
    let output = input(home, &words, &items);
    assert!(output.status.success(), "{}", texts(&output).1);
}

/// A database of some segments whose sealed part has one flipped bit, and the rest of it intact.
fn damaged() -> (Home, PathBuf) {
    let home = quiet();
    fill(&home, 9000, "x");
    let segment = home.state().join("db/00000001.log");
    let mut bytes = fs::read(&segment).expect("it is there");
    let id = b"Setting#s00007";
    let at = bytes.windows(id.len()).position(|window| window == id);
    bytes[at.expect("it is in the first segment") + 500] ^= 4;
    fs::write(&segment, &bytes).expect("ours");
    (home, segment)
}

#[test]
fn a_backup_of_the_running_agent_holds_one_moment_and_an_agent_runs_on_it() {
    let agent = quiet().start();
    let home = agent.home();
    fill(home, 5000, "x");
    let copy = home.path().join("copy");
    let copy_text = copy.to_str().expect("UTF-8").to_owned();
    // Others write all the time while the copy is made at a gentle pace.
    let writing = std::thread::scope(|scope| {
        let backup =
            scope.spawn(|| good(home, &["backup", &copy_text, "--rate", "10MB", "--json"]));
        let mut rounds = 0;
        while !backup.is_finished() {
            for id in ["a", "b"] {
                good(home, &["put", "Setting", id, &format!("value={rounds}")]);
            }
            rounds += 1;
        }
        (rounds, parsed(&backup.join().expect("it ends")))
    });
    let (rounds, told) = writing;
    assert!(rounds > 1, "{rounds} rounds of writes during the backup");
    assert!(told["bytes"].as_u64() > Some(5_000_000), "{told}");
    assert!(!home.path().join("copy.partial").exists());
    assert_eq!(
        fs::metadata(&copy).expect("there").permissions().mode() & 0o777,
        0o700
    );
    let whole = good(home, &["verify", &copy_text]);
    assert!(whole.starts_with("intact: "), "{whole}");

    // The owner of the copy is the owner of the original, and a goes ahead of b by one at most.
    let second = Home::with("[metrics]\nenable = false\n");
    fs::rename(&copy, second.state()).expect("ours");
    assert_eq!(
        good(&second, &["find", "Setting", "--count", "--prefix", "s0"]),
        "5,000\n"
    );
    let value = |id: &str| {
        let output = db(&second, &["get", "Setting", id, "--json"]);
        let item: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        item["value"]
            .as_str()
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(-1)
    };
    let ahead = value("a") - value("b");
    assert!((0..=1).contains(&ahead), "a is {ahead} ahead");
    let second = second.start();
    assert_eq!(
        second.status()["device"]["id"],
        agent.status()["device"]["id"]
    );
}

#[test]
fn a_backup_is_made_of_the_files_too_or_as_an_archive_and_never_over_something() {
    let home = quiet();
    fill(&home, 100, "x");
    let copy = home.path().join("copy");
    let copy = copy.to_str().expect("UTF-8");
    let told = good(&home, &["backup", copy]);
    assert!(told.contains("verified"), "{told}");
    let again = bad(&home, &["backup", copy], 3);
    assert!(again.contains("is there already"), "{again}");
    assert_eq!(
        good(&home, &["--read-only", "export", "--state", copy]),
        good(&home, &["export"])
    );

    let archive = db(&home, &["backup", "-"]).stdout;
    fs::create_dir(home.path().join("unpacked")).expect("ours");
    let mut tar = std::process::Command::new("tar")
        .args(["-xf", "-", "-C"])
        .arg(home.path().join("unpacked"))
        .stdin(Stdio::piped())
        .spawn()
        .expect("tar runs");
    tar.stdin
        .take()
        .expect("piped")
        .write_all(&archive)
        .expect("it reads");
    assert!(tar.wait().expect("it ends").success());
    let unpacked = home.path().join("unpacked");
    let unpacked = unpacked.to_str().expect("UTF-8");
    assert_eq!(
        good(&home, &["export", "--state", unpacked]),
        good(&home, &["export"])
    );
    let about = fs::read_to_string(home.path().join("unpacked/backup.json")).expect("there");
    assert_eq!(parsed(&about)["form"], 1);

    let rate = bad(&home, &["backup", "elsewhere", "--rate", "fast"], 64);
    assert!(rate.contains("a size with its unit"), "{rate}");
    let nowhere = bad(&home, &["backup", "/proc/nowhere/copy"], 3);
    assert!(nowhere.contains("cannot be written"), "{nowhere}");
}

#[test]
fn verify_names_damage_and_its_rows_and_salvage_saves_all_else() {
    let (home, segment) = damaged();
    let before = fs::read(&segment).expect("there");
    let output = db(&home, &["verify"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{out}{err}");
    assert!(out.contains("00000001.log is damaged at byte "), "{out}");
    assert!(out.contains("it wrote the item dev#"), "{out}");
    assert!(out.contains("Setting#s0000"), "{out}");
    assert!(out.contains("is lost"), "{out}");
    assert!(err.contains("periwinkle db salvage"), "{err}");
    let found = parsed(&texts(&db(&home, &["verify", "--json"])).0);
    assert_eq!(
        (&found["whole"], found["damage"].as_array().map(Vec::len)),
        (&json!(false), Some(1))
    );

    let saved = home.path().join("saved");
    let saved_text = saved.to_str().expect("UTF-8");
    let state = home.state();
    let state = state.to_str().expect("UTF-8");
    let told = parsed(&good(&home, &["salvage", state, saved_text, "--json"]));
    assert_eq!(
        told["found"]["lost"].as_array().map(Vec::len),
        Some(1),
        "{told}"
    );
    let left = good(
        &home,
        &["find", "Setting", "--all", "--json", "--state", saved_text],
    );
    let count = left.lines().count();
    assert!((8000..9000).contains(&count), "one batch is lost: {count}");
    assert!(good(&home, &["verify", saved_text]).starts_with("intact: "));
    assert_eq!(fs::read(&segment).expect("there"), before);
    let again = bad(&home, &["salvage", state, saved_text], 3);
    assert!(again.contains("is not empty"), "{again}");
    let none = bad(&home, &["verify", "/tmp"], 2);
    assert!(none.contains("there is no database in /tmp"), "{none}");
}

#[test]
fn the_running_agent_verifies_itself_and_goes_on() {
    let (home, segment) = damaged();
    // Put the bit right, start, and flip it again under the running agent.
    let mut bytes = fs::read(&segment).expect("there");
    let flip = |bytes: &mut Vec<u8>| {
        let id = b"Setting#s00007";
        let at = bytes.windows(id.len()).position(|window| window == id);
        bytes[at.expect("there") + 500] ^= 4;
    };
    flip(&mut bytes);
    fs::write(&segment, &bytes).expect("ours");
    let agent = home.start();
    assert!(good(agent.home(), &["verify"]).starts_with("intact: "));
    flip(&mut bytes);
    fs::write(&segment, &bytes).expect("ours");
    let output = db(agent.home(), &["verify"]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{out}{err}");
    assert!(out.contains("00000001.log is damaged at byte "), "{out}");
    good(agent.home(), &["put", "Setting", "after", "value=1"]);
    // While it runs, nobody salvages under its hands.
    let state = agent.home().state();
    let refused = bad(
        agent.home(),
        &["salvage", state.to_str().expect("UTF-8"), "x"],
        3,
    );
    assert!(
        refused.contains(&format!("in use by process {}", agent.pid())),
        "{refused}"
    );
    // The copy of a damaged database is refused, and leaves nothing behind.
    let copy = agent.home().path().join("copy");
    let told = bad(agent.home(), &["backup", copy.to_str().expect("UTF-8")], 2);
    assert!(told.contains("00000001.log is damaged"), "{told}");
    assert!(!copy.exists() && !agent.home().path().join("copy.partial").exists());
}

#[test]
fn reading_changes_no_byte_and_read_only_refuses_to_write() {
    let agent = quiet().start();
    good(agent.home(), &["put", "Setting", "a", "value=1"]);
    // As after a power cut.
    let home = agent.kill();
    let files = || {
        let mut files: Vec<(PathBuf, Vec<u8>)> = all_files(&home)
            .into_iter()
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), fs::read(&path).expect("it is there")))
            .collect();
        files.sort();
        files
    };
    let before = files();
    for words in [
        &["get", "Setting", "a"][..],
        &["find", "Setting"],
        &["stats"],
        &["models"],
        &["export"],
        &["verify"],
    ] {
        good(&home, words);
    }
    for words in [
        &["--read-only", "put", "Setting", "b", "value=2"][..],
        &["--read-only", "remove", "Setting", "a"],
        &["remove", "Setting", "a", "--read-only"],
    ] {
        let told = bad(&home, words, 3);
        assert!(told.contains("open for reading only"), "{told}");
    }
    let output = input(
        &home,
        &["shell", "--read-only"],
        "get Setting a\nput Setting b value=2\n",
    );
    assert_eq!(output.status.code(), Some(3));
    assert!(
        texts(&output)
            .1
            .starts_with("line 2: the database is open for reading only")
    );
    assert_eq!(files(), before);

    // Two may read at a time, and nobody may write meanwhile.
    let mut reader = home
        .command(&["db", "shell", "--read-only"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = reader.stdin.take().expect("piped");
    stdin
        .write_all(b"get Setting a --json\n")
        .expect("it reads");
    let mut line = String::new();
    let mut out = std::io::BufReader::new(reader.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut out, &mut line).expect("it answers");
    assert_eq!(parsed(&line)["value"], "1");
    good(&home, &["get", "Setting", "a"]);
    let told = bad(&home, &["put", "Setting", "b", "value=2"], 3);
    // The file names the last who wrote, which is not who has it now.
    assert!(told.contains("is in use by another process; "), "{told}");
    drop(stdin);
    assert!(reader.wait().expect("it ends").success());
    good(&home, &["put", "Setting", "b", "value=2"]);
}

#[test]
fn a_full_disk_refuses_an_import_and_an_export_with_words_and_lets_items_be_removed() {
    let home = quiet();
    let _disk = Mount::new(home.state(), "13m");
    let line =
        |n: u32| json!({"id": format!("s{n:05}"), "value": "x".repeat(1000)}).to_string() + "\n";
    let items: String = (0..20_000).map(line).collect();
    let file = home.path().join("items");
    fs::write(&file, &items).expect("ours");
    let path = file.to_str().expect("UTF-8");
    let told = bad(&home, &["import", path, "--model", "Setting"], 3);
    assert!(
        told.starts_with("The disk is full: no room to reserve"),
        "{told}"
    );
    assert!(
        told.contains("before it written; run it again with --on-conflict skip"),
        "{told}"
    );
    let there = good(&home, &["find", "Setting", "--count"]);
    assert!(
        there
            .trim()
            .replace(',', "")
            .parse::<u64>()
            .expect("a number")
            > 1000,
        "{there}"
    );
    good(&home, &["remove", "Setting", "s00000"]);
    let inside = home.state().join("export");
    let told = bad(
        &home,
        &["export", "--output", inside.to_str().expect("UTF-8")],
        3,
    );
    assert!(
        told.contains("cannot be written") && told.contains("free some space"),
        "{told}"
    );
    let left = fs::read_dir(home.state()).expect("ours");
    let mut names = left.map(|entry| entry.expect("ours").file_name());
    assert!(!names.any(|name| name.to_string_lossy().starts_with("export")));
}

#[test]
fn a_file_that_is_taken_from_a_running_agent_is_missed_and_a_backup_still_has_it() {
    let home = quiet();
    fill(&home, 9000, "x");
    let agent = home.start();
    let home = agent.home();
    assert!(good(home, &["verify"]).starts_with("intact: "));
    fs::remove_file(home.state().join("db/00000001.log")).expect("ours");
    let output = db(home, &["verify"]);
    let (out, _) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{out}");
    assert!(
        out.contains("00000001.log is damaged at byte 0: the file is missing; what it held can be"),
        "{out}"
    );
    let copy = home.path().join("copy");
    let copy = copy.to_str().expect("UTF-8");
    good(home, &["backup", copy]);
    assert!(good(home, &["verify", copy]).starts_with("intact: "));
}

#[test]
fn what_is_lost_at_the_front_is_told_by_looking_and_by_saving() {
    let home = quiet();
    fill(&home, 9000, "x");
    fs::remove_file(home.state().join("db/00000001.log")).expect("ours");
    let state = home.state();
    let state = state.to_str().expect("UTF-8");
    let found = db(&home, &["verify", "--json"]);
    assert_eq!(found.status.code(), Some(2));
    let found = parsed(&texts(&found).0);
    assert_eq!(found["damage"][0]["file"], "00000001.log");
    assert_eq!(found["lost"][0][0], 1, "{found}");
    let saved = parsed(&good(&home, &["salvage", state, "saved", "--json"]));
    assert_eq!(saved["found"]["lost"], found["lost"]);
}

#[test]
fn salvage_onto_a_disk_that_is_too_small_leaves_nothing_in_the_way_of_the_next_attempt() {
    let home = quiet();
    fill(&home, 9000, "x");
    let mount = Mount::new(home.path().join("small"), "5m");
    let state = home.state();
    let words = ["salvage", state.to_str().expect("UTF-8"), "small/saved"];
    bad(&home, &words, 3);
    assert_eq!(
        fs::read_dir(home.path().join("small"))
            .expect("there")
            .count(),
        0
    );
    let filler = home.path().join("small/filler");
    fs::write(&filler, vec![1; 6 << 20]).expect_err("that is more than fits");
    let full = bad(&home, &words, 3);
    assert!(
        full.starts_with("in the new directory: cannot create 00000001.log: No space left"),
        "{full}"
    );
    fs::remove_file(&filler).expect("it is ours");
    mount.resize("40m");
    assert!(good(&home, &words).starts_with("9,0"));
}

#[test]
fn a_number_below_zero_is_a_key_and_no_option() {
    let home = quiet();
    good(&home, &["put", "Setting", "-5", "value=1"]);
    assert!(good(&home, &["get", "Setting", "-5"]).contains("-5"));
    let told = bad(&home, &["find", "Setting", "--limit", "-1"], 64);
    assert!(
        told.contains("invalid value '-1' for '--limit <COUNT>'"),
        "{told}"
    );
}
