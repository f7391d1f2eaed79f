//! Random expressions for the property tests of this folder, and texts that are nearly valid.

use super::condition::{Comparator, Operand, Test, Type};
use super::path::clash;
use super::update::{self, Assigned};
use super::{Condition, Path, Projection, Step, Update, check};
use crate::value::{Map, Set, Value, strategies};
use proptest::prelude::*;

/// Attributes of [`item`], and two that it never has.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "size", "and", "absent"]).prop_map(str::to_owned),
        1 => ".{1,6}",
    ]
}

pub(super) fn path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        name().prop_map(Step::Field),
        (0_u32..4).prop_map(Step::Index)
    ];
    (name(), prop::collection::vec(step, 0..3)).prop_map(|(root, steps)| Path { root, steps })
}

/// Items whose attributes the paths often meet.
pub(super) fn item() -> impl Strategy<Value = Map> {
    let leaf = prop_oneof![
        (-9_i64..9).prop_map(Value::from),
        "[ab]{0,3}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        prop::collection::btree_set("[ab]{0,2}", 1..3)
            .prop_map(|set| Value::Set(Set::Strings(set))),
        strategies::value(),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|fields| Value::Map(fields.into_iter().collect())),
        ]
    });
    prop::collection::vec((name(), value), 0..6).prop_map(|fields| fields.into_iter().collect())
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        3 => path().prop_map(Operand::Path),
        3 => strategies::value().prop_map(Operand::Value),
        1 => path().prop_map(Operand::Size),
    ]
}

pub(super) fn condition() -> impl Strategy<Value = Condition> {
    let kind = prop::sample::select(Type::NAMES.to_vec());
    let comparator = prop::sample::select(Comparator::ALL.to_vec());
    let leaf = prop_oneof![
        (operand(), comparator, operand()).prop_map(|(l, c, r)| Test::Compare(l, c, r)),
        (operand(), operand(), operand()).prop_map(|(of, l, h)| Test::Between(of, l, h)),
        (operand(), prop::collection::vec(operand(), 1..4)).prop_map(|(of, c)| Test::OneOf(of, c)),
        path().prop_map(Test::Exists),
        path().prop_map(Test::Absent),
        (path(), kind).prop_map(|(path, kind)| Test::IsType(path, Type(kind))),
        (operand(), operand()).prop_map(|(of, prefix)| Test::BeginsWith(of, prefix)),
        (operand(), operand()).prop_map(|(of, part)| Test::Contains(of, part)),
    ];
    let leaf = leaf.prop_filter("operands that are never refused", is_allowed);
    let test = leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Test::all),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Test::any),
            inner.prop_map(|test| Test::Not(Box::new(test))),
        ]
    });
    test.prop_map(Condition)
}

fn is_allowed(test: &Test) -> bool {
    let checked = match test {
        Test::Compare(left, comparator, right) => check::comparison(left, *comparator, right),
        Test::Between(of, low, high) => check::between(of, low, high),
        Test::OneOf(of, choices) => check::distinct("IN", of, choices),
        Test::BeginsWith(of, prefix) => check::begins_with(of, prefix),
        Test::Contains(of, part) => check::distinct("contains", of, [part]),
        _ => Ok(()),
    };
    checked.is_ok()
}

fn number() -> impl Strategy<Value = update::Operand> {
    prop_oneof![
        strategies::number().prop_map(|number| update::Operand::Value(number.into())),
        path().prop_map(update::Operand::Path),
    ]
}

fn source() -> impl Strategy<Value = update::Operand> {
    let leaf = prop_oneof![
        path().prop_map(update::Operand::Path),
        strategies::value().prop_map(update::Operand::Value),
    ];
    prop_oneof![
        leaf.clone(),
        (path(), leaf)
            .prop_filter("another path", |(path, other)| {
                *other != update::Operand::Path(path.clone())
            })
            .prop_map(|(path, other)| update::Operand::IfNotExists(path, Box::new(other))),
        (path(), prop::collection::vec(strategies::value(), 0..2)).prop_map(|(path, list)| {
            let (path, list) = (update::Operand::Path(path), Value::List(list));
            update::Operand::ListAppend(Box::new(path), Box::new(update::Operand::Value(list)))
        }),
    ]
}

#[derive(Clone, Debug)]
enum Action {
    Set(Path, Assigned),
    Remove(Path),
    Add(Path, Value),
    Delete(Path, Set),
}

impl Action {
    fn path(&self) -> &Path {
        match self {
            Action::Set(path, _) | Action::Remove(path) => path,
            Action::Add(path, _) | Action::Delete(path, _) => path,
        }
    }
}

fn action() -> impl Strategy<Value = Action> {
    let set = prop::collection::btree_set("[ab]{0,2}", 1..3).prop_map(Set::Strings);
    let assigned = prop_oneof![
        source().prop_map(Assigned::Operand),
        (number(), number()).prop_map(|(left, right)| Assigned::Sum(left, right)),
        (number(), number()).prop_map(|(left, right)| Assigned::Difference(left, right)),
    ];
    prop_oneof![
        (path(), assigned).prop_map(|(path, assigned)| Action::Set(path, assigned)),
        path().prop_map(Action::Remove),
        (path(), strategies::number()).prop_map(|(path, more)| Action::Add(path, more.into())),
        (path(), set.clone()).prop_map(|(path, set)| Action::Add(path, set.into())),
        (path(), set).prop_map(|(path, set)| Action::Delete(path, set)),
    ]
}

pub(super) fn update() -> impl Strategy<Value = Update> {
    prop::collection::vec(action(), 1..5).prop_map(|actions| {
        let mut made = Update::default();
        for action in actions {
            if made
                .paths()
                .any(|path| clash(path, action.path()).is_some())
            {
                continue;
            }
            match action {
                Action::Set(path, assigned) => made.set.push((path, assigned)),
                Action::Remove(path) => made.remove.push(path),
                Action::Add(path, value) => made.add.push((path, value)),
                Action::Delete(path, set) => made.delete.push((path, set)),
            }
        }
        made
    })
}

pub(super) fn projection() -> impl Strategy<Value = Projection> {
    prop::collection::vec(path(), 1..5).prop_map(|all| {
        let mut paths: Vec<Path> = Vec::new();
        for path in all {
            if paths.iter().all(|known| clash(known, &path).is_none()) {
                paths.push(path);
            }
        }
        Projection { paths }
    })
}

/// What expressions are made of, in any order.
pub(super) fn scraps() -> impl Strategy<Value = String> {
    let scrap = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b.c",
            "a[0]",
            "#n",
            "#",
            ":v",
            ":",
            "'x'",
            "\"",
            "'",
            "`n`",
            "`",
            "5",
            "-",
            "1e",
            "1e999",
            "=",
            "<>",
            "<",
            "(",
            ")",
            "((((((",
            "[",
            "]",
            ",",
            ".",
            "+",
            "and",
            "or",
            "not",
            "not not",
            "between",
            "in",
            "true",
            "null",
            "size",
            "size(",
            "contains(",
            "attribute_type(",
            "attribute_exists(",
            "begins_with(",
            "set",
            "remove",
            "add",
            "delete",
            "if_not_exists(",
            "list_append(",
            "é",
            "\u{1F600}",
            "[99999999999]",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    (prop::collection::vec(scrap, 0..40), "[ ]?").prop_map(|(scraps, gap)| scraps.join(&gap))
}
