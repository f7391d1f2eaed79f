//! Change streams: what has changed, told after it is durable, without a runtime.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use periwinkle_core::limits::{CHANGES_KEPT_BYTES_MAX, CHANGES_KEPT_MAX};
use periwinkle_core::schema::{Hidden, Schema};
use periwinkle_core::value::Map;

use super::catch_up::Behind;
use super::shared::Shared;

/// A change of one item that is on the disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The commit that made it. Several changes can share one.
    pub sequence: u64,
    /// The model.
    pub model: String,
    /// The values of the key, as in a path.
    pub key: Vec<String>,
    /// What happened.
    pub kind: ChangeKind,
    /// Who did it.
    pub origin: Origin,
    /// The item after the change, without hidden fields; `None` when it is gone.
    pub item: Option<Map>,
}

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new, or different.
    Put,
    /// It is gone.
    Remove,
}

impl ChangeKind {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Put => "put",
            ChangeKind::Remove => "remove",
        }
    }
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A program on the device, or its owner.
    Local,
    /// The cloud.
    Cloud,
    /// Either: the change is from before the last start.
    Unknown,
}

impl Origin {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Origin::Local => "local",
            Origin::Cloud => "cloud",
            Origin::Unknown => "unknown",
        }
    }
}

/// What a stream tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A change.
    Change(Change),
    /// Changes were missed: read the models again. What follows has a sequence above this one.
    Gap {
        /// Everything up to here may have been missed.
        sequence: u64,
    },
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the next change that becomes durable.
    Now,
    /// After the change of this sequence, also across restarts: of what is no longer in memory, the
    /// latest state of each item is told, in the order of their last writes; or, when items were
    /// removed meanwhile or very many were changed, a gap.
    Sequence(u64),
}

/// Changes in the order of their commits, each after it is durable.
///
/// A stream that reads too slowly, or resumes from too long ago, gets an [`Event::Gap`].
pub struct ChangeStream {
    feed: Arc<Feed>,
    id: u64,
    /// The number of the next entry.
    next: u64,
    lost: bool,
    /// What has to be looked up before the changes in memory.
    behind: Option<Behind>,
    looked_up: VecDeque<Change>,
    models: Vec<String>,
    removals: bool,
}

impl ChangeStream {
    /// Only changes of these models; of all when the list is empty.
    pub fn only(mut self, models: &[&str]) -> ChangeStream {
        self.models = models.iter().map(|&model| model.to_owned()).collect();
        self
    }

    /// Leaves removals out: for a listener that is told nothing by them, and that they then do not
    /// keep from going on where it was before a restart.
    pub fn without_removals(mut self) -> ChangeStream {
        self.removals = false;
        self
    }

    #[expect(
        clippy::should_implement_trait,
        reason = "a future, as on other streams"
    )]
    /// The next event, as soon as there is one; `None` when the database is closed. Dropping the
    /// future loses nothing.
    pub fn next(&mut self) -> Next<'_> {
        Next { stream: self }
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        self.look_up();
        let feed = Arc::clone(&self.feed);
        let inner = feed.lock();
        self.take(&inner)
    }

    /// The next event, or a wake-up once there is one.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.look_up();
        let feed = Arc::clone(&self.feed);
        let mut inner = feed.lock();
        if let Some(event) = self.take(&inner) {
            return Poll::Ready(Some(event));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        inner.wakers.insert(self.id, context.waker().clone());
        Poll::Pending
    }

    /// Reads the rows for what is not in memory, once, before the first event.
    fn look_up(&mut self) {
        let Some(behind) = self.behind.take() else {
            return;
        };
        let (durable, next) = {
            let inner = self.feed.lock();
            (inner.durable, inner.first_pending())
        };
        if let Some(changes) = behind.changes(durable, &self.models, self.removals) {
            self.looked_up = changes;
            self.next = next;
            self.lost = false;
        }
    }

    fn take(&mut self, inner: &Inner) -> Option<Event> {
        if let Some(change) = self.looked_up.pop_front() {
            return Some(Event::Change(change));
        }
        if self.lost || self.next < inner.first {
            self.lost = false;
            self.next = inner.first_pending();
            return Some(Event::Gap {
                sequence: inner.durable.max(inner.forgotten),
            });
        }
        loop {
            let at = usize::try_from(self.next - inner.first).ok()?;
            let entry = inner.entries.get(at)?;
            if entry.sequence > inner.durable {
                return None;
            }
            self.next += 1;
            let is_wanted = self.removals || entry.item.is_some();
            if is_wanted && (self.models.is_empty() || self.models.contains(&entry.model)) {
                return Some(Event::Change(self.feed.tell(entry)));
            }
        }
    }
}

