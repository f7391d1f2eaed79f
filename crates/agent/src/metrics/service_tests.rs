use std::fs;
use std::path::Path;

use periwinkle_core::time::{Mono, UnixMillis};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

/// 2026-11-22T10:21:00.000Z
const START: i64 = 1_795_342_860_000;
const INTERVAL: Duration = Duration::from_secs(1);

struct Running {
    root: tempfile::TempDir,
    feed: Feed,
    rows: std::sync::mpsc::Receiver<Row>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), RunError>>,
}

fn start() -> Running {
    let root = tempfile::tempdir().unwrap();
    network(root.path(), 0);
    start_on(root)
}

/// The service on a device of its own, in tokio's paused time, which starts on a whole minute.
fn start_on(root: tempfile::TempDir) -> Running {
    let options = Options {
        root: root.path().to_path_buf(),
        disk: root.path().to_path_buf(),
        row: Duration::from_secs(60),
        keep: None,
    };
    let feed = Feed::new(900, INTERVAL);
    let (sink, rows) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let origin = Instant::now();
    let clock = move || {
        let since = origin.elapsed();
        Now {
            mono: Mono::from_start(since),
            wall: Some(UnixMillis(START).plus(since)),
            trusted: true,
        }
    };
    let service = run(
        options,
        feed.clone(),
        clock,
        move |row| sink.send(row).unwrap(),
        async move { stopped.await.unwrap() },
    );
    Running {
        root,
        feed,
        rows,
        stop,
        task: tokio::spawn(service),
    }
}

fn network(root: &Path, received: u64) {
    fs::create_dir_all(root.join("proc/net")).unwrap();
    let text = format!("eth0: {received} 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
    fs::write(root.join("proc/net/dev"), text).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_first_sample_comes_one_interval_after_the_start() {
    let running = start();
    let sample = running.feed.subscribe().recv().await.unwrap();
    assert_eq!(sample.at_ms, START + 1_000);
    assert_eq!(sample.net_rx_bps, Some(0));
    assert_eq!(running.feed.latest(), Some(sample));
}

#[tokio::test(start_paused = true)]
async fn traffic_between_two_samples_shows_as_a_rate() {
    let running = start();
    let mut live = running.feed.subscribe();
    live.recv().await.unwrap();
    network(running.root.path(), 5_000);
    assert_eq!(live.recv().await.unwrap().net_rx_bps, Some(5_000));
    assert_eq!(running.feed.interfaces()[0].rx_bytes, 5_000);
    assert_eq!(live.recv().await.unwrap().net_rx_bps, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_finished_minute_goes_to_the_sink_and_a_stop_hands_over_the_open_one() {
    let running = start();
    let mut live = running.feed.subscribe();
    for _ in 0..90 {
        live.recv().await.unwrap();
    }
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    let rows: Vec<_> = running
        .rows
        .iter()
        .map(|row| (row.at.0 - START, row.samples))
        .collect();
    assert_eq!(rows, [(1_000, 59), (60_000, 31)]);
    assert_eq!(running.feed.history().samples.len(), 90);
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_sample_makes_no_row() {
    let running = start();
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    assert_eq!(running.rows.iter().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn time_that_passed_unseen_makes_one_sample_and_not_many() {
    let running = start();
    let mut live = running.feed.subscribe();
    assert_eq!(live.recv().await.unwrap().at_ms, START + 1_000);
    tokio::time::advance(Duration::from_millis(10_500)).await;
    assert_eq!(live.recv().await.unwrap().at_ms, START + 11_500);
    assert_eq!(live.recv().await.unwrap().at_ms, START + 12_000);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_reading_that_hangs() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("proc")).unwrap();
    // Opening a pipe hangs until somebody writes to it.
    let pipe = root.path().join("proc/stat");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let running = start_on(root);
    tokio::task::yield_now().await;
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    assert!(running.feed.history().samples.is_empty());
    fs::OpenOptions::new().write(true).open(pipe).unwrap();
}
