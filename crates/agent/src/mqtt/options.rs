//! What a client is made from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use periwinkle_core::fetch::proxy::Proxy;
use periwinkle_core::limits;
use periwinkle_core::mqtt::address::Address;
use periwinkle_core::mqtt::codec::Version;
use periwinkle_core::mqtt::outbox::Budget;
use periwinkle_core::mqtt::policy::ConnectionConfig;
use periwinkle_core::mqtt::session::Config;

use super::error::MqttError;

/// Everything that a client has to know.
///
/// ```
/// use periwinkle::mqtt::Options;
///
/// let mut options = Options::new("mqtts://broker.example", "pump-7").unwrap();
/// options.session.user_name = Some("pump-7".to_owned());
/// options.session.password = Some("secret".into());
/// options.tls.ca = vec!["ca.pem".into()];
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// The broker.
    pub address: Address,
    /// The session: version, client id, keep alive, will, user and password, bounds.
    pub session: Config,
    /// When to connect.
    pub connection: ConnectionConfig,
    /// How much may wait.
    pub budget: Budget,
    /// Whom to trust, and who we are.
    pub tls: TlsOptions,
    /// The proxy before the broker: `"socks5h://proxy".parse()`.
    pub proxy: Option<Proxy>,
    /// Time for the way to the broker: name, TCP, proxy, TLS, WebSocket.
    pub connect_wait: Duration,
    /// Where answers to questions come. Unset: `replies/CLIENT_ID`, and with 3.1.1 `replies`.
    pub reply_topic: Option<String>,
    /// Messages to topics that match one of these filters are durable.
    pub durable_topics: Vec<String>,
    /// Messages that wait for a reader, unless it asks for another number.
    pub buffer_messages: usize,
    /// The same in bytes.
    pub buffer_bytes: usize,
    /// The file with the password, read for each connection in place of that of the session.
    pub password_file: Option<PathBuf>,
    /// Makes the address anew for each attempt.
    pub presign: Option<Arc<dyn Presign>>,
    /// The enhanced authentication of version 5.
    pub authenticator: Option<Arc<dyn Authenticator>>,
}

/// TLS of the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Files with the authorities that are trusted (PEM). These and those of `identity` are read
    /// again for each attempt where they have changed. Empty: Amazon's, and the web's if they
    /// are compiled in.
    pub ca: Vec<PathBuf>,
    /// Files with our certificate chain and its private key (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// What is spoken: `x-amzn-mqtt-ca` on port 443 of AWS IoT. Empty: nothing is said.
    pub alpn: Vec<String>,
    /// The name that the broker's certificate has to have, if it is not that of the address.
    pub server_name: Option<String>,
}

/// Makes the address of a WebSocket connection, such as one that is signed for AWS and holds for
/// a short time only.
pub trait Presign: Send + Sync {
    /// The target of the connection that is about to be made to `address`: path and query.
    ///
    /// # Errors
    /// Why there is none now; a later attempt asks again.
    fn target(&self, address: &Address) -> Result<String, String>;
}

/// The enhanced authentication of version 5 (section 4.12).
pub trait Authenticator: Send + Sync {
    /// The name of the method, which does not change.
    fn method(&self) -> String;

    /// What a connection begins with.
    fn begin(&self) -> Vec<u8>;

    /// The answer to what the broker asks.
    ///
    /// # Errors
    /// Why there is none: the connection is closed.
    fn answer(&self, challenge: &[u8]) -> Result<Vec<u8>, String>;
}

impl Options {
    /// The defaults, with version 5, for this broker and this client id.
    ///
    /// # Errors
    /// It is no address of a broker.
    pub fn new(address: &str, client_id: &str) -> Result<Options, MqttError> {
        let address = address.parse();
        let address = address.map_err(|error: periwinkle_core::mqtt::address::AddressError| {
            MqttError::Options(error.to_string())
        })?;
        Ok(Options {
            address,
            session: Config::new(Version::V5, client_id),
            connection: ConnectionConfig::default(),
            budget: Budget::default(),
            tls: TlsOptions::default(),
            proxy: None,
            connect_wait: limits::MQTT_CONNECT_WAIT_MAX,
            reply_topic: None,
            durable_topics: Vec::new(),
            buffer_messages: limits::MQTT_READER_MESSAGES,
            buffer_bytes: limits::MQTT_READER_BYTES_MAX,
            password_file: None,
            presign: None,
            authenticator: None,
        })
    }

    /// Where answers come.
    pub(super) fn reply_topic(&self) -> String {
        match (&self.reply_topic, self.session.version) {
            (Some(topic), _) => topic.clone(),
            // The one who answers has to know it.
            (None, Version::V311) => "replies".to_owned(),
            (None, Version::V5) => format!("replies/{}", self.session.client_id),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address.to_string())
            .field("client_id", &self.session.client_id)
            .finish_non_exhaustive()
    }
}
