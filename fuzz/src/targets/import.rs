//! Lines of JSON, or one list, as an import reads them.

use periwinkle_db::model::transfer::{Reader, Row};

use super::{kind_of, words};

/// The first byte says where the rest is parted: in one piece or in two, the same comes out.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let Some((first, rest)) = bytes.split_first() else {
        return 0;
    };
    let at = usize::from(*first) * rest.len() / 255;
    let (one, other) = rest.split_at(at);
    let whole = read(&[rest]);
    assert_eq!(whole, read(&[one, other]), "parted at {at}");
    kind_of(whole.iter().take(6).collect::<Vec<_>>())
}

/// What becomes of each item.
fn read(pieces: &[&[u8]]) -> Vec<(bool, u64)> {
    let mut reader = Reader::new();
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(piece);
        take(&mut reader, &mut found);
    }
    reader.finish();
    take(&mut reader, &mut found);
    found
}

fn take(reader: &mut Reader, found: &mut Vec<(bool, u64)>) {
    while let Some(item) = reader.next_item() {
        found.push(match item {
            Ok(item) => match Row::from_value(item.value, None) {
                Ok(_) => (true, 0),
                Err(fault) => (true, words(&fault)),
            },
            Err(error) => (false, words(&error)),
        });
        assert!(found.len() < 200_000, "it never ends");
    }
}
