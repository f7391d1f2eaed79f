//! Who reads: a bounded buffer for each subscription, and whose acknowledgement is awaited.
//!
//! A reader whose buffer is full gets a moment: nothing more is read from the broker, which may send
//! faster than a thread that they share gives the reader its turn. One that does not keep up then
//! loses its oldest messages, which are counted, and gets the next moment when it has caught up; so
//! the others hardly notice. A reader that acknowledges by itself loses none that can be acknowledged: the broker
//! sends no more of them than Receive Maximum says, and with 3.1.1, where it says nothing, nothing
//! more is read when so many wait.
//!
//! Retained messages are for those who have just subscribed. The broker sends them again when a
//! second reader asks for the same filter; then the first, whose own have come to rest, does not
//! get them once more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

use periwinkle_core::limits::{MQTT_READER_PATIENCE, MQTT_RETAINED_REST};
use periwinkle_core::mqtt::codec::{Property, QoS, Reason, RetainHandling};
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::session::{self, AckToken, Kept, SubscriptionId};
use periwinkle_core::mqtt::topic::Filter;
use periwinkle_core::time::Mono;

use super::kept::KeptMessage;
use super::message::{Holder, Message, Receipt};
use super::shared::{Shared, State};
use super::unclaimed::Unclaimed;

/// The name of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(u64);

/// All readers of a client.
#[derive(Debug, Default)]
pub(super) struct Readers {
    readers: BTreeMap<ReaderId, Reader>,
    filters: Filters<ReaderId>,
    by_subscription: BTreeMap<SubscriptionId, ReaderId>,
    /// Messages whose acknowledgement is awaited, and who may give it: each reader once.
    open: BTreeMap<u64, Open>,
    receipts: BTreeMap<u64, u64>,
    /// Readers with acknowledgement whose buffer is full.
    full: usize,
    /// Readers that have their moment.
    awaited: usize,
    /// Some reader has asked for it: then the retain flag does not tell what was sent again.
    as_published: bool,
    last: u64,
    missed: u64,
    /// Where receipts find their way back to.
    shared: Weak<Shared>,
    /// Messages that have to reach flash before their readers get them.
    keeps: Vec<Keep>,
    /// Messages on flash, by row, for which nobody has subscribed yet.
    kept: Unclaimed,
    /// Whose filters match the topic of the last message.
    found: Found,
}

/// Who was found for a topic: most messages come from where the one before came from.
#[derive(Debug, Default)]
struct Found {
    /// Empty, which no topic is, when it has to be looked up again.
    topic: String,
    readers: Vec<ReaderId>,
}

/// How a reader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) manual: bool,
    /// Messages are on flash before the broker hears that they came.
    pub(super) durable: bool,
    pub(super) messages_max: usize,
    /// Messages that the broker sends before it waits for an acknowledgement.
    pub(super) receive_max: usize,
    /// Which retained messages it wants.
    pub(super) retained: RetainHandling,
    /// The retain flag is to be as it was published.
    pub(super) as_published: bool,
}

#[derive(Debug)]
struct Reader {
    filter: String,
    manner: Manner,
    subscription: SubscriptionId,
    /// What the broker puts on the copies of a message that are for this one.
    identifier: Option<u32>,
    queue: VecDeque<Message>,
    /// Retained messages are for it, too.
    is_new: bool,
    /// When the broker answered or sent a retained message last.
    awaited: Mono,
    missed: u64,
    pace: Pace,
    answer: Option<Result<QoS, Reason>>,
    gone: bool,
    waker: Option<Waker>,
}

/// Whether a reader keeps up with messages that may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    KeepsUp,
    /// Its buffer is full, and it has until then.
    Awaited(Mono),
    /// That was not enough: it loses messages until it has caught up.
    Slow,
}

/// A message that somebody has still to acknowledge.
#[derive(Debug)]
struct Open {
    token: AckToken,
    awaited: usize,
    kept: Kept,
}

/// A message on its way to flash.
#[derive(Debug)]
pub(super) struct Keep {
    pub(super) filter: String,
    pub(super) message: Message,
    pub(super) token: AckToken,
    reader: ReaderId,
    receipt: u64,
}

impl Reader {
    fn is_full(&self) -> bool {
        let Manner {
            manual,
            messages_max,
            receive_max,
            ..
        } = self.manner;
        manual && self.queue.len() > messages_max + receive_max
    }

