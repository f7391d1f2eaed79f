//! The request of a plan, which can be made as often as it is to be sent.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use http::Method;
use periwinkle_core::config::Expiry;
use periwinkle_core::secret::Secret;
use tokio::time::Instant;

use super::args::Fetch as Options;
use super::plan::{Body, Part, Plan};
use crate::cli::failure::Failure;
use crate::cli::prompt;
use crate::fetch::{Fetch, Form, Payload, RequestBuilder};

/// Everything that a request is made of: nobody is asked for anything any more.
pub(super) struct Prepared {
    pub(super) fetch: Fetch,
    pub(super) plan: Plan,
    method: Method,
    /// The end to everything: since when, and how long.
    timeout: Option<(Instant, Duration)>,
    /// Each of many requests has the time of its own.
    is_repeated: bool,
    connect_timeout: Option<Duration>,
    login: Option<Login>,
    service: Option<String>,
    accepts_any_certificate: bool,
    fields_for_all: Vec<String>,
}

struct Login {
    name: String,
    password: Secret,
    how: How,
}

/// How a password is given to the server.
#[derive(Clone, Copy)]
enum How {
    AsAsked,
    Unasked,
    NeverInPlain,
}

impl Prepared {
    /// `read` is what the files of the plan have taken of the time for everything; what somebody
    /// takes to type a password does not count.
    pub(super) fn new(
        fetch: Fetch,
        options: &Options,
        plan: Plan,
        read: Duration,
    ) -> Result<Prepared, Failure> {
        let method = Method::from_bytes(plan.method.as_bytes())
            .map_err(|_| Failure::usage(format!("{} is no method", plan.method)))?;
        check_files(&plan.body)?;
        let login = login(options)?;
        let now = Instant::now();
        let began = now.checked_sub(read).unwrap_or(now);
        Ok(Prepared {
            fetch,
            method,
            timeout: timeout(options)?.map(|timeout| (began, timeout)),
            is_repeated: options.bench.is_some(),
            connect_timeout: time("--connect-timeout", options.connect_timeout.as_deref())?,
            login,
            service: options.sigv4.clone(),
            accepts_any_certificate: options.danger_accept_any_certificate,
            fields_for_all: options.follow_with.clone(),
            plan,
        })
    }

    pub(super) const fn has_login(&self) -> bool {
        self.login.is_some()
    }

    pub(super) fn request(&self) -> Result<RequestBuilder, Failure> {
        let address = self.plan.url.to_string();
        let mut request = self.fetch.request(self.method.clone(), &address);
        for (name, _) in &self.plan.headers {
            request = request.without_header(name);
        }
        for (name, value) in &self.plan.headers {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        for name in &self.fields_for_all {
            request = request.follow_with(name);
        }
        request = self.with_body(request)?;
        if let Some((began, timeout)) = self.timeout {
            request = match self.is_repeated {
                true => request.deadline(timeout),
                false => request.deadline_since(began, timeout),
            };
        }
        if let Some(timeout) = self.connect_timeout {
            request = request.connect_deadline(timeout);
        }
        if self.accepts_any_certificate {
            request = request.danger_accept_any_certificate();
        }
        if let Some(service) = &self.service {
            request = request.sigv4(service);
        }
        Ok(match &self.login {
            Some(Login {
                name,
                password,
                how,
            }) => match how {
                How::AsAsked => request.login(name, password.clone()),
                How::Unasked => request.basic(name, password.clone()),
                How::NeverInPlain => request.digest(name, password.clone()),
            },
            None => request,
        })
    }

    fn with_body(&self, request: RequestBuilder) -> Result<RequestBuilder, Failure> {
        Ok(match &self.plan.body {
            Body::None => request,
            Body::Json(text) => self.typed(request, "application/json").body(text.clone()),
            Body::Form(fields) => {
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                request.form(&fields)
            }
            Body::Parts(parts) => request.multipart(form(parts)),
            Body::File { path, content_type } => {
                let payload = match path.as_str() {
                    "-" => standard_input()?,
                    path => Payload::file(path),
                };
                self.typed(request, content_type).body(payload)
            }
        })
    }

    /// Says of which type the body is, unless that was typed.
    fn typed(&self, request: RequestBuilder, content_type: &str) -> RequestBuilder {
        match self.plan.has_header("content-type") {
            true => request,
            false => request.header("content-type", content_type),
        }
    }
}

/// The end of the whole exchange, if there is one.
pub(super) fn timeout(options: &Options) -> Result<Option<Duration>, Failure> {
    time("--timeout", options.timeout.as_deref())
}

fn time(option: &str, text: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    let time: Result<Expiry, String> = text.parse();
    let time = time.map_err(|error| Failure::usage(format!("{option}: {error}")))?;
    Ok(time.duration())
}

fn login(options: &Options) -> Result<Option<Login>, Failure> {
    let Some(user) = &options.user else {
        return Ok(None);
    };
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name, password.to_owned().into()),
        None => (user.as_str(), prompt::password(user, options.password)?),
    };
    let how = match (options.basic, options.digest) {
        (true, _) => How::Unasked,
        (_, true) => How::NeverInPlain,
        _ => How::AsAsked,
    };
    Ok(Some(Login {
        name: name.to_owned(),
        password,
        how,
    }))
}

