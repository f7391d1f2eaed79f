//! The start: a fresh epoch, and what the old one tells about twins and restored tables.

use super::answer::Outcome;
use super::{Machine, Output, Purpose, Reason};
use crate::limits::{SYNC_EPOCH_REFRESH_MS, SYNC_EPOCHS_SENT_MAX, SYNC_TWIN_WINDOW_MS};
use crate::sync::request;
use crate::sync::store::{Store, StoreError};
use crate::time::{Mono, Now};
use crate::value::binary::{decode_map, encode_map};
use crate::value::{Map, Value};
use std::time::Duration;

/// The service row that holds [`Life`].
const LIFE: &str = "life";

/// Where the start is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Nothing has been read yet.
    Fresh,
    /// An epoch is being taken.
    Claiming(Life, Claim),
    /// The epoch is ours.
    Running(Life),
}

/// What the database remembers of its epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// The epoch that we took last; 0 before the first.
    epoch: u64,
    /// The secret that we wrote with it.
    secret: String,
    /// Drawn once, when the database was first replicated.
    instance: String,
    /// Secrets of claims that were never answered.
    sent: Vec<String>,
    /// The partitions must be read once through before anything is sent.
    reconcile: bool,
    /// The table went back in time: until it has been gone through, absence means nothing.
    restored: bool,
}

/// One claim of an epoch: the row in the table must be as it was when we last saw it.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    expected: Option<u64>,
    next: u64,
    secret: String,
    sequence: u64,
    sent: bool,
}

/// How often another life of this database has been met.
#[derive(Clone, Debug, Default)]
pub(super) struct Twins {
    last: Option<Mono>,
    paused: Option<Reason>,
}

impl Twins {
    /// Whether the upload is paused until somebody decides.
    pub(super) fn paused(&self) -> bool {
        self.paused.is_some()
    }

    pub(super) fn reason(&self) -> Option<&Reason> {
        self.paused.as_ref()
    }

    /// Somebody has decided.
    pub(super) fn forgive(&mut self) {
        *self = Twins::default();
    }
}

