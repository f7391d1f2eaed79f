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
/// `web.upload_bytes_max`: body of one request to the routes of the maker's own program.
pub const WEB_UPLOAD_BYTES_MAX: u64 = 1_000_000_000;
/// `web.header_timeout`: from the first byte of a request to the end of its header.
pub const WEB_HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// `web.idle_timeout`: a connection between two requests, or without progress within one.
pub const WEB_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// `web.request_timeout`: how long a handler may take before it begins to answer.
pub const WEB_REQUEST_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// `web.session_idle`: a login that is not used.
pub const WEB_SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// `web.session_life`: a login, used or not.
pub const WEB_SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// `web.password_memory`: memory that hashing one password takes.
pub const WEB_PASSWORD_MEMORY_BYTES: u64 = 8 * 1024 * 1024;
/// `sync.in_flight_max`: requests to the cloud that run at the same time.
pub const SYNC_IN_FLIGHT_MAX: u32 = 8;

// Services and their supervision.

/// The shortest pause before a failed service is started again; they grow, with chance in them.
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
/// The same, of one user: each tab of a browser that shows the console is one.
pub const EVENT_LISTENERS_PER_USER_MAX: usize = 16;

// Device metrics.

/// The shortest time between two samples; below it, measuring becomes the load it measures.
pub const METRICS_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Samples kept in memory: 15 minutes at the default interval.
pub const METRICS_RING_SAMPLES_MAX: usize = 900;
/// Samples that wait for a slow subscriber before it misses the oldest.
pub const METRICS_SUBSCRIBER_SAMPLES_MAX: usize = 16;
/// Processor cores measured one by one; the total always covers all of them.
pub const METRICS_CORES_MAX: usize = 64;
/// Network interfaces measured; further ones are not looked at.
pub const METRICS_INTERFACES_MAX: usize = 32;
/// Names of interfaces and disks whose kind is remembered; beyond it, all are looked up anew.
pub const METRICS_NAMES_MAX: usize = 128;
/// Temperature sensors read.
pub const METRICS_SENSORS_MAX: usize = 32;
/// Readings between two looks for temperature sensors that came or went.
pub const METRICS_SENSOR_SCAN_READINGS: u32 = 60;
/// Bytes taken from one file of `/proc` or `/sys`; whole lines beyond are not looked at.
pub const METRICS_FILE_BYTES_MAX: usize = 64 * 1024;
// Schemas and items

/// Length of the text of a schema.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of the text of a schema: models, fields and nested fields.
pub const SCHEMA_DEPTH_MAX: usize = 40;
/// Models in a schema.
pub const SCHEMA_MODELS_MAX: usize = 500;
/// Fields in a model, or in one nested object.
pub const SCHEMA_FIELDS_MAX: usize = 500;
/// Entries of the list `migrations` of a schema.
pub const SCHEMA_MIGRATIONS_MAX: usize = 200;
/// Indexes of a table beside the primary one. A row can have an entry in each of them and in two of
/// the database's own, within [`DB_INDEX_ENTRIES_MAX`].
pub const SCHEMA_INDEXES_MAX: usize = 60;
/// Local indexes of a table: DynamoDB's own bound.
pub const SCHEMA_LOCAL_INDEXES_MAX: usize = 5;
/// Letters of a generated uid.
pub const UID_LETTERS_MAX: usize = 64;
/// Size of an item (DynamoDB).
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Size of an item of a synced model: leaves room for metadata and foreign attributes.
pub const ITEM_SYNCED_BYTES_MAX: usize = 350 * 1024;
/// Length of a partition key (DynamoDB).
pub const KEY_HASH_BYTES_MAX: usize = 2048;
/// Length of a sort key (DynamoDB).
pub const KEY_SORT_BYTES_MAX: usize = 1024;
// Replication

/// Writes on their way to the table at once.
pub const SYNC_LANES_MAX: usize = 8;
/// Fields of an item that one write compares; an expression of DynamoDB has 4 KB and 300 operators.
pub const SYNC_COMPARED_FIELDS_MAX: usize = 90;
/// Time between two passes over the device's own partitions.
pub const SYNC_POLL_MS: u64 = 5_000;
/// An answer that takes longer counts as lost.
pub const SYNC_REQUEST_MS: u64 = 10_000;
/// First wait after a failure; it doubles with each one that follows.
pub const SYNC_BACKOFF_MIN_MS: u64 = 250;
/// Longest wait after a failure.
pub const SYNC_BACKOFF_MAX_MS: u64 = 60_000;
/// Wait before the next try when only a person or a configuration can help.
pub const SYNC_WAITING_MS: u64 = 15_000;
/// Writes refused in a row for want of rights that are set aside one by one; after them all wait.
pub const SYNC_DENIED_WRITES_MAX: usize = 8;
/// Conflicts in a row before an item is parked.
pub const SYNC_ROUNDS_MAX: u8 = 5;
/// How long a delete waits for late copies of earlier writes: longer than any signature is valid.
pub const SYNC_GRAVE_MS: u64 = 20 * 60 * 1000;
/// Time between two looks at the graves.
pub const SYNC_GRAVE_SWEEP_MS: u64 = 60_000;
/// Rows that the machine takes from the database at once.
pub const SYNC_BATCH_ROWS_MAX: usize = 64;
/// Reads of single items on their way at once.
pub const SYNC_CONFIRMS_MAX: usize = 4;
/// Parked items that status lists.
pub const SYNC_PARKED_ROWS_SHOWN_MAX: usize = 20;
/// Starts whose epoch request was never answered and that are remembered.
pub const SYNC_EPOCHS_SENT_MAX: usize = 32;
/// Age at which an epoch is replaced: a table restored to a younger moment shows nothing in it.
pub const SYNC_EPOCH_REFRESH_MS: u64 = 60 * 60 * 1000;
/// Another life of this database seen twice within this time pauses the upload.
pub const SYNC_TWIN_WINDOW_MS: u64 = 60 * 60 * 1000;
// Database engine (periwinkle-db, engine/).

