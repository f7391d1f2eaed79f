//! The way down: the device's own partitions, read through again and again.
//!
//! One pass looks at the epoch first and then reads each partition page by page, consistently.
//! What a page shows is compared with the rows here and taken over where it differs. What a page
//! lacks is asked for by name before it counts as gone. A copy counts only under the read rule:
//! its read began after the item's last answer, and no attempt of the item is on its way.

use super::answer::{Answer, Outcome};
use super::copy::Judge;
use super::{Machine, Point, Purpose, Reason, Wake};
use crate::aws::dynamodb::{Page, PageToken};
use crate::limits::{SYNC_BATCH_ROWS_MAX, SYNC_CONFIRMS_MAX, SYNC_WAITING_MS};
use crate::sync::record::{ItemKey, Record};
use crate::sync::request;
use crate::sync::store::{Frame, Store, StoreError};
use crate::time::{Mono, Now};
use crate::value::Map;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The pass that is under way, or the time of the next one.
#[derive(Clone, Debug)]
pub(super) struct Pull {
    due: Mono,
    step: Step,
    /// Nothing is sent before a pass is complete.
    first: bool,
    trouble: Option<Reason>,
}

#[derive(Clone, Debug)]
enum Step {
    Idle,
    /// The epoch is to be looked at.
    Check,
    /// The next page of a partition is to be read.
    Page(Place),
    /// An answer is awaited, after which the pass goes on from there.
    Asked(Box<Step>),
    /// Rows that the page lacks are being asked for.
    Absent(Place, Gap),
}

/// A place in the pass: a partition, and the key after which the next page begins.
#[derive(Clone, Debug)]
struct Place {
    partition: usize,
    after: Option<PageToken>,
}

/// The stretch of keys that one page covers.
#[derive(Clone, Debug)]
struct Gap {
    present: BTreeSet<String>,
    /// The last row that was looked at.
    looked: ItemKey,
    /// The last sort key of the page; none at the end of the partition.
    through: Option<String>,
    next: Option<PageToken>,
    confirm: VecDeque<ItemKey>,
    asked: usize,
    scanned: bool,
}

impl Pull {
    pub(super) fn new() -> Pull {
        Pull {
            due: Mono::ZERO,
            step: Step::Idle,
            first: false,
            trouble: None,
        }
    }

    /// Begins a pass; `first`: it has to be complete before anything is sent.
    pub(super) fn begin_pass(&mut self, first: bool) {
        self.step = Step::Check;
        self.first |= first;
    }

    pub(super) fn must_finish_first(&self) -> bool {
        self.first
    }

    fn stop(&mut self) {
        self.step = Step::Idle;
    }

    pub(super) fn hurry(&mut self, now: Now) {
        self.due = now.mono;
    }

    pub(super) fn due(&self) -> Option<(Mono, Wake)> {
        matches!(self.step, Step::Idle).then_some((self.due, Wake::Pull))
    }

    pub(super) fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    /// The table does not let us read: that holds up nothing but the reading.
    pub(super) fn refused(&mut self, reason: Reason, now: Now) {
        self.trouble = Some(reason);
        self.step = Step::Idle;
        self.due = now.mono + Duration::from_millis(SYNC_WAITING_MS);
    }

    /// What the pass is at has been asked; the answer decides.
    pub(super) fn asks(&mut self) {
        let step = std::mem::replace(&mut self.step, Step::Idle);
        self.step = Step::Asked(Box::new(step));
    }

    /// The question is asked again when the way is open.
    pub(super) fn again(&mut self) {
        if let Step::Asked(step) = std::mem::replace(&mut self.step, Step::Idle) {
            self.step = *step;
        }
    }

    pub(super) fn epoch_is_ours(&mut self) {
        self.step = Step::Page(Place {
            partition: 0,
            after: None,
        });
    }
}

impl Machine {
    /// Gives the pass up, and with it the answers that it waits for.
    pub(super) fn pull_stop(&mut self) {
        self.pull.stop();
        self.requests
            .retain(|_, waiting| !waiting.purpose.is_read());
    }