    /// Whether a retained message is for it, and not only for one that came later.
    fn takes_retained(&mut self, now: Mono) -> bool {
        if self.is_new {
            self.awaited = now;
        }
        self.is_new
    }

    /// Another one asks for the same filter, so that its retained messages come again.
    fn grow_old(&mut self, now: Mono) {
        if self.answer.is_some() && self.awaited + MQTT_RETAINED_REST <= now {
            self.is_new = false;
        }
    }

    fn has_enough(&self) -> bool {
        self.queue.len() >= self.manner.messages_max
    }

    fn has_caught_up(&self) -> bool {
        self.queue.len() <= self.manner.messages_max / 2
    }

    /// Whether a message is lost because there is no room for this one: the oldest, or this one
    /// where all others are to be acknowledged.
    fn loses(&mut self, message: &Message) -> bool {
        let loses = self.has_enough() && (!self.manner.manual || message.receipt.is_none());
        if loses && !self.manner.manual {
            self.queue.pop_front();
        }
        self.missed += u64::from(loses);
        loses
    }

    fn wake(&mut self, woken: &mut Vec<Waker>) {
        woken.extend(self.waker.take());
    }
}

impl Readers {
    pub(super) fn set_shared(&mut self, shared: Weak<Shared>) {
        self.shared = shared;
    }

    /// A reader of what matches this filter, for which the session has asked.
    pub(super) fn enter(
        &mut self,
        filter: &str,
        manner: Manner,
        subscription: SubscriptionId,
        identifier: Option<u32>,
        now: Mono,
    ) -> ReaderId {
        self.last += 1;
        let id = ReaderId(self.last);
        let is_first = self.make_room_for_retained(filter, manner, now);
        self.as_published |= manner.as_published;
        if let Ok(filter) = Filter::parse(filter) {
            self.filters.insert(filter, id);
            self.found.topic.clear();
        }
        self.by_subscription.insert(subscription, id);
        let reader = Reader {
            filter: filter.to_owned(),
            manner,
            subscription,
            identifier,
            queue: VecDeque::new(),
            is_new: match manner.retained {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_first,
                RetainHandling::DoNotSend => false,
            },
            awaited: now,
            missed: 0,
            pace: Pace::KeepsUp,
            answer: None,
            gone: false,
            waker: None,
        };
        self.readers.insert(id, reader);
        if manner.durable {
            self.take_up_kept(id, filter);
        }
        id
    }

    /// Others with this filter have had what will come again for a new one. Says whether there are
    /// none.
    fn make_room_for_retained(&mut self, filter: &str, manner: Manner, now: Mono) -> bool {
        let mut is_first = true;
        let others = self.readers.values_mut();
        for other in others.filter(|other| other.filter == filter) {
            is_first = false;
            if manner.retained == RetainHandling::Send {
                other.grow_old(now);
            }
        }
        is_first
    }

    /// A connection stands. Where the broker is asked for everything again, retained messages come
    /// for all.
    pub(super) fn begin_connection(&mut self, now: Mono) {
        for reader in self.readers.values_mut() {
            reader.is_new = reader.manner.retained != RetainHandling::DoNotSend;
            reader.awaited = now;
        }
    }

    /// Messages of an earlier life that are for this filter.
    fn take_up_kept(&mut self, id: ReaderId, filter: &str) {
        for (row, kept) in self.kept.take(filter) {
            self.deliver(id, kept, row, &mut Vec::new());
        }
    }

    /// What flash has, at the start.
    pub(super) fn restore_kept(&mut self, kept: BTreeMap<u64, KeptMessage>) {
        for (row, kept) in kept {
            self.kept.insert(row, kept);
        }
    }

    /// Messages on flash that nobody reads.
    pub(super) const fn unclaimed(&self) -> &Unclaimed {
        &self.kept
    }

    /// Rows that are to be removed because nobody reads them and there are too many.
    pub(super) fn take_excess(&mut self) -> Vec<u64> {
        self.kept.take_excess()
    }

    /// What has to reach flash.
    pub(super) fn take_keeps(&mut self) -> Vec<Keep> {
        std::mem::take(&mut self.keeps)
    }