/// Bytes of one log segment, header included; reserved on disk before it is used.
pub const DB_SEGMENT_BYTES: u64 = 4 << 20;
/// The smallest segment that is reserved when the disk is nearly full. Half of it is left on the
/// disk for the small files of others.
pub const DB_SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Bytes of one transaction as it lies in the log; a larger one is refused.
pub const DB_TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// Bytes of one key of the engine.
pub const DB_KEY_BYTES_MAX: usize = 4096;
/// Entries of one row in all indexes of the engine.
pub const DB_INDEX_ENTRIES_MAX: usize = 64;
/// `db.cache`: bytes of values kept in memory beside the directory.
pub const DB_CACHE_BYTES: usize = 16_000_000;
/// Bytes that may wait for the disk; a commit beyond it waits until the disk has caught up.
pub const DB_UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// Bytes of relaxed commits that start a flush before its time.
pub const DB_FLUSH_BYTES: usize = 1 << 20;
/// `db.flush`: how long a relaxed commit may wait for its flush.
pub const DB_FLUSH_INTERVAL_MILLIS: u64 = 5_000;
/// Share of the database's log, in percent, that is still needed at least: below it the log is
/// compacted. More takes less room on the disk and writes more.
pub const DB_LIVE_PERCENT_MIN: u64 = 50;
/// Bytes that one step of the database's compaction reads and writes at most, unless one
/// transaction is larger.
pub const DB_COMPACT_STEP_BYTES: u64 = 256 << 10;
/// Bytes that the database's compaction may go ahead of those who wait for a sync, after many
/// writes in which it could not.
pub const DB_COMPACT_CREDIT_BYTES_MAX: u64 = 16 << 20;
/// `db.lazy_flush`: how long a lazy commit may wait for its flush. A flush dirties a block of data
/// and one of the file's times, 8 KB: with one each minute an idle device would write 12 MB a day.
pub const DB_LAZY_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// How long an immediate commit may wait for its flush while nobody asks its ticket. One that is
/// waited for is flushed at once.
pub const DB_SYNC_GRACE: Duration = Duration::from_millis(1);
/// Bytes of values that one read of a scan fetches at once, unless one value is larger.
pub const DB_READ_BYTES_MAX: usize = 256 << 10;
/// Bytes between two values that a scan reads along rather than read twice: copying them costs less
/// than a call, even where no disk has to be asked.
pub const DB_READ_GAP_BYTES_MAX: usize = 4 << 10;
/// Bytes of a value that a scan of the database copies; a larger one is shared with the cache.
pub const DB_ROW_COPIED_BYTES_MAX: usize = 1 << 10;
/// Index entries from which on an opening of the database merges them on a thread of their own, and
/// waits for the disk on another.
pub const DB_LOAD_BESIDE_ENTRIES_MIN: usize = 10_000;
/// Bytes of sealed segments from which on an opening of the database reads their key files on a
/// thread of their own.
pub const DB_LOAD_AHEAD_BYTES_MIN: u64 = 8 << 20;
/// What the database's upkeep, compaction and the making of key files, takes of memory beside its
/// rows and its cache, with segments and transactions of the usual size, and what the allocator
/// keeps of that.
pub const DB_UPKEEP_BYTES_MAX: u64 = 5 << 20;
/// Key files that a close makes before the log is closed; the next opening reads the segments that
/// are left, and makes theirs.
pub const DB_KEY_FILES_AT_CLOSE_MAX: usize = 4;
/// What a write that leads out of a full disk may bring more than it takes away, for each row: the
/// mark of an attempt and the note of a removal.
pub const DB_LEAD_OUT_BYTES_MAX: u64 = 128;
/// How many cut tails are kept aside; older ones are removed.
pub const DB_CUT_TAILS_KEPT_MAX: usize = 8;
/// Values that one call of the database may read from the disk on a thread that should not wait,
/// such as that of an async runtime. A scan that misses more goes to another thread.
pub const DB_SCAN_INLINE_MISSES_MAX: usize = 64;

// Database model layer (periwinkle-db, model/).

/// Rows of a page of `find` when the caller names no limit.
pub const FIND_ROWS_DEFAULT: usize = 100;
/// Rows of a page of `find`.
pub const FIND_ROWS_MAX: usize = 10_000;
/// Rows that one call of `find` looks at; what is left is behind its token.
pub const FIND_ROWS_SEEN_MAX: usize = 20_000;
/// Bytes of the items of a page of `find`: the item that reaches it is the last one of the page.
pub const FIND_PAGE_BYTES_MAX: usize = 1 << 20;
/// Rows that one call of the model layer reads from the engine at once.
pub const DB_SCAN_ROWS: usize = 256;
/// Bytes of the values of these rows; the row that reaches it is the last one of the step.
pub const DB_SCAN_BYTES_MAX: usize = 1 << 20;
/// Rows of this many bytes together end a step in which items are brought into the form of a newer
/// schema.
pub const MIGRATION_FRAME_BYTES_MAX: usize = 1024 * 1024;
/// Changes that are kept for change streams; a stream that falls behind gets a gap.
pub const CHANGES_KEPT_MAX: usize = 4_096;
/// Bytes of the items of these changes.
pub const CHANGES_KEPT_BYTES_MAX: usize = 1 << 20;
/// Rows that one write drops to keep a model within its `rows_max`.
pub const DROPPED_ROWS_PER_WRITE_MAX: usize = 16;
/// Changes that a stream looks up in the rows when it goes on from before the last start.
pub const CHANGES_CAUGHT_UP_MAX: usize = 10_000;
/// Bytes of the rows of these changes.
pub const CHANGES_CAUGHT_UP_BYTES_MAX: usize = 4 << 20;
/// Writes of one transaction: all others wait for it.
pub const TRANSACTION_WRITES_MAX: usize = 1_000;
/// Items that one call reads by their keys.
pub const BATCH_GET_ITEMS_MAX: usize = 1_000;
/// Bytes of these items.
pub const BATCH_GET_BYTES_MAX: usize = 16 << 20;
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

