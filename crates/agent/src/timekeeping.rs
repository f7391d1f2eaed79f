//! The service `time`: sees when somebody sets the system's clock, asks the daemons that keep it,
//! and keeps the time for the next start.

use periwinkle_core::limits;
use periwinkle_core::wall::Source;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::net::clock::Clock;
use crate::net::time_daemons::TimeDaemons;
use crate::supervise::{ServiceContext, ServiceError};

/// Runs until it is asked to stop; then the time is kept once more.
pub async fn run(daemons: TimeDaemons, mut ctx: ServiceContext) -> Result<(), ServiceError> {
    let mut keeper = Keeper::new(ctx.clock.clone(), daemons);
    ctx.ready();
    let mut look = interval(limits::CLOCK_LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ctx.stop.requested() => break,
            now = look.tick() => keeper.look(now).await,
        }
    }
    keeper.keep(Instant::now()).await;
    Ok(())
}

struct Keeper {
    clock: Clock,
    daemons: TimeDaemons,
    /// When the daemons were asked, and how often the clock had been set by then.
    asked: Option<(Instant, u64)>,
    kept: Option<Instant>,
    /// Who is in the log as the one who confirmed the time.
    named: Option<Source>,
}

impl Keeper {
    const fn new(clock: Clock, daemons: TimeDaemons) -> Keeper {
        Keeper {
            clock,
            daemons,
            asked: None,
            kept: None,
            named: None,
        }
    }

    async fn look(&mut self, now: Instant) {
        // Looks for marks, too.
        let steps = self.clock.steps();
        let is_fresh = |(at, before): (Instant, u64)| {
            before == steps && now.duration_since(at) < limits::CLOCK_ASK_INTERVAL
        };
        if !self.asked.is_some_and(is_fresh) {
            self.asked = Some((now, steps));
            self.daemons.ask(&self.clock).await;
        }
        self.name_who_confirmed();
        let is_kept = |at| now.duration_since(at) < limits::CLOCK_KEEP_INTERVAL;
        if self.clock.now().trusted && !self.kept.is_some_and(is_kept) {
            self.keep(now).await;
        }
    }

    fn name_who_confirmed(&mut self) {
        let Some(last) = self.clock.confirmation() else {
            return;
        };
        if self.named.is_none() {
            tracing::info!("the time is confirmed by {}", last.source.as_str());
        } else if self.named != Some(last.source) {
            tracing::debug!("the time is confirmed by {} now", last.source.as_str());
        }
        self.named = Some(last.source);
    }

    /// What cannot be written now is written next time.
    async fn keep(&mut self, now: Instant) {
        self.kept = Some(now);
        let clock = self.clock.clone();
        match spawn_blocking(move || clock.keep()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the time cannot be kept for the next start: {error}"),
            Err(error) => tracing::warn!("the time is not kept for the next start: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_is_kept_when_it_is_confirmed_and_again_after_hours() {
        let state = tempfile::tempdir().expect("a folder");
        let path = state.path().join("last-time");
        let clock = Clock::alone(state.path());
        let mut keeper = Keeper::new(clock.clone(), TimeDaemons::nowhere());
        keeper.look(Instant::now()).await;
        assert!(!path.exists());
        let (_, steps) = keeper.asked.expect("nobody was there to answer");
        assert_eq!(steps, 0);

        keeper.daemons = TimeDaemons::nowhere().with_chrony().await;
        // The daemons were asked just now.
        keeper.look(Instant::now()).await;
        assert!(!path.exists());
        tokio::time::advance(limits::CLOCK_ASK_INTERVAL).await;
        keeper.look(Instant::now()).await;
        assert_eq!(keeper.named, Some(Source::Chrony));
        fs::remove_file(&path).expect("it was written");

        tokio::time::advance(limits::CLOCK_KEEP_INTERVAL - Duration::from_secs(1)).await;
        keeper.look(Instant::now()).await;
        assert!(!path.exists());
        tokio::time::advance(Duration::from_secs(1)).await;
        keeper.look(Instant::now()).await;
        assert!(path.exists());
    }
}
