//! The keys of the engine: one byte for the space, then what names the row in it.
//!
//! | space | then |
//! |---|---|
//! | `i` | an item: partition key, a zero byte, sort key |
//! | `m` | a note of the model layer: its name |
//! | `s` | a service row of replication: its name |
//! | `q` | a row of a shelf: the shelf's name, a zero byte, the row's own key |

use periwinkle_core::schema::{KeyRange, Model, PropertyError};
use periwinkle_core::sync::record::ItemKey;
use periwinkle_core::value::Map;

use crate::engine;

const ITEM: u8 = b'i';
const NOTE: u8 = b'm';
const SERVICE: u8 = b's';
const SHELF: u8 = b'q';

/// What stands between the parts of an item's key.
const BETWEEN: u8 = 0;

/// Room for most keys of items.
const NAMED_BYTES: usize = 96;

/// What a key of the engine names, for people.
pub fn describe_key(bytes: &[u8]) -> String {
    if let Some(key) = parse_item(bytes) {
        return format!("the item {key}");
    }
    match bytes.split_first() {
        Some((&NOTE, name)) => format!("the note {}", String::from_utf8_lossy(name)),
        Some((&SERVICE, name)) => {
            format!("the row {} of replication", String::from_utf8_lossy(name))
        }
        Some((&SHELF, rest)) => {
            let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
            format!("a row of the shelf {}", String::from_utf8_lossy(name))
        }
        _ => format!("the key {}", bytes.escape_ascii()),
    }
}

/// The engine's key of an item.
pub(super) fn item(key: &ItemKey) -> Vec<u8> {
    parts(&key.pk, &key.sk)
}

/// The engine's key of the item that properties and context name.
pub(super) fn named(
    model: &Model,
    properties: &Map,
    context: &Map,
) -> Result<Vec<u8>, PropertyError> {
    let mut bytes = Vec::with_capacity(NAMED_BYTES);
    bytes.push(ITEM);
    model.write_key(properties, context, BETWEEN, &mut bytes)?;
    Ok(bytes)
}

/// The item that an engine key names; `None` for keys of other spaces.
pub(super) fn parse_item(bytes: &[u8]) -> Option<ItemKey> {
    let text = std::str::from_utf8(bytes.strip_prefix(&[ITEM])?).ok()?;
    let (pk, sk) = text.split_once('\0')?;
    Some(ItemKey::new(pk, sk))
}

/// Every item.
pub(super) fn items() -> engine::KeyRange {
    engine::KeyRange::prefix(&[ITEM])
}

/// How the keys begin of the items whose partition key begins so.
pub(super) fn begin(partition: &str) -> Vec<u8> {
    spaced(ITEM, partition)
}

/// The rows of a range of keys, narrowed to those whose open part begins with `prefix`.
pub(super) fn range(range: &KeyRange, prefix: &str) -> engine::KeyRange {
    let start = match range {
        KeyRange::One(key) => item(key),
        KeyRange::Partition { hash, sort_prefix } => parts(hash, sort_prefix),
        KeyRange::Partitions { hash_prefix } => begin(hash_prefix),
    };
    engine::KeyRange::prefix(&[&start, prefix.as_bytes()].concat())
}

/// The engine's key of a note.
pub(super) fn note(name: &str) -> Vec<u8> {
    spaced(NOTE, name)
}

/// The engine's key of a service row.
pub(super) fn service(name: &str) -> Vec<u8> {
    spaced(SERVICE, name)
}

/// Every service row.
pub(super) fn services() -> engine::KeyRange {
    engine::KeyRange::prefix(&[SERVICE])
}

/// The name of a service row.
pub(super) fn parse_service(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.strip_prefix(&[SERVICE])?.to_vec()).ok()
}

/// What every key of a shelf begins with.
pub(super) fn shelf(name: &str) -> Vec<u8> {
    [&[SHELF], name.as_bytes(), &[0]].concat()
}

fn parts(pk: &str, sk: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + pk.len() + sk.len());
    bytes.push(ITEM);
    bytes.extend_from_slice(pk.as_bytes());
    bytes.push(BETWEEN);
    bytes.extend_from_slice(sk.as_bytes());
    bytes
}

fn spaced(space: u8, name: &str) -> Vec<u8> {
    [&[space], name.as_bytes()].concat()
}
