//! Uploads to S3: what is taken arrives once and whole, whatever the network, the power and the
//! disk do, and files go only when they are there.

mod guide;
mod judged;
mod objects;
mod trouble;
mod watch;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::agent::{Agent, Home};
use crate::counterparts::{Cloud, Device, Judge, SecondOpinion};
use crate::eventually::within;
use crate::fault_proxy::s3::S3Proxy;

const MIB: usize = 1 << 20;

/// Uploads of a device to this address; more configuration of the section, then other sections.
fn home(device: &Device, endpoint: &str, more: &str) -> Home {
    Home::with(&format!(
        "[metrics]\nenable = false\n[device]\nid = \"{}\"\n[sync]\ncredentials = \"file\"\n\
         credentials_file = \"{}\"\n[upload]\nenable = true\nbucket = \"{}\"\nregion = \"{}\"\n\
         endpoint = \"{endpoint}\"\ninterval = \"100 ms\"\n{more}",
        device.thing,
        device.credentials_file.display(),
        device.bucket,
        device.region,
    ))
}

/// Bytes that say where they belong.
fn bytes(length: usize) -> Vec<u8> {
    let words = (0..=length as u64 / 8).flat_map(|at| (at.wrapping_mul(0x9e37_79b9)).to_le_bytes());
    words.take(length).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a file by the command line, which waits for nothing.
#[track_caller]
fn put_file(agent: &Agent, path: &Path, key: &str) -> String {
    let path = path.to_str().expect("it is text");
    let put = ["upload", "put", path, "--key", key, "--detach", "--json"];
    let output = agent.home().run(&put);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let shown: Value = serde_json::from_str(&text).expect("it is JSON");
    shown["id"].as_str().expect("an id").to_owned()
}

/// Waits until an upload has ended, and gives its row.
#[track_caller]
fn ended(agent: &Agent, id: &str) -> Value {
    within(Duration::from_secs(240), "the upload ends", || {
        let rows = queue(agent, "--all");
        let row = rows.iter().find(|row| row["id"] == id)?.clone();
        let state = row["state"].as_str()?;
        (!["waiting", "sending"].contains(&state)).then_some(row)
    })
}

#[track_caller]
fn queue(agent: &Agent, option: &str) -> Vec<Value> {
    let output = agent.home().run(&["upload", "queue", option, "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    shown["uploads"].as_array().expect("a list").clone()
}

#[track_caller]
fn assert_object(judge: &mut Judge, key: &str, expected: &[u8]) {
    let object = judge.ask(&json!({"op": "object", "key": key}));
    assert_eq!(object["bytes"], expected.len(), "{object}");
    assert_eq!(object["sha256"], sha256(expected), "{object}");
}

fn write(agent: &Agent, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = agent.home().path().join(name);
    fs::write(&path, bytes).expect("it is ours");
    path
}

/// The sizes around the least part, and what goes in one request.
fn sizes_arrive_whole(agent: &Agent, device: &Device, judge: &mut Judge) {
    let sizes = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 11 * MIB];
    for size in sizes {
        let data = bytes(size);
        let file = write(agent, &format!("{size}.bin"), &data);
        let key = format!("{}/{size}.bin", device.thing);
        let id = put_file(agent, &file, &key);
        let row = ended(agent, &id);
        assert_eq!(row["state"], "done", "{row}");
        assert_eq!(row["sent"], size, "{row}");
        assert_object(judge, &key, &data);
        assert!(file.exists(), "nobody asked for its removal");
    }
}

#[test]
fn files_of_every_size_arrive_whole() {
    let cloud = Cloud::own();
    let device = cloud.device("sizes");
    let agent = home(
        &device,
        &cloud.endpoint,
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\n",
    );
    let agent = agent.start();
    let mut judge = cloud.s3(&device);
    sizes_arrive_whole(&agent, &device, &mut judge);
    assert_eq!(judge.ask(&json!({"op": "uploads"}))["uploads"], json!([]));
    let status = agent.status()["upload"].clone();
    assert_eq!(status["done"], 6, "{status}");
    assert_eq!(status["done_bytes"], 26 * MIB + 1, "{status}");
    assert_eq!(status["queued_rows"], 0, "{status}");
}

#[test]
fn a_second_judge_of_signatures_takes_files_of_every_size() {
    let moto = SecondOpinion::of("sizes2");
    let device = &moto.device;
    let agent = home(
        device,
        &device.endpoint,
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\n",
    );
    let agent = agent.start();
    sizes_arrive_whole(&agent, device, &mut moto.s3());
}

#[test]
fn a_hundred_mebibytes_arrive_although_the_agent_is_killed_again_and_again() {
    let cloud = Cloud::own();
    let device = cloud.device("killed");
    let mut judge = cloud.s3(&device);
    large_file_outlasts_kills(&device, &cloud.endpoint, 20, &mut judge);
    assert_eq!(judge.ask(&json!({"op": "uploads"}))["uploads"], json!([]));
}

#[test]
fn the_second_judge_lets_an_upload_go_on_after_kills() {
    let moto = SecondOpinion::of("killed2");
    let device = &moto.device;
    large_file_outlasts_kills(device, &device.endpoint, 10, &mut moto.s3());
}

/// A file in so many parts, while the agent is killed four times on the way: what S3 has is not
/// sent again.
fn large_file_outlasts_kills(device: &Device, endpoint: &str, parts: usize, judge: &mut Judge) {
    let proxy = S3Proxy::start(endpoint);
    let home = home(
        device,
        &proxy.endpoint(),
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\nparallel = 2\n",
    );
    let data = bytes(parts * 5 * MIB);
    let mut agent = home.start();
    let file = write(&agent, "large.bin", &data);
    let key = format!("{}/large.bin", device.thing);
    let id = put_file(&agent, &file, &key);
    let mut in_flight = 0;
    for kill in 1..=4 {
        within(Duration::from_secs(60), "parts arrive", || {
            (proxy.parts_done() >= kill * parts / 5).then_some(())
        });
        in_flight += 2;
        agent = agent.kill().start();
    }
    let before_kib = agent.resident_kib();
    let row = ended(&agent, &id);
    assert_eq!(row["state"], "done", "{row}");
    let grown_kib = agent.resident_kib().saturating_sub(before_kib);
    assert!(grown_kib < 8 * 1024, "the agent grew by {grown_kib} KiB");
    assert_object(judge, &key, &data);
    let begun = proxy.parts_begun();
    assert!(begun >= parts, "{begun} parts were sent");
    assert!(
        begun <= parts + in_flight,
        "{begun} parts were sent for {parts}, with {in_flight} on their way at kills"
    );
    assert_eq!(proxy.count("POST", "uploads="), 1, "the upload began once");
    assert_eq!(queue(&agent, "--all").len(), 1);
}

/// Takes the last bytes of what the database wrote away, as a power cut does with what the disk
/// has not yet.
fn tear_the_last_write(home: &Home) {
    let segment = home.state().join("db/00000001.log");
    let mut log = fs::read(&segment).expect("it is there");
    let end = log
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("it has frames");
    log[end - 8..=end].fill(0);
    fs::write(&segment, log).expect("it is ours");
}

#[test]
fn an_upload_whose_journal_row_is_torn_begins_anew_and_arrives_whole() {
    let cloud = Cloud::own();
    let device = cloud.device("torn");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let slow = "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\nrate_max = \"2 MB\"\n";
    let agent = home(&device, &proxy.endpoint(), slow).start();
    let data = bytes(11 * MIB);
    let file = write(&agent, "large.bin", &data);
    let id = put_file(&agent, &file, "torn/large.bin");
    // A part leaves once the row with the id of the upload is on the disk: the last write so far.
    within(Duration::from_secs(60), "a part leaves", || {
        (proxy.parts_begun() > 0).then_some(())
    });
    let home = agent.kill();
    tear_the_last_write(&home);
    let agent = home.start();
    assert_eq!(ended(&agent, &id)["state"], "done");
    let mut judge = cloud.s3(&device);
    assert_object(&mut judge, "torn/large.bin", &data);
    assert_eq!(
        proxy.count("POST", "uploads="),
        2,
        "nobody knew of the first"
    );
    // That one is left to the bucket's own rule.
    let left = judge.ask(&json!({"op": "uploads"}));
    assert_eq!(left["uploads"].as_array().map(Vec::len), Some(1), "{left}");
}
