//! Keeps services running: starts them in order, restarts what crashed or got stuck, stops them
//! in reverse order within a bound.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use periwinkle_core::limits;
use periwinkle_core::retry::Backoff;
use periwinkle_core::time::Mono;
use serde::Serialize;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinHandle};

use crate::net::clock::Clock;
use crate::net::entropy;
use crate::stop::{Stop, Stopper, stop};

/// Why a service ended; the supervisor shows the text and starts the service again.
#[derive(Debug)]
pub struct ServiceError(String);

impl ServiceError {
    /// An error that says what happened and, where there is something to do, what.
    pub fn new(text: impl Into<String>) -> ServiceError {
        ServiceError(text.into())
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for ServiceError {
    fn from(error: E) -> ServiceError {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        ServiceError(text)
    }
}

/// What a service gets each time it is started.
#[derive(Debug)]
pub struct ServiceContext {
    /// Resolves when the service shall end.
    pub stop: Stop,
    /// The clocks.
    pub clock: Clock,
    heartbeat: Heartbeat,
    ready: Option<oneshot::Sender<()>>,
}

impl ServiceContext {
    /// Says that the service serves now; the next one in the order starts.
    pub fn ready(&mut self) {
        self.heartbeat.beat();
        if let Some(ready) = self.ready.take() {
            // Nobody waits any more when the start took longer than the supervisor's patience.
            let _ = ready.send(());
        }
    }

    /// The sign of life to give at least as often as the service promised.
    pub fn heartbeat(&self) -> Heartbeat {
        self.heartbeat.clone()
    }
}

/// A sign of life; a service that promised one and fails to give it is restarted.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    clock: Clock,
    last_ms: Arc<AtomicU64>,
}

impl Heartbeat {
    fn new(clock: &Clock) -> Heartbeat {
        let heartbeat = Heartbeat {
            clock: clock.clone(),
            last_ms: Arc::default(),
        };
        heartbeat.beat();
        heartbeat
    }

    /// The service is alive.
    pub fn beat(&self) {
        self.last_ms
            .store(millis(self.clock.mono()), Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let last = self.last_ms.load(Ordering::Relaxed);
        Duration::from_millis(millis(self.clock.mono()).saturating_sub(last))
    }
}

fn millis(at: Mono) -> u64 {
    u64::try_from(at.since_start().as_millis()).unwrap_or(u64::MAX)
}

type Running = Pin<Box<dyn Future<Output = Result<(), ServiceError>> + Send>>;
type Start = Box<dyn FnMut(ServiceContext) -> Running + Send>;

/// One entry of the list of services: a name and how to start it.
pub struct Service {
    name: &'static str,
    silence_max: Option<Duration>,
    start: Start,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service that `start` runs, each time anew.
    pub fn new<F, R>(name: &'static str, mut start: F) -> Service
    where
        F: FnMut(ServiceContext) -> R + Send + 'static,
        R: Future<Output = Result<(), ServiceError>> + Send + 'static,
    {
        Service {
            name,
            silence_max: None,
            start: Box::new(move |ctx| Box::pin(start(ctx))),
        }
    }

    /// Promises a heartbeat at least this often; a longer silence counts as being stuck.
    #[must_use]
    pub fn beats_within(mut self, silence_max: Duration) -> Service {
        self.silence_max = Some(silence_max);
        self
    }
}

/// How a service is, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceStatus {
    /// The service's one word.
    pub name: &'static str,
    /// What it does now.
    pub state: ServiceState,
    /// When that began, in milliseconds since the agent started.
    pub since_ms: u64,
    /// How often it was started again after a failure.
    pub restarts: u32,
    /// Why it ended last, if it ever did.
    pub error: Option<String>,
}

/// The states that a service passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// It has been started and has not said yet that it serves.
    Starting,
    /// It serves.
    Running,
    /// It failed and will be started again.
    Backoff,
    /// It ended because it was asked to, or because its work was done.
    Stopped,
}

/// Starts, watches and stops a list of services.
#[derive(Debug)]
pub struct Supervisor {
    clock: Clock,
    states: watch::Sender<Vec<ServiceStatus>>,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    name: &'static str,
    stopper: Stopper,
    task: JoinHandle<()>,
}

impl Supervisor {
    /// A supervisor with nothing to do yet.
    pub fn new(clock: Clock) -> Supervisor {
        Supervisor {
            clock,
            states: watch::Sender::new(Vec::new()),
            kept: Vec::new(),
        }
    }

    /// The states of all services, in start order.
    pub fn states(&self) -> watch::Receiver<Vec<ServiceStatus>> {
        self.states.subscribe()
    }