// DynamoDB ("Quotas in Amazon DynamoDB"), checked before a request leaves

/// Size of an item, names included.
pub const DYNAMODB_ITEM_BYTES_MAX: usize = 400 * 1024;
/// Length of a partition key's value.
pub const DYNAMODB_PARTITION_KEY_BYTES_MAX: usize = 2048;
/// Length of a sort key's value.
pub const DYNAMODB_SORT_KEY_BYTES_MAX: usize = 1024;
/// Length of the text of one expression.
pub const DYNAMODB_EXPRESSION_BYTES_MAX: usize = 4096;
/// Operators and functions in one expression.
pub const DYNAMODB_EXPRESSION_OPERATORS_MAX: usize = 300;
/// Values in one `IN`.
pub const DYNAMODB_IN_VALUES_MAX: usize = 100;
/// Size of all values that the expressions of one request name.
pub const DYNAMODB_EXPRESSION_VALUES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Keys in one BatchGetItem.
pub const DYNAMODB_BATCH_GET_KEYS_MAX: usize = 100;
/// Writes in one BatchWriteItem.
pub const DYNAMODB_BATCH_WRITES_MAX: usize = 25;
/// Statements in one BatchExecuteStatement.
pub const DYNAMODB_BATCH_STATEMENTS_MAX: usize = 25;
/// Length of one PartiQL statement.
pub const DYNAMODB_STATEMENT_BYTES_MAX: usize = 8192;
/// Actions in one TransactWriteItems.
pub const DYNAMODB_TRANSACTION_ACTIONS_MAX: usize = 100;
/// Size of all items of one TransactWriteItems.
pub const DYNAMODB_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Length of a ClientRequestToken.
pub const DYNAMODB_CLIENT_TOKEN_BYTES_MAX: usize = 36;
/// Length of a request's body.
pub const DYNAMODB_REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
// Outgoing connections: each phase by itself, unless its caller says otherwise.

/// From a name to its addresses.
pub const DIAL_RESOLVE_MAX: Duration = Duration::from_secs(10);
/// From the addresses to a TCP connection.
pub const DIAL_CONNECT_MAX: Duration = Duration::from_secs(10);
/// From a connection with a proxy to one through it.
pub const DIAL_PROXY_MAX: Duration = Duration::from_secs(10);
/// A TLS handshake.
pub const DIAL_TLS_MAX: Duration = Duration::from_secs(10);
/// How long the first family of addresses is tried alone (RFC 8305, section 5).
pub const DIAL_FAMILY_DELAY: Duration = Duration::from_millis(250);
/// Addresses of one name that are tried.
pub const DIAL_ADDRESSES_MAX: usize = 16;
/// Length of a proxy's answer to CONNECT.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Length of a message over WebSocket that is received, in frames or in one, unless its caller says
/// otherwise.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Length of the pieces in which the messages of a WebSocket come whose bounds mean nothing.
pub const WEBSOCKET_PIECE_BYTES_MAX: usize = 16 * 1024;
/// What may wait to be written to a WebSocket.
pub const WEBSOCKET_WRITE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// The silence after which the other end of a WebSocket is asked for a sign of life, unless
/// configured otherwise; it has as long to give one.
pub const WEBSOCKET_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the answer to a goodbye over a WebSocket may take to leave.
pub const WEBSOCKET_GOODBYE_MAX: Duration = Duration::from_secs(2);

// HTTP client.

/// Fields of one answer.
pub const FETCH_ANSWER_HEADERS_MAX: usize = 100;
/// Length of an answer's head.
pub const FETCH_ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;
/// From the end of a request to the beginning of its answer, unless configured otherwise.
pub const FETCH_FIRST_BYTE_MAX: Duration = Duration::from_secs(60);
/// Between two pieces of a body, either way, unless configured otherwise.
pub const FETCH_BETWEEN_BYTES_MAX: Duration = Duration::from_secs(30);
/// How long a body waits for the server to ask for it, once it was asked whether it will.
pub const FETCH_CONTINUE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a connection may wait to write, whoever still waits for it: a slow line needs minutes to
/// make room in what the system holds for it.
pub const FETCH_WRITE_STALL_MAX: Duration = Duration::from_secs(600);
/// The shortest body in memory whose way out is watched; a shorter one leaves at once.
pub const FETCH_WATCHED_BYTES_MIN: usize = 16 * 1024;
/// How often it is looked at how much of a body has left.
pub const FETCH_LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// What is read of the system's table of connections to find one: 10,000 of them and more.
pub const SOCKET_TABLE_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// The longest piece of a body that is read from a file and sent at once.
pub const FETCH_PIECE_BYTES: usize = 64 * 1024;
/// What the system holds of a connection beyond what the network has taken.
pub const FETCH_UNSENT_BYTES_MAX: u32 = 64 * 1024;
/// Pieces of a file on their way whose memory is used again.
pub const FETCH_PIECES_LENT_MAX: usize = 4;
/// The longest file without a place on a disk that is read to learn its length.
pub const FETCH_MADE_UP_BYTES_MAX: u64 = 64 * 1024;
/// The longest piece of an answer that is read from a connection at once. Half as much costs more
/// calls, twice as much no longer fits the cache of a processor: both are slower.
pub const FETCH_READ_BYTES_MAX: usize = 128 * 1024;
/// What is decoded of a body at once.
pub const FETCH_DECODE_BYTES: usize = 16 * 1024;
/// The rest of an answer that is read so that its connection can be used again.
pub const FETCH_DRAIN_BYTES_MAX: usize = 64 * 1024;
/// How long such a rest is read.
pub const FETCH_DRAIN_MAX: Duration = Duration::from_secs(1);
/// The beginning of an answer that goes into an error.
pub const FETCH_EXCERPT_BYTES: usize = 500;
/// How long an event stream may be silent before it is opened again; servers send comments.
pub const FETCH_EVENT_SILENCE_MAX: Duration = Duration::from_secs(300);
/// Connections that bring no more of a file, or begin it anew, before its download fails.
/// Connections in a row that come no further with a file, before its download fails.
pub const FETCH_DOWNLOAD_ATTEMPTS_MAX: u32 = 8;
/// Retries of a call of AWS that was throttled.
pub const AWS_RETRIES_MAX: u32 = 5;
/// How often one request is sent again because the nonce of its answer had ended: with many at a time
/// the others may have used it up, or overtaken this one.
pub const FETCH_STALE_NONCES_MAX: u32 = 8;
/// Servers whose questions for a password are remembered.
pub const FETCH_LOGINS_MAX: usize = 64;
/// An answer that is read into memory and whose request names no deadline of its own.
pub const FETCH_TOTAL_MAX: Duration = Duration::from_secs(60);
/// How long an idle connection is kept for the next request.
pub const FETCH_POOL_IDLE_MAX: Duration = Duration::from_secs(30);
/// Idle connections kept for one host.
pub const FETCH_POOL_CONNECTIONS_PER_HOST_MAX: usize = 16;
/// Idle connections kept for all hosts together.
pub const FETCH_POOL_CONNECTIONS_MAX: usize = 64;
/// An answer that is read into memory: DynamoDB's largest is 16 MB of items, as JSON.
pub const FETCH_ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

