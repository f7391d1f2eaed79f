//! Which module may name which.

use super::{Finding, Source};

/// `web`, `fetch` and `mqtt` meet in `services.rs`, never in each other's code.
pub(crate) fn sides_of_the_agent_do_not_meet(sources: &[Source]) -> Vec<Finding> {
    strangers(
        sources,
        "crates/agent/src/",
        &["crate"],
        &["web", "fetch", "mqtt"],
    )
}

/// One cloud service never names another: they meet in `services.rs` and through the database.
pub(crate) fn cloud_services_do_not_meet(sources: &[Source]) -> Vec<Finding> {
    let services = [
        "identity", "sync", "shadow", "logs", "metrics", "upload", "audit", "update",
    ];
    strangers(
        sources,
        "crates/agent/src/cloud/",
        &["crate", "cloud"],
        &services,
    )
}

/// What clippy's bans in the core cannot see: whole modules, and names brought in by `use`.
pub(crate) fn core_touches_no_clock_and_no_socket(sources: &[Source]) -> Vec<Finding> {
    const BANNED: &[&[&str]] = &[
        &["std", "time", "Instant"],
        &["std", "time", "SystemTime"],
        &["std", "net", "TcpStream"],
        &["std", "net", "TcpListener"],
        &["std", "net", "UdpSocket"],
        &["std", "net", "ToSocketAddrs"],
        &["std", "os", "unix", "net"],
        &["std", "env"],
        &["std", "fs"],
        &["std", "process"],
        &["std", "thread"],
    ];
    let mut findings = Vec::new();
    for source in rust_below(sources, "crates/core/src/") {
        for (line, path) in paths_of(shipped(source)) {
            if BANNED.iter().any(|banned| starts_with(&path, banned)) {
                let name = path.join("::");
                findings.push(
                    source.finding(line, format!("the core is pure: `{name}` is an argument")),
                );
            }
        }
    }
    findings
}

/// Files of one of the `modules` below `folder` that name another of them.
fn strangers(sources: &[Source], folder: &str, parent: &[&str], modules: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in rust_below(sources, folder) {
        let inside = source.path[folder.len()..].trim_end_matches(".rs");
        let own: Vec<&str> = inside.split('/').filter(|part| *part != "mod").collect();
        // The folder's own `mod.rs` belongs to none of them.
        let Some(module) = own.first().filter(|name| modules.contains(name)) else {
            continue;
        };
        for (line, path) in paths_of(&source.text) {
            let Some(absolute) = absolute(&path, parent, &own) else {
                continue;
            };
            let Some(rest) = absolute.strip_prefix(parent) else {
                continue;
            };
            if rest
                .first()
                .is_some_and(|name| name != module && modules.contains(name))
            {
                let name = absolute.join("::");
                findings.push(source.finding(line, format!("{module} must not name `{name}`")));
            }
        }
    }
    findings
}

/// The file without its tests, which may well read a clock.
fn shipped(source: &Source) -> &str {
    if source.path.ends_with("/tests.rs") || source.path.contains("/tests/") {
        return "";
    }
    source
        .text
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
}

fn rust_below<'a>(sources: &'a [Source], folder: &'a str) -> impl Iterator<Item = &'a Source> {
    sources
        .iter()
        .filter(move |source| source.is_rust() && source.path.starts_with(folder))
}

/// The path from the crate on; nothing for paths that lead elsewhere.
fn absolute<'a>(path: &[&'a str], parent: &[&'a str], own: &[&'a str]) -> Option<Vec<&'a str>> {
    let ups = path.iter().take_while(|part| **part == "super").count();
    if path.first() == Some(&"crate") {
        return Some(path.to_vec());
    }
    if ups == 0 {
        return None;
    }
    let here: Vec<&str> = parent.iter().chain(own).copied().collect();
    let kept = here.len().checked_sub(ups)?;
    Some(here[..kept].iter().chain(&path[ups..]).copied().collect())
}

fn starts_with(path: &[&str], banned: &[&str]) -> bool {
    path.len() >= banned.len() && path[..banned.len()] == *banned
}

