//! The program curl: repeated addresses over one connection, and `--parallel`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Result;

use super::Subject;
use crate::process;
use crate::steps::Done;

pub(crate) struct Curl;

impl Subject for Curl {
    fn small(&self, url: &str, count: u32, in_flight: u32) -> Result<Done> {
        let mut curl = quiet();
        if in_flight > 1 {
            curl.args(["--parallel", "--parallel-immediate", "--parallel-max"]);
            curl.arg(in_flight.to_string());
        }
        curl.arg(format!("{url}?[1-{count}]"));
        done(&mut curl, 0)
    }

    fn download(&self, url: &str) -> Result<Done> {
        let mut sizes = quiet();
        let output = sizes.args(["--head", "--write-out", "%header{content-length}"]);
        let printed = output.arg(url).stdout(Stdio::piped()).output()?.stdout;
        let bytes = String::from_utf8(printed)?.trim().parse()?;
        done(quiet().arg(url), bytes)
    }

    fn upload(&self, url: &str, file: &Path) -> Result<Done> {
        let bytes = file.metadata()?.len();
        done(quiet().arg("--upload-file").arg(file).arg(url), bytes)
    }
}

/// Bodies go nowhere, and an error is one.
fn quiet() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--disable", "--silent", "--show-error", "--fail"]);
    curl.args(["--output", "/dev/null"]);
    curl
}

fn done(curl: &mut Command, bytes: u64) -> Result<Done> {
    let begun = Instant::now();
    let used = process::of_program(curl)?;
    Ok(Done {
        bytes,
        time: begun.elapsed(),
        used,
        growth_bytes: None,
    })
}
