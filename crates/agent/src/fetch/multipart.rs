//! Forms with files (RFC 7578), in constant memory: the files are read while the form is sent.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use periwinkle_core::fetch::form::{self, Segment};

use super::error::FetchError;
use super::file_pieces::FilePieces;
use super::payload::{ByteStream, Payload, file_length};
use crate::net::entropy;

/// A form with fields and files.
#[derive(Clone, Debug, Default)]
pub struct Form {
    form: form::Form,
    files: Vec<PathBuf>,
}

impl Form {
    /// An empty form.
    pub fn new() -> Form {
        Form::default()
    }

    /// A field with a text.
    #[must_use]
    pub fn text(self, name: impl Into<String>, value: impl Into<String>) -> Form {
        Form {
            form: self.form.text(name, value),
            ..self
        }
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
        Form {
            form: self.form.bytes(name, file_name, content_type, content),
            ..self
        }
    }

    /// A file under its own name, as `application/octet-stream`.
    #[must_use]
    pub fn file(self, name: impl Into<String>, path: impl AsRef<Path>) -> Form {
        let path = path.as_ref();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let file_name = file_name.into_owned();
        self.file_as(name, path, file_name, "application/octet-stream")
    }

    /// A file under another name and with its type.
    #[must_use]
    pub fn file_as(
        mut self,
        name: impl Into<String>,
        path: impl AsRef<Path>,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
    ) -> Form {
        self.files.push(path.as_ref().to_owned());
        Form {
            // How long the file is, is looked up when it is sent.
            form: self.form.file(name, file_name, content_type, None),
            ..self
        }
    }

    /// The content type, and the body, which can be sent more than once.
    pub(super) fn into_payload(self) -> Result<(String, Payload), FetchError> {
        let random: [u8; 16] = entropy::bytes().map_err(FetchError::Entropy)?;
        let boundary: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let written = self.form.write(&boundary)?;
        let segments: Vec<Piece> = written
            .segments
            .into_iter()
            .map(|segment| match segment {
                Segment::Bytes(bytes) => Piece::Bytes(bytes.into()),
                Segment::File(number) => Piece::File(self.files[number].clone()),
            })
            .collect();
        let payload = Payload::reopenable(move || open(segments.clone()));
        Ok((written.content_type, payload))
    }
}

#[derive(Clone)]
enum Piece {
    Bytes(Bytes),
    File(PathBuf),
}

async fn open(pieces: Vec<Piece>) -> io::Result<(ByteStream, Option<u64>)> {
    let mut length = Some(0);
    let mut measured = VecDeque::new();
    for piece in pieces {
        let more = match &piece {
            Piece::Bytes(bytes) => Some(bytes.len() as u64),
            Piece::File(path) => file_length(path).await?,
        };
        length = length.zip(more).map(|(sum, more)| sum + more);
        measured.push_back((piece, more.unwrap_or(u64::MAX)));
    }
    Ok((Box::pin(stream(measured)), length))
}

/// One file is open at a time. What is behind the length that it had is not sent.
fn stream(pieces: VecDeque<(Piece, u64)>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    try_unfold(
        (pieces, None::<FilePieces>),
        |(mut pieces, mut file)| async move {
            loop {
                if let Some(open) = &mut file {
                    if let Some(piece) = open.next().await? {
                        return Ok(Some((piece, (pieces, file))));
                    }
                    file = None;
                }
                match pieces.pop_front() {
                    None => return Ok(None),
                    Some((Piece::Bytes(bytes), _)) => return Ok(Some((bytes, (pieces, file)))),
                    Some((Piece::File(path), length)) => {
                        file = Some(FilePieces::open(&path, Some(length)).await?);
                    }
                }
            }
        },
    )
}
