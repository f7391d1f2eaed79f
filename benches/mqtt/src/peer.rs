//! What the clients are measured against: a sink, which is a broker that acknowledges at once and
//! keeps nothing, and a partner, which is a client of a real broker. Both answer a message to `ask`
//! with one to its response topic, and one to `start`, whose payload is `QOS COUNT WINDOW`, with so
//! many messages to `feed`.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result};

use crate::PAYLOAD;
use crate::link::Link;
use crate::wire::{self, Publish};

/// Listens on a free port, prints it, and serves until it is killed.
pub(crate) fn sink() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    for stream in listener.incoming() {
        let mut peer = Peer::new(stream?)?;
        thread::spawn(move || {
            if let Err(error) = peer.serve() {
                eprintln!("sink: {error:#}");
            }
        });
    }
    Ok(())
}

/// Prints a line when it has subscribed.
pub(crate) fn partner(port: u16) -> Result<()> {
    let mut peer = Peer::new(TcpStream::connect(("127.0.0.1", port))?)?;
    peer.is_v5 = true;
    // CONNECT with version 5, a clean start, no keep alive and no properties.
    let out = &mut peer.link.out;
    out.extend_from_slice(b"\x10\x14\0\x04MQTT\x05\x02\0\0\0\0\x07partner");
    // SUBSCRIBE to both, QoS 1.
    out.extend_from_slice(b"\x82\x11\0\x01\0\0\x05start\x01\0\x03ask\x01");
    peer.link.send()?;
    let mut is_ready = false;
    while peer.link.receive()? {
        peer.take_all()?;
        if !is_ready && peer.subscribed {
            is_ready = true;
            println!("ready");
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

struct Peer {
    link: Link,
    is_v5: bool,
    subscribed: bool,
    feed: Feed,
}

/// Messages that are still to be sent.
#[derive(Default)]
struct Feed {
    qos: u8,
    left: u32,
    /// How many more may be on their way.
    free: u32,
    last_id: u16,
}

impl Peer {
    fn new(stream: TcpStream) -> Result<Peer> {
        Ok(Peer {
            link: Link::new(stream)?,
            is_v5: false,
            subscribed: false,
            feed: Feed::default(),
        })
    }

    fn serve(&mut self) -> Result<()> {
        while self.link.receive()? {
            self.take_all()?;
        }
        Ok(())
    }

    fn take_all(&mut self) -> Result<()> {
        while let Some((first, body)) = self.link.take() {
            let (body, out) = self.link.body_and_out(body);
            match first >> 4 {
                wire::PUBLISH => {
                    let message =
                        Publish::parse(first, body, self.is_v5).context("this is no PUBLISH")?;
                    receive(first, &message, self.is_v5, &mut self.feed, out)?;
                }
                wire::PUBREL => out.extend_from_slice(&[0x70, 2, body[0], body[1]]),
                wire::PUBREC => out.extend_from_slice(&[0x62, 2, body[0], body[1]]),
                wire::PUBACK | wire::PUBCOMP => self.feed.free += 1,
                wire::CONNECT => {
                    self.is_v5 = body[6] == 5;
                    accept(self.is_v5, out);
                }
                wire::SUBSCRIBE => grant(body, self.is_v5, out)?,
                wire::UNSUBSCRIBE => release(body, self.is_v5, out)?,
                wire::PINGREQ => out.extend_from_slice(&[0xD0, 0]),
                wire::DISCONNECT => {}
                9 => self.subscribed = true,
                _ => {}
            }
        }
        self.fill()
    }

    /// As many messages of the feed as the window has room for.
    fn fill(&mut self) -> Result<()> {
        const TURN_BYTES: usize = 64 * 1024;
        let feed = &mut self.feed;
        let properties = self.is_v5.then_some(&[][..]);
        while feed.left > 0 && (feed.qos == 0 || feed.free > 0) {
            feed.left -= 1;
            if feed.qos > 0 {
                feed.free -= 1;
                feed.last_id = feed.last_id.checked_add(1).unwrap_or(1);
            }
            let out = &mut self.link.out;
            wire::write_publish(out, feed.qos, b"feed", feed.last_id, properties, PAYLOAD);
            if self.link.out.len() >= TURN_BYTES {
                self.link.send()?;
            }
        }
        self.link.send()
    }
}

fn receive(
    first: u8,
    message: &Publish<'_>,
    is_v5: bool,
    feed: &mut Feed,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let Some([high, low]) = message.id {
        let answer = if first & 0b100 == 0 { 0x40 } else { 0x50 };
        out.extend_from_slice(&[answer, 2, high, low]);
    }
    match message.topic {
        b"start" => *feed = Feed::ordered(message.payload)?,
        b"ask" => {
            let (topic, data) =
                wire::response(message.properties).context("a question has no response topic")?;
            let mut properties = vec![0x09];
            wire::write_text(&mut properties, data);
            let properties = is_v5.then_some(&properties[..]);
            wire::write_publish(out, 0, topic, 0, properties, message.payload);
        }
        _ => {}
    }
    Ok(())
}

impl Feed {
    fn ordered(payload: &[u8]) -> Result<Feed> {
        let words: Vec<u32> = std::str::from_utf8(payload)?
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [qos, left, free] = words[..] else {
            anyhow::bail!("an order is QOS COUNT WINDOW");
        };
        Ok(Feed {
            qos: qos as u8,
            left,
            free,
            last_id: 0,
        })
    }
}

fn accept(is_v5: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(match is_v5 {
        true => &[0x20, 3, 0, 0, 0],
        false => &[0x20, 2, 0, 0],
    });
}

/// SUBACK: every filter gets what it asks for.
fn grant(body: &[u8], is_v5: bool, out: &mut Vec<u8>) -> Result<()> {
    let (id, mut rest) = after_id(body, is_v5)?;
    let mut granted = Vec::new();
    while !rest.is_empty() {
        let (_, more) = wire::text(rest).context("this is no SUBSCRIBE")?;
        granted.push(more.first().context("a filter has no options")? & 3);
        rest = &more[1..];
    }
    answer(0x90, id, is_v5, &granted, out);
    Ok(())
}

/// UNSUBACK, which has reasons in version 5 alone.
fn release(body: &[u8], is_v5: bool, out: &mut Vec<u8>) -> Result<()> {
    let (id, mut rest) = after_id(body, is_v5)?;
    let mut reasons = Vec::new();
    while is_v5 && !rest.is_empty() {
        rest = wire::text(rest).context("this is no UNSUBSCRIBE")?.1;
        reasons.push(0);
    }
    answer(0xB0, id, is_v5, &reasons, out);
    Ok(())
}

fn after_id(body: &[u8], is_v5: bool) -> Result<([u8; 2], &[u8])> {
    let id = [body[0], body[1]];
    let mut rest = &body[2..];
    if is_v5 {
        let (length, at) = wire::number(rest).context("properties have no length")?;
        rest = &rest[at + length..];
    }
    Ok((id, rest))
}

fn answer(first: u8, id: [u8; 2], is_v5: bool, reasons: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    wire::write_number(out, 2 + usize::from(is_v5) + reasons.len());
    out.extend_from_slice(&id);
    if is_v5 {
        out.push(0);
    }
    out.extend_from_slice(reasons);
}
