//! TLS, WebSockets and both.

use periwinkle::mqtt::{ConnectionState, Mqtt, Options, QoS};

use super::broker::{Mosquitto, Setup};
use super::certificates::Certificates;
use super::{connected, in_time, next, options};

fn secured(certificates: &Certificates, more: &str, scheme: &'static str) -> Mosquitto {
    let path = |name: &str| certificates.path(name).display().to_string();
    let listener = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\n{more}",
        path("ca.pem"),
        path("server.pem"),
        path("server.key")
    );
    Mosquitto::new(Setup {
        listener,
        scheme,
        ..Setup::default()
    })
}

fn trusting(broker: &Mosquitto, certificates: &Certificates) -> Options {
    let mut options = options(broker, "ours");
    options.tls.ca = vec![certificates.path("ca.pem")];
    options
}

/// A message to itself, large enough for several records and frames.
async fn check_exchange(options: Options) {
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
async fn refusal(options: Options) -> String {
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
    let certificates = Certificates::make();
    let broker = secured(&certificates, "", "mqtts");
    check_exchange(trusting(&broker, &certificates)).await;
    let mut distrusting = options(&broker, "ours");
    distrusting.tls.ca = vec![certificates.path("other-ca.pem")];
    let why = refusal(distrusting).await;
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_asks_for_a_certificate_takes_ours_and_no_stranger() {
    let certificates = Certificates::make();
    let broker = secured(&certificates, "require_certificate true\n", "mqtts");
    let mut known = trusting(&broker, &certificates);
    known.tls.identity = Some(certificates.identity("client"));
    check_exchange(known).await;
    refusal(trusting(&broker, &certificates)).await;
    let mut stranger = trusting(&broker, &certificates);
    stranger.tls.identity = Some(certificates.identity("stranger"));
    refusal(stranger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_over_websockets() {
    let broker = Mosquitto::new(Setup {
        listener: "protocol websockets\n".to_owned(),
        scheme: "ws",
        ..Setup::default()
    });
    check_exchange(options(&broker, "ours")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_over_secure_websockets_with_a_certificate() {
    let certificates = Certificates::make();
    let more = "protocol websockets\nrequire_certificate true\n";
    let broker = secured(&certificates, more, "wss");
    let mut known = trusting(&broker, &certificates);
    known.tls.identity = Some(certificates.identity("client"));
    check_exchange(known).await;
    refusal(trusting(&broker, &certificates)).await;
}
