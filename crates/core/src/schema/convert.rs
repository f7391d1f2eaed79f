//! Between the values programs see and the attributes that are stored, one field at a time.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::PropertyError;
use super::model::{Field, FieldType};
use crate::limits::VALUE_DEPTH_MAX;
use crate::time::UnixMillis;
use crate::value::{Name, Number, NumberError, Set, Value};

/// Where in an item a value stands, for errors; costs nothing until there is one.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) model: &'a str,
    pub(super) parent: Option<&'a Site<'a>>,
    pub(super) name: &'a Name,
}

impl Site<'_> {
    pub(super) fn path(&self) -> String {
        match self.parent {
            Some(parent) => format!("{}.{}", parent.path(), self.name),
            None => self.name.to_string(),
        }
    }

    /// The place of a field in the object that stands here.
    pub(super) fn of<'a>(&'a self, field: &'a Field) -> Site<'a> {
        Site {
            model: self.model,
            parent: Some(self),
            name: &field.name,
        }
    }

    pub(super) fn missing(&self) -> PropertyError {
        PropertyError::MissingRequired {
            model: self.model.to_owned(),
            field: self.path(),
        }
    }

    pub(super) fn read_only(&self, reason: String) -> PropertyError {
        PropertyError::ReadOnlyField {
            model: self.model.to_owned(),
            field: self.path(),
            reason,
        }
    }

    /// A value was given for a field that is made from others.
    pub(super) fn computed(&self, field: &Field) -> PropertyError {
        let template = field.template.as_ref().map(ToString::to_string);
        let template = template.unwrap_or_default();
        self.read_only(format!("it is made from \"{template}\"; leave it out"))
    }

    pub(super) fn wrong_type(&self, found: &Value, expected: &str) -> PropertyError {
        PropertyError::WrongType {
            model: self.model.to_owned(),
            field: self.path(),
            found: describe(found),
            expected: match bound_broken(found) {
                Some(bound) if expected == self::expected(FieldType::Number) => bound.to_owned(),
                _ => expected.to_owned(),
            },
        }
    }

    pub(super) fn not_allowed(&self, found: &Value, expected: String) -> PropertyError {
        PropertyError::NotAllowed {
            model: self.model.to_owned(),
            field: self.path(),
            found: describe(found),
            expected,
        }
    }
}

/// What a number would have to keep to that a text is, but for its size.
fn bound_broken(found: &Value) -> Option<&'static str> {
    match found.as_str()?.parse::<Number>().err()? {
        NumberError::TooManyDigits => Some("a number of at most 38 digits"),
        NumberError::Overflow => Some("a number of at most 9.99E+125"),
        NumberError::Underflow => Some("a number of at least 1E-130, or 0"),
        _ => None,
    }
}

/// The stored form of a value that is not nested, borrowed where it is that of the property; `None`
/// when nothing is to be stored.
///
/// Fields with a schema of their own are the caller's.
pub(super) fn stored<'v>(
    field: &Field,
    value: &'v Value,
    site: &Site<'_>,
) -> Result<Option<Cow<'v, Value>>, PropertyError> {
    check_choices(field, value, site)?;
    let stored = match (field.kind, value) {
        (FieldType::String, Value::String(text)) => {
            check_pattern(field, text, site)?;
            return Ok(Some(Cow::Borrowed(value)));
        }
        (FieldType::Number, Value::Number(number)) => {
            if field.pattern.is_some() {
                check_pattern(field, &number.to_javascript(), site)?;
            }
            return Ok(Some(Cow::Borrowed(value)));
        }
        (FieldType::Boolean, Value::Bool(_)) => return Ok(Some(Cow::Borrowed(value))),
        (FieldType::Date, _) => Some(stored_date(field, value, site)?),
        (FieldType::Binary, _) => Some(stored_binary(value, site)?),
        (FieldType::Set, _) => stored_set(field, value, site)?,
        (FieldType::Array, Value::List(_)) | (FieldType::Object, Value::Map(_)) => {
            Some(plain(value, site, 1)?)
        }
        (kind, _) => return Err(site.wrong_type(value, expected(kind))),
    };
    Ok(stored.map(Cow::Owned))
}

/// The stored form of an entry of an array: bytes stay bytes there, as in every list and object of
/// which the schema does not know the fields.
pub(super) fn stored_entry(
    entry: &Field,
    value: &Value,
    site: &Site<'_>,
) -> Result<Value, PropertyError> {
    if entry.kind == FieldType::Binary {
        return bytes_of(value, site).map(Value::Binary);
    }
    let stored = stored(entry, value, site)?.map(Cow::into_owned);
    stored.ok_or_else(|| site.wrong_type(value, expected(entry.kind)))
}

/// Whether a stored date is known to be the text that programs see.
///
/// One in our layout is: either it means a time, of which it is the only text in this layout, or it
/// means none in any form, and then it is shown as a foreign writer left it.
pub(super) fn is_shown_date(stored: &Value) -> bool {
    stored.as_str().is_some_and(UnixMillis::looks_iso)
}

