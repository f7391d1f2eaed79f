//! `--sse` and `--ws`: what a server sends as it comes.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};

use super::request::Prepared;
use super::words::failure;
use crate::cli::failure::Failure;
use crate::cli::human;
use crate::cli::output::{self, plain};
use crate::fetch::{FetchError, Goodbye, Message};

/// Prints events, one line of JSON each, until the server wants no more of us or nobody reads.
pub(super) async fn events(prepared: &Prepared) -> Result<(), Failure> {
    let mut events = prepared.request()?.events();
    while let Some(event) = events.next().await.map_err(|error| failure(&error))? {
        let line = json!({"event": event.kind, "data": event.data, "id": event.id});
        if !output::write(format!("{line}\n").as_bytes())? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends the lines of standard input and prints what comes, until either end has said goodbye.
pub(super) async fn socket(prepared: &Prepared) -> Result<(), Failure> {
    let failed = |error| failure(&FetchError::WebSocket(error));
    let opening = prepared.request()?.open(&[]).await;
    let mut socket = opening.map_err(|error| failure(&error))?;
    let mut lines = Some(standard_input()?);
    loop {
        tokio::select! {
            message = socket.next() => match message.map_err(failed)? {
                Some(message) if print(&message)? => {}
                Some(_) => return Ok(()),
                None => return socket.goodbye().map_or(Ok(()), parting),
            },
            line = next_line(&mut lines) => match line? {
                Some(line) => socket.send_text(line).await.map_err(failed)?,
                None => {
                    lines = None;
                    socket.close(1000, "").await.map_err(failed)?;
                }
            },
        }
    }
}

/// What a goodbye means: some say that nothing went wrong, or do not say (RFC 6455, section 7.4.1).
fn parting(goodbye: &Goodbye) -> Result<(), Failure> {
    let Goodbye { code, reason } = goodbye;
    if matches!(code, 1000 | 1001 | 1005) {
        return Ok(());
    }
    let reason = match reason.is_empty() {
        true => String::new(),
        false => format!(": {}", plain(reason)),
    };
    let words = format!("the other end closed the WebSocket with code {code}{reason}");
    Err(Failure::refused(words))
}

type Input = Lines<BufReader<tokio::fs::File>>;

fn standard_input() -> Result<Input, Failure> {
    let input = io::stdin().as_fd().try_clone_to_owned();
    let input = input.map_err(|error| unreadable(&error))?;
    Ok(BufReader::new(tokio::fs::File::from_std(File::from(input))).lines())
}

/// The next line; `None` at the end, and nothing ever after it.
async fn next_line(lines: &mut Option<Input>) -> Result<Option<String>, Failure> {
    match lines {
        Some(lines) => lines.next_line().await.map_err(|error| unreadable(&error)),
        None => std::future::pending().await,
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::input(format!("standard input: {error}"))
}

/// Whether somebody still reads. Bytes are no lines, so they are not ended by one.
fn print(message: &Message) -> Result<bool, Failure> {
    let is_terminal = io::stdout().is_terminal();
    match message {
        Message::Text(text) if is_terminal => {
            output::write(format!("{}\n", plain(text)).as_bytes())
        }
        Message::Text(text) => output::write(format!("{text}\n").as_bytes()),
        Message::Binary(bytes) if is_terminal => {
            let size = human::size(bytes.len() as u64);
            output::write(format!("({size} that are no text)\n").as_bytes())
        }
        Message::Binary(bytes) => output::write(bytes),
    }
}
