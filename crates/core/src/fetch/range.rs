//! Downloads that go on where they were cut (RFC 9110, sections 13.1.5 and 14).

use sha2::{Digest as _, Sha256};

use super::url::Url;
use crate::hex;

/// What is known of a download that was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// The bytes that are there.
    pub received: u64,
    /// The length of the whole, once an answer told.
    pub length: Option<u64>,
    /// What tells this state of the file apart from others: a strong entity tag.
    pub etag: Option<String>,
}

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Continuation {
    /// Its body goes behind what is there.
    Append,
    /// Its body is the whole file: drop what is there.
    StartOver(Partial),
    /// Everything is there already.
    Complete,
}

/// Why an answer is of no use for a download.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The status is not one for a file.
    #[error("status {0} for a download")]
    Status(u16),
    /// The answer is a part, and not the one that was asked for.
    #[error("another part of the file than was asked for")]
    OtherPart,
    /// The answer is a part, and the whole was asked for: asking again would end the same.
    #[error("a part of the file, although all of it was asked for")]
    Unasked,
    /// The file is another than before: ask for the whole.
    #[error("the file was changed since the download began")]
    Changed,
}

/// `bytes 0-99/1000`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte; `None` where a range could not be given.
    pub range: Option<(u64, u64)>,
    /// The length of the whole, if it is known.
    pub length: Option<u64>,
}

impl ContentRange {
    /// Reads the field; `None` when it is not one of bytes, or contradicts itself.
    pub fn parse(field: &str) -> Option<ContentRange> {
        let (unit, rest) = field.trim().split_once(' ')?;
        let (range, length) = rest.trim().split_once('/')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let length = match length {
            "*" => None,
            digits => Some(number(digits)?),
        };
        let range = match range {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (number(first)?, number(last)?);
                let fits = first <= last && length.is_none_or(|length| last < length);
                Some(fits.then_some((first, last))?)
            }
        };
        // Neither is known: the field says nothing.
        (range.is_some() || length.is_some()).then_some(ContentRange { range, length })
    }
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// The fields of an answer to a download.
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeAnswer<'a> {
    /// The status.
    pub status: u16,
    /// `ETag`
    pub etag: Option<&'a str>,
    /// `Content-Length`
    pub content_length: Option<u64>,
    /// `Content-Range`
    pub content_range: Option<&'a str>,
}

impl Partial {
    /// The fields to ask with for the rest; none for the whole.
    ///
    /// Only a strong tag can promise that the rest fits, so without one the whole is asked for.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let Some(etag) = self.etag.as_ref().filter(|_| self.received > 0) else {
            return Vec::new();
        };
        vec![
            ("range", format!("bytes={}-", self.received)),
            ("if-range", etag.clone()),
        ]
    }

    /// What is written down beside the bytes, for a later run: the entity tag, the length where it
    /// is known, and which address they came from, one line each. `None` where nothing can be gone
    /// on with.
    pub fn note(&self, url: &Url) -> Option<String> {
        let etag = self.etag.as_ref()?;
        let length = self.length.map(|length| length.to_string());
        let length = length.unwrap_or_default();
        Some(format!("{etag}\n{length}\n{}\n", resource(url)))
    }

    /// Reads a [`note`](Partial::note) about `received` bytes; `None` where it speaks of another
    /// address, or cannot promise that the rest fits.
    pub fn from_note(note: &str, url: &Url, received: u64) -> Option<Partial> {
        let mut lines = note.lines();
        let etag = lines.next().and_then(strong)?;
        let length = match lines.next()? {
            "" => None,
            digits => Some(number(digits)?),
        };
        let same = lines.next()? == resource(url) && lines.next().is_none();
        (same && received > 0).then_some(Partial {
            received,
            length,
            etag: Some(etag),
        })
    }

    /// Decides on an answer to a request with [`Partial::fields`].
    ///
    /// # Errors
    /// When its body is of no use.
    pub fn judge(&self, answer: RangeAnswer<'_>) -> Result<Continuation, RangeError> {
        let range = answer.content_range.and_then(ContentRange::parse);
        let asked = !self.fields().is_empty();
        match answer.status {
            200 => Ok(Continuation::StartOver(Partial {
                received: 0,
                length: answer.content_length,
                etag: answer.etag.and_then(strong),
            })),
            206 if !asked => Err(RangeError::Unasked),
            206 => self.judge_part(answer, range.ok_or(RangeError::OtherPart)?),
            // Nothing follows what is there; that may be all, or a file that became shorter.
            416 if asked => match range.and_then(|range| range.length) {
                Some(length) if length == self.received && self.length == Some(length) => {
                    Ok(Continuation::Complete)
                }
                _ => Err(RangeError::Changed),
            },
            status => Err(RangeError::Status(status)),
        }
    }

    fn judge_part(
        &self,
        answer: RangeAnswer<'_>,
        range: ContentRange,
    ) -> Result<Continuation, RangeError> {
        let (first, last) = range.range.ok_or(RangeError::OtherPart)?;
        if first != self.received {
            return Err(RangeError::OtherPart);
        }
        let expected = last - first + 1;
        if answer
            .content_length
            .is_some_and(|length| length != expected)
        {
            return Err(RangeError::OtherPart);
        }
        let other_tag = answer.etag.is_some() && answer.etag != self.etag.as_deref();
        let other_length = matches!((self.length, range.length), (Some(a), Some(b)) if a != b);
        if other_tag || other_length {
            return Err(RangeError::Changed);
        }
        Ok(Continuation::Append)
    }
}

