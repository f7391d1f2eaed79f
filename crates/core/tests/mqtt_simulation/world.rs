//! One device, one broker, a bad network between them, and a flash that can be cut off.

use crate::broker::{Broker, DEVICE_RECEIVE_MAX, is_poison, number_of};
use crate::flash::Flash;
use crate::ledger::{Broken, Down, Ledger, Up};
use crate::weather::Weather;
use periwinkle_core::limits::MQTT_STORAGE_PAUSE;
use periwinkle_core::mqtt::codec::{QoS, SubscribeOptions, Version};
use periwinkle_core::mqtt::outbox::{
    Budget, Class, DropCause, Mode, Outbox, Overflow, Publication,
};
use periwinkle_core::mqtt::session::{
    AckToken, Config, Ending, Kept, Outcome, Output, PublishError, Rules, Session, Ticket,
};
use periwinkle_core::time::Mono;
use periwinkle_testkit::rng::Rng;
use std::time::Duration;

const SPILL_DELAY: Duration = Duration::from_secs(2);
/// No write waits longer for its flush.
const FLUSH_LAG: Duration = Duration::from_millis(500);
/// The longest time that passes in one step; a deadline may be noticed so much later.
const STEP: Duration = Duration::from_millis(300);
const TOPICS: usize = 4;
/// Within so many steps a stop is over, whatever flash did at first.
const STOP_STEPS: usize = 1000;

pub(crate) struct World {
    rng: Rng,
    weather: Weather,
    rules: Rules,
    version: Version,
    now: Mono,
    session: Session,
    flash: Flash,
    /// When the first write that is not durable was asked for.
    unflushed_since: Option<Mono>,
    stopped: bool,
    broker: Broker,
    wire: Option<Wire>,
    ledger: Ledger,
    last_number: u64,
    held: bool,
    /// Messages that their reader has not acknowledged yet.
    unacknowledged: Vec<AckToken>,
    /// Until then the device may not have written again what failed.
    unwritten_until: Mono,
}