    fn deliver(&mut self, id: ReaderId, kept: KeptMessage, row: u64, woken: &mut Vec<Waker>) {
        let Some(reader) = self.readers.get_mut(&id) else {
            self.kept.insert(row, kept);
            return;
        };
        let was_full = reader.is_full();
        let mut message = kept.message;
        message.receipt = Some(Receipt {
            shared: self.shared.clone(),
            holder: Holder::Flash(row),
        });
        reader.queue.push_back(message);
        self.full += usize::from(!was_full && reader.is_full());
        reader.wake(woken);
    }

    /// It reads no more; says which subscription goes with it.
    pub(super) fn leave(&mut self, id: ReaderId) -> Option<SubscriptionId> {
        let reader = self.readers.remove(&id)?;
        self.full -= usize::from(reader.is_full());
        self.awaited -= usize::from(matches!(reader.pace, Pace::Awaited(_)));
        if let Ok(filter) = Filter::parse(&reader.filter) {
            self.filters.remove(filter, &id);
            self.found.topic.clear();
        }
        self.by_subscription.remove(&reader.subscription);
        for message in reader.queue {
            if let Some(Holder::Flash(row)) = message.receipt.as_ref().map(|it| it.holder) {
                let filter = reader.filter.clone();
                self.kept.insert(row, KeptMessage { filter, message });
            }
        }
        Some(reader.subscription)
    }

    /// Whether a reader has no room and is to lose nothing, or nothing yet.
    pub(super) const fn hold_reading(&self) -> bool {
        self.full > 0 || self.awaited > 0
    }

