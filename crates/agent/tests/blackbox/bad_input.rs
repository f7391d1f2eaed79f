//! What cannot be taken is told in one sentence, whoever is asked: the library, REST, and the
//! command line, on the files and through the running agent.

mod cases;
mod files;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::schema::Schema;
use periwinkle_core::time::{Mono, Now};
use periwinkle_core::value::{Map, Value, json};
use periwinkle_db::engine::FileStorage;
use periwinkle_db::{Database, DbError, Environment, Options};

use crate::agent::{Agent, Home};
use crate::client::Client;

/// One mistake, made in every way, and what is said of it.
struct Case {
    kind: &'static str,
    field: Option<&'static str>,
    library: fn(&Database) -> Result<(), DbError>,
    /// Method, address below `/api/v1/data/` and body.
    rest: (&'static str, &'static str, String),
    status: u16,
    command: Vec<String>,
    exit: i32,
    sentence: &'static str,
}

/// Where mistakes are made: the same items lie in a database of this process and in that of an
/// agent.
struct House {
    library: Database,
    agent: Agent,
    owner: Client,
    _folder: tempfile::TempDir,
}

impl House {
    fn new(schema: &str, items: &[(&str, &str)]) -> House {
        House::with(schema, items, schema)
    }

    /// The items are made under one schema, and met under another.
    fn with(first: &str, items: &[(&str, &str)], then: &str) -> House {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let library = open(folder.path(), first);
        let home = Home::with("[metrics]\nenable = false\n");
        let file = home.path().join("schema.json5");
        let write = |schema: &str| std::fs::write(&file, schema).expect("it is ours");
        write(first);
        let home = home.env("PERIWINKLE_DB__SCHEMA", &file.display().to_string());
        let agent = home.start();
        let owner = agent.owner();
        for (model, item) in items {
            library.create(model, &properties(item)).expect("it fits");
            let path = format!("/api/v1/data/{model}");
            let item = serde_json::from_str(item).expect("JSON");
            owner.post(&path, &item).expect(201);
        }
        library.close().expect("the disk is in order");
        drop(library);
        let (home, _) = agent.stop();
        write(then);
        let agent = home.start();
        House {
            library: open(folder.path(), then),
            owner: agent.login(),
            agent,
            _folder: folder,
        }
    }

    /// Makes each mistake in every way; all that is told otherwise than expected is shown.
    fn check(self, cases: &[Case]) {
        let mut found = Vec::new();
        for case in cases {
            found.push(("library", case, case.in_library(&self.library)));
            found.push(("REST", case, case.over_rest(&self.owner)));
            found.push(("agent", case, case.by_command(self.agent.home())));
        }
        let (home, _) = self.agent.stop();
        for case in cases {
            found.push(("files", case, case.by_command(&home)));
        }
        let others: Vec<String> = found
            .into_iter()
            .filter(|(way, case, told)| *told != case.expected(way))
            .map(|(way, case, told)| format!("{way}: {told:?}\n not {:?}", case.expected(way)))
            .collect();
        assert!(others.is_empty(), "{}", others.join("\n"));
    }
}

/// What is told: a number (status, exit code), kind, field, and the words.
#[derive(Debug, PartialEq)]
struct Told {
    number: i32,
    kind: String,
    field: Option<String>,
    words: String,
}

impl Case {
    fn expected(&self, way: &str) -> Told {
        let of_program = matches!(way, "library" | "REST");
        Told {
            number: match way {
                "library" => 0,
                "REST" => i32::from(self.status),
                _ => self.exit,
            },
            kind: self.kind.to_owned(),
            field: self.field.filter(|_| of_program).map(str::to_owned),
            words: match way {
                "library" => self.within_a_sentence(),
                _ => self.sentence.to_owned(),
            },
        }
    }

    /// The words of the library, which may go on in a sentence of somebody else.
    fn within_a_sentence(&self) -> String {
        let words = self.sentence.trim_end_matches('.');
        let begins_with_name = ["Room", "Sent", "Few", "Down"]
            .iter()
            .any(|name| words.starts_with(name));
        let mut letters = words.chars();
        match letters.next() {
            Some(first) if !begins_with_name => {
                format!("{}{}", first.to_lowercase(), letters.as_str())
            }
            _ => words.to_owned(),
        }
    }

    fn in_library(&self, db: &Database) -> Told {
        let refused = (self.library)(db).expect_err(self.sentence);
        Told {
            number: 0,
            kind: refused.kind().to_owned(),
            field: refused.field().map(str::to_owned),
            words: refused.to_string(),
        }
    }

    fn over_rest(&self, owner: &Client) -> Told {
        let (method, path, body) = &self.rest;
        let path = format!("/api/v1/data/{}", encoded(path));
        let fields = [("Content-Type", "application/json")];
        let answer = owner.send(method, &path, &fields, body.as_bytes());
        let problem = answer.json();
        let text = |name: &str| problem[name].as_str().map(str::to_owned);
        Told {
            number: i32::from(answer.status),
            kind: text("kind").unwrap_or_default(),
            field: text("field"),
            words: text("detail").unwrap_or_else(|| answer.text()),
        }
    }

    fn by_command(&self, home: &Home) -> Told {
        let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let output = home.run(&[&["db"], &words[..]].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        Told {
            number: output.status.code().unwrap_or_default(),
            // People are told neither.
            kind: self.kind.to_owned(),
            field: None,
            words: told.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

fn open(folder: &Path, schema: &str) -> Database {
    let storage = FileStorage::open(folder).expect("nobody else has it");
    let schema = Schema::parse(schema).expect("it is a schema");
    let options = Options {
        context: Map::from([("deviceId", Value::from("d1"))]),
        ..Options::default()
    };
    let opened = Database::open(Arc::new(storage), schema, options, Arc::new(Still));
    opened.expect("it is in order").0
}

fn properties(text: &str) -> Map {
    json::parse(text)
        .expect("JSON")
        .into_map()
        .expect("an object")
}

/// An address by hand, with what may not stand in it encoded.
fn encoded(address: &str) -> String {
    let letters = address.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'?' | b'&' | b'=' | b'_' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    letters.collect()
}

struct Still;

impl Environment for Still {
    fn now(&self) -> Now {
        Now {
            mono: Mono::from_start(Duration::ZERO),
            wall: None,
            trusted: false,
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}
