//! Every bound of the product, in one file, with its unit in its name.
//!
//! A bound that a configuration key may move is the default of that key.

// Values (DynamoDB's own bounds, and ours for what is read from outside)

/// Nesting of lists and maps inside one attribute (DynamoDB).
pub const VALUE_DEPTH_MAX: usize = 32;
/// Nesting of JSON text; AttributeValue JSON needs two levels for one of a value, plus envelope.
pub const JSON_DEPTH_MAX: usize = 80;
/// Length of a JSON text: an answer of DynamoDB holds 16 MB of items.
pub const JSON_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Nesting of the binary form, so that a damaged record cannot exhaust the stack.
pub const BINARY_DEPTH_MAX: usize = 80;

// Schemas and items

/// Length of the text of a schema.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of the text of a schema: models, fields and nested fields.
pub const SCHEMA_DEPTH_MAX: usize = 40;
/// Models in a schema.
pub const SCHEMA_MODELS_MAX: usize = 500;
/// Fields in a model, or in one nested object.
pub const SCHEMA_FIELDS_MAX: usize = 500;
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
pub const SYNC_PARKED_SHOWN_MAX: usize = 20;
/// Starts whose epoch request was never answered and that are remembered.
pub const SYNC_EPOCHS_SENT_MAX: usize = 32;
/// Another life of this database seen twice within this time pauses the upload.
pub const SYNC_TWIN_WINDOW_MS: u64 = 60 * 60 * 1000;
// Database engine (periwinkle-db, engine/).

/// Bytes of one log segment, header included; reserved on disk before it is used.
pub const DB_SEGMENT_BYTES: u64 = 4 << 20;
/// The smallest segment that is reserved when the disk is nearly full.
pub const DB_SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// Bytes of one transaction as it lies in the log; a larger one is refused.
pub const DB_TRANSACTION_BYTES_MAX: usize = 16 << 20;
/// Bytes of one key of the engine.
pub const DB_KEY_BYTES_MAX: usize = 4096;
/// Bytes of values kept in memory beside the directory.
pub const DB_CACHE_BYTES: usize = 16_000_000;
/// Bytes that may wait for the disk; a commit beyond it waits until the disk has caught up.
pub const DB_UNSYNCED_BYTES_MAX: usize = 8 << 20;
/// Bytes of relaxed commits that start a flush before its time.
pub const DB_FLUSH_BYTES: usize = 1 << 20;
/// How long a relaxed commit may wait for its flush.
pub const DB_FLUSH_INTERVAL_MILLIS: u64 = 5_000;
/// How many cut tails are kept aside; older ones are removed.
pub const DB_CUT_TAILS_KEPT_MAX: usize = 8;

// Database model layer (periwinkle-db, model/).

/// Rows of a page of `find` when the caller names no limit.
pub const FIND_ROWS_DEFAULT: usize = 100;
/// Rows of a page of `find`.
pub const FIND_ROWS_MAX: usize = 10_000;
/// Rows that one call of `find` looks at; what is left is behind its token.
pub const FIND_ROWS_SEEN_MAX: usize = 20_000;
/// Rows that one call of the model layer reads from the engine at once.
pub const DB_SCAN_ROWS: usize = 256;
/// Changes that are kept for change streams; a stream that falls behind gets a gap.
pub const CHANGES_KEPT_MAX: usize = 4_096;
/// Bytes of the items of these changes.
pub const CHANGES_KEPT_BYTES_MAX: usize = 1 << 20;
/// Rows that one write drops to keep a model within its `rows_max`.
pub const DROPPED_ROWS_PER_WRITE_MAX: usize = 16;
