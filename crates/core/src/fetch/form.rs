//! Forms with files: `multipart/form-data` (RFC 7578), streamed, with a length known in advance
//! wherever that of every file is.
//!
//! The writer gives [`Segment`]s: bytes as they are, and the places where a file's content goes.
//! So a form of any size passes in constant memory, and can be sent again if its files can.

use crate::limits;

/// A form under construction.
#[derive(Clone, Debug, Default)]
pub struct Form {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Bytes(Vec<u8>),
    File { length: Option<u64> },
}

/// A piece of a form on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of the file with this number, in the order in which they were added, from 0.
    File(usize),
}

/// Why a form cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// It has too many parts.
    #[error("a form of more than {max} parts", max = limits::FORM_PARTS_MAX)]
    Parts,
    /// The boundary is not one, or stands within the content: take another.
    #[error("{0:?} cannot divide the parts of this form")]
    Boundary(String),
    /// A content type with characters that would end its line.
    #[error("{0:?} is no content type")]
    ContentType(String),
}

/// A form as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenForm {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The pieces, in their order.
    pub segments: Vec<Segment>,
    /// The length of all, when that of every file is known.
    pub length: Option<u64>,
}

impl Form {
    /// An empty form.
    pub fn new() -> Form {
        Form::default()
    }

    /// A field with a text.
    #[must_use]
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Form {
        self.part(name, None, None, Content::Bytes(value.into().into_bytes()))
    }

    /// A file whose content lies in memory.
    #[must_use]
    pub fn bytes(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        content: Vec<u8>,
    ) -> Form {
        let (file_name, content_type) = (Some(file_name.into()), Some(content_type.into()));
        self.part(name, file_name, content_type, Content::Bytes(content))
    }

    /// A file that is read while the form is sent; its length, if it is known, must not change.
    #[must_use]
    pub fn file(
        self,
        name: impl Into<String>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        length: Option<u64>,
    ) -> Form {
        let (file_name, content_type) = (Some(file_name.into()), Some(content_type.into()));
        self.part(name, file_name, content_type, Content::File { length })
    }

    fn part(
        mut self,
        name: impl Into<String>,
        file_name: Option<String>,
        content_type: Option<String>,
        content: Content,
    ) -> Form {
        self.parts.push(Part {
            name: name.into(),
            file_name,
            content_type,
            content,
        });
        self
    }

    /// Writes the form. The boundary is made of chance by the caller, 16 letters or more, so that
    /// no file holds it; what lies in memory is looked at.
    ///
    /// # Errors
    /// When a part cannot be written, or the boundary stands in one.
    pub fn write(self, boundary: &str) -> Result<WrittenForm, FormError> {
        self.check(boundary)?;
        let mut writer = Writer::default();
        let mut files = 0;
        for part in self.parts {
            writer.bytes.extend(head(boundary, &part).into_bytes());
            match part.content {
                Content::Bytes(bytes) => writer.bytes.extend(bytes),
                Content::File { length } => {
                    writer.file(files, length);
                    files += 1;
                }
            }
            writer.bytes.extend(b"\r\n");
        }
        writer
            .bytes
            .extend(format!("--{boundary}--\r\n").into_bytes());
        writer.flush();
        Ok(WrittenForm {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            segments: writer.segments,
            length: writer.files_length.map(|files| files + writer.written),
        })
    }

    fn check(&self, boundary: &str) -> Result<(), FormError> {
        if self.parts.len() > limits::FORM_PARTS_MAX {
            return Err(FormError::Parts);
        }
        let letters = boundary
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let wrong = || FormError::Boundary(boundary.to_owned());
        // RFC 2046, section 5.1.1: 70 at most.
        if !letters || !(16..=70).contains(&boundary.len()) {
            return Err(wrong());
        }
        let within = |bytes: &[u8]| {
            let mut windows = bytes.windows(boundary.len());
            windows.any(|window| window == boundary.as_bytes())
        };
        for part in &self.parts {
            if let Content::Bytes(bytes) = &part.content
                && within(bytes)
            {
                return Err(wrong());
            }
            if let Some(content_type) = &part.content_type
                && (content_type.is_empty() || content_type.chars().any(char::is_control))
            {
                return Err(FormError::ContentType(content_type.clone()));
            }
        }
        Ok(())
    }
}

struct Writer {
    segments: Vec<Segment>,
    bytes: Vec<u8>,
    /// Bytes in segments that are complete.
    written: u64,
    files_length: Option<u64>,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer {
            segments: Vec::new(),
            bytes: Vec::new(),
            written: 0,
            files_length: Some(0),
        }
    }
}

