//! Stands between the agent and the emulator and does what networks and services do.

pub mod dynamo;
#[cfg(feature = "upload")]
pub mod s3;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// A proxy for HTTP requests with a length, one for each connection.
#[derive(Debug)]
pub struct FaultProxy<F> {
    pub address: SocketAddr,
    faults: Arc<Mutex<F>>,
}

/// What goes wrong, and what is remembered of what passed.
pub trait Faults: Default + Send + 'static {
    /// What happens to a request whose head came. The head may be altered.
    fn fate(&mut self, head: &mut String) -> Fate;

    /// The service has answered.
    fn answered(&mut self, request: &Request, reply: &[u8]);
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It passes, and so does its answer.
    Pass,
    /// The connection ends in the middle of its body.
    Cut,
    /// It is lost when all of it came.
    Lost,
    /// It is answered by somebody who is not the service.
    Refused(Refusal),
    /// It passes, and its answer is lost.
    LostReply,
    /// It passes, and a byte of its answer is another one, far from its head.
    GarbledReply,
}

/// The answer of somebody who is not the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: &'static str,
    pub content_type: &'static str,
    pub body: &'static str,
}

/// A request as it was passed on.
#[derive(Debug)]
pub struct Request {
    pub head: String,
    pub body: Vec<u8>,
}

impl<F: Faults> FaultProxy<F> {
    /// In front of `upstream`, such as `http://127.0.0.1:4566`.
    pub fn start(upstream: &str) -> FaultProxy<F> {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let faults = Arc::new(Mutex::new(F::default()));
        let shared = faults.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, upstream) = (shared.clone(), upstream.clone());
                thread::spawn(move || {
                    // Either side may go away at any time: that is what this is for.
                    let _ = pass(stream, &upstream, &shared);
                });
            }
        });
        FaultProxy { address, faults }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn faults(&self) -> MutexGuard<'_, F> {
        locked(&self.faults)
    }
}

fn locked<F>(faults: &Mutex<F>) -> MutexGuard<'_, F> {
    faults.lock().expect("nobody panics with it")
}

fn pass<F: Faults>(mut client: TcpStream, upstream: &str, faults: &Mutex<F>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, length) = read_head(&mut reader)?;
    let fate = locked(faults).fate(&mut head);
    let taken = if fate == Fate::Cut {
        length / 2
    } else {
        length
    };
    let mut body = Vec::new();
    reader.take(taken).read_to_end(&mut body)?;
    match fate {
        Fate::Cut | Fate::Lost => return Ok(()),
        Fate::Refused(refusal) => return refuse(&mut client, refusal),
        Fate::Pass | Fate::LostReply | Fate::GarbledReply => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(head.as_bytes())?;
    server.write_all(&body)?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply)?;
    locked(faults).answered(&Request { head, body }, &reply);
    match fate {
        Fate::LostReply => return Ok(()),
        Fate::GarbledReply => {
            let middle = reply.len() / 2;
            reply[middle] ^= 1;
        }
        _ => {}
    }
    client.write_all(&reply)
}

fn refuse(client: &mut TcpStream, refusal: Refusal) -> io::Result<()> {
    let Refusal {
        status,
        content_type,
        body,
    } = refusal;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    client.write_all(answer.as_bytes())
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