/// What programs see of a stored value that is not nested; a value of a foreign type as it is.
pub(super) fn property<'v>(field: &Field, stored: &'v Value) -> Cow<'v, Value> {
    let shown = match field.kind {
        FieldType::Date => date_millis(field, stored).map(|at| Value::String(at.iso())),
        FieldType::Binary => {
            let bytes = stored.as_str().and_then(|text| STANDARD.decode(text).ok());
            bytes.map(Value::Binary)
        }
        FieldType::Array => match (stored, field.items) {
            (Value::List(items), Some(FieldType::Date)) => {
                let entry = field.entry();
                let items = items.iter().map(|item| property(&entry, item).into_owned());
                Some(Value::List(items.collect()))
            }
            _ => None,
        },
        _ => None,
    };
    shown.map_or(Cow::Borrowed(stored), Cow::Owned)
}

/// Brings a value into the form that a property of the field has, where it is compared with one.
pub(super) fn compare_as(field: &Field, value: &mut Value) {
    let shown = match (field.kind, &*value) {
        (FieldType::Date, _) => parse_date(value).map(|at| Value::String(at.iso())),
        (FieldType::Binary, Value::String(text)) => STANDARD.decode(text).ok().map(Value::Binary),
        (FieldType::Set, Value::List(_)) => {
            let site = Site {
                model: "",
                parent: None,
                name: &field.name,
            };
            stored_set(field, value, &site).ok().flatten()
        }
        _ => None,
    };
    if let Some(shown) = shown {
        *value = shown;
    }
}

/// The time that a stored date means.
pub(super) fn date_millis(field: &Field, stored: &Value) -> Option<UnixMillis> {
    match stored {
        Value::Number(number) if field.ttl => number
            .as_i64()
            .and_then(|seconds| seconds.checked_mul(1000))
            .map(UnixMillis)
            .filter(in_range),
        other => parse_date(other),
    }
}

/// Whether a value of the schema text (a default, a choice) fits the field.
pub(super) fn check(field: &Field, value: &Value) -> Result<(), String> {
    let site = Site {
        model: "",
        parent: None,
        name: &field.name,
    };
    let fits = match (&value, field.kind, field.nested.is_empty()) {
        (Value::List(_), FieldType::Array, false) | (Value::Map(_), FieldType::Object, false) => {
            return Ok(());
        }
        _ => stored(field, value, &site),
    };
    match fits {
        Ok(_) => Ok(()),
        Err(
            PropertyError::WrongType {
                found, expected, ..
            }
            | PropertyError::NotAllowed {
                found, expected, ..
            },
        ) => Err(format!("{found} stands here; expected {expected}")),
        Err(other) => Err(other.to_string()),
    }
}

/// What a field of this type holds, for messages.
pub(super) fn expected(kind: FieldType) -> &'static str {
    match kind {
        FieldType::String => "a text",
        FieldType::Number => "a number",
        FieldType::Boolean => "true or false",
        FieldType::Date => "a time such as \"2026-11-22T10:21:53.667Z\" or milliseconds since 1970",
        FieldType::Array => "a list",
        FieldType::Object => "an object",
        FieldType::Binary => "bytes in base64",
        FieldType::Set => "a list of texts or of numbers",
    }
}

/// What a value is, for messages: short, and never the whole of a long text.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the text \"{text}\""),
        Value::String(text) => {
            let head: String = text.chars().take(40).collect();
            format!("the text \"{head}...\"")
        }
        Value::Binary(bytes) => format!("{} bytes", bytes.len()),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "an object".to_owned(),
        Value::Set(_) => "a set".to_owned(),
    }
}

pub(super) fn check_choices(
    field: &Field,
    value: &Value,
    site: &Site<'_>,
) -> Result<(), PropertyError> {
    if field.choices.is_empty() || field.choices.contains(value) {
        return Ok(());
    }
    let choices: Vec<_> = field.choices.iter().map(Value::to_json).collect();
    Err(site.not_allowed(value, format!("one of {}", choices.join(", "))))
}

fn check_pattern(field: &Field, text: &str, site: &Site<'_>) -> Result<(), PropertyError> {
    match &field.pattern {
        Some(pattern) if !pattern.regex.is_match(text) => Err(site.not_allowed(
            &Value::from(text),
            format!("a text that matches {}", pattern.text),
        )),
        _ => Ok(()),
    }
}

fn stored_date(field: &Field, value: &Value, site: &Site<'_>) -> Result<Value, PropertyError> {
    let at = parse_date(value).ok_or_else(|| site.wrong_type(value, expected(FieldType::Date)))?;
    Ok(if field.ttl {
        // A row may live a moment too long, never too short.
        Value::from((at.0 + 999).div_euclid(1000))
    } else {
        date_form(field.iso, at)
    })
}

/// A time as text or as milliseconds, as the schema stores dates.
pub(super) fn date_form(iso: bool, at: UnixMillis) -> Value {
    if iso {
        Value::String(at.iso())
    } else {
        Value::from(at.0)
    }
}

