//! A small HTTP/1.1 client that sends exactly what a test says.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::eventually::PATIENCE;

/// Speaks to one server and keeps its session.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    cookie: Option<String>,
    xsrf: Option<String>,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        Client {
            address,
            cookie: None,
            xsrf: None,
        }
    }

    /// The session's cookie as it is sent.
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body)
    }

    #[track_caller]
    pub fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(
            method,
            path,
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, fields, body)
            .unwrap_or_else(|error| {
                panic!("{method} {path} at {}: {error}", self.address);
            })
    }

    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let mut stream = self.open(method, path, fields, body.len())?;
        stream.write_all(body)?;
        read_answer(&mut BufReader::new(stream))
    }

    /// Sends the header with the session's fields; the body is the caller's.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        length: usize,
    ) -> io::Result<TcpStream> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let named = |name: &str| {
            fields
                .iter()
                .any(|(field, _)| field.eq_ignore_ascii_case(name))
        };
        if !named("host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        if let Some(cookie) = self.cookie.as_ref().filter(|_| !named("cookie")) {
            head += &format!("Cookie: {cookie}\r\n");
        }
        if let Some(xsrf) = self.xsrf.as_ref().filter(|_| !named("x-xsrf-token")) {
            head += &format!("X-XSRF-Token: {xsrf}\r\n");
        }
        for (name, value) in fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {length}\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// Sends bytes as they are and returns everything the server says.
    pub fn raw(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(bytes)?;
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(answer),
        }
    }

    /// Takes the session that an answer to a setup or login carries.
    #[track_caller]
    pub fn keep_session(&mut self, answer: &Answer) {
        let cookie = &answer.fields["set-cookie"];
        self.cookie = cookie.split(';').next().map(str::to_owned);
        self.xsrf = answer.json()["xsrf"].as_str().map(str::to_owned);
        assert!(self.xsrf.is_some(), "{}", answer.text());
    }

    /// The data of server-sent events of one name, from now on.
    #[track_caller]
    pub fn events(&self, name: &'static str, topics: &str) -> impl Iterator<Item = Value> + use<> {
        let path = format!("/api/v1/events?topics={topics}");
        let stream = self.open("GET", &path, &[], 0).expect("the agent answers");
        let mut reader = BufReader::new(stream);
        let (status, _) = read_head(&mut reader).expect("a header");
        assert_eq!(status, 200);
        let mut current = String::new();
        let mut lines = reader.lines();
        std::iter::from_fn(move || {
            loop {
                let line = lines.next()?.ok()?;
                if let Some(event) = line.strip_prefix("event: ") {
                    current = event.to_owned();
                } else if let Some(data) = line.strip_prefix("data: ").filter(|_| current == name) {
                    return Some(serde_json::from_str(data).expect("events carry JSON"));
                }
            }
        })
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, BTreeMap<String, String>)> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
    let mut fields = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok((status, fields))
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let (status, fields) = read_head(reader)?;
    let mut body = Vec::new();
    if fields
        .get("transfer-encoding")
        .is_some_and(|coding| coding == "chunked")
    {
        read_chunks(reader, &mut body)?;
    } else if let Some(length) = fields
        .get("content-length")
        .and_then(|text| text.parse().ok())
    {
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(Answer {
        status,
        fields,
        body,
    })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        reader.by_ref().take(size).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}
