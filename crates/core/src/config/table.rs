//! Arrays of tables, such as `[[upload.watch]]`: `table!` makes one from the words of its fields.
//!
//! In the environment, on the command line, and where values are shown, a table is a text:
//! `name=value; name=value`. The first value needs no name; `name.key=value` stands for one key of
//! a table within the table.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use super::setting::{Element, Raw, Setting, mismatch, parse_within, quote};
use crate::nearest::nearest;
use crate::value::{Value, json};

/// One field of a table, as the reference describes it.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What a value is, with an example, for people.
    pub(super) kind: &'static str,
    /// Whether every table has to have it.
    pub(super) is_needed: fn() -> bool,
    /// The default as a TOML value; `None` when there is none.
    pub(super) default: fn() -> Option<String>,
    /// Smallest and largest value as TOML values.
    pub(super) bounds: fn() -> Option<(String, String)>,
    /// What the field does.
    pub(super) doc: &'static str,
}

/// What one element of an array of tables may be.
pub(super) trait Table: PartialOrd + Sized {
    /// What the array is, with an example.
    const ARRAY_KIND: &'static str;
    /// What one element is, with an example.
    const TABLE_KIND: &'static str;
    /// The tables it may be, with their fields.
    const TABLES: &'static [&'static [Field]];
    /// How many there may be.
    const COUNT_MAX: usize;

    /// Reads one.
    fn read(given: &Given<'_>) -> Result<Self, String>;

    /// Its fields as texts, `name=value`.
    fn pieces(&self) -> Vec<String>;
}

impl<T: Table> Setting for T {
    const KIND: &'static str = T::TABLE_KIND;
    const TABLES: &'static [&'static [Field]] = <T as Table>::TABLES;

    fn parse(raw: &Raw, base: &Path) -> Result<T, String> {
        match raw {
            Raw::Table(fields) => T::read(&Given { fields, base }),
            Raw::Text(text) | Raw::Loose(text) => {
                let fields = fields_of(text, <T as Table>::TABLES)?;
                let fields = &fields;
                T::read(&Given { fields, base })
            }
            _ => Err(mismatch::<T>(raw)),
        }
    }

    /// As a text: TOML and JSON have no other form in common.
    fn show(&self) -> Option<String> {
        Some(quote(&self.pieces().join("; ")))
    }
}

impl<T: Table> Element for T {
    const LIST_KIND: &'static str = T::ARRAY_KIND;
    const COUNT_MAX: usize = <T as Table>::COUNT_MAX;
}

/// What the configuration says in one table.
pub(super) struct Given<'a> {
    fields: &'a [(String, Raw)],
    /// Where relative paths start.
    base: &'a Path,
}

impl Given<'_> {
    /// Whether a field is set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    /// Refuses what none of these fields is.
    pub(super) fn check_names(&self, fields: &[Field]) -> Result<(), String> {
        let names = || fields.iter().map(|field| field.name);
        let is_unknown = |name: &&String| !names().any(|known| known == name.as_str());
        let given = self.fields.iter().map(|(name, _)| name);
        let Some(name) = given.into_iter().find(is_unknown) else {
            return Ok(());
        };
        let near = nearest(name, names());
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        Err(format!("has no key `{name}`{hint}"))
    }

    /// The value of a field, or its default.
    pub(super) fn field<T: Setting>(
        &self,
        name: &str,
        default: Option<T>,
        range: Option<&RangeInclusive<T>>,
    ) -> Result<T, String> {
        let given = self.fields.iter().rev().find(|(known, _)| known == name);
        match given {
            Some((_, raw)) => parse_within(raw, self.base, range)
                .map_err(|why| format!("has a wrong `{name}`: it {why}")),
            None => default.ok_or_else(|| format!("needs the key `{name}`")),
        }
    }
}

