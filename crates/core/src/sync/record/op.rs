//! What a local write means for the cloud.

use crate::value::{Map, Name, Value};
use std::collections::BTreeSet;

/// The attributes that replication keeps beside the plain ones. They belong to no operation.
const METADATA: [&str; 5] = ["_m", "_s", "_u", "_v", "_w"];

/// Whether an attribute of that name is replication's own.
///
/// `_type` is not: it is an ordinary attribute that the device always writes.
pub fn is_metadata<N: AsRef<[u8]> + ?Sized>(name: &N) -> bool {
    let name = name.as_ref();
    METADATA.iter().any(|known| known.as_bytes() == name)
}

/// The item without the attributes that are replication's own.
pub fn without_metadata(mut item: Map) -> Map {
    item.retain(|name, _| !is_metadata(name));
    item
}

pub(super) fn has_metadata(item: &Map) -> bool {
    item.fields().any(|(name, _)| is_metadata(name))
}

/// Whether two items say the same to programs: equal, metadata aside.
pub fn same_content(one: Option<&Map>, other: Option<&Map>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => told(one).eq(told(other)),
        _ => false,
    }
}

/// The fields that programs see, in order.
pub(in crate::sync) fn content(item: &Map) -> impl Iterator<Item = (&str, &Value)> {
    told(item).map(|(name, value)| (name.as_str(), value))
}

fn told(item: &Map) -> impl Iterator<Item = &(Name, Value)> {
    item.fields().filter(|(name, _)| !is_metadata(name))
}

/// An operation on one item: what has to happen to the cloud's copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The item comes into being; there must be none.
    Create(Map),
    /// Some top-level fields change. Never empty.
    Set {
        /// Fields with their new values.
        set: Map,
        /// Fields that go.
        remove: BTreeSet<String>,
    },
    /// The item goes.
    Delete,
    /// The item was deleted and made anew before the cloud heard of the first.
    Replace(Map),
}

impl Op {
    /// The operation that leads from `from` to `to`, or none if they have the same content.
    pub fn between(from: Option<&Map>, to: Option<&Map>) -> Option<Op> {
        match (from, to) {
            (None, None) => None,
            (None, Some(to)) => Some(Op::Create(without_metadata(to.clone()))),
            (Some(_), None) => Some(Op::Delete),
            (Some(from), Some(to)) => Op::difference(from, to),
        }
    }

    fn difference(from: &Map, to: &Map) -> Option<Op> {
        let set: Map = content(to)
            .filter(|(name, value)| from.get(name) != Some(value))
            .map(|(name, value)| (name, value.clone()))
            .collect();
        let remove: BTreeSet<String> = content(from)
            .filter(|(name, _)| !to.contains_key(name))
            .map(|(name, _)| name.to_owned())
            .collect();
        (!set.is_empty() || !remove.is_empty()).then_some(Op::Set { set, remove })
    }

    /// The item after this operation.
    ///
    /// A set keeps the metadata of what it changes; a new item has none until the cloud answers.
    pub fn apply(&self, item: Option<Map>) -> Option<Map> {
        match self {
            Op::Create(new) | Op::Replace(new) => Some(new.clone()),
            Op::Delete => None,
            Op::Set { set, remove } => {
                let mut item = item.unwrap_or_default();
                for name in remove {
                    item.remove(name);
                }
                item.extend(set.clone());
                Some(item)
            }
        }
    }

    /// Whether the item is another one afterwards: what was there counts as deleted.
    pub(crate) fn starts_anew(&self) -> bool {
        matches!(self, Op::Delete | Op::Replace(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_never_part_of_an_operation() {
        let from = Map::from([("a", 1), ("_v", 5), ("_m", 1)]);
        let to = Map::from([("a", 1), ("_v", 6)]);
        assert_eq!(Op::between(Some(&from), Some(&to)), None);
        assert_eq!(
            Op::between(None, Some(&to)),
            Some(Op::Create(Map::from([("a", 1)])))
        );
    }

    #[test]
    fn only_changed_fields_travel() {
        let from = Map::from([("a", 1), ("b", 2), ("c", 3)]);
        let to = Map::from([("a", 1), ("b", 5), ("d", 4)]);
        let op = Op::between(Some(&from), Some(&to)).unwrap();
        assert_eq!(
            op,
            Op::Set {
                set: Map::from([("b", 5), ("d", 4)]),
                remove: ["c".to_owned()].into()
            }
        );
        assert_eq!(op.apply(Some(from)), Some(to));
    }

    #[test]
    fn a_set_keeps_the_metadata_of_the_item() {
        let set = Op::Set {
            set: Map::from([("a", 2)]),
            remove: BTreeSet::new(),
        };
        assert_eq!(
            set.apply(Some(Map::from([("a", 1), ("_v", 9)]))),
            Some(Map::from([("a", 2), ("_v", 9)]))
        );
    }
}
