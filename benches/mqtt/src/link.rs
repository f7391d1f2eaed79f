//! A connection with a buffer each way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use anyhow::{Context, Result};

use crate::wire;

const INPUT_BYTES: usize = 256 * 1024;

pub(crate) struct Link {
    stream: TcpStream,
    input: Vec<u8>,
    /// What has come and was not taken.
    waiting: Range<usize>,
    pub(crate) out: Vec<u8>,
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> Result<Link> {
        stream.set_nodelay(true)?;
        Ok(Link {
            stream,
            input: vec![0; INPUT_BYTES],
            waiting: 0..0,
            out: Vec::with_capacity(INPUT_BYTES),
        })
    }

    /// Waits for bytes; whether the other side is still there.
    pub(crate) fn receive(&mut self) -> Result<bool> {
        self.input.copy_within(self.waiting.clone(), 0);
        self.waiting = 0..self.waiting.len();
        let room = &mut self.input[self.waiting.end..];
        anyhow::ensure!(!room.is_empty(), "a packet is too long");
        let bytes = match self.stream.read(room) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            read => read?,
        };
        self.waiting.end += bytes;
        Ok(bytes > 0)
    }

    /// The next whole packet: its first byte, and where its body is.
    pub(crate) fn take(&mut self) -> Option<(u8, Range<usize>)> {
        let bytes = &self.input[self.waiting.clone()];
        let first = *bytes.first()?;
        let (length, at) = wire::number(&bytes[1..])?;
        let body = 1 + at..1 + at + length;
        if bytes.len() < body.end {
            return None;
        }
        let start = self.waiting.start;
        self.waiting.start += body.end;
        Some((first, start + body.start..start + body.end))
    }

    /// The body of a packet that was taken, and where its answer goes.
    pub(crate) fn body_and_out(&mut self, body: Range<usize>) -> (&[u8], &mut Vec<u8>) {
        (&self.input[body], &mut self.out)
    }

    pub(crate) fn send(&mut self) -> Result<()> {
        if !self.out.is_empty() {
            self.stream
                .write_all(&self.out)
                .context("the other side does not read")?;
            self.out.clear();
        }
        Ok(())
    }
}
