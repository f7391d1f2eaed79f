//! What servers answer, and what people type: addresses, events, challenges, cookies, XML.

use periwinkle_core::aws::wire::xml::Element;
use periwinkle_core::fetch::Url;
use periwinkle_core::fetch::auth::challenges;
use periwinkle_core::fetch::cookie::{CookieJar, Domains};
use periwinkle_core::fetch::item::Item;
use periwinkle_core::fetch::sse::EventReader;
use periwinkle_core::time::UnixMillis;

use super::{kind_of, words};

/// The first line is an address, the second another one or a field; all of it is an event stream.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let (first, second) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    kind_of([
        url(first, second),
        kind_of(challenges([second]).len()),
        Item::parse(first).map_or_else(|error| words(&error), |_| 1),
        events(bytes),
        Element::parse(bytes).map_or_else(|error| words(&error), |_| 1),
    ])
}

/// An address that is written reads the same, also after a reference was followed.
fn url(first: &str, second: &str) -> u64 {
    let url = match Url::parse(first) {
        Ok(url) => url,
        Err(error) => return words(&error),
    };
    assert_eq!(Url::parse(&url.to_string()).as_ref(), Ok(&url), "{first}");
    let mut jar = CookieJar::new(Domains::HostOnly);
    jar.handle_set_cookie(&url, second, UnixMillis(0));
    let cookies = jar.cookies_for(&url, UnixMillis(1)).is_some();
    let joined = url.join(second);
    if let Ok(joined) = &joined {
        assert_eq!(
            Url::parse(&joined.to_string()).as_ref(),
            Ok(joined),
            "{first} {second}"
        );
    }
    kind_of((cookies, joined.is_ok()))
}

/// The same bytes are the same events however they arrive.
fn events(bytes: &[u8]) -> u64 {
    let read = |piece: usize| {
        let mut reader = EventReader::new();
        let mut events = Vec::new();
        for piece in bytes.chunks(piece) {
            let fed = reader.handle_bytes(piece);
            events.extend(std::iter::from_fn(|| reader.poll_event()));
            if let Err(error) = fed {
                return Err(error);
            }
        }
        reader.handle_end();
        events.extend(std::iter::from_fn(|| reader.poll_event()));
        Ok(events)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(read(1), whole);
    kind_of(whole.map(|events| events.len()).ok())
}
