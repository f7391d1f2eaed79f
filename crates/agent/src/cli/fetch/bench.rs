//! `--bench`: the same request again and again, and how long it took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::StatusCode;
use periwinkle_core::limits::{FETCH_BENCH_CLIENTS_MAX, FETCH_BENCH_REQUESTS_MAX};

use super::plan::Body;
use super::request::Prepared;
use super::words::{failure, verdict};
use crate::cli::failure::Failure;
use crate::cli::{human, output};
use crate::fetch::{FetchError, RequestBuilder};

/// Sends `requests` with at most `clients` on their way at a time, and prints the figures.
pub(super) async fn run(requests: u32, clients: u32, prepared: Prepared) -> Result<(), Failure> {
    within("--bench", requests, FETCH_BENCH_REQUESTS_MAX)?;
    within("--clients", clients, FETCH_BENCH_CLIENTS_MAX)?;
    if matches!(&prepared.plan.body, Body::File { path, .. } if path == "-") {
        return Err(Failure::usage(
            "--bench: standard input can be sent only once",
        ));
    }
    let prepared = Arc::new(prepared);
    let (left, seen) = (
        Arc::new(AtomicU32::new(requests)),
        Arc::<Mutex<Seen>>::default(),
    );
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients.min(requests) {
        tasks.push(tokio::spawn(client(
            prepared.clone(),
            left.clone(),
            seen.clone(),
        )));
    }
    for task in tasks {
        task.await
            .map_err(|error| Failure::internal(error.to_string()))?;
    }
    let took = begun.elapsed();
    let mut seen = seen.lock().expect("no client panics with it");
    output::print(&seen.report(took, clients))?;
    seen.verdict()
}

fn within(option: &str, number: u32, max: u32) -> Result<(), Failure> {
    match (1..=max).contains(&number) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{option}: {number} is not within 1 and {max}"
        ))),
    }
}

/// One after the other, until none is left.
async fn client(prepared: Arc<Prepared>, left: Arc<AtomicU32>, seen: Arc<Mutex<Seen>>) {
    let take = || {
        left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
    };
    while take().is_ok() {
        let begun = Instant::now();
        let outcome = match prepared.request() {
            Ok(request) => exchange(request).await.map_err(|error| failure(&error)),
            Err(mistake) => Err(mistake),
        };
        let mut seen = seen.lock().expect("no client panics with it");
        seen.add(begun.elapsed(), outcome);
    }
}

/// The status, and how long the body was.
async fn exchange(request: RequestBuilder) -> Result<(String, StatusCode, u64), FetchError> {
    let mut answer = request.send().await?;
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await? {
        bytes += piece.len() as u64;
    }
    Ok((answer.url().authority().to_owned(), answer.status(), bytes))
}

/// What came of the requests so far.
#[derive(Default)]
struct Seen {
    /// In microseconds.
    times: Vec<u32>,
    statuses: BTreeMap<StatusCode, u64>,
    bytes: u64,
    failed: u64,
    /// The first request that did not end in success.
    first: Option<Failure>,
}

impl Seen {
    fn add(&mut self, took: Duration, result: Result<(String, StatusCode, u64), Failure>) {
        let outcome = match result {
            Ok((host, status, bytes)) => {
                self.times
                    .push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
                *self.statuses.entry(status).or_default() += 1;
                self.bytes += bytes;
                verdict(&host, status)
            }
            Err(failure) => {
                self.failed += 1;
                Err(failure)
            }
        };
        if let Err(failure) = outcome {
            self.first.get_or_insert(failure);
        }
    }

    fn report(&mut self, took: Duration, clients: u32) -> String {
        self.times.sort_unstable();
        let seconds = took.as_secs_f64().max(1e-6);
        let answers = self.times.len() as f64;
        let mut text = format!(
            "requests  {} in {seconds:.3} s with {}: {:.0} per s\n",
            human::count(self.times.len() as u64),
            human::counted(u64::from(clients), "client"),
            answers / seconds
        );
        if !self.times.is_empty() {
            text += &self.shown_times();
        }
        for (status, count) in &self.statuses {
            text += &format!("answers   {status}: {}\n", human::count(*count));
        }
        if self.failed > 0 {
            text += &format!("failed    {}\n", human::count(self.failed));
        }
        let rate = (self.bytes as f64 / seconds) as u64;
        text += &format!(
            "bodies    {}, {}/s",
            human::size(self.bytes),
            human::size(rate)
        );
        text
    }

    /// In their order.
    fn shown_times(&self) -> String {
        let part = |part: f64| {
            let last = self.times.len().saturating_sub(1);
            let at = (last as f64 * part).round() as usize;
            f64::from(self.times.get(at).copied().unwrap_or_default()) / 1000.0
        };
        format!(
            "times     median {:.3} ms, 90 % {:.3} ms, 99 % {:.3} ms, longest {:.3} ms\n",
            part(0.5),
            part(0.9),
            part(0.99),
            part(1.0)
        )
    }

    /// The first request that was no success stands for all of them.
    fn verdict(&mut self) -> Result<(), Failure> {
        self.first.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_answers() {
        let mut seen = Seen::default();
        for number in 1..=100_u64 {
            let status = if number == 7 {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::OK
            };
            seen.add(Duration::from_millis(number), Ok(("h".into(), status, 10)));
        }
        let report = seen.report(Duration::from_secs(2), 4);
        assert_eq!(
            report,
            "requests  100 in 2.000 s with 4 clients: 50 per s\n\
             times     median 51.000 ms, 90 % 90.000 ms, 99 % 99.000 ms, longest 100.000 ms\n\
             answers   200 OK: 99\nanswers   404 Not Found: 1\n\
             bodies    1.0 kB, 500 bytes/s"
        );
        let failure = seen.verdict().expect_err("one was no success");
        assert_eq!(
            (failure.code, failure.to_string().as_str()),
            (14, "h answered 404 Not Found")
        );
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let mut seen = Seen::default();
        seen.add(
            Duration::from_millis(7),
            Err(Failure::unreachable("cut".to_owned())),
        );
        assert_eq!(
            seen.report(Duration::from_secs(2), 1),
            "requests  0 in 2.000 s with 1 client: 0 per s\n\
             failed    1\nbodies    0 bytes, 0 bytes/s"
        );
    }

    #[test]
    fn numbers_have_bounds() {
        for (number, good) in [(0, false), (1, true), (5, true), (6, false)] {
            assert_eq!(within("--bench", number, 5).is_ok(), good, "{number}");
        }
        assert!(
            within(
                "--clients",
                FETCH_BENCH_CLIENTS_MAX,
                FETCH_BENCH_CLIENTS_MAX
            )
            .is_ok()
        );
        assert!(
            within(
                "--bench",
                FETCH_BENCH_REQUESTS_MAX + 1,
                FETCH_BENCH_REQUESTS_MAX
            )
            .is_err()
        );
    }
}
