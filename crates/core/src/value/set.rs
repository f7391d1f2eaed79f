//! DynamoDB's sets: unordered, of one kind, never empty when stored.

use super::{Number, Value};
use std::collections::BTreeSet;

/// A set of strings, of numbers or of binaries.
///
/// DynamoDB refuses empty sets: what writes AttributeValue JSON leaves them out, so that an empty
/// set and an absent attribute are the same in the cloud.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// `SS`
    Strings(BTreeSet<String>),
    /// `NS`
    Numbers(BTreeSet<Number>),
    /// `BS`
    Binaries(BTreeSet<Vec<u8>>),
}

impl Set {
    /// The set of these members, if they are all texts, all numbers or all binaries.
    pub fn of_members(members: &[Value]) -> Option<Set> {
        match members.first() {
            Some(Value::Number(_)) => {
                let numbers = members.iter().map(|member| member.as_number().copied());
                numbers.collect::<Option<_>>().map(Set::Numbers)
            }
            Some(Value::Binary(_)) => {
                let bytes = members.iter();
                let bytes = bytes.map(|member| member.as_bytes().map(<[u8]>::to_vec));
                bytes.collect::<Option<_>>().map(Set::Binaries)
            }
            _ => {
                let texts = members.iter();
                let texts = texts.map(|member| member.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Set::Strings)
            }
        }
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self {
            Set::Strings(set) => set.len(),
            Set::Numbers(set) => set.len(),
            Set::Binaries(set) => set.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> FromIterator<&'a str> for Set {
    fn from_iter<I: IntoIterator<Item = &'a str>>(members: I) -> Set {
        Set::Strings(members.into_iter().map(str::to_owned).collect())
    }
}

impl FromIterator<String> for Set {
    fn from_iter<I: IntoIterator<Item = String>>(members: I) -> Set {
        Set::Strings(members.into_iter().collect())
    }
}

impl FromIterator<Number> for Set {
    fn from_iter<I: IntoIterator<Item = Number>>(members: I) -> Set {
        Set::Numbers(members.into_iter().collect())
    }
}

impl FromIterator<Vec<u8>> for Set {
    fn from_iter<I: IntoIterator<Item = Vec<u8>>>(members: I) -> Set {
        Set::Binaries(members.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_equal_whatever_the_order_and_the_spelling_of_numbers() {
        let one: Set = ["b", "a", "a"].into_iter().collect();
        let other: Set = ["a", "b"].into_iter().collect();
        assert_eq!(one, other);
        assert_eq!(one.len(), 2);

        let number = |text: &str| text.parse::<Number>().unwrap();
        let one: Set = [number("1.0"), number("1E0")].into_iter().collect();
        let other: Set = [number("1")].into_iter().collect();
        assert_eq!(one, other);
    }
}
