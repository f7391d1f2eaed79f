//! Every bound of the product says what it counts.

use super::{Finding, Source};

/// Measures that are no plurals.
const MEASURES: &[&str] = &["BACKLOG", "DEPTH", "FLIGHT", "KIB", "MIB", "PERCENT"];

/// Words that end like a plural and count nothing; metrics are an area of the product.
const NO_PLURALS: &[&str] = &["ACCESS", "ADDRESS", "CLASS", "METRICS", "PROCESS", "STATUS"];

pub(crate) fn every_bound_names_its_unit(sources: &[Source]) -> Vec<Finding> {
    let limits = sources
        .iter()
        .filter(|source| source.path.ends_with("/limits.rs"));
    limits
        .flat_map(|source| {
            let bounds = source
                .lines()
                .filter_map(|(line, text)| Some((line, declared(text)?)));
            bounds
                .filter(|(_, (name, kind))| *kind != "Duration" && !has_unit(name))
                .map(|(line, (name, _))| {
                    source.finding(line, format!("{name} does not name its unit"))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Name and type of a constant; a `Duration` carries its unit itself.
fn declared(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line
        .trim_start()
        .strip_prefix("pub const ")?
        .split_once(':')?;
    Some((name, rest.split('=').next()?.trim()))
}

fn has_unit(name: &str) -> bool {
    let counts = |word: &str| word.ends_with('S') && !NO_PLURALS.contains(&word);
    name.split('_')
        .any(|word| MEASURES.contains(&word) || counts(word))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::every_bound_names_its_unit;

    #[test]
    fn a_bound_names_its_unit_unless_its_type_does() {
        let text = "pub const BODY_BYTES_MAX: u64 = 1;\npub const BODY_MAX: u64 = 1;\n\
                    pub const PULL: Duration = MINUTE;\npub const PULL_MAX: u64 = 60;\n\
                    pub const METRICS_PULL_MAX: u64 = 60;\npub const METRICS_ROWS_MAX: u64 = 60;\n";
        assert_eq!(
            check(
                every_bound_names_its_unit,
                "crates/core/src/limits.rs",
                text
            ),
            [2, 4, 5]
        );
    }
}
