//! Conditions, updates and key conditions, and the placeholders they share.
//!
//! What the replication itself asks and writes: made by calls, of whole attributes, with its own
//! rule for empty sets, key conditions included. What people and programs write as a text, with
//! paths into items, is `expr`; it is evaluated here and printed for the cloud, and the two share
//! no form but DynamoDB's.

use super::bounds::{RequestError, check_expressions};
use crate::limits;
use crate::value::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What must hold of an item: a condition of a write, or a filter of a query.
///
/// An empty set counts as an absent attribute, since DynamoDB has no empty sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Test);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists(String),
    Absent(String),
    Compare(String, &'static str, Value),
    Between(String, Value, Value),
    BeginsWith(String, Value),
    Contains(String, Value),
    OneOf(String, Vec<Value>),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

impl Condition {
    /// The item has the attribute.
    pub fn exists(name: impl Into<String>) -> Condition {
        Condition(Test::Exists(name.into()))
    }

    /// The item lacks the attribute, or there is no item.
    pub fn absent(name: impl Into<String>) -> Condition {
        Condition(Test::Absent(name.into()))
    }

    /// The attribute has this value.
    pub fn equals(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        match value.into() {
            Value::Set(set) if set.is_empty() => Condition::absent(name),
            value => compare(name, "=", value),
        }
    }

    /// The attribute has this value, or is absent where there is none.
    pub fn is(name: impl Into<String>, value: Option<&Value>) -> Condition {
        match value {
            Some(value) => Condition::equals(name, value.clone()),
            None => Condition::absent(name),
        }
    }

    /// The attribute has another value; true also where it is absent.
    pub fn differs(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        compare(name, "<>", value)
    }

    /// The attribute is there and below the value.
    pub fn less(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        compare(name, "<", value)
    }

    /// The attribute is there and not above the value.
    pub fn at_most(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        compare(name, "<=", value)
    }

    /// The attribute is there and above the value.
    pub fn greater(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        compare(name, ">", value)
    }

    /// The attribute is there and not below the value.
    pub fn at_least(name: impl Into<String>, value: impl Into<Value>) -> Condition {
        compare(name, ">=", value)
    }

    /// The attribute is there and lies between the values, both included.
    pub fn between(
        name: impl Into<String>,
        low: impl Into<Value>,
        high: impl Into<Value>,
    ) -> Condition {
        Condition(Test::Between(name.into(), low.into(), high.into()))
    }

    /// The attribute is text or binary and begins so.
    pub fn begins_with(name: impl Into<String>, prefix: impl Into<Value>) -> Condition {
        Condition(Test::BeginsWith(name.into(), prefix.into()))
    }

    /// The attribute is a text with this part, or a set or list with this member.
    pub fn contains(name: impl Into<String>, part: impl Into<Value>) -> Condition {
        Condition(Test::Contains(name.into(), part.into()))
    }

    /// The attribute has one of the values; `None` without any, for that could never hold.
    pub fn one_of<V: Into<Value>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Option<Condition> {
        let name = name.into();
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        values
            .chunks(limits::DYNAMODB_IN_VALUES_MAX)
            .map(|values| Condition(Test::OneOf(name.clone(), values.to_vec())))
            .reduce(Condition::or)
    }

    /// All of them hold; `None` without any, for that always holds.
    pub fn all(conditions: impl IntoIterator<Item = Condition>) -> Option<Condition> {
        conditions.into_iter().reduce(Condition::and)
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Condition) -> Condition {
        let mut all = self.0.into_all();
        all.extend(other.0.into_all());
        Condition(Test::All(all))
    }

    /// At least one of both holds.
    #[must_use]
    pub fn or(self, other: Condition) -> Condition {
        let mut any = self.0.into_any();
        any.extend(other.0.into_any());
        Condition(Test::Any(any))
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Condition {
        Condition(Test::Not(Box::new(self.0)))
    }
}

impl Test {
    fn into_all(self) -> Vec<Test> {
        match self {
            Test::All(all) => all,
            one => vec![one],
        }
    }

    fn into_any(self) -> Vec<Test> {
        match self {
            Test::Any(any) => any,
            one => vec![one],
        }
    }
}

fn compare(name: impl Into<String>, operator: &'static str, value: impl Into<Value>) -> Condition {
    Condition(Test::Compare(name.into(), operator, value.into()))
}

/// Which items of one partition a query reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCondition {
    partition: Test,
    sort: Option<Condition>,
}

impl KeyCondition {
    /// All items of the partition.
    pub fn partition(name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        KeyCondition {
            partition: compare(name, "=", value).0,
            sort: None,
        }
    }

    /// Those with this sort key.
    #[must_use]
    pub fn sort_equals(self, name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::equals(name, value))
    }

    /// Those whose sort key begins so.
    #[must_use]
    pub fn begins_with(self, name: impl Into<String>, prefix: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::begins_with(name, prefix))
    }

    /// Those whose sort key lies between the values, both included.
    #[must_use]
    pub fn between(
        self,
        name: impl Into<String>,
        low: impl Into<Value>,
        high: impl Into<Value>,
    ) -> KeyCondition {
        self.with_sort(Condition::between(name, low, high))
    }

    /// Those whose sort key is above the value.
    #[must_use]
    pub fn greater(self, name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::greater(name, value))
    }

    /// Those whose sort key is not below the value.
    #[must_use]
    pub fn at_least(self, name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::at_least(name, value))
    }

    /// Those whose sort key is below the value.
    #[must_use]
    pub fn less(self, name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::less(name, value))
    }

    /// Those whose sort key is not above the value.
    #[must_use]
    pub fn at_most(self, name: impl Into<String>, value: impl Into<Value>) -> KeyCondition {
        self.with_sort(Condition::at_most(name, value))
    }

    fn with_sort(self, sort: Condition) -> KeyCondition {
        KeyCondition {
            sort: Some(sort),
            ..self
        }
    }
}

