//! Whose device is it: setup, login, sessions, roles, and what other sites may not do.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::agent::{Home, OWNER, PASSWORD};
use crate::client::Client;

#[test]
fn the_first_start_asks_for_the_code_and_then_never_again() {
    let agent = Home::new().start();
    let client = agent.client();
    assert_eq!(
        client.get("/api/v1/setup").expect(200).json(),
        json!({"needed": true})
    );
    assert_eq!(
        client.get("/api/v1/status").expect(200).json()["setup"],
        "needed"
    );
    let file = agent.home().state().join("setup-code");
    assert_eq!(
        fs::metadata(&file)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );

    let wrong = json!({"code": "AAAA-AAAA-AAAA", "name": OWNER, "password": PASSWORD});
    assert_eq!(
        client.post("/api/v1/setup", &wrong).expect(403).json()["kind"],
        "wrong_code"
    );
    let owner = agent.owner();
    assert!(!file.exists(), "a code that was used is gone");
    let session = owner.get("/api/v1/session").expect(200).json();
    assert_eq!(
        (&session["user"], &session["role"]),
        (&json!(OWNER), &json!("owner"))
    );
    assert_eq!(
        client.get("/api/v1/setup").expect(200).json(),
        json!({"needed": false})
    );
    client.post("/api/v1/setup", &wrong).expect(409);
}

#[test]
fn a_code_is_used_up_by_wrong_guesses() {
    let agent = Home::new().start();
    let client = agent.client();
    let guess = json!({"code": "AAAA-AAAA-AAAA", "name": OWNER, "password": PASSWORD});
    let mut last = 403;
    for _ in 0..20 {
        last = client.post("/api/v1/setup", &guess).status;
        if last != 403 {
            break;
        }
    }
    assert_eq!(last, 429);
    let right = json!({"code": agent.setup_code().trim(), "name": OWNER, "password": PASSWORD});
    client.post("/api/v1/setup", &right).expect(429);
}

#[test]
fn the_api_is_closed_without_a_login() {
    let agent = Home::new().start();
    let client = agent.client();
    let table = [
        ("GET", "/api/v1/data/Setting"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/metrics"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/session"),
        ("GET", "/api/v1/sync"),
        ("DELETE", "/api/v1/data/Setting/a"),
    ];
    for (method, path) in table {
        let answer = client.send(method, path, &[], b"");
        assert_eq!((answer.status, path), (401, path));
        assert_eq!(answer.json()["kind"], "login_required");
    }
    let status = client.get("/api/v1/status").expect(200).json();
    let fields: Vec<_> = status
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect();
    assert_eq!(fields, ["state", "version", "setup"]);
}

#[test]
fn a_session_ends_with_logout_and_survives_a_restart() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    let _agent = home.start();
    let again = owner;
    assert_eq!(
        again.get("/api/v1/session").expect(200).json()["user"],
        OWNER
    );
    again
        .send("DELETE", "/api/v1/session", &[], b"")
        .expect(204);
    again.get("/api/v1/session").expect(401);
}

#[test]
fn other_sites_cannot_use_a_session() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let body = json!({"id": "a", "value": "1"}).to_string();
    let json_field = ("content-type", "application/json");
    let origin = format!("http://{}", agent.address);
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let table: [(&str, Fields<'_>, u16); 5] = [
        ("no proof", &[json_field, ("x-xsrf-token", "")], 403),
        ("wrong proof", &[json_field, ("x-xsrf-token", "aaaa")], 403),
        (
            "another site's page",
            &[json_field, ("origin", "http://evil.example")],
            403,
        ),
        ("a form", &[("content-type", "text/plain")], 415),
        ("the console", &[json_field, ("origin", &origin)], 201),
    ];
    for (who, fields, status) in table {
        let answer = owner.send("POST", "/api/v1/data/Setting", fields, body.as_bytes());
        assert_eq!((answer.status, who), (status, who), "{}", answer.text());
    }
}

#[test]
fn a_name_that_only_resolves_to_the_device_is_not_answered() {
    let agent = Home::new().start();
    let answer = agent
        .client()
        .send("GET", "/api/v1/status", &[("host", "evil.example")], b"");
    assert_eq!(
        (answer.status, answer.json()["kind"].as_str()),
        (421, Some("host_unknown"))
    );
}

