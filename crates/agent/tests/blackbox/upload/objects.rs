//! Objects by the command line and by REST: who may do what, and with which words it fails.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::{MIB, assert_object, bytes, home, sha256};
use crate::client::Client;
use crate::counterparts::Cloud;
use crate::fault_proxy::s3::{S3Proxy, Weather};

#[track_caller]
fn text(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{complaint}");
    text
}

#[track_caller]
fn complaint(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_command_line_puts_lists_and_gets() {
    let cloud = Cloud::own();
    let device = cloud.device("shelf");
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let home = agent.home();
    let data = bytes(3 * MIB);
    let file = home.path().join("a b.bin");
    fs::write(&file, &data).expect("it is ours");
    let put = home.run(&[
        "upload",
        "put",
        "a b.bin",
        "--key",
        "${deviceId}/x/${name}",
        "--remove",
    ]);
    assert_eq!(
        text(&put),
        "shelf/x/a b.bin (3.1 MB) is in periwinkle-uploads\n"
            .replace("periwinkle-uploads", &device.bucket)
    );
    assert!(!file.exists(), "its removal was asked for");
    assert_object(&mut cloud.s3(&device), "shelf/x/a b.bin", &data);

    let mut child = home
        .command(&[
            "upload",
            "put",
            "-",
            "--key",
            "shelf/stream",
            "--type",
            "text/plain",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(&data).expect("it reads");
    drop(input);
    text(&child.wait_with_output().expect("it ends"));
    let object = cloud
        .s3(&device)
        .ask(&json!({"op": "object", "key": "shelf/stream"}));
    assert_eq!(object["type"], "text/plain");
    assert_eq!(object["sha256"], sha256(&data));

    let listed = text(&home.run(&["upload", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("it is JSON");
    let keys: Vec<&str> = listed["objects"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|object| object["key"].as_str().expect("a key"))
        .collect();
    assert_eq!(keys, ["shelf/stream", "shelf/x/a b.bin"]);
    let table = text(&home.run(&["upload", "list", "shelf/x"]));
    assert!(
        table.contains("shelf/x/a b.bin  3.1 MB") && !table.contains("stream"),
        "{table}"
    );

    text(&home.run(&["upload", "get", "shelf/x/a b.bin"]));
    assert_eq!(fs::read(&file).expect("it was read back"), data);
    let again = home.run(&["upload", "get", "shelf/x/a b.bin"]);
    assert!(complaint(&again, 3).contains("is there already"));
    let piped = home.run(&["upload", "get", "shelf/stream", "-o", "-"]);
    assert_eq!(piped.stdout, data);

    let gone = complaint(&home.run(&["upload", "get", "shelf/none"]), 3);
    assert!(gone.contains("S3 refused it"), "{gone}");
    assert!(!home.path().join("none").exists() && !home.path().join("none.partial").exists());
    let missing = complaint(&home.run(&["upload", "put", "nowhere"]), 2);
    assert!(missing.contains("is not there"), "{missing}");
    complaint(&home.run(&["upload", "put", "-"]), 64);
    complaint(&home.run(&["upload", "abort", "none"]), 3);
}

#[test]
fn a_put_that_fails_says_why_and_stays_in_the_queue() {
    let cloud = Cloud::own();
    let device = cloud.device("patient");
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let home = agent.home();
    fs::write(home.path().join("a"), b"x").expect("it is ours");
    let refused = home.run(&["upload", "put", "a", "--key", "another/a"]);
    let words = complaint(&refused, 3);
    assert!(
        words.contains("AccessDenied") && words.contains("stays in the queue"),
        "{words}"
    );
    let queue = text(&home.run(&["upload", "queue"]));
    assert!(
        queue.starts_with("1 upload waiting, 0 being sent"),
        "{queue}"
    );
    let key = complaint(&home.run(&["upload", "put", "a", "--key", "a/../b"]), 3);
    assert!(key.contains(".."), "{key}");
    let variable = complaint(&home.run(&["upload", "put", "a", "--key", "${user}"]), 3);
    assert!(variable.contains("known are deviceId"), "{variable}");
    let (home, _) = agent.stop();
    let silent = home.run(&["upload", "queue"]);
    assert!(complaint(&silent, 4).contains("no agent answers"));
}

#[test]
fn what_cannot_be_is_refused_before_it_waits() {
    let cloud = Cloud::own();
    let device = cloud.device("strict");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let agent = home(&device, &proxy.endpoint(), "checksum = \"crc32\"\n").start();
    let run = |arguments: &[&str]| agent.home().run(arguments);

    let nameless = run(&["upload", "put", "-", "--key", "${deviceId}/${name}"]);
    let words = complaint(&nameless, 64);
    assert!(words.contains("the key template names ${name}"), "{words}");
    for seconds in ["0", "604801"] {
        let never = run(&["upload", "presign", "a", "--seconds", seconds]);
        let words = complaint(&never, 64);
        assert!(words.contains("1..=604800"), "{words}");
    }
    let help = text(&run(&["upload", "put", "--help"]));
    assert!(help.contains("${path}"), "{help}");

    let owner = agent.owner();
    for (what, kind) in [
        ("strict/$%7Bname%7D", "key_invalid"),
        ("strict/$%7Bpath%7D", "key_invalid"),
        ("strict/a%00b", "key_invalid"),
        ("strict/a?priority=10", "priority_invalid"),
    ] {
        let path = format!("/api/v1/uploads/objects/{what}");
        let refused = owner.send("PUT", &path, &[], b"hello").expect(400).json();
        assert_eq!(refused["kind"], kind, "{what}: {refused}");
    }
    let wanted = json!({"key": "strict/a", "seconds": 0});
    let refused = owner.post("/api/v1/uploads/presign", &wanted).expect(400);
    assert_eq!(refused.json()["kind"], "life_invalid");
    assert!(refused.text().contains("not 0 s"), "{}", refused.text());
    assert_eq!(proxy.count("PUT", ""), 0);
    assert_eq!(super::queue(&agent, "--all"), Vec::<Value>::new());
}

#[test]
fn over_the_network_nobody_names_files_and_viewers_change_nothing() {
    let cloud = Cloud::own();
    let device = cloud.device("guarded");
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let owner = agent.owner();
    let file = json!({"file": "/etc/hostname", "key": "guarded/hostname"});
    let refused = owner.post("/api/v1/uploads", &file).expect(403);
    assert_eq!(refused.json()["kind"], "local_only");
    owner.get("/api/v1/data/Upload").expect(404);

    let put = owner.send(
        "PUT",
        "/api/v1/uploads/objects/guarded/a?priority=9",
        &[],
        b"hello",
    );
    let row = put.expect(202).json();
    assert_eq!(
        (&row["key"], &row["priority"]),
        (&json!("guarded/a"), &json!(9))
    );
    let id = row["id"].as_str().expect("an id");
    super::ended(&agent, id);
    let got = owner.get("/api/v1/uploads/objects/guarded/a").expect(200);
    assert_eq!(got.body, b"hello");
    assert_eq!(got.fields["content-type"], "application/octet-stream");
    assert_eq!(
        owner
            .get(&format!("/api/v1/uploads/{id}"))
            .expect(200)
            .json()["state"],
        "done"
    );
    owner.get("/api/v1/uploads/none").expect(404);

    let anybody = agent.client();
    anybody.get("/api/v1/uploads").expect(401);
    anybody
        .send("PUT", "/api/v1/uploads/objects/guarded/b", &[], b"x")
        .expect(401);
}

#[test]
fn an_address_lets_others_read_and_write_for_a_while() {
    let cloud = Cloud::own();
    let device = cloud.device("shared");
    let agent = home(&device, &cloud.endpoint, "").start();
    let address = |arguments: &[&str]| text(&agent.home().run(arguments)).trim().to_owned();
    let host: SocketAddr = cloud
        .endpoint
        .trim_start_matches("http://")
        .parse()
        .expect("it is one");
    let call = |method: &str, url: &str, body: &[u8]| {
        let target = url
            .strip_prefix(&cloud.endpoint)
            .expect("it leads to the emulator");
        Client::new(host).send(method, target, &[], body)
    };
    let write = address(&["upload", "presign", "shared/a", "--put"]);
    call("PUT", &write, b"from afar").expect(200);
    let read = address(&["upload", "presign", "shared/a", "--seconds", "60"]);
    assert_eq!(call("GET", &read, b"").expect(200).body, b"from afar");
    call("GET", &read.replace("shared/a", "shared/b"), b"").expect(403);
    let long = address(&["upload", "presign", "shared/a", "--seconds", "604800"]);
    assert_eq!(call("GET", &long, b"").expect(200).body, b"from afar");
}

#[test]
fn what_comes_damaged_is_not_taken_for_whole() {
    let cloud = Cloud::own();
    let device = cloud.device("damaged");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let agent = home(&device, &proxy.endpoint(), "checksum = \"crc32\"\n").start();
    let home = agent.home();
    fs::write(home.path().join("a"), bytes(MIB)).expect("it is ours");
    text(&home.run(&["upload", "put", "a", "--key", "damaged/a"]));
    proxy.set(Weather::Fog);
    let got = home.run(&["upload", "get", "damaged/a", "-o", "b"]);
    complaint(&got, 4);
    assert!(!home.path().join("b").exists() && !home.path().join("b.partial").exists());
    proxy.set(Weather::Fair);
    text(&home.run(&["upload", "get", "damaged/a", "-o", "b"]));
    assert_eq!(
        fs::read(home.path().join("b")).expect("it is there"),
        bytes(MIB)
    );
}