/// What an update does to top-level attributes; each may be named once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Attributes that get a value. An empty set is removed instead.
    pub set: Map,
    /// Attributes that go.
    pub remove: BTreeSet<String>,
    /// Numbers to add to numbers, and members to add to sets.
    pub add: Map,
    /// Members to take out of sets.
    pub delete: Map,
}

impl Update {
    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.remove.is_empty()
            && self.add.is_empty()
            && self.delete.is_empty()
    }
}

/// The expressions of one request: their texts, and the names and values they use.
///
/// A name gets the placeholder `#n` and a value `:n`, by position, in the order of first use.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    pub(super) texts: Vec<(&'static str, String)>,
    pub(super) names: Vec<String>,
    pub(super) values: Vec<Value>,
    pub(super) operators: usize,
}

impl Expressions {
    pub(super) fn checked(self) -> Result<Expressions, RequestError> {
        check_expressions(&self)?;
        Ok(self)
    }

    pub(super) fn update(mut self, update: &Update) -> Result<Expressions, RequestError> {
        let is_empty = |value: &Value| matches!(value, Value::Set(set) if set.is_empty());
        let emptied = update
            .set
            .iter()
            .filter(|(_, value)| is_empty(value))
            .map(|(name, _)| name);
        let removed: BTreeSet<&str> = update
            .remove
            .iter()
            .map(String::as_str)
            .chain(emptied)
            .collect();
        let set = update.set.iter().filter(|(_, value)| !is_empty(value));
        let mut clauses = Vec::new();
        self.clause("SET", " = ", set, &mut clauses)?;
        for (at, name) in removed.into_iter().enumerate() {
            let separator = if at == 0 { "REMOVE " } else { ", " };
            let name = self.new_name(name)?;
            push_clause(&mut clauses, at, &format!("{separator}{name}"));
        }
        self.clause("ADD", " ", update.add.iter(), &mut clauses)?;
        self.clause("DELETE", " ", update.delete.iter(), &mut clauses)?;
        if !clauses.is_empty() {
            self.texts.push(("UpdateExpression", clauses.join(" ")));
        }
        Ok(self)
    }

    pub(super) fn condition(self, condition: Option<&Condition>) -> Expressions {
        self.test("ConditionExpression", condition)
    }

    pub(super) fn filter(self, condition: Option<&Condition>) -> Expressions {
        self.test("FilterExpression", condition)
    }

    pub(super) fn key(mut self, key: &KeyCondition) -> Expressions {
        let mut text = String::new();
        self.write(&key.partition, &mut text);
        if let Some(sort) = &key.sort {
            text.push_str(" AND ");
            self.write(&sort.0, &mut text);
        }
        self.texts.push(("KeyConditionExpression", text));
        self
    }

