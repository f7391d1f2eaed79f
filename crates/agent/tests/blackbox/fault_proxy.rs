//! Stands between the agent and the emulator and does what networks and services do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// What happens to the requests of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They pass.
    None,
    /// They are refused because there were too many.
    Throttle,
    /// They pass, and every other reply is lost.
    LoseReplies,
    /// They pass with the first of these texts in their header replaced by the second.
    Alter(&'static str, &'static str),
}

/// A proxy for HTTP requests with a length, one per connection.
#[derive(Debug)]
pub struct FaultProxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    fault: Fault,
    requests: usize,
    applied: Vec<Applied>,
}

/// A write of an item that the table has applied, whether or not its reply came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub sk: String,
    pub mark: String,
    pub version: u64,
}

impl FaultProxy {
    /// In front of `upstream`, such as `http://127.0.0.1:4566`.
    pub fn start(upstream: &str) -> FaultProxy {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            fault: Fault::None,
            requests: 0,
            applied: Vec::new(),
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
        FaultProxy { address, state }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, fault: Fault) {
        self.state.lock().expect("nobody panics with it").fault = fault;
    }

    /// The writes that were applied, in the order of their answers.
    pub fn applied(&self) -> Vec<Applied> {
        self.state
            .lock()
            .expect("nobody panics with it")
            .applied
            .clone()
    }

    pub fn requests(&self) -> usize {
        self.state.lock().expect("nobody panics with it").requests
    }
}

const THROTTLED: &[u8] = b"{\"__type\":\"com.amazonaws.dynamodb.v20120810#\
    ProvisionedThroughputExceededException\",\"message\":\"slow down\"}";

fn pass(mut client: TcpStream, upstream: &str, state: &Mutex<State>) -> io::Result<()> {
    let request = read_message(&mut client)?;
    let (fault, number) = {
        let mut state = state.lock().expect("nobody panics with it");
        state.requests += 1;
        (state.fault, state.requests)
    };
    if fault == Fault::Throttle {
        let head = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.0\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            THROTTLED.len()
        );
        client.write_all(head.as_bytes())?;
        return client.write_all(THROTTLED);
    }
    let request = match fault {
        Fault::Alter(from, to) => altered(&request, from, to),
        _ => request,
    };
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&request)?;
    let reply = read_message(&mut server)?;
    if reply.starts_with(b"HTTP/1.1 200") {
        let mut state = state.lock().expect("nobody panics with it");
        state.applied.extend(applied(&request));
    }
    if fault == Fault::LoseReplies && number.is_multiple_of(2) {
        return Ok(());
    }
    client.write_all(&reply)
}

fn altered(request: &[u8], from: &str, to: &str) -> Vec<u8> {
    let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, body) = request.split_at(end.expect("a message has a header"));
    let head = String::from_utf8_lossy(head);
    assert!(
        head.contains(from),
        "there is no {from:?} to be altered in {head}"
    );
    [head.replace(from, to).as_bytes(), body].concat()
}

/// What a write that was answered with success has applied.
fn applied(request: &[u8]) -> Option<Applied> {
    let request = str::from_utf8(request).ok()?;
    let (head, body) = request.split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let body: Value = serde_json::from_str(body).ok()?;
    if head.contains("dynamodb_20120810.putitem") {
        let item = &body["Item"];
        return applied_of(&item["sk"], &item["_m"], &item["_v"]);
    }
    if !head.contains("dynamodb_20120810.updateitem") {
        return None;
    }
    let names = body["ExpressionAttributeNames"].as_object()?;
    let expression = body["UpdateExpression"].as_str()?;
    let written = |attribute: &str| {
        let (placeholder, _) = names.iter().find(|(_, name)| *name == attribute)?;
        let (_, rest) = expression.split_once(&format!("{placeholder} = "))?;
        let value = rest.split([',', ' ']).next()?;
        Some(body["ExpressionAttributeValues"][value].clone())
    };
    applied_of(&body["Key"]["sk"], &written("_m")?, &written("_v")?)
}

fn applied_of(sk: &Value, mark: &Value, version: &Value) -> Option<Applied> {
    Some(Applied {
        sk: sk["S"].as_str()?.to_owned(),
        mark: mark["S"].as_str()?.to_owned(),
        version: version["N"].as_str()?.parse().ok()?,
    })
}

/// A whole message, its header told to close the connection after it.
fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut message = Vec::new();
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
        if lower.starts_with("connection:") {
            continue;
        }
        if line == "\r\n" {
            message.extend_from_slice(b"connection: close\r\n\r\n");
            break;
        }
        message.extend_from_slice(line.as_bytes());
    }
    reader.take(length).read_to_end(&mut message)?;
    Ok(message)
}
