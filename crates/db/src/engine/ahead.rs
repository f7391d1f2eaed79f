//! Reading key files on a thread of their own, while an opening looks at the end of the log.

use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Scope};

use periwinkle_core::limits::DB_LOAD_AHEAD_BYTES_MIN;

use super::key_file::KeyFileBytes;
use super::key_job::read_key_file;
use super::segments::SegmentFile;
use super::storage::Storage;

/// The key files of segments, asked for in the order of the segments.
pub(crate) enum KeyFiles<'a> {
    /// None is to be used.
    Distrusted,
    /// Each is read when it is asked for.
    OnDemand(&'a dyn Storage),
    /// They are read already. They wait in memory, where all are until they are merged.
    Ahead(Receiver<Option<KeyFileBytes>>),
}

impl<'a> KeyFiles<'a> {
    /// Those of all segments but the last, which has none. Of a small log they are read on demand:
    /// starting a thread takes longer.
    pub(crate) fn of<'scope>(
        files: &'a [SegmentFile],
        storage: &'a dyn Storage,
        scope: &'scope Scope<'scope, 'a>,
    ) -> KeyFiles<'a> {
        let sealed = files.split_last().map_or(files, |(_, sealed)| sealed);
        let bytes: u64 = sealed.iter().map(|file| file.segment.size).sum();
        if bytes < DB_LOAD_AHEAD_BYTES_MIN {
            return KeyFiles::OnDemand(storage);
        }
        let (give, take) = channel();
        let read_all = move || {
            let mut files = sealed.iter().map(|file| file.segment.id);
            let read = |id| {
                let found: Option<KeyFileBytes> = read_key_file(storage, id);
                found.map(KeyFileBytes::with_entries_found)
            };
            // Nobody takes them any more when the opening has failed.
            let _ = files.try_for_each(|id| give.send(read(id)));
        };
        let thread = thread::Builder::new().name("periwinkle-db-keys".to_owned());
        match thread.spawn_scoped(scope, read_all) {
            Ok(_) => KeyFiles::Ahead(take),
            Err(_) => KeyFiles::OnDemand(storage),
        }
    }

    /// That of the next segment, whose number is given.
    pub(crate) fn next(&self, segment: u32) -> Option<KeyFileBytes> {
        match self {
            KeyFiles::Distrusted => None,
            KeyFiles::OnDemand(storage) => read_key_file(*storage, segment),
            KeyFiles::Ahead(read) => read.recv().ok().flatten(),
        }
    }
}
