//! Who reads: a bounded buffer for each subscription, and whose acknowledgement is awaited.
//!
//! A buffer is bounded in messages and in bytes, and so is what all of them hold together, where
//! the one that holds the most gives way. A reader whose buffer is full gets a moment: nothing more is read from the broker, which may send
//! faster than a thread that they share gives the reader its turn. One that does not keep up then
//! loses its oldest messages, which are counted, and gets the next moment when it has caught up; so
//! the others hardly notice. A reader that acknowledges by itself loses none that can be acknowledged: the broker
//! sends no more of them than Receive Maximum says, and with 3.1.1, where it says nothing, nothing
//! more is read when so many wait, or so many bytes.
//!
//! Retained messages are for those who have just subscribed. The broker sends them again when a
//! second reader asks for the same filter; then the first, whose own have come to rest, does not
//! get them once more.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use periwinkle_core::limits::MQTT_READERS_BYTES_MAX;
use periwinkle_core::mqtt::codec::{Property, QoS, Reason, RetainHandling};
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::session::{self, AckToken, SubscriptionId};
use periwinkle_core::mqtt::topic::Filter;
use periwinkle_core::time::{Mono, Now};

use super::buffer::{Buffer, Load};
use super::kept::{Came, KeptMessage};
use super::message::{Holder, Message, Receipt};
use super::shared::{Shared, State};
use super::unclaimed::Unclaimed;
pub(super) use reader::Manner;
use reader::Reader;
use receipts::Receipts;

mod reader;
mod receipts;
#[cfg(test)]
mod tests;

/// The name of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReaderId(u64);

/// All readers of a client.
#[derive(Debug, Default)]
pub(super) struct Readers {
    readers: BTreeMap<ReaderId, Reader>,
    filters: Filters<ReaderId>,
    by_subscription: BTreeMap<SubscriptionId, ReaderId>,
    receipts: Receipts,
    /// What all buffers hold.
    load: Load,
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

/// What goes with a reader.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) subscription: SubscriptionId,
    /// Receipts of messages that it has not read, and that nobody will acknowledge now. Those
    /// behind them could not be acknowledged either, to whomever they went.
    pub(super) unread: Vec<u64>,
}

/// A message on its way to flash.
#[derive(Debug)]
pub(super) struct Keep {
    pub(super) filter: String,
    pub(super) message: Message,
    pub(super) came: Came,
    pub(super) token: AckToken,
    reader: ReaderId,
    receipt: u64,
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
            buffer: Buffer::new(manner.bounds),
            is_new: match manner.retained {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => is_first,
                RetainHandling::DoNotSend => false,
            },
            awaited: now,
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

    /// What nobody reads is dropped at this age.
    pub(super) fn set_unclaimed_age_max(&mut self, age_max: Option<Duration>) {
        self.kept.set_age_max(age_max);
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
        let mut message = kept.message.clone();
        message.receipt = Some(Receipt {
            shared: self.shared.clone(),
            holder: Holder::Flash(row),
        });
        let delivered = self.change(id, |reader| {
            reader.buffer.push(message);
            reader.wake(woken);
        });
        if delivered.is_none() {
            self.kept.insert(row, kept);
        }
    }

    /// Changes what waits for a reader, if it is still here.
    fn change<R>(&mut self, id: ReaderId, change: impl FnOnce(&mut Reader) -> R) -> Option<R> {
        let reader = self.readers.get_mut(&id)?;
        let before = reader.buffer.load();
        let result = change(reader);
        self.load.change(before, reader.buffer.load());
        Some(result)
    }

    /// It reads no more; says what goes with it.
    pub(super) fn leave(&mut self, id: ReaderId, now: Mono) -> Option<Left> {
        let reader = self.readers.remove(&id)?;
        self.load.change(reader.buffer.load(), Load::default());
        if let Ok(filter) = Filter::parse(&reader.filter) {
            self.filters.remove(filter, &id);
            self.found.topic.clear();
        }
        self.by_subscription.remove(&reader.subscription);
        let mut unread = Vec::new();
        for message in reader.buffer.into_messages() {
            match message.receipt.as_ref().map(|it| it.holder) {
                Some(Holder::Flash(row)) => {
                    let filter = reader.filter.clone();
                    let came = Came {
                        wall: None,
                        since: now,
                    };
                    let kept = KeptMessage {
                        filter,
                        message,
                        came,
                    };
                    self.kept.insert(row, kept);
                }
                Some(Holder::Broker(receipt)) => unread.push(receipt),
                None => {}
            }
        }
        Some(Left {
            subscription: reader.subscription,
            unread,
        })
    }

