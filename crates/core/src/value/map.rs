//! A map as items have it: few fields, read often, always in the order of their names.

use super::name::AsName;
use super::{Name, Value};
use std::cmp::Ordering;
use std::fmt;
use std::slice;

/// Fields by name, held sorted in one allocation.
///
/// Items have tens of attributes rather than thousands: a sorted vector is smaller than a tree,
/// and its iteration order gives every written form the same bytes each time.
///
/// A field is asked for by its [`Name`] or by the text of it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Map {
    fields: Vec<(Name, Value)>,
}

impl Map {
    /// An empty map.
    pub const fn new() -> Map {
        Map { fields: Vec::new() }
    }

    /// An empty map with room for `fields`.
    pub fn with_capacity(fields: usize) -> Map {
        Map {
            fields: Vec::with_capacity(fields),
        }
    }

    /// The field of that name.
    pub fn get<N: AsName + ?Sized>(&self, name: &N) -> Option<&Value> {
        self.position(&name.as_name())
            .ok()
            .map(|at| &self.fields[at].1)
    }

    /// The field of that name, for change.
    pub fn get_mut<N: AsName + ?Sized>(&mut self, name: &N) -> Option<&mut Value> {
        self.position(&name.as_name())
            .ok()
            .map(|at| &mut self.fields[at].1)
    }

    /// The value at a place in the order of the names, from 0, for change.
    pub(crate) fn value_at_mut(&mut self, place: usize) -> Option<&mut Value> {
        self.fields.get_mut(place).map(|(_, value)| value)
    }

    /// The text of the field of that name, if it is there and is text.
    pub fn text<N: AsName + ?Sized>(&self, name: &N) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// Whether there is a field of that name.
    pub fn contains_key<N: AsName + ?Sized>(&self, name: &N) -> bool {
        self.position(&name.as_name()).is_ok()
    }

    /// Sets a field and gives back what it held before.
    pub fn insert(&mut self, name: impl Into<Name>, value: impl Into<Value>) -> Option<Value> {
        let (name, value) = (name.into(), value.into());
        // Decoders and builders mostly bring the names in order.
        if self.fields.last().is_none_or(|(last, _)| *last < name) {
            self.fields.push((name, value));
            return None;
        }
        match self.position(&name) {
            Ok(at) => Some(std::mem::replace(&mut self.fields[at].1, value)),
            Err(at) => {
                self.fields.insert(at, (name, value));
                None
            }
        }
    }

    /// Sets a field whose name is known to come after all that are there.
    pub(super) fn push_in_order(&mut self, name: Name, value: Value) {
        self.fields.push((name, value));
    }

    /// Takes a field out.
    pub fn remove<N: AsName + ?Sized>(&mut self, name: &N) -> Option<Value> {
        self.position(&name.as_name())
            .ok()
            .map(|at| self.fields.remove(at).1)
    }

    /// Keeps only the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.fields.retain_mut(|(name, value)| keep(name, value));
    }

    /// Keeps only the fields with these names, which must be in order.
    pub(crate) fn retain_only(&mut self, mut names: &[Name]) {
        self.fields
            .retain(|(name, _)| take_wanted(&mut names, |wanted| wanted.cmp(name)).is_some());
    }

    /// A copy of the fields with these names, which must be in order.
    pub(crate) fn only(&self, mut names: &[Name]) -> Map {
        let mut some = Map::with_capacity(self.len().min(names.len()));
        for (name, value) in &self.fields {
            if take_wanted(&mut names, |wanted| wanted.cmp(name)).is_some() {
                some.push_in_order(name.clone(), value.clone());
            }
        }
        some
    }

    /// How many fields there are.
    pub const fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields, in the order of their names.
    pub fn iter(&self) -> Iter<'_> {
        Iter(self.fields.iter())
    }

    /// The fields with their names as they are held.
    pub(crate) fn fields(&self) -> slice::Iter<'_, (Name, Value)> {
        self.fields.iter()
    }

    /// The fields for change, in the order of their names.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value)> {
        self.fields
            .iter_mut()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator + Clone {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator + Clone {
        self.fields.iter().map(|(_, value)| value)
    }

    /// Takes fields in any order; gives the name that appeared twice.
    pub(super) fn from_unsorted(mut fields: Vec<(Name, Value)>) -> Result<Map, Name> {
        if !fields.is_sorted_by(|one, other| one.0 < other.0) {
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            if let Some(twice) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(twice[0].0.clone());
            }
        }
        Ok(Map { fields })
    }

    fn position(&self, name: &Name) -> Result<usize, usize> {
        self.fields.binary_search_by(|(field, _)| field.cmp(name))
    }
}

/// Takes the wanted names up to one off, of which `order` says how another stands to it; answers it
/// if it is wanted. For names that come in order.
pub(super) fn take_wanted<'n>(
    wanted: &mut &'n [Name],
    order: impl Fn(&Name) -> Ordering,
) -> Option<&'n Name> {
    while let Some((next, rest)) = wanted.split_first() {
        let order = order(next);
        if order.is_gt() {
            return None;
        }
        *wanted = rest;
        if order.is_eq() {
            return Some(next);
        }
    }
    None
}

/// The fields of a [`Map`], in the order of their names.
#[derive(Clone, Debug)]
pub struct Iter<'a>(slice::Iter<'a, (Name, Value)>);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0
            .next_back()
            .map(|(name, value)| (name.as_str(), value))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a str, &'a Value);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Map {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.fields.into_iter()
    }
}

impl<K: Into<Name>, V: Into<Value>> Extend<(K, V)> for Map {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, fields: I) {
        for (name, value) in fields {
            self.insert(name, value);
        }
    }
}

/// A name that comes twice keeps its last value.
impl<K: Into<Name>, V: Into<Value>> FromIterator<(K, V)> for Map {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Map {
        let mut map = Map::new();
        map.extend(fields);
        map
    }
}

impl<K: Into<Name>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Map {
    fn from(fields: [(K, V); N]) -> Map {
        fields.into_iter().collect()
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl std::ops::Index<&str> for Map {
    type Output = Value;

    /// # Panics
    /// When there is no such field: for tests and for names that were just checked.
    fn index(&self, name: &str) -> &Value {
        self.get(name)
            .unwrap_or_else(|| panic!("the map has no field {name:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_in_the_order_of_their_names() {
        let map = Map::from([("b", 2), ("a", 1), ("c", 3)]);
        assert_eq!(map.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(map.iter().next_back(), Some(("c", &Value::from(3))));
    }

    #[test]
    fn insert_gives_back_what_was_there() {
        let mut map = Map::new();
        assert_eq!(map.insert("a", 1), None);
        assert_eq!(map.insert("a", 2), Some(Value::from(1)));
        assert_eq!(map.remove("a"), Some(Value::from(2)));
        assert_eq!(map.remove("a"), None);
        assert!(map.is_empty());
    }

    #[test]
    fn maps_are_equal_whatever_the_order_of_insertion() {
        assert_eq!(
            Map::from([("a", 1), ("b", 2)]),
            Map::from([("b", 2), ("a", 1)])
        );
    }

    #[test]
    fn a_name_that_comes_twice_is_named() {
        let twice = vec![
            (Name::from("b"), Value::Null),
            (Name::from("a"), Value::Null),
            (Name::from("b"), Value::Null),
        ];
        assert_eq!(Map::from_unsorted(twice), Err(Name::from("b")));
    }
}
