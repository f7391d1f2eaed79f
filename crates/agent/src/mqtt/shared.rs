//! What the handles of a client and its connection task share: one lock around the session.
//!
//! A publisher puts its message straight into the session's outbox, and whoever waits is found by
//! the tag of the message: no channel and no task switch stands between them. The connection task
//! is woken only if it sleeps, so a burst of messages costs one wake and leaves in one write.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::policy::Past;
use periwinkle_core::mqtt::session::Session;
use periwinkle_core::time::Mono;
use tokio::sync::watch;

use super::outward::Carried;
use super::questions::Questions;
use super::readers::Readers;
use super::state::ConnectionState;
use super::waiters::Waiters;
use crate::net::clock::Clock;

/// Shared by all handles and the connection task.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) clock: Clock,
    pub(super) connection: watch::Sender<ConnectionState>,
    /// Messages to these topics are durable whoever publishes them.
    pub(super) durable_topics: Filters<()>,
    /// Messages that a reader's buffer holds unless it asks for another number.
    pub(super) buffer_messages: usize,
    pub(super) buffer_bytes: usize,
    pub(super) receive_max: usize,
    /// Where our answers come, which with 3.1.1 is where we send answers to.
    pub(super) reply_topic: String,
    /// For people.
    pub(super) broker: String,
    /// Whether there is flash.
    pub(super) keeps: bool,
}

/// Everything under the lock.
pub(super) struct State {
    pub(super) session: Session,
    pub(super) waiters: Waiters,
    pub(super) readers: Readers,
    pub(super) questions: Questions,
    /// The connection task, while it sleeps.
    sleeper: Option<Waker>,
    /// The time of this turn of the connection task, which serves all who publish meanwhile.
    now: Mono,
    /// Somebody needs the connection.
    pub(super) used: bool,
    /// Somebody asks for an attempt at once.
    pub(super) retry: bool,
    pub(super) stopped: bool,
    pub(super) history: Vec<Past>,
    /// Connections that the broker has accepted.
    pub(super) connections: u64,
    /// Messages that came.
    pub(super) received: u64,
    /// What the rules have carried out.
    pub(super) carried: Carried,
    /// Kept messages that their readers have dealt with.
    pub(super) rows_done: Vec<u64>,
    /// Who waits until no more than so many messages are queued.
    rooms: Vec<(usize, Waker)>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mqtt").finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(parts: Parts) -> Arc<Shared> {
        let state = State {
            session: parts.session,
            waiters: Waiters::default(),
            readers: parts.readers,
            questions: parts.questions,
            sleeper: None,
            now: parts.clock.mono(),
            used: false,
            retry: false,
            stopped: false,
            history: Vec::new(),
            connections: 0,
            received: 0,
            carried: Carried::default(),
            rows_done: Vec::new(),
            rooms: Vec::new(),
        };
        Arc::new(Shared {
            state: Mutex::new(state),
            clock: parts.clock,
            connection: watch::Sender::new(ConnectionState::Offline { why: None }),
            durable_topics: parts.durable_topics,
            buffer_messages: parts.buffer_messages,
            buffer_bytes: parts.buffer_bytes,
            receive_max: parts.receive_max,
            reply_topic: parts.reply_topic,
            broker: parts.broker,
            keeps: parts.keeps,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The session checks what it is given before it changes anything.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the session, at a time that is as good as now, and has the connection
    /// task look at what came of it.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut State, Mono) -> R) -> R {
        let mut state = self.lock();
        let sleeper = state.sleeper.take();
        if sleeper.is_some() {
            state.now = self.clock.mono();
        }
        let now = state.now;
        let result = change(&mut state, now);
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        result
    }
}

/// What a [`Shared`] is made from.
pub(super) struct Parts {
    pub(super) session: Session,
    pub(super) readers: Readers,
    pub(super) questions: Questions,
    pub(super) clock: Clock,
    pub(super) durable_topics: Filters<()>,
    pub(super) buffer_messages: usize,
    pub(super) buffer_bytes: usize,
    pub(super) receive_max: usize,
    pub(super) reply_topic: String,
    pub(super) broker: String,
    pub(super) keeps: bool,
}

impl State {
    /// A turn of the connection task begins.
    pub(super) fn wake_up(&mut self, now: Mono) {
        self.sleeper = None;
        self.now = now;
    }

    /// The connection task waits until something happens, or somebody changes something.
    pub(super) fn sleep(&mut self, waker: &Waker) {
        self.sleeper = Some(waker.clone());
    }

    /// Wakes `waker` when no more than so many messages are queued.
    pub(super) fn wait_for_room(&mut self, messages: usize, waker: &Waker) {
        self.rooms.retain(|(_, other)| !other.will_wake(waker));
        self.rooms.push((messages, waker.clone()));
    }

    /// Who may look now whether there is room.
    pub(super) fn wake_for_room(&mut self, woken: &mut Vec<Waker>) {
        let queued = self.session.outbox().len();
        let rooms = self
            .rooms
            .extract_if(.., |(messages, _)| queued <= *messages);
        woken.extend(rooms.map(|(_, waker)| waker));
    }

    /// Everyone who waits for room.
    pub(super) fn rooms(&mut self) -> Vec<Waker> {
        self.rooms.drain(..).map(|(_, waker)| waker).collect()
    }
}