    /// Goes on with the pass as far as it waits for nothing.
    pub(super) fn pull_on(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if matches!(self.pull.step, Step::Idle) && self.pull.due <= now.mono {
            self.pull.begin_pass(false);
        }
        match std::mem::replace(&mut self.pull.step, Step::Idle) {
            Step::Check => {
                self.pull.step = Step::Check;
                self.recheck(now, store)?;
            }
            Step::Page(place) => self.read_page(place, now, store)?,
            Step::Absent(place, gap) => self.look_for_absent(place, gap, now, store)?,
            waiting @ (Step::Idle | Step::Asked(_)) => self.pull.step = waiting,
        }
        Ok(())
    }

    fn read_page(&mut self, place: Place, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        let Some(partition) = self.config.partitions.get(place.partition) else {
            return self.pass_complete(now, store);
        };
        let request = request::page(&self.config, partition, place.after.clone());
        self.pull.step = Step::Asked(Box::new(Step::Page(place)));
        self.send(Purpose::Page, request, now);
        Ok(())
    }

    fn pass_complete(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if self.restore.is_under_way() {
            // The pass has been quicker than the going through the rows here.
            self.pull.step = Step::Page(Place {
                partition: self.config.partitions.len(),
                after: None,
            });
            return Ok(());
        }
        self.pull.step = Step::Idle;
        self.pull.due = now.mono + self.random.jitter(self.config.poll);
        self.pull.first = false;
        self.pull.trouble = None;
        self.busy = true;
        self.reconciled(store)
    }

    pub(super) fn page_answered(
        &mut self,
        outcome: Outcome,
        begun: Point,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let Page { items, next } = match outcome {
            Outcome::Done(Answer::Page(page)) => page,
            Outcome::Refused(error) => {
                self.pull.refused(Reason::of(&error), now);
                return Ok(());
            }
            Outcome::Again { .. }
            | Outcome::ConditionFailed(_)
            | Outcome::Done(Answer::Item(_)) => {
                self.pull.again();
                return Ok(());
            }
        };
        self.pull.again();
        let Step::Page(place) = std::mem::replace(&mut self.pull.step, Step::Idle) else {
            return Ok(());
        };
        let partition = self.config.partitions[place.partition].clone();
        let gap = Gap {
            present: items
                .iter()
                .filter_map(|item| item.text("sk"))
                .map(str::to_owned)
                .collect(),
            looked: ItemKey::new(
                partition,
                place.after.as_ref().and_then(sort_key).unwrap_or_default(),
            ),
            through: next.as_ref().and_then(sort_key).map(str::to_owned),
            next,
            confirm: VecDeque::new(),
            asked: 0,
            scanned: false,
        };
        for batch in items.chunks(SYNC_BATCH_ROWS_MAX) {
            let copies = batch
                .iter()
                .filter_map(|item| Some((ItemKey::of(item)?, Some(item.clone()))));
            self.take_copies(copies.collect(), begun, now, store)?;
        }
        self.pull.step = Step::Absent(place, gap);
        Ok(())
    }

    /// Looks for rows that the page should have shown, a bounded number per turn.
    fn look_for_absent(
        &mut self,
        mut place: Place,
        mut gap: Gap,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        if gap.confirm.is_empty() && !gap.scanned {
            self.scan(&mut gap, store)?;
            self.busy = true;
        }
        while gap.asked < SYNC_CONFIRMS_MAX {
            let Some(key) = gap.confirm.pop_front() else {
                break;
            };
            if self.config.rules.confirmed_absence {
                gap.asked += 1;
                let request = request::read(&self.config, &key);
                self.send(Purpose::Confirm(key), request, now);
            } else {
                let begun = self.last_point;
                self.take_copies(vec![(key, None)], begun, now, store)?;
            }
        }
        if !gap.scanned || gap.asked > 0 || !gap.confirm.is_empty() {
            self.pull.step = Step::Absent(place, gap);
            return Ok(());
        }
        if gap.next.is_none() {
            place.partition += 1;
        }
        place.after = gap.next;
        self.pull.step = Step::Page(place);
        self.busy = true;
        Ok(())
    }