    /// Whether a reader has no room and is to lose nothing, or nothing yet.
    pub(super) const fn hold_reading(&self) -> bool {
        let Load {
            full,
            awaited,
            manual_bytes,
            ..
        } = self.load;
        full > 0 || awaited > 0 || manual_bytes > MQTT_READERS_BYTES_MAX
    }

    /// When the next reader has had its moment, or what nobody reads may be too old.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        let old = self.kept.poll_timeout();
        if self.load.awaited == 0 {
            return old;
        }
        let readers = self.readers.values();
        let awaited = readers.filter_map(|it| it.buffer.awaited_until());
        awaited.chain(old).min()
    }

    /// Goes on without the readers that have had their moment, and what is too old.
    pub(super) fn handle_timeout(&mut self, now: Now) {
        self.kept.drop_old(now);
        let now = now.mono;
        if self.load.awaited == 0 {
            return;
        }
        for reader in self.readers.values_mut() {
            let until = reader.buffer.awaited_until();
            if until.is_some_and(|until| until <= now) {
                let before = reader.buffer.load();
                reader.buffer.end_moment();
                self.load.change(before, reader.buffer.load());
            }
        }
        self.make_room(now);
    }

    /// All buffers together are within their bound again, or the reader with the fullest one has
    /// its moment.
    fn make_room(&mut self, now: Mono) {
        while self.load.bytes > MQTT_READERS_BYTES_MAX {
            let readers = self.readers.iter();
            let fullest = readers.max_by_key(|(_, reader)| reader.buffer.load().bytes);
            let Some(id) = fullest.map(|(id, _)| *id) else {
                return;
            };
            if self.change(id, |reader| reader.buffer.gives_way(now)) != Some(true) {
                return;
            }
            self.missed += 1;
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
        let manners = readers.iter().filter_map(|id| self.readers.get(id));
        let manners = manners.map(|reader| reader.manner);
        let open = self.receipts.expect(message.token, manners);
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
        copy.lower(reader.manner.qos);
        if let (true, Some((open, token))) = (reader.manner.bounds.manual, awaits) {
            let receipt = self.receipts.give(open);
            if reader.manner.durable {
                self.keeps.push(Keep {
                    filter: reader.filter.clone(),
                    message: copy,
                    came: Came {
                        wall: None,
                        since: now,
                    },
                    token,
                    reader: id,
                    receipt,
                });
                return;
            }
            copy.receipt = Some(Receipt {
                shared: self.shared.clone(),
                holder: Holder::Broker(receipt),
            });
        }
        let lost = self.change(id, |reader| {
            let lost = reader.buffer.take(copy, now);
            reader.wake(woken);
            lost
        });
        self.missed += lost.unwrap_or(0);
        self.make_room(now);
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

    /// The connection is gone.
    pub(super) fn end_connection(&mut self) {
        self.receipts.end_connection();
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
            reader.tell_answer(answer);
            reader.answer = Some(answer);
            reader.awaited = now;
            reader.wake(woken);
        }
    }

    /// Filters that the broker refused, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&str, Reason)> {
        let readers = self.readers.values();
        readers.filter_map(|reader| Some((reader.filter.as_str(), reader.answer?.err()?)))
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
        self.readers
            .get(&id)
            .map_or(0, |reader| reader.buffer.missed())
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
        let before = reader.buffer.load();
        let Some(message) = reader.buffer.pop() else {
            if reader.gone {
                return (Poll::Ready(None), false);
            }
            match &reader.waker {
                Some(waker) if waker.will_wake(context.waker()) => {}
                _ => reader.waker = Some(context.waker().clone()),
            }
            return (Poll::Pending, false);
        };
        let after = reader.buffer.load();
        let was_held = self.hold_reading();
        self.load.change(before, after);
        let goes_on = was_held && !self.hold_reading();
        (Poll::Ready(Some(message)), goes_on)
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
        if let Some((token, kept)) = self.readers.receipts.receive(number) {
            self.session.acknowledge(token, kept, now);
        }
    }

    /// A message has reached flash: the broker is to know, and its reader gets it.
    pub(super) fn kept(&mut self, keep: Keep, row: u64, now: Mono, woken: &mut Vec<Waker>) {
        self.acknowledge(keep.receipt, now);
        let kept = KeptMessage {
            filter: keep.filter,
            message: keep.message,
            came: keep.came,
        };
        self.readers.deliver(keep.reader, kept, row, woken);
    }
}
