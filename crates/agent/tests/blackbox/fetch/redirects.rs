//! Redirects and retries: followed where that is asked for and harmless, and no secret goes to a
//! stranger.

use std::fs;
use std::time::Duration;

use super::{CLIENT_ERROR, DONE, Place, REDIRECT, REFUSED, SERVER_ERROR, UNREACHABLE, fetch};
use crate::nginx::Nginx;
use crate::stand_in::{StandIn, Step, answer};

fn moved(status: &str, to: &str) -> Vec<u8> {
    answer(status, &[("location", to)], b"")
}

#[test]
fn a_redirect_is_an_answer_of_its_own_unless_it_is_to_be_followed() {
    let nginx = Nginx::plain();
    let url = nginx.url("/moved/301");
    fetch(&[&url]).expect(REDIRECT);
    let ran = fetch(&[&url, "--follow"]).expect(DONE);
    assert!(ran.text().starts_with("GET /seen?moved|"), "{}", ran.text());
}

#[test]
fn the_method_goes_along_as_the_status_says() {
    let nginx = Nginx::plain();
    for (path, expected) in [
        ("/moved/301", "GET /seen?moved|"),
        ("/moved/303", "GET /seen?moved|"),
        ("/moved/307", "POST /seen?moved|"),
    ] {
        let ran = fetch(&["POST", &nginx.url(path), "a=1", "--follow"]).expect(DONE);
        assert!(ran.text().starts_with(expected), "{path}: {}", ran.text());
    }
}

#[test]
fn a_redirect_that_keeps_the_method_sends_the_body_again() {
    let server = StandIn::start(|number, _| {
        let bytes = match number {
            1 => moved("308 Permanent Redirect", "/there"),
            _ => answer("200 OK", &[], b"taken"),
        };
        vec![Step::ReadBody, Step::Send(bytes)]
    });
    let place = Place::new();
    fs::write(place.path().join("body"), "petals").unwrap();
    place
        .fetch(&["PUT", &server.url("/here"), "@body", "--follow"])
        .expect(DONE);
    let requests = server.requests();
    let seen = |at: usize| (requests[at].target.as_str(), &requests[at].body[..]);
    assert_eq!(seen(0), ("/here", &b"petals"[..]));
    assert_eq!(seen(1), ("/there", &b"petals"[..]));
}

