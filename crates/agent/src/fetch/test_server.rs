//! A server of the tests that answers what it is told, byte for byte.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Fetch, FetchOptions};
use crate::net::clock::Clock;

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The number of the connection, from 0.
    pub(super) connection: usize,
    /// Method and target.
    pub(super) line: String,
    /// The fields as they stood, names in small letters.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        Some(&fields.find(|(given, _)| given == name)?.1)
    }
}

pub(super) struct Server {
    pub(super) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Answerer = dyn Fn(usize, &Seen) -> Vec<u8> + Send + Sync;

impl Server {
    /// Answers the n-th request with what `answer` says; an empty answer closes the connection. Who
    /// asks first whether the body is wanted is refused without it, unless the answer is success.
    pub(super) async fn new<B: Into<Vec<u8>>>(
        answer: impl Fn(usize, &Seen) -> B + Send + Sync + 'static,
    ) -> Server {
        Server::start(None, answer).await
    }

    pub(super) async fn tls<B: Into<Vec<u8>>>(
        acceptor: TlsAcceptor,
        answer: impl Fn(usize, &Seen) -> B + Send + Sync + 'static,
    ) -> Server {
        Server::start(Some(acceptor), answer).await
    }

    /// Answers every request with the same.
    pub(super) async fn always(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |_, _| answer.clone()).await
    }

    async fn start<B: Into<Vec<u8>>>(
        acceptor: Option<TlsAcceptor>,
        answer: impl Fn(usize, &Seen) -> B + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has ports");
        let port = listener.local_addr().expect("it is bound").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answerer> = Arc::new(move |at, seen| answer(at, seen).into());
        let kept = seen.clone();
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer, acceptor) = (kept.clone(), answer.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => talk(stream, connection, &seen, &answer).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                talk(stream, connection, &seen, &answer).await;
                            }
                        }
                    }
                });
                connection += 1;
            }
        });
        Server { port, seen }
    }

    pub(super) fn url(&self, target: &str) -> String {
        format!("http://127.0.0.1:{}{target}", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics with it").clone()
    }
}

async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    seen: &Mutex<Vec<Seen>>,
    answer: &Arc<Answerer>,
) {
    let lock = || seen.lock().expect("nobody panics with it");
    while let Some(mut request) = read_head(&mut stream, connection).await {
        if request.field("expect").is_some() {
            let at = lock().len();
            let bytes = answer(at, &request);
            if !bytes.starts_with(b"HTTP/1.1 2") {
                lock().push(request);
                let _ = stream.write_all(&bytes).await;
                return;
            }
            let go_on = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go_on.expect("the client waits for it");
        }
        if read_body(&mut stream, &mut request).await.is_none() {
            return;
        }
        let at = {
            let mut seen = lock();
            seen.push(request.clone());
            seen.len() - 1
        };
        let bytes = answer(at, &request);
        if bytes.is_empty() || stream.write_all(&bytes).await.is_err() {
            return;
        }
        let _ = stream.flush().await;
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if head.contains("\r\nconnection: close\r\n") {
            return;
        }
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let fields: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Seen {
        connection,
        line,
        fields,
        body: Vec::new(),
    })
}

async fn read_body(stream: &mut (impl AsyncRead + Unpin), seen: &mut Seen) -> Option<()> {
    if let Some(length) = seen.field("content-length") {
        seen.body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut seen.body).await.ok()?;
    } else if seen.field("transfer-encoding").is_some() {
        while !seen.body.ends_with(b"0\r\n\r\n") {
            seen.body.push(stream.read_u8().await.ok()?);
        }
    }
    Some(())
}

/// An answer with a length.
pub(super) fn answer(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn options() -> FetchOptions {
    FetchOptions::new(&Clock::new(Path::new("/nonexistent")))
}

pub(super) fn fetch() -> Fetch {
    options().build().expect("no files")
}
