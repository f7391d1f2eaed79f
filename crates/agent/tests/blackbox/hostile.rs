//! Malformed, oversized and slow requests: a 4xx or a closed connection, and the agent lives.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::agent::{Home, PASSWORD};

#[test]
fn malformed_requests_are_refused_and_the_agent_lives() {
    let agent = Home::new().start();
    let client = agent.client();
    let host = agent.address.to_string();
    let long = "a".repeat(70_000);
    let table: [(&str, String, &[&str]); 12] = [
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), &["400"]),
        (
            "two hosts",
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nHost: b\r\n\r\n"),
            &["400"],
        ),
        ("not HTTP", "\x16\x03\x01 hello\r\n\r\n".into(), &["400"]),
        (
            "unknown version",
            format!("GET / HTTP/9.1\r\nHost: {host}\r\n\r\n"),
            &["400"],
        ),
        (
            "a target of another host",
            format!("GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &["400"],
        ),
        (
            "a tunnel",
            format!("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &["400"],
        ),
        (
            "an unknown coding",
            format!("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n"),
            &["400"],
        ),
        (
            "bad field name",
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nA B: c\r\n\r\n"),
            &["400"],
        ),
        (
            "bad length",
            format!("POST /api/v1/setup HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n"),
            &["400"],
        ),
        (
            "two lengths",
            format!(
                "POST /api/v1/setup HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
            ),
            &["400"],
        ),
        (
            "long header",
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\n\r\n"),
            &["431"],
        ),
        (
            "long line",
            format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            &["414", "431"],
        ),
    ];
    for (what, request, expected) in table {
        let answer = client.raw(request.as_bytes()).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer
            .split(' ')
            .nth(1)
            .unwrap_or("closed without an answer")
            .to_owned();
        assert!(expected.contains(&status.as_str()), "{what}: {answer:?}");
        client.get("/api/v1/status").expect(200);
    }
}

#[test]
fn an_oversized_body_is_refused_before_and_while_it_arrives() {
    let agent = Home::with("").start();
    let client = agent.client();
    let fields = [("content-type", "application/json")];
    let declared = client.open("POST", "/api/v1/setup", &fields, 100 << 20);
    let mut answer = String::new();
    // The server may close before it has read everything.
    let _ = declared
        .expect("it accepts connections")
        .read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");

    let mut stream = TcpStream::connect(agent.address).expect("it accepts connections");
    let head = format!(
        "POST /api/v1/setup HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        agent.address
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..32 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer:?}");
    client.get("/api/v1/status").expect(200);
}

#[test]
fn a_header_that_never_ends_is_cut_off() {
    let agent = Home::with("")
        .env("PERIWINKLE_WEB__HEADER_TIMEOUT", "300 ms")
        .start();
    let mut stream = TcpStream::connect(agent.address).expect("it accepts connections");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
        .expect("it reads");
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    assert!(end.is_ok(), "the server closes the connection: {end:?}");
    agent.client().get("/api/v1/status").expect(200);
}

#[test]
fn one_address_cannot_take_every_connection() {
    let agent = Home::new()
        .env("PERIWINKLE_WEB__CONNECTIONS_PER_ADDRESS_MAX", "4")
        .start();
    let held: Vec<_> = (0..4)
        .map(|_| TcpStream::connect(agent.address).expect("it accepts connections"))
        .collect();
    let refused = crate::eventually::eventually("the fifth is refused", || {
        agent
            .client()
            .raw(b"")
            .ok()
            .filter(|answer| !answer.is_empty())
    });
    assert!(
        refused.starts_with(b"HTTP/1.1 503"),
        "{}",
        String::from_utf8_lossy(&refused)
    );
    drop(held);
    crate::eventually::eventually("there is room again", || {
        agent
            .client()
            .try_send("GET", "/api/v1/status", &[], b"")
            .ok()
            .filter(|a| a.status == 200)
    });
}

#[test]
fn unknown_names_are_errors_with_a_kind() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let table = [
        ("GET", "/api/v1/data/Nothing", 404, "unknown_model"),
        ("GET", "/api/v1/data/Setting/none", 404, "not_found"),
        ("GET", "/api/v1/data/Setting?limit=x", 400, "query_invalid"),
        ("GET", "/api/v1/data/Setting?next=zzz", 400, "bad_token"),
        ("GET", "/api/v1/none", 404, "not_found"),
        ("GET", "/api/v1/data/%ff", 400, "address_invalid"),
        ("GET", "/api/v1/data/Setting/%ff", 400, "address_invalid"),
        ("DELETE", "/api/v1/users/%ff", 400, "address_invalid"),
        (
            "GET",
            "/api/v1/events?topics=a&topics=b",
            400,
            "address_invalid",
        ),
        ("DELETE", "/api/v1/models", 405, "method_not_allowed"),
    ];
    for (method, path, status, kind) in table {
        let answer = owner.send(method, path, &[], b"");
        assert_eq!((answer.status, path), (status, path), "{}", answer.text());
        assert_eq!(answer.json()["kind"], kind, "{path}");
    }
}

#[test]
fn every_key_can_be_written_in_a_path() {
    let agent = Home::new().start();
    let owner = agent.owner();
    for (id, place) in [
        ("a/b#c", "/api/v1/data/Setting/a%2Fb%23c"),
        ("../User/olga", "/api/v1/data/Setting/..%2FUser%2Folga"),
        ("50%25", "/api/v1/data/Setting/50%2525"),
        ("grün", "/api/v1/data/Setting/gr%C3%BCn"),
    ] {
        let setting = serde_json::json!({"id": id, "value": "1"});
        let made = owner.post("/api/v1/data/Setting", &setting).expect(201);
        assert_eq!(made.fields["location"], place);
        assert_eq!(owner.get(place).expect(200).json()["id"], id);
        owner.send("DELETE", place, &[], b"").expect(204);
        owner.get(place).expect(404);
    }
}

#[test]
fn no_other_spelling_of_a_path_opens_what_its_role_closes() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let user = serde_json::json!({"name": "edda", "password": PASSWORD, "role": "editor"});
    owner.post("/api/v1/users", &user).expect(201);
    let mut editor = agent.client();
    let login = serde_json::json!({"name": "edda", "password": PASSWORD});
    let answer = editor.post("/api/v1/session", &login).expect(200);
    editor.keep_session(&answer);
    for (path, status) in [
        ("/api/v1/users/", 403),
        ("/api/v1/users?x", 403),
        ("/api/v1/users/%2e%2e", 403),
        ("/api/v1/%75sers", 404),
        ("/api/v1//users", 404),
        ("/api/v1/x/../users", 404),
        ("/api/v1/Users", 404),
        ("//api/v1/users", 404),
        ("/API/v1/users", 404),
        ("/api%2fv1/users", 404),
        ("/api/v1/data/User", 404),
        ("/api/v1/data/%55ser/olga", 404),
        ("/api/v1/data/Session", 404),
        ("/api/v1/data/User%00/olga", 404),
    ] {
        let answer = editor.get(path);
        assert_eq!((answer.status, path), (status, path), "{}", answer.text());
    }
    let own = serde_json::json!({"role": "owner"});
    editor.json("PATCH", "/api/v1/users/edda", &own).expect(403);
}
