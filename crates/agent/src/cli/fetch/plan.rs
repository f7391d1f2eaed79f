//! From the words of the command line to one request.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use periwinkle_core::fetch::item::{Item, json_object};
use periwinkle_core::fetch::{Url, UrlError};
use periwinkle_core::limits::FETCH_ITEM_BYTES_MAX;
use periwinkle_core::value::json;

use super::args::Fetch;
use crate::cli::failure::Failure;

/// A request as it was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) method: String,
    /// With the parameters of the query.
    pub(super) url: Url,
    /// In their order; `None` leaves out a field that is sent by default.
    pub(super) headers: Vec<(String, Option<String>)>,
    pub(super) body: Body,
}

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// A JSON object.
    Json(String),
    /// A form without files.
    Form(Vec<(String, String)>),
    /// A form in parts.
    Parts(Vec<Part>),
    /// A file as it is, or standard input (`-`), of a type that its name tells.
    File {
        path: String,
        content_type: &'static str,
    },
}

/// A part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text {
        name: String,
        value: String,
    },
    File {
        name: String,
        path: String,
        content_type: String,
    },
}

impl Plan {
    /// Reads the words; files that give values are read, those that are sent are not.
    pub(super) fn new(options: &Fetch) -> Result<Plan, Failure> {
        let (method, address, items) = divide(&options.words)?;
        let items = items
            .iter()
            .map(|word| Item::parse(word).map_err(|error| Failure::usage(error.to_string())))
            .collect::<Result<Vec<Item>, Failure>>()?;
        let items = read_values(items)?;
        let mut url = url(address)?;
        let mut headers = Vec::new();
        for item in &items {
            match item {
                Item::Query { name, value } => url.push_parameter(name, value),
                Item::Header { name, value } => headers.push((name.clone(), value.clone())),
                _ => {}
            }
        }
        if let Some(range) = &options.range {
            headers.push(("Range".to_owned(), Some(range_field(range)?)));
        }
        let body = body(&items, options)?;
        let method = match method {
            Some(method) => method.to_ascii_uppercase(),
            None if body == Body::None => "GET".to_owned(),
            None => "POST".to_owned(),
        };
        Ok(Plan {
            method,
            url,
            headers,
            body,
        })
    }

    /// Whether a field of this name was typed, to be sent or to be left out.
    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(typed, _)| typed.eq_ignore_ascii_case(name))
    }
}

/// The method where one is named, the address, and the items.
fn divide(words: &[String]) -> Result<(Option<&str>, &str, &[String]), Failure> {
    match words {
        [method, address, items @ ..] if is_method(method) => Ok((Some(method), address, items)),
        [method] if is_method(method) => Err(Failure::usage(format!(
            "{method} what? An address is missing"
        ))),
        [address, items @ ..] => Ok((None, address, items)),
        [] => Err(Failure::usage("an address is missing")),
    }
}

/// Any word in capitals, and the usual ones in small letters as well.
fn is_method(word: &str) -> bool {
    const USUAL: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
    let capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
    capitals || USUAL.contains(&word.to_ascii_lowercase().as_str())
}

/// The address, with what was left out in front of it.
pub(super) fn url(address: &str) -> Result<Url, Failure> {
    let whole = match address {
        address if address.contains("://") => address.to_owned(),
        address if address.starts_with(':') => format!("http://localhost{address}"),
        address if is_here(address) => format!("http://{address}"),
        address => format!("https://{address}"),
    };
    // These schemes say what the request becomes, which the options say here.
    let whole = match whole.split_once("://") {
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(("wss", rest)) => format!("https://{rest}"),
        _ => whole,
    };
    Url::parse(&whole).map_err(|error| match error {
        // What stands before the @ is a secret in most cases.
        UrlError::Credentials => Failure::usage(error.to_string())
            .hint("give the name with --user NAME: the password is asked for"),
        error => Failure::usage(format!("{}: {error}", beginning(address))),
    })
}

