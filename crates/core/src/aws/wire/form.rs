//! The query protocol: values as a form, XML as values.

use super::xml::Element;
use crate::aws::sigv4::encode_uri;
use crate::value::{Map, Value};
use base64::Engine as _;

/// Values as a form: `Dimensions.member.1.Name=Device`.
///
/// Objects add their names, lists `member` and a number. A name may itself hold dots, for the few
/// members of services that number in another way (`entry.1.key`).
pub fn to_form(values: &Map) -> String {
    let mut pairs = Vec::new();
    for (name, value) in values {
        flatten(name, value, &mut pairs);
    }
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode_uri(name), encode_uri(value)))
        .collect();
    pairs.join("&")
}

fn flatten(name: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Null => return,
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Binary(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
        Value::List(list) if list.is_empty() => String::new(),
        Value::List(list) => {
            for (at, element) in list.iter().enumerate() {
                flatten(&format!("{name}.member.{}", at + 1), element, pairs);
            }
            return;
        }
        Value::Map(map) => {
            for (inner, value) in map {
                flatten(&format!("{name}.{inner}"), value, pairs);
            }
            return;
        }
        // JSON knows no sets, and a form is made from JSON.
        Value::Set(_) => return,
    };
    pairs.push((name.to_owned(), text));
}

/// XML as values, without a description of its types: text stays text, elements of one name that
/// repeat and elements called `member` become lists.
pub fn xml_value(element: &Element) -> Value {
    if element.children.is_empty() {
        return Value::String(element.text.clone());
    }
    if element.children.iter().all(|child| child.name == "member") {
        return Value::List(element.children.iter().map(xml_value).collect());
    }
    let mut map = Map::default();
    for child in &element.children {
        if map.contains_key(&child.name) {
            continue;
        }
        let mut same = element.all(&child.name).map(xml_value);
        let first = same.next().unwrap_or(Value::Null);
        let rest: Vec<Value> = same.collect();
        if rest.is_empty() {
            map.insert(child.name.as_str(), first);
        } else {
            let all: Vec<Value> = [first].into_iter().chain(rest).collect();
            map.insert(child.name.as_str(), Value::List(all));
        }
    }
    Value::Map(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::json;

    fn form(text: &str) -> String {
        to_form(json::parse(text).unwrap().as_map().unwrap())
    }

    #[test]
    fn values_become_a_form() {
        let text = r#"{"Namespace":"a b","MetricData":[{"Value":1.5,"Dimensions":[{"Name":"x","Value":"&"}]},
            {"Flag":true,"Nothing":null}],"Tags.entry.1.key":"k","Empty":[]}"#;
        // Maps are ordered by name.
        assert_eq!(
            form(text),
            "Empty=&MetricData.member.1.Dimensions.member.1.Name=x\
             &MetricData.member.1.Dimensions.member.1.Value=%26&MetricData.member.1.Value=1.5\
             &MetricData.member.2.Flag=true&Namespace=a%20b&Tags.entry.1.key=k"
        );
        assert_eq!(form("{}"), "");
    }

    #[test]
    fn xml_becomes_values() {
        let value = |text: &str| xml_value(&Element::parse(text.as_bytes()).unwrap()).to_json();
        assert_eq!(value("<a>t</a>"), r#""t""#);
        assert_eq!(value("<a><b>1</b><c/></a>"), r#"{"b":"1","c":""}"#);
        assert_eq!(value("<a><member>1</member></a>"), r#"["1"]"#);
        assert_eq!(
            value("<a><b>1</b><c><d>2</d></c><b>3</b></a>"),
            r#"{"b":["1","3"],"c":{"d":"2"}}"#
        );
    }
}
