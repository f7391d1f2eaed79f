//! The agent inside a maker's own program: `examples/streaming.rs`, spoken to from outside.

use std::io::{Read, Write};
use std::path::PathBuf;

use crate::agent::Home;
use crate::client::Client;

#[test]
fn an_action_of_the_maker_streams_both_ways_for_those_who_are_logged_in() {
    let program = Home::with(&state_section()).start_program(&example("streaming"));
    let owner = program.owner();

    let lines = 100_000;
    let path = format!("/test?lines={lines}");
    let upload = vec![b'x'; 5 << 20];
    let answer = owner.send("POST", &path, &[], &upload).expect(200);
    let text = answer.text();
    let mut words = text.lines();
    assert_eq!(words.next(), Some("Got 5242880 bytes"));
    assert!(words.all(|line| line.starts_with("Hello World, now is 20")));
    assert_eq!(text.lines().count(), lines + 1);
}

#[test]
fn routes_ask_for_a_login_unless_they_are_public() {
    let program = Home::with(&state_section()).start_program(&example("streaming"));
    let (client, owner) = (program.client(), program.owner());
    let refused = client.send("POST", "/test", &[], b"").expect(401);
    assert_eq!(refused.json()["kind"], "login_required");
    owner
        .send("POST", "/test?lines=0", &[("x-xsrf-token", "")], b"")
        .expect(403);
    owner.get("/test").expect(405);
    assert_eq!(client.get("/hello").expect(200).text(), "hello");
    let none = client.get("/nothing").expect(404);
    assert_eq!(none.json()["kind"], "not_found");
    owner.get("/nothing").expect(404);
}

#[test]
fn a_client_that_reads_nothing_holds_nobody_up_and_no_memory() {
    let program = Home::with(&state_section()).start_program(&example("streaming"));
    let owner = program.owner();
    let before = program.resident_kib();
    let mut held: Vec<_> = (0..8)
        .map(|_| open_endless(&owner).expect("the program answers"))
        .collect();
    for stream in &mut held {
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("the answer begins");
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert_eq!(owner.get("/hello").expect(200).text(), "hello");
    let grown = program.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for eight silent clients");
}

fn open_endless(client: &Client) -> std::io::Result<std::net::TcpStream> {
    let mut stream = client.open("POST", "/test", &[], 0)?;
    stream.flush()?;
    Ok(stream)
}

/// The examples are built beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test is a program");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps/test");
    folder.join("examples").join(name)
}

/// The program has no command line that chooses the state directory.
fn state_section() -> String {
    "[runtime]\nstate = \"state\"\n".to_owned()
}
