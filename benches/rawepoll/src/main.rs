//! The floor: answers every request head with the same bytes, on one thread, with as little as the
//! system allows: one `epoll_wait` a turn, one receive and one send per connection and turn.
//!
//! It understands nothing of HTTP but the empty line, so no server that does can be expected to
//! pass it.
//!
//! `rawepoll PORT BODY_BYTES`

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, Event, EventData, EventFlags};

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 16 * 1024;
const EVENTS_PER_TURN: usize = 256;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<usize>().ok());
    let (Some(port), Some(body_bytes)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: rawepoll PORT BODY_BYTES");
        std::process::exit(64);
    };
    let port = u16::try_from(port).map_err(io::Error::other)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    Server::new(listener, &answer(body_bytes))?.run()
}

/// What a small JSON answer of the agent looks like on the wire.
fn answer(body_bytes: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         content-length: {body_bytes}\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + body_bytes, b'x');
    answer
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    answer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// How much of the empty line the last read ended with.
    matched: usize,
}

impl Server {
    fn new(listener: TcpListener, answer: &[u8]) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            answer: answer.to_vec(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut space = [MaybeUninit::<Event>::uninit(); EVENTS_PER_TURN];
        let mut buffer = vec![0; READ_BYTES];
        let mut out = Vec::new();
        loop {
            let (events, _) = epoll::wait(&self.epoll, &mut space, None)?;
            for event in &*events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    slot => self.serve(slot as usize, &mut buffer, &mut out),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let free = self.connections.iter().position(Option::is_none);
            let slot = free.unwrap_or(self.connections.len());
            epoll::add(
                &self.epoll,
                &stream,
                EventData::new_u64(slot as u64),
                EventFlags::IN,
            )?;
            let connection = Some(Connection { stream, matched: 0 });
            match free {
                Some(slot) => self.connections[slot] = connection,
                None => self.connections.push(connection),
            }
        }
    }

    /// One receive, one send. Whatever goes wrong ends the connection, which also takes it out of
    /// epoll.
    fn serve(&mut self, slot: usize, buffer: &mut [u8], out: &mut Vec<u8>) {
        let Some(connection) = &mut self.connections[slot] else {
            return;
        };
        let heads = match connection.stream.read(buffer) {
            Ok(0) => None,
            Ok(count) => Some(connection.count_heads(&buffer[..count])),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            Err(_) => None,
        };
        let sent = heads.is_some_and(|heads| match heads {
            0 => true,
            1 => connection.send(&self.answer),
            more => {
                out.clear();
                (0..more).for_each(|_| out.extend_from_slice(&self.answer));
                connection.send(out)
            }
        });
        if !sent {
            self.connections[slot] = None;
        }
    }
}

impl Connection {
    fn count_heads(&mut self, bytes: &[u8]) -> usize {
        // The usual case: exactly one request, whole.
        if self.matched == 0 && bytes.ends_with(END_OF_HEAD) && count_of(bytes) == 1 {
            return 1;
        }
        let mut heads = 0;
        for &byte in bytes {
            self.matched = match (byte, self.matched) {
                (b'\r', 0 | 2) | (b'\n', 1 | 3) => self.matched + 1,
                (b'\r', _) => 1,
                _ => 0,
            };
            if self.matched == END_OF_HEAD.len() {
                self.matched = 0;
                heads += 1;
            }
        }
        heads
    }

    /// Answers fit the socket's buffer: the load waits for each before it asks again.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }
}

fn count_of(bytes: &[u8]) -> usize {
    bytes
        .windows(END_OF_HEAD.len())
        .filter(|window| *window == END_OF_HEAD)
        .count()
}
