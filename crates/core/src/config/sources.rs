//! The sources of a configuration, and the single assignments in them.

use std::fmt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigErrors, Problem};
use super::keys::{self, SECTIONS};
use super::setting::Raw;
use crate::limits::CONFIG_FILE_BYTES_MAX;
use crate::nearest::nearest;

/// The text of a configuration file.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its path as the user named it; relative paths in the file start from its directory.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// One value from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The option as errors name it: `--state`, `--set db.flush`.
    pub option: String,
    /// `section.key`.
    pub key: String,
    /// The value, in the form of the environment: text, lists with commas.
    pub value: String,
}

impl Override {
    /// The argument of `--set`: `section.key=value`.
    pub fn set(argument: &str) -> Result<Override, ConfigErrors> {
        let Some((key, value)) = argument.split_once('=') else {
            let origin = Origin::CommandLine {
                option: format!("--set {argument}"),
            };
            return Err(ConfigError::new(origin, Problem::NotAnAssignment).into());
        };
        Ok(Override {
            option: format!("--set {}", key.trim()),
            key: key.trim().to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Everything a configuration is made from, weakest first: defaults, file, profile of the file,
/// environment, command line.
#[derive(Clone, Debug, Default)]
pub struct Sources<'a> {
    /// The configuration file, if there is one.
    pub file: Option<File<'a>>,
    /// The environment; only names that begin with `PERIWINKLE_` are looked at.
    pub environment: Vec<(String, String)>,
    /// The profile that the command line asks for; otherwise `PERIWINKLE_PROFILE` decides.
    pub profile: Option<&'a str>,
    /// Values from the command line, the last one of a key winning.
    pub overrides: Vec<Override>,
    /// The features that are compiled in.
    pub features: &'a [&'a str],
}

/// Where a value comes from. Ordered as people read: by place in the file first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File {
        /// The file's name as the user gave it.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The profile whose section it stands in.
        profile: Option<String>,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    CommandLine {
        /// The option.
        option: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { name, line, .. } => write!(f, "{name}:{line}"),
            Origin::Environment { variable } => f.write_str(variable),
            Origin::CommandLine { option } => f.write_str(option),
        }
    }
}

/// One value that a source gives to a known key.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) path: &'static str,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
    /// Where each element of a list begins, such as one table of an array; empty for other values.
    pub(super) elements: Vec<Origin>,
}

/// What was found in all sources, in rising strength.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) assignments: Vec<Assignment>,
    pub(super) errors: Vec<ConfigError>,
    /// The profile that is in effect.
    pub(super) profile: Option<String>,
}

impl Gathered {
    fn error(&mut self, origin: Origin, problem: Problem) {
        self.errors.push(ConfigError::new(origin, problem));
    }

    /// Takes a value, or reports that there is no such key.
    fn assign(&mut self, path: &str, raw: Raw, origin: Origin, elements: Vec<Origin>) {
        match keys::find(path) {
            Some((_, key)) => self.assignments.push(Assignment {
                path: key.path,
                raw,
                origin,
                elements,
            }),
            None => self.error(origin, unknown_key(path)),
        }
    }

    /// Takes a value from where everything is text.
    fn assign_text(&mut self, path: &str, text: &str, origin: Origin) {
        self.assign(path, Raw::Loose(text.to_owned()), origin, Vec::new());
    }
}

/// Reads all sources.
pub(super) fn gather(sources: &Sources<'_>) -> Gathered {
    let mut gathered = Gathered::default();
    let wanted = wanted_profile(sources);
    match sources.file {
        Some(file) => gather_file(file, wanted, &mut gathered),
        None => {
            if let Some((profile, origin)) = wanted {
                gathered.error(origin, Problem::ProfileWithoutFile { profile });
            }
        }
    }
    gather_environment(&sources.environment, &mut gathered);
    for given in &sources.overrides {
        let origin = Origin::CommandLine {
            option: given.option.clone(),
        };
        gathered.assign_text(&given.key, &given.value, origin);
    }
    gathered
}

const PROFILE_VARIABLE: &str = "PERIWINKLE_PROFILE";

