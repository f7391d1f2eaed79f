//! `upload put`.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use http::Method;
use periwinkle_core::aws::s3::KeyTemplate;
use periwinkle_core::config::{KEY_TEMPLATE, NAMELESS_KEY_VARIABLES};
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::progress::Progress;
use super::super::{human, output};
use super::UPLOADS;
use super::args::Put;
use super::talk::Talk;
use crate::api::path::{encoded, encoded_path};

/// How often the agent is asked how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

pub(super) fn put(talk: &Talk, put: &Put) -> Result<(), Failure> {
    let taken = match put.file == Path::new("-") {
        true => put_input(talk, put)?,
        false => put_file(talk, put)?,
    };
    let row = match put.detach {
        true => taken,
        false => wait(talk, &taken)?,
    };
    if put.json.json {
        return output::print(&row.to_string());
    }
    let key = output::plain(row["key"].as_str().unwrap_or_default());
    let bytes = human::size(row["bytes"].as_u64().unwrap_or(0));
    let bucket = output::plain(row["bucket"].as_str().unwrap_or_default());
    output::print(&match put.detach {
        true => format!(
            "{key} ({bytes}) is in the queue for {bucket}, as {}",
            output::plain(row["id"].as_str().unwrap_or_default())
        ),
        false => format!("{key} ({bytes}) is in {bucket}"),
    })
}

fn put_input(talk: &Talk, put: &Put) -> Result<Value, Failure> {
    let Some(key) = &put.key else {
        return Err(Failure::usage("standard input has no name: give --key KEY"));
    };
    if let Err(error) = KeyTemplate::parse(key, NAMELESS_KEY_VARIABLES) {
        return Err(Failure::usage(format!("standard input: {error}")));
    }
    if put.remove {
        return Err(Failure::usage("standard input cannot be removed"));
    }
    let mut path = format!("{UPLOADS}/objects/{}", encoded_path(key));
    let priority = put.priority.map(|priority| priority.to_string());
    let options = [
        ("bucket", put.bucket.as_ref()),
        ("priority", priority.as_ref()),
    ];
    let mut separator = '?';
    for (name, value) in options {
        if let Some(value) = value {
            path.push_str(&format!("{separator}{name}={}", encoded(value)));
            separator = '&';
        }
    }
    talk.put_input(&path, put.content_type.as_deref())
}

/// The agent reads the file itself, so its path must not depend on where this command stands.
fn put_file(talk: &Talk, put: &Put) -> Result<Value, Failure> {
    let file = std::path::absolute(&put.file)
        .map_err(|error| Failure::input(format!("{}: {error}", put.file.display())))?;
    if let Err(error) = std::fs::metadata(&file)
        && error.kind() == ErrorKind::NotFound
    {
        return Err(Failure::input(format!("{} is not there", file.display())));
    }
    let Some(path) = file.to_str() else {
        return Err(Failure::input(format!("{} is not UTF-8", file.display()))
            .hint("send it as standard input: periwinkle upload put - --key KEY < FILE"));
    };
    let request = json!({
        "file": path,
        "key": put.key.as_deref().unwrap_or(KEY_TEMPLATE),
        "remove": put.remove,
        "bucket": put.bucket,
        "priority": put.priority,
        "content_type": put.content_type,
    });
    talk.value(Method::POST, UPLOADS, Some(&request))
}

/// Waits until it is uploaded; what fails once is told, and goes on without this command.
fn wait(talk: &Talk, taken: &Value) -> Result<Value, Failure> {
    let id = taken["id"].as_str().unwrap_or_default();
    let path = format!("{UPLOADS}/{}", encoded(id));
    let mut progress = Progress::new("uploaded");
    let mut failures = taken["attempts"].as_u64().unwrap_or(0);
    loop {
        let row = talk.value(Method::GET, &path, None)?;
        let word = |name: &str| output::plain(row[name].as_str().unwrap_or_default());
        match row["state"].as_str() {
            Some("done") => return Ok(row),
            Some("sending") => {
                let now = row["attempts"].as_u64().unwrap_or(0);
                if now > failures {
                    failures = now;
                    let times = human::counted(now, "attempt");
                    progress.say(&format!("{} in vain: {}", times, word("error")));
                }
            }
            Some("waiting") if row["lacks_credentials"] == true => {
                let words = format!("not uploaded yet: {}", word("error"));
                return Err(Failure::refused(words).hint(format!(
                    "it stays in the queue as {id}, and goes when there are some"
                )));
            }
            Some("waiting") if row["attempts"].as_u64() > Some(0) => {
                let words = format!("not uploaded yet: {}", word("error"));
                let failure = match row["refused"] == true {
                    true => Failure::refused(words),
                    false => Failure::unreachable(words),
                };
                return Err(failure.hint(format!(
                    "it stays in the queue as {id}; `periwinkle upload queue` shows it"
                )));
            }
            Some("waiting") => {}
            _ => {
                let words = format!("not uploaded: {} ({})", word("state"), word("error"));
                return Err(Failure::refused(words));
            }
        }
        progress.tell(|| bar(&row));
        thread::sleep(LOOK_INTERVAL);
    }
}

/// `[#####-----] 12.5 MB of 25.0 MB`.
fn bar(row: &Value) -> String {
    const WIDTH: u64 = 30;
    let number = |name: &str| row[name].as_u64().unwrap_or(0);
    let (sent, bytes) = (number("sent"), number("bytes"));
    let full = (sent.min(bytes) * WIDTH).checked_div(bytes).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(0);
    format!(
        "[{}{}] {} of {}",
        "#".repeat(full),
        "-".repeat(WIDTH as usize - full),
        human::size(sent),
        human::size(bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_says_how_far_it_is() {
        let at = |sent: u64, bytes: u64| bar(&json!({"sent": sent, "bytes": bytes}));
        assert_eq!(
            at(500, 1000),
            "[###############---------------] 500 bytes of 1.0 kB"
        );
        assert_eq!(at(2000, 1000)[..32], format!("[{}]", "#".repeat(30)));
        assert_eq!(at(0, 0)[..32], format!("[{}]", "-".repeat(30)));
    }
}