/// Which address it is, as a hash: an address may hold what nobody else is to read. A signature
/// of AWS in it does not count, because a new one is made for each run.
fn resource(url: &Url) -> String {
    let mut hasher = Sha256::new();
    for piece in [url.scheme().name(), "://", url.authority(), url.path()] {
        hasher.update(piece);
    }
    let parameters = url.query().unwrap_or_default().split('&');
    for parameter in parameters.filter(|one| !one.starts_with("X-Amz-")) {
        hasher.update("?");
        hasher.update(parameter);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    hex::encode(&hash)
}

/// A tag that promises equal bytes, with its quotes (RFC 9110, section 8.8.3).
fn strong(etag: &str) -> Option<String> {
    let inner = etag.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('"')).then(|| etag.to_owned())
}

/// A SHA-256 that a file must have.
#[derive(Clone, Debug)]
pub struct ExpectedHash {
    expected: [u8; 32],
    hasher: Sha256,
}

/// The file is not the one that was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file has the SHA-256 {actual}, not {expected}")]
pub struct WrongHash {
    /// What it should have been.
    pub expected: String,
    /// What it is.
    pub actual: String,
}

impl ExpectedHash {
    /// Reads 64 hexadecimal digits, with or without `sha256:` before them.
    pub fn parse(text: &str) -> Option<ExpectedHash> {
        let text = text.trim();
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let expected = hex::decode(digits)?;
        Some(ExpectedHash {
            expected,
            hasher: Sha256::new(),
        })
    }