#[test]
fn each_role_may_do_what_it_says() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let login = |name: &str, role: &str| -> Client {
        let user = json!({"name": name, "password": PASSWORD, "role": role});
        owner.post("/api/v1/users", &user).expect(201);
        let mut client = agent.client();
        let request = json!({"name": name, "password": PASSWORD});
        let answer = client.post("/api/v1/session", &request).expect(200);
        client.keep_session(&answer);
        client
    };
    let (viewer, editor) = (login("vera", "viewer"), login("edda", "editor"));
    let setting = json!({"id": "volume", "value": "11"});
    viewer.get("/api/v1/data/Setting").expect(200);
    viewer.post("/api/v1/data/Setting", &setting).expect(403);
    editor.post("/api/v1/data/Setting", &setting).expect(201);
    editor.get("/api/v1/users").expect(403);
    owner
        .send("DELETE", "/api/v1/users/edda", &[], b"")
        .expect(204);
    editor.get("/api/v1/data/Setting").expect(401);
}

#[test]
fn the_last_owner_stays() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let path = format!("/api/v1/users/{OWNER}");
    owner.send("DELETE", &path, &[], b"").expect(409);
    owner
        .json("PATCH", &path, &json!({"role": "viewer"}))
        .expect(409);
}

#[test]
fn guessing_a_password_is_slowed_down_and_the_owner_gets_in_again() {
    let agent = Home::new().start();
    agent.owner();
    let client = agent.client();
    let guess = json!({"name": OWNER, "password": "not the password"});
    let mut refused = 0;
    for _ in 0..30 {
        let answer = client.post("/api/v1/session", &guess);
        if answer.status == 429 {
            assert!(answer.fields.contains_key("retry-after"));
            refused += 1;
        } else {
            assert_eq!(answer.status, 401);
        }
    }
    assert!(refused > 0, "thirty guesses in a row were all tried");
    crate::eventually::eventually("the owner gets in", || {
        let request = json!({"name": OWNER, "password": PASSWORD});
        (client.post("/api/v1/session", &request).status == 200).then_some(())
    });
}

#[test]
fn a_changed_password_ends_the_other_sessions() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let other = agent.login();
    let change = json!({"old": PASSWORD, "new": "a different flower in june"});
    owner
        .json("PUT", "/api/v1/session/password", &change)
        .expect(204);
    owner.get("/api/v1/session").expect(200);
    other.get("/api/v1/session").expect(401);
}

#[test]
fn one_setup_code_makes_one_owner() {
    let agent = Home::new().start();
    let client = agent.client();
    let code = agent.setup_code();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let setups: Vec<_> = (0..6)
            .map(|n| {
                let name = format!("owner{n}");
                let body = json!({"code": code.trim(), "name": name, "password": PASSWORD});
                let client = &client;
                scope.spawn(move || client.post("/api/v1/setup", &body).status)
            })
            .collect();
        let mut statuses: Vec<u16> = setups.into_iter().map(|s| s.join().unwrap()).collect();
        statuses.sort_unstable();
        statuses
    });
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

#[test]
fn the_whole_network_is_served_as_soon_as_there_is_an_owner() {
    let home = Home::new();
    let port = home.address().port();
    let agent = home
        .env("PERIWINKLE_WEB__LISTEN", &format!("http://*:{port}"))
        .start();
    let owner = agent.owner();
    let everywhere = crate::eventually::eventually("it listens everywhere", || {
        let answer = owner.try_send("GET", "/api/v1/status", &[], b"").ok()?;
        let listen = answer.json()["web"]["listen"].clone();
        (listen[0] == format!("http://0.0.0.0:{port}")).then_some(answer.json())
    });
    let services = everywhere["services"].as_array().expect("a list").clone();
    let web = services.iter().find(|service| service["name"] == "web");
    assert_eq!(web.expect("it is there")["restarts"], 0);
}

#[test]
fn pages_of_other_sites_can_neither_log_in_nor_read_nor_listen() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let right = json!({"name": OWNER, "password": PASSWORD}).to_string();
    let json_field = ("content-type", "application/json");
    for foreign in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let table = [
            ("POST", "/api/v1/session", right.as_bytes()),
            ("POST", "/api/v1/setup", b"{}"),
            ("GET", "/api/v1/data/Setting", b""),
            ("GET", "/api/v1/events", b""),
        ];
        for (method, path, body) in table {
            let answer = owner.send(method, path, &[json_field, foreign], body);
            assert_eq!((answer.status, path, foreign), (403, path, foreign));
            assert_eq!(answer.json()["kind"], "request_not_proven");
        }
    }
    let link = [
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    owner.send("GET", "/api/v1/status", &link, b"").expect(200);
}

