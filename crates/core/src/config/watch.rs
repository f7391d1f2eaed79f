//! Files that are watched for: one element of `[[upload.watch]]`.

use std::path::Path;
use std::time::Duration;

use super::setting::{Raw, Setting, mismatch, parse_text, quote};
use super::table::table;
use super::types::BucketName;
use crate::aws::s3::KeyTemplate;
use crate::limits;
use crate::upload::PathPattern;

table! {
    /// Files that are uploaded when they are at rest.
    Watch in "upload.watch", at most limits::UPLOAD_WATCHES_MAX,
        such as "/var/spool/*.jpg; remove=true"
    {
        /// Which files.
        pattern: PathPattern;
        /// The bucket. Unset: the one of the section.
        bucket: Option<BucketName> = None;
        /// The template of the objects' keys, of `${deviceId}`, `${date}`, `${time}`, `${name}`,
        /// `${path}` and `${id}`.
        key: ObjectKeys = ObjectKeys::default();
        /// Whether a file is removed once it is uploaded.
        remove: bool = false;
        /// How long a file must have been the same.
        min_age: Duration = Duration::from_secs(10),
            in Duration::ZERO..=Duration::from_secs(24 * 3600);
        /// Files of higher priority go first.
        priority: u32 = limits::UPLOAD_PRIORITY_STEPS, in 0..=limits::UPLOAD_PRIORITY_STEPS_MAX;
    }
}

/// What a key template of uploads may name.
pub const KEY_VARIABLES: &[&str] = &["deviceId", "date", "time", "name", "path", "id"];

/// The same for what comes from no file, which has neither a name nor a path.
pub const NAMELESS_KEY_VARIABLES: &[&str] = &["deviceId", "date", "time", "id"];

/// The key of a file that nobody gave another one.
pub const KEY_TEMPLATE: &str = "${deviceId}/${date}/${name}";

/// The same of files that a pattern names: equal names in two folders are two objects.
const WATCH_KEY_TEMPLATE: &str = "${deviceId}/${date}/${path}";

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
        ObjectKeys(WATCH_KEY_TEMPLATE.to_owned())
    }
}

impl Setting for ObjectKeys {
    const KIND: &'static str = "a template of keys, such as \"${deviceId}/${date}/${path}\"";

    fn parse(raw: &Raw, _: &Path) -> Result<ObjectKeys, String> {
        parse_text(raw, |text| match KeyTemplate::parse(text, KEY_VARIABLES) {
            Ok(_) if text.is_empty() => Err(mismatch::<ObjectKeys>(raw)),
            Ok(_) => Ok(ObjectKeys(text.to_owned())),
            Err(error) => Err(format!("is no template: {error}")),
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0))
    }
}

/// A relative pattern starts from the directory of the file, as all paths do.
impl Setting for PathPattern {
    const KIND: &'static str =
        "a path with `*`, `?`, `[a-z]`, and `**` for any folders, such as \"/var/spool/*.jpg\"";

    fn parse(raw: &Raw, base: &Path) -> Result<PathPattern, String> {
        parse_text(raw, |text| {
            let whole = base.join(text);
            let whole = whole.to_str().unwrap_or_default();
            let whole = whole.strip_prefix("./").unwrap_or(whole);
            PathPattern::parse(whole).map_err(|why| format!("{why}: {}", quote(text)))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(self.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Watch, String> {
        Watch::parse(&Raw::Text(text.to_owned()), Path::new("/etc"))
    }

    #[test]
    fn a_pattern_is_enough_and_everything_is_shown() {
        let plain = parsed("logs/*.gz").unwrap();
        assert_eq!(plain.pattern.as_str(), "/etc/logs/*.gz");
        assert_eq!((plain.remove, plain.priority), (false, 5));
        assert_eq!(plain.key, ObjectKeys::default());
        assert_eq!(
            plain.show().as_deref(),
            Some(
                "\"pattern=/etc/logs/*.gz; key=${deviceId}/${date}/${path}; remove=false; \
                 min_age=10 s; priority=5\""
            )
        );
    }

    #[test]
    fn what_is_wrong_with_a_watch_is_told() {
        for (text, expected) in [
            (
                "/v/; remove=true",
                "has a wrong `pattern`: it must end with the name of a file: \"/v/\"",
            ),
            (
                "/v/*; priority=10",
                "has a wrong `priority`: it must lie between 0 and 9, not \"10\"",
            ),
            (
                "/v/*; min_age=5",
                "has a wrong `min_age`: it must be a time with its unit",
            ),
            (
                "/v/*; key=${user}",
                "has a wrong `key`: it is no template: the key template names ${user}; known",
            ),
            ("/v/*; bucket=A", "has a wrong `bucket`: it must be"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
