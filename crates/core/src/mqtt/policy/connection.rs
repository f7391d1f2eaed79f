//! When a connection is wanted, and when the next attempt is due.
//!
//! The contract: one `handle_*` per event; then [`poll_output`](Connection::poll_output) says
//! whether to open or to close, and [`poll_timeout`](Connection::poll_timeout) when to ask again.

use super::servers::{Holds, Servers};
use super::windows::Windows;
use crate::limits::{
    MQTT_HISTORY_ROWS_MAX, MQTT_RECONNECT_PAUSE_MAX, MQTT_RECONNECT_PAUSE_MIN,
    MQTT_SCHEDULE_LOOK_INTERVAL, MQTT_SCHEDULE_SPREAD_MAX, MQTT_STABLE_AFTER,
    MQTT_TAKEOVER_LIFE_MAX, MQTT_TAKEOVER_LOSSES, MQTT_TAKEOVER_PAUSE_MAX, MQTT_TAKEOVER_PAUSE_MIN,
};
use crate::mqtt::codec::Reason;
use crate::mqtt::session::CloseReason;
use crate::retry::{Backoff, between};
use crate::schedule::Schedule;
use crate::time::{Mono, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// What the policy is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// When the connection stands whether it is needed or not. Outside it, it is opened on demand.
    pub schedule: Schedule,
    /// Windows of the schedule open up to so much later, and up to a tenth of the window, so that
    /// a fleet does not come at once.
    pub spread: Duration,
    /// How long a connection that was opened on demand stays without use.
    pub idle: Duration,
    /// The first pause after a failure, and the longest.
    pub pause: (Duration, Duration),
    /// The same after it seems that another client uses our client id.
    pub takeover_pause: (Duration, Duration),
}

impl Default for ConnectionConfig {
    fn default() -> ConnectionConfig {
        ConnectionConfig {
            schedule: Schedule::ANYTIME,
            spread: MQTT_SCHEDULE_SPREAD_MAX,
            idle: Duration::from_secs(60),
            pause: (MQTT_RECONNECT_PAUSE_MIN, MQTT_RECONNECT_PAUSE_MAX),
            takeover_pause: (MQTT_TAKEOVER_PAUSE_MIN, MQTT_TAKEOVER_PAUSE_MAX),
        }
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a connection, to this server if one is named.
    Open(Option<String>),
    /// Close the one that stands: nobody needs it.
    Close,
}

/// One connection that was, for `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// When the attempt began.
    pub began: Mono,
    /// How long the broker had accepted it; `None` if it never did.
    pub lasted: Option<Duration>,
    /// Why it ended.
    pub end: String,
}

/// Decides about one connection.
#[derive(Debug)]
pub struct Connection {
    config: ConnectionConfig,
    state: State,
    failures: Backoff,
    takeovers: Backoff,
    /// Connections in a row that were lost soon after they stood.
    short_lives: u32,
    /// No attempt before this time.
    gate: Option<Mono>,
    servers: Servers,
    /// Somebody needs the connection, last at this time.
    used: Option<Mono>,
    history: VecDeque<Past>,
    output: Option<Command>,
    windows: Windows,
    /// When to look at the schedule again.
    schedule_turn: Option<Mono>,
    scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Opening(Mono),
    Up { began: Mono, since: Mono },
}

impl Connection {
    /// A connection that is not there yet. The first
    /// [`handle_timeout`](Connection::handle_timeout) decides.
    ///
    /// `place` is evenly distributed over the devices of a fleet, and stays the same for each.
    pub const fn new(config: ConnectionConfig, place: u64) -> Connection {
        Connection {
            failures: Backoff::decorrelated(config.pause.0, config.pause.1),
            takeovers: Backoff::decorrelated(config.takeover_pause.0, config.takeover_pause.1),
            windows: Windows::new(config.schedule, config.spread, place),
            config,
            state: State::Down,
            short_lives: 0,
            gate: None,
            servers: Servers::new(),
            used: None,
            history: VecDeque::new(),
            output: None,
            schedule_turn: Some(Mono::ZERO),
            scheduled: false,
        }
    }

    /// Something is to be sent, or was sent or received.
    pub fn handle_use(&mut self, now: Now, offset_s: i32) {
        self.used = Some(now.mono);
        self.decide(now, offset_s);
    }

