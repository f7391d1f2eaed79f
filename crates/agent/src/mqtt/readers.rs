//! Who reads: a bounded buffer for each subscription, and whose acknowledgement is awaited.
//!
//! A reader that does not keep up loses its oldest messages, which are counted; the others do not
//! notice. A reader that acknowledges by itself loses none that can be acknowledged: the broker
//! sends no more of them than Receive Maximum says, and with 3.1.1, where it says nothing, nothing
//! more is read when so many wait.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;
use std::task::{Context, Poll, Waker};

use periwinkle_core::mqtt::codec::{Property, QoS, Reason};
use periwinkle_core::mqtt::filters::Filters;
use periwinkle_core::mqtt::session::{self, AckToken, Kept, SubscriptionId};
use periwinkle_core::mqtt::topic::Filter;
use periwinkle_core::time::Mono;

use super::kept::KeptMessage;
use super::message::{Holder, Message, Receipt};
use super::shared::{Shared, State};

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
    last: u64,
    missed: u64,
    /// Where receipts find their way back to.
    shared: Weak<Shared>,
    /// Messages that have to reach flash before their readers get them.
    keeps: Vec<Keep>,
    /// Messages on flash, by row, for which nobody has subscribed yet.
    kept: BTreeMap<u64, KeptMessage>,
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
}

#[derive(Debug)]
struct Reader {
    filter: String,
    manner: Manner,
    subscription: SubscriptionId,
    /// What the broker puts on the copies of a message that are for this one.
    identifier: Option<u32>,
    queue: VecDeque<Message>,
    missed: u64,
    answer: Option<Result<QoS, Reason>>,
    gone: bool,
    waker: Option<Waker>,
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

    fn has_enough(&self) -> bool {
        self.queue.len() >= self.manner.messages_max
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
    ) -> ReaderId {
        self.last += 1;
        let id = ReaderId(self.last);
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
            missed: 0,
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

    /// Messages of an earlier life that are for this filter.
    fn take_up_kept(&mut self, id: ReaderId, filter: &str) {
        let mine = self.kept.extract_if(.., |_, kept| kept.filter == filter);
        let mine: Vec<(u64, KeptMessage)> = mine.collect();
        for (row, kept) in mine {
            self.deliver(id, kept, row, &mut Vec::new());
        }
    }

    /// What flash has, at the start.
    pub(super) fn restore_kept(&mut self, kept: BTreeMap<u64, KeptMessage>) {
        self.kept = kept;
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

    /// Whether a reader that loses nothing has no room.
    pub(super) const fn hold_reading(&self) -> bool {
        self.full > 0
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
    pub(super) fn take(&mut self, message: &session::Message<'_>, woken: &mut Vec<Waker>) -> bool {
        let found = self.find(message.topic);
        let is_done = match self.narrow(message, &found.readers) {
            Some(meant) => self.hand_out(message, &meant, woken),
            None => self.hand_out(message, &found.readers, woken),
        };
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

    /// Gives each of these readers a copy; the last one gets the one that was made.
    fn hand_out(
        &mut self,
        message: &session::Message<'_>,
        readers: &[ReaderId],
        woken: &mut Vec<Waker>,
    ) -> bool {
        let Some((last, others)) = readers.split_last() else {
            return true;
        };
        let open = self.expect_receipts(message.token, readers);
        let awaits = open.zip(message.token);
        let copy = Message::copy(message);
        for id in others {
            self.hand_to(*id, copy.clone(), awaits, woken);
        }
        self.hand_to(*last, copy, awaits, woken);
        open.is_none()
    }

    /// Gives a copy to a reader; `awaits` is what is open until the readers with acknowledgement
    /// have dealt with theirs.
    fn hand_to(
        &mut self,
        id: ReaderId,
        mut copy: Message,
        awaits: Option<(u64, AckToken)>,
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
        reader.queue.push_back(copy);
        self.full += usize::from(!was_full && reader.is_full());
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
        woken: &mut Vec<Waker>,
    ) {
        if let Some(reader) = self.of(subscription) {
            reader.answer = Some(answer);
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
        let goes_on = was_full && !reader.is_full();
        self.full -= usize::from(goes_on);
        (Poll::Ready(Some(message)), goes_on && self.full == 0)
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