// Passwords.

/// Passes over the memory for one hashing of a password (argon2id's time cost).
pub const PASSWORD_PASSES: u32 = 2;
/// Password checks that may wait for their turn.
pub const PASSWORDS_WAITING_MAX: usize = 16;

/// Connections to the control socket at one time.
pub const CONTROL_CONNECTIONS_MAX: usize = 32;

// REST API.

/// Rows of one page that names no limit.
pub const API_PAGE_ROWS: usize = 50;
/// Rows of one page at most.
pub const API_PAGE_ROWS_MAX: usize = 1000;
/// Lists that are in the making at one time, large answers on their way included.
pub const API_LISTS_MAX: usize = 8;
/// Those of one user.
pub const API_LISTS_PER_USER_MAX: usize = 4;
/// An answer of which nothing is taken for this long gives way to a list that waits.
pub const API_LIST_STALL_MAX: Duration = Duration::from_secs(5);
/// Such an answer leaves in pieces of so many bytes.
pub const API_LIST_PIECE_BYTES: usize = 64 * 1024;
/// A list whose answer has more bytes keeps its place until it is on its way as a whole.
pub const API_LIST_SMALL_BYTES_MAX: usize = 64 * 1024;
/// How long a list waits for its turn.
pub const API_LIST_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the database is looked at for a failure to recover from.
pub const DB_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a large model that is full is not searched for expired rows again.
pub const DB_EXPIRED_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How often expired rows are purged.
pub const DB_PURGE_INTERVAL: Duration = Duration::from_secs(600);

// The service of replication.

/// The longest time that the service may take for one turn.
pub const SYNC_SILENCE_MAX: Duration = Duration::from_secs(120);
/// How often listeners are told how replication goes while its state stays the same.
pub const SYNC_TELL_INTERVAL: Duration = Duration::from_millis(500);
/// The longest time between two readings before the service counts as stuck.
pub const METRICS_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often sessions whose time is over are looked for.
pub const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(60);

// Command line.

/// How long a command waits for the agent's answer; hashing a password takes seconds on a small
/// device.
pub const CONTROL_ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// The largest answer of the agent that a command reads at once.
pub const CONTROL_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of items that an import sends to the agent at once, unless one item is longer.
pub const IMPORT_REQUEST_BYTES: usize = 256 * 1024;
/// Faults of an import that are shown one by one; the others are counted.
pub const IMPORT_FAULTS_SHOWN_MAX: usize = 100;
/// Keys and unique values of a file that an import compares with each other: some 60 bytes of memory
/// each.
pub const IMPORT_MARKS_MAX: usize = 200_000;
/// Threads for what cannot wait without holding a thread up: password hashing, name resolution.
pub const BLOCKING_THREADS_MAX: usize = 4;
/// How long threads may take to end after the agent has stopped.
pub const THREADS_END_WAIT_MAX: Duration = Duration::from_secs(1);

// Expressions (text and operators: DynamoDB's bounds above).

/// Nesting of parentheses, functions and `NOT` in an expression, so that none can exhaust the stack.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

// Words.

/// Fields that an error names one by one when none is near the one that was given.
pub const FIELDS_TOLD_MAX: usize = 12;

// Export, import and backup of the database.

/// The longest JSON text of one item of an import: the largest item, each character escaped.
pub const IMPORT_ITEM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows that an export reads at once.
pub const EXPORT_SCAN_ROWS: usize = 32;
/// Bytes of a file that a backup reads at once.
pub const BACKUP_PIECE_BYTES: usize = 64 * 1024;
/// The largest file of a backup: segments are far smaller.
pub const BACKUP_FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
// MQTT: the codec.