    /// More of the file, from its beginning on; after a start over, a new one begins.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The file is complete.
    ///
    /// # Errors
    /// When it is another.
    pub fn finish(self) -> Result<(), WrongHash> {
        let actual: [u8; 32] = self.hasher.finalize().into();
        if actual == self.expected {
            return Ok(());
        }
        Err(WrongHash {
            expected: hex::encode(&self.expected),
            actual: hex::encode(&actual),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial() -> Partial {
        Partial {
            received: 100,
            length: Some(1000),
            etag: Some("\"e\"".into()),
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_note_is_good_for_its_own_address_only() {
        let v1 = url("https://h/v1.bin?a=b");
        let note = partial().note(&v1).unwrap();
        assert_eq!(Partial::from_note(&note, &v1, 100), Some(partial()));
        for other in [
            "https://h/v2.bin?a=b",
            "https://h/v1.bin",
            "https://h/v1.bin?a=b&c",
            "http://h/v1.bin?a=b",
            "https://g/v1.bin?a=b",
            "https://h:8443/v1.bin?a=b",
        ] {
            assert_eq!(Partial::from_note(&note, &url(other), 100), None, "{other}");
        }
        assert_eq!(Partial::from_note(&note, &v1, 0), None);
        let signed = url("https://h/v1.bin?a=b&X-Amz-Date=1&X-Amz-Signature=2");
        assert_eq!(Partial::from_note(&note, &signed, 100), Some(partial()));
        let unknown = Partial {
            length: None,
            ..partial()
        };
        let note = unknown.note(&v1).unwrap();
        assert_eq!(Partial::from_note(&note, &v1, 100), Some(unknown));
    }

    #[test]
    fn a_note_that_promises_nothing_is_not_gone_on_with() {
        let v1 = url("https://h/v1.bin");
        let none = Partial {
            etag: None,
            ..partial()
        };
        assert_eq!(none.note(&v1), None);
        let good = partial().note(&v1).unwrap();
        for note in [
            good.replace("\"e\"", "W/\"e\""),
            good.replace("\"e\"", ""),
            good.replace("1000", "+1000"),
            format!("{good}more\n"),
            "\"e\"\n1000\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(Partial::from_note(&note, &v1, 100), None, "{note:?}");
        }
    }

    fn judge(
        partial: &Partial,
        status: u16,
        etag: Option<&str>,
        content_range: &str,
    ) -> Result<Continuation, RangeError> {
        partial.judge(RangeAnswer {
            status,
            etag,
            content_length: None,
            content_range: Some(content_range).filter(|field| !field.is_empty()),
        })
    }

    #[test]
    fn the_rest_is_asked_for_only_with_a_strong_tag() {
        assert_eq!(
            partial().fields(),
            [
                ("range", "bytes=100-".to_owned()),
                ("if-range", "\"e\"".to_owned())
            ]
        );
        let none = Partial {
            etag: None,
            ..partial()
        };
        assert_eq!(none.fields(), []);
        let nothing = Partial {
            received: 0,
            ..partial()
        };
        assert_eq!(nothing.fields(), []);
        let weak = Partial::default().judge(RangeAnswer {
            status: 200,
            etag: Some("W/\"e\""),
            content_length: Some(5),
            content_range: None,
        });
        assert_eq!(
            weak,
            Ok(Continuation::StartOver(Partial {
                received: 0,
                length: Some(5),
                etag: None
            }))
        );
    }

    #[test]
    fn an_answer_is_appended_only_where_it_fits() {
        use RangeError::{Changed, OtherPart, Status};
        let tag = Some("\"e\"");
        let cases = [
            (206, tag, "bytes 100-999/1000", Ok(Continuation::Append)),
            (206, None, "bytes 100-999/*", Ok(Continuation::Append)),
            (206, tag, "bytes 100-199/1000", Ok(Continuation::Append)),
            (206, tag, "bytes 0-999/1000", Err(OtherPart)),
            (206, tag, "bytes 99-999/1000", Err(OtherPart)),
            (206, tag, "", Err(OtherPart)),
            (206, tag, "items 100-999/1000", Err(OtherPart)),
            (206, Some("\"f\""), "bytes 100-999/1000", Err(Changed)),
            (206, tag, "bytes 100-1999/2000", Err(Changed)),
            (416, tag, "bytes */1000", Err(Changed)),
            (416, tag, "", Err(Changed)),
            (404, None, "", Err(Status(404))),
            (304, None, "", Err(Status(304))),
        ];
        for (status, etag, range, expected) in cases {
            assert_eq!(
                judge(&partial(), status, etag, range),
                expected,
                "{status} {range}"
            );
        }
        let whole = Partial {
            received: 1000,
            ..partial()
        };
        assert_eq!(
            judge(&whole, 416, None, "bytes */1000"),
            Ok(Continuation::Complete)
        );
        assert_eq!(judge(&whole, 416, None, "bytes */900"), Err(Changed));
        let short = partial().judge(RangeAnswer {
            status: 206,
            etag: None,
            content_length: Some(5),
            content_range: Some("bytes 100-999/1000"),
        });
        assert_eq!(short, Err(OtherPart));
    }

    #[test]
    fn an_answer_about_a_range_that_nobody_asked_for_is_told_apart() {
        let nothing = Partial::default();
        for range in ["bytes 0-9/10", "bytes 3-9/10", "items 0-9/10", ""] {
            let judged = judge(&nothing, 206, Some("\"e\""), range);
            assert_eq!(judged, Err(RangeError::Unasked), "{range}");
        }
        let judged = judge(&nothing, 416, None, "bytes */10");
        assert_eq!(judged, Err(RangeError::Status(416)));
    }

    #[test]
    fn a_range_that_contradicts_itself_is_none() {
        let parse =
            |field: &str| ContentRange::parse(field).map(|found| (found.range, found.length));
        assert_eq!(parse("bytes 0-9/10"), Some((Some((0, 9)), Some(10))));
        assert_eq!(parse("BYTES 0-9/*"), Some((Some((0, 9)), None)));
        assert_eq!(parse("bytes */10"), Some((None, Some(10))));
        for field in [
            "bytes */*",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes 0-9",
            "bytes -9/10",
            "bytes 0-/10",
            "bytes +0-9/10",
            "bytes=0-9/10",
            "bytes 0-99999999999999999999/*",
            "",
        ] {
            assert_eq!(parse(field), None, "{field}");
        }
    }

    #[test]
    fn a_file_is_held_against_its_hash() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let check = |text: &str, body: &[u8]| {
            let mut hash = ExpectedHash::parse(text).unwrap();
            hash.update(&body[..1]);
            hash.update(&body[1..]);
            hash.finish()
        };
        assert_eq!(check(abc, b"abc"), Ok(()));
        assert_eq!(
            check(&format!("sha256:{}", abc.to_uppercase()), b"abc"),
            Ok(())
        );
        assert_eq!(check(abc, b"abd").unwrap_err().expected, abc);
        assert!(ExpectedHash::parse("abc").is_none());
        assert!(ExpectedHash::parse(&"g".repeat(64)).is_none());
    }
}
