//! What comes over a WebSocket, cut into short messages while it comes.
//!
//! To a protocol that is a stream of bytes, the bounds of messages and frames mean nothing: MQTT's
//! packets may share a message or be spread over many (MQTT 5, section 6), and a message may be
//! longer than any packet. So that none is ever gathered as a whole, [`Pieces`] stands between the
//! connection and the reader of frames, and gives each frame of data another head: messages of
//! what has come already, [`WEBSOCKET_PIECE_BYTES_MAX`] at most. Everything else passes as it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use periwinkle_core::limits::WEBSOCKET_PIECE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The longest head of a frame: two bytes, a length of eight and a mask (RFC 6455, section 5.2).
const HEAD_BYTES_MAX: usize = 14;
const END_OF_ANSWER: &[u8] = b"\r\n\r\n";

const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

/// A connection to a server of WebSockets, from the handshake on.
#[derive(Debug)]
pub(crate) struct Pieces<S> {
    link: S,
    /// What was read and not looked at.
    bytes: Box<[u8]>,
    unread: std::ops::Range<usize>,
    /// Heads of ours that are to come out first.
    head: Vec<u8>,
    at: At,
    /// The kind of the message of which more frames follow.
    open: Option<u8>,
}

#[derive(Debug)]
enum At {
    /// The answer to the handshake, of whose end so many bytes were seen.
    Answer(usize),
    /// The head of a frame, as much of it as came.
    Head(Vec<u8>),
    /// The content of a frame that passes as it is.
    Content(u64),
    /// So much of a piece, and of its frame behind it, whose pieces begin with this byte.
    Piece { piece: usize, left: u64, first: u8 },
}

impl<S> Pieces<S> {
    pub(super) fn new(link: S) -> Pieces<S> {
        Pieces {
            link,
            bytes: vec![0; WEBSOCKET_PIECE_BYTES_MAX].into(),
            unread: 0..0,
            head: Vec::new(),
            at: At::Answer(0),
            open: None,
        }
    }

    /// Gives out what can be given out of what was read. Nothing comes out only if more has to be
    /// read.
    fn give(&mut self, out: &mut ReadBuf<'_>) -> io::Result<()> {
        loop {
            let count = self.head.len().min(out.remaining());
            out.put_slice(&self.head[..count]);
            self.head.drain(..count);
            if out.remaining() == 0 || (self.unread.is_empty() && !self.at_end_of_frame()) {
                return Ok(());
            }
            match &mut self.at {
                At::Answer(_) => self.pass_answer(out),
                At::Content(0) => self.at = At::Head(Vec::new()),
                At::Content(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX);
                    let count = pass(&self.bytes, &mut self.unread, count, out);
                    *left -= count as u64;
                }
                At::Piece {
                    piece: 0,
                    left,
                    first,
                } => {
                    let (left, first) = (*left, *first);
                    self.begin_piece(left, first);
                }
                At::Piece { piece, .. } => {
                    *piece -= pass(&self.bytes, &mut self.unread, *piece, out)
                }
                At::Head(head) => {
                    head.push(self.bytes[self.unread.start]);
                    self.unread.start += 1;
                    if let Some(length) = content_length(head) {
                        let head = std::mem::take(head);
                        self.begin_frame(head, length)?;
                    }
                }
            }
        }
    }

    /// Whether something can go on without further bytes.
    fn at_end_of_frame(&self) -> bool {
        matches!(
            self.at,
            At::Content(0)
                | At::Piece {
                    piece: 0,
                    left: 0,
                    ..
                }
        )
    }

    fn pass_answer(&mut self, out: &mut ReadBuf<'_>) {
        let At::Answer(mut seen) = self.at else {
            return;
        };
        while seen < END_OF_ANSWER.len() && !self.unread.is_empty() && out.remaining() > 0 {
            let byte = self.bytes[self.unread.start];
            self.unread.start += 1;
            out.put_slice(&[byte]);
            seen = match byte == END_OF_ANSWER[seen] {
                true => seen + 1,
                false => usize::from(byte == END_OF_ANSWER[0]),
            };
        }
        self.at = match seen == END_OF_ANSWER.len() {
            true => At::Head(Vec::new()),
            false => At::Answer(seen),
        };
    }

    fn begin_frame(&mut self, head: Vec<u8>, length: u64) -> io::Result<()> {
        let kind = head[0] & OPCODE;
        // Whoever reads the frames says what is wrong with a control frame or a mask.
        if kind & CONTROL != 0 || head[1] & MASKED != 0 {
            self.head = head;
            self.at = At::Content(length);
            return Ok(());
        }
        let kind = match (kind, self.open) {
            (CONTINUATION, Some(open)) => open,
            (CONTINUATION, None) => return Err(broken("a continuation of nothing")),
            (_, Some(_)) => return Err(broken("a message within a message")),
            (kind, None) => kind,
        };
        self.open = (head[0] & FINAL == 0).then_some(kind);
        // The reserved bits stay: they are not for us to accept.
        let first = head[0] & !OPCODE | FINAL | kind;
        self.at = match length {
            0 => At::Content(0),
            _ => At::Piece {
                piece: 0,
                left: length,
                first,
            },
        };
        Ok(())
    }

    /// A message of what is there: waiting for more would hold up what came.
    fn begin_piece(&mut self, left: u64, first: u8) {
        let piece = self
            .unread
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if piece == 0 {
            self.at = At::Content(0);
            return;
        }
        self.head.push(first);
        match u8::try_from(piece) {
            Ok(length @ ..=125) => self.head.push(length),
            _ => {
                let length = u16::try_from(piece).expect("a piece fits the buffer");
                self.head.push(126);
                self.head.extend_from_slice(&length.to_be_bytes());
            }
        }
        let left = left - piece as u64;
        self.at = At::Piece { piece, left, first };
    }
}

