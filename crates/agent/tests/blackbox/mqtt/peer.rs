//! A broker of a few lines that says what a test wants it to, in bytes written from the text of
//! MQTT 5: what no broker at hand does, or not when it is asked to.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A listener that has a conversation with each connection; ends with the process.
pub(super) struct Peer {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
}

/// One connection, as the broker has it.
pub(super) struct Talk {
    stream: TcpStream,
}

/// A packet: the first byte of its fixed header, and what follows the fixed header.
pub(super) type Packet = (u8, Vec<u8>);

pub(super) const CONNECT: u8 = 0x10;
pub(super) const CONNACK: u8 = 0x20;
pub(super) const DISCONNECT: u8 = 0xe0;
pub(super) const AUTH: u8 = 0xf0;

impl Peer {
    /// `talk` returns when it closes the connection.
    pub(super) fn start(
        talk: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
    ) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, talk) = (connections.clone(), Arc::new(talk));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let talk = talk.clone();
                thread::spawn(move || talk(&mut Talk { stream }));
            }
        });
        Peer { port, connections }
    }

    pub(super) fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Talk {
    /// The next packet (section 2.1).
    pub(super) fn read(&mut self) -> io::Result<Packet> {
        let mut first = [0];
        self.stream.read_exact(&mut first)?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first[0], body))
    }

    /// A short packet.
    pub(super) fn write(&mut self, first: u8, body: &[u8]) -> io::Result<()> {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 128);
        let head = [first, length.expect("it is short")];
        self.stream.write_all(&[&head, body].concat())
    }

    /// Reads until the client is gone, and answers PINGREQ.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        loop {
            if self.read()?.0 == 0xc0 {
                self.write(0xd0, &[])?;
            }
        }
    }
}

/// A string or binary data with its length before it (sections 1.5.4 and 1.5.6).
pub(super) fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// A property that is a text or data: its identifier (section 2.2.2.2), then that.
pub(super) fn property(identifier: u8, value: &str) -> Vec<u8> {
    [vec![identifier], text(value)].concat()
}

/// A list of properties with its length.
pub(super) fn properties(all: &[Vec<u8>]) -> Vec<u8> {
    let all = all.concat();
    [vec![u8::try_from(all.len()).unwrap()], all].concat()
}
