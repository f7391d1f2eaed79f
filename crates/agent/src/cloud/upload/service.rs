//! The service `upload`: sends what waits, looks for files, clears away what is over.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use periwinkle_core::time::Mono;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::clear::{clear_ended, clear_orphans};
use super::drive::{Ended, at, drive};
use super::hub::{Hub, Running};
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
    /// The last clearing did not know the time.
    clears_when_trusted: bool,
    /// Pauses of uploads that failed, by their ids.
    pauses: BTreeMap<String, Backoff>,
    /// The trouble that the log knows of.
    logged: Option<String>,
}

enum Errand {
    Looked(Option<Duration>),
    /// Whether the time could be trusted, without which nothing is old.
    Cleared(bool),
}

impl Shell {
    fn new(hub: Arc<Hub>) -> Shell {
        Shell {
            looks: Arc::new(Mutex::new(Looks::new(&hub.config.watch))),
            drivers: JoinSet::new(),
            errands: JoinSet::new(),
            look_due: Some(Instant::now()),
            clear_due: Some(Instant::now()),
            clears_when_trusted: false,
            pauses: BTreeMap::new(),
            logged: None,
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
            let free = self.drivers.len() < hub.config.parallel as usize;
            let next = hub.queue().poll_timeout().filter(|_| free);
            let next = next.map(|at| Instant::now() + at.since(hub.clock.mono()));
            let sign_of_life = Instant::now() + limits::UPLOAD_SILENCE_MAX / 4;
            tokio::select! {
                () = ctx.stop.requested() => return Ok(()),
                Some(ended) = self.drivers.join_next() => self.take_ended(ended?).await,
                Some(errand) = self.errands.join_next() => self.take_errand(&errand?),
                () = hub.wake.notified() => {}
                () = at(next) => {}
                () = at(self.look_due) => self.start_look(),
                () = at(self.clear_due) => self.start_clearing(),
                () = at(Some(sign_of_life)) => {}
            }
        }
    }

    fn start_drivers(&mut self) {
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
        let sent = Arc::new(AtomicU64::new(0));
        let cancel = watch::Sender::new(false);
        let cancelled = cancel.subscribe();
        let running = Running {
            sent: sent.clone(),
            cancel,
        };
        self.hub.running().insert(row.id.clone(), running);
        let hub = self.hub.clone();
        tracing::debug!(key = %row.key, bytes = row.bytes, "an upload begins");
        self.drivers.spawn(async move {
            let ended = drive(&hub, row.clone(), sent, cancelled).await;
            (row, ended)
        });
    }

    async fn take_ended(&mut self, (row, ended): (Row, Ended)) {
        let cancelled = self.hub.running().get(&row.id).cloned();
        let cancelled = cancelled.is_some_and(|running| *running.cancel.borrow());
        let ended = match ended {
            // What S3 still has of it is cleared with the orphans.
            Ended::Later { why, .. } if cancelled => Ended::Over(State::Aborted, why),
            ended => ended,
        };
        let written = match ended {
            Ended::Done { etag } => {
                self.log_good();
                // S3 has just told the time.
                if std::mem::take(&mut self.clears_when_trusted) {
                    self.clear_due = Some(Instant::now());
                }
                self.hub.end(&row, State::Done, (etag, None)).await
            }
            Ended::Over(state, why) => {
                tracing::info!(key = %row.key, "an upload is over: {why}");
                self.hub.end(&row, state, (None, Some(why))).await
            }
            Ended::Later { why, refused } => {
                self.log_trouble(&why);
                let pause = self.pause(&row.id, refused);
                let not_before = self.hub.clock.mono() + pause;
                self.hub.postpone(&row, (&why, refused), not_before);
                return;
            }
        };
        self.pauses.remove(&row.id);
        match written {
            // Another of the same file may be waiting to be seen.
            Ok(()) if row.watched => self.look_soon(),
            Ok(()) => {}
            // The end is not on the disk, so it has not ended: the same is done again.
            Err(error) => {
                let why = format!("the end of an upload cannot be written: {error}");
                self.log_trouble(&why);
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

    /// One line when a trouble begins and one when something is uploaded again.
    fn log_trouble(&mut self, why: &str) {
        if self.logged.as_deref() != Some(why) {
            tracing::warn!("uploads wait: {why}");
            self.logged = Some(why.to_owned());
        }
    }

    fn log_good(&mut self) {
        if self.logged.take().is_some() {
            tracing::info!("uploads go on");
        }
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
        self.errands.spawn(async move {
            let trusted = hub.trusted_ms().is_some();
            clear_ended(&hub).await;
            clear_orphans(&hub).await;
            Errand::Cleared(trusted)
        });
    }

    fn take_errand(&mut self, errand: &Errand) {
        match errand {
            Errand::Looked(soon) => {
                let interval = self.hub.config.interval;
                let wait = soon.map_or(interval, |soon| soon.min(interval));
                self.look_due = Some(Instant::now() + wait);
            }
            Errand::Cleared(trusted) => {
                self.clears_when_trusted = !trusted;
                self.clear_due = Some(Instant::now() + limits::UPLOAD_CLEAR_INTERVAL);
            }
        }
    }
}
