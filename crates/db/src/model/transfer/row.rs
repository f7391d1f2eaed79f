//! One item as it stands in an export.

use periwinkle_core::value::attribute::{self, AttributeError};
use periwinkle_core::value::json::{write_map, write_string};
use periwinkle_core::value::{Map, Value};

/// An item to be imported.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// By its properties, as programs see them.
    Properties {
        /// Its model.
        model: String,
        /// What it holds.
        properties: Map,
    },
    /// As it is stored, with its keys: an item of DynamoDB.
    Stored(Map),
}

/// Why a JSON value is no item of an export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowFault {
    /// It is no object.
    #[error("a {0} stands here; expected an object")]
    NotAnObject(&'static str),
    /// It does not say of which model it is.
    #[error(
        "the object is neither {{\"model\":...,\"item\":{{...}}}} nor {{\"Item\":{{...}}}}; name the \
         model if these are plain items"
    )]
    NoModel,
    /// What DynamoDB wrote has another form than DynamoDB writes.
    #[error(transparent)]
    Attribute(#[from] AttributeError),
}

impl Row {
    /// What a value of an import means. With `model`, each value is the properties of an item of
    /// it; without, the value says itself what it is.
    ///
    /// # Errors
    /// The value is none of the forms.
    pub fn from_value(value: Value, model: Option<&str>) -> Result<Row, RowFault> {
        let Value::Map(mut map) = value else {
            return Err(RowFault::NotAnObject(value.kind()));
        };
        if let Some(model) = model {
            return Ok(Row::Properties {
                model: model.to_owned(),
                properties: map,
            });
        }
        let names: Vec<&str> = map.keys().collect();
        match names.as_slice() {
            ["Item"] => {
                let item = map.remove("Item").expect("it was just seen");
                Ok(Row::Stored(attribute::item_from_json(item)?))
            }
            ["item", "model"] => match (map.remove("model"), map.remove("item")) {
                (Some(Value::String(model)), Some(Value::Map(properties))) => {
                    Ok(Row::Properties { model, properties })
                }
                _ => Err(RowFault::NoModel),
            },
            _ => Err(RowFault::NoModel),
        }
    }
}

/// Appends a line of an export: `{"model":"Room","item":{...}}`.
pub fn write_properties(model: &str, properties: &Map, out: &mut String) {
    out.push_str("{\"model\":");
    write_string(model, out);
    out.push_str(",\"item\":");
    write_map(properties, out);
    out.push_str("}\n");
}

/// Appends a line as DynamoDB exports it: `{"Item":{...}}`.
pub fn write_stored(item: &Map, out: &mut String) {
    out.push_str("{\"Item\":");
    attribute::write_item(item, out);
    out.push_str("}\n");
}

#[cfg(test)]
mod tests {
    use periwinkle_core::value::json;

    use super::*;

    fn row(text: &str, model: Option<&str>) -> Result<Row, RowFault> {
        Row::from_value(json::parse(text).unwrap(), model)
    }

    #[test]
    fn each_form_of_a_line_is_understood() {
        let properties = Map::from([("n", Value::from(1))]);
        assert_eq!(
            row(r#"{"model":"Room","item":{"n":1}}"#, None),
            Ok(Row::Properties {
                model: "Room".to_owned(),
                properties: properties.clone()
            })
        );
        assert_eq!(
            row(r#"{"n":1}"#, Some("Room")),
            Ok(Row::Properties {
                model: "Room".to_owned(),
                properties: properties.clone()
            })
        );
        assert_eq!(
            row(r#"{"Item":{"n":{"N":"1"}}}"#, None),
            Ok(Row::Stored(properties))
        );
    }

    #[test]
    fn other_values_are_refused_with_what_was_expected() {
        for (text, words) in [
            ("[]", "a list stands here; expected an object"),
            ("{\"n\":1}", "name the model if these are plain items"),
            ("{\"model\":1,\"item\":{}}", "name the model"),
            ("{\"Item\":{\"n\":1}}", "attribute \"n\""),
            ("{\"Item\":3}", "expected an object of attributes"),
        ] {
            let error = row(text, None).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let item = Map::from([
            ("bytes", Value::Binary(vec![0, 255])),
            ("text", Value::from("a\"\n\u{2028}")),
        ]);
        let mut line = String::new();
        write_stored(&item, &mut line);
        assert_eq!(row(line.trim_end(), None), Ok(Row::Stored(item.clone())));
        let mut line = String::new();
        write_properties("Room \"x\"", &item, &mut line);
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
        let Ok(Row::Properties { model, properties }) = row(line.trim_end(), None) else {
            panic!("{line}");
        };
        assert_eq!(model, "Room \"x\"");
        assert_eq!(properties.text("bytes"), Some("AP8="), "base64, by schema");
    }
}