impl Writer {
    fn file(&mut self, number: usize, length: Option<u64>) {
        self.flush();
        self.segments.push(Segment::File(number));
        self.files_length = self.files_length.zip(length).map(|(sum, one)| sum + one);
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.written += self.bytes.len() as u64;
            let bytes = std::mem::take(&mut self.bytes);
            self.segments.push(Segment::Bytes(bytes));
        }
    }
}

fn head(boundary: &str, part: &Part) -> String {
    let mut head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
        escaped(&part.name)
    );
    if let Some(file_name) = &part.file_name {
        head.push_str(&format!("; filename=\"{}\"", escaped(file_name)));
    }
    if let Some(content_type) = &part.content_type {
        head.push_str(&format!("\r\nContent-Type: {content_type}"));
    }
    head + "\r\n\r\n"
}

/// As browsers do it ("multipart form data" in the HTML standard): the three characters that would
/// end the name or its line.
fn escaped(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDARY: &str = "0123456789abcdef";

    fn text_of(form: &WrittenForm, files: &[&str]) -> String {
        let pieces = form.segments.iter().map(|segment| match segment {
            Segment::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Segment::File(number) => files[*number].to_owned(),
        });
        pieces.collect()
    }

    #[test]
    fn a_form_is_written_with_its_length() {
        let form = Form::new()
            .text("na\"me\r\n", "väl")
            .file("a", "a.txt", "text/plain", Some(3))
            .bytes("b", "b", "application/json", b"{}".to_vec())
            .file("c", "c", "image/png", Some(0));
        let written = form.write(BOUNDARY).unwrap();
        let text = text_of(&written, &["AAA", ""]);
        assert_eq!(
            text,
            "--0123456789abcdef\r\nContent-Disposition: form-data; name=\"na%22me%0D%0A\"\r\n\r\nväl\r\n\
             --0123456789abcdef\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.txt\"\r\n\
             Content-Type: text/plain\r\n\r\nAAA\r\n\
             --0123456789abcdef\r\nContent-Disposition: form-data; name=\"b\"; filename=\"b\"\r\n\
             Content-Type: application/json\r\n\r\n{}\r\n\
             --0123456789abcdef\r\nContent-Disposition: form-data; name=\"c\"; filename=\"c\"\r\n\
             Content-Type: image/png\r\n\r\n\r\n--0123456789abcdef--\r\n"
        );
        assert_eq!(written.length, Some(text.len() as u64));
        assert_eq!(
            written.content_type,
            "multipart/form-data; boundary=0123456789abcdef"
        );
        assert_eq!(written.segments.len(), 5);
    }

    #[test]
    fn a_file_of_unknown_length_leaves_the_length_open() {
        let form = Form::new()
            .file("a", "a", "x/y", None)
            .file("b", "b", "x/y", Some(1));
        assert_eq!(form.write(BOUNDARY).unwrap().length, None);
        let empty = Form::new().write(BOUNDARY).unwrap();
        assert_eq!(text_of(&empty, &[]), "--0123456789abcdef--\r\n");
        assert_eq!(empty.length, Some(22));
    }

    #[test]
    fn what_would_break_the_form_is_refused() {
        let boundary = |text: &str| {
            Form::new()
                .text("a", "x0123456789abcdefx")
                .write(text)
                .map(drop)
        };
        assert_eq!(
            boundary(BOUNDARY),
            Err(FormError::Boundary(BOUNDARY.into()))
        );
        assert_eq!(boundary("0123456789abcdeg"), Ok(()));
        assert!(boundary("short").is_err());
        assert!(boundary("0123456789abcde\n").is_err());
        assert!(boundary(&"a".repeat(70)).is_ok());
        assert!(boundary(&"a".repeat(71)).is_err());
        let typed = Form::new()
            .bytes("a", "a", "x\r\ny: z", vec![])
            .write(BOUNDARY);
        assert_eq!(typed, Err(FormError::ContentType("x\r\ny: z".into())));
        let of = |parts: usize| {
            let form = (0..parts).fold(Form::new(), |form, _| form.text("a", "b"));
            form.write(BOUNDARY).map(drop)
        };
        assert_eq!(of(limits::FORM_PARTS_MAX), Ok(()));
        assert_eq!(of(limits::FORM_PARTS_MAX + 1), Err(FormError::Parts));
    }
}
