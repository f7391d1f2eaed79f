//! The placeholders of a request's expressions: `names` and `values`, as members of a body or as
//! parameters of an address.

use periwinkle_core::expr::Placeholders;
use periwinkle_core::value::{Map, Value, json};
use periwinkle_db::Expression;

use crate::web::problem::Problem;

/// What the placeholders of one request, or of one write of several, stand for. Its expressions
/// share them.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    names: Map,
    values: Map,
    texts: Vec<String>,
}

impl Expressions {
    /// Takes the members `names` and `values` of an object.
    pub(super) fn from_members(members: &mut Map) -> Result<Expressions, Problem> {
        let wrong = |member: &str, words| Problem::bad_request("body_invalid", words).field(member);
        let mut take = |member: &str| match members.remove(member) {
            None => Ok(Map::new()),
            Some(Value::Map(map)) => Ok(map),
            Some(_) => Err(wrong(member, "Placeholders are an object.")),
        };
        let names = take("names")?;
        let values = take("values")?;
        match not_a_text(&names) {
            Some(place) => Err(wrong(place, NAME_IS_TEXT)),
            None => Ok(Expressions {
                names,
                values,
                texts: Vec::new(),
            }),
        }
    }

    /// Reads a parameter of an address; `false` if it is another one.
    pub(super) fn read_parameter(&mut self, name: &str, text: &str) -> Result<bool, Problem> {
        let map = match name {
            "names" => &mut self.names,
            "values" => &mut self.values,
            _ => return Ok(false),
        };
        let wrong = |words: String| Problem::bad_request("query_invalid", words).field(name);
        *map = match json::parse(text) {
            Ok(Value::Map(map)) => map,
            Ok(_) => {
                let words = "Placeholders are a JSON object, such as {\":least\": 20}.";
                return Err(wrong(words.to_owned()));
            }
            Err(error) => return Err(wrong(format!("{name} is not JSON: {error}."))),
        };
        match not_a_text(&self.names) {
            Some(place) => Err(Problem::bad_request("query_invalid", NAME_IS_TEXT).field(place)),
            None => Ok(true),
        }
    }

    /// A text with those placeholders that stand in it.
    pub(super) fn expression(&mut self, text: String) -> Expression {
        let mut given = Placeholders::new();
        let names = self.names.iter();
        for (place, name) in names.filter(|(place, _)| stands_in(place, &text)) {
            given = given.with_name(place, name.as_str().unwrap_or_default());
        }
        let values = self.values.iter();
        for (place, value) in values.filter(|(place, _)| stands_in(place, &text)) {
            given = given.with_value(place, value.clone());
        }
        self.texts.push(text.clone());
        Expression::new(text, given)
    }

    /// Fails with a placeholder that stands in none of the expressions, and the words for it.
    pub(super) fn check_all_used(&self) -> Result<(), (&str, String)> {
        let mut all = self.names.keys().chain(self.values.keys());
        let used = |place: &str| self.texts.iter().any(|text| stands_in(place, text));
        match all.find(|place| !used(place)) {
            None => Ok(()),
            Some(place) => Err((
                place,
                format!("No expression uses the placeholder {place}."),
            )),
        }
    }
}

const NAME_IS_TEXT: &str = "A placeholder of names stands for a name, which is a text.";

fn not_a_text(names: &Map) -> Option<&str> {
    let mut names = names.iter();
    names
        .find(|(_, name)| name.as_str().is_none())
        .map(|(place, _)| place)
}

/// Whether a placeholder stands in a text, and not only the beginning of a longer one.
fn stands_in(place: &str, text: &str) -> bool {
    text.match_indices(place).any(|(at, _)| {
        let behind = text[at + place.len()..].bytes().next();
        !behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_stands_in_a_text_as_a_whole_word() {
        let table = [
            (":a", "x = :a", true),
            (":a", "x = :ab", false),
            (":a", "x = :ab and y = :a", true),
            ("#n", "#n = 1", true),
            ("#n", "#n2 = 1", false),
        ];
        for (place, text, expected) in table {
            assert_eq!(stands_in(place, text), expected, "{place} {text}");
        }
    }
}
