//! The load: N keep-alive connections, one outstanding request on each, for a given time, on one thread.
//!
//! The length of the answers is learned from the first one, so that the load spends less than any server on
//! reading. Prints one line: requests per second, and the median, 90th and 99th percentile and largest latency
//! in microseconds.
//!
//! `rawload PORT PATH CONNECTIONS MILLISECONDS`

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, Event, EventData, EventFlags};

const READ_BYTES: usize = 64 * 1024;
const EVENTS_PER_TURN: usize = 256;

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, path, connections, milliseconds] = words.as_slice() else {
        eprintln!("usage: rawload PORT PATH CONNECTIONS MILLISECONDS");
        std::process::exit(64);
    };
    let load = Load {
        port: port.parse().map_err(io::Error::other)?,
        request: request(path),
        duration: Duration::from_millis(milliseconds.parse().map_err(io::Error::other)?),
    };
    let mut latencies = load.run(connections.parse().map_err(io::Error::other)?)?;
    latencies.sort_unstable();
    let rate = latencies.len() as f64 / load.duration.as_secs_f64();
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

struct Load {
    port: u16,
    request: Vec<u8>,
    duration: Duration,
}

struct Connection {
    stream: TcpStream,
    /// Bytes of the answer that are still to come.
    missing: usize,
    asked: Instant,
}

impl Load {
    /// Latencies in microseconds.
    fn run(&self, connections: usize) -> io::Result<Vec<u32>> {
        let answer_bytes = self.learn()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut open = Vec::with_capacity(connections);
        for slot in 0..connections {
            let stream = self.connect()?;
            epoll::add(
                &epoll,
                &stream,
                EventData::new_u64(slot as u64),
                EventFlags::IN,
            )?;
            open.push(Connection {
                stream,
                missing: answer_bytes,
                asked: Instant::now(),
            });
        }
        let end = Instant::now() + self.duration;
        for connection in &mut open {
            connection.ask(&self.request, answer_bytes, Instant::now())?;
        }
        let mut latencies = Vec::with_capacity(1 << 20);
        let mut space = [MaybeUninit::<Event>::uninit(); EVENTS_PER_TURN];
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let (events, _) = epoll::wait(&epoll, &mut space, None)?;
            let now = Instant::now();
            if now >= end {
                return Ok(latencies);
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
