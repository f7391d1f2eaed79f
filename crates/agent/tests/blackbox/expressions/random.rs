//! Random expressions, within what the emulator answers as the documentation says.

use super::Case;
use periwinkle_core::expr::Placeholders;
use periwinkle_core::value::{Map, Number, Set, Value};
use periwinkle_testkit::rng::Rng;

/// A text that grows, and the placeholders it uses.
struct Writer<'r> {
    rng: &'r mut Rng,
    given: Placeholders,
    count: usize,
    item: Map,
}

pub(super) fn condition(rng: &mut Rng) -> Case {
    let mut writer = Writer::new(rng);
    let text = writer.test(3);
    writer.case("condition", text)
}

pub(super) fn update(rng: &mut Rng) -> Case {
    let mut writer = Writer::new(rng);
    let text = writer.clauses();
    writer.case("update", text)
}

pub(super) fn projection(rng: &mut Rng) -> Case {
    let mut writer = Writer::new(rng);
    let some = [
        "n", "s", "l[0]", "l[9]", "m.a", "m.b.c", "ss", "z", "z.a", "#word",
    ];
    let mut paths: Vec<&str> = some.into_iter().filter(|_| writer.rng.one_in(3)).collect();
    if paths.is_empty() {
        paths.push("n");
    }
    let text = paths.join(", ");
    if text.contains("#word") {
        writer.word();
    }
    writer.case("projection", text)
}