/// A file that cannot be opened is better known before the server is asked.
fn check_files(body: &Body) -> Result<(), Failure> {
    let paths: Vec<&str> = match body {
        Body::File { path, .. } if path != "-" => vec![path],
        Body::Parts(parts) => parts
            .iter()
            .filter_map(|part| match part {
                Part::File { path, .. } => Some(path.as_str()),
                Part::Text { .. } => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    for path in paths {
        check_file(path).map_err(|error| Failure::input(format!("{path}: {error}")))?;
    }
    Ok(())
}

/// A pipe is not opened before it is read: that would wait for its other end, and use it up.
fn check_file(path: &str) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() {
        File::open(path)?;
    }
    Ok(())
}

fn form(parts: &[Part]) -> Form {
    parts.iter().fold(Form::new(), |form, part| match part {
        Part::Text { name, value } => form.text(name, value),
        Part::File {
            name,
            path,
            content_type,
        } => {
            let file_name = Path::new(path).file_name().unwrap_or_default();
            form.file_as(name, path, file_name.to_string_lossy(), content_type)
        }
    })
}

fn standard_input() -> Result<Payload, Failure> {
    let input = io::stdin().as_fd().try_clone_to_owned();
    let input = input.map_err(|error| Failure::input(format!("standard input: {error}")))?;
    let file = tokio::fs::File::from_std(File::from(input));
    Ok(Payload::reader(file, None))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::net::TcpListener;

    use super::*;
    use crate::fetch::{FetchError, FetchOptions};
    use crate::net::clock::Clock;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fetch: Options,
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_for_everything_is_one_for_the_files_of_the_items_and_the_exchange() {
        // It is connected to, and never answers.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", silent.local_addr().unwrap());
        for (more, waited) in [(&[][..], 1), (&["--bench", "1"], 3)] {
            let words = ["fetch", &address, "--timeout", "3 s"];
            let line = Line::try_parse_from(words.iter().chain(more)).unwrap();
            let client = FetchOptions::new(&Clock::new(Path::new("/nonexistent")));
            let plan = Plan::new(&line.fetch).unwrap();
            let read = Duration::from_secs(2);
            let prepared = Prepared::new(client.build().unwrap(), &line.fetch, plan, read);
            let begun = Instant::now();
            let request = prepared.unwrap().request().unwrap();
            let error = request.send().await.expect_err("nobody answers");
            assert!(
                matches!(error, FetchError::TooSlow { after, .. } if after.as_secs() == 3),
                "{error:?}"
            );
            assert_eq!(begun.elapsed().as_secs(), waited);
        }
    }
}