/// The length of the content, once the head is whole.
fn content_length(head: &[u8]) -> Option<u64> {
    let (&[_, second], rest) = head.split_first_chunk()?;
    let length_bytes = match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask_bytes = if second & MASKED == 0 { 0 } else { 4 };
    debug_assert!(head.len() <= HEAD_BYTES_MAX);
    let length = rest.get(..length_bytes)?;
    if rest.len() < length_bytes + mask_bytes {
        return None;
    }
    let number = |number, byte: &u8| number << 8 | u64::from(*byte);
    Some(match length_bytes {
        0 => u64::from(second & !MASKED),
        _ => length.iter().fold(0, number),
    })
}

fn pass(
    bytes: &[u8],
    unread: &mut std::ops::Range<usize>,
    count: usize,
    out: &mut ReadBuf<'_>,
) -> usize {
    let count = count.min(unread.len()).min(out.remaining());
    out.put_slice(&bytes[unread.start..unread.start + count]);
    unread.start += count;
    count
}

fn broken(what: &str) -> io::Error {
    let what = format!("the other end broke the rules of WebSocket: {what}");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = out.filled().len();
        loop {
            this.give(out)?;
            if out.filled().len() > before || out.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            let mut space = ReadBuf::new(&mut this.bytes);
            ready!(Pin::new(&mut this.link).poll_read(context, &mut space))?;
            this.unread = 0..space.filled().len();
            if this.unread.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.link).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
    use tokio_tungstenite::tungstenite::{Error, Message};

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 So be it\r\nA: b\r\r\n\r\n";

    fn frame(first: u8, content: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match content.len() {
            length @ ..=125 => frame.push(length as u8),
            length @ ..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        [&frame, content].concat()
    }

    /// What comes of these bytes, which arrive in parts of this length: the answer to the
    /// handshake, the content of all messages, how many of the others there were, and the error.
    async fn read(bytes: &[u8], part: usize) -> (Vec<u8>, usize, Option<Error>) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let bytes = [ANSWER, bytes].concat();
        let sending = tokio::spawn(async move {
            for part in bytes.chunks(part) {
                theirs.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut pieces = Pieces::new(ours);
        let mut answer = vec![0; ANSWER.len()];
        tokio::io::AsyncReadExt::read_exact(&mut pieces, &mut answer)
            .await
            .unwrap();
        assert_eq!(answer, ANSWER);
        let config = WebSocketConfig::default()
            .max_message_size(Some(WEBSOCKET_PIECE_BYTES_MAX))
            .max_frame_size(Some(WEBSOCKET_PIECE_BYTES_MAX));
        let mut stream = WebSocketStream::from_raw_socket(pieces, Role::Client, Some(config)).await;
        let (mut content, mut others) = (Vec::new(), 0);
        let error = loop {
            match stream.next().await {
                Some(Ok(Message::Binary(more))) => content.extend_from_slice(&more),
                Some(Ok(_)) => others += 1,
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        // It may not be able to send all of it.
        drop(stream);
        let _ = sending.await;
        (content, others, error)
    }

    #[tokio::test]
    async fn messages_of_any_length_and_in_any_number_of_frames_are_one_stream() {
        let long: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        let frames = [
            frame(0x82, &long),
            frame(0x82, b""),
            frame(0x82, b"short"),
            frame(0x02, b"be"),
            frame(0x89, b"ping"),
            frame(0x00, b""),
            frame(0x00, b"g"),
            frame(0x80, &long[..126]),
            frame(0x88, b""),
        ];
        let expected = [&long[..], b"short", b"be", b"g", &long[..126]].concat();
        for part in [1, 2, 3, 4093, 1 << 20] {
            let (content, others, error) = read(&frames.concat(), part).await;
            assert!(
                content == expected,
                "parts of {part}: {} bytes",
                content.len()
            );
            assert_eq!((others, error.map(|error| error.to_string())), (2, None));
        }
    }

    #[tokio::test]
    async fn what_came_of_an_endless_message_is_given_out_at_once() {
        let endless = [
            &[0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255][..],
            b"now",
        ]
        .concat();
        let (content, _, error) = read(&endless, 1 << 20).await;
        assert_eq!(content, b"now");
        assert!(error.is_some(), "it was cut");
    }

    #[tokio::test]
    async fn frames_that_break_the_rules_are_errors() {
        for (bytes, words) in [
            (frame(0x80, b"x"), "a continuation of nothing"),
            (
                [frame(0x02, b"x"), frame(0x82, b"y")].concat(),
                "a message within a message",
            ),
            (frame(0xc2, b"x"), "Reserved bits are non-zero"),
            ([&[0x82, 0x81][..], b"maskx"].concat(), "masked"),
            (frame(0x89, &[0; 126]), "Control frame too big"),
            (frame(0x83, b"x"), "opcode"),
        ] {
            let (content, _, error) = read(&bytes, 1 << 20).await;
            let error = error.expect("an error").to_string();
            assert!(error.contains(words), "{error}");
            assert!(content.len() <= 1);
        }
    }
}
