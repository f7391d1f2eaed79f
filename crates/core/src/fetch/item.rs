//! The items of a command line, in the manner of HTTPie: what is sent, in few letters.
//!
//! | item | meaning |
//! |---|---|
//! | `Name:value` | a header field; `Name:` leaves one out, `Name;` sends it empty |
//! | `name==value` | a parameter of the query |
//! | `name=value` | a field of the body: text |
//! | `name:=json` | a field of the body: any JSON |
//! | `name=@file`, `name:=@file` | the same, from a file |
//! | `name@file`, `name@file;type=image/png` | a file of a form |
//! | `@file`, `@-` | the whole body from a file, or from standard input |
//!
//! A backslash takes the meaning from the separator behind it: `a\:b=c`.

use crate::value::json::{self, JsonError};
use crate::value::{Map, Value};

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A header field.
    Header {
        /// Its name.
        name: String,
        /// Its value; `None` leaves the field out.
        value: Option<String>,
    },
    /// A parameter of the query.
    Query {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A text of the body.
    Text {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A value of the body.
    Json {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// A text of the body, from a file.
    TextFile {
        /// Its name.
        name: String,
        /// The file.
        path: String,
    },
    /// A value of the body, from a file.
    JsonFile {
        /// Its name.
        name: String,
        /// The file.
        path: String,
    },
    /// A file of a form.
    File {
        /// Its name.
        name: String,
        /// The file.
        path: String,
        /// Its type, where that is given.
        content_type: Option<String>,
    },
    /// The whole body.
    Body {
        /// The file; `-` is standard input.
        path: String,
    },
}

/// Why a text is no item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// There is no separator.
    #[error(
        "{0:?} is no item: use key=value, key:=json, Header:value, key==value, key@file or @file"
    )]
    Separator(String),
    /// There is nothing before the separator.
    #[error("{0:?} has no name before {1:?}")]
    Name(String, &'static str),
    /// What follows `:=` is no JSON.
    #[error("the value of {name:?} is no JSON: {error}")]
    Json {
        /// The name.
        name: String,
        /// What is wrong.
        error: JsonError,
    },
    /// A header field that cannot be sent.
    #[error("{0:?} cannot be sent as a header field")]
    Header(String),
    /// No file is named.
    #[error("{0:?} names no file")]
    File(String),
}

/// What stands between name and value, longer ones first where two begin at one place.
const SEPARATORS: [&str; 7] = [":=@", "=@", "==", ":=", ":", "=", "@"];

impl Item {
    /// Reads one item.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Item, ItemError> {
        let Some((name, separator, value)) = split(text) else {
            return empty_header(text);
        };
        if name.is_empty() && separator != "@" {
            return Err(ItemError::Name(text.to_owned(), separator));
        }
        let path = |path: &str| match path {
            "" => Err(ItemError::File(text.to_owned())),
            path => Ok(path.to_owned()),
        };
        Ok(match separator {
            ":" => header(text, name, value)?,
            "==" => Item::Query {
                name,
                value: value.to_owned(),
            },
            "=" => Item::Text {
                name,
                value: value.to_owned(),
            },
            ":=" => match json::parse(value) {
                Ok(value) => Item::Json { name, value },
                Err(error) => return Err(ItemError::Json { name, error }),
            },
            "=@" => Item::TextFile {
                name,
                path: path(value)?,
            },
            ":=@" => Item::JsonFile {
                name,
                path: path(value)?,
            },
            _ if name.is_empty() => Item::Body { path: path(value)? },
            _ => file(name, value, &path)?,
        })
    }
}

/// The name without its backslashes, the first separator that has none before it, and the rest as
/// it stands.
fn split(text: &str) -> Option<(String, &'static str, &str)> {
    let mut name = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let behind = &rest[first.len_utf8()..];
        let escaped = behind
            .chars()
            .next()
            .filter(|next| matches!(next, ':' | '=' | '@' | ';' | '\\'));
        if first == '\\'
            && let Some(next) = escaped
        {
            name.push(next);
            rest = &behind[next.len_utf8()..];
            continue;
        }
        if let Some(separator) = SEPARATORS.iter().find(|one| rest.starts_with(**one)) {
            return Some((name, separator, &rest[separator.len()..]));
        }
        name.push(first);
        rest = behind;
    }
    None
}

/// `Name;`
fn empty_header(text: &str) -> Result<Item, ItemError> {
    let name = text
        .strip_suffix(';')
        .ok_or_else(|| ItemError::Separator(text.to_owned()))?;
    if !is_field_name(name) {
        return Err(ItemError::Header(text.to_owned()));
    }
    Ok(Item::Header {
        name: name.to_owned(),
        value: Some(String::new()),
    })
}

fn header(text: &str, name: String, value: &str) -> Result<Item, ItemError> {
    let value = value.trim();
    if !is_field_name(&name) || value.chars().any(char::is_control) {
        return Err(ItemError::Header(text.to_owned()));
    }
    Ok(Item::Header {
        name,
        value: (!value.is_empty()).then(|| value.to_owned()),
    })
}

