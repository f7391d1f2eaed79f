//! Every bound of the product, in one file, with its unit in its name.
//!
//! A bound that a configuration key may move is the default of that key.

use std::time::Duration;

// Values (DynamoDB's own bounds, and ours for what is read from outside)

/// Nesting of lists and maps inside one attribute (DynamoDB).
pub const VALUE_DEPTH_MAX: usize = 32;
/// Nesting of JSON text; AttributeValue JSON needs two levels for one of a value, plus envelope.
pub const JSON_DEPTH_MAX: usize = 80;
/// Length of a JSON text: an answer of DynamoDB holds 16 MB of items.
pub const JSON_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Nesting of the binary form, so that a damaged record cannot exhaust the stack.
pub const BINARY_DEPTH_MAX: usize = 80;

// Configuration: bounds of the file and of single values.

/// The longest configuration file that is read.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;
/// How many errors of one configuration are shown before the rest is only counted.
pub const CONFIG_ERRORS_SHOWN_MAX: usize = 20;
/// The longest path of a Unix socket: `sun_path` has 108 bytes, the last one is the NUL.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;
/// The longest device id, which is also a thing name of AWS IoT (API reference, CreateThing).
pub const DEVICE_ID_BYTES_MAX: usize = 128;
/// The longest name of a device that people read.
pub const DEVICE_NAME_CHARS_MAX: usize = 128;
/// The longest host name (RFC 1035, section 2.3.4, without the root label).
pub const HOST_NAME_BYTES_MAX: usize = 253;

// Defaults of configuration keys that are bounds.

/// `runtime.threads`, at most.
pub const RUNTIME_THREADS_MAX: u32 = 64;
/// `runtime.stop_timeout`: how long an orderly stop may take.
pub const RUNTIME_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// `web.connections_max`: connections that are open at the same time.
pub const WEB_CONNECTIONS_MAX: u32 = 200;
/// `web.connections_per_address_max`: the same, from one client address.
pub const WEB_CONNECTIONS_PER_ADDRESS_MAX: u32 = 100;
/// `web.header_bytes_max`: request line and header fields of one request.
pub const WEB_HEADER_BYTES_MAX: u64 = 16 * 1024;
/// `web.body_bytes_max`: body of one request to the REST interface.
pub const WEB_BODY_BYTES_MAX: u64 = 1024 * 1024;
/// `web.header_timeout`: from the first byte of a request to the end of its header.
pub const WEB_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// `web.idle_timeout`: a connection between two requests, or without progress within one.
pub const WEB_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// `web.request_timeout`: one whole request that is not a stream.
pub const WEB_REQUEST_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// `web.session_idle`: a login that is not used.
pub const WEB_SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// `web.session_life`: a login, used or not.
pub const WEB_SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// `web.password_memory`: memory that hashing one password takes.
pub const WEB_PASSWORD_MEMORY_BYTES: u64 = 8 * 1024 * 1024;
/// `db.flush`: the longest time a relaxed write stays in memory only.
pub const DB_FLUSH: Duration = Duration::from_secs(5);
/// `db.cache`: values kept in memory.
pub const DB_CACHE_BYTES: u64 = 16 * 1_000_000;
/// `db.size_max`: the files of the database.
pub const DB_SIZE_BYTES_MAX: u64 = 1_000_000_000;
/// `metrics.rows_max`: aggregated rows that are kept, the oldest dropped first: 30 days of
/// minutes and a little more.
pub const METRICS_ROWS_MAX: u32 = 45_000;
/// `sync.in_flight_max`: requests to the cloud that run at the same time.
pub const SYNC_IN_FLIGHT_MAX: u32 = 8;
/// `sync.queue_rows_max`: changed rows that wait for the cloud.
pub const SYNC_QUEUE_ROWS_MAX: u32 = 100_000;
/// `sync.queue_bytes_max`: bytes of the changes that wait for the cloud.
pub const SYNC_QUEUE_BYTES_MAX: u64 = 64 * 1_000_000;

// Services and their supervision.

/// The pause before a failed service is started again for the first time.
pub const SERVICE_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// The longest such pause; also how long a service must run for its failures to be forgotten.
pub const SERVICE_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How long the start of one service may hold up the next.
pub const SERVICE_START_MAX: Duration = Duration::from_secs(5);

// Web server.

/// What a streamed answer holds for a slow client.
pub const STREAM_BUFFER_BYTES_MAX: usize = 32 * 1024;
/// Header fields of one request.
pub const HEADER_FIELDS_MAX: usize = 100;
/// Connections that the kernel holds before they are accepted.
pub const LISTEN_BACKLOG_MAX: i32 = 1024;
/// How long sent bytes may stay without an acknowledgement before a connection counts as dead.
pub const TCP_UNACKED_MAX: Duration = Duration::from_secs(60);
/// The pause of an accept loop that ran out of files or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(500);
/// How long telling a client that there is no place for it may take.
pub const REFUSAL_WRITE_MAX: Duration = Duration::from_secs(2);
/// Events that a live listener may fall behind before it misses some.
pub const EVENTS_BEHIND_MAX: usize = 256;
/// Live listeners at one time.
pub const EVENT_LISTENERS_MAX: usize = 32;

// Users, logins and sessions.

/// The longest name of a user.
pub const USER_NAME_BYTES_MAX: usize = 64;
/// The fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// The longest password; more would only make hashing dearer.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Wrong setup codes until the code is void.
pub const SETUP_ATTEMPTS_MAX: u8 = 10;
/// How long a setup code can be used.
pub const SETUP_LIFE: Duration = Duration::from_secs(3600);
/// Failed logins that cost no waiting.
pub const THROTTLE_FREE_FAILURES: u32 = 5;
/// The longest wait of a client address between two failed logins.
pub const THROTTLE_ADDRESS_WAIT_MAX: Duration = Duration::from_secs(300);
/// The longest wait that failed logins of others can make for a user.
pub const THROTTLE_USER_WAIT_MAX: Duration = Duration::from_secs(30);
/// The time without a failed login after which one is forgotten.
pub const THROTTLE_FORGET: Duration = Duration::from_secs(600);
/// Client addresses whose failed logins are counted.
pub const THROTTLE_ADDRESSES_MAX: usize = 1024;
/// Users whose failed logins are counted.
pub const THROTTLE_USERS_MAX: usize = 256;
/// Pairs of user and address that are remembered because the user logged in there.
pub const THROTTLE_FRIENDS_MAX: usize = 256;
/// Sessions of one user; the one unused for the longest time gives way.
pub const SESSIONS_PER_USER_MAX: usize = 16;
/// Sessions of all users together.
pub const SESSIONS_MAX: usize = 512;
/// The longest time that the use of a session is known only in memory.
pub const SESSION_REFRESH: Duration = Duration::from_secs(300);
