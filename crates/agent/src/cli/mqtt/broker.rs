//! From what was typed to a connection.

use periwinkle_core::limits::{MQTT_BY_HAND_BYTES_MAX, MQTT_IN_FLIGHT_OF_3_1_1_MESSAGES_MAX};
use periwinkle_core::mqtt::session::WillMessage;
use periwinkle_core::secret::Secret;
use tokio::sync::watch;

use super::args::{Broker, Url};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::mqtt::{ConnectionState, Mqtt, OfflineKind, OfflineReason, Options, Reason, Version};
use crate::net::entropy;
use crate::secret_file;

/// Connects, or says why that does not work. Later losses of the connection heal by themselves.
pub(super) async fn connect(options: Options) -> Result<Mqtt, Failure> {
    let address = options.address.to_string();
    let mqtt = Mqtt::connect(options)?;
    connected(&mqtt, &address).await?;
    Ok(mqtt)
}

/// Waits for the first connection, or for the reason why there is none.
pub(super) async fn connected(mqtt: &Mqtt, address: &str) -> Result<(), Failure> {
    let mut connection = mqtt.connection();
    let over = |state: &ConnectionState| {
        !matches!(
            state,
            ConnectionState::Connecting | ConnectionState::Offline { why: None }
        )
    };
    let state = connection.wait_for(over).await;
    let state = state.map_err(|_| Failure::internal("the client ended by itself"))?;
    match &*state {
        ConnectionState::Connected { .. } => Ok(()),
        ConnectionState::Offline { why: Some(why) } => Err(no_connection(address, why)),
        other => Err(Failure::internal(format!("the client is {other:?}"))),
    }
}

fn no_connection(address: &str, why: &OfflineReason) -> Failure {
    let is_refusal = match why.kind() {
        // It would take us, but not now, or not here.
        OfflineKind::Refused(reason) => !matches!(
            reason,
            Reason::ServerBusy
                | Reason::ServerUnavailable
                | Reason::UseAnotherServer
                | Reason::ServerMoved
        ),
        _ => false,
    };
    let words = output::plain(&why.to_string());
    match is_refusal {
        true => Failure::refused(format!("{address}: {words}"))
            .hint("check -u and -P, or --cert and --key, and what the broker allows this client"),
        false => {
            let failure = Failure::unreachable(format!("no connection to {address}: {words}"));
            match nobody_named_one(address, why.kind()) {
                true => failure.hint("name the broker with -h and -p, or with --url"),
                false => failure,
            }
        }
    }
}

/// Whether there is nothing where a broker is looked for that nobody named.
fn nobody_named_one(address: &str, kind: OfflineKind) -> bool {
    let is_default = ["mqtt://localhost", "mqtts://localhost"].contains(&address);
    is_default && matches!(kind, OfflineKind::Dns | OfflineKind::Unreachable)
}

/// Says goodbye to the broker, and waits for the end of it.
pub(super) async fn end(mqtt: Mqtt) {
    let mut connection = mqtt.connection();
    drop(mqtt);
    // A client that is gone already has ended as well.
    let _ = connection
        .wait_for(|state| *state == ConnectionState::Stopped)
        .await;
}

/// Tells on standard error when the connection goes and comes.
pub(super) async fn tell_losses(mut connection: watch::Receiver<ConnectionState>) {
    let mut is_up = true;
    while connection.changed().await.is_ok() {
        match &*connection.borrow_and_update() {
            ConnectionState::Offline { why: Some(why) } if is_up => {
                is_up = false;
                output::complain(&output::plain(&format!("the connection is lost: {why}")));
            }
            ConnectionState::Connected { .. } if !is_up => {
                is_up = true;
                output::complain("the connection is back");
            }
            _ => {}
        }
    }
}