fn wanted_profile(sources: &Sources<'_>) -> Option<(String, Origin)> {
    if let Some(profile) = sources.profile {
        let option = "--profile".to_owned();
        return Some((profile.to_owned(), Origin::CommandLine { option }));
    }
    let (variable, profile) = sources
        .environment
        .iter()
        .find(|(name, value)| name == PROFILE_VARIABLE && !value.is_empty())?;
    let variable = variable.clone();
    Some((profile.clone(), Origin::Environment { variable }))
}

/// Variables such as `PERIWINKLE_PORT` are left alone, not errors: container tools make
/// variables of that form for a service that is called periwinkle. Two underscores are ours.
fn gather_environment(environment: &[(String, String)], gathered: &mut Gathered) {
    let mut ours: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| Some((name, name.strip_prefix("PERIWINKLE_")?, value)))
        .filter(|(_, rest, _)| rest.contains("__"))
        .collect();
    ours.sort();
    for (name, rest, value) in ours {
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let origin = Origin::Environment {
            variable: name.clone(),
        };
        gathered.assign_text(&path, value, origin);
    }
}

/// One file while it is read.
struct Reader<'a> {
    file: File<'a>,
    /// Where its lines end.
    line_ends: Vec<usize>,
    profile: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(file: File<'a>) -> Reader<'a> {
        Reader {
            file,
            line_ends: file.text.match_indices('\n').map(|(at, _)| at).collect(),
            profile: None,
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            name: self.file.name.to_owned(),
            line: self.line_ends.partition_point(|end| *end < offset) + 1,
            profile: self.profile.clone(),
        }
    }

    fn elements(&self, value: &DeValue<'_>) -> Vec<Origin> {
        let DeValue::Array(elements) = value else {
            return Vec::new();
        };
        let origin = |element: &Spanned<DeValue<'_>>| self.origin(element.span().start);
        elements.iter().map(origin).collect()
    }
}

fn gather_file(file: File<'_>, wanted: Option<(String, Origin)>, gathered: &mut Gathered) {
    let reader = Reader::new(file);
    if file.text.len() > CONFIG_FILE_BYTES_MAX {
        return gathered.error(reader.origin(0), Problem::FileTooLarge);
    }
    let (table, errors) = DeTable::parse_recoverable(file.text);
    // What the parser recovers after a syntax error is a guess: judging the keys in it would
    // bury the one mistake under others that nobody made.
    if !errors.is_empty() {
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().trim_end().replace('\n', "; ");
            gathered.error(reader.origin(offset), Problem::Syntax(message));
        }
        return;
    }
    let table = table.get_ref();
    gather_sections(&reader, table, gathered);
    gather_profiles(reader, table, wanted, gathered);
}

fn gather_sections(reader: &Reader<'_>, table: &DeTable<'_>, gathered: &mut Gathered) {
    for (name, value) in table {
        let name_text = name.get_ref().as_ref();
        if name_text == "profile" && reader.profile.is_none() {
            continue;
        }
        let origin = reader.origin(name.span().start);
        if !SECTIONS.iter().any(|section| section.name == name_text) {
            let also = reader.profile.is_none().then_some("profile");
            gathered.error(origin, unknown_section(name_text, also));
            continue;
        }
        let DeValue::Table(keys) = value.get_ref() else {
            let section = name_text.to_owned();
            gathered.error(origin, Problem::NotASection { section });
            continue;
        };
        for (key, value) in keys {
            let path = format!("{name_text}.{}", key.get_ref());
            let origin = reader.origin(key.span().start);
            let elements = reader.elements(value.get_ref());
            gathered.assign(&path, raw(value.get_ref()), origin, elements);
        }
    }
}

