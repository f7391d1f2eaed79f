//! The service `upload`: sends what waits, looks for files, clears away what is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use periwinkle_core::time::Mono;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clear::{clear_ended, clear_orphans, interval};
use super::drive::{Ended, at, drive};
use super::hub::{End, Hub, Running};
use super::look::Looks;
use super::row::{Row, State};
use crate::net::entropy;
use crate::supervise::{Service, ServiceContext, ServiceError};

/// The entry for the supervisor.
pub(super) fn service(hub: Arc<Hub>) -> Service {
    let run = move |ctx: ServiceContext| {
        let hub = hub.clone();
        async move { Shell::new(hub).run(ctx).await }
    };
    Service::new("upload", run).beats_within(limits::UPLOAD_SILENCE_MAX)
}

struct Shell {
    hub: Arc<Hub>,
    looks: Arc<Mutex<Looks>>,
    drivers: JoinSet<(Row, Ended)>,
    /// What is done beside them: looks at folders, and clearing.
    errands: JoinSet<Errand>,
    look_due: Option<Instant>,
    clear_due: Option<Instant>,
    /// What S3 has of uploads that nobody knows is looked for less often.
    orphans_due: Instant,
    /// Something could not be removed or given up.
    left: Backoff,
    /// The last clearing did not know the time.
    clears_when_trusted: bool,
    /// Nothing can be signed: what waits is left alone until it can.
    lacks_credentials: bool,
    /// Pauses of uploads that failed, by their ids.
    pauses: BTreeMap<String, Backoff>,
}

enum Errand {
    Looked(Option<Duration>),
    Cleared {
        /// Whether the time could be trusted, without which nothing is old.
        trusted: bool,
        /// Rows with something that could not be removed or given up.
        left: usize,
    },
}

impl Shell {
    fn new(hub: Arc<Hub>) -> Shell {
        Shell {
            looks: Arc::new(Mutex::new(Looks::new(&hub.config.watch))),
            drivers: JoinSet::new(),
            errands: JoinSet::new(),
            look_due: Some(Instant::now()),
            clear_due: Some(Instant::now()),
            orphans_due: Instant::now(),
            left: Backoff::decorrelated(limits::UPLOAD_PAUSE_MIN, limits::UPLOAD_CLEAR_INTERVAL),
            clears_when_trusted: false,
            lacks_credentials: false,
            pauses: BTreeMap::new(),
            hub,
        }
    }

    async fn run(mut self, mut ctx: ServiceContext) -> Result<(), ServiceError> {
        // An earlier life of this service may have been cut off while it sent.
        let cut_off: Vec<String> = self.hub.running().keys().cloned().collect();
        for id in cut_off {
            self.hub.running().remove(&id);
            self.hub.queue().put_back(&id, Mono::ZERO);
        }
        ctx.ready();
        let heartbeat = ctx.heartbeat();
        loop {
            self.start_drivers();
            heartbeat.beat();
            let hub = self.hub.clone();
            let free = self.drivers.len() < hub.config.parallel as usize && !self.lacks_credentials;
            let look = Instant::now() + limits::UPLOAD_CREDENTIALS_INTERVAL;
            let next = hub.queue().poll_timeout().filter(|_| free);
            let next = next.map(|at| Instant::now() + at.since(hub.clock.mono()));
            let sign_of_life = Instant::now() + limits::UPLOAD_SILENCE_MAX / 4;
            tokio::select! {
                () = ctx.stop.requested() => return Ok(()),
                Some(ended) = self.drivers.join_next() => self.take_ended(ended?).await,
                Some(errand) = self.errands.join_next() => self.take_errand(&errand?),
                () = hub.wake.notified() => {}
                () = at(next) => {}
                () = at(Some(look)), if self.lacks_credentials => {}
                () = at(self.look_due) => self.start_look(),
                () = at(self.clear_due) => self.start_clearing(),
                () = at(Some(sign_of_life)) => {}
            }
        }
    }

    fn start_drivers(&mut self) {
        self.lacks_credentials = !self.hub.look_for_credentials();
        if self.lacks_credentials {
            return;
        }
        while self.drivers.len() < self.hub.config.parallel as usize {
            let now = self.hub.clock.mono();
            let Some(id) = self.hub.queue().take(now) else {
                return;
            };
            match self.hub.row(&id) {
                Ok(row) if row.state == State::Waiting => self.start_driver(row),
                Ok(_) | Err(super::UploadError::Unknown(_)) => {
                    self.hub.queue().remove(&id);
                }
                Err(error) => {
                    tracing::warn!("the row of an upload cannot be read: {error}");
                    self.hub
                        .queue()
                        .put_back(&id, now + limits::UPLOAD_PAUSE_MIN);
                }
            }
        }
    }