    fn scan(&mut self, gap: &mut Gap, store: &dyn Store) -> Result<(), StoreError> {
        let keys = store.rows_after(&gap.looked, SYNC_BATCH_ROWS_MAX)?;
        gap.scanned = keys.len() < SYNC_BATCH_ROWS_MAX;
        for key in keys {
            let beyond = gap
                .through
                .as_ref()
                .is_some_and(|through| key.sk > *through);
            if key.pk != gap.looked.pk || beyond {
                gap.scanned = true;
                break;
            }
            gap.looked = key.clone();
            if !gap.present.contains(&key.sk) && self.may_be_gone(&key, &store.record(&key)?) {
                gap.confirm.push_back(key);
            }
        }
        Ok(())
    }

    /// Whether the absence of this row says anything: not if it was never there, and not while
    /// its own next write will find out.
    fn may_be_gone(&self, key: &ItemKey, record: &Record) -> bool {
        let follows = self
            .config
            .model_of(key)
            .is_some_and(|model| model.direction.is_down());
        follows && record.base().is_some() && !record.is_sendable()
    }

    pub(super) fn confirm_answered(
        &mut self,
        key: &ItemKey,
        outcome: Outcome,
        begun: Point,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        if let Step::Absent(_, gap) = &mut self.pull.step {
            gap.asked = gap.asked.saturating_sub(1);
            if matches!(outcome, Outcome::Again { .. }) {
                gap.confirm.push_back(key.clone());
            }
        }
        match outcome {
            Outcome::Done(answer) => {
                self.take_copies(vec![(key.clone(), answer.item())], begun, now, store)
            }
            Outcome::Refused(error) => {
                self.pull.refused(Reason::of(&error), now);
                Ok(())
            }
            Outcome::Again { .. } | Outcome::ConditionFailed(_) => Ok(()),
        }
    }

    /// Takes over copies of items from one read, in one frame, under the read rule.
    fn take_copies(
        &mut self,
        copies: Vec<(ItemKey, Option<Map>)>,
        begun: Point,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let mut differ = Vec::new();
        for (key, copy) in copies {
            if self.is_ours_to_take(&key, copy.as_ref())
                && self.counts(&key, begun)
                && store.record(&key)?.base() != copy.as_ref()
            {
                differ.push((key, copy));
            }
        }
        if differ.is_empty() {
            return Ok(());
        }
        let mut graves = Vec::new();
        for (key, _) in &differ {
            graves.push(self.grave_of(key, store)?);
        }
        let keys: Vec<ItemKey> = differ.iter().map(|(key, _)| key.clone()).collect();
        let (rules, restored) = (self.config.rules, self.is_restored());
        let (mut taken, mut lost) = (0, 0);
        store.modify(&keys, &mut |frame: &mut Frame| {
            for ((key, copy), (record, grave)) in
                differ.iter().zip(frame.records.iter_mut().zip(&graves))
            {
                let Some(model) = self.config.model_of(key) else {
                    continue;
                };
                let judge: Judge<'_> = self.judge(key, model, *grave, now);
                let on_its_way = record
                    .change
                    .as_ref()
                    .is_some_and(|change| change.frozen.is_some());
                if (on_its_way && rules.read_rule) || judge.is_debris(copy.as_ref()) {
                    continue;
                }
                taken += 1;
                let conflict = judge.take(record, copy.clone(), restored);
                lost += u64::from(conflict.is_some());
                frame.conflicts.extend(conflict);
            }
        })?;
        self.counts.received += taken;
        self.counts.conflicts += lost;
        self.queue.refill();
        Ok(())
    }

    fn is_ours_to_take(&self, key: &ItemKey, copy: Option<&Map>) -> bool {
        let newer = copy.is_some_and(|copy| request::schema_of(copy) > self.config.schema.into());
        !newer
            && self
                .config
                .model_of(key)
                .is_some_and(|model| model.direction.is_down())
    }
}

fn sort_key(token: &PageToken) -> Option<&str> {
    token.key().text("sk")
}
