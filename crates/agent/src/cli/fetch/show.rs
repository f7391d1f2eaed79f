//! What is printed of a request and its answer.

use http::HeaderMap;
use periwinkle_core::value::json;

use crate::cli::failure::Failure;
use crate::cli::human;

/// The choice of `--show`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Show {
    pub(super) request_head: bool,
    pub(super) request_body: bool,
    pub(super) head: bool,
    pub(super) body: bool,
}

impl Show {
    /// Reads the letters; without any, a person sees more than a program.
    pub(super) fn parse(letters: Option<&str>, is_terminal: bool) -> Result<Show, Failure> {
        let letters = match (letters, is_terminal) {
            (Some(letters), _) => letters,
            (None, true) => "hb",
            (None, false) => "b",
        };
        let mut show = Show::default();
        for letter in letters.chars() {
            let part = match letter {
                'H' => &mut show.request_head,
                'B' => &mut show.request_body,
                'h' => &mut show.head,
                'b' => &mut show.body,
                other => {
                    return Err(Failure::usage(format!(
                        "--show: {other:?} is none of H, B (request), h, b (answer)"
                    )));
                }
            };
            *part = true;
        }
        Ok(show)
    }
}

/// A first line and the fields below it, with the empty line that ends them.
pub(super) fn head(first: &str, fields: &HeaderMap, is_terminal: bool) -> Vec<u8> {
    let mut text = format!("{first}\n").into_bytes();
    for (name, value) in fields {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    match is_terminal {
        true => visible(&String::from_utf8_lossy(&text)).into_bytes(),
        false => text,
    }
}

/// A body for a person: JSON is laid out, other text is shown, and what is no text is described.
pub(super) fn for_people(content_type: &str, body: &[u8]) -> String {
    let binary = || {
        let kind = match content_type {
            "" => "bytes that are no text",
            kind => kind,
        };
        format!(
            "{} of {} are not shown; --output FILE keeps them\n",
            human::size(body.len() as u64),
            visible(kind)
        )
    };
    let Ok(text) = str::from_utf8(body) else {
        return binary();
    };
    if text.contains('\0') {
        return binary();
    }
    // What the parser accepts keeps its own numbers, order and spelling.
    let mut text = match content_type.contains("json") && json::parse(text).is_ok() {
        true => lay_out(text),
        false => visible(text),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Characters that would steer the terminal are replaced; lines stay lines.
pub(super) fn visible(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => Some(c),
        '\r' => None,
        c if c.is_control() => Some('\u{fffd}'),
        c => Some(c),
    };
    text.chars().filter_map(safe).collect()
}

/// JSON with an element a line.
fn lay_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' => {
                let end = end_of_string(rest);
                out.push_str(&rest[..end]);
                rest = &rest[end..];
                continue;
            }
            '{' | '[' => {
                let close = if first == '{' { '}' } else { ']' };
                let inside = rest[1..].trim_start();
                if let Some(after) = inside.strip_prefix(close) {
                    out.extend([first, close]);
                    rest = after;
                    continue;
                }
                depth += 1;
                out.push(first);
                new_line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(first);
            }
            ',' => {
                out.push(first);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
        rest = &rest[first.len_utf8()..];
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', 2 * depth));
}

/// Behind the closing quote of a text that begins with one.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_person_sees_more_than_a_program() {
        let show = |letters, is_terminal| Show::parse(letters, is_terminal).unwrap();
        let body = Show {
            body: true,
            ..Show::default()
        };
        assert_eq!(show(None, false), body);
        assert_eq!(show(None, true), Show { head: true, ..body });
        assert_eq!(show(Some(""), true), Show::default());
        let all = show(Some("HBhb"), false);
        assert!(all.request_head && all.request_body && all.head && all.body);
        assert_eq!(Show::parse(Some("x"), true).unwrap_err().code, 64);
    }

    #[test]
    fn json_is_laid_out_and_keeps_its_spelling() {
        let text = r#"{"b":1.50,"a":[ ],"c":[1e3,"x, {\"y\": 1}"],"d":{"e":{ }},"f":null}"#;
        let expected = r#"{
  "b": 1.50,
  "a": [],
  "c": [
    1e3,
    "x, {\"y\": 1}"
  ],
  "d": {
    "e": {}
  },
  "f": null
}
"#;
        assert_eq!(for_people("application/json", text.as_bytes()), expected);
        assert_eq!(for_people("text/plain", b"[1]"), "[1]\n");
        assert_eq!(for_people("application/json", b"[1"), "[1\n");
        assert_eq!(for_people("application/json", b""), "");
    }

    #[test]
    fn what_is_no_text_is_described_and_nothing_steers_the_terminal() {
        assert_eq!(
            for_people("image/png", b"\x89PNG\0"),
            "5 bytes of image/png are not shown; --output FILE keeps them\n"
        );
        assert_eq!(
            for_people("text/plain", b"a\x1b[2J\r\nb"),
            "a\u{fffd}[2J\nb\n"
        );
        let mut fields = HeaderMap::new();
        fields.insert("x-a", HeaderValue::from_bytes(b"\xc2\x9bb").unwrap());
        let text = head("HTTP/1.1 200 OK", &fields, true);
        assert_eq!(text, "HTTP/1.1 200 OK\nx-a: \u{fffd}b\n\n".as_bytes());
    }
}