#[test]
fn a_live_listener_ends_with_its_session() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let user = json!({"name": "vera", "password": PASSWORD, "role": "viewer"});
    owner.post("/api/v1/users", &user).expect(201);
    let mut vera = agent.client();
    let login = json!({"name": "vera", "password": PASSWORD});
    let answer = vera.post("/api/v1/session", &login).expect(200);
    vera.keep_session(&answer);

    let mut heard = vera.events("change", "changes");
    let write = |id: &str| {
        let setting = json!({"id": id, "value": "1"});
        owner.post("/api/v1/data/Setting", &setting).expect(201);
    };
    write("before");
    assert_eq!(heard.next().expect("it is told")["key"], json!(["before"]));
    let gone = owner.send("DELETE", "/api/v1/users/vera", &[], b"");
    gone.expect(204);
    write("after");
    assert_eq!(heard.next(), None);
}

#[test]
fn one_user_cannot_take_the_live_listeners_of_all() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let listen = |client: &Client| {
        let mut stream = client
            .open("GET", "/api/v1/events", &[], 0)
            .expect("the agent answers");
        let mut head = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut head).expect("an answer");
        (String::from_utf8_lossy(&head).into_owned(), stream)
    };
    let held: Vec<_> = (0..16).map(|_| listen(&owner)).collect();
    assert!(held.iter().all(|(head, _)| head == "HTTP/1.1 200"));
    assert_eq!(listen(&owner).0, "HTTP/1.1 503");
    let user = json!({"name": "vera", "password": PASSWORD, "role": "viewer"});
    owner.post("/api/v1/users", &user).expect(201);
    let mut vera = agent.client();
    let login = json!({"name": "vera", "password": PASSWORD});
    let answer = vera.post("/api/v1/session", &login).expect(200);
    vera.keep_session(&answer);
    assert_eq!(listen(&vera).0, "HTTP/1.1 200");
}

#[test]
fn cookies_of_other_programs_do_not_hide_the_session() {
    let agent = Home::new().start();
    let owner = agent.owner();
    let cookie = owner.cookie().expect("logged in");
    let both = format!("theme=d\u{fc}ster; {cookie}");
    owner
        .send("GET", "/api/v1/session", &[("cookie", &both)], b"")
        .expect(200);
    let planted = format!("periwinkle-session=x; {cookie}");
    owner
        .send("GET", "/api/v1/session", &[("cookie", &planted)], b"")
        .expect(401);
}

#[test]
fn logins_do_not_take_more_and_more_memory() {
    let agent = Home::new().start();
    let owner = agent.owner();
    agent.login();
    let before = agent.resident_kib();
    for _ in 0..12 {
        agent.login();
    }
    let grown = agent.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more after twelve logins");
    owner.get("/api/v1/session").expect(200);
}

#[test]
fn a_password_change_under_way_does_not_bring_an_old_role_back() {
    let agent = Home::new()
        .env("PERIWINKLE_WEB__PASSWORD_MEMORY", "64 MiB")
        .start();
    let owner = agent.owner();
    let user = json!({"name": "edda", "password": PASSWORD, "role": "editor"});
    owner.post("/api/v1/users", &user).expect(201);
    let mut edda = agent.client();
    let login = json!({"name": "edda", "password": PASSWORD});
    let answer = edda.post("/api/v1/session", &login).expect(200);
    edda.keep_session(&answer);

    // Hashing with that much memory takes long enough for the owner's request to come between.
    let change = json!({"old": PASSWORD, "new": "a different flower in june"}).to_string();
    let fields = [("content-type", "application/json")];
    let length = change.len();
    let mut under_way = edda
        .open("PUT", "/api/v1/session/password", &fields, length)
        .expect("the agent answers");
    std::io::Write::write_all(&mut under_way, change.as_bytes()).expect("it reads");
    let role = json!({"role": "viewer"});
    owner.json("PATCH", "/api/v1/users/edda", &role).expect(200);
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut under_way, &mut answer).expect("an answer");
    let users = owner.get("/api/v1/users").expect(200).json();
    assert_eq!(users["users"][0]["name"], "edda", "{answer}");
    assert_eq!(users["users"][0]["role"], "viewer", "{answer}");
}
