//! Changes of models that become messages, and how far that has come.
//!
//! Each rule has a position in the log of changes, as a row of the shelf `mqtt`: all changes up to
//! it are safe as messages, acknowledged by the broker or on flash. The row follows in a lazy
//! write, so that a healthy link costs no flush of its own. After a kill it may lag, and what was
//! published since is published again, once for each item; a change is never passed over.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::task::{Context, Poll, Waker};

use periwinkle_core::limits::{MQTT_ROUTE_CHANGES_PER_TURN, MQTT_ROUTE_POSITION_INTERVAL};
use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::mqtt::outbox::{Overflow, Refused};
use periwinkle_core::mqtt::route::OutRoute;
use periwinkle_core::mqtt::session::PublishError;
use periwinkle_db::engine::Durability;
use periwinkle_db::{Change, ChangeStream, Database, DbError, Event, Shelf, Since};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::client::Mqtt;
use super::error::MqttError;
use super::keeper::SHELF;
use super::publish::Delivery;
use super::waiters::Until;

/// What rules have carried out since the start, for `status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    /// Changes that became messages.
    pub(super) published: u64,
    /// Changes of which no message can be made.
    pub(super) unpublishable: u64,
    /// How often changes were missed that the database could not tell any more.
    pub(super) gaps: u64,
}

/// What is known of the queue when the client has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// Messages with QoS 1 and 2 are on flash, all of them.
    All,
    /// Some may not be.
    Unknown,
}

/// Publishes changes until it is told that the client has stopped.
pub(super) async fn carry_out(
    mqtt: Mqtt,
    db: Database,
    routes: Vec<OutRoute>,
    ended: oneshot::Receiver<Saved>,
) {
    let mut outward = match Outward::open(mqtt, db, routes) {
        Ok(outward) => outward,
        Err(error) => {
            return tracing::error!(target: "mqtt", "changes are not published: {error}");
        }
    };
    let saved = tokio::select! {
        biased;
        saved = ended => saved.unwrap_or(Saved::Unknown),
        never = outward.go_on() => match never {},
    };
    outward.end(saved);
}

struct Outward {
    mqtt: Mqtt,
    db: Database,
    shelf: Shelf,
    rules: Vec<Rule>,
    /// The sequence of the change that was told last.
    last: u64,
    /// All changes up to this sequence were told: several can share one.
    whole: u64,
    /// Positions are not written before this time.
    write_at: Instant,
    is_failing: bool,
}

struct Rule {
    route: OutRoute,
    /// The key of its row.
    key: Vec<u8>,
    /// Where it was at the start.
    begin: u64,
    /// The last change whose message is safe, with all before it.
    settled: u64,
    /// What its row says.
    written: u64,
    /// What was published, in the order of changes; nothing where nothing could be.
    under_way: VecDeque<(u64, Option<Delivery>)>,
}

impl Outward {
    /// Reads where the rules are. A rule without a row is new, and begins now.
    fn open(mqtt: Mqtt, db: Database, routes: Vec<OutRoute>) -> Result<Outward, DbError> {
        let shelf = db.shelf(SHELF);
        let mut batch = shelf.batch();
        let now = db.durable_sequence();
        let mut rules: Vec<Rule> = Vec::new();
        for route in routes {
            let same = |rule: &&Rule| rule.route.model == route.model && rule.route.to == route.to;
            let key = row_key(&route, rules.iter().filter(same).count());
            let row = shelf.get(&key)?;
            let position = row.and_then(|row| Some(u64::from_be_bytes(row.try_into().ok()?)));
            if position.is_none() {
                batch.put(&key, &now.to_be_bytes());
            }
            rules.push(Rule::new(route, key, position.unwrap_or(now)));
        }
        shelf.each(&[ROW], |key, _| {
            if !rules.iter().any(|rule| rule.key == key) {
                batch.delete(key);
            }
        })?;
        if !batch.is_empty() {
            // Without a row, what changes while the agent is down would be passed over.
            shelf.commit(&batch, Durability::Immediate)?;
        }
        let reached = rules.iter().map(|rule| rule.begin).max().unwrap_or(now);
        Ok(Outward {
            mqtt,
            db,
            shelf,
            rules,
            last: reached,
            whole: reached,
            write_at: Instant::now(),
            is_failing: false,
        })
    }

    async fn go_on(&mut self) -> Infallible {
        let first = self.rules.iter().map(|rule| rule.begin).min();
        let mut since = first.unwrap_or(self.whole);
        loop {
            since = self.follow(since).await;
        }
    }