    /// The broker has accepted the connection.
    pub fn handle_up(&mut self, now: Now) {
        if let State::Opening(began) = self.state {
            self.state = State::Up {
                began,
                since: now.mono,
            };
            self.servers.handle_up();
            // Who needed it may not have been able to wait so long; it closes when it is idle.
            if self.used.is_some() || !self.scheduled {
                self.used = Some(now.mono);
            }
        }
    }

    /// The connection ended, or the attempt failed. `random` is evenly distributed.
    pub fn handle_down(&mut self, end: &End, random: u64, now: Now, offset_s: i32) {
        let (began, since) = match self.state {
            State::Down => return,
            State::Opening(began) => (began, None),
            State::Up { began, since } => (began, Some(since)),
        };
        self.state = State::Down;
        let lasted = since.map(|since| now.mono.since(since));
        self.note(Past {
            began,
            lasted,
            end: end.to_string(),
        });
        self.learn(end, lasted, random, now);
        self.decide(now, offset_s);
    }

    /// The pauses are over: somebody knows that it may work now.
    pub fn retry_now(&mut self, now: Now, offset_s: i32) {
        self.gate = None;
        self.short_lives = 0;
        self.failures.reset();
        self.takeovers.reset();
        self.decide(now, offset_s);
    }

    /// The time that [`poll_timeout`](Connection::poll_timeout) named has come, or the wall clock
    /// was set.
    pub fn handle_timeout(&mut self, now: Now, offset_s: i32) {
        self.decide(now, offset_s);
    }

    /// What to do now.
    pub fn poll_output(&mut self) -> Option<Command> {
        self.output.take()
    }

    /// When to call [`handle_timeout`](Connection::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Mono> {
        let gate = self.gate.filter(|_| self.state == State::Down);
        let idle = match (self.used, self.scheduled) {
            (Some(used), false) => Some(used + self.config.idle),
            _ => None,
        };
        [gate, idle, self.schedule_turn].into_iter().flatten().min()
    }

    /// Whether there is no connection because nobody needs one: it is outside of the schedule.
    pub fn is_idle(&self) -> bool {
        self.state == State::Down && !self.scheduled && self.used.is_none()
    }

    /// The last connections, the newest last.
    pub fn history(&self) -> impl Iterator<Item = &Past> {
        self.history.iter()
    }

    fn note(&mut self, past: Past) {
        if self.history.len() >= MQTT_HISTORY_ROWS_MAX {
            self.history.pop_front();
        }
        self.history.push_back(past);
    }

    /// Sets the pause before the next attempt.
    fn learn(&mut self, end: &End, lasted: Option<Duration>, random: u64, now: Now) {
        if lasted.is_some_and(|lasted| lasted >= MQTT_STABLE_AFTER) {
            self.failures.reset();
            self.takeovers.reset();
        }
        match end {
            End::Redirected { server, holds } => self.servers.refer(server, *holds),
            _ if lasted.is_none() => self.servers.handle_failure(),
            _ => {}
        }
        let pause = match self.looks_like_takeover(end, lasted) {
            // Two clients with one id throw each other out for ever unless one of them waits.
            true => self.takeovers.next_pause(random),
            false => match end {
                End::Asked => Duration::ZERO,
                End::Redirected { .. } | End::Other(_) | End::TakenOver => {
                    self.failures.next_pause(random)
                }
                End::Busy => longer(self.failures.next_pause(random), self.config.pause.1),
                End::Hopeless(_) => between(self.config.pause.1 / 2, self.config.pause.1, random),
            },
        };
        self.gate = (!pause.is_zero()).then(|| now.mono + pause);
    }

    /// 3.1.1 has no word for it, and not every broker of 5 says it: there the sign is that
    /// connections end soon, one after the other, though each was accepted.
    fn looks_like_takeover(&mut self, end: &End, lasted: Option<Duration>) -> bool {
        match (end, lasted) {
            (End::TakenOver, _) => return true,
            (End::Other(_), Some(lasted)) if lasted <= MQTT_TAKEOVER_LIFE_MAX => {
                self.short_lives += 1;
            }
            _ => self.short_lives = 0,
        }
        self.short_lives >= MQTT_TAKEOVER_LOSSES
    }

    fn decide(&mut self, now: Now, offset_s: i32) {
        self.look_at_schedule(now, offset_s);
        if self.gate.is_some_and(|gate| gate <= now.mono) {
            self.gate = None;
        }
        if self
            .used
            .is_some_and(|used| used + self.config.idle <= now.mono)
        {
            self.used = None;
        }
        let wanted = self.scheduled || self.used.is_some();
        match self.state {
            State::Down if wanted && self.gate.is_none() => {
                self.state = State::Opening(now.mono);
                self.output = Some(Command::Open(self.servers.next()));
            }
            State::Up { .. } if !wanted => self.output = Some(Command::Close),
            _ => {}
        }
    }

    fn look_at_schedule(&mut self, now: Now, offset_s: i32) {
        // Without any clock, only a schedule that needs none is known to be open.
        let Some(wall) = now.wall else {
            self.scheduled = self.windows.needs_no_clock();
            let look = (!self.scheduled).then(|| now.mono + MQTT_SCHEDULE_LOOK_INTERVAL);
            self.schedule_turn = look;
            return;
        };
        let (open, turn) = self.windows.look(wall, offset_s);
        self.scheduled = open;
        self.schedule_turn = turn.map(|turn| {
            let away = Duration::from_millis(u64::try_from(turn.0 - wall.0).unwrap_or(0));
            // A clock that is set right meanwhile brings another turn.
            now.mono + away.min(MQTT_SCHEDULE_LOOK_INTERVAL)
        });
    }
}