    pub(super) fn projection(mut self, names: &[String]) -> Expressions {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| self.name(name)).collect();
            self.texts.push(("ProjectionExpression", names.join(", ")));
        }
        self
    }

    fn test(mut self, field: &'static str, condition: Option<&Condition>) -> Expressions {
        if let Some(condition) = condition {
            let mut text = String::new();
            self.write(&condition.0, &mut text);
            self.texts.push((field, text));
        }
        self
    }

    fn clause<'a>(
        &mut self,
        word: &str,
        operator: &str,
        fields: impl Iterator<Item = (&'a str, &'a Value)>,
        clauses: &mut Vec<String>,
    ) -> Result<(), RequestError> {
        for (at, (name, value)) in fields.enumerate() {
            let separator = if at == 0 {
                format!("{word} ")
            } else {
                ", ".to_owned()
            };
            let name = self.new_name(name)?;
            let value = self.value(value);
            push_clause(clauses, at, &format!("{separator}{name}{operator}{value}"));
        }
        Ok(())
    }

    fn write(&mut self, test: &Test, out: &mut String) {
        self.operators += usize::from(!matches!(test, Test::All(_) | Test::Any(_)));
        match test {
            Test::Exists(name) => push(out, format_args!("attribute_exists({})", self.name(name))),
            Test::Absent(name) => {
                push(
                    out,
                    format_args!("attribute_not_exists({})", self.name(name)),
                );
            }
            Test::Compare(name, operator, value) => {
                let (name, value) = (self.name(name), self.value(value));
                push(out, format_args!("{name} {operator} {value}"));
            }
            Test::Between(name, low, high) => {
                let (name, low, high) = (self.name(name), self.value(low), self.value(high));
                push(out, format_args!("{name} BETWEEN {low} AND {high}"));
            }
            Test::BeginsWith(name, prefix) => {
                let (name, prefix) = (self.name(name), self.value(prefix));
                push(out, format_args!("begins_with({name}, {prefix})"));
            }
            Test::Contains(name, part) => {
                let (name, part) = (self.name(name), self.value(part));
                push(out, format_args!("contains({name}, {part})"));
            }
            Test::OneOf(name, values) => {
                let name = self.name(name);
                let values: Vec<String> = values.iter().map(|value| self.value(value)).collect();
                push(out, format_args!("{name} IN ({})", values.join(", ")));
            }
            Test::All(tests) => self.write_joined(tests, " AND ", out),
            Test::Any(tests) => self.write_joined(tests, " OR ", out),
            Test::Not(test) => {
                out.push_str("NOT (");
                self.write(test, out);
                out.push(')');
            }
        }
    }

    fn write_joined(&mut self, tests: &[Test], word: &str, out: &mut String) {
        for (at, test) in tests.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { word });
            let nested = matches!(test, Test::All(_) | Test::Any(_));
            out.push_str(if nested { "(" } else { "" });
            self.write(test, out);
            out.push_str(if nested { ")" } else { "" });
        }
    }

    /// The placeholder of a name, the same wherever the name appears.
    fn name(&mut self, name: &str) -> String {
        let at = self
            .names
            .iter()
            .position(|known| known == name)
            .unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            });
        format!("#{at}")
    }

    /// The placeholder of a name that has none yet: an update names each attribute once.
    fn new_name(&mut self, name: &str) -> Result<String, RequestError> {
        if self.names.iter().any(|known| known == name) {
            return Err(RequestError::Overlap(name.to_owned()));
        }
        Ok(self.name(name))
    }

    fn value(&mut self, value: &Value) -> String {
        self.values.push(value.clone());
        format!(":{}", self.values.len() - 1)
    }
}

