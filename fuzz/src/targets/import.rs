//! Lines of an export on their way back.

use periwinkle_core::value::Value;
use periwinkle_db::model::transfer::{Reader, Row, write_properties, write_stored};

use super::{kind_of, words};

/// A text means the same in one piece and in pieces of any size, and an item that is written again
/// is the same item.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let piece = 1 + usize::from(bytes.first().copied().unwrap_or(0) % 16);
    let read = read_in(bytes, bytes.len().max(1));
    assert_eq!(read_in(bytes, piece), read, "in pieces of {piece} bytes");
    let kinds = read.iter().take(4).map(|item| match item {
        Ok(value) => again(value.clone()),
        Err(text) => words(text),
    });
    kind_of(kinds.collect::<Vec<_>>())
}

fn read_in(bytes: &[u8], piece: usize) -> Vec<Result<Value, String>> {
    let mut reader = Reader::new();
    let mut read = Vec::new();
    let take = |reader: &mut Reader, read: &mut Vec<_>| {
        while let Some(item) = reader.next_item() {
            read.push(
                item.map(|item| item.value)
                    .map_err(|error| error.to_string()),
            );
        }
    };
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        take(&mut reader, &mut read);
    }
    reader.finish();
    take(&mut reader, &mut read);
    read
}

fn again(value: Value) -> u64 {
    let row = match Row::from_value(value, None) {
        Ok(row) => row,
        Err(fault) => return words(&fault),
    };
    let mut line = String::new();
    match &row {
        Row::Properties { model, properties } => write_properties(model, properties, &mut line),
        Row::Stored(item) => write_stored(item, &mut line),
    }
    let read = read_in(line.as_bytes(), line.len());
    let [Ok(value)] = read.as_slice() else {
        panic!("{line} reads as {read:?}");
    };
    assert_eq!(Row::from_value(value.clone(), None), Ok(row), "{line}");
    kind_of(matches!(read.len(), 1))
}