impl Writer<'_> {
    fn new(rng: &mut Rng) -> Writer<'_> {
        let item = item(rng);
        Writer {
            rng,
            given: Placeholders::new(),
            count: 0,
            item,
        }
    }

    fn case(self, kind: &'static str, text: String) -> Case {
        Case {
            kind,
            text,
            given: self.given,
            item: self.item,
        }
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.index(of.len())]
    }

    fn value(&mut self, value: impl Into<Value>) -> String {
        self.count += 1;
        let place = format!(":v{}", self.count);
        self.given = std::mem::take(&mut self.given).with_value(&place, value);
        place
    }

    /// An attribute with the name of a reserved word.
    fn word(&mut self) -> String {
        self.given = std::mem::take(&mut self.given).with_name("#word", "size");
        "#word".to_owned()
    }

    fn any_value(&mut self) -> String {
        let value = any_value(self.rng, 1);
        self.value(value)
    }

    fn scalar(&mut self) -> String {
        let value = ordered(self.rng);
        self.value(value)
    }

    fn path(&mut self) -> String {
        match self.rng.below(16) {
            0 => self.word(),
            _ => self
                .pick(&[
                    "n", "s", "t", "u", "b", "l", "m", "ss", "ns", "z", "l[0]", "l[1]", "l[7]",
                    "m.a", "m.b", "m.b.c", "z.a", "n.a", "s[0]", "k",
                ])
                .to_owned(),
        }
    }

    fn test(&mut self, depth: u32) -> String {
        if depth == 0 || self.rng.one_in(3) {
            return self.leaf();
        }
        match self.rng.below(6) {
            0 => format!("NOT ({})", self.test(depth - 1)),
            1 => format!("NOT {}", self.leaf()),
            2 => format!(
                "({} OR {}) AND {}",
                self.test(depth - 1),
                self.leaf(),
                self.leaf()
            ),
            3 => format!("{} AND {}", self.test(depth - 1), self.test(depth - 1)),
            _ => format!("{} OR {}", self.test(depth - 1), self.test(depth - 1)),
        }
    }

    fn leaf(&mut self) -> String {
        let path = self.path();
        match self.rng.below(12) {
            0 | 1 => format!("{path} {} {}", self.pick(&["=", "<>"]), self.any_value()),
            2 | 3 => {
                let sign = self.pick(&["<", "<=", ">", ">=", "=", "<>"]);
                format!("{path} {sign} {}", self.scalar())
            }
            // One side is always there: of two absent ones the emulator says that they are equal.
            4 if path != "k" => format!("k {} {path}", self.pick(&["<", "<=", ">", "=", "<>"])),
            5 => self.between(&path),
            6 => {
                let choices: Vec<String> =
                    (0..=self.rng.below(3)).map(|_| self.any_value()).collect();
                format!("{path} IN ({})", choices.join(", "))
            }
            7 => format!(
                "{}({path})",
                self.pick(&["attribute_exists", "attribute_not_exists"])
            ),
            8 => {
                let name = self.pick(&["S", "SS", "N", "NS", "B", "BS", "BOOL", "NULL", "L", "M"]);
                format!("attribute_type({path}, {})", self.value(name))
            }
            9 => {
                let prefix = text(self.rng);
                let of = self.pick(&["s", "z", "m.z"]);
                format!("begins_with({of}, {})", self.value(prefix))
            }
            10 => {
                let of = self.pick(&["s", "l", "ss", "ns", "z", "m.b", "n", "k"]);
                format!("contains({of}, {})", self.any_value())
            }
            _ => {
                let of = self.pick(&["s", "l", "m", "ss", "b", "z"]);
                let size = self.rng.below(5);
                let sign = self.pick(&["<", "<=", ">", ">=", "=", "<>"]);
                format!("size({of}) {sign} {}", self.value(size))
            }
        }
    }

    /// Bounds of one type, which are sometimes the wrong way round.
    fn between(&mut self, path: &str) -> String {
        let (one, other) = match self.rng.below(3) {
            0 => (Value::from(text(self.rng)), Value::from(text(self.rng))),
            _ => (Value::from(number(self.rng)), Value::from(number(self.rng))),
        };
        let (low, high) = match one <= other || self.rng.one_in(8) {
            true => (one, other),
            false => (other, one),
        };
        format!(
            "{path} BETWEEN {} AND {}",
            self.value(low),
            self.value(high)
        )
    }

    /// Each attribute at most once, since the emulator lets paths overlap.
    fn clauses(&mut self) -> String {
        let mut clauses = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for attribute in ["n", "s", "l", "m", "ss", "ns", "x", "y"] {
            if self.rng.one_in(3) {
                let clause = self.rng.index(4);
                if let Some(action) = self.action(clause, attribute) {
                    clauses[clause].push(action);
                }
            }
        }
        if clauses.iter().all(Vec::is_empty) {
            clauses[0].push(format!("x = {}", self.any_value()));
        }
        let words = ["SET", "REMOVE", "ADD", "DELETE"];
        let clauses = words
            .iter()
            .zip(clauses)
            .filter(|(_, actions)| !actions.is_empty());
        let clauses: Vec<String> = clauses
            .map(|(word, actions)| format!("{word} {}", actions.join(", ")))
            .collect();
        clauses.join(" ")
    }

    fn action(&mut self, clause: usize, attribute: &str) -> Option<String> {
        let place = self.place(attribute);
        match clause {
            0 => Some(format!("{place} = {}", self.assigned(attribute))),
            // The emulator takes out nested places whose list or map is absent.
            1 | 2 if place != attribute && !self.item.contains_key(attribute) => None,
            1 => Some(place),
            2 => {
                let more = match self.rng.below(4) {
                    0 => strings(self.rng),
                    1 => Value::from(text(self.rng)),
                    _ => Value::from(number(self.rng)),
                };
                Some(format!("{place} {}", self.value(more)))
            }
            _ => {
                let less = match self.rng.below(4) {
                    0 => numbers(self.rng),
                    1 => Value::from(5),
                    _ => strings(self.rng),
                };
                Some(format!("{attribute} {}", self.value(less)))
            }
        }
    }

    fn place(&mut self, attribute: &str) -> String {
        match (attribute, self.rng.below(3)) {
            ("l", 0) => self.pick(&["l[0]", "l[1]", "l[9]"]).to_owned(),
            ("m", 0) => self.pick(&["m.a", "m.z", "m.b"]).to_owned(),
            _ => attribute.to_owned(),
        }
    }

    fn assigned(&mut self, attribute: &str) -> String {
        match self.rng.below(7) {
            0 => self.pick(&["n", "s", "l", "m.a", "z", "l[0]"]).to_owned(),
            1 => {
                let sign = self.pick(&["+", "-"]);
                let left = self.pick(&["n", "k", "z", "m.n"]);
                let more = number(self.rng);
                format!("{left} {sign} {}", self.value(more))
            }
            2 => {
                let (sign, zero) = (self.pick(&["+", "-"]), self.value(0));
                let more = number(self.rng);
                format!("if_not_exists(n, {zero}) {sign} {}", self.value(more))
            }
            3 if attribute != "z" => {
                let path = self.pick(&["z", "n", "m.q", "l[3]"]);
                format!("if_not_exists({path}, {})", self.any_value())
            }
            4 => {
                let list = Value::List(vec![any_value(self.rng, 0)]);
                format!("list_append(l, {})", self.value(list))
            }
            5 => {
                let (none, list) = (self.value(Vec::<Value>::new()), any_value(self.rng, 0));
                let list = self.value(Value::List(vec![list]));
                format!("list_append(if_not_exists(z, {none}), {list})")
            }
            _ => self.any_value(),
        }
    }
}

