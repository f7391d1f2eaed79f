//! The connection task: moves bytes, time and writes to flash in and out of the session.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use periwinkle_core::limits::{
    MQTT_STOP_MARGIN, MQTT_STOP_WAIT_MAX, MQTT_TURNS_MAX, RUNTIME_STOP_TIMEOUT,
};
use periwinkle_core::mqtt::policy::{Command, Connection, End, place_of};
use periwinkle_core::mqtt::session::{CloseReason, Connected, Kept, Output};
use periwinkle_core::time::{Mono, Now};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::keeper::{Keeper, Stored};
use super::link::{Dialer, Dialing, Wire};
use super::options::{Authenticator, Options};
use super::outward::Saved;
use super::questions::Questions;
use super::shared::{Shared, State};
use super::state::{ConnectionState, OfflineKind, OfflineReason};
use super::warned::Warned;
use crate::net::clock::{Clock, local_offset_s};
use crate::net::entropy;
use crate::secret_file;
use crate::stop::Stop;

/// Everything that the connection task owns; it goes on where it was when it is run again.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    clock: Clock,
    policy: Connection,
    dialer: Dialer,
    authenticator: Option<Arc<dyn Authenticator>>,
    line: Line,
    keeper: Keeper,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    /// Who is to be woken when the lock is free again.
    woken: Vec<Waker>,
    /// Why the connection is to be closed.
    closing: Option<CloseReason>,
    /// Why we want it closed, if it is not just asked for.
    giving_up: Option<OfflineReason>,
    /// The line may keep back what was written.
    unflushed: bool,
    /// Everything that must survive is on flash.
    stopped: bool,
    /// Messages that the broker does not take, of which the log has been told.
    unsendable_told: u64,
    /// The same of messages that it refused.
    rejected_told: u64,
    refusals: Warned,
    /// The password is read from there for each connection.
    password_file: Option<PathBuf>,
    /// The same of messages of the broker that were longer than we take.
    too_long_told: u64,
    passed_over: Warned,
    /// The same of durable messages that had to make room.
    evicted_told: u64,
    evictions: Warned,
}

/// How the way to the broker stands.
enum Line {
    Down,
    Dialing(Dialing),
    Up(Box<dyn Wire>),
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// Where this device is in its fleet: by its name, if it has one.
fn place(client_id: &str) -> u64 {
    match client_id.is_empty() {
        true => entropy::chance(),
        false => place_of(client_id),
    }
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        dialer: Dialer,
        keeper: Keeper,
        options: &Options,
    ) -> Driver {
        Driver {
            clock: shared.clock.clone(),
            shared,
            policy: Connection::new(options.connection, place(&options.session.client_id)),
            dialer,
            authenticator: options.authenticator.clone(),
            line: Line::Down,
            keeper,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: None,
            woken: Vec::new(),
            closing: None,
            giving_up: None,
            unflushed: false,
            stopped: false,
            unsendable_told: 0,
            rejected_told: 0,
            refusals: Warned::default(),
            password_file: options.password_file.clone(),
            too_long_told: 0,
            passed_over: Warned::default(),
            evicted_told: 0,
            evictions: Warned::default(),
        }
    }

    /// Keeps the connection until somebody asks to stop, and ends the session in order.
    ///
    /// Dropping the future cuts everything off, as a loss of the link would.
    pub(crate) async fn run(&mut self, stop: &mut Stop) {
        tokio::select! {
            biased;
            () = stop.requested() => {}
            never = poll_fn(|context| self.poll(context)) => match never {},
        }
        self.stop(stop.deadline()).await;
    }