/// Every `a::b::c` of the text with its line; the groups of `use a::{b, c::d}` are spelled out.
fn paths_of(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    let mut scanner = Scanner {
        text,
        at: 0,
        line: 1,
    };
    while let Some(start) = scanner.next_name() {
        scanner.tree(start, &mut Vec::new(), &mut found);
    }
    found
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Scanner<'a> {
    /// Skips to the next name that is not in a comment or a string.
    fn next_name(&mut self) -> Option<&'a str> {
        loop {
            let rest = &self.text[self.at..];
            let next = rest.chars().next()?;
            if rest.starts_with("//") {
                self.advance(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("'\"'") {
                self.advance(3);
            } else if next == '"' {
                self.advance(end_of_string(rest));
            } else if next == '_' || next.is_alphabetic() {
                return Some(self.name());
            } else {
                self.advance(next.len_utf8());
            }
        }
    }

    /// A path, or a group of paths, that begins with `first` below `prefix`.
    fn tree(
        &mut self,
        first: &'a str,
        prefix: &mut Vec<&'a str>,
        found: &mut Vec<(usize, Vec<&'a str>)>,
    ) {
        let depth = prefix.len();
        let line = self.line;
        prefix.push(first);
        loop {
            if !self.eat("::") {
                break;
            }
            if self.eat("{") {
                self.group(prefix, found);
                prefix.truncate(depth);
                return;
            }
            match self.name() {
                "" => break,
                name => prefix.push(name),
            }
        }
        if prefix.len() > 1 {
            found.push((line, prefix.clone()));
        }
        prefix.truncate(depth);
    }

    fn group(&mut self, prefix: &mut Vec<&'a str>, found: &mut Vec<(usize, Vec<&'a str>)>) {
        loop {
            self.space();
            match self.name() {
                "" => {}
                name => self.tree(name, prefix, found),
            }
            self.space();
            if self.eat("as ") {
                self.name();
                self.space();
            }
            if self.eat("}") || self.at >= self.text.len() {
                return;
            }
            // A comma, or a `*` or `self` of no interest here.
            let skipped = self.text[self.at..]
                .chars()
                .next()
                .map_or(0, char::len_utf8);
            self.advance(skipped);
        }
    }

    fn name(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|one: char| one != '_' && !one.is_alphanumeric())
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.advance(rest.len() - rest.trim_start().len());
    }

    fn advance(&mut self, bytes: usize) {
        self.line += self.text[self.at..self.at + bytes].matches('\n').count();
        self.at += bytes;
    }
}

/// Behind the closing quote, minding escaped ones.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (index, one) in text.char_indices().skip(1) {
        match one {
            '"' if !escaped => return index + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn a_path_and_every_member_of_a_group_is_found_with_its_line() {
        let text = "use crate::{\n    web::Body,\n    fetch::{self, Client as C},\n};\nlet x = super::mqtt::go();";
        let found = paths_of(text);
        let shown: Vec<(usize, String)> = found
            .into_iter()
            .map(|(line, path)| (line, path.join("::")))
            .collect();
        assert_eq!(
            shown,
            [
                (2, "crate::web::Body".to_owned()),
                (3, "crate::fetch::self".to_owned()),
                (3, "crate::fetch::Client".to_owned()),
                (5, "super::mqtt::go".to_owned()),
            ]
        );
    }

    #[test]
    fn the_web_server_must_not_name_the_client() {
        let in_files = |text| {
            lines(
                sides_of_the_agent_do_not_meet,
                "agent/src/web/files.rs",
                text,
            )
        };
        assert_eq!(in_files("use crate::fetch::Client;"), [1]);
        assert_eq!(in_files("\nuse crate::{net, mqtt::Queue};"), [2]);
        assert_eq!(in_files("use super::super::fetch::Client;"), [1]);
        assert_eq!(
            in_files("use crate::web::Session; // not crate::fetch::Client"),
            NONE
        );
        let both = "use crate::{web::A, fetch::B};";
        assert_eq!(
            lines(
                sides_of_the_agent_do_not_meet,
                "agent/src/services.rs",
                both
            ),
            NONE
        );
        let above = "use super::fetch::Client;";
        assert_eq!(
            lines(sides_of_the_agent_do_not_meet, "agent/src/web.rs", above),
            [1]
        );
    }

    #[test]
    fn one_cloud_service_must_not_name_another() {
        let below = |name: &str, text: &str| {
            lines(
                cloud_services_do_not_meet,
                &format!("agent/src/cloud/{name}"),
                text,
            )
        };
        assert_eq!(below("sync.rs", "use super::shadow::A;"), [1]);
        assert_eq!(below("sync/up.rs", "use super::super::logs::A;"), [1]);
        assert_eq!(below("sync/up.rs", "use super::down::A;"), NONE);
        assert_eq!(below("sync.rs", "use crate::metrics::Ring;"), NONE);
        assert_eq!(below("mod.rs", "pub use self::sync::A;"), NONE);
    }

    #[test]
    fn the_core_must_not_read_a_clock() {
        let core = |text| lines(core_touches_no_clock_and_no_socket, "core/src/a.rs", text);
        assert_eq!(core("use std::time::{Duration, Instant};"), [1]);
        assert_eq!(core("use std::time::Duration;"), NONE);
        assert_eq!(core("use std::net::IpAddr;"), NONE);
        let tested = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n}\n";
        assert_eq!(core(tested), NONE);
        let elsewhere = "use std::time::Instant;";
        assert_eq!(
            lines(
                core_touches_no_clock_and_no_socket,
                "db/src/a.rs",
                elsewhere
            ),
            NONE
        );
    }

    const NONE: [usize; 0] = [];

    fn lines(rule: super::super::Rule, path: &str, text: &str) -> Vec<usize> {
        check(rule, &format!("crates/{path}"), text)
    }
}
