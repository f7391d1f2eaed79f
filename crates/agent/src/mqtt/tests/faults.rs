//! A disk that is full or fails under the queue while the process lives on: what was accepted is
//! delivered, and what cannot be accepted is refused in words.

use std::collections::BTreeSet;
use std::time::Duration;

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::mqtt::outbox::DropCause;
use periwinkle_db::Database;
use periwinkle_testkit::disk::{Fault, SimDisk};
use periwinkle_testkit::rng::Rng;
use tokio::task::JoinSet;

use super::{Broker, options};
use crate::mqtt::keeper::SHELF;
use crate::mqtt::{Mqtt, MqttError};
use crate::net::clock::Clock;
use crate::stop::{Stopper, stop};

const SEEDS: u64 = 24;
const MESSAGES: usize = 60;

struct Life {
    db: Database,
    mqtt: Mqtt,
    stopper: Stopper,
    running: tokio::task::JoinHandle<()>,
}

impl Life {
    fn begin(disk: &SimDisk, broker: &Broker) -> Life {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(folder.path());
        let db = crate::database::open_on(disk.storage(), clock.clone());
        let mut options = options(broker);
        options.session.spill_delay = Duration::from_millis(5);
        let (mqtt, mut driver) = Mqtt::open(options, clock, Some(db.shelf(SHELF))).unwrap();
        let (stopper, mut stop) = stop();
        let running = tokio::spawn(async move { driver.run(&mut stop).await });
        Life {
            db,
            mqtt,
            stopper,
            running,
        }
    }

    async fn stop(self) {
        self.stopper.stop();
        self.running.await.unwrap();
        self.db.close().unwrap();
    }

    fn rows(&self) -> usize {
        let mut rows = 0;
        self.db.shelf(SHELF).each(b"o", |_, _| rows += 1).unwrap();
        rows
    }

    /// As the service of the database does.
    async fn reopen_if_failed(&self) {
        if self.db.failure().is_some() {
            let db = self.db.clone();
            // The disk may fail again under it; the service tries again, too.
            let _ = tokio::task::spawn_blocking(move || db.reopen()).await;
        }
    }
}

/// Publishes while the disk fails now and then, with nobody who acknowledges: what was accepted, and
/// what was refused.
async fn publish(life: &Life, disk: &SimDisk, rng: &mut Rng, fault: Fault) -> [BTreeSet<usize>; 2] {
    let [mut accepted, mut refused] = [BTreeSet::new(), BTreeSet::new()];
    for number in 0..MESSAGES {
        if rng.one_in(6) {
            disk.fail_nth(rng.below(4), fault);
        }
        if rng.one_in(3) {
            life.reopen_if_failed().await;
        }
        let qos = [QoS::AtLeastOnce, QoS::ExactlyOnce][number % 2];
        let message = life.mqtt.publish("out", number.to_string()).qos(qos);
        if rng.one_in(3) {
            message.detach().unwrap();
            accepted.insert(number);
            continue;
        }
        match message.durable().accepted().await {
            Ok(()) => accepted.insert(number),
            Err(error) => {
                assert!(matches!(error, MqttError::Dropped(DropCause::Storage)));
                let words = "the message was dropped: it could not be written to flash";
                assert_eq!(error.to_string(), words);
                refused.insert(number)
            }
        };
    }
    [accepted, refused]
}

async fn live_on(seed: u64, fault: Fault) -> usize {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(seed);
    let broker = Broker::start().await;
    broker.change(|manners| manners.acknowledges = false);
    let life = Life::begin(&disk, &broker);
    let [accepted, refused] = publish(&life, &disk, &mut rng, fault).await;
    disk.heal();
    life.reopen_if_failed().await;
    broker.change(|manners| manners.acknowledges = true);
    broker.cut();
    life.mqtt.drained().await.unwrap();
    let came = broker.came(0).await;
    let came: BTreeSet<usize> = (came.iter())
        .map(|came| std::str::from_utf8(&came.payload).unwrap().parse().unwrap())
        .collect();
    let missing: Vec<_> = accepted.difference(&came).collect();
    assert!(
        missing.is_empty(),
        "seed {seed} {fault:?}: {missing:?} were accepted"
    );
    let sent: Vec<_> = refused.intersection(&came).collect();
    assert!(
        sent.is_empty(),
        "seed {seed} {fault:?}: {sent:?} were refused, and sent"
    );
    while life.rows() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    life.stop().await;
    let life = Life::begin(&disk, &broker);
    assert_eq!(
        life.mqtt.queued(),
        0,
        "seed {seed} {fault:?}: something is sent again"
    );
    life.stop().await;
    refused.len()
}

