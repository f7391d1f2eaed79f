//! The one table of all configuration keys.
//!
//! From it come the typed [`Config`], parsing, the detection of unknown keys, what
//! `periwinkle check` prints, and the reference in `docs/guide/configuration.md`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::listener::Listener;
use super::mqtt::{
    Alpn, Broker, BrokerProfile, ClientId, MqttSchedule, MqttVersion, Overflow, Password, Topic,
    TopicFilter, UserName,
};
use super::route::Route;
use super::setting::{Raw, Setting, maybe, parse_within, show_bounds};
use super::table::Field;
use super::types::{
    BucketName, BypassEntry, Bytes, Credentials, DeviceId, DeviceName, Endpoint, Expiry, HostName,
    LogFormat, LogLevel, ProxyAddress, Region, TableName, UploadChecksum,
};
use super::watch::Watch;
use crate::limits;
use crate::mqtt::codec::QoS;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// One key as the table describes it.
pub(super) struct Key {
    /// `section.key`.
    pub(super) path: &'static str,
    /// What a value is, with an example, for people.
    pub(super) kind: &'static str,
    /// The tables that a value may be, by their fields.
    pub(super) tables: &'static [&'static [Field]],
    /// The default as a TOML value; `None` when the key has none.
    pub(super) default: fn() -> Option<String>,
    /// Smallest and largest value as TOML values.
    pub(super) bounds: fn() -> Option<(String, String)>,
    /// Whether a value can be used; the error is a phrase for people.
    pub(super) check: fn(&Raw, &Path) -> Result<(), String>,
    /// What the key does.
    pub(super) doc: &'static str,
}

/// One section: the keys under one `[heading]`.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// The feature that must be compiled in.
    pub(super) feature: Option<&'static str>,
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

impl Key {
    /// The part after the section.
    pub(super) fn name(&self) -> &'static str {
        self.path
            .split_once('.')
            .expect("the table macro writes `section.key`")
            .1
    }
}

/// The key with this path, and its section.
pub(super) fn find(path: &str) -> Option<(&'static Section, &'static Key)> {
    let (section, _) = path.split_once('.')?;
    let section = SECTIONS.iter().find(|known| known.name == section)?;
    let key = section.keys.iter().find(|key| key.path == path)?;
    Some((section, key))
}

/// Where the winning values are looked up while a [`Config`] is filled.
pub(super) trait Winners {
    /// The winning value of a key, and the directory its relative paths start from.
    fn winner(&self, path: &str) -> Option<(&Raw, &Path)>;
}

fn take<T: Setting>(
    winners: &dyn Winners,
    path: &str,
    default: T,
    range: Option<RangeInclusive<T>>,
) -> T {
    winners
        .winner(path)
        .and_then(|(raw, base)| parse_within(raw, base, range.as_ref()).ok())
        .unwrap_or(default)
}

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident $(if $feature:literal)? {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $Type:ty = $default:expr $(, in $range:expr)?;
            )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $Type, )+
            }
        )+

        /// The whole configuration, every value checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
        }

        impl Config {
            /// Takes each winning value, or the default where there is none.
            ///
            /// A winner that does not parse was reported by its key's `check` before.
            pub(super) fn fill(winners: &dyn Winners) -> Config {
                Config {
                    $( $section: $Section {
                        $( $key: take::<$Type>(
                            winners,
                            concat!(stringify!($section), ".", stringify!($key)),
                            $default,
                            maybe!($($range)?),
                        ), )+
                    }, )+
                }
            }

            /// Every key with its value as a TOML value (which is JSON, too); `None` when unset.
            pub(super) fn show(&self) -> Vec<(&'static str, Option<String>)> {
                vec![$( $(
                    (
                        concat!(stringify!($section), ".", stringify!($key)),
                        self.$section.$key.show(),
                    ),
                )+ )+]
            }
        }

        /// All sections and keys.
        pub(super) static SECTIONS: &[Section] = &[$(
            Section {
                name: stringify!($section),
                feature: maybe!($($feature)?),
                doc: concat!($($section_doc),+),
                keys: &[$(
                    Key {
                        path: concat!(stringify!($section), ".", stringify!($key)),
                        kind: <$Type as Setting>::KIND,
                        tables: <$Type as Setting>::TABLES,
                        default: || {
                            let default: $Type = $default;
                            default.show()
                        },
                        bounds: || {
                            let range: Option<RangeInclusive<$Type>> = maybe!($($range)?);
                            show_bounds(range.as_ref())
                        },
                        check: |raw, base| {
                            let range: Option<RangeInclusive<$Type>> = maybe!($($range)?);
                            parse_within::<$Type>(raw, base, range.as_ref()).map(drop)
                        },
                        doc: concat!($($doc),+),
                    },
                )+],
            },
        )+];
    };
}