    /// Starts a service and waits until it serves, failed, or took too long.
    ///
    /// Dropping the future leaves the service running.
    pub async fn start(&mut self, service: Service) {
        let (stopper, stop) = stop();
        let (ready, is_ready) = oneshot::channel();
        let name = service.name;
        let index = self.states.borrow().len();
        let status = ServiceStatus {
            name,
            state: ServiceState::Starting,
            since_ms: millis(self.clock.mono()),
            restarts: 0,
            error: None,
        };
        self.states.send_modify(|states| states.push(status));
        let board = Board {
            index,
            clock: self.clock.clone(),
            states: self.states.clone(),
        };
        let task = tokio::spawn(keep(service, board, stop, ready));
        self.kept.push(Kept {
            name,
            stopper,
            task,
        });
        // A service that fails or is slow does not hold up the others.
        let _ = tokio::time::timeout(limits::SERVICE_START_MAX, is_ready).await;
    }

    /// Stops all services, the last started first, within `bound` in all.
    ///
    /// What does not end in time is cut off and named in the log. Dropping the future leaves the
    /// services that were not reached running.
    pub async fn stop(mut self, bound: Duration) {
        let deadline = tokio::time::Instant::now() + bound;
        while let Some(Kept {
            name,
            stopper,
            mut task,
        }) = self.kept.pop()
        {
            // An equal share of what is left, so that one that hangs leaves time for the others.
            let shares = u32::try_from(self.kept.len() + 1).unwrap_or(u32::MAX);
            let share = deadline.saturating_duration_since(tokio::time::Instant::now()) / shares;
            stopper.stop_within(share);
            if tokio::time::timeout(share, &mut task).await.is_err() {
                task.abort();
                tracing::warn!(service = name, "did not stop in time and was cut off");
            }
        }
    }
}

/// Where one keeper writes the state of its service.
struct Board {
    index: usize,
    clock: Clock,
    states: watch::Sender<Vec<ServiceStatus>>,
}

impl Board {
    fn show(&self, state: ServiceState) {
        self.change(|status| status.state = state);
    }

    fn failed(&self, error: &str) {
        self.change(|status| {
            status.state = ServiceState::Backoff;
            status.restarts += 1;
            status.error = Some(error.to_owned());
        });
    }

