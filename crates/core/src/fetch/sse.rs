//! Event streams ("Server-sent events" in the HTML standard), read piece by piece.
//!
//! A stream that ends is opened again after a pause, with `Last-Event-ID`, so that the server can
//! go on where it was cut. What follows from that is kept here; the connection is the agent's.

use crate::limits;
use std::collections::VecDeque;
use std::time::Duration;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type, `message` where the stream names none.
    pub kind: String,
    /// Its lines, with line ends between.
    pub data: String,
    /// The id of the last event that had one.
    pub id: String,
}

/// Why a stream is not read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// A line is too long.
    #[error("a line of an event stream longer than {0} bytes")]
    Line(usize),
    /// The data of one event is too long.
    #[error("an event of more than {0} bytes")]
    Data(usize),
}

/// Reads an event stream, across all its connections.
#[derive(Clone, Debug)]
pub struct EventReader {
    line_bytes_max: usize,
    data_bytes_max: usize,
    events: VecDeque<Event>,
    line: Vec<u8>,
    /// Whether the first line of this connection is still to come, which a mark may begin.
    first_line: bool,
    /// Whether a line feed belongs to the carriage return before it.
    after_return: bool,
    kind: String,
    data: String,
    has_data: bool,
    id: String,
    last_id: String,
    retry: Duration,
}

impl Default for EventReader {
    fn default() -> EventReader {
        EventReader {
            line_bytes_max: limits::EVENT_LINE_BYTES_MAX,
            data_bytes_max: limits::EVENT_DATA_BYTES_MAX,
            events: VecDeque::new(),
            line: Vec::new(),
            first_line: true,
            after_return: false,
            kind: String::new(),
            data: String::new(),
            has_data: false,
            id: String::new(),
            last_id: String::new(),
            retry: limits::EVENT_RETRY,
        }
    }
}

impl EventReader {
    /// A reader before its first connection.
    pub fn new() -> EventReader {
        EventReader::default()
    }

    /// The same for a server whose events are known to be no longer than that.
    pub fn with_bound(bytes_max: usize) -> EventReader {
        EventReader {
            line_bytes_max: bytes_max,
            data_bytes_max: bytes_max,
            ..EventReader::default()
        }
    }

    /// What to send as `Last-Event-ID`; empty for nothing.
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// How long to wait before the stream is opened again.
    pub const fn retry(&self) -> Duration {
        self.retry
    }