/// As much of an address as tells which one it is.
fn beginning(address: &str) -> String {
    const SHOWN: usize = 200;
    match address.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", &address[..at]),
        None => address.to_owned(),
    }
}

/// Whether an address without a scheme is one of this machine.
fn is_here(address: &str) -> bool {
    let host = address.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn range_field(range: &str) -> Result<String, Failure> {
    let number = |text: &str| match text {
        "" => Some(None),
        digits => digits.parse::<u64>().ok().map(Some),
    };
    let ends = range.split_once('-');
    let ends = ends.and_then(|(from, to)| number(from).zip(number(to)));
    let good = match ends {
        None | Some((None, None)) => false,
        Some((Some(from), Some(to))) => from <= to,
        Some(_) => true,
    };
    match good {
        true => Ok(format!("bytes={range}")),
        false => Err(Failure::usage(format!(
            "--range: {range:?} is no range: use 0-999, 1000- or -500"
        ))),
    }
}

/// Items whose value lies in a file become the same items with the value.
fn read_values(items: Vec<Item>) -> Result<Vec<Item>, Failure> {
    let read = |item| match item {
        Item::TextFile { name, path } => Ok(Item::Text {
            name,
            value: text_of(&path)?,
        }),
        Item::JsonFile { name, path } => match json::parse(&text_of(&path)?) {
            Ok(value) => Ok(Item::Json { name, value }),
            Err(error) => Err(Failure::input(format!("{path} holds no JSON: {error}"))),
        },
        item => Ok(item),
    };
    items.into_iter().map(read).collect()
}

/// The text in a file, which may be a pipe or a device: what is read is bounded, not what it says
/// of its length.
fn text_of(path: &str) -> Result<String, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::input(format!("{path}: {why}"));
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut text = Vec::new();
    file.take(FETCH_ITEM_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| failed(&error))?;
    if text.len() as u64 > FETCH_ITEM_BYTES_MAX {
        return Err(failed(&format!(
            "a value may have {FETCH_ITEM_BYTES_MAX} bytes; send the file itself as @{path}"
        )));
    }
    String::from_utf8(text).map_err(|_| failed(&"it holds no text (UTF-8)"))
}

fn body(items: &[Item], options: &Fetch) -> Result<Body, Failure> {
    let whole: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            Item::Body { path } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    let files = items.iter().any(|item| matches!(item, Item::File { .. }));
    let values = items
        .iter()
        .any(|item| matches!(item, Item::Text { .. } | Item::Json { .. }));
    match whole[..] {
        [path] if !values && !files => Ok(Body::File {
            path: path.to_owned(),
            content_type: content_type(path),
        }),
        [] if files && options.json => Err(Failure::usage(
            "a file cannot be part of a JSON object: use --form, or key=@file for its text",
        )),
        [] if files || options.multipart => Ok(Body::Parts(parts(items))),
        [] if options.form => Ok(Body::Form(fields(items))),
        [] if values => Ok(Body::Json(json_object(items).to_json())),
        [] => Ok(Body::None),
        _ => Err(Failure::usage(
            "the body is either one @file or made of key=value items",
        )),
    }
}

fn fields(items: &[Item]) -> Vec<(String, String)> {
    let field = |item: &Item| match item {
        Item::Text { name, value } => Some((name.clone(), value.clone())),
        Item::Json { name, value } => Some((name.clone(), value.to_json())),
        _ => None,
    };
    items.iter().filter_map(field).collect()
}

fn parts(items: &[Item]) -> Vec<Part> {
    let part = |item: &Item| match item {
        Item::Text { name, value } => Some(Part::Text {
            name: name.clone(),
            value: value.clone(),
        }),
        Item::Json { name, value } => Some(Part::Text {
            name: name.clone(),
            value: value.to_json(),
        }),
        Item::File {
            name,
            path,
            content_type: given,
        } => Some(Part::File {
            name: name.clone(),
            path: path.clone(),
            content_type: given
                .clone()
                .unwrap_or_else(|| content_type(path).to_owned()),
        }),
        _ => None,
    };
    items.iter().filter_map(part).collect()
}

