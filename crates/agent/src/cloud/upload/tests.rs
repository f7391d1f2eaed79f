//! What becomes of rows and files, with a database of its own and something that answers as S3.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use http::StatusCode;
use periwinkle_core::aws::Credentials;
use periwinkle_core::aws::checksum::Algorithm;
use periwinkle_core::aws::s3::upload::{PartPlan, Phase, Record};
use periwinkle_core::aws::s3::{ObjectKey, PutObject};
use periwinkle_core::config::{self, Sources};
use periwinkle_core::limits;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::Write;
use periwinkle_db::engine::Durability;
use std::time::Duration;
use tempfile::TempDir;

use super::clear::clear_ended;
use super::error::UploadError;
use super::hub::{Hub, Taken, Wanted};
use super::row::{Row, State, UPLOAD, UPLOAD_FILE};
use super::send::Stretch;
use super::source::{Source, Volume, identity_of};
use super::uploads::Uploads;
use crate::fetch::{CredentialsSource, FetchOptions};
use crate::net::clock::Clock;

const NOW: UnixMillis = UnixMillis(1_795_342_913_000);
const DAY_MS: i64 = 86_400_000;

struct Bench {
    folder: TempDir,
    hub: Arc<Hub>,
    clock: Clock,
    /// What was asked of S3.
    asked: Arc<Mutex<Vec<String>>>,
    /// What it answers.
    status: Arc<AtomicU16>,
}

impl Bench {
    async fn new(more: &str) -> Bench {
        Bench::with_keys(more, Credentials::new("AKIA", "secret")).await
    }

    async fn with_keys(more: &str, keys: Credentials) -> Bench {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(204));
        let endpoint = serve(asked.clone(), status.clone()).await;
        let text = format!(
            "[upload]\nenable = true\nbucket = 'abc'\nregion = 'eu-central-1'\n\
             endpoint = '{endpoint}'\n{more}"
        );
        let sources = Sources {
            file: Some(config::File {
                name: "periwinkle.toml",
                text: &text,
            }),
            features: &["fetch", "sync", "upload"],
            ..Sources::default()
        };
        let mut config = config::load(&sources).expect("it is in order").config;
        config.runtime.state = folder.path().into();
        let clock = Clock::new(folder.path());
        let path = folder.path().join("db");
        let db = crate::database::open(&config, &path, "pump-7", clock.clone());
        let fetch = FetchOptions::new(&clock).build().expect("no files");
        let keys: CredentialsSource = Arc::new(move || Ok(keys.clone()));
        let db = db.await.expect("it is new");
        let hub = Hub::open(&config, &db, &clock, fetch, keys).expect("it is new");
        Bench {
            folder,
            hub,
            clock,
            asked,
            status,
        }
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("it is ours");
        path
    }

    fn row(&self, path: &Path) -> Row {
        let metadata = fs::symlink_metadata(path).expect("it is there");
        let identity = identity_of(&metadata, Volume::of(path));
        let id = self.hub.new_id();
        let row = self.hub.new_row(id, wanted(), path, &identity);
        row.expect("its name is text")
    }

    fn rows(&self) -> Vec<Row> {
        self.hub.rows().expect("it can be read")
    }

    fn asked(&self, words: &str) -> usize {
        let asked = self.asked.lock().expect("nobody panics with it");
        asked.iter().filter(|line| line.contains(words)).count()
    }
}