    /// When the next reader has had its moment.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        if self.awaited == 0 {
            return None;
        }
        let until = |reader: &Reader| match reader.pace {
            Pace::Awaited(until) => Some(until),
            _ => None,
        };
        self.readers.values().filter_map(until).min()
    }

    /// Goes on without the readers that have had their moment.
    pub(super) fn handle_timeout(&mut self, now: Mono) {
        if self.awaited == 0 {
            return;
        }
        for reader in self.readers.values_mut() {
            if matches!(reader.pace, Pace::Awaited(until) if until <= now) {
                reader.pace = Pace::Slow;
                self.awaited -= 1;
            }
        }
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.readers.len()
    }

    /// Messages that readers were too slow for, of all readers that ever were.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    /// Gives a message to everyone whose filter matches; says whether it is to be acknowledged at
    /// once because nobody will do it later.
    pub(super) fn take(
        &mut self,
        message: &session::Message<'_>,
        now: Mono,
        woken: &mut Vec<Waker>,
    ) -> bool {
        let found = self.find(message.topic);
        let mut meant = self.narrow(message, &found.readers);
        if message.retain && !self.as_published {
            let all = meant.unwrap_or_else(|| found.readers.clone());
            meant = Some(self.takers_of_retained(all, now));
        }
        let meant = meant.as_ref().unwrap_or(&found.readers);
        let is_done = self.hand_out(message, meant, now, woken);
        self.found = found;
        is_done
    }

    /// Everyone whose filter matches.
    fn find(&mut self, topic: &str) -> Found {
        let mut found = std::mem::take(&mut self.found);
        if found.topic != topic {
            found.topic.clear();
            found.topic.push_str(topic);
            found.readers.clear();
            self.filters.matches(topic, |id| found.readers.push(*id));
        }
        found
    }

    /// Those that have not had it from an earlier subscription to the same filter.
    fn takers_of_retained(&mut self, mut readers: Vec<ReaderId>, now: Mono) -> Vec<ReaderId> {
        let known = &mut self.readers;
        let mut takes = |id: &ReaderId| known.get_mut(id).map(|it| it.takes_retained(now));
        readers.retain(|id| takes(id) == Some(true));
        readers
    }

    /// Gives each of these readers a copy; the last one gets the one that was made.
    fn hand_out(
        &mut self,
        message: &session::Message<'_>,
        readers: &[ReaderId],
        now: Mono,
        woken: &mut Vec<Waker>,
    ) -> bool {
        let Some((last, others)) = readers.split_last() else {
            return true;
        };
        let open = self.expect_receipts(message.token, readers);
        let awaits = open.zip(message.token);
        let copy = Message::copy(message);
        for id in others {
            self.hand_to(*id, copy.clone(), awaits, now, woken);
        }
        self.hand_to(*last, copy, awaits, now, woken);
        open.is_none()
    }

    /// Gives a copy to a reader; `awaits` is what is open until the readers with acknowledgement
    /// have dealt with theirs.
    fn hand_to(
        &mut self,
        id: ReaderId,
        mut copy: Message,
        awaits: Option<(u64, AckToken)>,
        now: Mono,
        woken: &mut Vec<Waker>,
    ) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return;
        };
        if let (true, Some((open, token))) = (reader.manner.manual, awaits) {
            self.last += 1;
            self.receipts.insert(self.last, open);
            if reader.manner.durable {
                self.keeps.push(Keep {
                    filter: reader.filter.clone(),
                    message: copy,
                    token,
                    reader: id,
                    receipt: self.last,
                });
                return;
            }
            copy.receipt = Some(Receipt {
                shared: self.shared.clone(),
                holder: Holder::Broker(self.last),
            });
        }
        if reader.loses(&copy) {
            self.missed += 1;
        }
        if reader.manner.manual && copy.receipt.is_none() && reader.has_enough() {
            return;
        }
        let was_full = reader.is_full();
        let may_be_dropped = copy.receipt.is_none();
        reader.queue.push_back(copy);
        self.full += usize::from(!was_full && reader.is_full());
        if may_be_dropped && reader.pace == Pace::KeepsUp && reader.has_enough() {
            reader.pace = Pace::Awaited(now + MQTT_READER_PATIENCE);
            self.awaited += 1;
        }
        reader.wake(woken);
    }

    /// Those for whose filter the broker has sent this copy, if it says so. A copy that is for none
    /// of them is for all: it must not be lost.
    fn narrow(&self, message: &session::Message<'_>, found: &[ReaderId]) -> Option<Vec<ReaderId>> {
        if found.len() < 2 || message.properties.is_empty() {
            return None;
        }
        let is_meant = |id: &ReaderId| {
            let reader = self.readers.get(id);
            let identifier = reader.and_then(|reader| reader.identifier);
            let is_it = |property| match property {
                Property::SubscriptionIdentifier(named) => Some(named) == identifier,
                _ => false,
            };
            message.properties.iter().any(is_it)
        };
        let meant: Vec<ReaderId> = found.iter().copied().filter(is_meant).collect();
        (!meant.is_empty()).then_some(meant)
    }

    fn expect_receipts(&mut self, token: Option<AckToken>, found: &[ReaderId]) -> Option<u64> {
        let token = token?;
        let manners = found.iter().filter_map(|id| self.readers.get(id));
        let manual = manners.map(|it| it.manner).filter(|manner| manner.manual);
        let (mut awaited, mut kept) = (0, Kept::InMemory);
        for manner in manual {
            awaited += 1;
            if manner.durable {
                kept = Kept::OnFlash;
            }
        }
        if awaited == 0 {
            return None;
        }
        self.last += 1;
        let open = Open {
            token,
            awaited,
            kept,
        };
        self.open.insert(self.last, open);
        Some(self.last)
    }

    /// A reader has dealt with its copy; if it was the last of all, the broker is to know.
    fn receive(&mut self, number: u64) -> Option<(AckToken, Kept)> {
        let place = self.receipts.remove(&number)?;
        let open = self.open.get_mut(&place)?;
        open.awaited -= 1;
        match open.awaited {
            0 => self.open.remove(&place).map(|open| (open.token, open.kept)),
            _ => None,
        }
    }

    /// The connection is gone: what was not acknowledged comes again, with receipts of its own.
    /// Those of QoS 2 stay, for their messages are not told again.
    pub(super) fn end_connection(&mut self) {
        let open = &mut self.open;
        open.retain(|_, open| open.token.qos() == QoS::ExactlyOnce);
        self.receipts.retain(|_, place| open.contains_key(place));
    }

    /// The broker's answer to a subscription.
    pub(super) fn answered(
        &mut self,
        subscription: SubscriptionId,
        answer: Result<QoS, Reason>,
        now: Mono,
        woken: &mut Vec<Waker>,
    ) {
        if let Some(reader) = self.of(subscription) {
            reader.answer = Some(answer);
            reader.awaited = now;
            reader.wake(woken);
        }
    }

    fn of(&mut self, subscription: SubscriptionId) -> Option<&mut Reader> {
        let id = self.by_subscription.get(&subscription)?;
        self.readers.get_mut(id)
    }

    pub(super) fn poll_answer(
        &mut self,
        id: ReaderId,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<QoS, Reason>>> {
        let Some(reader) = self.readers.get_mut(&id).filter(|reader| !reader.gone) else {
            return Poll::Ready(None);
        };
        match reader.answer {
            Some(answer) => Poll::Ready(Some(answer)),
            None => {
                reader.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn answer(&self, id: ReaderId) -> Option<Result<QoS, Reason>> {
        self.readers.get(&id)?.answer
    }

    pub(super) fn missed_by(&self, id: ReaderId) -> u64 {
        self.readers.get(&id).map_or(0, |reader| reader.missed)
    }

    /// The next message for a reader, and whether reading from the broker can go on now.
    pub(super) fn poll_next(
        &mut self,
        id: ReaderId,
        context: &mut Context<'_>,
    ) -> (Poll<Option<Message>>, bool) {
        let Some(reader) = self.readers.get_mut(&id) else {
            return (Poll::Ready(None), false);
        };
        let was_full = reader.is_full();
        let Some(message) = reader.queue.pop_front() else {
            if reader.gone {
                return (Poll::Ready(None), false);
            }
            match &reader.waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                _ => reader.waker = Some(context.waker().clone()),
            }
            return (Poll::Pending, false);
        };
        let has_room = was_full && !reader.is_full();
        self.full -= usize::from(has_room);
        let mut goes_on = has_room;
        if reader.pace != Pace::KeepsUp && reader.has_caught_up() {
            let was_awaited = matches!(reader.pace, Pace::Awaited(_));
            self.awaited -= usize::from(was_awaited);
            reader.pace = Pace::KeepsUp;
            goes_on |= was_awaited;
        }
        (Poll::Ready(Some(message)), goes_on && !self.hold_reading())
    }

    /// The client has stopped: streams end when their buffers are empty.
    pub(super) fn end(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        for reader in self.readers.values_mut() {
            reader.gone = true;
            reader.wake(&mut woken);
        }
        woken
    }
}

impl State {
    /// Somebody has dealt with a message that awaits this.
    pub(super) fn acknowledge(&mut self, number: u64, now: Mono) {
        if let Some((token, kept)) = self.readers.receive(number) {
            self.session.acknowledge(token, kept, now);
        }
    }

    /// A message has reached flash: the broker is to know, and its reader gets it.
    pub(super) fn kept(&mut self, keep: Keep, row: u64, now: Mono, woken: &mut Vec<Waker>) {
        self.acknowledge(keep.receipt, now);
        let kept = KeptMessage {
            filter: keep.filter,
            message: keep.message,
        };
        self.readers.deliver(keep.reader, kept, row, woken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periwinkle_core::mqtt::codec::{SubscribeOptions, Version};
    use periwinkle_core::mqtt::outbox::{Budget, Outbox};
    use periwinkle_core::mqtt::session::{Config, Ending, Session};
    use std::time::Duration;

    /// Readers of one filter, and when they subscribed and were answered.
    struct World {
        session: Session,
        readers: Readers,
        now: Mono,
    }

    impl World {
        fn new() -> World {
            let config = Config::new(Version::V5, "me");
            World {
                session: Session::new(config, Outbox::new(Budget::default()), Ending::Orderly),
                readers: Readers::default(),
                now: Mono::ZERO,
            }
        }

        fn pass(&mut self, time: Duration) {
            self.now = self.now + time;
        }

        fn enter(
            &mut self,
            filter: &str,
            retained: RetainHandling,
            as_published: bool,
        ) -> ReaderId {
            let options = SubscribeOptions::default();
            let asked = self.session.subscribe(filter, options, self.now).unwrap();
            let manner = Manner {
                manual: false,
                durable: false,
                messages_max: 10,
                receive_max: 10,
                retained,
                as_published,
            };
            let id = self.readers.enter(filter, manner, asked, None, self.now);
            let granted = Ok(QoS::AtMostOnce);
            (self.readers).answered(asked, granted, self.now, &mut Vec::new());
            id
        }

        fn subscribe(&mut self, filter: &str) -> ReaderId {
            self.enter(filter, RetainHandling::Send, false)
        }

        fn fill(&mut self, topic: &str, count: usize) {
            for _ in 0..count {
                let message = message(topic, false);
                self.readers.take(&message, self.now, &mut Vec::new());
            }
        }

        fn read(&mut self, id: ReaderId, count: usize) {
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..count {
                let (polled, _) = self.readers.poll_next(id, &mut context);
                assert!(matches!(polled, Poll::Ready(Some(_))));
            }
        }

        /// A message comes; who gets it?
        fn comes(&mut self, topic: &str, retain: bool) -> Vec<ReaderId> {
            let message = message(topic, retain);
            self.readers.take(&message, self.now, &mut Vec::new());
            let readers = self.readers.readers.iter_mut();
            let got = readers.filter_map(|(id, reader)| reader.queue.pop_front().map(|_| *id));
            got.collect()
        }
    }

    fn message(topic: &str, retain: bool) -> session::Message<'_> {
        session::Message {
            topic,
            payload: b"x",
            qos: QoS::AtMostOnce,
            retain,
            dup: false,
            properties: periwinkle_core::mqtt::codec::Properties::EMPTY,
            token: None,
        }
    }

    #[test]
    fn retained_messages_that_come_again_are_for_the_new_reader_only() {
        let mut world = World::new();
        let one = world.subscribe("a/#");
        let wide = world.subscribe("#");
        assert_eq!(world.comes("a/b", true), [one, wide]);
        world.pass(MQTT_RETAINED_REST);
        let two = world.subscribe("a/#");
        assert_eq!(world.comes("a/b", true), [wide, two]);
        assert_eq!(world.comes("a/b", false), [one, wide, two]);
        // A new session of the broker sends them to all.
        world.readers.begin_connection(world.now);
        assert_eq!(world.comes("a/b", true), [one, wide, two]);
    }

    #[test]
    fn a_reader_whose_own_retained_messages_still_come_loses_none() {
        let mut world = World::new();
        let one = world.subscribe("a/#");
        for _ in 0..10 {
            world.pass(MQTT_RETAINED_REST - Duration::from_millis(1));
            assert_eq!(world.comes("a/b", true), [one]);
        }
        let two = world.subscribe("a/#");
        assert_eq!(world.comes("a/b", true), [one, two]);
    }

    #[test]
    fn a_reader_that_wants_none_or_only_the_first_gets_what_it_asked_for() {
        let mut world = World::new();
        world.enter("a", RetainHandling::DoNotSend, false);
        world.enter("a", RetainHandling::SendIfNew, false);
        assert_eq!(world.comes("a", true), []);
        let first = world.enter("b", RetainHandling::SendIfNew, false);
        assert_eq!(world.comes("b", true), [first]);
    }

    #[test]
    fn a_retain_flag_as_published_keeps_no_message_from_anybody() {
        let mut world = World::new();
        let one = world.subscribe("a");
        world.pass(MQTT_RETAINED_REST);
        let two = world.enter("a", RetainHandling::Send, true);
        assert_eq!(world.comes("a", true), [one, two]);
    }

    #[test]
    fn a_full_reader_gets_a_moment_and_the_next_when_it_has_caught_up() {
        let mut world = World::new();
        let id = world.subscribe("a");
        world.fill("a", 9);
        assert!(!world.readers.hold_reading());
        world.fill("a", 1);
        assert!(world.readers.hold_reading());
        let due = world.readers.poll_timeout();
        assert_eq!(due, Some(world.now + MQTT_READER_PATIENCE));
        world.read(id, 5);
        assert!(!world.readers.hold_reading());
        assert_eq!(world.readers.poll_timeout(), None);

        world.fill("a", 5);
        assert!(world.readers.hold_reading());
        world.pass(MQTT_READER_PATIENCE);
        world.readers.handle_timeout(world.now);
        world.fill("a", 7);
        assert!(!world.readers.hold_reading());
        assert_eq!(world.readers.missed_by(id), 7);
        world.read(id, 4);
        world.fill("a", 4);
        assert!(!world.readers.hold_reading(), "it is still slow");
        world.read(id, 5);
        world.fill("a", 5);
        assert!(world.readers.hold_reading());
        world.readers.leave(id);
        assert!(!world.readers.hold_reading());
    }
}