/// What a client is made from.
pub(super) fn options(broker: &Broker) -> Result<Options, Failure> {
    let client_id = match &broker.id {
        Some(id) => id.clone(),
        None => random_id()?,
    };
    let mut options = Options::new(&address(broker), &client_id)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let session = &mut options.session;
    session.version = broker.version;
    session.keep_alive = broker.keepalive;
    session.packet_bytes_max = MQTT_BY_HAND_BYTES_MAX;
    session.clean_start = !broker.disable_clean_session;
    session.session_expiry = Some(broker.session_expiry_interval.unwrap_or_default());
    if broker.disable_clean_session && broker.session_expiry_interval.is_none() {
        // As mosquitto's clients ask for: for ever.
        session.session_expiry = None;
    }
    if broker.version == Version::V311 {
        session.in_flight_max = MQTT_IN_FLIGHT_OF_3_1_1_MESSAGES_MAX;
    }
    if let Some(count) = broker.max_inflight {
        session.in_flight_max = count;
    }
    let url = broker.url.as_ref();
    let of_url = |part: fn(&Url) -> &Option<String>| url.and_then(|url| part(url).clone());
    session.user_name = broker
        .username
        .clone()
        .or_else(|| of_url(|url| &url.username));
    let of_url = || of_url(|url| &url.password).map(Secret::from);
    session.password = password(broker)?.or_else(of_url);
    session.will = will(broker);
    options.password_file.clone_from(&broker.password_file);
    options.tls.ca.extend(broker.cafile.clone());
    options.tls.identity = broker.cert.clone().zip(broker.key.clone());
    options.tls.alpn.extend(broker.tls_alpn.clone());
    options.proxy.clone_from(&broker.proxy);
    let connection = &mut options.connection;
    for pause in [&mut connection.pause, &mut connection.takeover_pause] {
        *pause = (pause.0.min(broker.pause_max), broker.pause_max);
    }
    Ok(options)
}

fn address(broker: &Broker) -> String {
    if let Some(url) = &broker.url {
        return url.address.clone();
    }
    let is_secure = broker.cafile.is_some() || broker.cert.is_some() || broker.tls_alpn.is_some();
    let scheme = if is_secure { "mqtts" } else { "mqtt" };
    let host = broker.host.as_deref().unwrap_or("localhost");
    let host = match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let port = broker
        .port
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{host}{port}")
}

/// Short enough for every broker of 3.1.1, which need not take more than 23 bytes.
fn random_id() -> Result<String, Failure> {
    let bytes: [u8; 4] = entropy::bytes()
        .map_err(|error| Failure::internal(format!("the system gives no random bytes: {error}")))?;
    Ok(format!("periwinkle-{:08x}", u32::from_le_bytes(bytes)))
}

fn password(broker: &Broker) -> Result<Option<Secret>, Failure> {
    let Some(file) = &broker.password_file else {
        return Ok(broker.password.as_deref().map(Secret::from));
    };
    let password = secret_file::password(file);
    password
        .map(Some)
        .map_err(|error| Failure::input(error.to_string()))
}

fn will(broker: &Broker) -> Option<WillMessage> {
    let topic = broker.will_topic.clone()?;
    let payload = broker.will_payload.clone().unwrap_or_default();
    Some(WillMessage {
        topic,
        payload: payload.into_bytes(),
        qos: broker.will_qos,
        retain: broker.will_retain,
        properties: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_named_no_broker_and_finds_none_is_told_how_to_name_one() {
        let is_told = |address, kind| {
            let why = OfflineReason::new(kind, "why");
            format!("{:?}", no_connection(address, &why)).contains("--url")
        };
        let (default, named) = ("mqtt://localhost", "mqtt://localhost:1");
        assert!(is_told(default, OfflineKind::Unreachable));
        assert!(!is_told(named, OfflineKind::Unreachable));
        for kind in [OfflineKind::Tls, OfflineKind::Lost, OfflineKind::TimedOut] {
            assert!(!is_told(default, kind), "{kind:?}");
        }
    }
}