/// Every profile is read, so that a mistake in one is found before the day it is used; only the
/// values of the wanted one are kept.
fn gather_profiles(
    mut reader: Reader<'_>,
    table: &DeTable<'_>,
    wanted: Option<(String, Origin)>,
    gathered: &mut Gathered,
) {
    let mut known: Vec<String> = Vec::new();
    let profiles = match table.get("profile") {
        None => None,
        Some(value) => match value.get_ref() {
            DeValue::Table(profiles) => Some(profiles),
            _ => {
                let section = "profile".to_owned();
                let origin = reader.origin(value.span().start);
                return gathered.error(origin, Problem::NotASection { section });
            }
        },
    };
    for (name, value) in profiles.into_iter().flatten() {
        let profile = name.get_ref().to_string();
        reader.profile = Some(profile.clone());
        let DeValue::Table(sections) = value.get_ref() else {
            let section = format!("profile.{profile}");
            let origin = reader.origin(name.span().start);
            gathered.error(origin, Problem::NotASection { section });
            continue;
        };
        let mut overlay = Gathered::default();
        gather_sections(&reader, sections, &mut overlay);
        gathered.errors.append(&mut overlay.errors);
        if wanted.as_ref().is_some_and(|(name, _)| *name == profile) {
            gathered.assignments.append(&mut overlay.assignments);
        } else {
            gathered.errors.extend(wrong_values(&overlay.assignments));
        }
        known.push(profile);
    }
    let Some((profile, origin)) = wanted else {
        return;
    };
    if known.contains(&profile) {
        gathered.profile = Some(profile);
    } else {
        let file = reader.file.name.to_owned();
        let problem = Problem::UnknownProfile {
            profile,
            file,
            known,
        };
        gathered.error(origin, problem);
    }
}

/// An error for each value that its key cannot take; in a list, for each element.
pub(super) fn wrong_values(assignments: &[Assignment]) -> Vec<ConfigError> {
    assignments.iter().flat_map(wrong_value).collect()
}

fn wrong_value(assignment: &Assignment) -> Vec<ConfigError> {
    let Some((_, key)) = keys::find(assignment.path) else {
        return Vec::new();
    };
    let check = |raw: &Raw, origin: &Origin| {
        let why = (key.check)(raw, Path::new("")).err()?;
        let key = key.path.to_owned();
        Some(ConfigError::new(
            origin.clone(),
            Problem::WrongValue { key, why },
        ))
    };
    let Some(error) = check(&assignment.raw, &assignment.origin) else {
        return Vec::new();
    };
    // What is wrong with an element is wrong with it alone, too; what is not, such as there being
    // too many, is wrong with the list.
    let alone =
        |(element, origin): (&Raw, &Origin)| check(&Raw::List(vec![element.clone()]), origin);
    let elements = assignment.raw.elements().iter().zip(&assignment.elements);
    match elements.filter_map(alone).collect::<Vec<_>>() {
        wrong if wrong.is_empty() => vec![error],
        wrong => wrong,
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(value) => Raw::Bool(*value),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Raw::Integer(number),
            Err(_) => Raw::Other("number that is too large"),
        },
        DeValue::Float(_) => Raw::Other("number with a point"),
        DeValue::Datetime(_) => Raw::Other("date"),
        DeValue::Table(table) => Raw::Table(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), raw(value.get_ref())))
                .collect(),
        ),
        DeValue::Array(elements) => {
            Raw::List(elements.iter().map(|value| raw(value.get_ref())).collect())
        }
    }
}

/// What was meant by a key that does not exist: a key of the same section, the same key of
/// another section, or a key that is near as a whole.
fn unknown_key(path: &str) -> Problem {
    let all = || SECTIONS.iter().flat_map(|section| section.keys);
    let (section, name) = path.split_once('.').unwrap_or(("", path));
    let near_here = || {
        let here = || all().filter(|key| key.path.starts_with(&format!("{section}.")));
        let name = nearest(name, here().map(keys::Key::name))?;
        here().find(|key| key.name() == name)
    };
    let same_elsewhere = || all().find(|key| key.name() == name);
    let near_anywhere = || {
        let path = nearest(path, all().map(|key| key.path))?;
        all().find(|key| key.path == path)
    };
    let key = near_here().or_else(same_elsewhere).or_else(near_anywhere);
    Problem::UnknownKey {
        key: path.to_owned(),
        nearest: key.map(|key| key.path.to_owned()),
    }
}

fn unknown_section(name: &str, also: Option<&'static str>) -> Problem {
    let sections = SECTIONS.iter().map(|section| section.name);
    let near = nearest(name, sections.chain(also));
    // `listen = ...` above the first heading is a key without its section.
    let key = || {
        let keys = SECTIONS.iter().flat_map(|section| section.keys);
        keys.into_iter()
            .find(|key| key.name() == name)
            .map(|key| key.path)
    };
    Problem::UnknownSection {
        section: name.to_owned(),
        nearest: near.or_else(key).map(str::to_owned),
    }
}