#[test]
fn standard_input_cannot_be_sent_twice_and_that_is_said() {
    let server = StandIn::start(|_, _| {
        vec![
            Step::ReadBody,
            Step::Send(moved("307 Temporary Redirect", "/there")),
        ]
    });
    let words = ["PUT", &server.url("/"), "@-", "--follow"];
    Place::new()
        .fetch_with_input(&words, b"petals")
        .expect(REFUSED)
        .tells("read only once");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_loop_of_redirects_ends() {
    let server = StandIn::answering(moved("302 Found", "/again"));
    fetch(&[&server.url("/"), "--follow"])
        .expect(REFUSED)
        .tells("10 redirects");
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn credentials_never_reach_another_host() {
    let stranger = StandIn::answering(answer("200 OK", &[], b"thanks"));
    let to = stranger.url("/collect");
    let server = StandIn::answering(moved("302 Found", &to));
    for credential in [
        &["Authorization:Bearer secret"][..],
        &["Cookie:session=secret"],
        &["X-Api-Key:secret"],
        &["X-Token:secret", "Private-Token:secret", "Api-Key:secret"],
        &["Referer:https://secret.example/"],
        &["--user", "olga:secret", "--basic"],
    ] {
        let url = server.url("/");
        let words = [
            &[url.as_str(), "--follow", "Accept:text/x-kept"][..],
            credential,
        ]
        .concat();
        fetch(&words).expect(DONE);
        let own = server.requests().pop().unwrap();
        let gone = stranger.requests().pop().unwrap();
        let secret = |text: &String| text.contains("secret") || text.contains("b2xnYTpzZWNyZXQ=");
        assert!(own.fields.values().any(secret), "{credential:?}: {own:?}");
        assert!(
            !gone.fields.values().any(secret),
            "{credential:?}: {gone:?}"
        );
        assert_eq!(gone.fields["accept"], "text/x-kept");
    }
    assert_eq!(stranger.requests().len(), 6);
}

#[test]
fn a_field_that_is_named_reaches_another_host_and_no_other_does() {
    let stranger = StandIn::answering(answer("200 OK", &[], b"thanks"));
    let server = StandIn::answering(moved("302 Found", &stranger.url("/")));
    let url = server.url("/");
    let words = ["X-Trace:yes", "X-Token:secret", "--follow-with", "x-trace"];
    fetch(&[&[url.as_str(), "--follow"][..], &words].concat()).expect(DONE);
    let gone = stranger.requests().pop().unwrap();
    assert_eq!(gone.fields["x-trace"], "yes");
    assert_eq!(gone.fields.get("x-token"), None);
}

#[test]
fn another_port_of_the_same_host_is_a_stranger_and_another_path_is_not() {
    let server = StandIn::start(|number, _| {
        let bytes = match number {
            1 => moved("302 Found", "/there"),
            _ => answer("200 OK", &[], b"hello"),
        };
        vec![Step::Send(bytes)]
    });
    fetch(&[&server.url("/"), "--follow", "Authorization:Bearer secret"]).expect(DONE);
    assert_eq!(
        server.requests()[1].fields["authorization"],
        "Bearer secret"
    );
}

#[test]
fn what_a_server_sends_beyond_its_answer_is_not_taken_for_the_next_one() {
    let forged = answer("200 OK", &[], b"forged");
    let server = StandIn::start(move |number, _| match number {
        1 => vec![Step::Send(
            [&moved("302 Found", "/there")[..], &forged].concat(),
        )],
        _ => vec![Step::Send(answer("200 OK", &[], b"real"))],
    });
    let ran = fetch(&[&server.url("/"), "--follow"]).expect(DONE);
    assert_eq!(ran.text(), "real");
}

#[test]
fn a_kept_connection_that_the_server_closed_is_replaced() {
    let server = StandIn::start(|number, _| match number {
        1 => vec![Step::Send(moved("302 Found", "/there")), Step::Close],
        _ => vec![Step::Send(answer("200 OK", &[], b"hello"))],
    });
    let ran = fetch(&[&server.url("/"), "--follow"]).expect(DONE);
    assert_eq!(ran.text(), "hello");
    assert_eq!(server.connections(), 2);
}

/// Sends the first request elsewhere, resets the connection that was kept when it has read the next
/// one, and answers after that.
fn resetting(redirect: &'static str) -> StandIn {
    StandIn::start(move |number, _| match number {
        1 => vec![Step::ReadBody, Step::Send(moved(redirect, "/there"))],
        2 => vec![Step::ReadBody, Step::Reset],
        _ => vec![Step::ReadBody, Step::Send(answer("200 OK", &[], b"hello"))],
    })
}

#[test]
fn a_kept_connection_that_is_reset_before_the_answer_is_replaced_where_that_is_harmless() {
    let server = resetting("302 Found");
    let ran = fetch(&[&server.url("/"), "--follow"]).expect(DONE);
    assert_eq!(ran.text(), "hello");
    let connections: Vec<_> = server.requests().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[test]
fn a_post_that_met_a_reset_on_a_kept_connection_is_not_sent_again() {
    let server = resetting("307 Temporary Redirect");
    fetch(&["POST", &server.url("/"), "a=1", "--follow"])
        .expect(UNREACHABLE)
        .tells("this request must not be sent twice");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn connections_are_kept_for_the_next_request() {
    let server = StandIn::start(|number, _| match number {
        1 => vec![Step::Send(moved("302 Found", "/there"))],
        _ => vec![Step::Send(answer("200 OK", &[], b"hello"))],
    });
    fetch(&[&server.url("/"), "--follow"]).expect(DONE);
    assert_eq!(server.connections(), 1);
}

/// Refuses with this status until the last request.
fn reluctant(status: &'static str, refusals: usize) -> StandIn {
    StandIn::start(move |number, _| {
        let bytes = match number {
            number if number <= refusals => answer(status, &[("retry-after", "1")], b"later"),
            _ => answer("200 OK", &[], b"now"),
        };
        vec![Step::ReadBody, Step::Send(bytes)]
    })
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let server = reluctant("503 Service Unavailable", 1);
    let ran = fetch(&[&server.url("/"), "--retries", "2"]).expect(DONE);
    assert_eq!((ran.text().as_str(), server.requests().len()), ("now", 2));
    assert!(ran.took >= Duration::from_secs(1), "{:?}", ran.took);
}

#[test]
fn nothing_is_sent_again_unless_it_was_asked_for() {
    let server = reluctant("503 Service Unavailable", 1);
    fetch(&[&server.url("/")]).expect(SERVER_ERROR);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_could_happen_twice_is_not_sent_twice() {
    let server = reluctant("503 Service Unavailable", 1);
    fetch(&["POST", &server.url("/"), "a=1", "--retries", "2"]).expect(SERVER_ERROR);
    assert_eq!(server.requests().len(), 1);
    let server = reluctant("429 Too Many Requests", 1);
    fetch(&["POST", &server.url("/"), "a=1", "--retries", "2"]).expect(DONE);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn retries_have_an_end() {
    let server = reluctant("429 Too Many Requests", 9);
    fetch(&[&server.url("/"), "--retries", "2"]).expect(CLIENT_ERROR);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_cut_connection_is_tried_again() {
    let server = StandIn::start(|number, _| match number {
        1 => vec![Step::Reset],
        _ => vec![Step::Send(answer("200 OK", &[], b"hello"))],
    });
    let ran = fetch(&[&server.url("/"), "--retries", "1"]).expect(DONE);
    assert_eq!(ran.text(), "hello");
}
