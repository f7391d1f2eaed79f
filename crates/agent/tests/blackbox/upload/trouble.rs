//! Bad networks, wrong keys, full disks, and people who change their minds.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{MIB, assert_object, bytes, ended, home, put_file, queue, write};
use crate::agent::Agent;
use crate::counterparts::{Cloud, SecondOpinion};
use crate::eventually::{eventually, within};
use crate::fault_proxy::s3::{S3Proxy, Weather};
use crate::full_disk::{Mount, limit_file_size};

#[test]
fn objects_arrive_whole_through_a_storm() {
    let cloud = Cloud::own();
    let device = cloud.device("storm");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let agent = home(
        &device,
        &proxy.endpoint(),
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\n",
    );
    let agent = agent.start();
    proxy.set(Weather::Storm);
    let sizes = [1, 100_000, 16 * MIB + 5];
    let mut uploads = Vec::new();
    for size in sizes {
        let file = write(&agent, &format!("{size}"), &bytes(size));
        let key = format!("storm/{size}");
        uploads.push((put_file(&agent, &file, &key), key, size));
    }
    let mut judge = cloud.s3(&device);
    for (id, key, size) in uploads {
        assert_eq!(ended(&agent, &id)["state"], "done");
        assert_object(&mut judge, &key, &bytes(size));
    }
    proxy.set(Weather::Fair);
    let uploads = judge.ask(&json!({"op": "uploads"}));
    // An upload whose creation was answered to nobody is left to the bucket's rule.
    for upload in uploads["uploads"].as_array().expect("a list") {
        assert_eq!(upload["parts"], json!([]), "{upload}");
    }
}

#[test]
fn a_busy_service_is_asked_again_until_it_has_time() {
    let cloud = Cloud::own();
    let device = cloud.device("busy");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Busy);
    let agent = home(
        &device,
        &proxy.endpoint(),
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\n",
    );
    let agent = agent.start();
    let data = bytes(22 * MIB);
    let file = write(&agent, "busy.bin", &data);
    let id = put_file(&agent, &file, "busy/busy.bin");
    assert_eq!(ended(&agent, &id)["state"], "done");
    assert_object(&mut cloud.s3(&device), "busy/busy.bin", &data);
}

/// Waits until an upload was tried in vain, and gives its row.
#[track_caller]
fn failed_once(agent: &Agent, id: &str) -> Value {
    within(Duration::from_secs(60), "an attempt fails", || {
        let rows = queue(agent, "--all");
        let row = rows.iter().find(|row| row["id"] == id)?.clone();
        (row["attempts"].as_u64() > Some(0) && row["state"] == "waiting").then_some(row)
    })
}

fn spoil_secret(file: &std::path::Path) -> Vec<u8> {
    let good = fs::read(file).expect("it is there");
    let mut keys: Value = serde_json::from_slice(&good).expect("it is JSON");
    keys["SecretAccessKey"] = json!("not the secret");
    fs::write(file, keys.to_string()).expect("it is ours");
    good
}

#[test]
fn a_wrong_secret_is_told_and_a_right_one_sends_what_waited() {
    let cloud = Cloud::own();
    let device = cloud.device("secret");
    let good = spoil_secret(&device.credentials_file);
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let id = put_file(&agent, &file, "secret/a");
    let row = failed_once(&agent, &id);
    let words = row["error"].as_str().expect("words");
    assert!(words.contains("SignatureDoesNotMatch"), "{words}");
    assert_eq!(row["refused"], true);
    let mut judge = cloud.s3(&device);
    assert_eq!(judge.ask(&json!({"op": "keys"}))["keys"], json!([]));

    fs::write(&device.credentials_file, good).expect("it is ours");
    let output = agent.home().run(&["upload", "retry"]);
    assert!(output.status.success());
    assert_eq!(ended(&agent, &id)["state"], "done");
    assert_object(&mut judge, "secret/a", b"hello");
}

