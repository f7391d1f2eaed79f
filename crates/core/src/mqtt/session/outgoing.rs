//! The one buffer between the session and the socket.

use crate::limits::MQTT_WRITE_BYTES;

/// Bytes on their way to the socket, and how many have gone that way.
#[derive(Clone, Debug, Default)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    start: usize,
    /// All bytes of this connection that the socket has taken.
    written: u64,
}

impl Outgoing {
    /// A new connection.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
        self.start = 0;
        self.written = 0;
        self.buffer.shrink_to(MQTT_WRITE_BYTES);
    }

    /// What the socket has not taken yet.
    pub(super) fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) const fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Where packets are appended.
    pub(super) const fn end(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// All bytes of this connection up to the end of the last packet.
    pub(super) const fn position(&self) -> u64 {
        self.written + self.len() as u64
    }

    /// All bytes of this connection that the socket has taken.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// The socket has taken so many.
    pub(super) fn take(&mut self, bytes: usize) {
        let bytes = bytes.min(self.len());
        self.start += bytes;
        self.written += bytes as u64;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(2 * MQTT_WRITE_BYTES);
        } else if self.start > MQTT_WRITE_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }
}
