//! The three-way merge: what both sides want, made one.

use super::config::{DeletePolicy, ModelRule, Policy};
use super::record::{content, same_content};
use super::store::{ConflictKind, Side};
use crate::time::UnixMillis;
use crate::value::{Map, Value};

/// The two sides of an item and what they had in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides<'a> {
    /// The item that both sides once agreed upon.
    pub(super) base: Option<&'a Map>,
    /// What programs on the device want it to be.
    pub(super) local: Option<&'a Map>,
    /// What the cloud has.
    pub(super) cloud: Option<&'a Map>,
    /// When the last local write happened, if that is known.
    pub(super) local_at: Option<UnixMillis>,
    /// The server's time when it showed the cloud's copy.
    pub(super) cloud_seen: Option<UnixMillis>,
}

/// What a merge gives. Metadata in it means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// The item as it shall be on both sides.
    pub(super) wanted: Option<Map>,
    /// What had to give way.
    pub(super) loss: Option<Loss>,
}

/// A decision between two values: both, and which one stayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) kind: ConflictKind,
    pub(super) winner: Side,
    pub(super) local: Option<Map>,
    pub(super) cloud: Option<Map>,
}

/// Merges the two sides of an item.
///
/// A change on one side stands. The same change on both sides is one change. Different changes of
/// one field are decided by the model's policy, a deletion against an edit by its delete policy,
/// and two creations of one key for the whole item: a mixture of both would be nobody's.
pub(super) fn merge(sides: Sides<'_>, model: &ModelRule) -> Merged {
    let Sides {
        base, local, cloud, ..
    } = sides;
    if same_content(local, cloud) || same_content(local, base) {
        return Merged::without_loss(cloud);
    }
    if same_content(cloud, base) {
        return Merged::without_loss(local);
    }
    match (base, local, cloud) {
        (Some(base), Some(local), Some(cloud)) => fields(sides, base, local, cloud, model),
        (None, ..) => whole(sides, ConflictKind::Creates, by_policy(sides, model)),
        (Some(_), local, _) => {
            let edit = if local.is_some() {
                Side::Local
            } else {
                Side::Cloud
            };
            let winner = match model.deletes {
                DeletePolicy::EditWins => edit,
                DeletePolicy::DeleteWins => edit.other(),
            };
            whole(sides, ConflictKind::Delete, winner)
        }
    }
}

fn fields(sides: Sides<'_>, base: &Map, local: &Map, cloud: &Map, model: &ModelRule) -> Merged {
    let winner = by_policy(sides, model);
    let mut wanted: Map = content(cloud)
        .map(|(name, value)| (name, value.clone()))
        .collect();
    let (mut ours, mut theirs) = (Map::new(), Map::new());
    let mut contested = false;
    let names: std::collections::BTreeSet<&str> = content(base)
        .chain(content(local))
        .map(|(name, _)| name)
        .collect();
    for name in names {
        let (was, here, there) = (base.get(name), local.get(name), cloud.get(name));
        if here == was || here == there {
            continue;
        }
        if there == was {
            put(&mut wanted, name, here);
        } else if model.updated.as_deref() == Some(name) {
            // Every write moves it, so it alone says nothing about who changed what.
            put(&mut wanted, name, here.max(there));
        } else {
            contested = true;
            put(&mut ours, name, here);
            put(&mut theirs, name, there);
            if winner == Side::Local {
                put(&mut wanted, name, here);
            }
        }
    }
    let loss = contested.then_some(Loss {
        kind: ConflictKind::Fields,
        winner,
        local: Some(ours),
        cloud: Some(theirs),
    });
    Merged {
        wanted: Some(wanted),
        loss,
    }
}

fn put(map: &mut Map, name: &str, value: Option<&Value>) {
    match value {
        Some(value) => map.insert(name, value.clone()),
        None => map.remove(name),
    };
}

fn whole(sides: Sides<'_>, kind: ConflictKind, winner: Side) -> Merged {
    let wanted = if winner == Side::Local {
        sides.local
    } else {
        sides.cloud
    };
    Merged {
        wanted: wanted.cloned(),
        loss: Some(Loss {
            kind,
            winner,
            local: sides.local.cloned(),
            cloud: sides.cloud.cloned(),
        }),
    }
}

fn by_policy(sides: Sides<'_>, model: &ModelRule) -> Side {
    match model.policy {
        Policy::Cloud => Side::Cloud,
        Policy::Device => Side::Local,
        // Without trusted times the cloud wins; an equal time is no later one.
        Policy::LastWrite if sides.local_at > cloud_rank(sides, model) => Side::Local,
        Policy::LastWrite => Side::Cloud,
    }
}

/// When the cloud's copy was changed: a plain writer leaves an old `_u`, so that only a stamp that
/// moved says anything; failing both, the moment at which we learned of the change.
fn cloud_rank(sides: Sides<'_>, model: &ModelRule) -> Option<UnixMillis> {
    let moved = |name: &str| {
        let now = sides.cloud?.get(name);
        let was = sides.base.and_then(|base| base.get(name));
        if now == was { None } else { instant(now?) }
    };
    moved("_u")
        .or_else(|| model.updated.as_deref().and_then(moved))
        .or(sides.cloud_seen)
}

fn instant(value: &Value) -> Option<UnixMillis> {
    match value {
        Value::String(text) => {
            let stamp: jiff::Timestamp = text.parse().ok()?;
            Some(UnixMillis(stamp.as_millisecond()))
        }
        value => value.as_i64().map(UnixMillis),
    }
}

impl Merged {
    fn without_loss(wanted: Option<&Map>) -> Merged {
        Merged {
            wanted: wanted.cloned(),
            loss: None,
        }
    }
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Local => Side::Cloud,
            Side::Cloud => Side::Local,
        }
    }
}

#[cfg(test)]
mod tests;
