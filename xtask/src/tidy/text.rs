//! Words, names and lengths.

use super::{Finding, Source};

const LINES_MAX: usize = 1000;

/// The rules themselves have to spell out what they look for.
const RULES_FOLDER: &str = "xtask/src/tidy/";

pub(crate) fn nothing_is_left_to_do(sources: &[Source]) -> Vec<Finding> {
    const MARKS: &[&str] = &["TODO", "FIXME", "XXX:", "todo!", "unimplemented!"];
    let code = handwritten(sources).filter(|source| is_code(&source.path));
    containing(
        code,
        |line| MARKS.iter().copied().find(|mark| has_word(line, mark)),
        "is left to do",
    )
}

pub(crate) fn names_say_what_a_thing_is(sources: &[Source]) -> Vec<Finding> {
    const EMPTY: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils"];
    const FILES: &[&str] = &["util", "utils", "helper", "helpers", "misc"];
    let mut findings = Vec::new();
    for source in handwritten(sources).filter(|source| is_code(&source.path)) {
        let file = source.path.rsplit('/').next().unwrap_or_default();
        if FILES.contains(&file.split('.').next().unwrap_or_default()) {
            findings.push(source.finding(0, "the name of the file says nothing"));
        }
        for (line, text) in source.lines().filter(|_| source.is_rust()) {
            let ends_so = |name: &&str| EMPTY.iter().any(|empty| name.ends_with(empty));
            if let Some(name) = declared(text).filter(ends_so) {
                findings.push(source.finding(line, format!("the name {name} says nothing")));
            }
        }
    }
    findings
}

pub(crate) fn files_stay_readable(sources: &[Source]) -> Vec<Finding> {
    let code = handwritten(sources).filter(|source| is_code(&source.path));
    code.filter_map(|source| {
        let lines = source.text.lines().count();
        let text = format!("{lines} lines: a file has at most {LINES_MAX}");
        (lines > LINES_MAX).then(|| source.finding(0, text))
    })
    .collect()
}

/// A reader of the code has no list of issues beside it; the reason belongs where the decision is
/// met.
pub(crate) fn no_number_of_an_issue(sources: &[Source]) -> Vec<Finding> {
    containing(handwritten(sources), issue_number, "names an issue")
}

/// A build comes through whatever registry its machine is set up for.
pub(crate) fn no_host_of_a_registry(sources: &[Source]) -> Vec<Finding> {
    const HOSTS: &[&str] = &[
        "crates.io",
        "pypi.org",
        "pythonhosted.org",
        "registry.npmjs",
        "npmmirror",
        "deb.debian.org",
        "proxy.golang.org",
    ];
    let files = handwritten(sources).filter(|source| !source.path.ends_with("Cargo.lock"));
    containing(
        files,
        |line| HOSTS.iter().copied().find(|host| line.contains(host)),
        "is a registry's host",
    )
}

fn handwritten(sources: &[Source]) -> impl Iterator<Item = &Source> {
    let is_made =
        |path: &str| path.contains("/console/dist/") || path.contains("/dist/THIRD-PARTY");
    sources
        .iter()
        .filter(move |source| !is_made(&source.path) && !source.path.starts_with(RULES_FOLDER))
}

fn is_code(path: &str) -> bool {
    let kinds = [
        "rs", "ts", "tsx", "js", "mjs", "py", "sh", "css", "toml", "yaml", "yml", "json5",
    ];
    path == ".ci/run"
        || path
            .rsplit_once('.')
            .is_some_and(|(_, kind)| kinds.contains(&kind))
}

fn containing<'a>(
    sources: impl Iterator<Item = &'a Source>,
    find: impl Fn(&str) -> Option<&str>,
    complaint: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        for (line, text) in source.lines() {
            if let Some(found) = find(text) {
                findings.push(source.finding(line, format!("`{found}` {complaint}")));
            }
        }
    }
    findings
}

/// `word` with no letter, digit or underscore around it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |one: char| one == '_' || one.is_alphanumeric();
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part_of_name);
        let behind = line[at + word.len()..]
            .chars()
            .next()
            .is_some_and(part_of_name);
        !before && !behind
    })
}

/// The type, module or trait that the line declares.
fn declared(line: &str) -> Option<&str> {
    let mut words = line
        .split(|one: char| one != '_' && !one.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.find(|word| ["struct", "enum", "trait", "type", "union"].contains(word))?;
    words.next()
}

/// `issue 12`, `issue #12`, `fixes #12`, `issues/12`; a bare `#12` may be a colour or a heading.
fn issue_number(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    for word in ["issue", "issues", "fixes", "closes", "resolves"] {
        for (at, _) in lower.match_indices(word) {
            let rest = &lower[at + word.len()..];
            let number = rest.trim_start_matches([' ', '/', '#']);
            let marked = rest.len() - number.len();
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            let needs_hash = !word.starts_with("issue");
            if marked > 0 && digits > 0 && (!needs_hash || rest[..marked].contains('#')) {
                return line.get(at..at + word.len() + marked + digits);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn work_left_over_is_found_as_a_word() {
        assert_eq!(
            check(
                nothing_is_left_to_do,
                "a.rs",
                "// TODO: later\nlet todos = 1;\ntodo!()"
            ),
            [1, 3]
        );
    }

    #[test]
    fn empty_names_are_found() {
        let rule = names_say_what_a_thing_is;
        assert_eq!(
            check(
                rule,
                "a.rs",
                "pub struct SessionManager;\nstruct Utility;\n// a Manager"
            ),
            [1]
        );
        assert_eq!(check(rule, "crates/db/src/util.rs", ""), [0]);
    }

    #[test]
    fn the_thousand_and_first_line_is_too_much() {
        assert_eq!(check(files_stay_readable, "a.rs", &"\n".repeat(1000)), []);
        assert_eq!(check(files_stay_readable, "a.rs", &"\n".repeat(1001)), [0]);
    }

    #[test]
    fn a_number_of_an_issue_is_found_and_a_colour_is_not() {
        let rule = no_number_of_an_issue;
        assert_eq!(
            check(
                rule,
                "a.md",
                "See issue 12.\nFixes #3\ncolor: #123456\nit fixes 3 bugs"
            ),
            [1, 2]
        );
    }

    #[test]
    fn a_host_of_a_registry_is_found_outside_the_lock_file() {
        let text = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert_eq!(check(no_host_of_a_registry, "deny.toml", text), [1]);
        assert_eq!(check(no_host_of_a_registry, "Cargo.lock", text), []);
        assert_eq!(
            check(no_host_of_a_registry, "benches/db/Cargo.lock", text),
            []
        );
    }
}
