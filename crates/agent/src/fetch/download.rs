//! Downloads to a file that go on where they were cut, in this run of the program or a later one.
//!
//! While a download runs, the bytes are in `NAME.part`, and `NAME.part.tag` holds what tells this
//! state of the file from others: the entity tag, the length, and a hash of the address.

use std::path::PathBuf;
use std::time::Duration;

use http::header::RANGE;
use periwinkle_core::fetch::range::{Continuation, ExpectedHash, Partial, RangeAnswer, RangeError};
use periwinkle_core::fetch::retry::{Failure, is_idempotent};
use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::client::Fetch;
use super::error::{FetchError, Phase};
use super::part::Part;
use super::progress::Progress;
use super::request::{Parts, RequestBuilder};
use crate::net::entropy;

/// A download under construction.
#[derive(Debug)]
#[must_use = "a download does nothing until it is run"]
pub struct Download {
    fetch: Fetch,
    request: Result<Box<Parts>, FetchError>,
    path: PathBuf,
    hash: Option<Result<ExpectedHash, FetchError>>,
    progress: Option<watch::Sender<Progress>>,
    restarts: bool,
    attempts_max: u32,
}

/// A file that was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Its length.
    pub bytes: u64,
    /// How many of them an earlier run had left.
    pub resumed_from: u64,
    /// The entity tag, where there was a strong one.
    pub etag: Option<String>,
}

impl Fetch {
    /// Downloads a file; see [`RequestBuilder::download`] for one that needs more than an address.
    pub fn download(&self, url: &str, path: impl Into<PathBuf>) -> Download {
        self.get(url).download(path)
    }
}

impl RequestBuilder {
    /// Downloads the answer to a file, which appears under its name when it is complete. What was
    /// cut is asked for from there on, if the server tells the states of the file apart; what an
    /// earlier run left is taken up. Where the request asks for a part (`Range`), that is the file, or
    /// all of it from a server that knows no parts; it is begun anew each time.
    pub fn download(self, path: impl Into<PathBuf>) -> Download {
        let (fetch, request) = self.undecoded().into_parts();
        Download {
            fetch,
            request,
            path: path.into(),
            hash: None,
            progress: None,
            restarts: false,
            attempts_max: limits::FETCH_DOWNLOAD_ATTEMPTS_MAX,
        }
    }
}

impl Download {
    /// The SHA-256 that the file must have, in 64 hexadecimal digits.
    pub fn sha256(mut self, digits: &str) -> Download {
        let wrong = || FetchError::Request(format!("{digits:?} is no SHA-256"));
        self.hash = Some(ExpectedHash::parse(digits).ok_or_else(wrong));
        self
    }

    /// Tells how far the file has come.
    pub fn progress(mut self, progress: watch::Sender<Progress>) -> Download {
        self.progress = Some(progress);
        self
    }

    /// Begins anew, whatever an earlier run left.
    pub const fn restart(mut self) -> Download {
        self.restarts = true;
        self
    }

    /// How many connections may end before the download fails. Each one that goes on with the file and
    /// brings more of it gives back those that were spent before it; one that begins the file anew
    /// is spent for good, as with a server that cannot give the rest of a file.
    pub const fn attempts(mut self, attempts_max: u32) -> Download {
        self.attempts_max = attempts_max;
        self
    }

    /// Downloads the file. Dropping the future leaves what there is for another run.
    ///
    /// # Errors
    /// [`FetchError::Downloading`] when somebody else downloads to this file; otherwise why the file
    /// is not there; what there is of it stays, but for a file with a wrong hash.
    pub async fn run(self) -> Result<Downloaded, FetchError> {
        let hash = self.hash.transpose()?;
        let request = self.request?;
        let mut transfer = Transfer {
            fetch: self.fetch,
            began: request.began.unwrap_or_else(Instant::now),
            request,
            begun: 0,
            is_at_beginning: false,
            furthest: 0,
            part: Part::claim(self.path).await?,
            known: Partial::default(),
            expected: hash.clone(),
            hash,
            progress: self.progress,
        };
        if self.restarts || transfer.is_of_part() {
            transfer.part.clear().await?;
        } else {
            transfer.take_up().await?;
        }
        let resumed_from = transfer.known.received;
        transfer.furthest = resumed_from;
        transfer.run(self.attempts_max).await?;
        transfer.finish().await?;
        Ok(Downloaded {
            bytes: transfer.known.received,
            resumed_from: resumed_from.min(transfer.known.received),
            etag: transfer.known.etag,
        })
    }
}