    fn start_driver(&mut self, row: Row) {
        let running = Running::default();
        let id = row.id.clone();
        self.hub.running().insert(id, running.clone());
        let hub = self.hub.clone();
        tracing::debug!(key = %row.key, bytes = row.bytes, "an upload begins");
        self.drivers.spawn(async move {
            let ended = drive(&hub, row.clone(), running).await;
            (row, ended)
        });
    }

    async fn take_ended(&mut self, (row, ended): (Row, Ended)) {
        let cancelled = self.hub.running().get(&row.id).cloned();
        let cancelled = cancelled.is_some_and(|running| *running.cancel.borrow());
        let ended = match ended {
            Ended::Later { why, .. } if cancelled => Ended::Left(State::Aborted, why),
            ended => ended,
        };
        let has_parts = matches!(ended, Ended::Left(..));
        let written = match ended {
            Ended::Done { etag } => {
                self.hub.log_good();
                // S3 has just told the time.
                if std::mem::take(&mut self.clears_when_trusted) {
                    self.clear_due = Some(Instant::now());
                }
                let end = End {
                    etag,
                    ..End::of(State::Done)
                };
                self.hub.end(&row, end).await
            }
            Ended::Over(state, why) | Ended::Left(state, why) => {
                match state {
                    State::Aborted => tracing::info!(key = %row.key, "an upload is over: {why}"),
                    _ => tracing::warn!(key = %row.key, "an upload is lost: {why}"),
                }
                let end = End {
                    error: Some(why),
                    has_parts,
                    ..End::of(state)
                };
                self.hub.end(&row, end).await
            }
            Ended::Later { why, refused } => {
                self.hub.log_trouble(&why);
                let pause = self.pause(&row.id, refused);
                let not_before = self.hub.clock.mono() + pause;
                self.hub.postpone(&row, (&why, refused), not_before);
                return;
            }
        };
        self.pauses.remove(&row.id);
        match written {
            Ok(is_clear) => {
                if !is_clear {
                    self.clear_soon();
                }
                // Another of the same file may be waiting to be seen.
                if row.watched {
                    self.look_soon();
                }
            }
            // The end is not on the disk, so it has not ended: the same is done again.
            Err(error) => {
                let why = format!("the end of an upload cannot be written: {error}");
                self.hub.log_trouble(&why);
                let not_before = self.hub.clock.mono() + limits::UPLOAD_PAUSE_MIN;
                self.hub.postpone(&row, (&why, false), not_before);
            }
        }
    }

    fn pause(&mut self, id: &str, refused: bool) -> Duration {
        if refused {
            return limits::UPLOAD_REFUSED_PAUSE;
        }
        let first = || Backoff::decorrelated(limits::UPLOAD_PAUSE_MIN, limits::UPLOAD_PAUSE_MAX);
        let backoff = self.pauses.entry(id.to_owned()).or_insert_with(first);
        backoff.next_pause(entropy::chance())
    }

    fn look_soon(&mut self) {
        if self.look_due.is_some() {
            self.look_due = Some(Instant::now());
        }
    }

    fn start_look(&mut self) {
        self.look_due = None;
        if self.hub.config.watch.is_empty() {
            return;
        }
        let (hub, looks) = (self.hub.clone(), self.looks.clone());
        self.errands
            .spawn(async move { Errand::Looked(Looks::look(&looks, &hub).await) });
    }

    fn start_clearing(&mut self) {
        self.clear_due = None;
        let hub = self.hub.clone();
        let trusted = hub.trusted_ms().is_some();
        let orphans = trusted && Instant::now() >= self.orphans_due;
        if orphans {
            self.orphans_due = Instant::now() + limits::UPLOAD_CLEAR_INTERVAL;
        }
        self.errands.spawn(async move {
            let left = clear_ended(&hub).await;
            if orphans {
                clear_orphans(&hub).await;
            }
            Errand::Cleared { trusted, left }
        });
    }

    /// What could not be removed or given up for the first time is tried again before long.
    fn clear_soon(&mut self) {
        if self.left.attempts() == 0 {
            let soon = Instant::now() + self.left.next_pause(entropy::chance());
            self.clear_due = self.clear_due.map(|due| due.min(soon));
        }
    }

    fn take_errand(&mut self, errand: &Errand) {
        match errand {
            Errand::Looked(soon) => {
                let interval = self.hub.config.interval;
                let wait = soon.map_or(interval, |soon| soon.min(interval));
                self.look_due = Some(Instant::now() + wait);
            }
            Errand::Cleared { trusted, left } => {
                self.clears_when_trusted = !trusted;
                let mut wait = interval(&self.hub.config);
                match left {
                    0 => self.left.reset(),
                    _ => wait = wait.min(self.left.next_pause(entropy::chance())),
                }
                self.clear_due = Some(Instant::now() + wait);
            }
        }
    }
}
