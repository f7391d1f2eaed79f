//! Packets over a WebSocket, whose messages have other bounds than they.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt as _};
use http::HeaderValue;
use periwinkle_core::mqtt::codec::{
    Connack, Inbox, Packet, Properties, Publish, QoS, Reason, Suback, Version,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::mqtt::{Mqtt, Options};

const PAYLOAD_BYTES: usize = 1000;

/// Accepts one connection, and sends these messages when it has granted a subscription.
async fn broker(messages: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // None other is accepted: a client that has to come again gets nothing.
        drop(listener);
        serve(stream, messages).await;
    });
    port
}

#[expect(clippy::result_large_err, reason = "the library asks for this type")]
async fn serve(stream: TcpStream, messages: Vec<Vec<u8>>) {
    let choose = |_: &Request, mut answer: Response| {
        let chosen = HeaderValue::from_static("mqtt");
        let fields = answer.headers_mut();
        fields.insert("sec-websocket-protocol", chosen);
        Ok(answer)
    };
    let accepted = tokio_tungstenite::accept_hdr_async(stream, choose).await;
    let mut socket: WebSocketStream<TcpStream> = accepted.unwrap();
    let mut inbox = Inbox::new(1 << 20);
    while let Some(Ok(message)) = socket.next().await {
        inbox.extend(&message.into_data());
        let mut answers = Vec::new();
        let mut is_granted = false;
        while let Some(frame) = inbox.take().unwrap() {
            let answer = match Packet::decode(Version::V5, frame).unwrap() {
                Packet::Connect(_) => Packet::Connack(Connack {
                    session_present: false,
                    reason: Reason::Success,
                    properties: Properties::EMPTY,
                }),
                Packet::Subscribe(subscribe) => {
                    is_granted = true;
                    Packet::Suback(Suback {
                        id: subscribe.id,
                        properties: Properties::EMPTY,
                        reasons: vec![Reason::Success],
                    })
                }
                _ => continue,
            };
            answer.encode(Version::V5, &mut answers).unwrap();
        }
        socket.send(Message::Binary(answers.into())).await.unwrap();
        for message in messages.iter().filter(|_| is_granted) {
            let message = Message::Binary(Bytes::copy_from_slice(message));
            socket.send(message).await.unwrap();
        }
    }
}

fn packets(numbers: Range<u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in numbers {
        let payload = payload(number);
        let publish = Publish {
            payload: &payload,
            ..Publish::new("a", QoS::AtMostOnce)
        };
        let encoded = Packet::Publish(publish).encode(Version::V5, &mut bytes);
        encoded.unwrap();
    }
    bytes
}

fn payload(number: u16) -> Vec<u8> {
    number.to_be_bytes().repeat(PAYLOAD_BYTES / 2)
}

async fn check(messages: Vec<Vec<u8>>, numbers: Range<u16>) {
    let port = broker(messages).await;
    let address = format!("ws://127.0.0.1:{port}");
    let options = Options::new(&address, "pump-7").unwrap();
    let mqtt = Mqtt::connect(options).unwrap();
    let asked = mqtt.subscribe("a", QoS::AtMostOnce).buffer(1000);
    let mut came = asked.await.unwrap();
    for number in numbers {
        let message = came.recv().await.unwrap();
        assert!(message.payload() == payload(number), "message {number}");
    }
}

#[tokio::test]
async fn a_message_with_more_packets_than_one_may_be_long_is_read_as_a_stream() {
    check(vec![packets(0..300)], 0..300).await;
}

#[tokio::test]
async fn a_packet_may_be_spread_over_many_messages() {
    let all = packets(0..3);
    let parts = all.chunks(7).map(<[u8]>::to_vec).collect();
    check(parts, 0..3).await;
}
