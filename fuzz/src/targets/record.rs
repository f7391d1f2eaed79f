//! Rows of synced models.

use periwinkle_core::sync::record::{Mark, Record};

use super::{kind_of, words};

/// What is read keeps its invariant or is refused, and is written so that it reads the same.
pub(super) fn feed(bytes: &[u8]) -> u64 {
    let mark = String::from_utf8_lossy(bytes).parse::<Mark>();
    if let Ok(mark) = mark {
        assert_eq!(mark.to_string().parse(), Ok(mark));
    }
    match Record::decode(bytes) {
        Ok(record) => {
            record.check().expect("a record that was read is sound");
            let mut written = Vec::new();
            record.encode(&mut written);
            assert_eq!(Record::decode(&written).as_ref(), Ok(&record));
            let change = record.change.as_ref();
            let parts = change.map(|c| {
                let parked = c.parked.is_some();
                (
                    c.base.is_some(),
                    c.frozen.is_some(),
                    c.pending.is_some(),
                    parked,
                )
            });
            kind_of((0, record.item.is_some(), parts))
        }
        Err(error) => kind_of((1, words(&error))),
    }
}
