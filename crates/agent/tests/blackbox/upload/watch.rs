//! Files that are watched for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{assert_object, ended, home, queue};
use crate::agent::{Agent, Home};
use crate::counterparts::{Cloud, Device};
use crate::eventually::{eventually, within};
use crate::fault_proxy::s3::{S3Proxy, Weather};

/// A home that watches its own folder `spool`.
fn watching(device: &Device, endpoint: &str, watch: &str) -> Home {
    let home = home(
        device,
        endpoint,
        &format!("checksum = \"crc32\"\n[[upload.watch]]\npattern = \"spool/**/*.jpg\"\n{watch}"),
    );
    fs::create_dir_all(home.path().join("spool/sub")).expect("it is ours");
    home
}

#[track_caller]
fn wait_for_done(agent: &Agent, count: u64) -> Value {
    within(Duration::from_secs(60), "the files are uploaded", || {
        let status = agent.status()["upload"].clone();
        (status["done"] == count && status["queued_rows"] == 0).then_some(status)
    })
}

fn exists(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

#[test]
fn each_file_is_uploaded_once_and_again_when_it_is_another() {
    let cloud = Cloud::own();
    let device = cloud.device("watched");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let watch = "min_age = \"200 ms\"\nkey = \"${deviceId}/${path}\"\n";
    let home = watching(&device, &proxy.endpoint(), watch);
    let folder = home.path().join("spool");
    fs::write(folder.join("a.jpg"), b"first").expect("it is ours");
    fs::write(folder.join("sub/b.jpg"), b"second").expect("it is ours");
    fs::write(folder.join("c.png"), b"not this").expect("it is ours");
    fs::write(folder.join(".d.jpg"), b"nor this").expect("it is ours");
    let agent = home.start();
    wait_for_done(&agent, 2);
    let mut judge = cloud.s3(&device);
    assert_object(&mut judge, "watched/a.jpg", b"first");
    assert_object(&mut judge, "watched/sub/b.jpg", b"second");
    let keys = judge.ask(&json!({"op": "keys"}));
    assert_eq!(keys["keys"], json!(["watched/a.jpg", "watched/sub/b.jpg"]));

    // Neither later looks nor restarts take a file again.
    let agent = agent.kill().start();
    fs::write(folder.join("e.jpg"), b"third").expect("it is ours");
    wait_for_done(&agent, 1);
    let (home, code) = agent.stop();
    assert_eq!(code, Some(0));
    let agent = home.start();
    fs::write(folder.join("a.jpg"), b"first, again").expect("it is ours");
    wait_for_done(&agent, 1);
    assert_object(&mut judge, "watched/a.jpg", b"first, again");
    assert_eq!(proxy.count("PUT", "/a.jpg"), 2);
    assert_eq!(proxy.count("PUT", "/b.jpg"), 1);
    assert_eq!(proxy.count("PUT", "/e.jpg"), 1);
    assert!(exists(&folder, "a.jpg") && exists(&folder, "e.jpg"));
}

#[test]
fn a_file_is_removed_when_it_is_uploaded_and_not_before() {
    let cloud = Cloud::own();
    let device = cloud.device("removed");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let watch = "remove = true\nmin_age = \"100 ms\"\nkey = \"${deviceId}/${name}\"\n";
    let home = watching(&device, &proxy.endpoint(), watch);
    let folder = home.path().join("spool");
    for name in ["a.jpg", "b.jpg"] {
        fs::write(folder.join(name), name).expect("it is ours");
    }
    let agent = home.start();
    eventually("requests are lost", || {
        (proxy.count("PUT", "/a.jpg") > 1 && proxy.count("PUT", "/b.jpg") > 1).then_some(())
    });
    assert!(exists(&folder, "a.jpg") && exists(&folder, "b.jpg"));
    let agent = agent.kill();
    proxy.set(Weather::Fair);
    let agent = agent.start();
    wait_for_done(&agent, 2);
    eventually("the files are removed", || {
        (!exists(&folder, "a.jpg") && !exists(&folder, "b.jpg")).then_some(())
    });
    let mut judge = cloud.s3(&device);
    for name in ["a.jpg", "b.jpg"] {
        assert_object(&mut judge, &format!("removed/{name}"), name.as_bytes());
    }
}

#[test]
fn a_file_that_is_still_written_is_left_alone() {
    let cloud = Cloud::own();
    let device = cloud.device("written");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let watch = "min_age = \"1 s\"\nkey = \"${deviceId}/${name}\"\nremove = true\n";
    let home = watching(&device, &proxy.endpoint(), watch);
    let folder = home.path().join("spool");
    let agent = home.start();
    let mut text = String::new();
    for line in 0..20 {
        text.push_str(&format!("line {line}\n"));
        fs::write(folder.join("log.jpg"), &text).expect("it is ours");
        std::thread::park_timeout(Duration::from_millis(100));
        assert_eq!(
            proxy.count("PUT", ""),
            0,
            "it was taken while it was written"
        );
    }
    wait_for_done(&agent, 1);
    assert_object(&mut cloud.s3(&device), "written/log.jpg", text.as_bytes());
    assert_eq!(proxy.count("PUT", ""), 1);
}

#[test]
fn a_file_that_comes_back_as_it_was_is_uploaded() {
    let cloud = Cloud::own();
    let device = cloud.device("back");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let watch = "min_age = \"100 ms\"\nkey = \"${deviceId}/${name}\"\n";
    let home = watching(&device, &proxy.endpoint(), watch);
    let (folder, aside) = (home.path().join("spool"), home.path().join("aside"));
    fs::write(folder.join("a.jpg"), b"hello").expect("it is ours");
    let agent = home.start();
    eventually("it is taken and tried", || {
        (proxy.count("PUT", "/a.jpg") > 0).then_some(())
    });
    // As a disk whose files keep their numbers and that is taken out and put in again.
    let agent = agent.kill();
    fs::rename(&folder, &aside).expect("it is ours");
    proxy.set(Weather::Fair);
    let agent = agent.start();
    eventually("its upload ends", || {
        (agent.status()["upload"]["lost"] == 1).then_some(())
    });
    assert_eq!(queue(&agent, "--all")[0]["state"], "gone");
    fs::rename(&aside, &folder).expect("it is ours");
    wait_for_done(&agent, 1);
    assert_object(&mut cloud.s3(&device), "back/a.jpg", b"hello");
    assert_eq!(
        queue(&agent, "--all").len(),
        2,
        "it is taken once more only"
    );
}

#[test]
fn a_file_behind_more_than_one_look_reads_is_uploaded() {
    let cloud = Cloud::own();
    let device = cloud.device("crowd");
    let watch = "min_age = \"100 ms\"\nkey = \"${deviceId}/${path}\"\n";
    let home = watching(&device, &cloud.endpoint, watch);
    let folder = home.path().join("spool");
    for n in 0..20_050 {
        fs::File::create(folder.join(format!("{n}.txt"))).expect("it is ours");
    }
    fs::write(folder.join("sub/x.jpg"), b"hello").expect("it is ours");
    let agent = home.start();
    wait_for_done(&agent, 1);
    assert_object(&mut cloud.s3(&device), "crowd/sub/x.jpg", b"hello");
    let warnings = agent
        .log()
        .matches("leads to more than 20000 entries")
        .count();
    assert_eq!(warnings, 1, "{}", agent.log());
}

#[test]
fn files_of_higher_priority_go_first() {
    let cloud = Cloud::own();
    let device = cloud.device("ordered");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let home = home(
        &device,
        &proxy.endpoint(),
        "parallel = 1\nchecksum = \"crc32\"\n[[upload.watch]]\npattern = \"spool/*.low\"\n\
         min_age = \"0 s\"\npriority = 1\nkey = \"${deviceId}/${name}\"\n[[upload.watch]]\n\
         pattern = \"spool/*.high\"\nmin_age = \"0 s\"\npriority = 9\nkey = \"${deviceId}/${name}\"\n",
    );
    let folder = home.path().join("spool");
    fs::create_dir_all(&folder).expect("it is ours");
    proxy.set(Weather::Night);
    let agent = home.start();
    fs::write(folder.join("1.low"), b"x").expect("it is ours");
    eventually("the first is tried", || {
        (proxy.count("PUT", "1.low") > 0).then_some(())
    });
    for name in ["2.low", "3.high"] {
        fs::write(folder.join(name), name).expect("it is ours");
    }
    eventually("all are taken", || {
        (queue(&agent, "--all").len() == 3).then_some(())
    });
    proxy.set(Weather::Fair);
    wait_for_done(&agent, 3);
    let order = proxy.puts_done();
    let names: Vec<&str> = order
        .iter()
        .map(|line| line.rsplit('/').nth(1).unwrap_or_default())
        .map(|name| name.split(' ').next().unwrap_or_default())
        .collect();
    assert_eq!(names, ["1.low", "3.high", "2.low"]);
    let rows = queue(&agent, "--all");
    for row in &rows {
        let row = ended(&agent, row["id"].as_str().expect("an id"));
        assert_eq!(row["watched"], true, "{row}");
    }
}
