//! Value templates: `dev#${deviceId}#up#${month}`, with `${name:length:pad}` for sorted numbers.

use std::borrow::Cow;
use std::fmt;

use crate::value::Name;

/// A text with variables, from which keys and other computed attributes are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable {
        name: Name,
        width: usize,
        pad: String,
    },
}

/// What a template is made of, in order.
pub(super) enum Piece<'a> {
    Text(&'a str),
    /// The value of a variable as it is.
    Variable(&'a Name),
    /// A value that is filled up to a width.
    Padded,
}

impl Template {
    /// Reads a template; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find("${") {
            if open > 0 {
                parts.push(Part::Literal(rest[..open].to_owned()));
            }
            let Some(close) = rest[open..].find('}') else {
                return Err(format!(
                    "the template \"{text}\" has \"${{\" without \"}}\""
                ));
            };
            parts.push(parse_variable(&rest[open + 2..open + close])?);
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Template {
            text: text.to_owned(),
            parts,
        })
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        self.parts.iter().map(|part| match part {
            Part::Literal(text) => Piece::Text(text),
            Part::Variable { name, width: 0, .. } => Piece::Variable(name),
            Part::Variable { .. } => Piece::Padded,
        })
    }

    /// The names of the variables, in order, repetitions included.
    pub fn variables(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { name, .. } => Some(name),
            Part::Literal(_) => None,
        })
    }

    /// Whether values of a variable are filled up to a width.
    pub fn pads(&self, variable: &str) -> bool {
        self.parts.iter().any(|part| {
            matches!(part, Part::Variable { name, width, .. } if *name == *variable && *width > 0)
        })
    }

    /// The text before the first variable.
    pub fn literal_prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// Which of the parts between separators is this variable and nothing else, counted from 0.
    pub(super) fn part_of(&self, variable: &str, separator: &str) -> Option<usize> {
        let marked: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.clone(),
                Part::Variable { name, .. } => format!("\0{name}\0"),
            })
            .collect();
        let wanted = format!("\0{variable}\0");
        marked.split(separator).position(|part| part == wanted)
    }

    /// The length of the fixed texts if `text` can come from the template.
    ///
    /// Fixed texts are looked for from left to right, each as early as it can be; the last one must
    /// end the text.
    pub fn fit(&self, text: &str) -> Option<usize> {
        let mut rest = text;
        let mut fixed = 0;
        let mut open = false;
        for (at, part) in self.parts.iter().enumerate() {
            let Part::Literal(literal) = part else {
                open = true;
                continue;
            };
            let last = at + 1 == self.parts.len();
            rest = match (open, last) {
                (false, _) => rest.strip_prefix(literal.as_str())?,
                (true, true) => rest.strip_suffix(literal.as_str()).map(|_| "")?,
                (true, false) => &rest[rest.find(literal.as_str())? + literal.len()..],
            };
            fixed += literal.len();
            open = false;
        }
        (open || rest.is_empty()).then_some(fixed)
    }

    /// The whole text, or `None` when a variable has no value.
    pub fn render<'v>(&self, value: impl Fn(&Name) -> Option<Cow<'v, str>>) -> Option<String> {
        let (text, complete) = self.expand(value);
        complete.then_some(text)
    }

    /// The text up to the first variable without a value, and whether there was none of those.
    pub fn expand<'v>(&self, value: impl Fn(&Name) -> Option<Cow<'v, str>>) -> (String, bool) {
        // Room for one generated id, so that most keys are made in one piece.
        let mut text = String::with_capacity(self.text.len() + 24);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Variable { name, width, pad } => {
                    let Some(value) = value(name) else {
                        return (text, false);
                    };
                    if *width > 0 {
                        // Counted as JavaScript counts letters.
                        let missing = width.saturating_sub(value.encode_utf16().count());
                        text.extend(std::iter::repeat_n(pad.as_str(), missing));
                    }
                    text.push_str(&value);
                }
            }
        }
        (text, true)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_variable(text: &str) -> Result<Part, String> {
    let mut pieces = text.splitn(3, ':');
    let name = pieces.next().unwrap_or_default();
    if name.is_empty() {
        return Err("a template variable needs a name: ${name}".to_owned());
    }
    if name.contains('[') || name.split('.').any(str::is_empty) {
        return Err(format!(
            "the template variable \"{name}\" must be a field, or one of a nested object: address.street"
        ));
    }
    let width = match pieces.next() {
        None | Some("") => 0,
        Some(digits) => digits
            .parse()
            .ok()
            .filter(|width| *width <= WIDTH_MAX)
            .ok_or_else(|| {
                format!("\"{digits}\" in \"${{{text}}}\" is not a length from 0 to {WIDTH_MAX}")
            })?,
    };
    let pad = match pieces.next() {
        None | Some("") => "0",
        Some(pad) if pad.chars().count() == 1 => pad,
        Some(pad) => return Err(format!("the padding \"{pad}\" must be one character")),
    };
    Ok(Part::Variable {
        name: name.into(),
        width,
        pad: pad.to_owned(),
    })
}