/// Length of a received packet, fixed header included, unless configured otherwise. It is checked
/// when the first bytes are there, before room is made for the rest.
pub const MQTT_PACKET_BYTES_MAX: usize = 256 * 1024;
/// What the protocol can say at most about the length behind the fixed header.
pub const MQTT_REMAINING_BYTES_MAX: usize = 268_435_455;
/// Length of a string or of binary data, as its two bytes of length can say.
pub const MQTT_STRING_BYTES_MAX: usize = 65_535;
/// Length of all properties of one packet.
pub const MQTT_PROPERTIES_BYTES_MAX: usize = 64 * 1024;
/// User properties in one packet.
pub const MQTT_USER_PROPERTIES_MAX: usize = 256;
/// Topic filters in one SUBSCRIBE or UNSUBSCRIBE, and codes in their answers.
pub const MQTT_FILTERS_MAX: usize = 1024;
/// Levels of a topic or of a filter, so that matching has a bound.
pub const MQTT_TOPIC_LEVELS_MAX: usize = 128;
/// Room that a connection always keeps for reading.
pub const MQTT_READ_BYTES: usize = 16 * 1024;
// AWS: signatures.

/// Signing keys that are kept, one for each service and region in use.
pub const SIGNERS_MAX: usize = 16;
/// Data in one chunk of a body that is signed chunk by chunk, but for the last (S3: at least 8 KiB).
pub const SIGNED_CHUNK_BYTES: usize = 64 * 1024;
/// The smallest such chunk that S3 takes.
pub const SIGNED_CHUNK_BYTES_MIN: usize = 8 * 1024;
/// A body of unknown hash that is read into memory in order to be hashed, where a service wants that.
pub const SIGNED_BODY_HELD_BYTES_MAX: u64 = 1024 * 1024;
/// How long a presigned address may be used (SigV4: seven days).
pub const PRESIGNED_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far AWS lets a signature's time be from its own; what is nearer needs no correction.
pub const SIGNING_CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

// Clocks.

/// What the system's clock may move against the one that nobody can set, in all, before it counts
/// as set anew; also what stamps of files may be off.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(1);
/// How long after the last reading of a clock that was set then a mark of its new time is believed;
/// also how wrong the time can be when somebody set it once more within that.
pub const CLOCK_STEP_GAP_MAX: Duration = Duration::from_secs(10);
/// What a time daemon may think that the system's clock is off, at most, for it to be believed.
pub const CLOCK_ERROR_MAX: Duration = Duration::from_secs(5);
/// How often the clocks are read, at least, and marks looked for.
pub const CLOCK_LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How often time daemons are asked: more rarely than what NTP daemons take for too often, which is
/// every 8 seconds.
pub const CLOCK_ASK_INTERVAL: Duration = Duration::from_secs(10);
/// How long the answer of one is waited for.
pub const CLOCK_ANSWER_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often the time is kept for the next start, while it is trusted.
pub const CLOCK_KEEP_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Length of the file in which it is kept: an ISO text and the end of its line.
pub const CLOCK_KEPT_BYTES_MAX: u64 = 25;

// HTTP client: addresses and policies.

/// The longest address that is sent or followed.
pub const URL_BYTES_MAX: usize = 8 * 1024;

// AWS: answers and calls.

/// Length of an XML answer: a page of S3 holds 1,000 keys of 1,024 bytes, encoded.
pub const XML_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Nesting of an XML answer.
pub const XML_DEPTH_MAX: usize = 32;
/// Elements of an XML answer.
pub const XML_ELEMENTS_MAX: usize = 100_000;

// S3 ("Amazon S3 multipart upload limits"), checked before a request leaves.

/// Length of an object's key.
pub const S3_KEY_BYTES_MAX: usize = 1024;
/// Length of a bucket's name.
pub const S3_BUCKET_BYTES_MAX: usize = 63;
/// Names and values of an object's metadata together.
pub const S3_METADATA_BYTES_MAX: usize = 2048;
/// An object that is written in one request.
pub const S3_PUT_BYTES_MAX: u64 = 5 << 30;
/// An object in parts: as many as there may be, as large as they may be.
pub const S3_OBJECT_BYTES_MAX: u64 = 10_000 * (5 << 30);
/// A part, but for the last one, which may be smaller.
pub const S3_PART_BYTES_MIN: u64 = 5 << 20;
/// A part.
pub const S3_PART_BYTES_MAX: u64 = 5 << 30;
/// Parts of an object.
pub const S3_PARTS_MAX: u32 = 10_000;
/// The length from which an object is uploaded in parts, and of a part as long as few are enough.
pub const UPLOAD_PART_BYTES: u64 = 8 << 20;
/// Parts of one upload on their way at once.
pub const UPLOAD_PARALLEL_PARTS_MAX: u32 = 4;
/// Bytes of parts on their way at once, unless one part alone is larger.
pub const UPLOAD_FLIGHT_BYTES_MAX: u64 = 32 << 20;
/// Failures in a row after which an upload pauses and leaves its place to others.
pub const UPLOAD_FAILURES_MAX: u32 = 12;
/// Failures since an upload began to be sent at which the log tells of them.
pub const UPLOAD_FAILURES_TOLD: u32 = 3;
/// How often an upload that S3 lost is begun anew.
pub const UPLOAD_RESTARTS_MAX: u32 = 3;
/// Lists of parts in a row that cannot be read, after which an upload is begun anew.
pub const UPLOAD_LISTS_UNREADABLE_MAX: u32 = 4;
/// Limit of the first pause after a failure; it doubles with each one that follows.
pub const UPLOAD_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Limit of the longest pause after a failure.
pub const UPLOAD_BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Failures within this time shrink the number of parts on their way once.
pub const UPLOAD_THROTTLE_COOLDOWN: Duration = Duration::from_secs(2);

// Uploads: the queue and the files that are watched for.