    /// Publishes what has changed since then, and what changes, until changes were missed because
    /// this was too slow; says where to go on. What memory does not hold is looked up in the rows,
    /// so only changes that those do not tell are lost.
    async fn follow(&mut self, since: u64) -> u64 {
        let (mut changes, first) = self.listen(since).await;
        match first {
            Some(Event::Gap { sequence }) => self.pass_over(sequence),
            Some(Event::Change(change)) => self.publish(&change).await,
            None => {}
        }
        loop {
            for _ in 0..MQTT_ROUTE_CHANGES_PER_TURN {
                match changes.try_next() {
                    Some(Event::Change(change)) => self.publish(&change).await,
                    Some(Event::Gap { .. }) => return self.whole,
                    None => {
                        self.whole = self.last;
                        break;
                    }
                }
            }
            let write_at = self.write_at();
            tokio::select! {
                biased;
                () = self.settle() => {}
                () = at(write_at) => self.write(),
                event = changes.next() => match event {
                    Some(Event::Change(change)) => self.publish(&change).await,
                    Some(Event::Gap { .. }) => return self.whole,
                    // The database is closed.
                    None => pending().await,
                },
            }
        }
    }

    /// The stream of changes since then, and its first event: for that one all rows may have to be
    /// read, which others do not wait for.
    async fn listen(&self, since: u64) -> (ChangeStream, Option<Event>) {
        let models: Vec<&str> = (self.rules.iter())
            .map(|rule| rule.route.model.as_str())
            .collect();
        let changes = self.db.changes(Since::Sequence(since));
        let mut changes = changes.only(&models).without_removals();
        let listening = tokio::task::spawn_blocking(move || {
            let first = changes.try_next();
            (changes, first)
        });
        match listening.await {
            Ok(listening) => listening,
            // The runtime ends.
            Err(_) => pending().await,
        }
    }

    async fn publish(&mut self, change: &Change) {
        if change.sequence > self.last {
            self.whole = self.last;
            self.last = change.sequence;
        }
        for at in 0..self.rules.len() {
            let rule = &self.rules[at];
            if rule.route.model == change.model && change.sequence > rule.begin {
                let delivery = self.publish_by(rule, change).await;
                let under_way = &mut self.rules[at].under_way;
                under_way.push_back((change.sequence, delivery));
            }
        }
    }

