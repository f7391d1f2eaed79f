//! TLS, WebSockets and both.

use std::fs;
use std::path::PathBuf;

use periwinkle::mqtt::{ConnectionState, Mqtt, OfflineKind, OfflineReason, Options, QoS};

use super::broker::{Mosquitto, Setup};
use super::{connected, in_time, next, options};
use crate::certificates::Authority;

pub(super) fn secured(authority: &Authority, more: &str) -> Setup {
    let server = authority.server(&["localhost"]);
    let listener = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\n{more}",
        authority.certificate().display(),
        server.certificate.display(),
        server.key.display()
    );
    Setup {
        listener,
        scheme: "mqtts",
        ..Setup::default()
    }
}

pub(super) fn trusting(broker: &Mosquitto, authority: &Authority) -> Options {
    let mut options = options(broker, "ours");
    options.tls.ca = vec![authority.certificate()];
    options
}

pub(super) fn identity(authority: &Authority) -> (PathBuf, PathBuf) {
    let client = authority.client("pump-7");
    (client.certificate, client.key)
}

/// A message to itself, large enough for several records and frames.
pub(super) async fn check_exchange(options: Options) {
    let mqtt = connected(options).await;
    let mut echo = mqtt
        .subscribe("echo", QoS::ExactlyOnce)
        .await
        .expect("granted");
    for bytes in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        let payload: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
        let sent = mqtt.publish("echo", &payload).qos(QoS::ExactlyOnce).acked();
        in_time("an acknowledgement", sent)
            .await
            .expect("it is taken");
        assert_eq!(next(&mut echo).await.payload(), payload, "{bytes} bytes");
    }
}

/// Why there is no connection.
pub(super) async fn refusal(options: Options) -> OfflineReason {
    let mqtt = Mqtt::connect(options).expect("the options can be used");
    let mut connection = mqtt.connection();
    let told = |state: &ConnectionState| {
        assert!(!state.is_connected(), "it must not be taken");
        matches!(state, ConnectionState::Offline { why: Some(_) })
    };
    let state = in_time("a refusal", connection.wait_for(told))
        .await
        .expect("it runs");
    match &*state {
        ConnectionState::Offline { why: Some(why) } => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_certificate_that_we_trust_is_spoken_to() {
    let authority = Authority::new();
    let broker = Mosquitto::new(secured(&authority, ""));
    check_exchange(trusting(&broker, &authority)).await;
    let mut distrusting = options(&broker, "ours");
    let other = Authority::new();
    distrusting.tls.ca = vec![other.certificate()];
    let why = refusal(distrusting).await;
    assert_eq!(why.kind(), OfflineKind::Tls);
    assert!(why.to_string().contains("certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_asks_for_a_certificate_takes_ours_and_no_stranger() {
    let authority = Authority::new();
    let broker = Mosquitto::new(secured(&authority, "require_certificate true\n"));
    let mut known = trusting(&broker, &authority);
    known.tls.identity = Some(identity(&authority));
    check_exchange(known).await;
    refusal(trusting(&broker, &authority)).await;
    let other = Authority::new();
    let mut stranger = trusting(&broker, &authority);
    stranger.tls.identity = Some(identity(&other));
    refusal(stranger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_replaced_counts_from_the_next_attempt_on() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = Mosquitto::new(secured(&authority, "require_certificate true\n"));
    let folder = tempfile::tempdir().expect("a folder for the test");
    let ours = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let put = |(certificate, key): (PathBuf, PathBuf)| {
        fs::copy(key, &ours.1).expect("it is ours");
        fs::copy(certificate, &ours.0).expect("it is ours");
    };
    put(identity(&other));
    let mut options = trusting(&broker, &authority);
    options.tls.identity = Some(ours.clone());
    let mqtt = Mqtt::connect(options).expect("the options can be used");
    let mut connection = mqtt.connection();
    let is_refused =
        |state: &ConnectionState| matches!(state, ConnectionState::Offline { why: Some(_) });
    let refused = connection.wait_for(is_refused);
    drop(in_time("a refusal", refused).await.expect("it runs"));
    put(identity(&authority));
    in_time("a connection", mqtt.connected())
        .await
        .expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_over_websockets() {
    let broker = Mosquitto::new(Setup::default().websockets("ws"));
    check_exchange(options(&broker, "ours")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_over_secure_websockets_with_a_certificate() {
    let authority = Authority::new();
    let setup = secured(&authority, "require_certificate true\n");
    let broker = Mosquitto::new(setup.websockets("wss"));
    let mut known = trusting(&broker, &authority);
    known.tls.identity = Some(identity(&authority));
    check_exchange(known).await;
    refusal(trusting(&broker, &authority)).await;
}
