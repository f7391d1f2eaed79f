//! One request and its answer.

use std::io::{self, IsTerminal};

use http::StatusCode;
use periwinkle_core::limits::FETCH_SHOWN_BYTES_MAX;
use tokio::sync::watch;

use super::args::Fetch as Options;
use super::bar::watched;
use super::plan::{Body, Part, Plan};
use super::request::Prepared;
use super::show::{self, Show};
use super::words::{failure, verdict};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::fetch::{Answer, Progress};

/// Sends the request and prints what was asked for.
pub(super) async fn run(options: &Options, prepared: &Prepared) -> Result<(), Failure> {
    let is_terminal = io::stdout().is_terminal();
    let show = Show::parse(options.show.as_deref(), is_terminal)?;
    print_request(&prepared.plan, show, is_terminal)?;
    let answer = send(prepared).await?;
    let (host, status) = (answer.url().authority().to_owned(), answer.status());
    if show.head {
        output::write(&head(&answer, is_terminal))?;
    }
    if show.body {
        match is_terminal && !options.stream {
            true => print_for_people(answer).await?,
            false => pass_on(answer).await?,
        }
    }
    verdict(&host, status).map_err(|failure| match asks_too_late(prepared, status) {
        true => failure.hint(
            "check name and password; if they are right, send the body from a file (@FILE), which \
             can be sent again: standard input cannot",
        ),
        false => failure,
    })
}

/// Whether a body that is gone may be why the question for a password was not answered: it is kept
/// back as long as the other end may ask, but who asks behind it gets no second one.
fn asks_too_late(prepared: &Prepared, status: StatusCode) -> bool {
    let asks = match status {
        StatusCode::UNAUTHORIZED => prepared.has_login(),
        status => status == StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    };
    asks && matches!(&prepared.plan.body, Body::File { path, .. } if path == "-")
}

/// What is streamed may take long, which a terminal is told.
async fn send(prepared: &Prepared) -> Result<Answer, Failure> {
    let request = prepared.request()?;
    let sent = match prepared.plan.body {
        Body::File { .. } | Body::Parts(_) => {
            let (sender, receiver) = watch::channel(Progress::default());
            watched("sent", receiver, request.progress(sender).send()).await
        }
        _ => request.send().await,
    };
    sent.map_err(|error| failure(&error))
}

/// The first line and the fields of an answer.
pub(super) fn head(answer: &Answer, is_terminal: bool) -> Vec<u8> {
    let first = format!("HTTP/1.1 {}", answer.status());
    show::head(&first, answer.headers(), is_terminal)
}

/// The request as it was typed; the fields of the connection, of a login and of a signature come
/// to it on its way.
pub(super) fn print_request(plan: &Plan, show: Show, is_terminal: bool) -> Result<(), Failure> {
    if show.request_head {
        let mut text = format!(
            "{} {} HTTP/1.1\nhost: {}\n",
            plan.method,
            plan.url.target(),
            plan.url.authority()
        );
        for (name, value) in &plan.headers {
            if let Some(value) = value {
                text += &format!("{}: {value}\n", name.to_ascii_lowercase());
            }
        }
        output::write(format!("{text}\n").as_bytes())?;
    }
    if show.request_body && plan.body != Body::None {
        let text = match (&plan.body, is_terminal) {
            (Body::Json(text), true) => show::for_people("application/json", text.as_bytes()),
            (body, _) => format!("{}\n", told(body)),
        };
        output::write(text.as_bytes())?;
    }
    Ok(())
}

/// A body as it is, or which files it is made of.
fn told(body: &Body) -> String {
    let lines: Vec<String> = match body {
        Body::None => Vec::new(),
        Body::Json(text) => vec![text.clone()],
        Body::Form(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        Body::Parts(parts) => parts.iter().map(told_part).collect(),
        Body::File { path, .. } => vec![format!("@{path}")],
    };
    lines.join("\n")
}

fn told_part(part: &Part) -> String {
    match part {
        Part::Text { name, value } => format!("{name}={value}"),
        Part::File { name, path, .. } => format!("{name}@{path}"),
    }
}

/// Every piece as it comes, until nobody reads any more.
pub(super) async fn pass_on(mut answer: Answer) -> Result<(), Failure> {
    while let Some(piece) = answer.chunk().await.map_err(|error| failure(&error))? {
        if !output::write(&piece)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The body laid out, up to a bound; the rest of a longer one as it comes.
async fn print_for_people(mut answer: Answer) -> Result<(), Failure> {
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    let mut beginning = Vec::new();
    while beginning.len() <= FETCH_SHOWN_BYTES_MAX {
        match answer.chunk().await.map_err(|error| failure(&error))? {
            Some(piece) => beginning.extend_from_slice(&piece),
            None => {
                let text = show::for_people(&content_type, &beginning);
                return output::write(text.as_bytes()).map(drop);
            }
        }
    }
    if beginning.contains(&0) {
        let text = "a long body that is no text is not shown; --output FILE keeps it\n";
        return output::write(text.as_bytes()).map(drop);
    }
    let mut piece = bytes::Bytes::from(beginning);
    loop {
        let text = show::visible(&String::from_utf8_lossy(&piece));
        if !output::write(text.as_bytes())? {
            return Ok(());
        }
        match answer.chunk().await.map_err(|error| failure(&error))? {
            Some(next) => piece = next,
            None => return Ok(()),
        }
    }
}
