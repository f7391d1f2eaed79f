//! What is durable survives a power cut: the client, its queue and the database on a disk that loses
//! what was not synced, and may tear the rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_db::Database;
use periwinkle_testkit::disk::SimDisk;
use periwinkle_testkit::rng::Rng;
use tokio::task::JoinHandle;

use super::broker::Came;
use super::{Broker, options};
use crate::mqtt::keeper::SHELF;
use crate::mqtt::{Mqtt, Subscription};
use crate::net::clock::Clock;
use crate::stop::{Stopper, stop};

const CUTS: u64 = 40;
const INCOMING: usize = 100;

struct Life {
    db: Database,
    mqtt: Mqtt,
    incoming: Option<Subscription>,
    running: JoinHandle<()>,
    _stopper: Stopper,
}

impl Life {
    async fn begin(disk: &SimDisk, broker: &Broker, qos: QoS) -> Life {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(folder.path());
        let db = crate::database::open_on(disk.storage(), clock.clone());
        let shelf = db.shelf(SHELF);
        let (mqtt, mut driver) = Mqtt::open(options(broker), clock, Some(shelf)).unwrap();
        let (stopper, mut stop) = stop();
        let running = tokio::spawn(async move { driver.run(&mut stop).await });
        let incoming = mqtt.subscribe("in", qos).durable().await.unwrap();
        Life {
            db,
            mqtt,
            incoming: Some(incoming),
            running,
            _stopper: stopper,
        }
    }

    async fn end(self) {
        self.running.abort();
        let _ = self.running.await;
        // It cannot be written any more, perhaps.
        let _ = self.db.close();
    }
}

fn number(payload: &[u8]) -> usize {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

fn numbers(came: &[Came]) -> BTreeSet<usize> {
    came.iter().map(|came| number(&came.payload)).collect()
}

/// Takes the power away in the middle of everything, and looks what the next life has.
async fn cut(seed: u64, qos: QoS) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(seed);
    let broker = Broker::start().await;
    let mut life = Life::begin(&disk, &broker, qos).await;
    for number in 0..INCOMING {
        broker.publish("in", number.to_string().as_bytes(), qos);
    }
    let dealt_with = Arc::new(Mutex::new(BTreeSet::new()));
    let deals = dealt_with.clone();
    let mut incoming = life.incoming.take().unwrap();
    let reading = tokio::spawn(async move {
        while let Some(message) = incoming.recv().await {
            let number = number(message.payload());
            if number.is_multiple_of(3) {
                deals.lock().unwrap().insert(number);
                message.ack();
            }
        }
    });
    let last = rng.index(60);
    let mut accepted = BTreeSet::new();
    for number in 0..1000 {
        if number == last {
            disk.cut_power();
        }
        let message = life.mqtt.publish("out", number.to_string()).qos(qos);
        match message.durable().accepted().await {
            Ok(_) => drop(accepted.insert(number)),
            Err(_) => break,
        }
    }
    assert_eq!(accepted.len(), last, "seed {seed}: no power, no promise");
    reading.abort();
    let _ = reading.await;
    let acknowledged = broker.acks();
    let sent = numbers(&broker.came(0).await);
    life.end().await;

    disk.restart(seed);
    let broker = Broker::start().await;
    let mut life = Life::begin(&disk, &broker, qos).await;
    life.mqtt.drained().await.unwrap();
    let mut delivered = numbers(&broker.came(0).await);
    delivered.extend(sent);
    let missing: Vec<_> = accepted.difference(&delivered).collect();
    assert!(missing.is_empty(), "seed {seed}: {missing:?} were accepted");

    // The broker has seen the end of these, so it will not send them again.
    let mut awaited: BTreeSet<usize> = (0..acknowledged).collect();
    for number in dealt_with.lock().unwrap().iter() {
        awaited.remove(number);
    }
    let mut incoming = life.incoming.take().unwrap();
    while !awaited.is_empty() {
        let next = incoming.recv();
        let message = tokio::time::timeout(std::time::Duration::from_secs(20), next).await;
        let message = message.unwrap_or_else(|_| panic!("seed {seed}: {awaited:?} are lost"));
        awaited.remove(&number(message.expect("it runs").payload()));
    }
    life.end().await;
}

#[tokio::test]
async fn what_is_durable_survives_a_power_cut_with_qos_1() {
    for seed in 0..CUTS {
        cut(seed, QoS::AtLeastOnce).await;
    }
}

#[tokio::test]
async fn what_is_durable_survives_a_power_cut_with_qos_2() {
    for seed in 0..CUTS {
        cut(seed, QoS::ExactlyOnce).await;
    }
}