#[test]
fn without_credentials_nothing_is_tried_and_with_them_it_goes_by_itself() {
    let cloud = Cloud::own();
    let device = cloud.device("lacking");
    let keys = fs::read(&device.credentials_file).expect("it is there");
    fs::remove_file(&device.credentials_file).expect("it is ours");
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let path = file.to_str().expect("it is text");
    // Who waits for it is told at once.
    let put = agent
        .home()
        .run(&["upload", "put", path, "--key", "lacking/a"]);
    let words = String::from_utf8_lossy(&put.stderr).into_owned();
    assert_eq!(put.status.code(), Some(3), "{words}");
    assert!(words.contains("there are no credentials"), "{words}");
    assert!(words.contains("goes when there are some"), "{words}");

    let status = agent.status()["upload"].clone();
    let why = status["credentials_error"].as_str().expect("it is told");
    assert!(why.contains("credentials file"), "{why}");
    assert_eq!(
        (&status["sending"], &status["attempts_failed"]),
        (&json!(0), &json!(0))
    );
    let row = queue(&agent, "--all").remove(0);
    assert_eq!(row["state"], "waiting", "{row}");
    assert_eq!(row["attempts"], 0, "{row}");
    assert_eq!(row["lacks_credentials"], true, "{row}");
    assert_eq!(row["error"], why, "{row}");

    fs::write(&device.credentials_file, keys).expect("it is ours");
    let id = row["id"].as_str().expect("an id").to_owned();
    assert_eq!(ended(&agent, &id)["state"], "done");
    assert_object(&mut cloud.s3(&device), "lacking/a", b"hello");
    eventually("the trouble is over", || {
        agent.status()["upload"]["credentials_error"]
            .is_null()
            .then_some(())
    });
}

#[test]
fn all_uploads_together_are_no_faster_than_their_rate() {
    let cloud = Cloud::own();
    let device = cloud.device("rate");
    let agent = home(
        &device,
        &cloud.endpoint,
        "checksum = \"crc32\"\nparallel = 4\nrate_max = \"1 MB\"\n",
    );
    let agent = agent.start();
    let (count, size) = (6, 500_000);
    let begun = Instant::now();
    let ids: Vec<String> = (0..count)
        .map(|at| {
            let file = write(&agent, &format!("{at}"), &bytes(size));
            put_file(&agent, &file, &format!("rate/{at}"))
        })
        .collect();
    for id in ids {
        assert_eq!(ended(&agent, &id)["state"], "done");
    }
    // A second's worth may go at once; the rest takes its time, however slow the machine is.
    let least = Duration::from_secs(2);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
    let mut judge = cloud.s3(&device);
    for at in 0..count {
        assert_object(&mut judge, &format!("rate/{at}"), &bytes(size));
    }
}

