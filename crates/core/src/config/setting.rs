//! How a value is read from any source and shown again.

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::{self, Field};
use super::units;

/// A value as its source wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Raw>),
    /// A table within a section, with its keys.
    Table(Vec<(String, Raw)>),
    /// A TOML value that no key takes, by its name: a float, a date, a table.
    Other(&'static str),
    /// From the environment or the command line, where everything is text.
    Loose(String),
}

impl Raw {
    /// The value in an error: `true`, `"text"`, `a table`.
    pub(super) fn describe(&self) -> String {
        match self {
            Raw::Bool(value) => value.to_string(),
            Raw::Integer(value) => value.to_string(),
            Raw::Text(text) | Raw::Loose(text) => quote(text),
            Raw::List(_) => "a list".to_owned(),
            Raw::Table(_) => "a table".to_owned(),
            Raw::Other(name) => format!("a {name}"),
        }
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> &[Raw] {
        match self {
            Raw::List(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a text value, from whatever source.
    fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) | Raw::Loose(text) => Some(text),
            _ => None,
        }
    }
}

/// A type that a configuration key can have.
pub(super) trait Setting: PartialOrd + Sized {
    /// What a value is, with an example: `a size, such as "20 MB"`.
    const KIND: &'static str;
    /// The tables that a value may be, by their fields.
    const TABLES: &'static [&'static [Field]] = &[];

    /// Reads a value. Relative paths start from `base`. The error is a phrase for people that
    /// follows the key: `must be ...`.
    fn parse(raw: &Raw, base: &Path) -> Result<Self, String>;

    /// The value as a TOML literal, which is also JSON; `None` when there is none.
    fn show(&self) -> Option<String>;

    /// The value as the field `name` of a table that is shown as a text.
    fn pieces(&self, name: &str) -> Vec<String> {
        let literal = self.show().into_iter();
        literal
            .map(|literal| table::piece(name, &literal))
            .collect()
    }
}

/// The bounds as TOML literals.
pub(super) fn show_bounds<T: Setting>(
    range: Option<&RangeInclusive<T>>,
) -> Option<(String, String)> {
    let range = range?;
    Some((range.start().show()?, range.end().show()?))
}

/// What the tables of keys and fields may leave out.
macro_rules! maybe {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

pub(super) use maybe;

/// `raw` as a `T` that lies in `range`.
pub(super) fn parse_within<T: Setting>(
    raw: &Raw,
    base: &Path,
    range: Option<&RangeInclusive<T>>,
) -> Result<T, String> {
    let value = T::parse(raw, base)?;
    match range {
        Some(range) if !range.contains(&value) => Err(format!(
            "must lie between {} and {}, not {}",
            range.start().show().unwrap_or_default(),
            range.end().show().unwrap_or_default(),
            raw.describe(),
        )),
        _ => Ok(value),
    }
}

/// The error for a value of the wrong kind.
pub(super) fn mismatch<T: Setting>(raw: &Raw) -> String {
    format!("must be {}, not {}", T::KIND, raw.describe())
}

/// `text` as a quoted literal that both TOML and JSON read back.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                write!(out, "\\u{:04X}", u32::from(c)).expect("a String takes all text");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Reads a value whose form is a text.
pub(super) fn parse_text<T: Setting>(
    raw: &Raw,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, String> {
    let text = raw.text().ok_or_else(|| mismatch::<T>(raw))?;
    parse(text.trim())
}

impl Setting for bool {
    const KIND: &'static str = "`true` or `false`";

    fn parse(raw: &Raw, _: &Path) -> Result<bool, String> {
        match raw {
            Raw::Bool(value) => Ok(*value),
            Raw::Loose(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                _ => Err(mismatch::<bool>(raw)),
            },
            _ => Err(mismatch::<bool>(raw)),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for u32 {
    const KIND: &'static str = "a whole number, such as `100`";

    fn parse(raw: &Raw, _: &Path) -> Result<u32, String> {
        let number = match raw {
            Raw::Integer(number) => u32::try_from(*number).ok(),
            Raw::Loose(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| mismatch::<u32>(raw))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for Duration {
    const KIND: &'static str = "a time with its unit, such as \"10 s\" or \"5 mins\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Duration, String> {
        parse_text(raw, |text| {
            units::parse_duration(text).ok_or_else(|| mismatch::<Duration>(raw))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&units::show_duration(*self)))
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "a path, such as \"/var/lib/periwinkle\"";

    fn parse(raw: &Raw, base: &Path) -> Result<PathBuf, String> {
        parse_text(raw, |text| {
            if text.is_empty() || text.contains('\0') {
                return Err(mismatch::<PathBuf>(raw));
            }
            Ok(base.join(text))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy()))
    }
}

/// An empty text means unset, so that a later source can take an earlier value back.
impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    const TABLES: &'static [&'static [Field]] = T::TABLES;

    fn parse(raw: &Raw, base: &Path) -> Result<Option<T>, String> {
        match raw.text() {
            Some(text) if text.trim().is_empty() => Ok(None),
            _ => T::parse(raw, base).map(Some),
        }
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }
}

/// Elements that may stand in a list.
pub(super) trait Element: Setting {
    /// What the list is, with an example.
    const LIST_KIND: &'static str;
    /// How many there may be.
    const COUNT_MAX: usize = usize::MAX;
}

impl Element for PathBuf {
    const LIST_KIND: &'static str = "a list of files, such as `[\"/etc/periwinkle/ca.pem\"]`";
}

/// A list in TOML; text with commas in the environment and on the command line.
impl<T: Element> Setting for Vec<T> {
    const KIND: &'static str = T::LIST_KIND;
    const TABLES: &'static [&'static [Field]] = T::TABLES;

    fn parse(raw: &Raw, base: &Path) -> Result<Vec<T>, String> {
        let elements: Result<Vec<T>, String> = match raw {
            Raw::List(elements) => elements.iter().map(|raw| T::parse(raw, base)).collect(),
            Raw::Loose(text) => text
                .split(',')
                .filter(|part| !part.trim().is_empty())
                .map(|part| T::parse(&Raw::Loose(part.to_owned()), base))
                .collect(),
            _ => Err(mismatch::<Vec<T>>(raw)),
        };
        match elements? {
            elements if elements.len() <= T::COUNT_MAX => Ok(elements),
            elements => Err(format!(
                "takes at most {} of them, not {}",
                T::COUNT_MAX,
                elements.len()
            )),
        }
    }

    fn show(&self) -> Option<String> {
        let elements: Vec<String> = self.iter().filter_map(Setting::show).collect();
        Some(format!("[{}]", elements.join(", ")))
    }
}