/// Makes the type of one table from its fields, and, with the path of a key behind its name, of
/// the elements of an array.
macro_rules! table {
    (
        $(#[doc = $table_doc:literal])+
        $Table:ident in $path:literal, at most $count_max:expr, such as $example:literal
        { $($fields:tt)+ }
    ) => {
        table! {
            $(#[doc = $table_doc])+
            $Table { $($fields)+ }
        }

        impl $crate::config::table::Table for $Table {
            const ARRAY_KIND: &'static str = concat!(
                "tables `[[", $path, "]]`, or a list of texts such as `[\"", $example, "\"]`"
            );
            const TABLE_KIND: &'static str = concat!("a table, or a text such as \"", $example, "\"");
            const TABLES: &'static [&'static [$crate::config::table::Field]] = &[Self::FIELDS];
            const COUNT_MAX: usize = $count_max;

            fn read(given: &$crate::config::table::Given<'_>) -> Result<$Table, String> {
                $Table::of(given)
            }

            fn pieces(&self) -> Vec<String> {
                self.texts()
            }
        }
    };
    (
        $(#[doc = $table_doc:literal])+
        $Table:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $Type:ty $(= $default:expr)? $(, in $range:expr)?;
            )+
        }
    ) => {
        $(#[doc = $table_doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $Table {
            $( $(#[doc = $doc])+ pub $field: $Type, )+
        }

        impl $Table {
            const FIELDS: &'static [$crate::config::table::Field] = &[$(
                $crate::config::table::Field {
                    name: stringify!($field),
                    kind: <$Type as $crate::config::setting::Setting>::KIND,
                    is_needed: || {
                        let default: Option<$Type> = $crate::config::setting::maybe!($($default)?);
                        default.is_none()
                    },
                    default: || {
                        let default: Option<$Type> = $crate::config::setting::maybe!($($default)?);
                        $crate::config::setting::Setting::show(&default)
                    },
                    bounds: || {
                        let range: Option<std::ops::RangeInclusive<$Type>> = $crate::config::setting::maybe!($($range)?);
                        $crate::config::setting::show_bounds(range.as_ref())
                    },
                    doc: concat!($($doc),+),
                },
            )+];

            fn of(given: &$crate::config::table::Given<'_>) -> Result<$Table, String> {
                given.check_names($Table::FIELDS)?;
                Ok($Table {
                    $( $field: given.field::<$Type>(
                        stringify!($field),
                        $crate::config::setting::maybe!($($default)?),
                        $crate::config::setting::maybe!($($range)?).as_ref(),
                    )?, )+
                })
            }

            fn texts(&self) -> Vec<String> {
                let mut texts = Vec::new();
                $( texts.extend(
                    $crate::config::setting::Setting::pieces(&self.$field, stringify!($field))
                ); )+
                texts
            }
        }
    };
}

pub(super) use table;

/// A table within a table: its keys are the user's own.
impl<T: Setting> Setting for BTreeMap<String, T> {
    const KIND: &'static str = "a table";

    fn parse(raw: &Raw, base: &Path) -> Result<BTreeMap<String, T>, String> {
        let Raw::Table(fields) = raw else {
            return Err(format!("must be a table, not {}", raw.describe()));
        };
        let read = |(name, raw): &(String, Raw)| match T::parse(raw, base) {
            Ok(value) => Ok((name.clone(), value)),
            Err(why) => Err(format!("has a wrong `{name}`: it {why}")),
        };
        fields.iter().map(read).collect()
    }

    /// It has no form in one value; see `pieces`.
    fn show(&self) -> Option<String> {
        None
    }

    fn pieces(&self, name: &str) -> Vec<String> {
        let one = |(key, value): (&String, &T)| value.pieces(&format!("{name}.{key}"));
        self.iter().flat_map(one).collect()
    }
}

/// `name=value`, from the literal of the value.
pub(super) fn piece(name: &str, literal: &str) -> String {
    let text = unquoted(literal).filter(|text| is_plain(text));
    format!("{name}={}", text.as_deref().unwrap_or(literal))
}

/// Whether a text means itself where pieces of tables stand.
fn is_plain(text: &str) -> bool {
    text.trim() == text
        && !text.starts_with('"')
        && !text.contains(|c: char| c == ';' || c.is_control())
}