impl Drop for ChangeStream {
    fn drop(&mut self) {
        self.feed.lock().wakers.remove(&self.id);
    }
}

/// The future of [`ChangeStream::next`].
pub struct Next<'a> {
    stream: &'a mut ChangeStream,
}

impl Future for Next<'_> {
    type Output = Option<Event>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.stream.poll_next(context)
    }
}

/// A change as it was committed: the raw item, to be shown without hidden fields.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) model: String,
    pub(super) key: Vec<String>,
    pub(super) origin: Origin,
    pub(super) item: Option<Map>,
    pub(super) bytes: usize,
}

/// The last changes, and those who wait for the next one.
pub(super) struct Feed {
    schema: Arc<Schema>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    /// The number of the first entry; numbers count up for ever.
    first: u64,
    bytes: usize,
    durable: u64,
    /// Changes up to this sequence are no longer kept.
    forgotten: u64,
    wakers: BTreeMap<u64, Waker>,
    last_id: u64,
    closed: bool,
}

impl Inner {
    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// The number of the first entry that is not durable.
    fn first_pending(&self) -> u64 {
        let durable = self
            .entries
            .partition_point(|entry| entry.sequence <= self.durable);
        self.first + durable as u64
    }

    fn first_after(&self, sequence: u64) -> u64 {
        let before = self
            .entries
            .partition_point(|entry| entry.sequence <= sequence);
        self.first + before as u64
    }

    /// The highest sequence that a resuming stream can have seen.
    fn newest(&self) -> u64 {
        let last = self.entries.back().map_or(0, |entry| entry.sequence);
        last.max(self.durable)
    }

    fn forget_old(&mut self) {
        while self.entries.len() > CHANGES_KEPT_MAX || self.bytes > CHANGES_KEPT_BYTES_MAX {
            let Some(entry) = self.entries.pop_front() else {
                return;
            };
            self.first += 1;
            self.bytes -= entry.bytes;
            self.forgotten = entry.sequence;
        }
    }
}

impl Feed {
    pub(super) fn new(schema: Arc<Schema>, durable: u64) -> Feed {
        Feed {
            schema,
            inner: Mutex::new(Inner {
                durable,
                forgotten: durable,
                ..Inner::default()
            }),
        }
    }

    /// Changes in the order of their commits.
    pub(super) fn push(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut inner = self.lock();
        for entry in entries {
            inner.bytes += entry.bytes;
            inner.entries.push_back(entry);
        }
        inner.forget_old();
        wake(inner);
    }

    /// Everything up to `sequence` is on the disk.
    pub(super) fn advance(&self, sequence: u64) {
        let mut inner = self.lock();
        inner.durable = inner.durable.max(sequence);
        wake(inner);
    }

    /// What was not durable may be gone: nobody can go on without reading again.
    pub(super) fn restart(&self, durable: u64) {
        let mut inner = self.lock();
        inner.first = inner.end() + 1;
        inner.entries.clear();
        inner.bytes = 0;
        inner.durable = durable;
        inner.forgotten = durable;
        wake(inner);
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        wake(inner);
    }

    pub(super) fn stream(self: &Arc<Feed>, since: Since, shared: Weak<Shared>) -> ChangeStream {
        let mut inner = self.lock();
        inner.last_id += 1;
        let (next, lost, behind) = match since {
            Since::Now => (inner.first_pending(), false, None),
            Since::Sequence(at) if at < inner.forgotten => {
                (inner.end(), true, Some(Behind::new(shared, at)))
            }
            Since::Sequence(at) => (inner.first_after(at), at > inner.newest(), None),
        };
        ChangeStream {
            feed: Arc::clone(self),
            id: inner.last_id,
            next,
            lost,
            behind,
            looked_up: VecDeque::new(),
            models: Vec::new(),
            removals: true,
        }
    }

    fn tell(&self, entry: &Entry) -> Change {
        let model = self.schema.model(&entry.model).ok();
        let item = entry.item.as_ref().map(|item| match model {
            Some(model) => model.properties(item, Hidden::Omit),
            None => item.clone(),
        });
        Change {
            sequence: entry.sequence,
            model: entry.model.clone(),
            key: entry.key.clone(),
            kind: if item.is_some() {
                ChangeKind::Put
            } else {
                ChangeKind::Remove
            },
            origin: entry.origin,
            item,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No call under the lock can panic half way through a change.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut inner: MutexGuard<'_, Inner>) {
    let wakers = std::mem::take(&mut inner.wakers);
    drop(inner);
    wakers.into_values().for_each(Waker::wake);
}