/// A download under way.
struct Transfer {
    fetch: Fetch,
    request: Box<Parts>,
    began: Instant,
    /// How often the file was begun.
    begun: u32,
    /// Whether the last connection did.
    is_at_beginning: bool,
    /// How far this state of the file had come before it.
    furthest: u64,
    part: Part,
    known: Partial,
    /// Before a byte of the file went into it.
    expected: Option<ExpectedHash>,
    hash: Option<ExpectedHash>,
    progress: Option<watch::Sender<Progress>>,
}

/// What one connection came to.
enum Step {
    Complete,
    Cut(FetchError),
    /// No answer began, in so many attempts.
    Unanswered(FetchError, u32),
}

impl Transfer {
    /// Takes up what an earlier run left.
    async fn take_up(&mut self) -> Result<(), FetchError> {
        if let Some(known) = self.part.known(&self.request.url).await {
            self.known = known;
            self.hash_what_is_there().await?;
        }
        Ok(())
    }

    async fn hash_what_is_there(&mut self) -> Result<(), FetchError> {
        let Some(hash) = &mut self.hash else {
            return Ok(());
        };
        let failed = |source| self.part.failed(source);
        let mut file = File::open(self.part.path()).await.map_err(failed)?;
        let mut piece = vec![0; limits::FETCH_PIECE_BYTES];
        loop {
            match file.read(&mut piece).await.map_err(failed)? {
                0 => return Ok(()),
                read => hash.update(&piece[..read]),
            }
        }
    }

    async fn run(&mut self, attempts_max: u32) -> Result<(), FetchError> {
        let attempts_max = match self.may_go_again() {
            true => attempts_max.max(1),
            false => 1,
        };
        let mut backoff = backoff();
        let mut left = attempts_max;
        loop {
            let (error, spent) = match self.step(left).await? {
                Step::Complete => return Ok(()),
                Step::Cut(error) => (error, 1),
                Step::Unanswered(error, attempts) => (error, attempts),
            };
            if self.has_come_further() {
                left = attempts_max.saturating_sub(self.begun.saturating_sub(1));
                backoff = self::backoff();
            }
            left = left.saturating_sub(spent);
            let pause = backoff.next_pause(entropy::chance());
            if left == 0 || self.left().is_some_and(|left| left <= pause) {
                return Err(error);
            }
            tracing::debug!(%error, "a download goes on");
            sleep(pause).await;
        }
    }

    /// Whether the request itself asks for a part: its answer is the file, which nothing goes on with.
    fn is_of_part(&self) -> bool {
        self.request.headers.contains_key(RANGE)
    }

    /// Whether asking twice does no harm.
    fn may_go_again(&self) -> bool {
        self.request.repeatable || is_idempotent(self.request.method.as_str())
    }

    /// Whether the last connection went on with the file, and brought what none before it had. What
    /// one brings of a file that it begins is no progress: the next one may begin it, too.
    fn has_come_further(&mut self) -> bool {
        let further = !self.is_at_beginning && self.known.received > self.furthest;
        self.furthest = self.known.received;
        further
    }

    /// What is left of the time for everything, if there is an end to it.
    fn left(&self) -> Option<Duration> {
        let total = self.request.deadlines.total?;
        Some(total.saturating_sub(self.began.elapsed()))
    }

    /// One connection.
    async fn step(&mut self, left: u32) -> Result<Step, FetchError> {
        self.is_at_beginning = false;
        let retries = self.request.retries_max.min(left - 1);
        let answer = match self.ask(retries).await {
            Ok(answer) => answer,
            Err(error) if is_passing(&error) => return Ok(Step::Unanswered(error, retries + 1)),
            Err(error) => return Err(error),
        };
        let judged = match self.is_of_part() && matches!(answer.status().as_u16(), 200 | 206) {
            true => Ok(Continuation::StartOver(Partial {
                length: answer.length(),
                ..Partial::default()
            })),
            false => self.known.judge(RangeAnswer {
                status: answer.status().as_u16(),
                etag: answer.header("etag"),
                content_length: answer.length(),
                content_range: answer.header("content-range"),
            }),
        };
        let file = match judged {
            Ok(Continuation::Complete) => return Ok(Step::Complete),
            Ok(Continuation::Append) => self.part.append().await?,
            Ok(Continuation::StartOver(known)) => self.start_over(known).await?,
            Err(RangeError::Status(_)) => {
                answer.success().await?;
                let source = RangeError::OtherPart;
                return Err(self.unfit(source));
            }
            Err(source @ RangeError::Unasked) => return Err(self.unfit(source)),
            Err(source) => {
                // What is there belongs to another state of the file.
                self.part.clear().await?;
                self.known = Partial::default();
                self.hash.clone_from(&self.expected);
                return Ok(Step::Cut(self.unfit(source)));
            }
        };
        self.receive(answer, file).await
    }

