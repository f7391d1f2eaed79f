//! What a command says of an item: parts of its key, `NAME=VALUE` and `NAME:=JSON`.

use periwinkle_core::schema::PropertyError;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, Number, Value, json};

use super::super::failure::Failure;
use super::face::{Call, Face};
use crate::api::path::encoded;
use crate::database::sentence;

/// A model as the API describes it.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    /// The variables that name an item.
    pub(super) keys: Vec<String>,
    /// Names and types of the fields, in the order of the schema.
    pub(super) fields: Vec<(String, String)>,
    /// All that the API says.
    pub(super) described: Map,
}

impl Model {
    /// Why it is left alone, if it is: the words for people.
    pub(super) fn parked(&self) -> Option<String> {
        let parked = self.described.get("parked")?.as_map()?;
        Some(format!(
            "{} is parked: {}",
            self.name,
            parked.text("reason").unwrap_or("?")
        ))
    }
}

/// The words of a command, sorted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Words {
    /// What was given without a name: parts of the key.
    parts: Vec<String>,
    /// What was given by name.
    pub(super) named: Vec<(String, Given)>,
}

/// A value as it was typed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// `NAME=VALUE`: a text that means a value of the field's type.
    Text(String),
    /// `NAME:=JSON`.
    Json(Value),
}

/// All models, in the order of the schema.
pub(super) fn models(face: &Face) -> Result<Vec<Model>, Failure> {
    let answer = face.value(Call::get("/api/v1/models"))?;
    let models = answer.as_map().and_then(|map| map.get("models"));
    let models = models.and_then(Value::as_list).unwrap_or_default();
    Ok(models.iter().filter_map(Model::read).collect())
}

/// One model, or what was probably meant.
pub(super) fn model(face: &Face, name: &str) -> Result<Model, Failure> {
    let mut models = models(face)?;
    if let Some(at) = models.iter().position(|model| model.name == name) {
        return Ok(models.swap_remove(at));
    }
    // The API has the words for it.
    let path = format!("/api/v1/data/{}?limit=1", encoded(name));
    let refused = match face.bytes(Call::get(&path)) {
        Err(failure) => failure,
        Ok(_) => Failure::internal(format!("{name} is no model and has items")),
    };
    Err(refused.hint("`periwinkle db models` lists them"))
}

impl Model {
    fn read(value: &Value) -> Option<Model> {
        let described = value.as_map()?.clone();
        let list = |name: &str| described.get(name).and_then(Value::as_list);
        let keys = list("keys")?.iter().filter_map(Value::as_str);
        let fields = list("fields")?.iter().filter_map(|field| {
            let field = field.as_map()?;
            Some((
                field.text("name")?.to_owned(),
                field.text("type")?.to_owned(),
            ))
        });
        Some(Model {
            name: described.text("name")?.to_owned(),
            keys: keys.map(str::to_owned).collect(),
            fields: fields.collect(),
            described: described.clone(),
        })
    }

    fn kind(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.map_or("", |(_, kind)| kind)
    }

    /// The path of the item that the words name, if they name one; what is left are its
    /// properties.
    pub(super) fn path(&self, words: &Words) -> Result<Option<(String, Map)>, Failure> {
        let mut properties = Map::new();
        for (name, given) in &words.named {
            let value = self.value(name, given)?;
            if properties.insert(name.as_str(), value).is_some() {
                return Err(Failure::usage(format!("{name} is given twice")));
            }
        }
        let mut path = format!("/api/v1/data/{}", encoded(&self.name));
        if self.keys.is_empty() {
            path.push('/');
        }
        let mut parts = words.parts.iter();
        for key in &self.keys {
            let part = match properties.get(key) {
                Some(named) => self.part_of(key, named),
                None => match parts.next() {
                    Some(part) => part.clone(),
                    None => return Ok(None),
                },
            };
            path.push('/');
            path.push_str(&encoded(&part));
        }
        match parts.next() {
            None => Ok(Some((path, properties))),
            Some(_) => Err(self.wrong_key(words)),
        }
    }

    /// As [`path`](Model::path), for a command that needs an item.
    pub(super) fn item(&self, words: &Words) -> Result<(String, Map), Failure> {
        self.path(words)?.ok_or_else(|| self.wrong_key(words))
    }

