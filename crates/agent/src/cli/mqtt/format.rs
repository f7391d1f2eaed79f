//! How `sub` prints a message.

use std::time::SystemTime;

use periwinkle_core::hex;
use periwinkle_core::time::UnixMillis;
use serde_json::{Map, Value, json};

use crate::api::insert_payload;

/// A message, whoever it was received by.
pub(super) struct Shown<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) dup: bool,
    pub(super) content_type: Option<&'a str>,
    pub(super) response_topic: Option<&'a str>,
    pub(super) user: Vec<(&'a str, &'a str)>,
    pub(super) at: SystemTime,
}

/// The form of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One line of JSON.
    Json,
    /// These pieces, one after the other.
    Pieces(Vec<Piece>),
}

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Topic,
    Payload,
    Hexadecimal,
    Length,
    Qos,
    Retain,
    Dup,
    Time,
    Json,
}

impl Format {
    /// What is printed when nothing is said.
    pub(super) fn payload() -> Format {
        Format::Pieces(vec![Piece::Payload])
    }

    pub(super) fn topic_and_payload() -> Format {
        Format::Pieces(vec![
            Piece::Topic,
            Piece::Text(" ".to_owned()),
            Piece::Payload,
        ])
    }

    pub(super) fn parse(text: &str) -> Result<Format, String> {
        if text == "json" {
            return Ok(Format::Json);
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '%' => match letters.next() {
                    Some('%') => plain.push('%'),
                    Some(letter) => {
                        if !plain.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut plain)));
                        }
                        pieces.push(piece(letter)?);
                    }
                    None => return Err("it ends in %; %% is a percent sign".to_owned()),
                },
                '\\' => plain.push(escaped(letters.next())?),
                letter => plain.push(letter),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Format::Pieces(pieces))
    }

    pub(super) fn line(&self, message: &Shown<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        match self {
            Format::Json => line.extend(message.json().to_string().bytes()),
            Format::Pieces(pieces) => {
                for piece in pieces {
                    message.write(piece, &mut line);
                }
            }
        }
        line
    }
}

fn piece(letter: char) -> Result<Piece, String> {
    Ok(match letter {
        't' => Piece::Topic,
        'p' => Piece::Payload,
        'x' => Piece::Hexadecimal,
        'l' => Piece::Length,
        'q' => Piece::Qos,
        'r' => Piece::Retain,
        'd' => Piece::Dup,
        'I' => Piece::Time,
        'j' => Piece::Json,
        letter => return Err(format!("%{letter} stands for nothing; see --help")),
    })
}

fn escaped(letter: Option<char>) -> Result<char, String> {
    match letter {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('\\') => Ok('\\'),
        _ => Err("after \\ comes n, t or \\".to_owned()),
    }
}

impl Shown<'_> {
    fn write(&self, piece: &Piece, line: &mut Vec<u8>) {
        match piece {
            Piece::Text(text) => line.extend(text.bytes()),
            Piece::Topic => line.extend(self.topic.bytes()),
            Piece::Payload => line.extend(self.payload),
            Piece::Hexadecimal => line.extend(hex::encode(self.payload).bytes()),
            Piece::Length => line.extend(self.payload.len().to_string().bytes()),
            Piece::Qos => line.extend(self.qos.to_string().bytes()),
            Piece::Retain => line.push(b'0' + u8::from(self.retain)),
            Piece::Dup => line.push(b'0' + u8::from(self.dup)),
            Piece::Time => line.extend(self.time().bytes()),
            Piece::Json => line.extend(self.json().to_string().bytes()),
        }
    }

    fn time(&self) -> String {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.map_or(0, |since| since.as_millis());
        UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX)).iso()
    }

    fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("time".to_owned(), self.time().into());
        all.insert("topic".to_owned(), self.topic.into());
        all.insert("qos".to_owned(), self.qos.into());
        all.insert("retain".to_owned(), self.retain.into());
        if self.dup {
            all.insert("dup".to_owned(), true.into());
        }
        for (name, text) in [
            ("content_type", self.content_type),
            ("response_topic", self.response_topic),
        ] {
            if let Some(text) = text {
                all.insert(name.to_owned(), text.into());
            }
        }
        if !self.user.is_empty() {
            let user: Vec<Value> = self
                .user
                .iter()
                .map(|(name, value)| json!([name, value]))
                .collect();
            all.insert("user".to_owned(), user.into());
        }
        insert_payload(&mut all, self.payload);
        Value::Object(all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(payload: &[u8]) -> Shown<'_> {
        Shown {
            topic: "a/b",
            payload,
            qos: 1,
            retain: true,
            dup: false,
            content_type: Some("text/plain"),
            response_topic: None,
            user: vec![("k", "v"), ("k", "w")],
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        }
    }

    #[track_caller]
    fn check(format: &str, line: &str) {
        let format = Format::parse(format).unwrap();
        assert_eq!(String::from_utf8_lossy(&format.line(&shown(b"hi"))), line);
    }

    #[test]
    fn a_form_is_pieces_and_text() {
        check("%t %q %r %d %p", "a/b 1 1 0 hi");
        check("%x\\t%l\\n100%%\\\\", "6869\t2\n100%\\");
        check("%I", "1970-01-01T00:00:01.500Z");
        assert!(Format::parse("%z").unwrap_err().contains("%z"));
        assert!(Format::parse("50%").is_err());
        assert!(Format::parse("\\q").is_err());
    }

    #[test]
    fn json_holds_everything_and_bytes_that_are_no_text() {
        let line = Format::parse("json").unwrap().line(&shown(b"hi"));
        assert_eq!(
            serde_json::from_slice::<Value>(&line).unwrap(),
            json!({
                "time": "1970-01-01T00:00:01.500Z", "topic": "a/b", "qos": 1, "retain": true,
                "content_type": "text/plain", "user": [["k", "v"], ["k", "w"]], "payload": "hi",
            })
        );
        let line = Format::Json.line(&shown(b"\xff\x00"));
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["payload_base64"], "/wA=");
        assert_eq!(value.get("payload"), None);
    }
}
