//! A file in pieces, to be sent: read on the spot where that waits for nothing.
//!
//! What the system has in memory is copied in less time than it takes to ask another thread for it,
//! and most files that are sent were just written. The rest is read on a blocking thread, a piece at
//! a time: the system reads ahead by itself, so that the next ones are then in memory again.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, try_unfold};
use periwinkle_core::limits;
use rustix::fs::{FsWord, fstatfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2, read, retry_on_intr};
use tokio::task::{coop, spawn_blocking};

use super::payload::open_file;

/// A file that is open, from its beginning to its end or to a length.
pub(super) struct FilePieces {
    file: Arc<std::fs::File>,
    kind: Kind,
    left: u64,
    memory: Memory,
}

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// In memory, all of them, as ours are.
    Memory,
    /// Elsewhere; the system may have some in memory.
    Elsewhere,
}

impl Kind {
    /// The magic number of `tmpfs`, which knows no reading without waiting and never waits.
    const TMPFS: FsWord = 0x0102_1994;

    fn of(file: &std::fs::File) -> Kind {
        match fstatfs(file) {
            Ok(system) if system.f_type == Kind::TMPFS => Kind::Memory,
            _ => Kind::Elsewhere,
        }
    }

    /// What can be read without waiting; an error where nothing can, whatever the reason.
    fn read_now(self, file: &std::fs::File, piece: &mut [u8]) -> Result<usize, Errno> {
        /// Reads where the file is, and moves on: a pipe has no other place.
        const HERE: u64 = u64::MAX;
        match self {
            Kind::Memory => read(file, piece),
            Kind::Elsewhere => {
                let mut pieces = [IoSliceMut::new(piece)];
                preadv2(file, &mut pieces, HERE, ReadWriteFlags::NOWAIT)
            }
        }
    }
}

impl FilePieces {
    /// A file from its beginning; what lies behind `length` is left out.
    pub(super) async fn open(path: &Path, length: Option<u64>) -> io::Result<FilePieces> {
        let file = open_file(path).await?.into_std().await;
        Ok(FilePieces {
            kind: Kind::of(&file),
            file: Arc::new(file),
            left: length.unwrap_or(u64::MAX),
            memory: Memory::default(),
        })
    }

    /// The next piece; `None` at the end. Dropping the future may lose one.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        // A fast receiver would otherwise keep all other tasks from their turn.
        coop::consume_budget().await;
        let mut piece = self.memory.take();
        let length = match self.kind.read_now(&self.file, &mut piece) {
            Ok(length) => length,
            Err(_) => {
                let file = self.file.clone();
                let reading = spawn_blocking(move || {
                    let length = retry_on_intr(|| read(&file, &mut piece[..]))?;
                    io::Result::Ok((piece, length))
                });
                let length;
                (piece, length) = reading.await.map_err(io::Error::other)??;
                length
            }
        };
        let length = length.min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= length as u64;
        let piece = self.memory.lend(piece, length);
        Ok((length > 0).then_some(piece))
    }

    /// All pieces.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        try_unfold(self, |mut pieces| async move {
            let piece = pieces.next().await?;
            Ok(piece.map(|piece| (piece, pieces)))
        })
    }
}

/// The memory of pieces that were sent, to read others into: fresh memory of this size comes from the
/// system, page by page, which takes as long as reading.
#[derive(Debug, Default)]
struct Memory {
    /// The oldest first.
    lent: VecDeque<Bytes>,
}

impl Memory {
    /// Memory for a piece: that of the oldest, if that was sent.
    fn take(&mut self) -> BytesMut {
        let oldest = self.lent.pop_front();
        match oldest.map(Bytes::try_into_mut) {
            Some(Ok(free)) => return free,
            Some(Err(lent)) => self.lent.push_front(lent),
            None => {}
        }
        BytesMut::zeroed(limits::FETCH_PIECE_BYTES)
    }