#[test]
fn the_second_judge_refuses_a_wrong_secret_too() {
    let moto = SecondOpinion::of("secret2");
    let device = &moto.device;
    spoil_secret(&device.credentials_file);
    let agent = home(device, &device.endpoint, "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let id = put_file(&agent, &file, "secret2/a");
    let row = failed_once(&agent, &id);
    let words = row["error"].as_str().expect("words");
    assert!(words.contains("SignatureDoesNotMatch"), "{words}");
}

#[test]
fn a_device_writes_below_its_own_name_only() {
    let cloud = Cloud::own();
    let device = cloud.device("pump");
    let agent = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let id = put_file(&agent, &file, "pump2/a");
    let words = failed_once(&agent, &id)["error"].to_string();
    assert!(words.contains("AccessDenied"), "{words}");
    let id = put_file(&agent, &file, "pump/a");
    assert_eq!(ended(&agent, &id)["state"], "done");
    let mut judge = cloud.s3(&device);
    assert_eq!(judge.ask(&json!({"op": "keys"}))["keys"], json!(["pump/a"]));
}

#[test]
fn what_is_aborted_leaves_nothing_at_s3_nor_here() {
    let cloud = Cloud::own();
    let device = cloud.device("aborted");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let agent = home(
        &device,
        &proxy.endpoint(),
        "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\nrate_max = \"4 MB\"\n",
    );
    let agent = agent.start();
    let owner = agent.owner();
    let put = "/api/v1/uploads/objects/aborted/large";
    let row = owner
        .send("PUT", put, &[], &bytes(40 * MIB))
        .expect(202)
        .json();
    let id = row["id"].as_str().expect("an id").to_owned();
    eventually("parts arrive", || (proxy.parts_done() > 0).then_some(()));
    let copies = || {
        fs::read_dir(agent.home().state().join("uploads"))
            .expect("it is there")
            .count()
    };
    assert_eq!(copies(), 1);
    owner
        .send("DELETE", &format!("/api/v1/uploads/{id}"), &[], b"")
        .expect(204);
    assert_eq!(ended(&agent, &id)["state"], "aborted");
    eventually("the copy is removed", || (copies() == 0).then_some(()));
    let mut judge = cloud.s3(&device);
    assert_eq!(judge.ask(&json!({"op": "keys"}))["keys"], json!([]));
    assert_eq!(judge.ask(&json!({"op": "uploads"}))["uploads"], json!([]));
    let again = owner.send("DELETE", &format!("/api/v1/uploads/{id}"), &[], b"");
    assert_eq!(again.expect(409).json()["kind"], "upload_ended");
}

#[test]
fn a_file_that_changes_while_it_waits_is_not_uploaded() {
    let cloud = Cloud::own();
    let device = cloud.device("changed");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let agent = home(&device, &proxy.endpoint(), "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let id = put_file(&agent, &file, "changed/a");
    eventually("it is tried", || (proxy.count("PUT", "") > 0).then_some(()));
    fs::write(&file, b"hello, world").expect("it is ours");
    proxy.set(Weather::Fair);
    assert_eq!(ended(&agent, &id)["state"], "changed");
    let mut judge = cloud.s3(&device);
    assert_eq!(judge.ask(&json!({"op": "keys"}))["keys"], json!([]));
    assert_eq!(agent.status()["upload"]["lost"], 1);
}

#[test]
fn a_copy_that_cannot_be_opened_for_a_while_is_kept_and_uploaded_later() {
    let cloud = Cloud::own();
    let device = cloud.device("precious");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let agent = home(&device, &proxy.endpoint(), "checksum = \"crc32\"\n").start();
    let put = "/api/v1/uploads/objects/precious/a";
    let row = agent.owner().send("PUT", put, &[], b"hello").expect(202);
    let id = row.json()["id"].as_str().expect("an id").to_owned();

    // The way to the copy leads in a circle: it is there, and cannot be opened.
    let home = agent.kill();
    let (folder, aside) = (home.state().join("uploads"), home.state().join("aside"));
    fs::rename(&folder, &aside).expect("it is ours");
    symlink("uploads", &folder).expect("it is ours");
    proxy.set(Weather::Fair);
    let agent = home.start();
    let row = failed_once(&agent, &id);
    let words = row["error"].as_str().expect("words");
    assert!(words.contains("cannot be read: Too many levels"), "{words}");
    assert_eq!(
        (&row["state"], &row["refused"]),
        (&json!("waiting"), &json!(false))
    );

    fs::remove_file(&folder).expect("it is ours");
    fs::rename(&aside, &folder).expect("it is ours");
    assert!(folder.join(&id).exists(), "the copy is still there");
    let output = agent.home().run(&["upload", "retry"]);
    assert!(output.status.success());
    assert_eq!(ended(&agent, &id)["state"], "done");
    assert_object(&mut cloud.s3(&device), "precious/a", b"hello");
    eventually("the copy is removed", || {
        (!folder.join(&id).exists()).then_some(())
    });
}

#[test]
fn a_file_that_went_away_ends_its_upload_and_the_log_says_so() {
    let cloud = Cloud::own();
    let device = cloud.device("gone");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let agent = home(&device, &proxy.endpoint(), "checksum = \"crc32\"\n").start();
    let file = write(&agent, "a", b"hello");
    let id = put_file(&agent, &file, "gone/a");
    // What is still on its way when the weather changes would come through.
    eventually("it is tried", || (proxy.count("PUT", "") > 0).then_some(()));
    let agent = agent.kill();
    fs::remove_file(&file).expect("it is ours");
    proxy.set(Weather::Fair);
    let agent = agent.start();
    let row = ended(&agent, &id);
    assert_eq!(row["state"], "gone", "{row}");
    let words = row["error"].as_str().expect("words");
    assert!(words.contains("cannot be read: No such file"), "{words}");
    assert_eq!(agent.status()["upload"]["lost"], 1);
    let log = agent.log();
    let line = log.lines().find(|line| line.contains("an upload is lost"));
    assert!(line.is_some_and(|line| line.contains("WARN")), "{log}");
    assert!(!log.contains("cannot be removed"), "{log}");
    let keys = cloud.s3(&device).ask(&json!({"op": "keys"}));
    assert_eq!(keys["keys"], json!([]));
}

#[test]
fn trouble_is_told_as_it_happens_and_a_retry_ends_every_pause() {
    let cloud = Cloud::own();
    let device = cloud.device("dead");
    let proxy = S3Proxy::start(&cloud.endpoint);
    let more = "part_bytes = \"5 MiB\"\nchecksum = \"crc32\"\n";
    let agent = home(&device, &proxy.endpoint(), more).start();
    for size in [5, 6 * MIB] {
        proxy.set(Weather::Night);
        let file = write(&agent, &size.to_string(), &bytes(size));
        let key = format!("dead/{size}");
        let put = [
            "upload",
            "put",
            file.to_str().expect("it is text"),
            "--key",
            &key,
        ];
        let child = agent
            .home()
            .command(&put)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let told = |attempts: u64| {
            within(Duration::from_secs(120), "attempts are counted", || {
                let rows = queue(&agent, "--all");
                let row = rows.iter().find(|row| row["key"] == key.as_str())?;
                let now = row["attempts"].as_u64()?;
                (now >= attempts).then(|| (now, row.clone()))
            })
        };
        // By now a pause may last for eight seconds, and the next ones for longer.
        let (mut attempts, row) = told(5);
        assert_eq!(row["state"], "sending", "{row}");
        assert!(row["error"].is_string(), "{row}");
        assert!(agent.log().contains("uploads wait: "));
        for _ in 0..3 {
            let begun = Instant::now();
            assert!(agent.home().run(&["upload", "retry"]).status.success());
            (attempts, _) = told(attempts + 1);
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(5), "{attempts}: {took:?}");
        }
        proxy.set(Weather::Fair);
        assert!(agent.home().run(&["upload", "retry"]).status.success());
        let output = child.wait_with_output().expect("it ends");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        assert!(words.contains("attempts in vain: "), "{words}");
        assert_object(&mut cloud.s3(&device), &key, &bytes(size));
    }
}

#[test]
fn a_full_disk_refuses_a_copy_and_nothing_else() {
    let cloud = Cloud::own();
    let device = cloud.device("full");
    let home = home(&device, &cloud.endpoint, "checksum = \"crc32\"\n");
    let mount = Mount::new(home.state(), "16m");
    let agent = home.start();
    let owner = agent.owner();
    let put = |name: &str, size: usize| {
        let path = format!("/api/v1/uploads/objects/full/{name}");
        owner.send("PUT", &path, &[], &bytes(size))
    };
    let refused = put("large", 20 * MIB).expect(507).json();
    assert_eq!(refused["kind"], "full", "{refused}");
    let copies = fs::read_dir(agent.home().state().join("uploads")).expect("it is there");
    assert_eq!(copies.count(), 0, "the half copy is removed");
    let row = put("small", 100_000).expect(202).json();
    let id = row["id"].as_str().expect("an id");
    assert_eq!(ended(&agent, id)["state"], "done");
    assert_object(&mut cloud.s3(&device), "full/small", &bytes(100_000));
    drop(agent);
    drop(mount);
}

#[test]
fn the_queue_takes_what_its_budget_says_and_no_more() {
    let cloud = Cloud::own();
    let device = cloud.device("budget");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let agent = home(
        &device,
        &proxy.endpoint(),
        "queue_rows_max = 3\nqueue_bytes_max = \"1 MiB\"\nchecksum = \"crc32\"\n",
    );
    let agent = agent.start();
    let owner = agent.owner();
    let put = |name: &str, size: usize| {
        let path = format!("/api/v1/uploads/objects/budget/{name}");
        owner.send("PUT", &path, &[], &bytes(size))
    };
    put("a", MIB - 10).expect(202);
    assert_eq!(put("b", 11).expect(507).json()["kind"], "queue_full");
    put("b", 10).expect(202);
    put("c", 0).expect(202);
    assert_eq!(put("d", 0).expect(507).json()["kind"], "queue_full");
    let status = agent.status()["upload"].clone();
    assert_eq!(status["queued_rows"], 3, "{status}");
    assert_eq!(status["queued_bytes"], MIB, "{status}");
    assert_eq!(status["refused"], 2, "{status}");
    // What waits is there after a power cut, and is sent when there is a link.
    let agent = agent.kill();
    proxy.set(Weather::Fair);
    let agent = agent.start();
    within(Duration::from_secs(60), "the queue drains", || {
        (agent.status()["upload"]["done"] == 3).then_some(())
    });
    assert_object(&mut cloud.s3(&device), "budget/a", &bytes(MIB - 10));
}

#[test]
fn a_watched_file_stays_until_the_disk_knows_that_it_is_uploaded() {
    let cloud = Cloud::own();
    let device = cloud.device("kept");
    let proxy = S3Proxy::start(&cloud.endpoint);
    proxy.set(Weather::Night);
    let home = home(
        &device,
        &proxy.endpoint(),
        "checksum = \"crc32\"\n[[upload.watch]]\npattern = \"spool/*.jpg\"\n\
         min_age = \"0 s\"\nremove = true\nkey = \"${deviceId}/${name}\"\n",
    );
    let file = home.path().join("spool/a.jpg");
    fs::create_dir_all(home.path().join("spool")).expect("it is ours");
    fs::write(&file, b"hello").expect("it is ours");
    let agent = home.start();
    eventually("it is taken and tried", || {
        (proxy.count("PUT", "/a.jpg") > 0).then_some(())
    });
    limit_file_size(agent.pid(), "1024:unlimited");
    proxy.set(Weather::Fair);
    eventually("its end cannot be written", || {
        let words = "the end of an upload cannot be written";
        agent.log().contains(words).then_some(())
    });
    assert_object(&mut cloud.s3(&device), "kept/a.jpg", b"hello");
    assert!(file.exists());

    let agent = agent.kill().start();
    eventually("its end is written, and it is removed", || {
        (agent.status()["upload"]["done"] == 1 && !file.exists()).then_some(())
    });
    assert_object(&mut cloud.s3(&device), "kept/a.jpg", b"hello");
}
