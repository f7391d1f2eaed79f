//! Files that are watched for: one element of `[[upload.watch]]`.

use std::path::Path;
use std::time::Duration;

use super::setting::{Element, Raw, Setting, mismatch, parse_within, quote};
use super::types::BucketName;
use super::units;
use crate::aws::s3::KeyTemplate;
use crate::limits;
use crate::nearest::nearest;
use crate::upload::PathPattern;

/// What a key template of uploads may name.
pub const KEY_VARIABLES: &[&str] = &["deviceId", "date", "time", "name", "path", "id"];

/// The key of files that nobody gave another one.
pub const KEY_TEMPLATE: &str = "${deviceId}/${date}/${name}";

/// Files that are uploaded when they are at rest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watch {
    /// Which files.
    pub pattern: PathPattern,
    /// The bucket, unless it is the one of the section.
    pub bucket: Option<BucketName>,
    /// The template of the objects' keys.
    pub key: ObjectKeys,
    /// Whether a file is removed once it is uploaded.
    pub remove: bool,
    /// How long a file must have been the same.
    pub min_age: Duration,
    /// Files of higher priority go first.
    pub priority: u32,
}

/// The template of objects' keys, checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKeys(String);

impl ObjectKeys {
    /// The template.
    pub fn template(&self) -> KeyTemplate {
        KeyTemplate::parse(&self.0, KEY_VARIABLES).expect("it was checked when it was read")
    }
}

impl Default for ObjectKeys {
    fn default() -> ObjectKeys {
        ObjectKeys(KEY_TEMPLATE.to_owned())
    }
}

impl Setting for ObjectKeys {
    const KIND: &'static str = "a template of keys, such as \"${deviceId}/${date}/${name}\"";

    fn parse(raw: &Raw, _: &Path) -> Result<ObjectKeys, String> {
        super::setting::parse_text(raw, |text| match KeyTemplate::parse(text, KEY_VARIABLES) {
            Ok(_) if text.is_empty() => Err(mismatch::<ObjectKeys>(raw)),
            Ok(_) => Ok(ObjectKeys(text.to_owned())),
            Err(error) => Err(format!("is no template: {error}")),
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0))
    }
}

const FIELDS: [&str; 6] = ["pattern", "bucket", "key", "remove", "min_age", "priority"];

impl Setting for Watch {
    const KIND: &'static str = "a table with the key `pattern`, or a text such as \
        \"/var/spool/*.jpg; remove=true\"";

    fn parse(raw: &Raw, base: &Path) -> Result<Watch, String> {
        match raw {
            Raw::Table(fields) => read(fields, base),
            Raw::Text(text) | Raw::Loose(text) => read(&fields_of(text)?, base),
            _ => Err(mismatch::<Watch>(raw)),
        }
    }

    /// As a text: TOML and JSON have no other form in common.
    fn show(&self) -> Option<String> {
        let mut text = self.pattern.as_str().to_owned();
        if let Some(bucket) = &self.bucket {
            text.push_str(&format!("; bucket={bucket}"));
        }
        if self.key != ObjectKeys::default() {
            text.push_str(&format!("; key={}", self.key.0));
        }
        if self.remove {
            text.push_str("; remove=true");
        }
        text.push_str(&format!("; min_age={}", units::show_duration(self.min_age)));
        text.push_str(&format!("; priority={}", self.priority));
        Some(quote(&text))
    }
}

impl Element for Watch {
    const LIST_KIND: &'static str = "tables `[[upload.watch]]`, or a list of texts such as \
        `[\"/var/spool/*.jpg; remove=true\"]`";
}

/// `PATTERN; NAME=VALUE; ...`.
fn fields_of(text: &str) -> Result<Vec<(String, Raw)>, String> {
    let mut pieces = text.split(';').map(str::trim);
    let pattern = pieces.next().unwrap_or_default();
    let mut fields = vec![("pattern".to_owned(), Raw::Loose(pattern.to_owned()))];
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let Some((name, value)) = piece.split_once('=') else {
            return Err(format!(
                "has {} where `name=value` must stand",
                quote(piece)
            ));
        };
        let value = Raw::Loose(value.trim().to_owned());
        fields.push((name.trim().to_owned(), value));
    }
    Ok(fields)
}

