//! How large an item is, as DynamoDB counts it.

use crate::value::{Map, Set, Value};

/// Bytes of an item: names and values.
///
/// Source: Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats". Numbers are counted
/// by their digits, rounded up, so that the true size is never above.
pub fn item_bytes(item: &Map) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number_bytes(&number.to_string()),
        Value::String(text) => text.len(),
        Value::Binary(bytes) => bytes.len(),
        Value::List(items) => {
            3 + items
                .iter()
                .map(|item| 1 + value_bytes(item))
                .sum::<usize>()
        }
        Value::Map(map) => 3 + map.len() + item_bytes(map),
        Value::Set(Set::Strings(texts)) => texts.iter().map(String::len).sum(),
        Value::Set(Set::Numbers(numbers)) => numbers
            .iter()
            .map(|number| number_bytes(&number.to_string()))
            .sum(),
        Value::Set(Set::Binaries(items)) => items.iter().map(Vec::len).sum(),
    }
}

/// One byte for two significant digits, one for the exponent, one for a sign.
fn number_bytes(text: &str) -> usize {
    let digits = text.trim_start_matches(['-', '0', '.']);
    let digits = digits.bytes().filter(u8::is_ascii_digit).count();
    digits.min(38).div_ceil(2) + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_counted() {
        let table = [
            (Map::new(), 0),
            (Map::from([("name", "value")]), 9),
            (Map::from([("flag", true)]), 5),
            (Map::from([("n", 1234)]), 5),
            (Map::from([("l", vec![Value::from("ab"), Value::Null])]), 9),
            (Map::from([("m", Map::from([("a", "b")]))]), 7),
        ];
        for (item, expected) in table {
            assert_eq!(item_bytes(&item), expected, "{item:?}");
        }
    }
}
