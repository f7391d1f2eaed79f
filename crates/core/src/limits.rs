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
/// Length of a partition key (DynamoDB).
pub const KEY_HASH_BYTES_MAX: usize = 2048;
/// Length of a sort key (DynamoDB).
pub const KEY_SORT_BYTES_MAX: usize = 1024;