async fn serve(asked: Arc<Mutex<Vec<String>>>, status: Arc<AtomicU16>) -> String {
    let answer = move |request: Request| {
        let line = format!("{} {}", request.method(), request.uri());
        asked.lock().expect("nobody panics with it").push(line);
        let status = StatusCode::from_u16(status.load(Ordering::Relaxed));
        async move { (status.expect("it is one"), [("etag", "\"e\"")]) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}

fn wanted() -> Wanted {
    Wanted {
        bucket: "abc".to_owned(),
        key: ObjectKey::new("pump-7/a").expect("it is one"),
        priority: 5,
        content_type: None,
        remove: false,
    }
}

fn note(id: &str, file: &Path) -> Map {
    Map::from([
        ("id", Value::from(id)),
        ("file", Value::from(file.to_string_lossy().as_ref())),
        ("identity", Value::from("1@1.000000000")),
        ("upload", Value::from("u")),
    ])
}

#[tokio::test]
async fn a_file_that_is_written_between_the_look_and_the_take_is_left_to_come_to_rest() {
    let bench = Bench::new("").await;
    let path = bench.file("a", "first half, ");
    let (_, identity) = Source::open(&path).expect("it is there");
    let take = || Taken {
        note: note("n", &path),
        identity,
    };
    bench.file("a", "first half, second half");
    let refused = bench.hub.enqueue(wanted(), &path, Some(take())).await;
    assert!(
        matches!(refused, Err(UploadError::Changed(_))),
        "{refused:?}"
    );
    assert_eq!(bench.rows(), []);
    assert_eq!(bench.hub.all(UPLOAD_FILE).expect("it can be read"), []);
    // As it is now, it may be taken.
    let (_, identity) = Source::open(&path).expect("it is there");
    let taken = Taken { identity, ..take() };
    let row = bench.hub.enqueue(wanted(), &path, Some(taken)).await;
    assert_eq!(row.expect("it is at rest").identity, identity.to_string());
}

#[tokio::test]
async fn what_s3_has_of_an_upload_that_became_too_old_is_given_up_until_it_is_gone() {
    let bench = Bench::new("queue_age_max = '1 min'\n").await;
    bench.clock.confirm(NOW);
    let record = Record {
        bucket: "abc".into(),
        key: ObjectKey::new("pump-7/a").expect("it is one"),
        plan: PartPlan::new(10 << 20, limits::S3_PART_BYTES_MIN).expect("it is one"),
        source: "s".into(),
        checksum: Algorithm::Crc32,
        mark: "m".into(),
        upload_id: Some("u1".into()),
        phase: Phase::Sending,
    };
    let row = Row {
        created_ms: Some(NOW.0 - 61_000),
        record: Some(record.encode()),
        ..bench.row(&bench.file("a", "x"))
    };
    bench.hub.commit(row, None).await.expect("there is room");
    bench.status.store(503, Ordering::Relaxed);
    assert_eq!(clear_ended(&bench.hub).await, 1);
    assert_eq!(bench.asked("DELETE /abc/pump-7/a?uploadId=u1"), 1);
    let row = bench.rows().remove(0);
    assert_eq!(row.state, State::Expired);
    assert!(row.record.is_some(), "the row knows what S3 has");
    assert_eq!(bench.hub.queue().rows(), 0);
    // It is tried again, as long as the row is there.
    assert_eq!(clear_ended(&bench.hub).await, 1);
    bench.status.store(204, Ordering::Relaxed);
    assert_eq!(clear_ended(&bench.hub).await, 0);
    assert_eq!(bench.asked("DELETE"), 3);
    assert_eq!(bench.rows().remove(0).record, None);
    assert_eq!(clear_ended(&bench.hub).await, 0);
    assert_eq!(bench.asked("DELETE"), 3);
}

#[tokio::test]
async fn rows_of_files_that_cannot_be_removed_are_bounded_and_tried_again() {
    let bench = Bench::new("").await;
    // Not even root removes a folder as a file.
    let path = bench.folder.path().join("f");
    fs::create_dir(&path).expect("it is ours");
    let mut writes = Vec::new();
    for _ in 0..limits::UPLOAD_ENDED_ROWS_MAX + 7 {
        let row = Row {
            state: State::Done,
            remove: true,
            left: true,
            ..bench.row(&path)
        };
        writes.push(Write::create(UPLOAD, row.properties()));
    }
    let newest = bench.hub.new_id();
    for some in writes.chunks(50) {
        let db = bench.hub.db.durability(Durability::Relaxed);
        db.write_all(some).expect("there is room");
    }
    let left = limits::UPLOAD_ENDED_ROWS_MAX;
    assert_eq!(clear_ended(&bench.hub).await, left + 7);
    let rows = bench.rows();
    assert_eq!(rows.len(), left);
    assert!(rows.iter().all(|row| row.left && row.id < newest));
    assert_eq!(clear_ended(&bench.hub).await, left);
    fs::remove_dir(&path).expect("it is ours");
    assert_eq!(clear_ended(&bench.hub).await, 0);
    assert!(bench.rows().iter().all(|row| !row.left));
}

#[tokio::test]
async fn a_note_from_before_the_time_was_known_is_stamped_and_forgotten_in_the_end() {
    let bench = Bench::new("").await;
    let gone = bench.folder.path().join("gone");
    let note = note("n", &gone);
    bench.hub.db.create(UPLOAD_FILE, &note).expect("it is new");
    let notes = || bench.hub.all(UPLOAD_FILE).expect("it can be read");
    clear_ended(&bench.hub).await;
    assert_eq!(notes()[0].get("taken_ms"), None);
    bench.clock.confirm(NOW);
    clear_ended(&bench.hub).await;
    let taken = notes()[0].get("taken_ms").and_then(Value::as_i64);
    let since = taken.expect("it is stamped") - NOW.0;
    assert!((0..60_000).contains(&since), "{since}");
    bench.clock.confirm(UnixMillis(NOW.0 + 6 * DAY_MS));
    clear_ended(&bench.hub).await;
    assert_eq!(notes().len(), 1);
    bench.clock.confirm(UnixMillis(NOW.0 + 8 * DAY_MS));
    clear_ended(&bench.hub).await;
    assert_eq!(notes(), []);
}

#[tokio::test]
async fn a_file_of_the_system_is_copied_whole_and_neither_watched_for_nor_removed() {
    let bench = Bench::new("").await;
    let uploads = Uploads::new(bench.hub.clone());
    let path = Path::new("/proc/version");
    let whole = fs::read(path).expect("it is there");
    let upload = uploads.put_file("pump-7/version", path).await;
    let row = bench.hub.row(upload.expect("there is room").id());
    let row = row.expect("it was just made");
    assert_eq!((row.bytes, row.copied), (whole.len() as u64, true));
    assert_eq!(fs::read(&row.file).expect("it is kept"), whole);
    let removed = uploads.put_file("pump-7/version", path).remove().await;
    assert!(matches!(removed, Err(UploadError::NoLength(_))));
    let (_, identity) = Source::open(path).expect("it is there");
    let note = note("n", path);
    let watched = Taken { note, identity };
    let watched = bench.hub.enqueue(wanted(), path, Some(watched)).await;
    assert!(matches!(watched, Err(UploadError::NoLength(_))));
}

#[tokio::test]
async fn an_address_is_not_made_with_keys_that_have_expired() {
    let keys = |expires| Credentials {
        expires: Some(expires),
        ..Credentials::new("AKIA", "secret")
    };
    let hour = Duration::from_secs(3600);
    let bench = Bench::with_keys("", keys(UnixMillis(1))).await;
    let presigned = Uploads::new(bench.hub).presign_get("pump-7/a", hour);
    let error = presigned.expect_err("the keys are of 1970");
    assert_eq!(error.kind(), "credentials_expired");
    assert_eq!(
        error.to_string(),
        "the credentials have expired at 1970-01-01T00:00:00.001Z"
    );
    let bench = Bench::with_keys("", keys(UnixMillis(i64::MAX / 2))).await;
    let presigned = Uploads::new(bench.hub).presign_get("pump-7/a", hour);
    assert!(presigned.is_ok());
}

#[tokio::test]
async fn what_waits_is_held_by_keys_that_have_expired_as_soon_as_the_time_is_known() {
    let keys = |expires| Credentials {
        expires: Some(UnixMillis(expires)),
        ..Credentials::new("AKIA", "secret")
    };
    let bench = Bench::with_keys("", keys(NOW.0 - 1)).await;
    bench.clock.confirm(NOW);
    assert!(bench.hub.look_for_credentials(), "nothing waits");
    let row = bench.row(&bench.file("a", "x"));
    let row = bench.hub.commit(row, None).await.expect("there is room");
    assert!(!bench.hub.look_for_credentials());
    let why = bench.hub.credentials_error().expect("it is told");
    assert!(why.contains("expired at 2026-11-22T10:21:52.999Z"), "{why}");
    let uploads = Uploads::new(bench.hub.clone());
    let progress = uploads.upload(&row.id).expect("it is there").progress();
    let progress = progress.expect("it can be read");
    assert_eq!((progress.attempts, progress.error), (0, Some(why)));
    assert!(bench.hub.queue().remove_waiting(&row.id));
    assert!(bench.hub.look_for_credentials(), "nothing waits any more");
    assert_eq!(bench.hub.credentials_error(), None);

    // Without a time that can be trusted, S3 decides.
    let bench = Bench::with_keys("", keys(1)).await;
    let row = bench.row(&bench.file("a", "x"));
    bench.hub.commit(row, None).await.expect("there is room");
    let trusted = bench.clock.now().trusted;
    assert_eq!(bench.hub.look_for_credentials(), !trusted);
}

#[tokio::test]
async fn a_yes_to_a_body_that_was_not_sent_whole_is_none() {
    let bench = Bench::new("").await;
    bench.status.store(200, Ordering::Relaxed);
    let path = bench.file("large", "");
    let bytes = 64 << 20;
    let file = fs::File::options().write(true).open(&path);
    let file = file.expect("it is ours");
    file.set_len(bytes).expect("there is room for a hole");
    let (source, identity) = Source::open(&path).expect("it is there");
    let sender = &bench.hub.sender;
    let bucket = sender.bucket("abc").expect("it is one");
    let put = PutObject::new(wanted().key, bytes);
    let (request, _) = put.request(&bucket).expect("it is not too long");
    let stretch = Stretch {
        source,
        identity: identity.to_string(),
        offset: 0,
        bytes,
        sent: Arc::default(),
    };
    let answer = PutObject::answer;
    let error = sender.put(&bucket, request, stretch, answer).await;
    let error = error.expect_err("nobody took the whole of it").to_string();
    assert!(error.contains("before the body was sent"), "{error}");
}
