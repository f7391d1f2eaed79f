//! Stands between the agent and an emulator of S3, counts what passes, and does what networks do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// What happens to the requests of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Fair,
    /// Every third is refused because there were too many.
    Busy,
    /// Of every seven one is lost, of one the answer, and one is cut in its middle.
    Storm,
    /// A byte of each answer to `GET` is another one, far from its head.
    Fog,
    /// Nothing passes.
    Night,
}

/// A proxy for requests with a length, one for each connection.
#[derive(Debug)]
pub struct S3Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    requests: usize,
    /// The first line of each request whose head came.
    begun: Vec<String>,
    /// The same of each that S3 has done.
    done: Vec<String>,
}

impl S3Proxy {
    /// In front of `upstream`, such as `http://127.0.0.1:4566`.
    pub fn start(upstream: &str) -> S3Proxy {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            weather: Weather::Fair,
            requests: 0,
            begun: Vec::new(),
            done: Vec::new(),
        }));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, upstream) = (shared.clone(), upstream.clone());
                thread::spawn(move || {
                    // Either side may go away at any time: that is what this is for.
                    let _ = pass(stream, &upstream, &shared);
                });
            }
        });
        S3Proxy { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// How many parts S3 has taken.
    pub fn parts_done(&self) -> usize {
        let state = self.state();
        state.done.iter().filter(|line| is_part(line)).count()
    }

    /// The objects that S3 has taken in one request, in their order.
    pub fn puts_done(&self) -> Vec<String> {
        let state = self.state();
        let puts = state.done.iter().filter(|line| line.starts_with("PUT "));
        puts.cloned().collect()
    }

    /// How many parts were sent, whether they came through or not.
    pub fn parts_begun(&self) -> usize {
        let state = self.state();
        state.begun.iter().filter(|line| is_part(line)).count()
    }

    /// How many requests of this method, with this in their address, were sent.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let state = self.state();
        let fits = |line: &&String| line.starts_with(method) && line.contains(part);
        state.begun.iter().filter(fits).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}

fn is_part(line: &str) -> bool {
    line.starts_with("PUT ") && line.contains("partNumber=")
}

const SLOW_DOWN: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>\
    <Message>Please reduce your request rate.</Message></Error>";

fn pass(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (head, length) = read_head(&mut reader)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let (weather, number) = {
        let mut state = state.lock().expect("nobody panics with it");
        state.requests += 1;
        state.begun.push(line.clone());
        (state.weather, state.requests)
    };
    let mut body = Vec::new();
    let cut = weather == Weather::Storm && number % 7 == 1;
    let taken = if cut { length / 2 } else { length };
    reader.take(taken).read_to_end(&mut body)?;
    match (weather, number % 7) {
        (Weather::Night, _) => return Ok(()),
        (Weather::Storm, 1 | 5) => return Ok(()),
        (Weather::Busy, _) if number.is_multiple_of(3) => {
            let head = format!(
                "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                SLOW_DOWN.len()
            );
            client.write_all(head.as_bytes())?;
            return client.write_all(SLOW_DOWN.as_bytes());
        }
        _ => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply)?;
    if reply.starts_with(b"HTTP/1.1 20") {
        let mut state = state.lock().expect("nobody panics with it");
        state.done.push(line.clone());
    }
    if weather == Weather::Fog && line.starts_with("GET ") {
        let at = reply.len() / 2;
        reply[at] ^= 1;
    }
    if weather == Weather::Storm && number % 7 == 3 {
        return Ok(());
    }
    client.write_all(&reply)
}

/// The head, told to close the connection after the answer, and the length of the body.
fn read_head(reader: &mut impl BufRead) -> io::Result<(String, u64)> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            head.push_str("connection: close\r\n\r\n");
            return Ok((head, length));
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
}