/// What the end of a file's name says of its content.
fn content_type(path: &str) -> &'static str {
    const TYPES: [(&str, &str); 12] = [
        ("json", "application/json"),
        ("xml", "application/xml"),
        ("txt", "text/plain; charset=utf-8"),
        ("log", "text/plain; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("svg", "image/svg+xml"),
        ("pdf", "application/pdf"),
        ("gz", "application/gzip"),
    ];
    let end = Path::new(path).extension().and_then(|end| end.to_str());
    let end = end.unwrap_or_default().to_ascii_lowercase();
    let known = TYPES.iter().find(|(name, _)| *name == end);
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fetch: Fetch,
    }

    fn plan(words: &[&str]) -> Result<Plan, Failure> {
        let words = std::iter::once("fetch").chain(words.iter().copied());
        Plan::new(&Line::try_parse_from(words).expect("clap takes it").fetch)
    }

    fn shown(words: &[&str]) -> String {
        match plan(words) {
            Ok(plan) => format!("{} {} {:?}", plan.method, plan.url, plan.body),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn the_method_follows_from_what_is_sent() {
        for (words, expected) in [
            (&["http://h/a"][..], "GET http://h/a None"),
            (&["http://h/", "X:1", "q==1"], "GET http://h/?q=1 None"),
            (
                &["http://h/", "a=1"],
                r#"POST http://h/ Json("{\"a\":\"1\"}")"#,
            ),
            (
                &["put", "http://h/", "a:=1"],
                r#"PUT http://h/ Json("{\"a\":1}")"#,
            ),
            (&["PROPFIND", "http://h/"], "PROPFIND http://h/ None"),
            (&["delete", "localhost"], "DELETE http://localhost/ None"),
        ] {
            assert_eq!(shown(words), expected);
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_safe_or_here() {
        for (address, expected) in [
            ("example.com", "https://example.com/"),
            ("example.com:8443/a?b", "https://example.com:8443/a?b"),
            ("localhost:8080/x", "http://localhost:8080/x"),
            (":8080", "http://localhost:8080/"),
            (":/x", "http://localhost/x"),
            ("127.0.0.1/x", "http://127.0.0.1/x"),
            ("[::1]:80", "http://[::1]/"),
            ("127.example.com", "https://127.example.com/"),
            ("wss://h/x", "https://h/x"),
            ("HTTPS://h", "https://h/"),
        ] {
            let found = url(address).map(|url| url.to_string());
            assert_eq!(
                found.unwrap_or_else(|f| f.to_string()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn a_form_has_fields_or_parts() {
        assert_eq!(
            plan(&["--form", "h", "a=1", "b:=[2]"]).unwrap().body,
            Body::Form(vec![("a".into(), "1".into()), ("b".into(), "[2]".into())])
        );
        let file = Part::File {
            name: "f".into(),
            path: "x.PNG".into(),
            content_type: "image/png".into(),
        };
        let text = Part::Text {
            name: "a".into(),
            value: "1".into(),
        };
        assert_eq!(
            plan(&["h", "a=1", "f@x.PNG"]).unwrap().body,
            Body::Parts(vec![text, file])
        );
        let none = plan(&["--multipart", "h"]).unwrap().body;
        assert_eq!(none, Body::Parts(Vec::new()));
    }

    #[test]
    fn what_cannot_be_sent_is_said() {
        for (words, part) in [
            (&["GET"][..], "An address is missing"),
            (&["h", "word"], "\"word\" is no item"),
            (&["h", "@a", "b=c"], "either one @file or made of"),
            (&["h", "@a", "@b"], "either one @file or made of"),
            (&["--json", "h", "a@b"], "cannot be part of a JSON object"),
            (&["--range", "x", "h"], "\"x\" is no range"),
            (&["--range", "-", "h"], "\"-\" is no range"),
            (&["--range", "10-5", "h"], "\"10-5\" is no range"),
            (&["h", "a=@/nowhere"], "/nowhere: No such file"),
            (&["ftp://h/"], "ftp://h/: "),
        ] {
            let failure = plan(words).expect_err("it cannot be sent").to_string();
            assert!(failure.contains(part), "{words:?}: {failure}");
        }
    }

    #[test]
    fn a_wrong_address_is_told_without_its_password_and_at_no_great_length() {
        let failure = url("http://me:geheim@h/").expect_err("it holds a password");
        assert!(!failure.to_string().contains("geheim"), "{failure}");
        assert!(failure.to_string().contains("--user NAME"), "{failure}");
        let long = format!("http://h/?{}", "ä".repeat(40_000));
        let failure = url(&long).expect_err("it is too long").to_string();
        assert!(failure.len() < 600, "{failure}");
        assert!(failure.contains("taken at most"), "{failure}");
    }

    #[test]
    fn a_range_becomes_a_field() {
        let headers = plan(&["--range", "5-", "h"]).unwrap().headers;
        assert_eq!(headers, [("Range".to_owned(), Some("bytes=5-".to_owned()))]);
    }

    #[test]
    fn values_come_from_files_up_to_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        let path = path.to_str().unwrap();
        fs::write(path, "[1,2]").unwrap();
        let words = [format!("a:=@{path}"), format!("b=@{path}")];
        assert_eq!(
            plan(&["h", &words[0], &words[1]]).unwrap().body,
            Body::Json(r#"{"a":[1,2],"b":"[1,2]"}"#.to_owned())
        );
        let file = File::create(path).unwrap();
        file.set_len(FETCH_ITEM_BYTES_MAX).unwrap();
        assert!(plan(&["h", &words[1]]).is_ok());
        file.set_len(FETCH_ITEM_BYTES_MAX + 1).unwrap();
        let failure = plan(&["h", &words[1]]).expect_err("it is too long");
        assert!(
            failure.to_string().contains("send the file itself"),
            "{failure}"
        );
        let failure = plan(&["h", "a=@/dev/zero"]).expect_err("it has no end");
        assert!(
            failure.to_string().contains("send the file itself"),
            "{failure}"
        );
        // Its length is told as zero.
        let version = fs::read_to_string("/proc/version").unwrap();
        let typed = format!("a={version}");
        assert_eq!(
            plan(&["h", "a=@/proc/version"]).unwrap().body,
            plan(&["h", &typed]).unwrap().body
        );
        fs::write(path, b"\xff").unwrap();
        let failure = plan(&["h", &words[1]]).expect_err("it is no text");
        assert!(failure.to_string().contains("no text"), "{failure}");
    }

    #[test]
    fn the_commands_of_the_guide_can_be_typed() {
        let guide = include_str!("../../../../../docs/guide/fetch.md");
        let commands = guide
            .lines()
            .filter_map(|line| line.strip_prefix("    periwinkle fetch "));
        let mut count = 0;
        for command in commands {
            // Words as a shell sees them; what is behind < is the shell's alone.
            let command = command.split(" < ").next().unwrap();
            let mut words = vec![String::new()];
            for (at, piece) in command.split('\'').enumerate() {
                let mut pieces = piece.split(|c| at % 2 == 0 && c == ' ');
                words.last_mut().unwrap().push_str(pieces.next().unwrap());
                words.extend(pieces.map(str::to_owned));
            }
            let line = std::iter::once("fetch").chain(words.iter().map(String::as_str));
            let line = Line::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
            if !line.fetch.aws {
                Plan::new(&line.fetch).unwrap_or_else(|failure| panic!("{command}: {failure}"));
            }
            count += 1;
        }
        assert_eq!(count, 11);
    }
}
