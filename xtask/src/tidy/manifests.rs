//! What the manifests promise.

use super::{Finding, Source};

/// agent -> db -> core, and the test kit below none of them.
pub(crate) fn crates_depend_downwards(sources: &[Source]) -> Vec<Finding> {
    const BELOW: &[(&str, &[&str])] = &[
        ("crates/core/Cargo.toml", &[]),
        ("crates/db/Cargo.toml", &["periwinkle-core"]),
        (
            "crates/agent/Cargo.toml",
            &["periwinkle-core", "periwinkle-db"],
        ),
        (
            "crates/testkit/Cargo.toml",
            &["periwinkle-core", "periwinkle-db"],
        ),
    ];
    let ours = |name: &str| name == "periwinkle" || name.starts_with("periwinkle-");
    breaches(sources, BELOW, |name, below| {
        ours(name) && !below.contains(&name)
    })
}

/// No runtime, socket or entropy below the agent. The database may use rustix for files.
pub(crate) fn pure_crates_have_no_runtime(sources: &[Source]) -> Vec<Finding> {
    const BANNED: &[&str] = &[
        "tokio",
        "mio",
        "hyper",
        "hyper-util",
        "axum",
        "http",
        "tower",
        "socket2",
        "rustls",
        "getrandom",
        "rand",
    ];
    const PURE: &[(&str, &[&str])] = &[
        ("crates/core/Cargo.toml", &["rustix", "libc", "tempfile"]),
        ("crates/db/Cargo.toml", &[]),
    ];
    breaches(sources, PURE, |name, more| {
        BANNED.contains(&name) || more.contains(&name)
    })
}

pub(crate) fn every_crate_forbids_unsafe_code(sources: &[Source]) -> Vec<Finding> {
    let crates = sources
        .iter()
        .filter(|source| source.path.ends_with("Cargo.toml"));
    crates
        .filter(|source| {
            source.text.contains("[package]") && !source.path.starts_with("crates/ffi/")
        })
        .filter(|source| {
            !inherits_lints(&source.text) && !source.text.contains("unsafe_code = \"forbid\"")
        })
        .map(|source| source.finding(0, "takes over no lint that forbids unsafe code"))
        .collect()
}

/// An address in a lock file would tie every build to the machine that wrote it.
pub(crate) fn locked_packages_name_no_address(sources: &[Source]) -> Vec<Finding> {
    let locks = sources
        .iter()
        .filter(|source| source.path.ends_with("package-lock.json"));
    locks
        .flat_map(|source| {
            let addressed = source
                .lines()
                .filter(|(_, line)| line.contains("\"resolved\""));
            addressed.map(|(line, _)| source.finding(line, "the lock file names an address"))
        })
        .collect()
}

fn inherits_lints(manifest: &str) -> bool {
    let section = manifest.split("[lints]").nth(1).unwrap_or_default();
    section.trim_start().starts_with("workspace = true")
}

/// Normal dependencies of the listed manifests for which `is_breach` holds.
fn breaches(
    sources: &[Source],
    rules: &[(&str, &[&str])],
    is_breach: impl Fn(&str, &[&str]) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, names) in rules {
        for source in sources.iter().filter(|source| source.path == *path) {
            for (line, name) in dependencies(source) {
                if is_breach(name, names) {
                    findings.push(source.finding(line, format!("must not depend on {name}")));
                }
            }
        }
    }
    findings
}

fn dependencies(source: &Source) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (line, text) in source.lines() {
        if text.starts_with('[') {
            inside = text == "[dependencies]";
        } else if inside && !text.starts_with('#') {
            let name = text.split(['.', ' ', '=']).next().unwrap_or_default();
            found.extend((!name.is_empty()).then_some((line, name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn the_database_must_not_depend_on_the_agent() {
        let text = "[dependencies]\nperiwinkle-core.workspace = true\nperiwinkle = { path = \"../agent\" }\n";
        assert_eq!(
            check(crates_depend_downwards, "crates/db/Cargo.toml", text),
            [3]
        );
    }

    #[test]
    fn a_development_dependency_is_nobodys_business() {
        let text = "[dependencies]\n[dev-dependencies]\nperiwinkle-testkit.workspace = true\ntokio = \"1\"\n";
        assert_eq!(
            check(crates_depend_downwards, "crates/core/Cargo.toml", text),
            []
        );
        assert_eq!(
            check(pure_crates_have_no_runtime, "crates/core/Cargo.toml", text),
            []
        );
    }

    #[test]
    fn the_core_must_not_have_a_runtime() {
        let text = "[dependencies]\ntokio.workspace = true\n";
        assert_eq!(
            check(pure_crates_have_no_runtime, "crates/core/Cargo.toml", text),
            [2]
        );
    }

    #[test]
    fn a_crate_takes_over_the_lints_or_has_its_own() {
        let rule = every_crate_forbids_unsafe_code;
        assert_eq!(
            check(
                rule,
                "crates/a/Cargo.toml",
                "[package]\n[lints]\nworkspace = true\n"
            ),
            []
        );
        assert_eq!(
            check(
                rule,
                "xtask/Cargo.toml",
                "[package]\n[lints.rust]\nunsafe_code = \"forbid\"\n"
            ),
            []
        );
        assert_eq!(
            check(rule, "crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            [0]
        );
    }
}
