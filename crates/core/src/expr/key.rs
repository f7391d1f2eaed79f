//! The part of a condition that a key or an index answers.

use super::condition::{Comparator, Condition, Operand, Test};
use crate::value::Value;
use std::cmp::Reverse;

/// Which items of a table or an index can match: one partition key, and a range of sort keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCondition {
    /// The value of the partition key.
    pub partition: Value,
    /// What must hold of the sort key; `None` for all of the partition.
    pub sort: Option<SortCondition>,
}

/// A range of sort keys: what DynamoDB takes in a key condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortCondition {
    /// This one.
    Equals(Value),
    /// Those below.
    Less(Value),
    /// Those not above.
    AtMost(Value),
    /// Those above.
    Greater(Value),
    /// Those not below.
    AtLeast(Value),
    /// Those from the first value to the second, both included.
    Between(Value, Value),
    /// Texts or binaries that begin so.
    BeginsWith(Value),
}

/// A condition in two parts that together say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySplit {
    /// What the key or the index answers.
    pub key: KeyCondition,
    /// What has to be asked of each item then; `None` if nothing is left.
    pub filter: Option<Condition>,
}

impl Condition {
    /// Splits off what a key or an index with these attributes answers; `None` if the condition
    /// does not fix the partition key.
    ///
    /// Only what is joined by `AND` at the top counts. Of several tests of the sort key the one
    /// that promises the fewest items is taken; the others stay in the filter.
    pub fn split_key(&self, partition: &str, sort: Option<&str>) -> Option<KeySplit> {
        let mut rest = match &self.0 {
            Test::All(tests) => tests.clone(),
            other => vec![other.clone()],
        };
        let at = rest
            .iter()
            .position(|test| equals(test, partition).is_some())?;
        let partition = equals(&rest.remove(at), partition)?;
        let best = sort.and_then(|sort| {
            let ranges = rest.iter().enumerate();
            ranges
                .filter_map(|(at, test)| Some((at, range(test, sort)?)))
                .min_by_key(|(at, range)| (Reverse(range.narrowness()), *at))
        });
        let sort = best.map(|(at, range)| {
            rest.remove(at);
            range
        });
        let filter = (!rest.is_empty()).then(|| Condition(Test::all(rest)));
        let key = KeyCondition { partition, sort };
        Some(KeySplit { key, filter })
    }
}

impl SortCondition {
    /// The more, the fewer items it lets through, as far as one can tell without them.
    const fn narrowness(&self) -> u8 {
        match self {
            SortCondition::Equals(_) => 3,
            SortCondition::Between(..) => 2,
            SortCondition::BeginsWith(_) => 1,
            _ => 0,
        }
    }

    /// Whether a sort key is in the range.
    pub fn holds(&self, key: &Value) -> bool {
        let (comparator, bound) = match self {
            SortCondition::Equals(bound) => (Comparator::Equal, bound),
            SortCondition::Less(bound) => (Comparator::Less, bound),
            SortCondition::AtMost(bound) => (Comparator::AtMost, bound),
            SortCondition::Greater(bound) => (Comparator::Greater, bound),
            SortCondition::AtLeast(bound) => (Comparator::AtLeast, bound),
            SortCondition::Between(low, high) => {
                return super::evaluate::values(key, Comparator::AtLeast, low)
                    && super::evaluate::values(key, Comparator::AtMost, high);
            }
            SortCondition::BeginsWith(prefix) => return super::evaluate::begins_with(key, prefix),
        };
        super::evaluate::values(key, comparator, bound)
    }
}

/// The value if the test says that the attribute equals one that a key can have.
fn equals(test: &Test, name: &str) -> Option<Value> {
    match compared(test, name)? {
        (Comparator::Equal, value) => Some(value),
        _ => None,
    }
}

pub(super) fn range(test: &Test, name: &str) -> Option<SortCondition> {
    if let Some((comparator, value)) = compared(test, name) {
        return match comparator {
            Comparator::Equal => Some(SortCondition::Equals(value)),
            Comparator::NotEqual => None,
            Comparator::Less => Some(SortCondition::Less(value)),
            Comparator::AtMost => Some(SortCondition::AtMost(value)),
            Comparator::Greater => Some(SortCondition::Greater(value)),
            Comparator::AtLeast => Some(SortCondition::AtLeast(value)),
        };
    }
    match test {
        Test::Between(Operand::Path(path), low, high) if path.is_attribute(name) => {
            Some(SortCondition::Between(key_value(low)?, key_value(high)?))
        }
        Test::BeginsWith(Operand::Path(path), prefix) if path.is_attribute(name) => {
            Some(SortCondition::BeginsWith(key_value(prefix)?))
        }
        _ => None,
    }
}

/// A comparison of the attribute with a value, whichever side they stand on.
pub(super) fn compared(test: &Test, name: &str) -> Option<(Comparator, Value)> {
    let Test::Compare(left, comparator, right) = test else {
        return None;
    };
    match (left, right) {
        (Operand::Path(path), value) if path.is_attribute(name) => {
            Some((*comparator, key_value(value)?))
        }
        (value, Operand::Path(path)) if path.is_attribute(name) => {
            Some((comparator.mirrored(), key_value(value)?))
        }
        _ => None,
    }
}

fn key_value(operand: &Operand) -> Option<Value> {
    match operand {
        Operand::Value(value @ (Value::String(_) | Value::Number(_) | Value::Binary(_))) => {
            Some(value.clone())
        }
        _ => None,
    }
}
