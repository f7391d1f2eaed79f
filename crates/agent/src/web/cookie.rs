//! The one cookie: the session.

use http::HeaderValue;

/// The cookie's name. Over TLS it carries the prefix that browsers tie to host and path.
pub fn name(secure: bool) -> &'static str {
    if secure {
        "__Host-periwinkle-session"
    } else {
        "periwinkle-session"
    }
}

/// The value of the cookie `name`, if it is there exactly once.
///
/// Cookies of other programs on the same host come along, whatever bytes they hold.
pub fn find<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a str> {
    let mut found = fields
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes()))
        .filter_map(|rest| rest.strip_prefix(b"="));
    let value = found.next()?;
    // Two values mean that somebody planted one: neither counts.
    let alone = found.next().is_none();
    std::str::from_utf8(value).ok().filter(|_| alone)
}

/// The field that sets the cookie for as long as the browser runs, or at most `life_s`.
pub fn set(id: &str, secure: bool, life_s: u64) -> HeaderValue {
    let attributes = if secure { "; Secure" } else { "" };
    let text = format!(
        "{}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life_s}{attributes}",
        name(secure)
    );
    HeaderValue::from_str(&text).expect("an id has no control characters")
}

/// The field that makes the browser forget the cookie.
pub fn clear(secure: bool) -> HeaderValue {
    set("", secure, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_counts_only_if_it_is_there_once() {
        let table: [(&[&[u8]], Option<&str>); 7] = [
            (&[b"a=1; s=x"], Some("x")),
            (&[b"a=1", b"s=y; b=2"], Some("y")),
            (&[b"s=x; s=y"], None),
            (&[b"as=x"], None),
            (&[b"s"], None),
            (&[b"a=J\xfcrgen; s=x"], Some("x")),
            (&[], None),
        ];
        for (fields, expected) in table {
            assert_eq!(find(fields.iter().copied(), "s"), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites() {
        assert_eq!(
            set("abc", true, 60),
            "__Host-periwinkle-session=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
        );
        assert_eq!(
            clear(false),
            "periwinkle-session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        );
    }
}