    /// Whether everything that must survive is on flash, after an end in order.
    pub(super) const fn saved(&self) -> Saved {
        match self.stopped {
            true => Saved::All,
            false => Saved::Unknown,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Infallible> {
        for _ in 0..MQTT_TURNS_MAX {
            let went_on = self.turn(context);
            self.woken.drain(..).for_each(Waker::wake);
            if !went_on {
                return Poll::Pending;
            }
        }
        // Others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Everything that can happen, once. Says whether more may follow at once.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let state = &mut *state;
        let now = self.clock.now();
        state.wake_up(now.mono);
        // Before reading: where it may go on, the socket has to be asked before this task sleeps.
        state.readers.handle_timeout(now);
        state.session.hold(state.readers.hold_reading(), now.mono);
        let mut went_on = self.dial(context, state, now);
        went_on |= self.read(context, state, now.mono);
        went_on |= self.hear_of_flash(context, state, now.mono);
        self.pass_time(state, now.mono);
        self.take_outputs(state, now);
        if let Some(filters) = state.session.known_filters() {
            self.keeper.note_filters(&filters);
        }
        if !self.keeper.holds_back() {
            went_on |= self.write(context, state, now.mono);
        }
        went_on |= self.keeper.is_full();
        went_on |= self.commit(state, now);
        went_on |= self.close(state, now);
        went_on |= self.steer(state, now);
        state.wake_for_room(&mut self.woken);
        went_on || self.sleep(context, state, now)
    }

    /// The connection that is being made.
    fn dial(&mut self, context: &mut Context<'_>, state: &mut State, now: Now) -> bool {
        let Line::Dialing(dialing) = &mut self.line else {
            return false;
        };
        let Poll::Ready(made) = dialing.as_mut().poll(context) else {
            return false;
        };
        match made {
            Ok(wire) => {
                self.line = Line::Up(wire);
                self.read_password(state);
                if let Some(authenticator) = &self.authenticator {
                    state.session.set_authentication(authenticator.begin());
                }
                state.session.handle_connected(now.mono);
            }
            Err(why) => {
                self.line = Line::Down;
                self.note_down(state, &why.end(), why, now);
            }
        }
        true
    }

    /// It may have been replaced since the last connection.
    fn read_password(&self, state: &mut State) {
        match self.password_file.as_deref().map(secret_file::password) {
            Some(Ok(password)) => state.session.set_password(password),
            Some(Err(error)) => {
                tracing::warn!(target: "mqtt", "the password of before is used: {error}");
            }
            None => {}
        }
    }

    /// What came from the broker, as much as fits.
    fn read(&mut self, context: &mut Context<'_>, state: &mut State, now: Mono) -> bool {
        let Line::Up(wire) = &mut self.line else {
            return false;
        };
        if !state.session.wants_read() {
            return false;
        }
        let mut space = ReadBuf::new(state.session.read_space());
        let Poll::Ready(read) = Pin::new(wire).poll_read(context, &mut space) else {
            return false;
        };
        let count = space.filled().len();
        match read {
            Ok(()) if count > 0 => state.session.handle_read(count, now),
            Ok(()) => {
                let why = "the broker closed the connection";
                self.lose(
                    state,
                    OfflineReason::new(OfflineKind::Closed(None), why),
                    now,
                );
            }
            Err(error) => self.lose(state, OfflineReason::new(OfflineKind::Lost, error), now),
        }
        true
    }

    fn hear_of_flash(&mut self, context: &mut Context<'_>, state: &mut State, now: Mono) -> bool {
        let mut heard = false;
        while let Poll::Ready(stored) = self.keeper.poll_stored(context, now) {
            self.tell(stored, state, now);
            heard = true;
        }
        heard
    }

    fn pass_time(&mut self, state: &mut State, now: Mono) {
        if matches!(state.session.poll_timeout(), Some((due, _)) if due <= now) {
            state.session.handle_timeout(now);
        }
        let requests = &mut state.questions.requests;
        if requests.poll_timeout().is_some_and(|due| due <= now) {
            requests.handle_timeout(now);
        }
    }

    /// What the session wants done and known.
    fn take_outputs(&mut self, state: &mut State, now: Now) {
        let mut written = None;
        while !self.keeper.is_full() {
            let Some(output) = state.session.poll_output() else {
                break;
            };
            match output {
                Output::Message(message) => {
                    let (readers, questions) = (&mut state.readers, &mut state.questions);
                    let token = message.token;
                    state.received += 1;
                    let is_done = questions.take(&message)
                        || readers.take(&message, now.mono, &mut self.woken);
                    if let (true, Some(token)) = (is_done, token) {
                        state.session.acknowledge(token, Kept::InMemory, now.mono);
                    }
                    state.session.hold(state.readers.hold_reading(), now.mono);
                    state.used = true;
                }
                Output::Accepted(tag) => self.woken.extend(state.waiters.accepted(tag)),
                Output::Sent(tag) => self.woken.extend(state.waiters.sent(tag)),
                Output::Done(tag, outcome) if Questions::is_tag(tag) => {
                    state.questions.done(tag, outcome);
                }
                Output::Done(tag, outcome) => self.woken.extend(state.waiters.done(tag, outcome)),
                Output::Persist(ticket, what) => {
                    written = Some(ticket);
                    self.keeper.add(ticket, &what, state.session.outbox(), now);
                }
                Output::Connected(connected) => {
                    state.connections += 1;
                    state.readers.begin_connection(now.mono);
                    state.questions.begin_connection();
                    self.note_up(&connected, now);
                }
                Output::Subscribed(id, answer) => {
                    state.questions.answered(id, answer);
                    state
                        .readers
                        .answered(id, answer, now.mono, &mut self.woken);
                }
                Output::Unsubscribed(_) => {}
                Output::Authenticate(challenge) => self.authenticate(state, &challenge, now),
                Output::Close(reason) => self.closing = Some(reason),
                Output::Stopped => self.stopped = true,
            }
        }
        let counts = state.session.outbox().counts();
        self.tell_unsendable(counts.unsendable);
        self.tell_refused(state, counts.rejected, now.mono);
        self.tell_too_long(state, now.mono);
        self.tell_evicted(counts.overflowed_durable, now.mono);
        state.questions.deliver(&mut self.woken);
        if let (Some(ticket), false) = (written, self.keeper.keeps()) {
            // There is no flash, and nothing was promised that needs one.
            state.session.handle_persisted(ticket, now.mono);
        }
    }

    /// Nobody may wait for such a message, so the log says that it is lost.
    fn tell_unsendable(&mut self, dropped: u64) {
        let news = dropped.saturating_sub(self.unsendable_told);
        if news > 0 {
            self.unsendable_told = dropped;
            tracing::warn!(target: "mqtt", "{news} messages dropped: the broker takes none such");
        }
    }

    /// Nobody may wait for such a message either.
    fn tell_refused(&mut self, state: &mut State, rejected: u64, now: Mono) {
        let news = rejected.saturating_sub(self.rejected_told);
        self.rejected_told = rejected;
        let told = self.refusals.note(news, now);
        if let (Some((topic, reason)), Some(more)) = (state.session.take_refusal(), told) {
            tracing::warn!(target: "mqtt", topic, "the broker refused a message: {reason}{more}");
        }
    }

    /// Nobody hears of such a message otherwise.
    fn tell_too_long(&mut self, state: &mut State, now: Mono) {
        let count = state.session.too_long();
        let news = count.saturating_sub(self.too_long_told);
        self.too_long_told = count;
        let told = self.passed_over.note(news, now);
        if let (Some((topic, bytes)), Some(more)) = (state.session.take_too_long(), told) {
            tracing::warn!(
                target: "mqtt", topic, bytes,
                "a message was passed over: it is longer than `mqtt.packet_bytes_max`{more}"
            );
        }
    }

    /// Somebody relied on these.
    fn tell_evicted(&mut self, dropped: u64, now: Mono) {
        let news = dropped.saturating_sub(self.evicted_told);
        self.evicted_told = dropped;
        if let Some(more) = self.evictions.note(news, now) {
            tracing::warn!(
                target: "mqtt",
                "a durable message was dropped: the queue is full, and a newer one needed its place{more}"
            );
        }
    }

    fn note_up(&mut self, connected: &Connected, now: Now) {
        let session_present = connected.session_present;
        self.policy.handle_up(now);
        tracing::info!(target: "mqtt", session_present, "connected to the broker");
        self.show(ConnectionState::Connected { session_present });
    }

    fn authenticate(&mut self, state: &mut State, challenge: &[u8], now: Now) {
        let Some(authenticator) = &self.authenticator else {
            return;
        };
        match authenticator.answer(challenge) {
            Ok(answer) => state.session.authenticate(&answer, now.mono),
            Err(why) => {
                let why = format!("the authentication cannot go on: {why}");
                self.giving_up = Some(OfflineReason::new(OfflineKind::Authentication, why));
                state.session.disconnect(now.mono);
            }
        }
    }

    /// All that waits for the socket, as much as it takes.
    fn write(&mut self, context: &mut Context<'_>, state: &mut State, now: Mono) -> bool {
        let Line::Up(wire) = &mut self.line else {
            return false;
        };
        if state.session.pending().is_empty() {
            // TLS and WebSockets keep a part back until they are told.
            if self.unflushed {
                self.unflushed = Pin::new(wire).poll_flush(context).is_pending();
            }
            return false;
        }
        match Pin::new(wire).poll_write(context, state.session.pending()) {
            Poll::Pending => false,
            Poll::Ready(Ok(count)) => {
                state.session.handle_written(count, now);
                self.unflushed = true;
                true
            }
            Poll::Ready(Err(error)) => {
                // What the broker said before, such as why it closes, is worth more than this.
                if self.closing.is_none() && !self.read_last(context, state, now) {
                    self.lose(state, OfflineReason::new(OfflineKind::Lost, error), now);
                }
                true
            }
        }
    }

    fn read_last(&mut self, context: &mut Context<'_>, state: &mut State, now: Mono) -> bool {
        let Line::Up(wire) = &mut self.line else {
            return false;
        };
        let mut space = ReadBuf::new(state.session.read_space());
        let read = Pin::new(wire).poll_read(context, &mut space);
        let count = space.filled().len();
        if !matches!(read, Poll::Ready(Ok(()))) || count == 0 {
            return false;
        }
        state.session.handle_read(count, now);
        true
    }

    fn commit(&mut self, state: &mut State, now: Now) -> bool {
        self.keeper.keep(state.readers.take_keeps(), now);
        let now = now.mono;
        state.rows_done.extend(state.readers.take_excess());
        self.keeper.remove(&mut state.rows_done);
        let flights = self.keeper.flights();
        match self.keeper.commit(now) {
            Some(stored) => {
                self.tell(stored, state, now);
                true
            }
            // What has begun now has to be asked for before this task sleeps, or the disk's answer
            // would wake nobody.
            None => self.keeper.flights() > flights,
        }
    }

    /// The session wants the connection closed: its farewell has been tried to be written.
    fn close(&mut self, state: &mut State, now: Now) -> bool {
        let Some(reason) = self.closing.take() else {
            return false;
        };
        if let Line::Up(mut wire) = std::mem::replace(&mut self.line, Line::Down) {
            tokio::spawn(async move {
                // What the broker sent meanwhile is of no interest, nor is what it answers.
                let _ = tokio::time::timeout(MQTT_STOP_WAIT_MAX, wire.shutdown()).await;
            });
        }
        state.session.handle_disconnected(now.mono);
        state.readers.end_connection();
        match (self.giving_up.take(), End::from(&reason)) {
            (Some(why), End::Asked) => self.note_down(state, &why.end(), why, now),
            (_, end) => {
                let why = OfflineReason::closed(&reason, &end);
                self.note_down(state, &end, why, now);
            }
        }
        true
    }

    /// The connection is gone without a word.
    fn lose(&mut self, state: &mut State, why: OfflineReason, mono: Mono) {
        self.line = Line::Down;
        state.session.handle_disconnected(mono);
        state.readers.end_connection();
        let now = self.clock.now();
        self.note_down(state, &why.end(), why, now);
    }

    fn note_down(&mut self, state: &mut State, end: &End, why: OfflineReason, now: Now) {
        self.giving_up = None;
        let random = entropy::chance();
        let offset_s = local_offset_s(now.wall);
        self.policy.handle_down(end, random, now, offset_s);
        state.history = self.policy.history().cloned().collect();
        if *end != End::Asked {
            tracing::warn!(target: "mqtt", "no connection to the broker: {end}");
        }
        self.show(ConnectionState::Offline { why: Some(why) });
    }

    /// Whether a connection is wanted now.
    fn steer(&mut self, state: &mut State, now: Now) -> bool {
        let due = self
            .policy
            .poll_timeout()
            .is_some_and(|due| due <= now.mono);
        let used = std::mem::take(&mut state.used);
        let retry = std::mem::take(&mut state.retry);
        if !(due || used || retry) {
            return false;
        }
        let offset_s = local_offset_s(now.wall);
        if retry {
            self.policy.retry_now(now, offset_s);
        }
        match used || !state.session.outbox().is_empty() {
            true => self.policy.handle_use(now, offset_s),
            false => self.policy.handle_timeout(now, offset_s),
        }
        match self.policy.poll_output() {
            Some(Command::Open(elsewhere)) => {
                self.line = Line::Dialing(self.dialer.dial(elsewhere.as_deref()));
                self.show(ConnectionState::Connecting);
                true
            }
            Some(Command::Close) => {
                self.giving_up = Some(OfflineReason::schedule());
                state.session.disconnect(now.mono);
                true
            }
            None => {
                self.show_idle();
                false
            }
        }
    }

    /// There was no attempt yet, and now is not the time for one.
    fn show_idle(&self) {
        let waits = matches!(self.line, Line::Down) && self.policy.is_idle();
        self.shared.connection.send_if_modified(|shown| {
            let is_news = waits && *shown == ConnectionState::Offline { why: None };
            if is_news {
                let why = Some(OfflineReason::schedule());
                *shown = ConnectionState::Offline { why };
            }
            is_news
        });
    }

    fn show(&self, state: ConnectionState) {
        self.shared.connection.send_if_modified(|shown| {
            let changed = *shown != state;
            *shown = state;
            changed
        });
    }

    /// Waits for what comes next. Says whether something is due already.
    fn sleep(&mut self, context: &mut Context<'_>, state: &mut State, now: Now) -> bool {
        state.sleep(context.waker());
        let session = state.session.poll_timeout().map(|(due, _)| due);
        let questions = state.questions.requests.poll_timeout();
        let readers = state.readers.poll_timeout();
        let policy = self.policy.poll_timeout();
        let storage = self.keeper.retry_at();
        let Some(due) = [session, questions, readers, policy, storage]
            .into_iter()
            .flatten()
            .min()
        else {
            return false;
        };
        self.arm(context, due, now.mono)
    }

    /// Wakes this task then. Says whether that is now.
    fn arm(&mut self, context: &mut Context<'_>, due: Mono, now: Mono) -> bool {
        let due = Instant::now() + due.since(now);
        // A timer that is early costs a look; moving it with every packet would cost more.
        if self.armed.is_none_or(|armed| due < armed) {
            self.timer.as_mut().reset(due);
            self.armed = Some(due);
        }
        match self.timer.as_mut().poll(context) {
            Poll::Pending => false,
            Poll::Ready(()) => {
                self.armed = None;
                true
            }
        }
    }

    /// The orderly end: what must survive goes to flash, for which there is all the time until we
    /// are cut off; the broker hears a farewell, if it takes that soon.
    async fn stop(&mut self, deadline: Option<Instant>) {
        let now = self.clock.mono();
        {
            let mut state = self.shared.lock();
            state.stopped = true;
            state.session.stop(now);
            state.questions.requests.stop();
        }
        let say_by = now + MQTT_STOP_WAIT_MAX;
        let deadline = match deadline {
            Some(deadline) => deadline - MQTT_STOP_MARGIN,
            None => Instant::now() + RUNTIME_STOP_TIMEOUT,
        };
        let saved = poll_fn(|context| self.poll_stop(context, say_by));
        let _ = tokio::time::timeout_at(deadline, saved).await;
        self.tell_unsaved();
        if let Line::Up(mut wire) = std::mem::replace(&mut self.line, Line::Down) {
            let _ = tokio::time::timeout(MQTT_STOP_WAIT_MAX, wire.shutdown()).await;
        }
        self.show(ConnectionState::Stopped);
        let woken = {
            let mut state = self.shared.lock();
            state.questions.deliver(&mut self.woken);
            let mut woken = state.waiters.wake_all();
            woken.extend(state.readers.end());
            woken.extend(state.rooms());
            woken
        };
        woken.into_iter().for_each(Waker::wake);
        self.woken.drain(..).for_each(Waker::wake);
    }

    /// Says what is lost because flash did not take it in time.
    fn tell_unsaved(&self) {
        if self.stopped {
            return;
        }
        let messages = self.shared.lock().session.unsaved();
        tracing::error!(
            target: "mqtt",
            messages,
            "the queue was not written to flash before the stop had to be over: these messages are lost"
        );
    }

    fn poll_stop(&mut self, context: &mut Context<'_>, say_by: Mono) -> Poll<()> {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let state = &mut *state;
        let now = self.clock.now();
        loop {
            let mut went_on = self.hear_of_flash(context, state, now.mono);
            self.pass_time(state, now.mono);
            self.take_outputs(state, now);
            went_on |= self.keeper.is_full();
            went_on |= self.commit(state, now);
            went_on |= self.write(context, state, now.mono);
            let is_said = !matches!(self.line, Line::Up(_))
                || (state.session.pending().is_empty() && !self.unflushed)
                || say_by <= now.mono;
            if self.stopped && is_said {
                return Poll::Ready(());
            }
            if !went_on {
                let session = state.session.poll_timeout().map(|(due, _)| due);
                let due = [session, self.keeper.retry_at(), Some(say_by)];
                let due = due
                    .into_iter()
                    .flatten()
                    .filter(|due| *due > now.mono)
                    .min();
                if !due.is_some_and(|due| self.arm(context, due, now.mono)) {
                    return Poll::Pending;
                }
            }
        }
    }

    /// What has become of writes.
    fn tell(&mut self, stored: Stored, state: &mut State, now: Mono) {
        match stored {
            Stored::Durable(ticket, keeps) => {
                if let Some(ticket) = ticket {
                    state.session.handle_persisted(ticket, now);
                }
                for (keep, row) in keeps {
                    state.kept(keep, row, now, &mut self.woken);
                }
            }
            Stored::Failed(Some(ticket)) => state.session.handle_persist_failed(ticket, now),
            Stored::Failed(None) => {}
        }
    }
}