/// A key has room for 2048 bytes at most.
const WIDTH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &Name) -> Option<Cow<'static, str>> {
        match name.as_str() {
            "a" => Some("x".into()),
            "n" => Some("42".into()),
            "smile" => Some("😀".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_and_padded() {
        let table = [
            ("plain", Some("plain")),
            ("${a}", Some("x")),
            ("P#${a}#${n}", Some("P#x#42")),
            ("${n:5}", Some("00042")),
            ("${n:5:_}", Some("___42")),
            ("${n:1}", Some("42")),
            ("${smile:5}", Some("000😀")),
            ("P#${a}#${missing}#x", None),
        ];
        for (text, expected) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.render(values).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_is_a_part_only_if_it_stands_alone_between_separators() {
        let table = [
            ("Order#${shop}#${day:8:0}", "shop", Some(1)),
            ("Order#${shop}#${day:8:#}", "day", Some(2)),
            ("${shop}", "shop", Some(0)),
            ("Order#s${shop}", "shop", None),
            ("Order#${shop}", "day", None),
        ];
        for (text, variable, part) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.part_of(variable, "#"), part, "{text} {variable}");
        }
    }

    #[test]
    fn an_unresolved_variable_ends_the_prefix() {
        let template = Template::parse("P#${a}#${missing}#${n}").unwrap();
        assert_eq!(template.expand(values), ("P#x#".to_owned(), false));
        assert_eq!(template.literal_prefix(), "P#");
        assert_eq!(
            template.variables().collect::<Vec<_>>(),
            ["a", "missing", "n"]
        );
    }

    #[test]
    fn a_text_fits_if_it_can_come_from_the_template() {
        let table = [
            ("P#", "P#", Some(2)),
            ("P#", "P#x", None),
            ("P#${a}", "P#x#y", Some(2)),
            ("P#${a}", "Q#x", None),
            ("P#${a}#end", "P#x#end", Some(6)),
            ("P#${a}#end", "P#x", None),
            ("dev#${a}#up#${n}", "dev#x#up#2", Some(8)),
            ("dev#${a}#up#${n}", "dev#x#rw", None),
            ("${a}", "", Some(0)),
        ];
        for (template, text, expected) in table {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.fit(text), expected, "{template} {text}");
        }
    }

    #[test]
    fn a_broken_template_says_what_is_wrong() {
        let table = [
            ("x${a", "the template \"x${a\" has \"${\" without \"}\""),
            ("${}", "a template variable needs a name: ${name}"),
            (
                "${a:x}",
                "\"x\" in \"${a:x}\" is not a length from 0 to 1024",
            ),
            ("${a:3:ab}", "the padding \"ab\" must be one character"),
            (
                "${a[0]}",
                "the template variable \"a[0]\" must be a field, or one of a nested object: address.street",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(Template::parse(text).unwrap_err(), expected);
        }
    }
}
