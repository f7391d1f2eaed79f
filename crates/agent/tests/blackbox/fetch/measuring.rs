//! `--bench`: figures of requests that were really made.

use super::{CLIENT_ERROR, DONE, UNREACHABLE, USAGE, fetch};
use crate::nginx::Nginx;

#[test]
fn so_many_requests_are_made_and_counted() {
    let nginx = Nginx::plain();
    let ran = fetch(&[&nginx.url("/hello"), "--bench", "50", "--clients", "5"]).expect(DONE);
    let text = ran.text();
    assert!(text.starts_with("requests  50 in "), "{text}");
    assert!(text.contains(" with 5 clients: "), "{text}");
    assert!(text.contains("answers   200 OK: 50\n"), "{text}");
    assert!(text.contains("bodies    300 bytes, "), "{text}");
    assert_eq!(nginx.log().len(), 50);
}

#[test]
fn a_measurement_of_errors_is_no_success() {
    let nginx = Nginx::plain();
    let ran = fetch(&[&nginx.url("/missing"), "--bench", "3"]).expect(CLIENT_ERROR);
    assert!(
        ran.text().contains("answers   404 Not Found: 3\n"),
        "{}",
        ran.text()
    );
    fetch(&[&nginx.url("/hello"), "--bench", "0"]).expect(USAGE);
    fetch(&["POST", &nginx.url("/hello"), "@-", "--bench", "2"]).expect(USAGE);
}

#[test]
fn a_measurement_without_an_answer_has_no_times() {
    let words = ["http://127.0.0.1:1/", "--bench", "3"];
    let text = fetch(&words).expect(UNREACHABLE).text();
    assert!(text.contains("failed    3\n"), "{text}");
    assert!(!text.contains("times"), "{text}");
}