/// Length of a pattern of paths.
pub const UPLOAD_PATTERN_BYTES_MAX: usize = 1024;
/// `[[upload.watch]]`: patterns of one configuration.
pub const UPLOAD_WATCHES_MAX: usize = 32;
/// Entries of folders that one look at one pattern reads; later looks go on behind them.
pub const UPLOAD_LOOK_ENTRIES_MAX: usize = 20_000;
/// Folders one below the other that a look enters.
pub const UPLOAD_LOOK_DEPTH_MAX: usize = 16;
/// Files that one look puts into the queue.
pub const UPLOAD_LOOK_TAKES_MAX: usize = 256;
/// `upload.queue_rows_max`: uploads that wait.
pub const UPLOAD_QUEUE_ROWS_MAX: u32 = 10_000;
/// `upload.queue_bytes_max`: copies that are kept for uploads that wait.
pub const UPLOAD_QUEUE_BYTES_MAX: u64 = 1_000_000_000;
/// Uploads that have ended and are remembered; the oldest give way.
pub const UPLOAD_ENDED_ROWS_MAX: usize = 1000;
/// The highest priority; the lowest is 0.
pub const UPLOAD_PRIORITY_STEPS_MAX: u32 = 9;
/// The priority of who asks for none.
pub const UPLOAD_PRIORITY_STEPS: u32 = 5;
/// The first pause of an upload that failed too often in a row; it doubles with each one.
pub const UPLOAD_PAUSE_MIN: Duration = Duration::from_secs(10);
/// The longest one.
pub const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// The pause of an upload that S3 refused: somebody has to set something right first.
pub const UPLOAD_REFUSED_PAUSE: Duration = Duration::from_secs(15 * 60);
/// How often it is looked whether credentials that are missing have come; the look asks no server.
pub const UPLOAD_CREDENTIALS_INTERVAL: Duration = Duration::from_secs(2);
/// What is read of a file at once while it is sent.
pub const UPLOAD_PIECE_BYTES: usize = 64 * 1024;
/// Time for the answer to a request without a body, and between two pieces of one with a body.
pub const UPLOAD_ANSWER_WAIT_MAX: Duration = Duration::from_secs(60);
/// `upload.rate_max`: bytes a second.
pub const UPLOAD_RATE_BYTES_MIN: u64 = 1024;
/// What leaves at once at the lowest rates.
pub const UPLOAD_SLICE_BYTES_MIN: u64 = 256;
/// A file whose length is not known before it is read, such as of `/proc`.
pub const UPLOAD_MADE_BYTES_MAX: u64 = 1024 * 1024;
/// Time for S3 to make an object of its parts ("several minutes", CompleteMultipartUpload).
pub const UPLOAD_COMPLETE_WAIT_MAX: Duration = Duration::from_secs(600);
/// Length of an answer that is read as XML.
pub const UPLOAD_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is read of a body that is not taken, so that its sender gets to know why.
pub const UPLOAD_DISCARD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long that may last.
pub const UPLOAD_DISCARD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often what has ended long ago and what was left behind at S3 is cleared away.
pub const UPLOAD_CLEAR_INTERVAL: Duration = Duration::from_secs(3600);
/// The same where what is to be cleared is younger, and what could not be cleared.
pub const UPLOAD_CLEAR_INTERVAL_MIN: Duration = Duration::from_secs(60);
/// Uploads left behind that one clearing gives up.
pub const UPLOAD_ORPHANS_MAX: usize = 1000;
/// How often the service gives a sign of life, at least.
pub const UPLOAD_SILENCE_MAX: Duration = Duration::from_secs(120);

// STS ("AssumeRole" in the STS API reference), checked before a request leaves.

/// Length of a role's full name.
pub const STS_ARN_CHARS_MAX: usize = 2048;
/// Length of a session's name.
pub const STS_SESSION_NAME_CHARS_MAX: usize = 64;
/// Length of an external id.
pub const STS_EXTERNAL_ID_CHARS_MAX: usize = 1224;
/// Length of a policy of a session.
pub const STS_POLICY_CHARS_MAX: usize = 2048;
/// The shortest life of temporary keys.
pub const STS_LIFE_MIN: Duration = Duration::from_secs(900);
/// The longest life of temporary keys.
pub const STS_LIFE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Redirects followed in one exchange.
pub const FETCH_REDIRECTS_MAX: u32 = 10;
/// Retries of one exchange.
pub const FETCH_RETRIES_MAX: u32 = 3;
/// Limit of the pause before the first retry; it doubles with each one that follows.
pub const FETCH_BACKOFF_MIN: Duration = Duration::from_millis(250);
/// Limit of the longest pause before a retry.
pub const FETCH_BACKOFF_MAX: Duration = Duration::from_secs(20);
/// The longest pause that a server may ask for; beyond it, its answer is the result.
pub const FETCH_RETRY_AFTER_MAX: Duration = Duration::from_secs(120);
/// What retries may cost before successes refill the budget: ten of them.
pub const FETCH_RETRY_TOKENS: u32 = 100;
/// What one retry costs; a success gives one back.
pub const FETCH_RETRY_COST_TOKENS: u32 = 10;
/// Length of one `Set-Cookie` that is kept (RFC 6265, section 6.1).
pub const COOKIE_BYTES_MAX: usize = 4096;
/// Cookies of one host; the one unused for the longest time gives way.
pub const COOKIES_PER_HOST_MAX: usize = 50;
/// Cookies of a client.
pub const COOKIES_MAX: usize = 300;
/// Length of all challenges of one answer.
pub const CHALLENGE_BYTES_MAX: usize = 8 * 1024;
/// Parts of one form.
pub const FORM_PARTS_MAX: usize = 1000;
/// Encodings of one answer, one over the other.
pub const CODINGS_MAX: usize = 2;
/// How many times longer than what was received a decoded answer may be.
pub const EXPANSION_TIMES_MAX: u64 = 200;
/// What a decoded answer may be long before the bound above counts.
pub const EXPANSION_FREE_BYTES: u64 = 1024 * 1024;
/// Zeros behind the end of a gzip body that are passed over, as gzip(1) does.
pub const GZIP_PADDING_BYTES_MAX: u64 = 64 * 1024;
/// Length of one line of an event stream.
pub const EVENT_LINE_BYTES_MAX: usize = 64 * 1024;
/// Length of the data of one event of an event stream.
pub const EVENT_DATA_BYTES_MAX: usize = 256 * 1024;
/// How long to wait before an event stream is opened again, unless the server says.
pub const EVENT_RETRY: Duration = Duration::from_secs(3);
/// The shortest such wait that a server may ask for.
pub const EVENT_RETRY_MIN: Duration = Duration::from_millis(100);
/// The longest such wait that a server may ask for.
pub const EVENT_RETRY_MAX: Duration = Duration::from_secs(300);