    /// In the words that the API has for it.
    fn wrong_key(&self, words: &Words) -> Failure {
        let names: Vec<_> = self.keys.iter().map(String::as_str).collect();
        let named = words
            .named
            .iter()
            .filter(|(name, _)| self.keys.contains(name));
        let given = words.parts.len() + named.count();
        let error = PropertyError::key_parts(&self.name, &names, given);
        Failure::usage(sentence(&error.to_string())).hint(self.how_to_name())
    }

    /// The request that makes a new item from the words, whose key may still be missing.
    pub(super) fn create(&self, words: &Words) -> Result<(String, Map), Failure> {
        let mut properties = Map::new();
        let mut parts = words.parts.iter();
        for (name, given) in &words.named {
            properties.insert(name.as_str(), self.value(name, given)?);
        }
        for key in &self.keys {
            if !properties.contains_key(key)
                && let Some(part) = parts.next()
            {
                let value = self.value(key, &Given::Text(part.clone()))?;
                properties.insert(key.as_str(), value);
            }
        }
        Ok((format!("/api/v1/data/{}", encoded(&self.name)), properties))
    }

    /// A value as its field types it; what does not fit is for the schema to refuse.
    fn value(&self, name: &str, given: &Given) -> Result<Value, Failure> {
        let text = match given {
            Given::Json(value) => return Ok(value.clone()),
            Given::Text(text) => text,
        };
        let value = match self.kind(name) {
            "number" => text.parse::<Number>().ok().map(Value::Number),
            "boolean" => text.parse::<bool>().ok().map(Value::Bool),
            "array" | "object" | "set" => json::parse(text).ok(),
            _ => None,
        };
        Ok(value.unwrap_or_else(|| Value::from(text.as_str())))
    }

    /// A value as a part of a path, in which times stand as texts.
    fn part_of(&self, key: &str, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if self.kind(key) == "date" => match number.as_i64() {
                Some(millis) => UnixMillis(millis).iso(),
                None => number.to_string(),
            },
            other => other.to_json(),
        }
    }

    fn how_to_name(&self) -> String {
        match self.keys.is_empty() {
            true => format!("there is one {} only: name no key", self.name),
            false => format!(
                "a {} is named by {}: in this order, or as {}",
                self.name,
                self.keys.join(", "),
                self.keys
                    .iter()
                    .map(|key| format!("{key}=..."))
                    .collect::<Vec<_>>()
                    .join(" ")
            ),
        }
    }
}

impl Words {
    /// Sorts the words: what begins with a name and `=` or `:=` is named.
    pub(super) fn parse(words: &[String]) -> Result<Words, Failure> {
        let mut sorted = Words::default();
        for word in words {
            match split_name(word) {
                None => sorted.parts.push(word.clone()),
                Some((name, true, text)) => {
                    let value = json::parse(text).map_err(|error| {
                        Failure::usage(format!("{name}:= takes JSON, but there is {error}")).hint(
                            format!("a text is written {name}=TEXT or {name}:='\"TEXT\"'"),
                        )
                    })?;
                    sorted.named.push((name.to_owned(), Given::Json(value)));
                }
                Some((name, false, text)) => {
                    let text = Given::Text(text.to_owned());
                    sorted.named.push((name.to_owned(), text));
                }
            }
        }
        Ok(sorted)
    }

    /// Refuses parts of a key, for commands that name properties only.
    pub(super) fn only_named(&self, model: &Model) -> Result<(), Failure> {
        match self.parts.first() {
            None => Ok(()),
            Some(part) => Err(
                Failure::usage(format!("{part:?} is no NAME=VALUE")).hint(format!(
                    "such as {}={part}",
                    model.keys.first().map_or("name", String::as_str)
                )),
            ),
        }
    }
}

/// Name, whether JSON follows, and the rest.
fn split_name(word: &str) -> Option<(&str, bool, &str)> {
    let (name, text) = word.split_once('=')?;
    let (name, is_json) = match name.strip_suffix(':') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let mut letters = name.chars();
    let begins = letters
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_');
    let is_name = begins && letters.all(|c| c.is_alphanumeric() || "_-.".contains(c));
    is_name.then_some((name, is_json, text))
}
