//! Keys of objects by template: `${deviceId}/${date}/${name}`.

use super::{KeyError, ObjectKey};
use crate::limits;

/// A template for keys, read once and filled for each object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A variable that nobody fills.
    #[error("the key template names ${{{name}}}; known are {known}")]
    Unknown {
        /// What it names.
        name: String,
        /// What it may name.
        known: String,
    },
    /// `${` without its end.
    #[error("a ${{ without its }} in a key template")]
    Open,
    /// It is too long to become a key.
    #[error("a key template of {0} bytes; {max} are taken at most", max = limits::S3_KEY_BYTES_MAX)]
    TooLong(usize),
    /// What it was filled with makes no key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl KeyTemplate {
    /// Reads a template that may name these variables; `$$` is a dollar sign.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, known: &[&str]) -> Result<KeyTemplate, TemplateError> {
        if text.len() > limits::S3_KEY_BYTES_MAX {
            return Err(TemplateError::TooLong(text.len()));
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix('{') {
                let (name, behind) = behind.split_once('}').ok_or(TemplateError::Open)?;
                if !known.contains(&name) {
                    return Err(TemplateError::Unknown {
                        name: name.to_owned(),
                        known: known.join(", "),
                    });
                }
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(Piece::Variable(name.to_owned()));
                rest = behind;
            } else {
                plain.push('$');
                rest = rest.strip_prefix('$').unwrap_or(rest);
            }
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        Ok(KeyTemplate { pieces })
    }

    /// The key, with what `value` gives for each variable; one that it does not know is empty.
    ///
    /// # Errors
    /// When the result is no key, such as with the name `..`.
    pub fn key<'a>(
        &self,
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<ObjectKey, TemplateError> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Variable(name) => value(name).unwrap_or_default(),
        });
        Ok(ObjectKey::new(pieces.collect::<String>())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["deviceId", "date", "name"];

    fn filled(template: &str, name: &str) -> Result<String, TemplateError> {
        let value = |variable: &str| match variable {
            "deviceId" => Some("d7"),
            "date" => Some("2026-11-22"),
            "name" => Some(name),
            _ => None,
        };
        let key = KeyTemplate::parse(template, KNOWN)?.key(value)?;
        Ok(key.as_str().to_owned())
    }

    #[test]
    fn a_template_is_filled() {
        let cases = [
            ("${deviceId}/${date}/${name}", "d7/2026-11-22/a.txt"),
            ("logs/${name}", "logs/a.txt"),
            ("${name}${name}", "a.txta.txt"),
            ("$$1 $2 $", "$1 $2 $"),
            ("$${name}", "${name}"),
            ("{name}", "{name}"),
            ("plain", "plain"),
        ];
        for (template, expected) in cases {
            assert_eq!(
                filled(template, "a.txt").as_deref(),
                Ok(expected),
                "{template}"
            );
        }
        // What fills it is not a template itself.
        assert_eq!(filled("${name}", "${date}").as_deref(), Ok("${date}"));
    }

    #[test]
    fn what_makes_no_key_is_refused() {
        assert_eq!(
            KeyTemplate::parse("${user}", KNOWN)
                .unwrap_err()
                .to_string(),
            "the key template names ${user}; known are deviceId, date, name"
        );
        assert_eq!(
            KeyTemplate::parse("${name", KNOWN),
            Err(TemplateError::Open)
        );
        assert_eq!(filled("${name}", ""), Err(KeyError::Length(0).into()));
        assert_eq!(
            filled("a/${name}/b", ".."),
            Err(KeyError::Dots("..").into())
        );
        assert_eq!(
            filled("${name}", &"x".repeat(1025)),
            Err(KeyError::Length(1025).into())
        );
        let max = limits::S3_KEY_BYTES_MAX;
        assert!(KeyTemplate::parse(&"x".repeat(max), KNOWN).is_ok());
        assert_eq!(
            KeyTemplate::parse(&"x".repeat(max + 1), KNOWN),
            Err(TemplateError::TooLong(max + 1))
        );
    }
}