settings! {
    /// Who this device is.
    device: Device {
        /// The id of the device, which is its thing name in AWS IoT and part of its keys in the
        /// database. Unset: made from the machine's id.
        id: Option<DeviceId> = None;
        /// The name that people see. Unset: the host's name.
        name: Option<DeviceName> = None;
    }

    /// The process.
    runtime: Runtime {
        /// Threads that run the agent's tasks.
        threads: u32 = 1, in 1..=limits::RUNTIME_THREADS_MAX;
        /// The directory of everything the agent keeps.
        state: PathBuf = PathBuf::from("./state");
        /// A file that another program touches each time it has set the system's clock or found it
        /// right, from GPS or a good clock of the device: then the time is trusted.
        time_mark: Option<PathBuf> = None;
        /// How long an orderly stop may take before what still runs is abandoned.
        stop_timeout: Duration = limits::RUNTIME_STOP_TIMEOUT, in SECOND..=5 * MINUTE;
    }

    /// What the agent says about itself, on standard error.
    log: Log {
        /// The least severe line that is written.
        level: LogLevel = LogLevel::Info;
        /// Lines for people or JSON objects for machines.
        format: LogFormat = LogFormat::Text;
    }

    /// The web server with console and REST interface.
    web: Web if "web" {
        /// Where to listen. Until the owner is set up only loopback addresses are served. An
        /// empty list leaves only the control socket.
        listen: Vec<Listener> = vec![Listener::loopback(8080)];
        /// The file with the certificate chain (PEM) for `https://` listeners.
        tls_certificate: Option<PathBuf> = None;
        /// The file with the private key (PEM) of the certificate.
        tls_key: Option<PathBuf> = None;
        /// Allow logins over plain `http://` from other machines: passwords and sessions can be
        /// read on the way.
        insecure_login: bool = false;
        /// Names under which browsers may reach the agent, beside `localhost` and the addresses
        /// of its listeners.
        hosts: Vec<HostName> = Vec::new();
        /// Connections that may be open at the same time.
        connections_max: u32 = limits::WEB_CONNECTIONS_MAX, in 1..=100_000;
        /// Connections that may be open at the same time from one client address.
        connections_per_address_max: u32 = limits::WEB_CONNECTIONS_PER_ADDRESS_MAX, in 1..=100_000;
        /// The largest request line with header fields.
        header_bytes_max: Bytes = Bytes(limits::WEB_HEADER_BYTES_MAX), in Bytes(KIB)..=Bytes(MIB);
        /// The largest request body of the REST interface.
        body_bytes_max: Bytes = Bytes(limits::WEB_BODY_BYTES_MAX), in Bytes(KIB)..=Bytes(GIB);
        /// The largest request body of uploads and of the routes of the maker's own program, which
        /// may stream it.
        upload_bytes_max: Bytes = Bytes(limits::WEB_UPLOAD_BYTES_MAX),
            in Bytes(KIB)..=Bytes(1024 * GIB);
        /// How long a request's header may take to arrive.
        header_timeout: Duration = limits::WEB_HEADER_TIMEOUT, in 100 * MILLISECOND..=5 * MINUTE;
        /// How long a connection may do nothing.
        idle_timeout: Expiry = Expiry::After(limits::WEB_IDLE_TIMEOUT),
            in Expiry::After(SECOND)..=Expiry::Never;
        /// How long a handler may take before it begins to answer.
        request_timeout: Expiry = Expiry::After(limits::WEB_REQUEST_TIMEOUT),
            in Expiry::After(SECOND)..=Expiry::Never;
        /// How long a login lasts without being used.
        session_idle: Expiry = Expiry::After(limits::WEB_SESSION_IDLE),
            in Expiry::After(MINUTE)..=Expiry::Never;
        /// How long a login lasts at most.
        session_life: Expiry = Expiry::After(limits::WEB_SESSION_LIFE),
            in Expiry::After(MINUTE)..=Expiry::Never;
        /// Memory for hashing one password (argon2id): more makes guessing dearer.
        password_memory: Bytes = Bytes(limits::WEB_PASSWORD_MEMORY_BYTES),
            in Bytes(MIB)..=Bytes(GIB);
    }

    /// The socket over which commands speak to the running agent.
    control: Control if "web" {
        /// The path of the socket, at most 107 bytes. Unset: `control.sock` in the state
        /// directory.
        socket: Option<PathBuf> = None;
    }

    /// The embedded database.
    db: Db {
        /// The longest time a relaxed write may wait before it is flushed to the disk.
        flush: Duration = Duration::from_millis(limits::DB_FLUSH_INTERVAL_MILLIS), in 10 * MILLISECOND..=HOUR;
        /// The longest time a lazy write may wait before it is flushed to the disk. Each flush wears the
        /// flash by two blocks or more, however little there is to write.
        lazy_flush: Duration = limits::DB_LAZY_INTERVAL, in SECOND..=DAY;
        /// Memory for values, so that reads do not wait for the disk.
        cache: Bytes = Bytes(limits::DB_CACHE_BYTES as u64), in Bytes(64 * KIB)..=Bytes(64 * GIB);
        /// A schema (OneTable, JSON or JSON5) to use in place of the built-in one.
        schema: Option<PathBuf> = None;
        /// The most rows that may wait for the cloud. Unset: no bound but the disk's.
        queue_rows_max: Option<u32> = None;
        /// The most bytes of rows that may wait for the cloud. Unset: no bound but the disk's.
        queue_bytes_max: Option<Bytes> = None;
    }

    /// The device's own measurements.
    metrics: Metrics if "metrics" {
        /// Measure the device.
        enable: bool = true;
        /// The time between two samples, which are kept in memory.
        interval: Duration = SECOND, in 100 * MILLISECOND..=HOUR;
        /// The time that one row in the database sums up.
        row: Duration = MINUTE, in SECOND..=DAY;
        /// How long rows are kept.
        keep: Expiry = Expiry::After(Duration::from_secs(30 * 24 * 3600)),
            in Expiry::After(HOUR)..=Expiry::Never;
        /// A path on the file system whose space is measured.
        disk: PathBuf = PathBuf::from("/");
    }

    /// The MQTT client.
    mqtt: Mqtt if "mqtt" {
        /// Connect to a broker. Needs `url`.
        enable: bool = false;
        /// The broker: `mqtt://`, `mqtts://`, `ws://` or `wss://`, host, and port if it is not the
        /// usual one.
        url: Option<Broker> = None;
        /// What this device is called there. Unset: the id of the device.
        client_id: Option<ClientId> = None;
        /// The version of the protocol.
        version: MqttVersion = MqttVersion::V5;
        /// Forget at the broker what was before each connection.
        clean_start: bool = false;
        /// How long the broker remembers the session while there is no connection. Version 5 only.
        session_expiry: Expiry = Expiry::After(DAY), in Expiry::After(Duration::ZERO)..=Expiry::Never;
        /// The longest time without a packet to the broker; 0 is none.
        keep_alive: Duration = limits::MQTT_KEEP_ALIVE, in Duration::ZERO..=18 * HOUR;
        /// The user at the broker.
        user: Option<UserName> = None;
        /// The password at the broker. Better: `password_file`.
        password: Option<Password> = None;
        /// The file with the password at the broker.
        password_file: Option<PathBuf> = None;
        /// The file with the authorities to trust (PEM). Unset: Amazon's, and the web's if they are
        /// compiled in.
        ca: Option<PathBuf> = None;
        /// The file with our certificate chain (PEM). Needs `key`.
        certificate: Option<PathBuf> = None;
        /// The file with the private key (PEM) of the certificate.
        key: Option<PathBuf> = None;
        /// What is spoken under TLS: `x-amzn-mqtt-ca` on port 443 of AWS IoT.
        alpn: Vec<Alpn> = Vec::new();
        /// The proxy before the broker. Its address may hold a login: `http://name:password@...`.
        proxy: Option<ProxyAddress> = None;
        /// A file with the name and the password for the proxy, as `name:password`.
        proxy_login_file: Option<PathBuf> = None;
        /// Sign the address of a `wss://` connection for AWS, anew for each attempt. Needs
        /// `region`, and the credentials of `[sync]`.
        sign: bool = false;
        /// The region of AWS IoT to sign for.
        region: Option<Region> = None;
        /// What kind of broker it is: what `aws-iot` does not take is refused here, before the
        /// broker drops the connection.
        broker: BrokerProfile = BrokerProfile::Generic;
        /// Where the broker publishes `will_payload` when the connection ends badly.
        will_topic: Option<Topic> = None;
        /// What it publishes there.
        will_payload: Option<UserName> = None;
        /// How hard.
        will_qos: QoS = QoS::AtMostOnce;
        /// Whether the broker keeps it.
        will_retain: bool = false;
        /// How long the broker waits for the connection to come back. Version 5 only.
        will_delay: Duration = Duration::ZERO, in Duration::ZERO..=30 * DAY;
        /// Messages with QoS 1 and 2 on their way to the broker at once. Unset: 1000, or as many as the
        /// broker allows; with 3.1.1, where it cannot say, 20.
        in_flight_max: Option<u32> = None, in Some(1)..=Some(65_535);
        /// The same from the broker to here. Version 5 only.
        receive_max: u32 = limits::MQTT_RECEIVE_MESSAGES_MAX as u32, in 1..=65_535;
        /// The longest packet that is taken.
        packet_bytes_max: Bytes = Bytes(limits::MQTT_PACKET_BYTES_MAX as u64),
            in Bytes(KIB)..=Bytes(limits::MQTT_REMAINING_BYTES_MAX as u64);
        /// Messages that may be queued.
        queue_rows_max: u32 = limits::MQTT_OUTBOX_ROWS_MAX as u32, in 1..=100_000_000;
        /// Their bytes in memory.
        queue_bytes_max: Bytes = Bytes(limits::MQTT_OUTBOX_BYTES_MAX as u64),
            in Bytes(64 * KIB)..=Bytes(64 * GIB);
        /// The age at which a queued message is dropped.
        queue_age_max: Expiry = Expiry::Never, in Expiry::After(SECOND)..=Expiry::Never;
        /// What happens to a message for which there is no room: it is refused, or pushes out older
        /// ones of its class or below, durable ones only if it is durable, too.
        overflow: Overflow = Overflow::Refuse;
        /// How late an acknowledgement may be before a message is written to flash; a power cut
        /// costs no more than that.
        spill_delay: Duration = limits::MQTT_SPILL_DELAY, in 100 * MILLISECOND..=DAY;
        /// Messages to topics that match are written to flash before they are accepted.
        durable: Vec<TopicFilter> = Vec::new();
        /// When the connection stands whether it is needed or not: `anytime`, `workhours`,
        /// `night`, or five fields of cron. Outside it is made on demand. A window opens up to a
        /// minute later than it says, at most a tenth of it: each device at a time of its own.
        schedule: MqttSchedule = MqttSchedule::anytime();
        /// How long a connection that was made on demand stays without use.
        idle: Duration = MINUTE, in SECOND..=DAY;
        /// The longest pause between two attempts.
        pause_max: Duration = limits::MQTT_RECONNECT_PAUSE_MAX, in SECOND..=DAY;
        /// Time for the way to the broker: name, TCP, proxy, TLS, WebSocket.
        connect_timeout: Duration = limits::MQTT_CONNECT_WAIT_MAX, in SECOND..=10 * MINUTE;
        /// Where answers to questions come. Unset: `replies/` and the client id, and with 3.1.1
        /// `replies`.
        reply_topic: Option<Topic> = None;
        /// Rules that carry messages into the database and changes of the database out.
        route: Vec<Route> = Vec::new();
    }

    /// The HTTP client of the agent and of the maker's own program.
    fetch: Fetch if "fetch" {
        /// The proxy before all servers. Its address may hold a login: `http://name:password@...`.
        /// The machine itself is always reached directly.
        proxy: Option<ProxyAddress> = None;
        /// A file with the name and the password for the proxy, as `name:password`.
        proxy_login_file: Option<PathBuf> = None;
        /// What is reached without the proxy: hosts with all below them, addresses, networks, `*`
        /// for all; with a port, that port only.
        no_proxy: Vec<BypassEntry> = Vec::new();
        /// Files with certificates (PEM) of authorities to believe, beside those of the web. AWS's
        /// endpoints are believed with Amazon's own authorities only.
        ca: Vec<PathBuf> = Vec::new();
        /// The file with the certificate chain (PEM) that is shown to servers that ask for one.
        certificate: Option<PathBuf> = None;
        /// The file with the private key (PEM) of the certificate.
        key: Option<PathBuf> = None;
        /// How long each step of making a connection may take: name, TCP, proxy, TLS.
        connect_timeout: Duration = limits::DIAL_CONNECT_MAX, in 100 * MILLISECOND..=5 * MINUTE;
        /// How long a server may take to begin its answer.
        first_byte_timeout: Duration = limits::FETCH_FIRST_BYTE_MAX, in 100 * MILLISECOND..=DAY;
        /// How long a transfer may stand still, either way.
        idle_timeout: Duration = limits::FETCH_BETWEEN_BYTES_MAX, in 100 * MILLISECOND..=DAY;
        /// Redirects that are followed.
        redirects_max: u32 = limits::FETCH_REDIRECTS_MAX, in 0..=50;
        /// How often a request is sent again, where that can do no harm.
        retries_max: u32 = limits::FETCH_RETRIES_MAX, in 0..=20;
        /// The region of signatures for addresses that name none. Unset: that of `sync`.
        region: Option<Region> = None;
    }

    /// Replication with DynamoDB.
    sync: Sync if "sync" {
        /// Replicate. Needs `table` and `region`.
        enable: bool = false;
        /// The name of the table.
        table: Option<TableName> = None;
        /// The region of the table.
        region: Option<Region> = None;
        /// A URL to use in place of the region's own, for emulators and private endpoints.
        /// Plain `http://` only to loopback addresses.
        endpoint: Option<Endpoint> = None;
        /// Allow an `endpoint` with plain `http://` on another machine: data can be read and
        /// changed on the way.
        insecure_endpoint: bool = false;
        /// Where the credentials come from: the variables `AWS_ACCESS_KEY_ID`,
        /// `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or the file `credentials_file`.
        credentials: Credentials = Credentials::Environment;
        /// The file with the credentials when `credentials = "file"`.
        credentials_file: Option<PathBuf> = None;
        /// The time between two looks for changes made in the cloud.
        interval: Duration = 2 * SECOND, in 100 * MILLISECOND..=DAY;
        /// How long a local change may wait for others of the same row before it is sent.
        delay: Duration = 200 * MILLISECOND, in Duration::ZERO..=HOUR;
        /// Requests that may run at the same time.
        in_flight_max: u32 = limits::SYNC_IN_FLIGHT_MAX, in 1..=256;
    }

    /// Uploads to S3, with the credentials of `[sync]`.
    upload: Upload if "upload" {
        /// Upload. Needs `bucket` and `region`.
        enable: bool = false;
        /// The bucket.
        bucket: Option<BucketName> = None;
        /// The region of the bucket.
        region: Option<Region> = None;
        /// A URL to use in place of the region's own, for emulators and private endpoints.
        /// Plain `http://` only to loopback addresses.
        endpoint: Option<Endpoint> = None;
        /// Allow an `endpoint` with plain `http://` on another machine: data can be read on the
        /// way. It cannot be changed: every piece is signed.
        insecure_endpoint: bool = false;
        /// Files to upload, one table for each pattern.
        watch: Vec<Watch> = Vec::new();
        /// The time between two looks for such files.
        interval: Duration = 10 * SECOND, in 100 * MILLISECOND..=DAY;
        /// The length of a part; what is longer is uploaded in parts of this length, and of more
        /// where S3 would not take so many.
        part_bytes: Bytes = Bytes(limits::UPLOAD_PART_BYTES), in Bytes(5 * MIB)..=Bytes(5 * GIB);
        /// Files and parts that may be on their way at the same time.
        parallel: u32 = limits::UPLOAD_PARALLEL_PARTS_MAX,
            in 1..=limits::UPLOAD_PARALLEL_PARTS_MAX;
        /// The checksum that S3 compares with what it received.
        checksum: UploadChecksum = UploadChecksum::Crc64Nvme;
        /// The most bytes that leave in a second. Unset: as fast as the link is.
        rate_max: Option<Bytes> = None,
            in Some(Bytes(limits::UPLOAD_RATE_BYTES_MIN))..=Some(Bytes(1024 * GIB));
        /// Uploads that may wait. Further ones are refused, and files that are watched for stay
        /// where they are.
        queue_rows_max: u32 = limits::UPLOAD_QUEUE_ROWS_MAX, in 1..=100_000;
        /// Bytes of the copies that are kept for uploads that wait. Files that are uploaded from
        /// where they are do not count.
        queue_bytes_max: Bytes = Bytes(limits::UPLOAD_QUEUE_BYTES_MAX),
            in Bytes(MIB)..=Bytes(64 * 1024 * GIB);
        /// The age at which an upload that still waits is dropped, and counted.
        queue_age_max: Expiry = Expiry::Never, in Expiry::After(MINUTE)..=Expiry::Never;
        /// How long an upload that has ended is remembered.
        keep: Expiry = Expiry::After(7 * DAY), in Expiry::After(MINUTE)..=Expiry::Never;
        /// The directory of the copies. Unset: `uploads` in the state directory. In memory
        /// (`/run`) it spares the flash, and what waits is lost with the power.
        spool: Option<PathBuf> = None;
        /// The age at which what S3 has of an upload that nobody goes on with is removed there.
        orphan_age: Expiry = Expiry::After(7 * DAY), in Expiry::After(HOUR)..=Expiry::Never;
    }
}

impl Config {
    /// The path of the control socket: as configured, or `control.sock` in the state directory.
    pub fn control_socket(&self) -> PathBuf {
        match &self.control.socket {
            Some(path) => path.clone(),
            None => self.runtime.state.join("control.sock"),
        }
    }

    /// The directory of copies that wait to be uploaded.
    pub fn upload_spool(&self) -> PathBuf {
        match &self.upload.spool {
            Some(path) => path.clone(),
            None => self.runtime.state.join("uploads"),
        }
    }
}

impl Default for Config {
    /// What an empty configuration means when every feature is compiled in.
    fn default() -> Config {
        struct Nothing;
        impl Winners for Nothing {
            fn winner(&self, _: &str) -> Option<(&Raw, &Path)> {
                None
            }
        }
        Config::fill(&Nothing)
    }
}
