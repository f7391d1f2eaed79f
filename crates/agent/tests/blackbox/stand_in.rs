//! A server of HTTP/1.1 that does what a test tells it, right or wrong, byte by byte, and keeps
//! what it was sent.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One listener; it answers every request as its script says.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

/// A request as it came. The body is empty where the script did not ask for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Which connection of this server brought it, from 1.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
    /// By their names in small letters.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the server does next with a connection.
pub(crate) enum Step {
    /// Takes the body of the request, however it is framed.
    ReadBody,
    Send(Vec<u8>),
    /// Sends one byte after the other with a pause before each.
    Drip(Vec<u8>, Duration),
    /// Sends these bytes again and again, until nobody takes them any more.
    Repeat(Vec<u8>),
    /// Says nothing until the client goes away.
    Hold,
    /// Ends the connection in order.
    Close,
    /// Ends it with a reset, as a crashed peer does.
    Reset,
}

/// Gives the steps for a request, which has its number, from 1.
pub(crate) type Script = dyn Fn(usize, &Request) -> Vec<Step> + Send + Sync;

impl StandIn {
    pub(crate) fn start(
        script: impl Fn(usize, &Request) -> Vec<Step> + Send + Sync + 'static,
    ) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (kept, counted) = (seen.clone(), connections.clone());
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let (script, kept) = (script.clone(), kept.clone());
                thread::spawn(move || {
                    // A client that goes away early is what half of the tests are about.
                    let _ = serve(stream, number, script.as_ref(), &kept);
                });
            }
        });
        StandIn {
            address,
            seen,
            connections,
        }
    }

    /// The same steps for every request, after its body was read.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>) -> StandIn {
        let bytes = bytes.into();
        StandIn::start(move |_, _| vec![Step::ReadBody, Step::Send(bytes.clone())])
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A whole answer: its length is told.
pub(crate) fn answer(status: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut bytes = head(
        status,
        &[fields, &[("content-length", length.as_str())]].concat(),
    );
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) fn head(status: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "\r\n").into_bytes()
}

fn serve(
    stream: TcpStream,
    connection: usize,
    script: &Script,
    seen: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut request) = read_head(&mut reader)? {
        request.connection = connection;
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len()
        };
        for step in script(number, &request) {
            if matches!(step, Step::ReadBody) {
                let body = read_body(&mut reader, &request)?;
                seen.lock().unwrap()[number - 1].body = body;
            } else if !take(step, &stream, &mut reader)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether the connection goes on.
fn take(step: Step, mut stream: &TcpStream, reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
    match step {
        Step::ReadBody => {}
        Step::Send(bytes) => stream.write_all(&bytes)?,
        Step::Drip(bytes, pause) => {
            for byte in bytes {
                thread::park_timeout(pause);
                stream.write_all(&[byte])?;
            }
        }
        Step::Repeat(bytes) => loop {
            stream.write_all(&bytes)?;
        },
        Step::Hold => {
            io::copy(reader, &mut io::sink())?;
        }
        Step::Close => return Ok(false),
        Step::Reset => {
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None` when the client has gone between two requests.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok(Some(request));
        };
        let name = name.to_ascii_lowercase();
        request.fields.insert(name, value.trim().to_owned());
    }
}

fn read_body(reader: &mut BufReader<TcpStream>, request: &Request) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.fields.contains_key("transfer-encoding") {
        while let Some(bytes) = read_chunk(reader)? {
            body.extend(bytes);
        }
    } else if let Some(length) = request.fields.get("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(body)
}

/// `None` after the last one.
fn read_chunk(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    reader.read_line(&mut String::new())?;
    Ok((length > 0).then_some(bytes))
}