/// Attributes of fixed types, most of them there; `k` always is a number and `z` is never there.
fn item(rng: &mut Rng) -> Map {
    let nested = Map::from([("c", ordered(rng)), ("d", ordered(rng))]);
    let mut map = Map::from([("a", any_value(rng, 0)), ("b", Value::from(nested))]);
    map.insert("n", number(rng));
    let list: Vec<Value> = (0..rng.below(4)).map(|_| any_value(rng, 1)).collect();
    let all = [
        ("n", Value::from(number(rng))),
        ("s", Value::from(text(rng))),
        ("t", Value::from(rng.one_in(2))),
        ("u", Value::Null),
        ("b", Value::from(text(rng).into_bytes())),
        ("l", Value::List(list)),
        ("m", Value::from(map)),
        ("ss", strings(rng)),
        ("ns", numbers(rng)),
        ("size", any_value(rng, 1)),
    ];
    let mut item: Map = all.into_iter().filter(|_| !rng.one_in(6)).collect();
    item.insert("k", number(rng));
    item
}

/// Few enough that equal ones meet, some that no float could tell apart, and none whose sum would
/// need more than the 28 digits that the emulator adds with.
fn number(rng: &mut Rng) -> Number {
    let some = [
        "0",
        "1",
        "2",
        "3",
        "5",
        "-1",
        "-2",
        "0.1",
        "0.2",
        "1.5",
        "100",
        "1E2",
        "1E-7",
        "12345678901234567890",
        "12345678901234567891",
        "-0.000001",
    ];
    some[rng.index(some.len())].parse().unwrap()
}

fn text(rng: &mut Rng) -> String {
    let some = ["", "a", "ab", "b", "abc", "é", "aé", "😀", "5"];
    some[rng.index(some.len())].to_owned()
}

fn ordered(rng: &mut Rng) -> Value {
    match rng.below(5) {
        0 | 1 => Value::from(text(rng)),
        2 => Value::from(text(rng).into_bytes()),
        _ => Value::from(number(rng)),
    }
}

fn strings(rng: &mut Rng) -> Value {
    let set: Set = (0..=rng.below(3))
        .map(|_| format!("a{}", rng.below(3)))
        .collect();
    Value::from(set)
}

fn numbers(rng: &mut Rng) -> Value {
    let set: Set = (0..=rng.below(3)).map(|_| number(rng)).collect();
    Value::from(set)
}

fn any_value(rng: &mut Rng, depth: u32) -> Value {
    match rng.below(if depth == 0 { 8 } else { 10 }) {
        0..=3 => ordered(rng),
        4 => Value::from(rng.one_in(2)),
        5 => Value::Null,
        6 => strings(rng),
        7 => numbers(rng),
        8 => Value::List(
            (0..rng.below(3))
                .map(|_| any_value(rng, depth - 1))
                .collect(),
        ),
        _ => Value::from(Map::from([("a", any_value(rng, depth - 1))])),
    }
}
