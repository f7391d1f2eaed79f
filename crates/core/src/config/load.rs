//! From sources to a checked configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::combine;
use super::error::{ConfigError, ConfigErrors, Problem};
use super::keys::{self, Config, SECTIONS, Winners};
use super::setting::Raw;
use super::sources::{Assignment, Origin, Sources, gather, wrong_values};

/// A configuration that can be run, and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// All values.
    pub config: Config,
    /// Every key of what is compiled in, with value and origin, in the order of the reference.
    pub effective: Vec<Effective>,
    /// What is possible but probably not meant, one sentence each.
    pub hints: Vec<String>,
    /// The profile that is in effect.
    pub profile: Option<String>,
}

/// One key of the effective configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// `section.key`.
    pub key: &'static str,
    /// The value as TOML, which is JSON as well; `None` when the key is unset.
    pub value: Option<String>,
    /// Who set it.
    pub origin: Origin,
}

/// Makes the configuration from its sources, or finds everything that is wrong with them.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigErrors> {
    let gathered = gather(sources);
    let mut errors = gathered.errors;
    errors.extend(wrong_values(&gathered.assignments));
    let chosen = Chosen::new(gathered.assignments);
    errors.extend(not_compiled_in(&chosen, sources.features));
    ConfigErrors::from_found(errors)?;

    let mut config = Config::fill(&chosen);
    config.metrics.enable &= sources.features.contains(&"metrics");
    let (errors, hints) = combine::judge(&config, &|key| chosen.origin(key));
    ConfigErrors::from_found(errors)?;
    Ok(Loaded {
        effective: effective(&config, &chosen, sources.features),
        config,
        hints,
        profile: gathered.profile,
    })
}

/// The strongest assignment of each key.
struct Chosen(BTreeMap<&'static str, Assignment>);

impl Chosen {
    fn new(assignments: Vec<Assignment>) -> Chosen {
        Chosen(assignments.into_iter().map(|a| (a.path, a)).collect())
    }

    fn origin(&self, path: &str) -> Origin {
        self.0
            .get(path)
            .map_or(Origin::Default, |assignment| assignment.origin.clone())
    }
}

impl Winners for Chosen {
    /// Relative paths in a file start from its directory, all others where the agent starts.
    fn winner(&self, path: &str) -> Option<(&Raw, &Path)> {
        let assignment = self.0.get(path)?;
        let base = match &assignment.origin {
            Origin::File { name, .. } => Path::new(name).parent(),
            _ => None,
        };
        Some((&assignment.raw, base.unwrap_or(Path::new(""))))
    }
}

fn compiled_in(feature: Option<&str>, features: &[&str]) -> bool {
    feature.is_none_or(|feature| features.contains(&feature))
}

/// Saying that something missing is off asks for nothing.
fn not_compiled_in(chosen: &Chosen, features: &[&str]) -> Vec<ConfigError> {
    let off = |assignment: &Assignment| {
        assignment.path.ends_with(".enable")
            && <bool as super::setting::Setting>::parse(&assignment.raw, Path::new("")) == Ok(false)
    };
    let missing = |assignment: &Assignment| {
        let (section, key) = keys::find(assignment.path)?;
        let feature = section.feature?;
        if features.contains(&feature) || off(assignment) {
            return None;
        }
        let problem = Problem::NotCompiledIn {
            key: key.path.to_owned(),
            feature: feature.to_owned(),
        };
        Some(ConfigError::new(assignment.origin.clone(), problem))
    };
    chosen.0.values().filter_map(missing).collect()
}

fn effective(config: &Config, chosen: &Chosen, features: &[&str]) -> Vec<Effective> {
    let absent = |key: &str| {
        SECTIONS.iter().any(|section| {
            key.split('.').next() == Some(section.name) && !compiled_in(section.feature, features)
        })
    };
    config
        .show()
        .into_iter()
        .filter(|(key, _)| !absent(key))
        .map(|(key, value)| Effective {
            key,
            value,
            origin: chosen.origin(key),
        })
        .collect()
}