    /// The beginning of this memory as a piece.
    fn lend(&mut self, memory: BytesMut, length: usize) -> Bytes {
        let whole = memory.freeze();
        let piece = whole.slice(..length);
        if self.lent.len() == limits::FETCH_PIECES_LENT_MAX {
            self.lent.pop_front();
        }
        self.lent.push_back(whole);
        piece
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tokio::task::yield_now;

    use super::*;

    const PIECE: usize = limits::FETCH_PIECE_BYTES;

    /// Bytes that differ from piece to piece.
    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 31 % 251) as u8).collect()
    }

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file for the test");
        file.write_all(content).expect("it is ours");
        file
    }

    async fn all(mut pieces: FilePieces) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await.expect("it can be read") {
            assert!((1..=PIECE).contains(&piece.len()), "{}", piece.len());
            all.extend_from_slice(&piece);
        }
        all
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_length_wherever_its_bytes_are() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            let whole = content(length);
            let file = file(&whole);
            for kind in [Kind::Memory, Kind::Elsewhere] {
                for left_out in [0, 1, PIECE] {
                    let Some(wanted) = length.checked_sub(left_out) else {
                        continue;
                    };
                    let pieces = FilePieces::open(file.path(), Some(wanted as u64)).await;
                    let pieces = FilePieces {
                        kind,
                        ..pieces.expect("it is there")
                    };
                    assert_eq!(all(pieces).await, whole[..wanted], "{kind:?}, {wanted}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_at_once_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("it is ours");
        // Both ends, so that opening waits for nobody.
        let both = std::fs::File::options().read(true).write(true).open(&path);
        let mut both = both.expect("it is ours");
        let mut pieces = FilePieces::open(&path, None).await.expect("it is there");
        let mut piece = [0];
        let now = pieces.kind.read_now(&pieces.file, &mut piece);
        now.expect_err("nothing was written");
        let reading = tokio::spawn(async move {
            let first = pieces.next().await.expect("it can be read");
            (first, pieces.next().await.expect("it can be read"))
        });
        yield_now().await;
        both.write_all(b"late").expect("it is open");
        drop(both);
        let read = reading.await.expect("no panic");
        assert_eq!(read, (Some(Bytes::from_static(b"late")), None));
    }

    #[tokio::test]
    async fn what_the_kernel_makes_up_is_read_too() {
        let path = Path::new("/proc/version");
        let pieces = FilePieces::open(path, None).await.expect("it is there");
        let whole = std::fs::read(path).expect("every Linux has it");
        assert_eq!(all(pieces).await, whole);
    }

    #[test]
    fn memory_is_used_again_once_its_piece_was_sent_and_not_before() {
        let mut memory = Memory::default();
        let mut first = memory.take();
        first.fill(7);
        let piece = memory.lend(first, 3);
        let fresh = memory.take();
        assert!(fresh.iter().all(|byte| *byte == 0), "it is lent");
        assert_eq!(piece[..], [7; 3]);
        drop(piece);
        let again = memory.take();
        assert_eq!(again.len(), PIECE);
        assert!(again.iter().all(|byte| *byte == 7), "it is free");
    }

    #[test]
    fn so_much_memory_is_remembered_and_no_more() {
        let max = limits::FETCH_PIECES_LENT_MAX;
        let mut memory = Memory::default();
        for count in 1..=max + 1 {
            memory.lend(BytesMut::zeroed(PIECE), PIECE);
            assert_eq!(memory.lent.len(), count.min(max));
        }
    }

    #[tokio::test]
    async fn other_tasks_have_their_turn_while_a_file_is_read() {
        let file = file(&[]);
        let hole = file.as_file().set_len(200 * PIECE as u64);
        hole.expect("it is ours");
        let pieces = FilePieces::open(file.path(), None).await;
        let mut pieces = FilePieces {
            kind: Kind::Memory,
            ..pieces.expect("it is there")
        };
        let other = tokio::spawn(async {});
        while pieces.next().await.expect("it can be read").is_some() {}
        assert!(other.is_finished());
    }
}