    fn change(&self, change: impl FnOnce(&mut ServiceStatus)) {
        let since_ms = millis(self.clock.mono());
        self.states.send_modify(|states| {
            let status = &mut states[self.index];
            change(status);
            status.since_ms = since_ms;
        });
    }
}

enum Ended {
    Asked,
    Finished,
    Failed(ServiceError),
}

async fn keep(mut service: Service, board: Board, mut stop: Stop, ready: oneshot::Sender<()>) {
    let mut ready = Some(ready);
    let mut failures = backoff();
    loop {
        let started = board.clock.mono();
        match run_once(&mut service, &board, &mut stop, &mut ready).await {
            Ended::Asked | Ended::Finished => return board.show(ServiceState::Stopped),
            Ended::Failed(error) => {
                tracing::error!(service = service.name, "{error}");
                board.failed(&error.0);
            }
        }
        ready = None;
        let ran = board.clock.mono().since(started);
        tokio::select! {
            () = tokio::time::sleep(pause(&mut failures, ran, entropy::chance())) => {}
            () = stop.requested() => return board.show(ServiceState::Stopped),
        }
        board.show(ServiceState::Starting);
    }
}

async fn run_once(
    service: &mut Service,
    board: &Board,
    stop: &mut Stop,
    ready: &mut Option<oneshot::Sender<()>>,
) -> Ended {
    let heartbeat = Heartbeat::new(&board.clock);
    let (serves, mut is_serving) = oneshot::channel();
    let context = ServiceContext {
        stop: stop.clone(),
        clock: board.clock.clone(),
        heartbeat: heartbeat.clone(),
        ready: Some(serves),
    };
    let mut task = AbortOnDrop(tokio::spawn((service.start)(context)));
    let mut serving = false;
    loop {
        tokio::select! {
            result = &mut task.0 => return ended(result, stop.is_requested()),
            said = &mut is_serving, if !serving => {
                serving = true;
                if said.is_ok() {
                    board.show(ServiceState::Running);
                    ready.take().map(|ready| ready.send(()));
                }
            }
            () = silence(&heartbeat, service.silence_max) => {
                let text = format!("gave no sign of life for {:?}", heartbeat.silent_for());
                return Ended::Failed(ServiceError(text));
            }
        }
    }
}

/// Ends a service's task with its keeper, also when the keeper is cut off.
struct AbortOnDrop(JoinHandle<Result<(), ServiceError>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn ended(result: Result<Result<(), ServiceError>, JoinError>, asked: bool) -> Ended {
    match result {
        Ok(Ok(())) if asked => Ended::Asked,
        Ok(Ok(())) => Ended::Finished,
        Ok(Err(error)) => Ended::Failed(error),
        Err(join) => Ended::Failed(ServiceError(match join.try_into_panic() {
            Ok(panic) => format!("panicked: {}", panic_text(panic.as_ref())),
            Err(_) => "was cut off".to_owned(),
        })),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Resolves when the service has been silent for longer than it promised.
async fn silence(heartbeat: &Heartbeat, silence_max: Option<Duration>) {
    let Some(silence_max) = silence_max else {
        return std::future::pending().await;
    };
    loop {
        let left = silence_max.saturating_sub(heartbeat.silent_for());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

const fn backoff() -> Backoff {
    Backoff::decorrelated(limits::SERVICE_BACKOFF_MIN, limits::SERVICE_BACKOFF_MAX)
}

/// The pause before the next start; a service that ran well for a while starts over.
fn pause(failures: &mut Backoff, ran: Duration, random: u64) -> Duration {
    if ran >= limits::SERVICE_BACKOFF_MAX {
        failures.reset();
    }
    failures.next_pause(random)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn supervisor() -> Supervisor {
        Supervisor::new(Clock::new(Path::new("/nonexistent")))
    }

    async fn wait_for(
        states: &mut watch::Receiver<Vec<ServiceStatus>>,
        wanted: impl Fn(&ServiceStatus) -> bool,
    ) -> ServiceStatus {
        states
            .wait_for(|all| all.iter().any(&wanted))
            .await
            .expect("the supervisor lives")[0]
            .clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_fails_is_started_again_and_shows_why() {
        let mut supervisor = supervisor();
        let mut states = supervisor.states();
        let starts = Arc::new(AtomicU32::new(0));
        let counter = starts.clone();
        let service = Service::new("flaky", move |mut ctx| {
            let nth = counter.fetch_add(1, Ordering::Relaxed);
            async move {
                if nth == 0 {
                    return Err(ServiceError::new("the disk is gone"));
                }
                ctx.ready();
                ctx.stop.requested().await;
                Ok(())
            }
        });
        supervisor.start(service).await;
        let status = wait_for(&mut states, |s| s.state == ServiceState::Running).await;
        assert_eq!(
            (status.restarts, status.error.as_deref()),
            (1, Some("the disk is gone"))
        );
        supervisor.stop(Duration::from_secs(1)).await;
        assert_eq!(states.borrow()[0].state, ServiceState::Stopped);
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_with_its_message() {
        let mut supervisor = supervisor();
        let mut states = supervisor.states();
        supervisor
            .start(Service::new("wild", |_| async { panic!("index 7 of 3") }))
            .await;
        let status = wait_for(&mut states, |s| s.state == ServiceState::Backoff).await;
        assert_eq!(status.error.as_deref(), Some("panicked: index 7 of 3"));
    }

    #[tokio::test]
    async fn a_service_without_a_sign_of_life_is_restarted() {
        let mut supervisor = supervisor();
        let mut states = supervisor.states();
        let service = Service::new("stuck", |mut ctx| async move {
            ctx.ready();
            std::future::pending().await
        });
        supervisor
            .start(service.beats_within(Duration::from_millis(5)))
            .await;
        let status = wait_for(&mut states, |s| s.restarts == 1).await;
        assert!(
            status
                .error
                .is_some_and(|text| text.starts_with("gave no sign of life"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_the_last_started_first_and_cuts_off_what_hangs() {
        let mut supervisor = supervisor();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        for name in ["first", "second"] {
            let order = order.clone();
            let service = Service::new(name, move |mut ctx| {
                let order = order.clone();
                async move {
                    ctx.ready();
                    ctx.stop.requested().await;
                    order.lock().expect("nobody panics").push(name);
                    Ok(())
                }
            });
            supervisor.start(service).await;
        }
        let deaf = Service::new("deaf", |mut ctx| async move {
            ctx.ready();
            std::future::pending().await
        });
        supervisor.start(deaf).await;
        supervisor.stop(Duration::from_secs(3)).await;
        assert_eq!(*order.lock().expect("nobody panics"), ["second", "first"]);
    }

    #[test]
    fn pauses_grow_up_to_their_bound_and_start_over_after_a_good_run() {
        let mut failures = backoff();
        let mut after = |ran, random| pause(&mut failures, ran, random);
        let longest: Vec<_> = (0..5).map(|_| after(Duration::ZERO, u64::MAX)).collect();
        assert_eq!(longest, [3, 9, 27, 60, 60].map(Duration::from_secs));
        let almost = limits::SERVICE_BACKOFF_MAX - Duration::from_nanos(1);
        assert_eq!(after(almost, u64::MAX), limits::SERVICE_BACKOFF_MAX);
        assert_eq!(
            after(limits::SERVICE_BACKOFF_MAX, u64::MAX),
            3 * limits::SERVICE_BACKOFF_MIN
        );
        assert_eq!(after(Duration::ZERO, 0), limits::SERVICE_BACKOFF_MIN);
    }
}
