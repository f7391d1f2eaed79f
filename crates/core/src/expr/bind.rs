//! Expressions and those who know the names in them: which paths there are, and values brought
//! into the form in which the other side of a comparison is kept.

use super::condition::{Condition, Operand, Test};
use super::key::{SortCondition, compared, range};
use super::path::Path;
use super::update::{self, Assigned, Update};
use crate::value::Value;

impl Condition {
    /// Every path that it asks for, in the order of the text.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        self.0.collect(&mut paths);
        paths
    }

    /// The same condition with other values: `change` is given each one that is compared with a
    /// path.
    pub fn with_values(mut self, mut change: impl FnMut(&Path, &mut Value)) -> Condition {
        self.0.change(&mut change);
        self
    }

    /// The value that the attribute must have, if the condition says so: only what is joined by
    /// `AND` at the top counts.
    pub fn fixed(&self, name: &str) -> Option<Value> {
        self.joined().iter().find_map(|test| {
            let (comparator, value) = compared(test, name)?;
            (comparator.sign() == "=").then_some(value)
        })
    }

    /// The ranges in which the attribute must lie, if the condition says so: only what is joined
    /// by `AND` at the top counts.
    pub fn ranges(&self, name: &str) -> Vec<SortCondition> {
        let tests = self.joined().iter();
        tests.filter_map(|test| range(test, name)).collect()
    }

    fn joined(&self) -> &[Test] {
        match &self.0 {
            Test::All(tests) => tests,
            other => std::slice::from_ref(other),
        }
    }
}

impl Test {
    fn collect<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        let mut operands = |operands: &[&'a Operand]| {
            paths.extend(operands.iter().filter_map(|operand| operand.path()));
        };
        match self {
            Test::All(tests) | Test::Any(tests) => {
                tests.iter().for_each(|test| test.collect(paths));
            }
            Test::Not(test) => test.collect(paths),
            Test::Compare(left, _, right) => operands(&[left, right]),
            Test::Between(of, low, high) => operands(&[of, low, high]),
            Test::OneOf(of, choices) => {
                operands(&[of]);
                choices.iter().for_each(|choice| operands(&[choice]));
            }
            Test::Exists(path) | Test::Absent(path) | Test::IsType(path, _) => paths.push(path),
            Test::BeginsWith(of, part) | Test::Contains(of, part) => operands(&[of, part]),
        }
    }

    fn change(&mut self, change: &mut impl FnMut(&Path, &mut Value)) {
        let mut pair = |one: &mut Operand, other: &mut Operand| match (one, other) {
            (Operand::Path(path), Operand::Value(value))
            | (Operand::Value(value), Operand::Path(path)) => change(path, value),
            _ => {}
        };
        match self {
            Test::All(tests) | Test::Any(tests) => {
                tests.iter_mut().for_each(|test| test.change(change));
            }
            Test::Not(test) => test.change(change),
            Test::Compare(left, _, right) => pair(left, right),
            Test::Between(of, low, high) => {
                pair(of, low);
                pair(of, high);
            }
            Test::OneOf(of, choices) => choices.iter_mut().for_each(|choice| pair(of, choice)),
            // The part of a text or of a set is no value of the field.
            Test::Contains(..) | Test::BeginsWith(..) => {}
            Test::Exists(_) | Test::Absent(_) | Test::IsType(..) => {}
        }
    }
}

impl Operand {
    fn path(&self) -> Option<&Path> {
        match self {
            Operand::Path(path) | Operand::Size(path) => Some(path),
            Operand::Value(_) => None,
        }
    }
}

impl Update {
    /// The places that it reads beside those it changes: what stands on the right of a `SET`.
    pub fn reads(&self) -> Vec<&Path> {
        let mut paths = Vec::new();
        for (_, assigned) in &self.set {
            match assigned {
                Assigned::Operand(operand) => operand.collect(&mut paths),
                Assigned::Sum(left, right) | Assigned::Difference(left, right) => {
                    left.collect(&mut paths);
                    right.collect(&mut paths);
                }
            }
        }
        paths
    }

    /// The attributes that it takes away as a whole.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        let whole = self.remove.iter().filter(|path| path.steps.is_empty());
        whole.map(Path::attribute)
    }
}

impl update::Operand {
    fn collect<'a>(&'a self, paths: &mut Vec<&'a Path>) {
        match self {
            update::Operand::Path(path) => paths.push(path),
            update::Operand::Value(_) => {}
            update::Operand::IfNotExists(path, other) => {
                paths.push(path);
                other.collect(paths);
            }
            update::Operand::ListAppend(first, second) => {
                first.collect(paths);
                second.collect(paths);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_path_of_a_condition_is_found() {
        let all = condition(
            "a = 1 and (b between c and 2 or not d in (e, 3)) and attribute_exists(f.g) \
             and attribute_not_exists(h) and attribute_type(i, 'S') and begins_with(j, 'x') \
             and contains(k, l) and size(m[0]) > 1",
        );
        let paths: Vec<_> = all.paths().iter().map(ToString::to_string).collect();
        let expected = "a b c d e f.g h i j k l m[0]";
        assert_eq!(paths.join(" "), expected);
    }

    #[test]
    fn values_beside_a_path_can_be_exchanged() {
        let changed = condition("a = 1 and 2 < b and c between 3 and 4 and d in (5, e, 6)")
            .with_values(|path, value| {
                *value = Value::from(format!("{path}{}", value.to_json()));
            });
        let expected = "a = 'a1' and 'b2' < b and c between 'c3' and 'c4' and d in ('d5', e, 'd6')";
        assert_eq!(changed, condition(expected));
    }

    #[test]
    fn what_a_condition_fixes_is_told_from_what_it_only_may_say() {
        let all = condition("a = 1 and 'x' = b and c >= 2 and c < 5 and (d = 1 or e = 1)");
        assert_eq!(all.fixed("a"), Some(Value::from(1)));
        assert_eq!(all.fixed("b"), Some(Value::from("x")));
        assert_eq!(all.fixed("c"), None);
        assert_eq!(all.fixed("d"), None);
        assert_eq!(condition("not a = 1").fixed("a"), None);
        assert_eq!(
            all.ranges("c"),
            [
                SortCondition::AtLeast(Value::from(2)),
                SortCondition::Less(Value::from(5))
            ]
        );
    }

    #[test]
    fn an_update_tells_what_it_reads_and_what_it_takes_away() {
        let update: Update = "SET a = b + if_not_exists(c.d, e), f = list_append(g, h) \
                              REMOVE i, j.k ADD l 1"
            .parse()
            .expect("it is a right update");
        let reads: Vec<_> = update.reads().iter().map(ToString::to_string).collect();
        assert_eq!(reads, ["b", "c.d", "e", "g", "h"]);
        assert_eq!(update.removed().collect::<Vec<_>>(), ["i"]);
    }
}
