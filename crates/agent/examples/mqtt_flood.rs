//! Publishes messages of 100 bytes to a sink that acknowledges at once, in a thread of its own, and
//! prints how long it took: for profilers.
//!
//! `cargo run --release --example mqtt_flood [MESSAGES] [detach|acked]`

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use periwinkle::mqtt::{Mqtt, Options, QoS};

static PAYLOAD: [u8; 100] = [b'x'; 100];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let messages: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let waits = arguments.next().is_some_and(|word| word == "acked");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let sink = std::thread::spawn(move || listener.accept().and_then(|(stream, _)| serve(stream)));

    let mqtt = Mqtt::connect(Options::new(&format!("mqtt://127.0.0.1:{port}"), "flood")?)?;
    mqtt.connected().await?;
    let began = Instant::now();
    match waits {
        true => window(&mqtt, messages).await?,
        false => {
            for _ in 0..messages {
                mqtt.publish("bench/topic", &PAYLOAD)
                    .qos(QoS::AtLeastOnce)
                    .detach()?;
                if mqtt.queued() >= 2000 {
                    mqtt.below(1000).await?;
                }
            }
        }
    }
    mqtt.drained().await?;
    let elapsed = began.elapsed();
    let rate = messages as f64 / elapsed.as_secs_f64();
    let said = format!("{messages} messages in {elapsed:?}: {rate:.0} a second\n");
    std::io::stdout().write_all(said.as_bytes())?;
    drop(mqtt);
    tokio::task::yield_now().await;
    let _ = sink.join();
    Ok(())
}

/// A thousand on their way, each waited for.
async fn window(mqtt: &Mqtt, messages: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut waiting = std::collections::VecDeque::with_capacity(1000);
    for _ in 0..messages {
        if waiting.len() == 1000 {
            let first: periwinkle::mqtt::Delivery = waiting.pop_front().ok_or("empty")?;
            first.acked().await?;
        }
        let publish = mqtt.publish("bench/topic", &PAYLOAD).qos(QoS::AtLeastOnce);
        waiting.push_back(publish.track()?);
    }
    for delivery in waiting {
        delivery.acked().await?;
    }
    Ok(())
}

/// CONNACK for the first packet, PUBACK for each that follows.
fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 1 << 18];
    let (mut end, mut connected) = (0, false);
    let mut answers = Vec::new();
    loop {
        let count = stream.read(&mut buffer[end..])?;
        if count == 0 {
            return Ok(());
        }
        end += count;
        let mut start = 0;
        while let Some((body, next)) = packet(&buffer[start..end]) {
            let (at, kind) = (start + body, buffer[start] >> 4);
            match kind {
                1 if !connected => {
                    connected = true;
                    answers.extend_from_slice(&[0x20, 3, 0, 0, 0]);
                }
                3 => {
                    let topic = usize::from(u16::from_be_bytes([buffer[at], buffer[at + 1]]));
                    let id = at + 2 + topic;
                    answers.extend_from_slice(&[0x40, 2, buffer[id], buffer[id + 1]]);
                }
                12 => answers.extend_from_slice(&[0xD0, 0]),
                _ => {}
            }
            start += next;
        }
        buffer.copy_within(start..end, 0);
        end -= start;
        stream.write_all(&answers)?;
        answers.clear();
    }
}

/// Where the body of the first packet begins, and where the next packet does.
fn packet(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for index in 0..4 {
        let byte = *bytes.get(1 + index)?;
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let body = 2 + index;
            return (bytes.len() >= body + length).then_some((body, body + length));
        }
    }
    None
}