impl Machine {
    /// The epoch of this life; 0 before it has one.
    pub(super) fn epoch(&self) -> u64 {
        match &self.phase {
            Phase::Fresh => 0,
            Phase::Claiming(life, _) | Phase::Running(life) => life.epoch,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Whether the table went back in time and has not been gone through yet.
    pub(super) fn is_restored(&self) -> bool {
        matches!(&self.phase, Phase::Running(life) if life.restored)
    }

    /// Claims an epoch; sends the claim once its secret is durable.
    pub(super) fn start(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if matches!(self.phase, Phase::Fresh) {
            let mut life = Life::load(store)?;
            if life.instance.is_empty() {
                life.instance = self.random.text();
            }
            if life.epoch > 0 && !self.config.rules.epoch_per_start {
                self.begin(life);
                return Ok(());
            }
            let expected = (life.epoch > 0).then_some(life.epoch);
            self.claim(life, expected, store)?;
        }
        let Phase::Claiming(life, claim) = &mut self.phase else {
            return Ok(());
        };
        if claim.sent || claim.sequence > self.durable {
            return Ok(());
        }
        claim.sent = true;
        let request = request::claim(
            &self.config,
            claim.expected,
            claim.next,
            &life.instance,
            &claim.secret,
        );
        self.send(Purpose::Claim, request, now);
        Ok(())
    }

    fn claim(
        &mut self,
        mut life: Life,
        expected: Option<u64>,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let secret = self.random.text();
        life.sent.push(secret.clone());
        if life.sent.len() > SYNC_EPOCHS_SENT_MAX {
            life.sent.remove(0);
        }
        let next = life.epoch.max(expected.unwrap_or(0)) + 1;
        let sequence = life.save(store)?;
        self.outputs.push_back(Output::Flush(sequence));
        self.phase = Phase::Claiming(
            life,
            Claim {
                expected,
                next,
                secret,
                sequence,
                sent: false,
            },
        );
        Ok(())
    }

    pub(super) fn claim_answered(
        &mut self,
        outcome: Outcome,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let Phase::Claiming(life, claim) = &mut self.phase else {
            return Ok(());
        };
        match outcome {
            Outcome::Done(_) => {
                let mut life = life.clone();
                life.epoch = claim.next;
                life.secret = claim.secret.clone();
                life.sent.clear();
                life.save(store)?;
                self.begin(life);
                self.epoch_refresh = Some(now.mono + Duration::from_millis(SYNC_EPOCH_REFRESH_MS));
            }
            Outcome::Again { .. } => claim.sent = false,
            Outcome::ConditionFailed(row) => {
                let life = life.clone();
                self.claim_failed(life, row, now, store)?;
            }
            Outcome::Refused(error) => {
                claim.sent = false;
                self.link
                    .must_wait(Reason::of(&error), now, &mut self.random);
            }
        }
        Ok(())
    }

    fn begin(&mut self, life: Life) {
        if self.epoch_refresh.is_none() {
            // A new program or a new configuration may be what a parked item waits for.
            self.lanes_unpark();
        }
        self.last_mark = 0;
        self.pull.begin_pass(life.reconcile || life.restored);
        self.restore.begin(life.restored);
        self.phase = Phase::Running(life);
        self.queue.refill();
    }

    /// The row of the epoch is not as we left it: finds out what that means, then claims again.
    fn claim_failed(
        &mut self,
        mut life: Life,
        row: Option<Map>,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let there = EpochRow::read(row.as_ref());
        let ours = life.sent.contains(&there.secret)
            || (there.epoch == Some(life.epoch) && there.secret == life.secret);
        if ours {
            life.epoch = life.epoch.max(there.epoch.unwrap_or(0));
        } else if there.epoch.is_some_and(|epoch| epoch >= life.epoch) {
            life.epoch = there.epoch.unwrap_or(0);
            life.reconcile = true;
            self.twin_met(now);
        } else if life.epoch > 0 {
            life.restored = true;
            self.outputs.push_back(Output::Alarm(Reason::new(
                "restored_table",
                "the table is older than this database: it was restored or made anew",
                "rows that only the device has are sent again; compare the rest",
            )));
        }
        self.claim(life, there.epoch, store)
    }

    fn twin_met(&mut self, now: Now) {
        let reason = Reason::new(
            "twin",
            format!(
                "another database replicates under the name {}",
                self.config.device
            ),
            "a reinstalled device shows this once; if it comes again, two devices share one name",
        );
        let window = Duration::from_millis(SYNC_TWIN_WINDOW_MS);
        if self
            .twins
            .last
            .is_some_and(|last| now.mono.since(last) < window)
        {
            self.twins.paused = Some(reason.clone());
        }
        self.twins.last = Some(now.mono);
        self.outputs.push_back(Output::Alarm(reason));
    }

    /// Looks whether the epoch in the table is still ours; takes a fresh one when it has grown old.
    ///
    /// A table that goes back to a moment after the last claim shows nothing in its epoch. A fresh
    /// claim now and then bounds that time.
    pub(super) fn recheck(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        if self.epoch_refresh.is_none_or(|due| due <= now.mono)
            && let Phase::Running(life) = &self.phase
        {
            let (life, expected) = (life.clone(), Some(life.epoch));
            self.pull_stop();
            return self.claim(life, expected, store);
        }
        self.pull.asks();
        let request = request::read(&self.config, &request::epoch_key(&self.config));
        self.send(Purpose::Recheck, request, now);
        Ok(())
    }

    pub(super) fn recheck_answered(
        &mut self,
        outcome: Outcome,
        now: Now,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let row = match outcome {
            Outcome::Done(answer) => answer.item(),
            Outcome::Refused(error) => {
                self.pull.refused(Reason::of(&error), now);
                return Ok(());
            }
            Outcome::Again { .. } | Outcome::ConditionFailed(_) => {
                self.pull.again();
                return Ok(());
            }
        };
        let Phase::Running(life) = &self.phase else {
            return Ok(());
        };
        let there = EpochRow::read(row.as_ref());
        if there.epoch == Some(life.epoch) && there.secret == life.secret {
            self.pull.epoch_is_ours();
            return Ok(());
        }
        let life = life.clone();
        self.pull_stop();
        self.claim_failed(life, row, now, store)
    }

    /// The partitions have been read once through: what the start demanded is done.
    pub(super) fn reconciled(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        if let Phase::Running(life) = &mut self.phase
            && (life.reconcile || life.restored)
        {
            (life.reconcile, life.restored) = (false, false);
            life.save(store)?;
        }
        Ok(())
    }
}

/// What the table's `~epoch` row says.
#[derive(Clone, Debug, Default)]
struct EpochRow {
    epoch: Option<u64>,
    secret: String,
}

impl EpochRow {
    fn read(row: Option<&Map>) -> EpochRow {
        let Some(row) = row else {
            return EpochRow::default();
        };
        EpochRow {
            epoch: row
                .get("e")
                .and_then(Value::as_i64)
                .and_then(|e| u64::try_from(e).ok()),
            secret: row.text("s").unwrap_or_default().to_owned(),
        }
    }
}

impl Life {
    fn load(store: &dyn Store) -> Result<Life, StoreError> {
        let Some(bytes) = store.service(LIFE)? else {
            return Ok(Life::default());
        };
        let row = decode_map(&bytes)
            .map_err(|error| StoreError(format!("its row of epochs cannot be read: {error}")))?;
        let text = |name: &str| row.text(name).unwrap_or_default().to_owned();
        let flag = |name: &str| row.get(name).and_then(Value::as_bool).unwrap_or(false);
        let sent = row.get("sent").and_then(Value::as_list).unwrap_or_default();
        let epoch = row.get("epoch").and_then(Value::as_i64).unwrap_or(0);
        Ok(Life {
            epoch: u64::try_from(epoch).unwrap_or(0),
            secret: text("secret"),
            instance: text("instance"),
            sent: sent
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            reconcile: flag("reconcile"),
            restored: flag("restored"),
        })
    }

    fn save(&self, store: &dyn Store) -> Result<u64, StoreError> {
        let sent: Vec<Value> = self.sent.iter().map(Value::from).collect();
        let row = Map::from([
            ("epoch", Value::from(self.epoch)),
            ("secret", Value::from(&self.secret)),
            ("instance", Value::from(&self.instance)),
            ("sent", Value::from(sent)),
            ("reconcile", Value::from(self.reconcile)),
            ("restored", Value::from(self.restored)),
        ]);
        let mut bytes = Vec::new();
        encode_map(&row, &mut bytes);
        store.modify(&[], &mut |frame| {
            frame.service.push((LIFE.to_owned(), Some(bytes.clone())));
        })
    }
}
