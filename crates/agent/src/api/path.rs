//! Texts in the addresses of the API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands for itself everywhere (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text as one segment of a path, or as a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A text as several segments, one for each of its own.
pub(crate) fn encoded_path(text: &str) -> String {
    let segments: Vec<String> = text.split('/').map(encoded).collect();
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_travel_in_addresses_as_they_are() {
        assert_eq!(encoded("pump-7/x_1.~ä?#"), "pump-7%2Fx_1.~%C3%A4%3F%23");
    }

        #[test]
    fn keys_travel_in_paths_with_their_segments() {
        assert_eq!(
            encoded_path("${deviceId}/a b/ä?#"),
            "%24%7BdeviceId%7D/a%20b/%C3%A4%3F%23"
        );
        assert_eq!(encoded_path("/pump-7/x_1.~txt"), "/pump-7/x_1.~txt");
    }
}