/// Bytes on their way.
#[derive(Debug, Default)]
struct Wire {
    up: Vec<u8>,
    frozen: bool,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather, rules: Rules) -> World {
        let mut rng = Rng::new(seed);
        let version = match rng.one_in(3) {
            true => Version::V311,
            false => Version::V5,
        };
        let mut world = World {
            version,
            weather,
            rules,
            now: Mono::from_start(Duration::from_secs(100)),
            session: session(version, rules, weather, Ending::Orderly),
            flash: Flash::default(),
            unflushed_since: None,
            stopped: false,
            broker: Broker::new(version),
            wire: None,
            ledger: Ledger::default(),
            last_number: 0,
            held: false,
            unacknowledged: Vec::new(),
            unwritten_until: Mono::ZERO,
            rng,
        };
        world.broker.is_touchy = weather.poison;
        world.subscribe();
        world
    }

    pub(crate) fn run(mut self) -> Result<(), Broken> {
        for _ in 0..self.weather.steps {
            self.step()?;
        }
        self.settle()
    }

    fn step(&mut self) -> Result<(), Broken> {
        let time = STEP.mul_f64(self.rng.below(100) as f64 / 100.0);
        let some = self.rng.index(4);
        match self.rng.below(10) {
            0..3 => self.publish()?,
            3 => self.publish_down(),
            4 => self.pass(time),
            5 => self.flush(1 + some)?,
            6 => self.broker.answer(some),
            7 => self.acknowledge(some),
            _ => {}
        }
        if self.weather.is_slow {
            self.pass(time);
        }
        self.misfortune()?;
        if self.wire.is_none() && self.rng.one_in(4) {
            self.connect();
        }
        self.carry()?;
        self.drive()
    }

    fn misfortune(&mut self) -> Result<(), Broken> {
        let roll = self.rng.below(100);
        let mut bound = 0;
        let mut hit = |percent: u64| {
            let range = bound..bound + percent;
            bound += percent;
            range.contains(&roll)
        };
        let Weather {
            cuts,
            freezes,
            restarts,
            amnesias,
            kills,
            stops,
            holds,
            fills,
            sync_faults,
            ..
        } = self.weather;
        if hit(cuts) || hit(restarts) {
            self.cut();
        } else if hit(freezes) {
            if let Some(wire) = &mut self.wire {
                wire.frozen = true;
            }
        } else if hit(amnesias) {
            self.cut();
            self.broker.forget(&mut self.ledger);
        } else if hit(kills) {
            self.kill()?;
        } else if hit(stops) {
            self.stop()?;
        } else if hit(holds) {
            self.hold(!self.held);
        } else if hit(fills) {
            self.flash.is_full ^= true;
        } else if hit(sync_faults) {
            self.fail_sync()?;
        }
        Ok(())
    }

    fn hold(&mut self, held: bool) {
        self.held = held;
        self.session.hold(held, self.now);
    }

    /// The readers acknowledge some of what they have, in any order.
    fn acknowledge(&mut self, count: usize) {
        for _ in 0..count.min(self.unacknowledged.len()) {
            let index = self.rng.index(self.unacknowledged.len());
            let token = self.unacknowledged.swap_remove(index);
            self.session.acknowledge(token, Kept::InMemory, self.now);
        }
    }

    /// Good weather until everything has arrived.
    fn settle(&mut self) -> Result<(), Broken> {
        self.cut();
        self.hold(false);
        self.flash.is_full = false;
        for _ in 0..self.weather.settle_steps {
            self.acknowledge(usize::MAX);
            if self.wire.is_none() {
                self.connect();
            }
            self.pass(Duration::from_millis(200));
            self.flush(usize::MAX)?;
            self.broker.answer(usize::MAX);
            self.carry()?;
            self.drive()?;
            let busy = !self.session.outbox().is_empty() || !self.broker.is_idle();
            if !busy && self.session.is_connected() && self.flash.waiting() == 0 {
                if !self.flash.entries.is_empty() {
                    return Err(Broken("flash keeps what is done".into()));
                }
                if !self.broker.is_subscribed() {
                    return Err(Broken("the device has become deaf".into()));
                }
                return self.ledger.check();
            }
        }
        let left: Vec<_> = self.session.outbox().iter().collect();
        Err(Broken(format!("nothing moves any more: {left:?}")))
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn publish(&mut self) -> Result<(), Broken> {
        self.last_number += 1;
        let number = self.last_number;
        let topic = self.rng.index(TOPICS);
        // A topic has one mode, as a rule of the configuration would have it.
        let mode = match topic % 2 {
            0 => Mode::Spill,
            _ => Mode::Durable,
        };
        let qos = match mode {
            Mode::Spill => QoS::from_level(self.rng.below(3) as u8).unwrap(),
            Mode::Durable => QoS::from_level(1 + self.rng.below(2) as u8).unwrap(),
        };
        let expiry = match self.weather.expiring {
            Some(one_in) if self.rng.one_in(one_in) => Some(STEP * self.rng.below(40) as u32),
            _ => None,
        };
        let payload = number.to_string();
        let name = format!("up/{topic}");
        let publication = Publication {
            class: Class::ALL[topic % 3],
            mode,
            expiry,
            tag: Some(number),
            ..Publication::new(&name, payload.as_bytes(), qos)
        };
        match self.session.publish(&publication, self.now) {
            Ok(_) => {}
            // All that wait are of a higher class.
            Err(PublishError::Full(_)) if self.weather.rows_max.is_some() => return self.drive(),
            Err(error) => return Err(Broken(error.to_string())),
        }
        let up = Up {
            topic,
            qos,
            mode,
            taken: self.now,
            promised: mode == Mode::Spill,
            excused: false,
            excused_twice: false,
            expires: expiry.map(|expiry| self.now + expiry),
            kept: false,
            dropped: false,
            arrived: 0,
            orphan: false,
        };
        self.ledger.up.insert(number, up);
        self.drive()
    }

    fn publish_down(&mut self) {
        self.last_number += 1;
        let qos = match self.rng.one_in(2) {
            true => QoS::AtLeastOnce,
            false => QoS::ExactlyOnce,
        };
        let down = Down {
            number: self.last_number,
            qos,
        };
        self.ledger.note_down(down);
        self.broker.publish(down, &mut self.ledger);
    }

    fn subscribe(&mut self) {
        let options = SubscribeOptions::qos(QoS::ExactlyOnce);
        self.session.subscribe("down/#", options, self.now).unwrap();
    }

    fn connect(&mut self) {
        self.wire = Some(Wire::default());
        self.broker.connect();
        self.session.handle_connected(self.now);
    }

    /// What is on its way is cut somewhere.
    fn cut(&mut self) {
        self.wire = None;
        self.broker.disconnect(&mut self.ledger);
        self.session.handle_disconnected(self.now);
    }

    /// Moves some bytes each way.
    fn carry(&mut self) -> Result<(), Broken> {
        let pending = self.session.pending();
        let count = self.rng.index(pending.len() + 1);
        if let Some(wire) = &mut self.wire {
            wire.up.extend_from_slice(&pending[..count]);
            if count > 0 {
                self.session.handle_written(count, self.now);
            }
        }
        let Some(wire) = self.wire.as_mut().filter(|wire| !wire.frozen) else {
            return Ok(());
        };
        let count = self.rng.index(wire.up.len() + 1);
        let bytes: Vec<u8> = wire.up.drain(..count).collect();
        self.broker.receive(&bytes, &mut self.ledger)?;
        if !self.broker.is_connected() {
            self.cut();
            return Ok(());
        }
        let out = self.broker.out();
        let count = self.rng.index(out.len() + 1);
        let bytes: Vec<u8> = out.drain(..count).collect();
        if self.session.wants_read() {
            self.session.handle_bytes(&bytes, self.now);
        } else {
            out.splice(..0, bytes);
        }
        Ok(())
    }

    /// Does what the session asks for, and lets its time come.
    fn drive(&mut self) -> Result<(), Broken> {
        if let Some((due, _)) = self.session.poll_timeout()
            && due <= self.now
        {
            self.session.handle_timeout(self.now);
        }
        let flush_due = self
            .unflushed_since
            .is_some_and(|since| since + FLUSH_LAG <= self.now);
        if flush_due {
            self.flush(usize::MAX)?;
        }
        self.outputs()
    }

    fn outputs(&mut self) -> Result<(), Broken> {
        let mut close = false;
        loop {
            // A message is borrowed from the session, so what is needed of it is taken first.
            let message = match self.session.poll_output() {
                None => match self.flash.commit() {
                    None => break,
                    Some(first) => {
                        self.tell_failed(first);
                        continue;
                    }
                },
                Some(Output::Message(message)) => {
                    (number_of(message.payload), message.token.unwrap())
                }
                Some(Output::Accepted(tag)) => {
                    self.ledger.promise(tag);
                    continue;
                }
                Some(Output::Persist(ticket, what)) => {
                    self.flash.write(ticket, what, self.session.outbox());
                    self.unflushed_since.get_or_insert(self.now);
                    continue;
                }
                Some(Output::Done(tag, Outcome::Dropped(DropCause::Storage))) => {
                    self.ledger.refuse_up(tag)?;
                    continue;
                }
                Some(Output::Done(tag, Outcome::Dropped(DropCause::Expired))) => {
                    self.ledger.expire_up(tag, self.now)?;
                    continue;
                }
                Some(Output::Done(tag, Outcome::Dropped(cause))) => {
                    let excused = match cause {
                        DropCause::Overflow => self.weather.rows_max.is_some(),
                        DropCause::EndsConnections => self.weather.poison && is_poison(tag),
                        _ => false,
                    };
                    if !excused {
                        return Err(Broken(format!("{tag} was dropped: {cause}")));
                    }
                    self.ledger.excuse_up(tag);
                    continue;
                }
                Some(Output::Close(_)) => {
                    close = true;
                    continue;
                }
                Some(Output::Stopped) => {
                    self.stopped = true;
                    continue;
                }
                Some(_) => continue,
            };
            let (number, token) = message;
            match self.weather.durable_subscription {
                false if self.weather.late => {
                    self.ledger.note_told(number)?;
                    self.unacknowledged.push(token);
                }
                true => {
                    self.flash.keep(number, token);
                    self.unflushed_since.get_or_insert(self.now);
                }
                false => {
                    self.ledger.note_told(number)?;
                    self.session.acknowledge(token, Kept::InMemory, self.now);
                }
            }
        }
        if close {
            self.cut();
        }
        Ok(())
    }

    /// The disk breaks under what was committed. Until it is opened again it takes nothing.
    fn fail_sync(&mut self) -> Result<(), Broken> {
        self.outputs()?;
        let survive = self.rng.index(self.flash.waiting() + 1);
        if let Some(first) = self.flash.fail_sync(survive) {
            self.tell_failed(first);
        }
        self.flash.is_full = true;
        self.outputs()
    }

    fn tell_failed(&mut self, first: Ticket) {
        self.unwritten_until = self.now + MQTT_STORAGE_PAUSE + FLUSH_LAG + 2 * STEP;
        self.session.handle_persist_failed(first, self.now);
    }

    fn flush(&mut self, count: usize) -> Result<(), Broken> {
        self.outputs()?;
        let flushed = self.flash.flush(count);
        for (number, token) in flushed.kept {
            self.ledger.note_told(number)?;
            self.session.acknowledge(token, Kept::OnFlash, self.now);
        }
        if let Some(ticket) = flushed.ticket {
            self.session.handle_persisted(ticket, self.now);
        }
        if self.flash.waiting() == 0 {
            self.unflushed_since = None;
            if self.session.is_connected() && self.unwritten_until < self.now {
                self.broker.note_known();
            }
        }
        self.outputs()
    }

    fn kill(&mut self) -> Result<(), Broken> {
        self.excuse_lost();
        // That the broker's session is new was known to nobody but the one that dies here.
        self.broker.excuse_forgotten(&mut self.ledger);
        for number in self.flash.kill() {
            self.ledger.note_told(number)?;
        }
        self.restart();
        Ok(())
    }

    /// What a kill may cost: messages that were to be spilled and were too young for it.
    fn excuse_lost(&mut self) {
        if !self.weather.durable_subscription {
            self.ledger.excuse_told_twice();
        }
        for up in self.ledger.up.values_mut() {
            if up.mode == Mode::Spill {
                up.excused_twice = true;
                // If the broker has it, it comes when the new life releases its packet id, and the
                // order of those is not on flash.
                up.orphan |= up.qos == QoS::ExactlyOnce && up.arrived == 0;
                let young = self.now.since(up.taken) <= SPILL_DELAY + FLUSH_LAG + 2 * STEP;
                // While flash fails, nothing is spilled.
                let late = self.weather.fills > 0 && !up.kept;
                if (young || late) && up.arrived == 0 {
                    up.promised = false;
                    up.orphan = true;
                }
            }
        }
    }

    fn stop(&mut self) -> Result<(), Broken> {
        self.session.stop(self.now);
        self.stopped = false;
        self.outputs()?;
        for _ in 0..STOP_STEPS {
            self.flush(usize::MAX)?;
            if self.stopped {
                self.restart();
                return Ok(());
            }
            // What flash refuses now it may take when it is asked again.
            self.flash.is_full &= !self.rng.one_in(4);
            self.pass(STEP);
            self.drive()?;
        }
        Err(Broken("the session does not stop".into()))
    }

    fn restart(&mut self) {
        // What a stop left counts once.
        let stopped = self.flash.stopped.take();
        let (received_at_stop, ending) = stopped.unwrap_or((Vec::new(), Ending::Badly));
        self.wire = None;
        self.broker.disconnect(&mut self.ledger);
        self.unflushed_since = None;
        self.session = session(self.version, self.rules, self.weather, ending);
        self.ledger.begin_life();
        for stored in self.flash.entries.values() {
            let tag = number_of(&stored.payload);
            let expires = self.ledger.up[&tag].expires;
            let expiry = expires.map(|expires| expires.since(self.now));
            self.session
                .restore(&stored.as_entry(tag, expiry), self.now);
        }
        let durable: Vec<_> = self.flash.received.iter().copied().collect();
        self.session.restore_received(&durable, Kept::OnFlash);
        self.session
            .restore_received(&received_at_stop, Kept::InMemory);
        self.subscribe();
    }
}

fn session(version: Version, rules: Rules, weather: Weather, ending: Ending) -> Session {
    let config = Config {
        receive_max: DEVICE_RECEIVE_MAX,
        spill_delay: SPILL_DELAY,
        keep_alive: Duration::from_secs(5),
        rules,
        ..Config::new(version, "device")
    };
    let mut budget = Budget::default();
    if let Some(rows_max) = weather.rows_max {
        budget.rows_max = rows_max;
        budget.overflow = Overflow::DropOldest;
    }
    Session::new(config, Outbox::new(budget), ending)
}
