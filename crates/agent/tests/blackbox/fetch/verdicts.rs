//! Whom the client talks to over TLS, and what it says of those to whom it does not.

use super::{CLIENT_ERROR, DONE, INPUT, Ran, UNREACHABLE, USAGE, fetch};
use crate::certificates::Authority;
use crate::nginx::Nginx;

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// Asks for `/hello`, trusting this authority.
fn hello(nginx: &Nginx, authority: &Authority) -> Ran {
    fetch(&[
        &nginx.url("/hello"),
        "--ca",
        &text(&authority.certificate()),
    ])
}

#[test]
fn a_server_with_a_good_certificate_is_talked_to() {
    let authority = Authority::new();
    let nginx = Nginx::tls(&authority.server(&["localhost"]), None);
    assert_eq!(hello(&nginx, &authority).expect(DONE).text(), "hello\n");
}

#[test]
fn an_authority_that_nobody_named_is_not_trusted() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let nginx = Nginx::tls(&unknown.server(&["localhost"]), None);
    for words in [
        &[nginx.url("/hello")][..],
        &[
            nginx.url("/hello"),
            "--ca".to_owned(),
            text(&known.certificate()),
        ],
    ] {
        let ran = fetch(words).expect(UNREACHABLE).tells("authority");
        assert_eq!(ran.text(), "");
    }
    assert_eq!(nginx.log(), [""; 0], "nothing was asked");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let nginx = Nginx::tls(&authority.server(&["other.example"]), None);
    hello(&nginx, &authority)
        .expect(UNREACHABLE)
        .tells("localhost");
    assert_eq!(nginx.log(), [""; 0]);
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let authority = Authority::new();
    let nginx = Nginx::tls(&authority.expired_server(&["localhost"]), None);
    hello(&nginx, &authority)
        .expect(UNREACHABLE)
        .tells("expired");
    assert_eq!(nginx.log(), [""; 0]);
}

#[test]
fn a_client_shows_its_certificate_where_one_is_asked_for() {
    let authority = Authority::new();
    let clients = Authority::new();
    let nginx = Nginx::tls(
        &authority.server(&["localhost"]),
        Some(&clients.certificate()),
    );
    let ask = |identity: Option<crate::certificates::Identity>| {
        let mut words = vec![
            nginx.url("/client"),
            "--ca".into(),
            text(&authority.certificate()),
        ];
        if let Some(identity) = identity {
            words.extend(["--cert".into(), text(&identity.certificate)]);
            words.extend(["--key".into(), text(&identity.key)]);
        }
        fetch(&words)
    };
    let ran = ask(Some(clients.client("device 7"))).expect(DONE);
    assert!(ran.text().contains("CN=device 7"), "{}", ran.text());
    let ran = ask(None).expect(CLIENT_ERROR);
    assert!(
        ran.text().contains("No required SSL certificate"),
        "{}",
        ran.text()
    );
    let ran = ask(Some(authority.client("stranger"))).expect(CLIENT_ERROR);
    assert!(
        ran.text().contains("SSL certificate error"),
        "{}",
        ran.text()
    );
}

#[test]
fn a_certificate_needs_its_key_and_files_that_are_there() {
    let authority = Authority::new();
    let identity = authority.client("device");
    let (certificate, key) = (text(&identity.certificate), text(&identity.key));
    fetch(&["https://localhost:1/", "--cert", &certificate]).expect(USAGE);
    let other = text(&authority.client("other").key);
    for (certificate, key, part) in [
        ("/nowhere", key.as_str(), "/nowhere"),
        (&certificate, "/nowhere", "/nowhere"),
        (&key, &key, "certificate"),
        (&certificate, &certificate, "key"),
        (&certificate, &other, "together"),
    ] {
        let words = ["https://localhost:1/", "--cert", certificate, "--key", key];
        fetch(&words).expect(INPUT).tells(part);
    }
    fetch(&["https://localhost:1/", "--ca", "/nowhere"])
        .expect(INPUT)
        .tells("/nowhere");
}

#[test]
fn verification_is_only_left_out_by_a_name_that_says_so_and_is_told() {
    let authority = Authority::new();
    let nginx = Nginx::tls(&authority.expired_server(&["other.example"]), None);
    let ran = fetch(&[&nginx.url("/hello"), "--danger-accept-any-certificate"]).expect(DONE);
    assert_eq!(ran.text(), "hello\n");
    ran.tells("certificate");
}