/// A token of RFC 9110, section 5.6.2.
fn is_field_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(letter)
}

fn file(
    name: String,
    value: &str,
    path: &dyn Fn(&str) -> Result<String, ItemError>,
) -> Result<Item, ItemError> {
    let (file, content_type) = match value.rsplit_once(";type=") {
        Some((file, content_type)) => (file, Some(content_type.to_owned())),
        None => (value, None),
    };
    Ok(Item::File {
        name,
        path: path(file)?,
        content_type,
    })
}

/// The texts and values of items as one JSON object; the later of two equal names wins.
pub fn json_object(items: &[Item]) -> Map {
    let mut object = Map::default();
    for item in items {
        match item {
            Item::Text { name, value } => object.insert(name.as_str(), value.as_str()),
            Item::Json { name, value } => object.insert(name.as_str(), value.clone()),
            _ => None,
        };
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        match Item::parse(text) {
            Ok(Item::Header { name, value: None }) => format!("no header {name}"),
            Ok(Item::Header {
                name,
                value: Some(value),
            }) => format!("header {name}|{value}"),
            Ok(Item::Query { name, value }) => format!("query {name}|{value}"),
            Ok(Item::Text { name, value }) => format!("text {name}|{value}"),
            Ok(Item::Json { name, value }) => format!("json {name}|{}", value.to_json()),
            Ok(Item::TextFile { name, path }) => format!("text file {name}|{path}"),
            Ok(Item::JsonFile { name, path }) => format!("json file {name}|{path}"),
            Ok(Item::File {
                name,
                path,
                content_type,
            }) => {
                format!("file {name}|{path}|{}", content_type.unwrap_or_default())
            }
            Ok(Item::Body { path }) => format!("body {path}"),
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn the_first_separator_decides() {
        let cases = [
            ("a=b", "text a|b"),
            ("a=b=c:d@e", "text a|b=c:d@e"),
            ("a=", "text a|"),
            ("a==b", "query a|b"),
            ("a==", "query a|"),
            ("a:=1", "json a|1"),
            ("a:=[1, \"x\"]", "json a|[1,\"x\"]"),
            ("a:=@f.json", "json file a|f.json"),
            ("a=@f.txt", "text file a|f.txt"),
            ("a@f.png", "file a|f.png|"),
            ("a@f.png;type=image/png", "file a|f.png|image/png"),
            ("@f", "body f"),
            ("@-", "body -"),
            ("X-A: b c ", "header X-A|b c"),
            ("X-A:b=c", "header X-A|b=c"),
            ("X-A:", "no header X-A"),
            ("X-A;", "header X-A|"),
            ("Referer:http://h/", "header Referer|http://h/"),
            (r"a\:b=c", "text a:b|c"),
            (r"a\=b=c", "text a=b|c"),
            (r"a\@b==c", "query a@b|c"),
            (r"a\\=c", r"text a\|c"),
            (r"a\n=c", r"text a\n|c"),
            ("ä=ö", "text ä|ö"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_item_is_named() {
        let cases = [
            ("word", "error \"word\" is no item"),
            ("", "error \"\" is no item"),
            ("=b", "error \"=b\" has no name before \"=\""),
            (":=1", "error \":=1\" has no name before \":=\""),
            ("a:={", "error the value of \"a\" is no JSON"),
            ("a b:c", "error \"a b:c\" cannot be sent"),
            ("a:b\nc", "error \"a:b\\nc\" cannot be sent"),
            ("a b;", "error \"a b;\" cannot be sent"),
            ("@", "error \"@\" names no file"),
            ("a@", "error \"a@\" names no file"),
            ("a@;type=x", "error \"a@;type=x\" names no file"),
            ("a=@", "error \"a=@\" names no file"),
        ];
        for (text, expected) in cases {
            assert!(shown(text).starts_with(expected), "{text}: {}", shown(text));
        }
    }

    #[test]
    fn texts_and_values_become_one_object() {
        let items: Vec<Item> = ["a=1", "X:y", "b:={\"c\":2}", "a:=true", "q==1"]
            .iter()
            .map(|text| Item::parse(text).unwrap())
            .collect();
        assert_eq!(json_object(&items).to_json(), r#"{"a":true,"b":{"c":2}}"#);
    }

    proptest! {
        #[test]
        fn any_name_can_be_escaped(name in "[ -~ä]{1,12}", value in "[ -~ä]{0,12}") {
            let escaped: String = name
                .chars()
                .flat_map(|one| {
                    let mark = matches!(one, ':' | '=' | '@' | ';' | '\\').then_some('\\');
                    mark.into_iter().chain([one])
                })
                .collect();
            // A value that begins like a longer separator would be one.
            prop_assume!(!value.starts_with(['=', '@']));
            prop_assert_eq!(Item::parse(&format!("{escaped}={value}")), Ok(Item::Text { name, value }));
        }
    }
}