/// Four times the pause. What would be more than the longest one falls evenly into its second half:
/// those whom a busy broker refused must not come back at once.
fn longer(pause: Duration, longest: Duration) -> Duration {
    let four = pause * 4;
    match four.checked_sub(longest) {
        None => four,
        Some(beyond) => longest / 2 + beyond / 6,
    }
}

/// How a connection or an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// We wanted it.
    #[error("closed on purpose")]
    Asked,
    /// Another client uses our client id.
    #[error("another client uses the same client id")]
    TakenOver,
    /// The broker asks for patience.
    #[error("the broker is busy")]
    Busy,
    /// The broker names another server.
    #[error("the broker names another server: {server}")]
    Redirected {
        /// Which; several with spaces between them.
        server: String,
        /// For how long.
        holds: Holds,
    },
    /// It will not work before somebody changes something.
    #[error("{0}")]
    Hopeless(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<&CloseReason> for End {
    fn from(reason: &CloseReason) -> End {
        let (code, server) = match reason {
            CloseReason::Asked => return End::Asked,
            CloseReason::Refused { reason, server, .. }
            | CloseReason::ByBroker { reason, server, .. } => (*reason, server),
            other => return End::Other(other.to_string()),
        };
        match (code, server) {
            (Reason::UseAnotherServer, Some(server)) => End::Redirected {
                server: server.clone(),
                holds: Holds::Once,
            },
            (Reason::ServerMoved, Some(server)) => End::Redirected {
                server: server.clone(),
                holds: Holds::ForGood,
            },
            (Reason::SessionTakenOver, _) => End::TakenOver,
            (
                Reason::ServerBusy
                | Reason::ServerUnavailable
                | Reason::ConnectionRateExceeded
                | Reason::QuotaExceeded
                | Reason::MessageRateTooHigh,
                _,
            ) => End::Busy,
            (
                Reason::UnsupportedProtocolVersion
                | Reason::ClientIdentifierNotValid
                | Reason::BadUserNameOrPassword
                | Reason::NotAuthorized
                | Reason::Banned
                | Reason::BadAuthenticationMethod,
                _,
            ) => End::Hopeless(reason.to_string()),
            _ => End::Other(reason.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMillis;

    /// Sunday, 2026-11-22 10:00 UTC, at the start of the clock.
    const START: i64 = 1_795_341_600_000;

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono::from_start(Duration::from_secs(seconds)),
            wall: Some(UnixMillis(START + seconds as i64 * 1000)),
            trusted: true,
        }
    }

    fn connection(schedule: &str) -> Connection {
        placed(schedule, 0)
    }

    fn placed(schedule: &str, place: u64) -> Connection {
        let config = ConnectionConfig {
            schedule: schedule.parse().unwrap(),
            ..ConnectionConfig::default()
        };
        Connection::new(config, place)
    }

    fn lost() -> End {
        End::Other("reset".into())
    }

    /// The seconds from `from` until it opens again.
    fn pause(connection: &mut Connection, from: u64) -> u64 {
        let due = connection.poll_timeout().unwrap();
        let seconds = due.since_start().as_secs() + u64::from(due.since_start().subsec_nanos() > 0);
        connection.handle_timeout(at(seconds), 0);
        assert_eq!(connection.poll_output(), Some(Command::Open(None)));
        seconds - from
    }

    #[test]
    fn it_opens_at_once_and_after_growing_pauses() {
        let mut it = connection("anytime");
        it.handle_timeout(at(0), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        assert_eq!(it.poll_output(), None);
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..7 {
            it.handle_down(&lost(), u64::MAX, at(now), 0);
            let waited = pause(&mut it, now);
            pauses.push(waited);
            now += waited;
        }
        assert_eq!(pauses, [3, 9, 27, 81, 120, 120, 120]);
        it.handle_up(at(now));
        it.handle_down(&lost(), u64::MAX, at(now + 60), 0);
        assert_eq!(pause(&mut it, now + 60), 3);
    }

    #[test]
    fn a_taken_over_client_waits_longer_each_time() {
        let mut it = connection("anytime");
        it.handle_timeout(at(0), 0);
        it.poll_output();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            it.handle_up(at(now));
            it.handle_down(&End::TakenOver, u64::MAX, at(now + 1), 0);
            let waited = pause(&mut it, now + 1);
            pauses.push(waited);
            now += 1 + waited;
        }
        assert_eq!(pauses, [90, 270, 810, 2430]);
    }

    #[test]
    fn short_lives_in_a_row_count_as_a_takeover_where_the_broker_says_nothing() {
        let mut it = connection("anytime");
        it.handle_timeout(at(0), 0);
        it.poll_output();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..5 {
            it.handle_up(at(now));
            it.handle_down(&lost(), 0, at(now + 1), 0);
            let waited = pause(&mut it, now + 1);
            pauses.push(waited);
            now += 1 + waited;
        }
        assert_eq!(pauses, [1, 1, 1, 30, 30]);
    }

    #[test]
    fn outside_its_schedule_it_opens_on_demand_and_closes_when_idle() {
        let mut it = connection("workhours");
        it.handle_timeout(at(0), 0);
        assert_eq!(it.poll_output(), None);
        assert_eq!(it.poll_timeout(), Some(at(60).mono));
        it.handle_use(at(10), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        it.handle_up(at(12));
        assert_eq!(it.poll_timeout(), Some(at(70).mono));
        it.handle_use(at(50), 0);
        it.handle_timeout(at(72), 0);
        assert_eq!(it.poll_output(), None);
        it.handle_timeout(at(110), 0);
        assert_eq!(it.poll_output(), Some(Command::Close));
        it.handle_down(&End::Asked, 0, at(110), 0);
        assert_eq!(it.poll_output(), None);
        // Demand comes again long after an idle connection was closed.
        it.handle_use(at(5000), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
    }

    #[test]
    fn a_schedule_opens_and_closes_by_itself() {
        let mut it = connection("workhours");
        it.handle_timeout(at(23 * 3600), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        it.handle_up(at(23 * 3600));
        let end = at(31 * 3600);
        it.handle_timeout(at(31 * 3600 - 1), 0);
        assert_eq!(it.poll_output(), None);
        assert_eq!(it.poll_timeout(), Some(end.mono));
        it.handle_timeout(end, 0);
        assert_eq!(it.poll_output(), Some(Command::Close));
    }

    #[test]
    fn a_clock_that_is_set_right_opens_the_window_soon() {
        let mut it = connection("workhours");
        it.handle_timeout(at(0), 0);
        assert_eq!(it.poll_output(), None);
        let due = it.poll_timeout().unwrap();
        assert_eq!(due, at(60).mono);
        let right = Now {
            mono: due,
            ..at(24 * 3600)
        };
        it.handle_timeout(right, 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
    }

    #[test]
    fn a_named_server_is_used_once_and_hopeless_cases_wait_long() {
        let moved = CloseReason::Refused {
            reason: Reason::UseAnotherServer,
            text: None,
            server: Some("b.example".into()),
        };
        let mut it = connection("anytime");
        it.handle_timeout(at(0), 0);
        it.poll_output();
        it.handle_down(&End::from(&moved), 0, at(1), 0);
        it.handle_timeout(at(2), 0);
        assert_eq!(
            it.poll_output(),
            Some(Command::Open(Some("b.example".into())))
        );
        let denied = CloseReason::Refused {
            reason: Reason::NotAuthorized,
            text: None,
            server: None,
        };
        it.handle_down(&End::from(&denied), u64::MAX, at(3), 0);
        assert_eq!(pause(&mut it, 3), 120);
        it.handle_down(&lost(), 0, at(200), 0);
        it.retry_now(at(200), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        let ends: Vec<&str> = it.history().map(|past| past.end.as_str()).collect();
        assert_eq!(ends.len(), 3);
        assert_eq!(ends[0], "the broker names another server: b.example");
    }

    #[test]
    fn a_server_that_moved_is_dialled_from_then_on() {
        let moved = CloseReason::ByBroker {
            reason: Reason::ServerMoved,
            text: None,
            server: Some("b.example c.example".into()),
        };
        let open = |server: Option<&str>| Some(Command::Open(server.map(str::to_owned)));
        let mut it = connection("anytime");
        it.handle_timeout(at(0), 0);
        assert_eq!(it.poll_output(), open(None));
        it.handle_up(at(0));
        it.handle_down(&End::from(&moved), 0, at(100), 0);
        it.handle_timeout(at(101), 0);
        for round in 2..5 {
            assert_eq!(it.poll_output(), open(Some("b.example")), "{round}");
            it.handle_up(at(round * 100));
            it.handle_down(&lost(), 0, at(round * 100 + 70), 0);
            it.handle_timeout(at(round * 100 + 71), 0);
        }
        // It is gone, and so is the other one: the configured one may know more.
        for (round, server) in [(5, Some("c.example")), (6, None), (7, Some("b.example"))] {
            it.poll_output();
            it.handle_down(&lost(), 0, at(round * 1000), 0);
            it.handle_timeout(at(round * 1000 + 999), 0);
            assert_eq!(it.poll_output(), open(server));
        }
    }

    #[test]
    fn clients_that_a_broker_refused_do_not_come_back_at_once() {
        let denied = End::Hopeless("no".into());
        for end in [&End::Busy, &denied] {
            let mut seconds = std::collections::BTreeMap::<u64, u32>::new();
            for client in 0..1000 {
                let mut rng = periwinkle_testkit::rng::Rng::new(client);
                let mut it = connection("anytime");
                it.handle_timeout(at(0), 0);
                let mut waited = 0;
                for round in 0..10 {
                    it.poll_output();
                    it.handle_down(end, rng.next_u64(), at(round * 1000), 0);
                    let due = it.poll_timeout().unwrap();
                    waited = due.since(at(round * 1000).mono).as_millis() / 1000;
                    it.handle_timeout(at(round * 1000 + 999), 0);
                }
                *seconds.entry(waited as u64).or_default() += 1;
            }
            let most = seconds.values().max().unwrap();
            assert!(*most <= 40, "{end}: {most} of 1000 in one second");
            assert!(seconds.keys().all(|second| *second < 120), "{end}");
        }
    }

    #[test]
    fn a_window_opens_later_for_some_devices_and_on_demand_for_all() {
        let opens = 23 * 3600;
        let mut it = placed("workhours", 1 << 63);
        it.handle_timeout(at(0), 0);
        it.handle_timeout(at(opens), 0);
        assert_eq!(it.poll_output(), None);
        assert_eq!(it.poll_timeout(), Some(at(opens + 30).mono));
        it.handle_timeout(at(opens + 30), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        let mut it = placed("workhours", 1 << 63);
        it.handle_timeout(at(0), 0);
        it.handle_use(at(opens), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
    }

    #[test]
    fn a_connection_on_demand_that_took_longer_than_it_may_be_idle_closes_all_the_same() {
        let mut it = connection("never");
        it.handle_use(at(0), 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        it.handle_timeout(at(60), 0);
        assert_eq!(it.poll_output(), None);
        it.handle_up(at(64));
        assert_eq!(it.poll_timeout(), Some(at(124).mono));
        it.handle_timeout(at(124), 0);
        assert_eq!(it.poll_output(), Some(Command::Close));
    }

    #[test]
    fn history_is_bounded() {
        let mut it = connection("anytime");
        for round in 0..100 {
            it.retry_now(at(round), 0);
            it.handle_down(&lost(), 0, at(round), 0);
        }
        assert_eq!(it.history().count(), MQTT_HISTORY_ROWS_MAX);
    }

    #[test]
    fn without_a_clock_only_anytime_is_open() {
        let dark = Now {
            wall: None,
            ..at(0)
        };
        let mut it = connection("anytime");
        it.handle_timeout(dark, 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        let mut it = connection("* * * * *");
        it.handle_timeout(dark, 0);
        assert_eq!(it.poll_output(), Some(Command::Open(None)));
        let mut it = connection("* * * * 0-5");
        it.handle_timeout(dark, 0);
        assert_eq!(it.poll_output(), None);
    }
}