/// Continues the last clause, or begins one.
fn push_clause(clauses: &mut Vec<String>, at: usize, text: &str) {
    match clauses.last_mut() {
        Some(last) if at > 0 => last.push_str(text),
        _ => clauses.push(text.to_owned()),
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Set;

    fn condition(condition: Condition) -> (String, Vec<String>, Vec<Value>) {
        let mut made = Expressions::default().condition(Some(&condition));
        (made.texts.remove(0).1, made.names, made.values)
    }

    #[test]
    fn conditions_read_as_dynamodb_writes_them() {
        let cases = [
            (Condition::exists("a"), "attribute_exists(#0)"),
            (Condition::absent("a"), "attribute_not_exists(#0)"),
            (Condition::equals("a", 1), "#0 = :0"),
            (Condition::differs("a", 1), "#0 <> :0"),
            (Condition::less("a", 1), "#0 < :0"),
            (Condition::at_most("a", 1), "#0 <= :0"),
            (Condition::greater("a", 1), "#0 > :0"),
            (Condition::at_least("a", 1), "#0 >= :0"),
            (Condition::between("a", 1, 2), "#0 BETWEEN :0 AND :1"),
            (Condition::begins_with("a", "x"), "begins_with(#0, :0)"),
            (Condition::contains("a", "x"), "contains(#0, :0)"),
            (Condition::one_of("a", [1, 2]).unwrap(), "#0 IN (:0, :1)"),
            (
                Condition::exists("a").negated(),
                "NOT (attribute_exists(#0))",
            ),
        ];
        for (made, text) in cases {
            assert_eq!(condition(made).0, text);
        }
    }

    #[test]
    fn conditions_combine_with_the_parentheses_they_need() {
        let one = || Condition::equals("a", 1);
        let two = || Condition::exists("b");
        let three = || Condition::absent("a");
        assert_eq!(
            condition(one().and(two()).and(three())).0,
            "#0 = :0 AND attribute_exists(#1) AND attribute_not_exists(#0)"
        );
        assert_eq!(
            condition(one().and(two().or(three()))).0,
            "#0 = :0 AND (attribute_exists(#1) OR attribute_not_exists(#0))"
        );
        assert_eq!(
            condition(one().or(two().and(three()))).0,
            "#0 = :0 OR (attribute_exists(#1) AND attribute_not_exists(#0))"
        );
        assert_eq!(Condition::all([]), None);
        assert_eq!(Condition::all([one()]), Some(one()));
    }

    #[test]
    fn a_base_value_is_compared_as_it_was_seen() {
        let value = Value::from("x");
        assert_eq!(
            Condition::is("a", Some(&value)),
            Condition::equals("a", "x")
        );
        assert_eq!(Condition::is("a", None), Condition::absent("a"));
        assert_eq!(
            Condition::is("a", Some(&Value::Null)),
            Condition::equals("a", Value::Null)
        );
        let empty = Value::from(Set::Strings(BTreeSet::new()));
        assert_eq!(Condition::is("a", Some(&empty)), Condition::absent("a"));
    }

    #[test]
    fn names_keep_their_placeholder_and_values_get_their_own() {
        let (text, names, values) = condition(
            Condition::equals("a.b", 1)
                .and(Condition::equals("size", 1))
                .and(Condition::differs("a.b", 2)),
        );
        assert_eq!(text, "#0 = :0 AND #1 = :1 AND #0 <> :2");
        assert_eq!(names, ["a.b", "size"]);
        assert_eq!(values, [Value::from(1), Value::from(1), Value::from(2)]);
    }

    #[test]
    fn an_update_has_one_clause_of_each_kind() {
        let update = Update {
            set: Map::from([
                ("b", Value::from(1)),
                ("a", Value::from(2)),
                ("e", Value::from(Set::Strings(BTreeSet::new()))),
            ]),
            remove: ["d", "c"].into_iter().map(str::to_owned).collect(),
            add: Map::from([("n", 5), ("m", 6)]),
            delete: Map::from([("s", ["x"].into_iter().collect::<Set>())]),
        };
        let made = Expressions::default().update(&update).unwrap();
        assert_eq!(
            made.texts,
            [(
                "UpdateExpression",
                "SET #0 = :0, #1 = :1 REMOVE #2, #3, #4 ADD #5 :2, #6 :3 DELETE #7 :4".to_owned()
            )]
        );
        assert_eq!(made.names, ["a", "b", "c", "d", "e", "m", "n", "s"]);
    }

    #[test]
    fn an_update_that_does_two_things_to_one_attribute_is_refused() {
        let update = Update {
            set: Map::from([("a", 1)]),
            remove: BTreeSet::from(["a".to_owned()]),
            ..Update::default()
        };
        let error = Expressions::default().update(&update).unwrap_err();
        assert_eq!(error, RequestError::Overlap("a".to_owned()));
    }

    #[test]
    fn expressions_are_taken_to_their_bounds_and_not_beyond() {
        let made = |count: usize, name: &str| {
            let all = Condition::all((0..count).map(|at| Condition::exists(format!("{name}{at}"))));
            Expressions::default()
                .condition(all.as_ref())
                .checked()
                .map(drop)
        };
        // "attribute_exists(#nn) AND " is 26 bytes: the text is the tighter bound.
        assert_eq!(made(150, "a"), Ok(()));
        assert!(matches!(
            made(160, "a"),
            Err(RequestError::TooLarge {
                what: "an expression",
                max: 4096,
                ..
            })
        ));
        let any = |count: i64| {
            let any = (0..count)
                .map(|at| Condition::equals("a", at))
                .reduce(Condition::or);
            Expressions::default()
                .condition(any.as_ref())
                .checked()
                .map(drop)
        };
        assert_eq!(any(300), Ok(()));
        assert!(matches!(
            any(301),
            Err(RequestError::TooLarge {
                what: "expressions",
                actual: 301,
                max: 300,
                ..
            })
        ));
    }

    #[test]
    fn a_long_choice_is_split_where_dynamodb_ends_one() {
        let text =
            condition(Condition::one_of("a", 0..limits::DYNAMODB_IN_VALUES_MAX as i32).unwrap()).0;
        assert_eq!(text.matches("#0 IN (").count(), 1);
        let text =
            condition(Condition::one_of("a", 0..=limits::DYNAMODB_IN_VALUES_MAX as i32).unwrap()).0;
        assert!(text.ends_with(" OR #0 IN (:100)"), "{text}");
        assert_eq!(Condition::one_of("a", Vec::<Value>::new()), None);
    }
}