    /// More of the stream came.
    ///
    /// # Errors
    /// When a line or an event is too long; the connection is then of no more use.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), EventError> {
        for byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' => self.end_line()?,
                b'\r' => {
                    self.end_line()?;
                    self.after_return = true;
                }
                _ if self.line.len() >= self.line_bytes_max => {
                    return Err(EventError::Line(self.line_bytes_max));
                }
                _ => self.line.push(*byte),
            }
        }
        Ok(())
    }

    /// The connection ended: an event that was not complete is dropped.
    pub fn handle_end(&mut self) {
        self.line.clear();
        self.clear_event();
        self.id.clone_from(&self.last_id);
        self.first_line = true;
        self.after_return = false;
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn end_line(&mut self) -> Result<(), EventError> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let first = std::mem::take(&mut self.first_line);
        let mark = text.strip_prefix('\u{feff}').filter(|_| first);
        let line = mark.unwrap_or(&text);
        if line.is_empty() {
            self.end_event();
            return Ok(());
        }
        match line.split_once(':') {
            Some(("", _)) => Ok(()),
            Some((name, value)) => self.field(name, value.strip_prefix(' ').unwrap_or(value)),
            None => self.field(line, ""),
        }
    }

    fn field(&mut self, name: &str, value: &str) -> Result<(), EventError> {
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                let separator = usize::from(self.has_data);
                let length = self.data.len() + separator + value.len();
                if length > self.data_bytes_max {
                    return Err(EventError::Data(self.data_bytes_max));
                }
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // One with a control character could not be told to the server again.
            "id" if !value.chars().any(|c| c.is_control() && c != '\t') => {
                value.clone_into(&mut self.id);
            }
            "retry" => {
                if let Some(retry) = milliseconds(value) {
                    self.retry = retry.clamp(limits::EVENT_RETRY_MIN, limits::EVENT_RETRY_MAX);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_event(&mut self) {
        self.last_id.clone_from(&self.id);
        if self.has_data {
            let kind = std::mem::take(&mut self.kind);
            self.events.push_back(Event {
                kind: if kind.is_empty() {
                    "message".to_owned()
                } else {
                    kind
                },
                data: std::mem::take(&mut self.data),
                id: self.last_id.clone(),
            });
        }
        self.clear_event();
    }

    fn clear_event(&mut self) {
        self.kind.clear();
        self.data.clear();
        self.has_data = false;
    }
}

fn milliseconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_millis(value.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Type, data and id.
    type Shown = (String, String, String);

    fn read(text: &[u8]) -> (Vec<Shown>, EventReader) {
        let mut reader = EventReader::new();
        reader.handle_bytes(text).unwrap();
        let mut events = Vec::new();
        while let Some(event) = reader.poll_event() {
            events.push((event.kind, event.data, event.id));
        }
        (events, reader)
    }

    #[test]
    fn a_stream_becomes_events() {
        let message = |data: &str, id: &str| ("message".to_owned(), data.to_owned(), id.to_owned());
        let cases: &[(&str, &[Shown])] = &[
            ("data: a\n\n", &[message("a", "")]),
            ("\u{feff}data: a\n\n", &[message("a", "")]),
            ("\u{feff}\u{feff}data: a\n\n", &[]),
            (
                "data: a\r\rdata: b\r\n\r\n",
                &[message("a", ""), message("b", "")],
            ),
            ("data: a\r\ndata: b\r\n\r\n", &[message("a\nb", "")]),
            ("data:a\ndata:  b\ndata\n\n", &[message("a\n b\n", "")]),
            (
                "data\n\ndata\ndata\n\n",
                &[message("", ""), message("\n", "")],
            ),
            (": comment\ndata: a\nunknown: x\n\n", &[message("a", "")]),
            (
                "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
                &[message("a", "1"), message("b", "1"), message("c", "")],
            ),
            ("id: 1\0\ndata: a\n\n", &[message("a", "")]),
            ("id: a\u{1}b\ndata: a\n\n", &[message("a", "")]),
            ("id: 1\nid: 2\u{7f}\ndata: a\n\n", &[message("a", "1")]),
            ("id: a\tb\u{e9}\ndata: a\n\n", &[message("a", "a\tb\u{e9}")]),
            (
                "event: go\ndata: a\n\ndata: b\n\n",
                &[("go".into(), "a".into(), "".into()), message("b", "")],
            ),
            ("event: go\n\ndata: b\n\n", &[message("b", "")]),
            ("data: a", &[]),
            ("data: a\n", &[]),
            ("\n\n\n", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()).0, *expected, "{text:?}");
        }
        assert_eq!(read(b"data: \xff\n\n").0, [message("\u{fffd}", "")]);
    }

    #[test]
    fn a_stream_goes_on_where_it_was_cut() {
        let (_, mut reader) = read(b"retry: 150\nid: 7\ndata: a\n\nid: 8\ndata: lost");
        assert_eq!(reader.last_event_id(), "7");
        assert_eq!(reader.retry(), Duration::from_millis(150));
        reader.handle_end();
        reader
            .handle_bytes("\u{feff}data: b\n\n".as_bytes())
            .unwrap();
        let event = reader.poll_event().unwrap();
        assert_eq!((event.data.as_str(), event.id.as_str()), ("b", "7"));
        // An id takes effect with the event that it stands in, even one without data.
        reader.handle_bytes(b"id: 9\n\n").unwrap();
        assert_eq!(reader.last_event_id(), "9");
    }

    #[test]
    fn a_pause_is_a_number_within_a_bound() {
        let retry = |text: &str| read(format!("retry: {text}\n").as_bytes()).1.retry();
        assert_eq!(retry("101"), Duration::from_millis(101));
        assert_eq!(retry("100"), limits::EVENT_RETRY_MIN);
        assert_eq!(retry("99"), limits::EVENT_RETRY_MIN);
        assert_eq!(retry("0"), limits::EVENT_RETRY_MIN);
        assert_eq!(retry("1s"), limits::EVENT_RETRY);
        assert_eq!(retry("-1"), limits::EVENT_RETRY);
        assert_eq!(retry("300001"), limits::EVENT_RETRY_MAX);
        assert_eq!(retry("99999999999999999999999"), limits::EVENT_RETRY_MAX);
    }

    #[test]
    fn lines_and_events_are_read_to_their_bounds_and_not_beyond() {
        let line = |bytes: usize| {
            let text = format!("data:{}\n\n", "x".repeat(bytes - 5));
            EventReader::new().handle_bytes(text.as_bytes())
        };
        assert_eq!(line(limits::EVENT_LINE_BYTES_MAX), Ok(()));
        assert_eq!(
            line(limits::EVENT_LINE_BYTES_MAX + 1),
            Err(EventError::Line(limits::EVENT_LINE_BYTES_MAX))
        );
        let data = |bytes: usize| {
            let mut reader = EventReader::new();
            let full = format!("data:{}\n", "x".repeat(1023));
            reader.handle_bytes(full.repeat(bytes / 1024).as_bytes())?;
            let rest = bytes % 1024;
            reader.handle_bytes(format!("data:{}\n", "x".repeat(rest)).as_bytes())
        };
        assert_eq!(data(limits::EVENT_DATA_BYTES_MAX - 1024 + 1024), Ok(()));
        assert_eq!(
            data(limits::EVENT_DATA_BYTES_MAX + 1),
            Err(EventError::Data(limits::EVENT_DATA_BYTES_MAX))
        );
    }

    proptest! {
        #[test]
        fn the_pieces_of_a_stream_do_not_matter(
            text in "(data|id|event|retry|:| |\r|\n|\r\n|a|é){0,40}",
            size in 1_usize..5,
        ) {
            let mut reader = EventReader::new();
            for piece in text.as_bytes().chunks(size) {
                reader.handle_bytes(piece).unwrap();
            }
            let mut events = Vec::new();
            while let Some(event) = reader.poll_event() {
                events.push((event.kind, event.data, event.id));
            }
            let (whole, _) = read(text.as_bytes());
            prop_assert_eq!(events, whole);
        }
    }
}
