//! Undoing the encodings of an answer, piece by piece and within bounds.

use std::io::{self, Read};

use brotli_decompressor::Decompressor;
use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
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
    Gzip(Box<MultiGzDecoder<io::BufReader<Feed>>>),
    Brotli(Box<Decompressor<Feed>>),
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
            Coding::Gzip => {
                let feed =
                    io::BufReader::with_capacity(limits::FETCH_DECODE_BYTES, Feed::default());
                Stage::Gzip(Box::new(MultiGzDecoder::new(feed)))
            }
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
            Stage::Gzip(decoder) => decoder.get_mut().get_mut(),
            Stage::Brotli(decoder) => decoder.get_mut(),
        }
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Stage::Gzip(decoder) => decoder.read(out),
            Stage::Brotli(decoder) => decoder.read(out),
        }
    }
}