/// The text of a literal in quotes.
fn unquoted(literal: &str) -> Option<String> {
    match json::parse(literal) {
        Ok(Value::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// `VALUE; NAME=VALUE; ...` as fields.
fn fields_of(text: &str, tables: &[&[Field]]) -> Result<Vec<(String, Raw)>, String> {
    let mut fields = Vec::new();
    let is_field = |name: &str| {
        let name = name.split('.').next().unwrap_or_default();
        tables.iter().copied().flatten().any(|f| f.name == name)
    };
    for (index, piece) in split(text).into_iter().enumerate() {
        let named = piece.split_once('=');
        let named = named.map(|(name, value)| (name.trim(), value.trim()));
        match named {
            Some((name, value)) if index > 0 || is_field(name) => put(&mut fields, name, value)?,
            _ if index == 0 => put(&mut fields, tables[0][0].name, piece)?,
            _ => {
                let piece = quote(piece);
                return Err(format!("has {piece} where `name=value` must stand"));
            }
        }
    }
    Ok(fields)
}

fn put(fields: &mut Vec<(String, Raw)>, name: &str, value: &str) -> Result<(), String> {
    let value = match value.starts_with('"') {
        true => unquoted(value).ok_or_else(|| format!("has a text without its end in `{name}`"))?,
        false => value.to_owned(),
    };
    let value = Raw::Loose(value);
    let Some((table, key)) = name.split_once('.') else {
        fields.push((name.to_owned(), value));
        return Ok(());
    };
    let entry = (key.to_owned(), value);
    match fields.iter_mut().find(|(known, _)| known == table) {
        Some((_, Raw::Table(inner))) => inner.push(entry),
        _ => fields.push((table.to_owned(), Raw::Table(vec![entry]))),
    }
    Ok(())
}

/// The pieces between semicolons, but for those within a quoted value.
fn split(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted => quoted = false,
            '"' => {
                let before = text[start..at].trim_end();
                quoted = before.is_empty() || before.ends_with('=');
            }
            ';' if !quoted => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    let pieces = pieces.into_iter().map(str::trim);
    pieces.filter(|piece| !piece.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    table! {
        /// A third array costs no more than this.
        Pet in "zoo.pet", at most 3, such as "Tom; legs=4" {
            /// What it is called.
            name: std::path::PathBuf;
            /// On how many it walks.
            legs: u32 = 4, in 0..=8;
            /// Whether it is kept.
            kept: Option<bool> = None;
            /// What else is known.
            more: BTreeMap<String, u32> = BTreeMap::new();
        }
    }

    fn pet(text: &str) -> Result<Pet, String> {
        Pet::parse(&Raw::Text(text.to_owned()), Path::new("/zoo"))
    }

    #[test]
    fn a_table_and_a_text_mean_the_same_and_what_is_shown_reads_back() {
        let table = Raw::Table(vec![
            ("name".to_owned(), Raw::Text("To;m".to_owned())),
            ("legs".to_owned(), Raw::Integer(3)),
            (
                "more".to_owned(),
                Raw::Table(vec![("a.b".to_owned(), Raw::Integer(7))]),
            ),
        ]);
        let tom = Pet::parse(&table, Path::new("/zoo")).unwrap();
        assert_eq!(
            tom.show().as_deref(),
            Some(r#""name=\"/zoo/To;m\"; legs=3; more.a.b=7""#)
        );
        for text in [
            r#"name="To;m"; legs=3; more.a.b=7"#,
            r#""To;m"; more.a.b=7;legs = 3;"#,
            r#"name = "/zoo/To;m"; legs=8; legs=3; more.a.b="7""#,
        ] {
            assert_eq!(pet(text).as_ref(), Ok(&tom), "{text}");
        }
        let odd = pet(r#""\";=\\"; kept=yes"#).unwrap();
        assert_eq!(odd.name, Path::new("/zoo/\";=\\"));
        let shown = unquoted(&odd.show().unwrap()).unwrap();
        assert_eq!(pet(&shown), Ok(odd));
    }

    #[test]
    fn what_is_wrong_with_a_table_is_told() {
        for (text, expected) in [
            ("legs=4", "needs the key `name`"),
            ("Tom; leg=4", "has no key `leg`; did you mean `legs`?"),
            ("Tom; colour=red", "has no key `colour`"),
            ("Tom; legs", "has \"legs\" where `name=value` must stand"),
            ("name=\"Tom; legs=4", "has a text without its end in `name`"),
            (
                "Tom; legs=9",
                "has a wrong `legs`: it must lie between 0 and 8, not \"9\"",
            ),
            (
                "Tom; more=9",
                "has a wrong `more`: it must be a table, not \"9\"",
            ),
            (
                "Tom; more.a=x",
                "has a wrong `more`: it has a wrong `a`: it must be a whole number, such as \
                 `100`, not \"x\"",
            ),
        ] {
            assert_eq!(pet(text), Err(expected.to_owned()), "{text}");
        }
        assert_eq!(
            Pet::parse(&Raw::Integer(1), Path::new("")),
            Err("must be a table, or a text such as \"Tom; legs=4\", not 1".to_owned())
        );
    }

    #[test]
    fn an_array_holds_as_many_tables_as_its_bound_says() {
        let pets = |count| Raw::List(vec![Raw::Text("Tom".to_owned()); count]);
        let read = |count| Vec::<Pet>::parse(&pets(count), Path::new(""));
        assert_eq!(read(3).unwrap().len(), 3);
        assert_eq!(read(4), Err("takes at most 3 of them, not 4".to_owned()));
    }
}