    async fn ask(&self, retries: u32) -> Result<Answer, FetchError> {
        let once = || FetchError::Request("a download has no body that is read once".to_owned());
        let parts = self.request.again().ok_or_else(once)?;
        let mut request =
            RequestBuilder::from_parts(self.fetch.clone(), Box::new(parts)).retries(retries);
        // Ranges count the bytes as they are.
        request = request.header("accept-encoding", "identity");
        for (name, value) in self.known.fields() {
            request = request.header(name, &value);
        }
        if let Some(left) = self.left() {
            request = request.deadline(left);
        }
        request.send().await.map_err(|error| self.in_all(error))
    }

    /// The deadline is one for everything, also where the last connection had only the rest of it.
    fn in_all(&self, error: FetchError) -> FetchError {
        match (error, self.request.deadlines.total) {
            (FetchError::TooSlow { host, phase, .. }, Some(after)) if phase == Phase::Total => {
                FetchError::TooSlow { host, phase, after }
            }
            (error, _) => error,
        }
    }

    async fn start_over(&mut self, known: Partial) -> Result<File, FetchError> {
        self.begun += 1;
        self.is_at_beginning = true;
        self.known = known;
        self.hash.clone_from(&self.expected);
        self.part.begin(&self.known, &self.request.url).await
    }

    async fn receive(&mut self, mut answer: Answer, file: File) -> Result<Step, FetchError> {
        let mut file = BufWriter::with_capacity(limits::FETCH_PIECE_BYTES, file);
        let cut = loop {
            match answer.chunk().await {
                Ok(Some(piece)) => {
                    file.write_all(&piece)
                        .await
                        .map_err(|error| self.part.failed(error))?;
                    self.note(&piece);
                }
                Ok(None) => break None,
                Err(error) if is_passing(&error) => break Some(error),
                Err(error) => {
                    file.flush()
                        .await
                        .map_err(|error| self.part.failed(error))?;
                    return Err(self.in_all(error));
                }
            }
        };
        file.flush()
            .await
            .map_err(|error| self.part.failed(error))?;
        let short = self
            .known
            .length
            .is_some_and(|length| self.known.received < length);
        Ok(match cut {
            Some(error) => Step::Cut(error),
            None if short => Step::Cut(self.unfit(RangeError::OtherPart)),
            None => Step::Complete,
        })
    }

    fn note(&mut self, piece: &[u8]) {
        if let Some(hash) = &mut self.hash {
            hash.update(piece);
        }
        self.known.received += piece.len() as u64;
        if let Some(progress) = &self.progress {
            progress.send_replace(Progress {
                bytes: self.known.received,
                length: self.known.length,
            });
        }
    }

    async fn finish(&mut self) -> Result<(), FetchError> {
        if let Some(hash) = self.hash.take()
            && let Err(source) = hash.finish()
        {
            self.part.clear().await?;
            return Err(FetchError::Checksum {
                path: self.part.target().to_owned(),
                source,
            });
        }
        self.part.complete(self.known.received).await
    }

    fn unfit(&self, source: RangeError) -> FetchError {
        FetchError::Range {
            host: self.request.url.authority().to_owned(),
            source,
        }
    }
}

const fn backoff() -> Backoff {
    Backoff::full(limits::FETCH_BACKOFF_MIN, limits::FETCH_BACKOFF_MAX)
}

/// Whether another connection may bring more.
fn is_passing(error: &FetchError) -> bool {
    matches!(
        error.failure(),
        Some(Failure::Cut | Failure::TimedOut | Failure::NotConnected)
    ) || matches!(
        error,
        FetchError::TooSlow {
            phase: Phase::Reading,
            ..
        }
    )
}
