//! Where the payloads of `pub` and `request` come from.

use std::fs::File;
use std::io::{self, BufRead, Read};

use periwinkle_core::limits::MQTT_BY_HAND_BYTES_MAX;
use tokio::sync::mpsc;

use super::args::What;
use crate::cli::failure::Failure;

/// Lines of standard input that wait for the broker.
const LINES_AHEAD: usize = 64;

/// The one payload; `-l` has many.
pub(super) fn read(what: &What) -> Result<Vec<u8>, Failure> {
    if let Some(text) = &what.message {
        return Ok(text.clone().into_bytes());
    }
    if what.stdin {
        return bounded(io::stdin().lock(), "standard input");
    }
    let Some(path) = &what.file else {
        return Ok(Vec::new());
    };
    let name = path.display().to_string();
    let file = File::open(path)
        .map_err(|error| Failure::input(format!("{name}: cannot be read: {error}")))?;
    bounded(file, &name)
}

/// The same, for who can take no more than one.
pub(super) fn one(what: &What) -> Result<Vec<u8>, Failure> {
    match what.lines {
        true => Err(Failure::usage(
            "-l: one question at a time; -s takes all of standard input",
        )),
        false => read(what),
    }
}

/// No more than that is ever in memory.
fn bounded(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MQTT_BY_HAND_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::input(format!("{name}: cannot be read: {error}")))?;
    match bytes.len() > MQTT_BY_HAND_BYTES_MAX {
        true => Err(too_long(name)),
        false => Ok(bytes),
    }
}

/// The lines of standard input without their ends, read by a thread of their own.
pub(super) fn lines() -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        // Whoever reads the lines may have stopped, which ends this too.
        while let Some(line) = line(&mut input).transpose() {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

fn line(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = input
        .take(MQTT_BY_HAND_BYTES_MAX as u64 + 1)
        .read_until(b'\n', &mut line)
        .map_err(|error| Failure::input(format!("standard input: cannot be read: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if line.len() > MQTT_BY_HAND_BYTES_MAX {
        return Err(too_long("a line of standard input"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

fn too_long(name: &str) -> Failure {
    Failure::input(format!(
        "{name}: longer than {MQTT_BY_HAND_BYTES_MAX} bytes, which is as much as is taken here"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_end_and_nothing_else() {
        let mut input = &b"one\n\ntwo\r\nthree"[..];
        let mut lines = Vec::new();
        while let Some(line) = line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"one"[..], b"", b"two\r", b"three"]);
    }

    #[test]
    fn a_payload_has_a_bound() {
        let just = vec![b'x'; MQTT_BY_HAND_BYTES_MAX];
        assert_eq!(
            bounded(&just[..], "f").map(|bytes| bytes.len()),
            Ok(just.len())
        );
        let more = vec![b'x'; MQTT_BY_HAND_BYTES_MAX + 1];
        assert_eq!(bounded(&more[..], "f").unwrap_err().code, 2);
        assert_eq!(line(&mut &more[..]).unwrap_err().code, 2);
    }
}
