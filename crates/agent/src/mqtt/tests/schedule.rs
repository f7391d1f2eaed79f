//! Windows of time, with a clock that the test sets.

use std::path::Path;
use std::time::Duration;

use periwinkle_core::mqtt::codec::QoS;
use periwinkle_core::time::UnixMillis;

use super::{Broker, options};
use crate::mqtt::{ConnectionState, Mqtt, OfflineKind};
use crate::net::clock::{Clock, local_offset_s};
use crate::stop::stop;

/// Monday, 2026-11-23 00:00 UTC.
const MONDAY: i64 = 1_795_392_000_000;
const HOUR: i64 = 3_600_000;

/// When the clocks here show this time after Monday's first moment.
fn local(millis: i64) -> UnixMillis {
    let wall = UnixMillis(MONDAY + millis);
    UnixMillis(wall.0 - i64::from(local_offset_s(Some(wall))) * 1000)
}

#[tokio::test]
async fn a_connection_stands_within_its_window_and_outside_of_it_on_demand() {
    let broker = Broker::start().await;
    let clock = Clock::new(Path::new(""));
    let mut options = options(&broker);
    options.connection.schedule = "workhours".parse().unwrap();
    options.connection.spread = Duration::ZERO;
    options.connection.idle = Duration::from_millis(100);
    clock.confirm(local(7 * HOUR));
    let (mqtt, mut driver) = Mqtt::open(options, clock.clone(), None).unwrap();
    let (stopper, mut stopped) = stop();
    let running = tokio::spawn(async move { driver.run(&mut stopped).await });
    let mut connection = mqtt.connection();
    let is_outside = |state: &ConnectionState| match state {
        ConnectionState::Offline { why: Some(why) } => why.kind() == OfflineKind::Schedule,
        _ => false,
    };
    connection.wait_for(is_outside).await.unwrap();

    // On demand, until it is idle.
    mqtt.publish("a", "early")
        .qos(QoS::AtLeastOnce)
        .acked()
        .await
        .unwrap();
    connection.wait_for(is_outside).await.unwrap();

    // The window opens by itself; without use it would be idle at once, and it stands.
    clock.confirm(local(9 * HOUR - 50));
    mqtt.retry();
    connection
        .wait_for(ConnectionState::is_connected)
        .await
        .unwrap();
    connection.mark_unchanged();
    let closed = tokio::time::timeout(Duration::from_millis(300), connection.changed());
    assert!(closed.await.is_err(), "the window is open for eight hours");

    // And it closes.
    clock.confirm(local(17 * HOUR - 50));
    mqtt.retry();
    connection.wait_for(is_outside).await.unwrap();
    stopper.stop();
    running.await.unwrap();
}
