//! The record itself and what a local write does to it.

use super::op::has_metadata;
use super::{ItemKey, Mark, Op, is_metadata, same_content};
use crate::time::UnixMillis;
use crate::value::Map;

/// An item and, while the cloud lags behind, what it has to learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The raw item that programs see, with all its attributes; `None` when it is deleted here.
    pub item: Option<Map>,
    /// What the cloud does not know yet; `None` when item and cloud agree as far as we know.
    pub change: Option<Box<Change>>,
}

/// The lag of the cloud behind one item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The last known cloud item, with metadata and foreign attributes; `None` when absent there.
    pub base: Option<Map>,
    /// The attempt that is on its way. It never changes before a definite answer.
    pub frozen: Option<Frozen>,
    /// What programs wrote since the attempt was frozen.
    pub pending: Option<Op>,
    /// Why nothing is sent for this item until something changes.
    pub parked: Option<Parked>,
    /// Conflicts in a row; at the bound the item is parked.
    pub rounds: u8,
    /// When the last local write happened, if the time was trusted then.
    pub stamp: Option<UnixMillis>,
}

/// An attempt under its mark: all that is needed to repeat the request byte for byte.
///
/// One found at a start counts as sent, with an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The name of the attempt, written to `_m`.
    pub mark: Mark,
    /// What it does.
    pub op: Op,
    /// The `_v` that it writes.
    pub version: i64,
    /// The `_s` that it writes: the major number of our schema.
    pub schema: u32,
}

/// Why an item is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The class of the reason.
    pub kind: ParkKind,
    /// The reason in words, with what the cloud said.
    pub reason: String,
}

/// The class of a reason for setting an item aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParkKind {
    /// The cloud refused the write: validation, size, access, collection limit.
    Refused,
    /// Other writers won every round.
    Conflicts,
    /// The cloud's copy belongs to a newer schema than ours.
    Schema,
    /// The model's direction does not let its changes travel up.
    Direction,
}

impl Record {
    /// An item that the cloud knows exactly so.
    pub fn clean(item: Map) -> Record {
        Record {
            item: Some(item),
            change: None,
        }
    }

    /// Whether nothing is left of it: no item and nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.item.is_none() && self.change.is_none()
    }

    /// Whether the cloud has to learn something and nothing holds it back.
    pub fn is_sendable(&self) -> bool {
        self.change
            .as_ref()
            .is_some_and(|change| change.parked.is_none())
    }

    /// Why nothing is sent although something waits.
    pub fn parked(&self) -> Option<&Parked> {
        self.change.as_ref()?.parked.as_ref()
    }

    /// The last known cloud item: the item itself while nothing waits.
    pub fn base(&self) -> Option<&Map> {
        match &self.change {
            Some(change) => change.base.as_ref(),
            None => self.item.as_ref(),
        }
    }

    /// A local write to an item of a model that travels up; `None` deletes.
    ///
    /// Top-level fields only; the metadata attributes of `new_item` are ignored, those of the item
    /// stay. Writes since the last attempt coalesce: set and set, set and delete, delete and
    /// create (a replacement), and a create that was never sent with its delete to nothing.
    /// Answers whether anything changed; if not, there is nothing to commit.
    pub fn write(&mut self, new_item: Option<Map>) -> bool {
        if same_content(self.item.as_ref(), new_item.as_ref()) {
            return false;
        }
        let mut change = self.change.take().unwrap_or_else(|| {
            Box::new(Change {
                base: self.item.take(),
                ..Change::default()
            })
        });
        let predicted = change.predicted();
        let anew = change.pending.as_ref().is_some_and(Op::starts_anew);
        change.pending = toward(predicted.as_ref(), new_item.as_ref(), anew);
        change.parked = None;
        change.rounds = 0;
        self.conclude(change, predicted);
        true
    }

    /// A local write to an item that does not travel up: there is nothing to tell.
    pub fn write_unsynced(&mut self, new_item: Option<Map>) {
        self.item = new_item;
        self.change = None;
    }

    /// Notes when the last local write happened; only trusted time may be given.
    pub fn stamp(&mut self, at: Option<UnixMillis>) {
        if let Some(change) = &mut self.change {
            change.stamp = at;
        }
    }

    /// Takes `item` for what the cloud has and `wanted` for what it shall have.
    ///
    /// What was frozen is answered by this; what is left to send becomes pending.
    pub(crate) fn rebase(&mut self, cloud: Option<Map>, wanted: Option<&Map>, anew: bool) {
        let mut change = self.change.take().unwrap_or_default();
        change.frozen = None;
        change.pending = toward(cloud.as_ref(), wanted, anew);
        change.base = cloud;
        let predicted = change.base.clone();
        self.conclude(change, predicted);
    }

    /// Gives an attempt up: what it wanted is pending again.
    pub(crate) fn thaw(&mut self) {
        let Some(change) = self.change.as_deref_mut() else {
            return;
        };
        let frozen = change.frozen.as_ref().map(|frozen| &frozen.op);
        let anew = frozen
            .into_iter()
            .chain(&change.pending)
            .any(Op::starts_anew);
        let (base, wanted) = (change.base.take(), self.item.take());
        self.rebase(base, wanted.as_ref(), anew);
    }

    /// Puts the change back and the item in line with it.
    fn conclude(&mut self, change: Box<Change>, predicted: Option<Map>) {
        self.item = match &change.pending {
            Some(op) => op.apply(predicted),
            None => predicted,
        };
        self.change = (change.frozen.is_some() || change.pending.is_some()).then_some(change);
    }

    /// Checks the invariant; tests and the simulation call it after every step.
    pub fn check(&self) -> Result<(), BrokenRecord> {
        let Some(change) = &self.change else {
            return Ok(());
        };
        change.check_operations()?;
        let expected = match &change.pending {
            Some(op) => op.apply(change.predicted()),
            None => change.predicted(),
        };
        if expected == self.item {
            Ok(())
        } else {
            Err(BrokenRecord::NotTheSum)
        }
    }
}