fn read(fields: &[(String, Raw)], base: &Path) -> Result<Watch, String> {
    for (name, _) in fields {
        if !FIELDS.contains(&name.as_str()) {
            let near = nearest(name, FIELDS);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("has no key `{name}`{hint}"));
        }
    }
    let given = |name: &str| fields.iter().rev().find(|(known, _)| known == name);
    Ok(Watch {
        pattern: match given("pattern") {
            Some((_, raw)) => pattern(raw, base)?,
            None => return Err("needs the key `pattern`".to_owned()),
        },
        bucket: field(given("bucket"), base, None)?,
        key: field(given("key"), base, None)?.unwrap_or_default(),
        remove: field(given("remove"), base, None)?.unwrap_or(false),
        min_age: field(
            given("min_age"),
            base,
            Some(&(Duration::ZERO..=Duration::from_secs(24 * 3600))),
        )?
        .unwrap_or(Duration::from_secs(10)),
        priority: field(
            given("priority"),
            base,
            Some(&(0..=limits::UPLOAD_PRIORITY_STEPS_MAX)),
        )?
        .unwrap_or(limits::UPLOAD_PRIORITY_STEPS),
    })
}

fn field<T: Setting>(
    given: Option<&(String, Raw)>,
    base: &Path,
    range: Option<&std::ops::RangeInclusive<T>>,
) -> Result<Option<T>, String> {
    let Some((name, raw)) = given else {
        return Ok(None);
    };
    let value = parse_within(raw, base, range);
    value.map(Some).map_err(|why| format!("{name} {why}"))
}

/// A relative pattern starts from the directory of the file, as all paths do.
fn pattern(raw: &Raw, base: &Path) -> Result<PathPattern, String> {
    let (Raw::Text(text) | Raw::Loose(text)) = raw else {
        return Err("pattern must be a text, such as \"/var/spool/*.jpg\"".to_owned());
    };
    let whole = base.join(text.trim());
    let whole = whole.to_str().unwrap_or_default();
    let whole = whole.strip_prefix("./").unwrap_or(whole);
    PathPattern::parse(whole).map_err(|why| format!("pattern {} {why}", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Watch, String> {
        Watch::parse(&Raw::Text(text.to_owned()), Path::new("/etc"))
    }

    #[test]
    fn a_text_and_a_table_mean_the_same() {
        let text = |value: &str| Raw::Text(value.to_owned());
        let table = Raw::Table(vec![
            ("pattern".to_owned(), text("/v/*.jpg")),
            ("key".to_owned(), text("${name}")),
            ("bucket".to_owned(), text("other")),
            ("remove".to_owned(), Raw::Bool(true)),
            ("min_age".to_owned(), text("1 min")),
            ("priority".to_owned(), Raw::Integer(9)),
        ]);
        let line = "/v/*.jpg; bucket=other; key=${name}; remove=true; min_age=1 min; priority=9";
        let watch = parsed(line).unwrap();
        assert_eq!(Watch::parse(&table, Path::new("/etc")), Ok(watch.clone()));
        assert_eq!(watch.show(), Some(quote(line)));
        let plain = parsed("logs/*.gz").unwrap();
        assert_eq!(plain.pattern.as_str(), "/etc/logs/*.gz");
        assert_eq!((plain.remove, plain.priority), (false, 5));
        assert_eq!(plain.key, ObjectKeys::default());
        assert_eq!(
            plain.show().as_deref(),
            Some("\"/etc/logs/*.gz; min_age=10 s; priority=5\"")
        );
    }

    #[test]
    fn what_is_wrong_with_a_watch_is_told() {
        for (text, part) in [
            (
                "/v/*; patern=x",
                "has no key `patern`; did you mean `pattern`?",
            ),
            (
                "/v/; remove=true",
                "pattern \"/v/\" must end with the name of a file",
            ),
            (
                "/v/*; remove",
                "has \"remove\" where `name=value` must stand",
            ),
            (
                "/v/*; priority=10",
                "priority must lie between 0 and 9, not \"10\"",
            ),
            ("/v/*; min_age=5", "min_age must be a time with its unit"),
            (
                "/v/*; key=${user}",
                "key is no template: the key template names ${user}; known",
            ),
            ("/v/*; bucket=A", "bucket must be"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let table = Raw::Table(Vec::new());
        assert_eq!(
            Watch::parse(&table, Path::new("")),
            Err("needs the key `pattern`".to_owned())
        );
        assert!(Watch::parse(&Raw::Integer(1), Path::new("")).is_err());
    }
}