fn parse_date(value: &Value) -> Option<UnixMillis> {
    let millis = match value {
        Value::Number(number) => match number.as_i64() {
            Some(millis) => millis,
            // JavaScript dates drop fractions of a millisecond.
            None => number.to_f64().trunc() as i64,
        },
        Value::String(text) => match UnixMillis::parse_iso(text) {
            Some(at) => at.0,
            None => other_time(text)?,
        },
        _ => return None,
    };
    Some(UnixMillis(millis)).filter(in_range)
}

/// A time in another form than ours, or a day. Digits behind the milliseconds count for nothing, as
/// in JavaScript, also in a year before 1970.
fn other_time(text: &str) -> Option<i64> {
    match text.parse::<jiff::Timestamp>() {
        Ok(stamp) => i64::try_from(stamp.as_nanosecond().div_euclid(1_000_000)).ok(),
        Err(_) if text.len() == 10 => {
            let day: jiff::civil::Date = text.parse().ok()?;
            let zoned = day.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(zoned.timestamp().as_millisecond())
        }
        Err(_) => None,
    }
}

/// The years 1 to 9999, which have one text form.
fn in_range(at: &UnixMillis) -> bool {
    (-62_135_596_800_000..=253_402_300_799_999).contains(&at.0)
}

fn stored_binary(value: &Value, site: &Site<'_>) -> Result<Value, PropertyError> {
    match value {
        Value::String(text) if STANDARD.decode(text).is_ok() => Ok(value.clone()),
        other => bytes_of(other, site).map(|bytes| Value::String(STANDARD.encode(bytes))),
    }
}

fn bytes_of(value: &Value, site: &Site<'_>) -> Result<Vec<u8>, PropertyError> {
    let bytes = match value {
        Value::Binary(bytes) => Some(bytes.clone()),
        Value::String(text) => STANDARD.decode(text).ok(),
        _ => None,
    };
    bytes.ok_or_else(|| site.wrong_type(value, expected(FieldType::Binary)))
}

/// A set has members of one type: that of its items if the schema says it, else that of the first.
fn stored_set(
    field: &Field,
    value: &Value,
    site: &Site<'_>,
) -> Result<Option<Value>, PropertyError> {
    let set = match value {
        Value::Set(set) => Some(set.clone()),
        Value::List(items) => set_of(field.items, items),
        _ => None,
    };
    let fits = |set: &Set| match (field.items, set) {
        (None, _) => true,
        (Some(kind), Set::Strings(_)) => kind == FieldType::String,
        (Some(kind), Set::Numbers(_)) => kind == FieldType::Number,
        (Some(kind), Set::Binaries(_)) => kind == FieldType::Binary,
    };
    match set {
        Some(set) if set.is_empty() => Ok(None),
        Some(set) if fits(&set) => Ok(Some(Value::Set(set))),
        _ => Err(site.wrong_type(value, expected_set(field.items))),
    }
}

fn set_of(kind: Option<FieldType>, items: &[Value]) -> Option<Set> {
    match kind {
        None => Set::of_members(items),
        Some(FieldType::Binary) => {
            let bytes = items.iter().map(|item| match item {
                Value::Binary(bytes) => Some(bytes.clone()),
                other => STANDARD.decode(other.as_str()?).ok(),
            });
            bytes
                .collect::<Option<BTreeSet<Vec<u8>>>>()
                .map(Set::Binaries)
        }
        Some(FieldType::Number) => {
            let numbers = items.iter().map(|item| item.as_number().copied());
            numbers
                .collect::<Option<BTreeSet<Number>>>()
                .map(Set::Numbers)
        }
        Some(_) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            texts
                .collect::<Option<BTreeSet<String>>>()
                .map(Set::Strings)
        }
    }
}

fn expected_set(kind: Option<FieldType>) -> &'static str {
    match kind {
        Some(FieldType::String) => "a list of texts",
        Some(FieldType::Number) => "a list of numbers",
        Some(FieldType::Binary) => "a list of bytes in base64",
        _ => expected(FieldType::Set),
    }
}

/// A value of no schema: kept as it is, without empty sets, which DynamoDB does not hold.
fn plain(value: &Value, site: &Site<'_>, depth: usize) -> Result<Value, PropertyError> {
    if depth > VALUE_DEPTH_MAX {
        let expected = format!("at most {VALUE_DEPTH_MAX} levels of lists and objects");
        return Err(site.not_allowed(value, expected));
    }
    match value {
        Value::List(items) => items
            .iter()
            .filter(|item| !is_empty_set(item))
            .map(|item| plain(item, site, depth + 1))
            .collect::<Result<_, _>>()
            .map(Value::List),
        Value::Map(map) => map
            .iter()
            .filter(|(_, item)| !is_empty_set(item))
            .map(|(key, item)| Ok((key.to_owned(), plain(item, site, depth + 1)?)))
            .collect::<Result<_, _>>()
            .map(Value::Map),
        other => Ok(other.clone()),
    }
}

fn is_empty_set(value: &Value) -> bool {
    matches!(value, Value::Set(set) if set.is_empty())
}