    /// What cannot be published is told and counted.
    async fn publish_by(&self, rule: &Rule, change: &Change) -> Option<Delivery> {
        let item = change.item.as_ref()?;
        let route = &rule.route;
        let made = match route.message(item, self.db.context()) {
            Ok((topic, payload)) => {
                let queued = self.queue(route, &topic, &payload).await;
                queued.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let mut state = self.mqtt.shared.lock();
        match made {
            Ok(delivery) => {
                state.carried.published += 1;
                Some(delivery)
            }
            Err(error) => {
                state.carried.unpublishable += 1;
                let model = &route.model;
                tracing::warn!(target: "mqtt", model, "a change was not published: {error}");
                None
            }
        }
    }

    /// Waits for room in the queue, unless others are dropped for it.
    async fn queue(
        &self,
        route: &OutRoute,
        topic: &str,
        payload: &str,
    ) -> Result<Delivery, MqttError> {
        loop {
            let budget = self.mqtt.shared.lock().session.outbox().budget();
            if budget.overflow == Overflow::Refuse {
                self.room(budget.rows_max - 1).await;
            }
            match track(&self.mqtt, route, topic, payload) {
                Err(MqttError::Publish(PublishError::Full(refused))) if passes(refused) => {
                    self.room(self.mqtt.queued().saturating_sub(1)).await;
                }
                Err(MqttError::Stopped | MqttError::Publish(PublishError::Stopping)) => {
                    return pending().await;
                }
                tracked => return tracked,
            }
        }
    }

    /// At the end of the client nothing more is published, but by its next life.
    async fn room(&self, messages: usize) {
        if self.mqtt.below(messages).await.is_err() {
            pending::<()>().await;
        }
    }

    /// The database does not know any more what has changed up to there.
    fn pass_over(&mut self, sequence: u64) {
        tracing::warn!(
            target: "mqtt",
            "changes were missed that the database cannot tell any more: their messages are not sent"
        );
        self.mqtt.shared.lock().carried.gaps += 1;
        self.last = self.last.max(sequence);
        self.whole = self.last;
        for rule in &mut self.rules {
            rule.under_way.push_back((sequence, None));
        }
    }

    /// Waits until messages are safe.
    async fn settle(&mut self) {
        poll_fn(|context| {
            let mut went_on = false;
            for rule in &mut self.rules {
                went_on |= rule.settle(|delivery| is_safe(delivery, context));
            }
            match went_on {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// When positions are due to be written, if one is.
    fn write_at(&self) -> Option<Instant> {
        let mut rules = self.rules.iter();
        (rules.any(|rule| rule.is_ahead(self.whole))).then_some(self.write_at)
    }

    fn write(&mut self) {
        self.write_at = Instant::now() + MQTT_ROUTE_POSITION_INTERVAL;
        let whole = self.whole;
        let mut batch = self.shelf.batch();
        for rule in self.rules.iter().filter(|rule| rule.is_ahead(whole)) {
            batch.put(&rule.key, &rule.position(whole).to_be_bytes());
        }
        match self.shelf.commit(&batch, Durability::Lazy) {
            Ok(_) => {
                self.is_failing = false;
                for rule in &mut self.rules {
                    rule.written = rule.written.max(rule.position(whole));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(target: "mqtt", "how far rules have come is not written: {error}");
                }
            }
        }
    }

    /// The client has stopped: what it has on flash, its next life sends.
    fn end(mut self, saved: Saved) {
        let mut context = Context::from_waker(Waker::noop());
        for rule in &mut self.rules {
            let route = &rule.route;
            let is_kept = saved == Saved::All && (route.durable || route.qos != QoS::AtMostOnce);
            rule.settle(|delivery| is_kept || is_safe(delivery, &mut context));
        }
        if self.write_at().is_some() {
            self.write();
        }
    }
}

impl Rule {
    fn new(route: OutRoute, key: Vec<u8>, position: u64) -> Rule {
        Rule {
            route,
            key,
            begin: position,
            settled: position,
            written: position,
            under_way: VecDeque::new(),
        }
    }

    /// Goes on over messages that are safe; says whether there was one.
    fn settle(&mut self, mut is_safe: impl FnMut(&Delivery) -> bool) -> bool {
        let mut went_on = false;
        while let Some((sequence, delivery)) = self.under_way.front() {
            if !delivery.as_ref().is_none_or(&mut is_safe) {
                break;
            }
            self.settled = self.settled.max(*sequence);
            self.under_way.pop_front();
            went_on = true;
        }
        went_on
    }

    /// Where to go on after a restart.
    fn position(&self, whole: u64) -> u64 {
        let shares = |(sequence, _): &(u64, Option<Delivery>)| *sequence <= self.settled;
        let is_whole = self.settled <= whole && !self.under_way.front().is_some_and(shares);
        self.settled - u64::from(!is_whole && self.settled > 0)
    }

    fn is_ahead(&self, whole: u64) -> bool {
        self.position(whole) > self.written
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => pending().await,
    }
}

fn track(mqtt: &Mqtt, route: &OutRoute, topic: &str, payload: &str) -> Result<Delivery, MqttError> {
    let message = mqtt.publish(topic, payload).qos(route.qos);
    let mut message = message.class(route.class);
    if route.retain {
        message = message.retain();
    }
    if route.durable {
        message = message.durable();
    }
    message.track()
}

/// Whether there is room for such a message at times.
fn passes(refused: Refused) -> bool {
    match refused {
        Refused::Bytes { bytes, bytes_max } => bytes <= bytes_max,
        _ => true,
    }
}

/// On flash, at the broker, or dropped by a rule of the queue, which counts it.
fn is_safe(delivery: &Delivery, context: &mut Context<'_>) -> bool {
    match delivery.poll(Until::Accepted, context) {
        Poll::Pending | Poll::Ready(Err(MqttError::Stopped)) => false,
        Poll::Ready(_) => true,
    }
}

/// A rule's position: then which of equal rules it is, the model, zero, the topic's template.
const ROW: u8 = b'p';

fn row_key(route: &OutRoute, number: usize) -> Vec<u8> {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    let topic = route.to.source();
    [
        &[ROW, number],
        route.model.as_bytes(),
        &[0],
        topic.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_core::mqtt::outbox::Class;
    use periwinkle_core::mqtt::route::Template;

    fn rule() -> Rule {
        let route = OutRoute {
            model: "Setting".to_owned(),
            to: Template::parse("state/${id}").unwrap(),
            payload: None,
            qos: QoS::AtLeastOnce,
            retain: false,
            durable: false,
            class: Class::Normal,
        };
        Rule::new(route, Vec::new(), 7)
    }

    #[test]
    fn a_position_passes_changes_of_one_commit_together() {
        let mut rule = rule();
        rule.under_way.push_back((9, None));
        assert!(rule.settle(|_| true));
        // More changes of this commit may follow.
        assert_eq!(rule.position(7), 8);
        assert_eq!(rule.position(9), 9);
        rule.under_way.push_back((9, None));
        assert_eq!(rule.position(9), 8);
        rule.settle(|_| true);
        rule.under_way.push_back((12, None));
        assert_eq!(rule.position(12), 9);
        rule.settle(|_| true);
        assert_eq!(rule.position(12), 12);
    }

    #[test]
    fn rules_that_share_model_and_topic_have_rows_of_their_own() {
        let rule = rule();
        assert_eq!(row_key(&rule.route, 0), b"p\0Setting\0state/${id}");
        assert_ne!(row_key(&rule.route, 0), row_key(&rule.route, 1));
    }
}