// The command `fetch`.

/// Length of a file whose text becomes a value of the body.
pub const FETCH_ITEM_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of a body is kept to be laid out on a terminal; a longer one is shown as it comes.
pub const FETCH_SHOWN_BYTES_MAX: usize = 1024 * 1024;
/// Requests of one measurement.
pub const FETCH_BENCH_REQUESTS_MAX: u32 = 10_000_000;
/// Requests of a measurement that are on their way at a time.
pub const FETCH_BENCH_CLIENTS_MAX: u32 = 1000;

// MQTT: what waits to be sent.

/// Messages that wait or are on their way, unless configured otherwise.
pub const MQTT_OUTBOX_ROWS_MAX: usize = 200_000;
/// Their bytes in memory, with what each needs besides its content, unless configured otherwise.
pub const MQTT_OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is counted for a message besides topic, properties and payload.
pub const MQTT_OUTBOX_ROW_BYTES: usize = 256;
/// One of so many messages is taken from the backlog while newer ones wait too.
pub const MQTT_BACKLOG_SHARE_MESSAGES: u32 = 4;
/// Messages whose packet ids are written to flash together before they leave.
pub const MQTT_MARKS_AHEAD_MAX: usize = 64;
/// Pieces of memory of messages that are gone, kept for those that come.
pub const MQTT_POOL_PIECES_MAX: usize = 1024;
/// The largest of them.
pub const MQTT_POOL_PIECE_BYTES_MAX: usize = 512;
/// The longest time between two looks for messages that have become too old.
pub const MQTT_AGE_LOOK_INTERVAL: Duration = Duration::from_secs(60);

// MQTT: the session.

/// PUBLISH packets with QoS 1 and 2 on their way to the broker, unless it allows fewer.
pub const MQTT_IN_FLIGHT_MESSAGES_MAX: u16 = 1000;
/// The same with 3.1.1, where the broker cannot say how many it takes: mosquitto closes the
/// connection when it gets more with QoS 2, and its own tools send as many.
pub const MQTT_IN_FLIGHT_OF_3_1_1_MESSAGES_MAX: u16 = 20;
/// The same from the broker to us, which we tell it in version 5.
pub const MQTT_RECEIVE_MESSAGES_MAX: u16 = 1000;
/// So many more than twice that are taken unacknowledged from a broker that does not keep to it.
pub const MQTT_RECEIVE_MORE_MESSAGES: usize = 100;
/// How soon after a message a connection has to end to be held against it.
pub const MQTT_SUDDEN_END_MAX: Duration = Duration::from_secs(5);
/// Connections that end so with the same message before messages are tried one by one.
pub const MQTT_SUDDEN_ENDS_MAX: u32 = 2;
/// How long a connection has to stand before a message is tried on it, at least.
pub const MQTT_TRIAL_REST: Duration = Duration::from_secs(2);
/// And how many times as long as it may stand after the message to be held against that.
pub const MQTT_TRIAL_REST_TIMES: u32 = 10;
/// Connections in a row that end with one message alone before it is given up.
pub const MQTT_TRIALS_MAX: u32 = 4;
/// The most that takes when no message has been acknowledged since the last one was given up.
pub const MQTT_TRIALS_LATER_MAX: u32 = 32;
/// Messages that are tried one by one before many are sent again.
pub const MQTT_TRIED_ALONE_MESSAGES_MAX: usize = 32;
/// What may lie in the buffer to the socket before nothing more is taken from the outbox.
pub const MQTT_WRITE_BYTES: usize = 64 * 1024;
/// What may lie there before nothing more is read.
pub const MQTT_WRITE_BYTES_MAX: usize = 1024 * 1024;
/// Topic aliases that we use at most, either way.
pub const MQTT_TOPIC_ALIASES_MAX: u16 = 32;
/// Time for the broker's answer to CONNECT.
pub const MQTT_CONNACK_WAIT_MAX: Duration = Duration::from_secs(15);
/// Time in which something must be heard after a PINGREQ.
pub const MQTT_PING_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time in which a broker that is alive must acknowledge something of what is on its way.
pub const MQTT_STALL_WAIT_MAX: Duration = Duration::from_secs(60);
/// The slowest link over which a message is waited for: a long one takes its time before anything
/// behind it is answered.
pub const MQTT_LINK_BYTES_PER_S_MIN: u64 = 1000;
/// How much longer than over a fast link that is at most.
pub const MQTT_LINK_WAIT_MAX: Duration = Duration::from_secs(10 * 60);
/// The longest time without a packet to the broker, unless configured otherwise.
pub const MQTT_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How late an acknowledgement may be before the message is written to flash.
pub const MQTT_SPILL_DELAY: Duration = Duration::from_secs(2);
/// The pause before a refused subscription is asked for again.
pub const MQTT_RESUBSCRIBE_PAUSE: Duration = Duration::from_secs(60);
/// The pause between two lines in the log about the same trouble with messages.
pub const MQTT_WARNING_PAUSE: Duration = Duration::from_secs(60);
/// Subscriptions of one session.
pub const MQTT_SUBSCRIPTIONS_MAX: usize = 1024;
/// Topic filters in one SUBSCRIBE that we send.
pub const MQTT_FILTERS_PER_SUBSCRIBE_MAX: usize = 64;
/// The pause before a write to flash that failed is tried again.
pub const MQTT_STORAGE_PAUSE: Duration = Duration::from_secs(5);

