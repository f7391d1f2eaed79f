//! `periwinkle fetch` against real servers and proxies, and against a stand-in that does what no
//! good server does.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

#[cfg(feature = "sync")]
mod aws;
mod bodies;
mod events;
mod guide;
mod hostile;
mod logins;
mod measuring;
mod places;
mod redirects;
mod terminal;
mod transfers;
#[cfg(feature = "sync")]
mod typed;
mod verdicts;

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Success, and the answers that are none.
pub(crate) const DONE: i32 = 0;
/// Something of ours went wrong.
pub(crate) const INTERNAL: i32 = 1;
/// A file or the configuration cannot be used.
pub(crate) const INPUT: i32 = 2;
/// What came cannot be used.
pub(crate) const REFUSED: i32 = 3;
/// Nothing came, or it broke off.
pub(crate) const UNREACHABLE: i32 = 4;
pub(crate) const REDIRECT: i32 = 13;
pub(crate) const CLIENT_ERROR: i32 = 14;
pub(crate) const SERVER_ERROR: i32 = 15;
pub(crate) const USAGE: i32 = 64;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.text(), self.err);
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// That standard error tells this.
    #[track_caller]
    pub(crate) fn tells(self, part: &str) -> Ran {
        assert!(self.err.contains(part), "no {part:?} in: {}", self.err);
        self
    }
}

/// Runs `periwinkle fetch` with these words, in a folder of its own, to its end.
pub(crate) fn fetch<T: AsRef<OsStr>>(words: &[T]) -> Ran {
    Place::new().fetch(words)
}

/// A folder to run commands in, with the variables that they see.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new() -> Place {
        Place {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Place {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn fetch<T: AsRef<OsStr>>(&self, words: &[T]) -> Ran {
        self.fetch_with_input(words, b"")
    }

    pub(crate) fn fetch_with_input<T: AsRef<OsStr>>(&self, words: &[T], input: &[u8]) -> Ran {
        let begun = Instant::now();
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        // It may end without reading all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        ran(&child.wait_with_output().unwrap(), begun)
    }

    /// Nothing of this machine's environment decides but for the search path.
    pub(crate) fn command<T: AsRef<OsStr>>(&self, words: &[T]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_periwinkle"));
        command.env_clear().env("HOME", self.path());
        command.envs(self.environment.iter().cloned());
        command.arg("fetch").args(words).current_dir(self.path());
        command
    }
}

fn ran(output: &Output, begun: Instant) -> Ran {
    Ran {
        code: output.status.code().expect("it ends by itself"),
        out: output.stdout.clone(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: begun.elapsed(),
    }
}