async fn all_live_on(fault: Fault) {
    let mut lives = JoinSet::new();
    for seed in 0..SEEDS {
        lives.spawn(async move {
            let life = tokio::time::timeout(Duration::from_secs(120), live_on(seed, fault));
            let refused = life.await;
            refused.unwrap_or_else(|_| panic!("seed {seed} {fault:?}: nothing moves any more"))
        });
    }
    let refused: usize = lives.join_all().await.into_iter().sum();
    assert!(
        refused > 0,
        "no fault met a message that waited to be accepted"
    );
}

#[tokio::test]
async fn a_disk_without_room_costs_nothing_that_was_accepted() {
    all_live_on(Fault::Full).await;
}

#[tokio::test]
async fn a_disk_that_fails_costs_nothing_that_was_accepted() {
    all_live_on(Fault::Io).await;
}

#[tokio::test]
async fn a_stop_waits_for_a_disk_that_comes_back() {
    let disk = SimDisk::new(1);
    let broker = Broker::start().await;
    broker.change(|manners| manners.acknowledges = false);
    let life = Life::begin(&disk, &broker);
    life.mqtt
        .publish("out", "x")
        .qos(QoS::AtLeastOnce)
        .durable()
        .accepted()
        .await
        .unwrap();
    // Nothing is written before the stop, and then the disk has failed.
    for call in 0..4 {
        disk.fail_nth(call, Fault::Io);
    }
    life.mqtt
        .publish("out", "y")
        .qos(QoS::AtLeastOnce)
        .detach()
        .unwrap();
    life.stopper.stop();
    while life.db.failure().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    disk.heal();
    life.reopen_if_failed().await;
    let Life { db, running, .. } = life;
    running.await.unwrap();
    db.close().unwrap();
    let life = Life::begin(&disk, &broker);
    assert_eq!(life.mqtt.queued(), 2);
    life.stop().await;
}

/// Filters on flash.
fn filters(life: &Life) -> usize {
    let mut rows = 0;
    let shelf = life.db.shelf(SHELF);
    shelf.each(b"s", |_, _| rows += 1).unwrap();
    rows
}

#[tokio::test]
async fn a_filter_is_on_flash_before_the_broker_hears_of_it() {
    let disk = SimDisk::new(1);
    let broker = Broker::start().await;
    let life = Life::begin(&disk, &broker);
    life.mqtt.connected().await.unwrap();
    disk.hold_syncs();
    let asked = life.mqtt.subscribe("a", QoS::AtLeastOnce).begin().unwrap();
    let wait = Duration::from_millis(100);
    let answer = tokio::time::timeout(wait, asked.acknowledged()).await;
    disk.release_syncs();
    assert!(answer.is_err(), "{answer:?}");
    asked.acknowledged().await.unwrap();
    assert_eq!(filters(&life), 1);
    drop(asked);
    while filters(&life) > 0 {
        tokio::task::yield_now().await;
    }
    life.stop().await;
}

#[tokio::test]
async fn a_filter_that_did_not_reach_flash_is_written_with_the_next_one() {
    let disk = SimDisk::new(1);
    let broker = Broker::start().await;
    let life = Life::begin(&disk, &broker);
    life.mqtt.connected().await.unwrap();
    life.db.flush().wait().unwrap();
    disk.fail_nth(0, Fault::Io);
    // The broker hears of it all the same.
    let first = life.mqtt.subscribe("a", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(disk.struck().len(), 1, "{:?}", disk.struck());
    life.reopen_if_failed().await;
    let second = life.mqtt.subscribe("b", QoS::AtLeastOnce).await.unwrap();
    assert_eq!(filters(&life), 2);
    drop((first, second));
    life.stop().await;
}