// MQTT: questions and answers.

/// Questions that wait for their answers.
pub const MQTT_REQUESTS_MAX: usize = 1024;
/// Length of an answer.
pub const MQTT_ANSWER_BYTES_MAX: usize = 256 * 1024;

// MQTT: when to connect.

/// The first pause before a new attempt.
pub const MQTT_RECONNECT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest one.
pub const MQTT_RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(120);
/// A connection that lasted so long ends the growth of the pauses.
pub const MQTT_STABLE_AFTER: Duration = Duration::from_secs(60);
/// The pause after another client took our client id.
pub const MQTT_TAKEOVER_PAUSE_MIN: Duration = Duration::from_secs(30);
/// The longest one, when that happens again and again.
pub const MQTT_TAKEOVER_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Losses of connections that lasted for less than this, shortly after each other, look like two
/// clients with one id even where the broker does not say so.
pub const MQTT_TAKEOVER_LIFE_MAX: Duration = Duration::from_secs(10);
/// How many of them.
pub const MQTT_TAKEOVER_LOSSES: u32 = 4;
/// Connections remembered for `status`.
pub const MQTT_HISTORY_ROWS_MAX: usize = 32;
/// The longest delay between two messages that throttling may reach.
pub const MQTT_THROTTLE_DELAY_MAX: Duration = Duration::from_secs(30);
/// Other servers that a broker may name at once.
pub const MQTT_SERVERS_MAX: usize = 4;
/// How much later than the schedule says a window may open, so that a fleet does not come at once.
pub const MQTT_SCHEDULE_SPREAD_MAX: Duration = Duration::from_secs(60);
/// And not later than after this part of the window.
pub const MQTT_SCHEDULE_SPREAD_PERCENT: u32 = 10;
/// When a schedule that does not turn within a year is looked at again.
pub const MQTT_SCHEDULE_AGAIN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// How far ahead the next opening of a schedule is looked for.
pub const SCHEDULE_LOOK_AHEAD_DAYS: i64 = 366;

// MQTT: the client in the agent.

/// Time for the way to the broker: name, TCP, proxy, TLS, WebSocket, unless configured otherwise.
pub const MQTT_CONNECT_WAIT_MAX: Duration = Duration::from_secs(30);
/// Messages that wait for a reader, unless it asks for another number.
pub const MQTT_READER_MESSAGES: usize = 1000;
/// Bytes that wait for a reader, unless it asks for another number.
pub const MQTT_READER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that wait for all readers that may lose messages; and as many more for all that say of each
/// message that they have dealt with it.
pub const MQTT_READERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long nothing is read from the broker for the sake of a reader whose buffer is full, before it
/// loses messages.
pub const MQTT_READER_PATIENCE: Duration = Duration::from_millis(50);
/// Turns of the connection task before others have theirs.
pub const MQTT_TURNS_MAX: usize = 16;
/// Bytes of messages that one commit to flash takes, unless one message is longer.
pub const MQTT_COMMIT_BYTES: usize = 256 * 1024;
/// Removals from flash that are not known to be durable, before one is waited for.
pub const MQTT_REMOVALS_UNSURE_MAX: usize = 1024;
/// Time that an orderly stop gives the broker for our farewell.
pub const MQTT_STOP_WAIT_MAX: Duration = Duration::from_secs(2);
/// So long before it is cut off, an orderly stop says what flash has not taken.
pub const MQTT_STOP_MARGIN: Duration = Duration::from_millis(100);
/// Messages that came for durable subscriptions and that nobody reads: the oldest go first.
pub const MQTT_UNCLAIMED_ROWS_MAX: usize = 10_000;
/// The same in bytes of filters, topics, properties and payloads.
pub const MQTT_UNCLAIMED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Questions that a responder works on at once.
pub const MQTT_ANSWERS_MAX: usize = 64;
/// How often the schedule of connections is looked at, for the wall clock may be set meanwhile.
pub const MQTT_SCHEDULE_LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// The retained messages of a subscription have all come when there was none for so long.
pub const MQTT_RETAINED_REST: Duration = Duration::from_secs(5);
/// Rules between messages and the database.
pub const MQTT_ROUTES_MAX: usize = 256;
/// Pauses before a message is tried again that could not become an item, for want of room.
pub const MQTT_ROUTE_PAUSE_MIN: Duration = Duration::from_millis(500);
/// The same, at most.
pub const MQTT_ROUTE_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Changes that rules take before they look what has become of the messages of others.
pub const MQTT_ROUTE_CHANGES_PER_TURN: usize = 64;
/// How often it is written how far the rules have come.
pub const MQTT_ROUTE_POSITION_INTERVAL: Duration = Duration::from_secs(1);
/// How long a question over the REST API may wait for its answer.
pub const MQTT_REST_QUESTION_WAIT_MAX: Duration = Duration::from_secs(600);
/// Payload of a message that is published by hand, and packets that are taken there: nobody has
/// given a command a bound of its own, and what people try is larger than what devices send.
pub const MQTT_BY_HAND_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lines of `periwinkle mqtt sub` that wait to be printed, beside the one that is.
pub const MQTT_PRINT_AHEAD_LINES: usize = 64;
/// Programs that listen to messages over the REST API at once.
pub const MQTT_LISTENERS_MAX: usize = 32;
/// How often such a listener is sent a sign of life.
pub const MQTT_LISTENER_PULSE: Duration = Duration::from_secs(15);
/// How long a signed address of a connection may be used; it is made right before.
pub const MQTT_SIGNED_ADDRESS_LIFE: Duration = Duration::from_secs(300);
