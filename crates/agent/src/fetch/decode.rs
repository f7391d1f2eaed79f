//! Undoing the encodings of an answer, piece by piece and within bounds.

use std::io::{self, BufRead, BufReader, Read};

use brotli_decompressor::Decompressor;
use bytes::{Bytes, BytesMut};
use flate2::bufread::GzDecoder;
use periwinkle_core::fetch::decode::{Coding, Expansion};
use periwinkle_core::limits;

use super::error::DecodeFailure;

/// The decoders of one answer, one behind the other.
pub(super) struct Decoders {
    stages: Vec<Stage>,
    expansion: Expansion,
    has_begun: bool,
}

enum Stage {
    Gzip(Box<Gzip>),
    Brotli(Box<Decompressor<Feed>>),
}

/// The members of a gzip body, one behind the other (RFC 1952, section 2.2).
struct Gzip {
    member: GzDecoder<BufReader<Feed>>,
    /// Whether the member has ended, and its checksum was right.
    between: bool,
    /// Zeros behind the members so far, as some servers send to the end of a block.
    padding: u64,
}

impl Gzip {
    fn new() -> Gzip {
        let feed = BufReader::with_capacity(limits::FETCH_DECODE_BYTES, Feed::default());
        Gzip {
            member: GzDecoder::new(feed),
            between: false,
            padding: 0,
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.between {
                match self.member.read(out)? {
                    0 => self.between = true,
                    read => return Ok(read),
                }
            }
            if !self.next_member()? {
                return Ok(0);
            }
        }
    }

    /// Passes over zeros to what follows, if anything does. What is no member says so itself.
    fn next_member(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.member.get_mut();
            let bytes = rest.fill_buf()?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            let (is_end, is_next) = (bytes.is_empty(), zeros < bytes.len());
            rest.consume(zeros);
            self.padding += zeros as u64;
            if self.padding > limits::GZIP_PADDING_BYTES_MAX {
                return Err(io::Error::other("nothing but zeros behind its end"));
            }
            if is_end {
                return Ok(false);
            }
            if is_next {
                let used = BufReader::new(Feed::default());
                let rest = std::mem::replace(self.member.get_mut(), used);
                self.member = GzDecoder::new(rest);
                self.between = false;
                return Ok(true);
            }
        }
    }
}

/// What a decoder reads from: it never waits, it says that there is nothing yet.
#[derive(Default)]
struct Feed {
    bytes: Bytes,
    ended: bool,
}

impl Read for Feed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return match self.ended {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let piece = self.bytes.split_to(self.bytes.len().min(out.len()));
        out[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}

/// What a decoder gives.
pub(super) enum Decoded {
    /// More of the body.
    Piece(Bytes),
    /// It wants more of what came.
    Hungry,
    /// It is complete.
    End,
}

impl Decoders {
    /// The decoders for these encodings, in the order in which they are undone, for a body that
    /// may become `decoded_max` bytes long.
    pub(super) fn new(codings: &[Coding], decoded_max: u64) -> Decoders {
        let stage = |coding: &Coding| match coding {
            Coding::Gzip => Stage::Gzip(Box::new(Gzip::new())),
            Coding::Brotli => {
                let feed = Feed::default();
                Stage::Brotli(Box::new(Decompressor::new(
                    feed,
                    limits::FETCH_DECODE_BYTES,
                )))
            }
        };
        Decoders {
            stages: codings.iter().map(stage).collect(),
            expansion: Expansion::new(decoded_max),
            has_begun: false,
        }
    }

    /// More of the answer came. All that it became must be taken before more is given.
    pub(super) fn push(&mut self, bytes: Bytes) -> Result<(), DecodeFailure> {
        self.expansion.handle_piece(bytes.len() as u64, 0)?;
        self.has_begun |= !bytes.is_empty();
        if let Some(first) = self.stages.first_mut() {
            first.feed().bytes = bytes;
        }
        Ok(())
    }

    /// Whether anything came: the answer to HEAD names an encoding and has no body.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        if let Some(first) = self.stages.first_mut() {
            first.feed().ended = true;
        }
    }

    /// The next piece of the body.
    pub(super) fn pull(&mut self) -> Result<Decoded, DecodeFailure> {
        let decoded = pull(&mut self.stages).map_err(DecodeFailure::Damaged)?;
        if let Decoded::Piece(piece) = &decoded {
            self.expansion.handle_piece(0, piece.len() as u64)?;
        }
        Ok(decoded)
    }
}

/// Pulls from the last stage, which is fed by those before it.
fn pull(stages: &mut [Stage]) -> io::Result<Decoded> {
    let Some((last, before)) = stages.split_last_mut() else {
        return Ok(Decoded::Hungry);
    };
    loop {
        let mut piece = BytesMut::zeroed(limits::FETCH_DECODE_BYTES);
        match last.read(&mut piece) {
            Ok(0) => return Ok(Decoded::End),
            Ok(read) => {
                piece.truncate(read);
                return Ok(Decoded::Piece(piece.freeze()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if before.is_empty() {
            return Ok(Decoded::Hungry);
        }
        match pull(before)? {
            Decoded::Piece(piece) => last.feed().bytes = piece,
            Decoded::End => last.feed().ended = true,
            Decoded::Hungry => return Ok(Decoded::Hungry),
        }
    }
}

impl Stage {
    fn feed(&mut self) -> &mut Feed {
        match self {
            Stage::Gzip(gzip) => gzip.member.get_mut().get_mut(),
            Stage::Brotli(decoder) => decoder.get_mut(),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Stage::Gzip(gzip) => gzip.read(out),
            Stage::Brotli(decoder) => decoder.read(out),
        }
    }
}