impl Change {
    /// The part of [`Record::check`] that does not follow from adding up.
    pub(super) fn check_operations(&self) -> Result<(), BrokenRecord> {
        let frozen = self.frozen.iter().map(|frozen| &frozen.op);
        let mut operations = frozen.chain(&self.pending).peekable();
        if operations.peek().is_none() {
            return Err(BrokenRecord::NothingToTell);
        }
        let carries = |op: &Op| match op {
            Op::Create(map) | Op::Replace(map) => has_metadata(map),
            Op::Set { set, remove } => has_metadata(set) || remove.iter().any(is_metadata),
            Op::Delete => false,
        };
        if operations.any(carries) {
            return Err(BrokenRecord::MetadataInOperation);
        }
        Ok(())
    }

    /// The cloud item as it will be once the attempt on its way is done.
    pub fn predicted(&self) -> Option<Map> {
        match &self.frozen {
            Some(frozen) => frozen.op.apply(self.base.clone()),
            None => self.base.clone(),
        }
    }
}

/// The operation that leads from the expected cloud item to the wanted one.
///
/// `anew`: programs deleted the item in between, so that what they wrote later is another one.
fn toward(predicted: Option<&Map>, wanted: Option<&Map>, anew: bool) -> Option<Op> {
    match Op::between(predicted, wanted)? {
        Op::Set { .. } if anew => {
            wanted.map(|wanted| Op::Replace(super::without_metadata(wanted.clone())))
        }
        op => Some(op),
    }
}

/// A record that breaks its invariant: a fault of the program, or bytes that no program wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenRecord {
    /// The item is not what base, attempt and pending operation add up to.
    #[error("the item is not base + frozen + pending")]
    NotTheSum,
    /// There is a change without an operation.
    #[error("a change that has nothing to tell")]
    NothingToTell,
    /// An operation carries attributes that are replication's own.
    #[error("an operation carries replication metadata")]
    MetadataInOperation,
}

impl Parked {
    /// A reason of this class in these words.
    pub fn new(kind: ParkKind, reason: impl Into<String>) -> Parked {
        Parked {
            kind,
            reason: reason.into(),
        }
    }
}

impl ParkKind {
    /// The word for the class in status and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ParkKind::Refused => "refused",
            ParkKind::Conflicts => "conflicts",
            ParkKind::Schema => "schema",
            ParkKind::Direction => "direction",
        }
    }
}

impl ItemKey {
    /// The key that an item carries in its `pk` and `sk` attributes.
    pub fn of(item: &Map) -> Option<ItemKey> {
        Some(ItemKey::new(item.text("pk")?, item.text("sk")?))
    }
}

#[cfg(test)]
mod tests;
