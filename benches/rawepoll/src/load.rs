//! The load: N keep-alive connections, one outstanding request on each, on one thread, for a time
//! or until so many answers have come.
//!
//! The length of the answers is learned from the first one, so that the load spends less on reading
//! than any server on answering. Prints one line: answers per second, and the median, 90th and 99th
//! percentile and largest latency in microseconds.
//!
//! `rawload PORT PATH CONNECTIONS (1500ms | 20000x)`

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::str::FromStr;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

const READ_BYTES: usize = 64 * 1024;
const EVENTS_PER_TURN: usize = 256;
/// A server that is silent on all connections for so long is broken.
const TURN_MAX: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, path, connections, end] = words.as_slice() else {
        eprintln!("usage: rawload PORT PATH CONNECTIONS (1500ms | 20000x)");
        std::process::exit(64);
    };
    let load = Load {
        port: number(port)?,
        request: request(path),
        connections: number(connections)?,
        end: end.parse()?,
    };
    let (mut latencies, taken) = load.run()?;
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / taken.as_secs_f64();
    let at = |part: f64| {
        latencies
            .get((latencies.len() as f64 * part) as usize)
            .copied()
            .unwrap_or_default()
    };
    let worst = latencies.last().copied().unwrap_or_default();
    println!("{rate:.0} {} {} {} {worst}", at(0.5), at(0.9), at(0.99));
    Ok(())
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: rawload\r\naccept: */*\r\n\r\n")
        .into_bytes()
}

fn number<N: FromStr<Err = std::num::ParseIntError>>(word: &str) -> io::Result<N> {
    word.parse().map_err(io::Error::other)
}

struct Load {
    port: u16,
    request: Vec<u8>,
    connections: usize,
    end: End,
}

/// What ends the load.
enum End {
    After(Duration),
    Answers(usize),
}

impl FromStr for End {
    type Err = io::Error;

    fn from_str(word: &str) -> io::Result<Self> {
        match (word.strip_suffix("ms"), word.strip_suffix('x')) {
            (Some(time), _) => Ok(Self::After(Duration::from_millis(number(time)?))),
            (_, Some(count)) => Ok(Self::Answers(number(count)?)),
            _ => Err(io::Error::other(
                "the end is a time as 1500ms or a count as 20000x",
            )),
        }
    }
}

impl End {
    fn is_reached(&self, taken: Duration, answers: usize) -> bool {
        match self {
            Self::After(time) => taken >= *time,
            Self::Answers(count) => answers >= *count,
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that are still to come.
    missing: usize,
    asked: Instant,
}

impl Load {
    /// Latencies in microseconds, and the time that it all took.
    fn run(&self) -> io::Result<(Vec<u32>, Duration)> {
        let answer_bytes = self.learn()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut open = Vec::with_capacity(self.connections);
        for slot in 0..self.connections {
            let stream = self.connect()?;
            let data = EventData::new_u64(slot as u64);
            epoll::add(&epoll, &stream, data, EventFlags::IN)?;
            open.push(Connection {
                stream,
                missing: answer_bytes,
                asked: Instant::now(),
            });
        }
        let started = Instant::now();
        for connection in &mut open {
            connection.ask(&self.request, answer_bytes, started)?;
        }
        let mut latencies = Vec::with_capacity(1 << 20);
        let mut space = [MaybeUninit::<Event>::uninit(); EVENTS_PER_TURN];
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let (events, _) = epoll::wait(&epoll, &mut space, Some(&TURN_MAX))?;
            let now = Instant::now();
            let taken = now - started;
            if self.end.is_reached(taken, latencies.len()) {
                return Ok((latencies, taken));
            }
            if events.is_empty() {
                return Err(io::Error::other("the server does not answer any more"));
            }
            for event in &*events {
                let connection = &mut open[event.data.u64() as usize];
                if connection.receive(&mut buffer)? {
                    let latency = now.saturating_duration_since(connection.asked).as_micros();
                    latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
                    connection.ask(&self.request, answer_bytes, now)?;
                }
            }
        }
    }

    /// Asks once, and counts head and body of the answer.
    fn learn(&self) -> io::Result<usize> {
        let mut stream = self.connect()?;
        stream.write_all(&self.request)?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return Err(io::Error::other(
                    "the server closed before its answer was whole",
                ));
            }
            answer.extend_from_slice(&buffer[..count]);
            if let Some(length) = length(&answer)? {
                return Ok(length);
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connection {
    fn ask(&mut self, request: &[u8], answer_bytes: usize, now: Instant) -> io::Result<()> {
        self.missing = answer_bytes;
        self.asked = now;
        self.stream.write_all(request)
    }

    /// Whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let count = self.stream.read(buffer)?;
        if count == 0 || count > self.missing {
            return Err(io::Error::other(
                "the answers differ in length, or the server closed",
            ));
        }
        self.missing -= count;
        Ok(self.missing == 0)
    }
}

/// Head and body together, once the head is whole.
fn length(answer: &[u8]) -> io::Result<Option<usize>> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return Ok(None);
    };
    if !head.starts_with("HTTP/1.1 200") {
        return Err(io::Error::other(format!(
            "not the expected answer: {}",
            head.lines().next().unwrap_or("")
        )));
    }
    let body = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let body = body.ok_or_else(|| io::Error::other("the answer has no content-length"))?;
    Ok(Some(head.len() + 4 + body))
}
