//! Files that cannot be opened: the library, the agent and the command line say why in the same
//! words.

use std::fs;
use std::sync::Arc;

use periwinkle_core::schema::Schema;
use periwinkle_db::engine::{FileStorage, OpenError, StorageError};
use periwinkle_db::{Database, DbOpenError, Options};

use super::Still;
use crate::agent::Home;

const LOCAL: &str = "{
    version: '1.0.0',
    indexes: { primary: { hash: 'pk', sort: 'sk' } },
    models: {},
}";

fn run(home: &Home, words: &[&str]) -> (Option<i32>, String) {
    let output = home.run(words);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

/// Each way in which an agent or a command opens the files, with a socket on which nobody listens.
const OPENINGS: [&[&str]; 3] = [
    &["run"],
    &["db", "get", "Setting", "a"],
    &["db", "put", "Setting", "a", "value=1"],
];

#[test]
fn a_file_from_the_future_is_refused_in_the_same_words_everywhere() {
    let home = Home::with("[metrics]\nenable = false\n");
    let made = run(&home, &["db", "put", "Setting", "a", "value=1"]);
    assert_eq!(made.0, Some(0), "{}", made.1);
    let folder = home.state().join("db");
    let segment = folder.join("00000001.log");
    let mut bytes = fs::read(&segment).expect("it is ours");
    make_newer(&mut bytes);
    fs::write(&segment, &bytes).expect("it is ours");
    let storage = FileStorage::open(&folder).expect("nobody has it");
    let schema = Schema::parse(LOCAL).expect("it is a schema");
    let options = Options::default();
    let opened = Database::open(Arc::new(storage), schema, options, Arc::new(Still));
    let refused = opened.expect_err("it is newer");
    assert!(matches!(
        refused,
        DbOpenError::Engine(OpenError::Newer { .. })
    ));
    let words = "00000001.log was written by a newer version (log version 9, this program knows 2); \
                 nothing was changed; use that version";
    assert_eq!(refused.to_string(), words);
    let expected = format!(
        "the database in {} cannot be opened: {words}\n",
        folder.display()
    );
    for words in OPENINGS {
        let (code, told) = run(&home, words);
        assert_eq!((code, told), (Some(2), expected.clone()), "{words:?}");
    }
    assert_eq!(fs::read(&segment).expect("it is ours"), bytes);
}

/// Log version 9, with the header's checksum for it.
fn make_newer(segment: &mut [u8]) {
    segment[8..12].copy_from_slice(&9_u32.to_le_bytes());
    let crc = crc32c(segment[..12].iter().chain(&segment[16..64]));
    segment[12..16].copy_from_slice(&crc.to_le_bytes());
}

fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[test]
fn a_second_process_is_refused_in_the_same_words_everywhere() {
    let agent = Home::with("[metrics]\nenable = false\n").start();
    let pid = agent.pid();
    let folder = agent.home().state().join("db");
    let refused = FileStorage::open(&folder).expect_err("the agent has it");
    assert!(matches!(&refused, StorageError::Locked { pid: Some(holder), .. } if *holder == pid));
    let path = folder.display();
    assert_eq!(
        refused.to_string(),
        format!("the database in {path} is in use by process {pid}; stop it first")
    );
    let elsewhere = agent.home().path().join("other.sock");
    let socket = format!("control.socket={}", elsewhere.display());
    let path = agent.home().state();
    let expected = format!(
        "the state directory {} is in use by process {pid}; stop it, or name another directory \
         with --state\n",
        path.display()
    );
    for words in OPENINGS {
        let words = [&["--set", &socket], words].concat();
        let (code, told) = run(agent.home(), &words);
        assert_eq!(
            (code, told.as_str()),
            (Some(3), expected.as_str()),
            "{words:?}"
        );
    }
}

/// A folder in the place of a file: nobody can open that, whatever rights he has.
#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let home = Home::with("[metrics]\nenable = false\n");
    assert_eq!(run(&home, OPENINGS[2]).0, Some(0));
    let state = home.state();
    let reason = "Is a directory (os error 21)";
    let in_state = |name: &str| {
        let path = state.join(name);
        format!(
            "the state directory cannot be used: {}: {reason}\n",
            path.display()
        )
    };
    let database = format!(
        "the database in {} cannot be opened:",
        state.join("db").display()
    );
    let lock = state.join("db/lock");
    for (name, expected) in [
        ("lock", in_state("lock")),
        ("device-id", in_state("device-id")),
        (
            "db/lock",
            format!(
                "{database} cannot use the lock file {}: {reason}\n",
                lock.display()
            ),
        ),
        (
            "db/00000001.log",
            format!("{database} cannot open 00000001.log: {reason}\n"),
        ),
    ] {
        let (file, aside) = (state.join(name), state.join("aside"));
        fs::rename(&file, &aside).expect("it is there");
        fs::create_dir(&file).expect("it is ours");
        for words in [OPENINGS[0], OPENINGS[2]] {
            let told = run(&home, words);
            assert_eq!(told, (Some(2), expected.clone()), "{name}: {words:?}");
        }
        fs::remove_dir(&file).expect("it is ours");
        fs::rename(&aside, &file).expect("it is ours");
    }
    let id = state.join("device-id");
    fs::remove_file(&id).expect("it is there");
    fs::create_dir(&id).expect("it is ours");
    let (from, to) = (state.display().to_string(), home.path().join("saved"));
    let to = to.to_str().expect("UTF-8");
    let (code, told) = run(&home, &["db", "salvage", &from, to]);
    let expected = format!("{} cannot be read: {reason}\n", id.display());
    assert_eq!((code, told), (Some(2), expected));
}
