//! What a person sees: on a terminal, which `script` plays.

use std::ffi::OsStr;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Place;
use crate::stand_in::{StandIn, Step, answer};

/// What `periwinkle fetch` with these words shows on a terminal.
fn shown(place: &Place, words: &[&str]) -> String {
    let command = place.command(words);
    let quoted = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
    let line: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    let output = Command::new("script")
        .args(["--quiet", "--command", &line.join(" "), "/dev/null"])
        .env("HOME", place.path())
        .current_dir(place.path())
        .stdin(Stdio::null())
        .output()
        .expect("script belongs to every Debian");
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn on_a_terminal_json_is_laid_out_under_the_head() {
    let fields = [("content-type", "application/json")];
    let server = StandIn::answering(answer("200 OK", &fields, br#"{"a":[1.50,"x"]}"#));
    assert_eq!(
        shown(&Place::new(), &[&server.url("/")]),
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 16\n\n\
         {\n  \"a\": [\n    1.50,\n    \"x\"\n  ]\n}\n"
    );
}

#[test]
fn no_answer_steers_the_terminal() {
    let server = StandIn::answering(answer("200 OK", &[("x-a", "\u{9b}2J")], b"a\x1b[2Jb"));
    let text = shown(&Place::new(), &[&server.url("/")]);
    assert!(text.ends_with("\n\na\u{fffd}[2Jb\n"), "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text:?}");
    let image = [("content-type", "image/png")];
    let server = StandIn::answering(answer("200 OK", &image, b"\x89\0"));
    let text = shown(&Place::new(), &[&server.url("/")]);
    let told = "2 bytes of image/png are not shown; --output FILE keeps them\n";
    assert!(text.ends_with(told), "{text:?}");
}

#[test]
fn long_transfers_show_how_far_they_are() {
    let whole = answer("200 OK", &[], b"0123456789");
    let (head, body) = whole.split_at(whole.len() - 10);
    let (head, body) = (head.to_vec(), body.to_vec());
    let server = StandIn::start(move |_, _| {
        let drip = Step::Drip(body.clone(), Duration::from_millis(100));
        vec![Step::Send(head.clone()), drip]
    });
    let place = Place::new();
    let text = shown(&place, &[&server.url("/"), "--output", "digits"]);
    assert!(text.contains("received [=="), "{text:?}");
    assert!(text.contains(" bytes of 10 bytes, "), "{text:?}");
    assert_eq!(
        fs::read(place.path().join("digits")).unwrap(),
        b"0123456789"
    );
}
