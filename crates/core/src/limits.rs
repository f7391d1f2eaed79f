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
