//! The little of tar that a backup needs (POSIX.1-2017, pax, "ustar Interchange Format"): plain
//! files of known size, whole and in order.

use periwinkle_core::limits::BACKUP_FILE_BYTES_MAX;

/// Everything in an archive comes in blocks of this size.
pub(crate) const BLOCK: usize = 512;

/// The two blocks of zeroes that end an archive.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The header of a file that only its owner may read. Names are ours: short and plain.
pub(crate) fn header(name: &str, bytes: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{bytes:011o}\0"));
    put(136, "00000000000\0");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What follows a file's bytes up to the next block.
pub(crate) fn padding(bytes: u64) -> &'static [u8] {
    let over = (bytes % BLOCK as u64) as usize;
    &END[..(BLOCK - over) % BLOCK]
}

/// The sum of all bytes, those of the sum itself counting as blanks.
fn checksum(block: &[u8; BLOCK]) -> u32 {
    let own = 148..156;
    let bytes = block.iter().enumerate();
    bytes
        .map(|(at, byte)| u32::from(if own.contains(&at) { b' ' } else { *byte }))
        .sum()
}

/// A part of an archive, in the order of its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// A file of this size begins.
    File { name: String, bytes: u64 },
    /// Some of its bytes.
    Bytes(&'a [u8]),
    /// All of its bytes have come.
    FileEnd,
    /// The archive is whole.
    End,
}

/// Takes an archive apart as its bytes arrive.
#[derive(Debug, Default)]
pub(crate) struct Unpack {
    /// A header in the making, or blocks of the end.
    head: Vec<u8>,
    /// Bytes of the file that are still to come, and those behind it up to the next block.
    left: u64,
    skip: u64,
    zeroes: usize,
}

impl Unpack {
    /// Hands the parts in these bytes to `take`.
    pub(crate) fn push<E>(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<NotAnArchive>,
    {
        while !bytes.is_empty() {
            if self.left > 0 {
                let now = usize::try_from(self.left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                take(Part::Bytes(&bytes[..now]))?;
                bytes = &bytes[now..];
                self.left -= now as u64;
                if self.left == 0 {
                    take(Part::FileEnd)?;
                }
                continue;
            }
            if self.skip > 0 {
                let now = usize::try_from(self.skip)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                bytes = &bytes[now..];
                self.skip -= now as u64;
                continue;
            }
            let now = (BLOCK - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..now]);
            bytes = &bytes[now..];
            if let Some(block) = self.head.first_chunk::<BLOCK>() {
                let block = *block;
                self.head.clear();
                self.block(&block, &mut take)?;
            }
        }
        Ok(())
    }

    fn block<E: From<NotAnArchive>>(
        &mut self,
        block: &[u8; BLOCK],
        take: &mut impl FnMut(Part<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if block.iter().all(|byte| *byte == 0) {
            self.zeroes += 1;
            return match self.zeroes {
                2 => take(Part::End),
                _ => Ok(()),
            };
        }
        let (name, bytes) = read_header(block)
            .filter(|_| self.zeroes == 0)
            .ok_or(NotAnArchive)?;
        self.left = bytes;
        self.skip = padding(bytes).len() as u64;
        take(Part::File { name, bytes })?;
        match bytes {
            0 => take(Part::FileEnd),
            _ => Ok(()),
        }
    }
}

/// What came is not what this module writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no archive of a backup")]
pub(crate) struct NotAnArchive;

fn read_header(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let text = |from: usize, to: usize| {
        let field = &block[from..to];
        let end = field
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(field.len());
        str::from_utf8(&field[..end]).ok()
    };
    let octal = |from, to| u64::from_str_radix(text(from, to)?.trim(), 8).ok();
    let is_plain_file = block[156] == b'0' && &block[257..262] == b"ustar";
    let is_whole = octal(148, 155)? == u64::from(checksum(block));
    let bytes = octal(124, 136).filter(|bytes| *bytes <= BACKUP_FILE_BYTES_MAX)?;
    (is_plain_file && is_whole).then_some((text(0, 100)?.to_owned(), bytes))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, content) in files {
            bytes.extend(header(name, content.len() as u64));
            bytes.extend_from_slice(content);
            bytes.extend_from_slice(padding(content.len() as u64));
        }
        bytes.extend(END);
        bytes
    }

    fn parts(bytes: &[u8], piece: usize) -> Result<Vec<(String, Vec<u8>)>, NotAnArchive> {
        let mut unpack = Unpack::default();
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        let mut ended = false;
        for piece in bytes.chunks(piece) {
            unpack.push(piece, |part| {
                match part {
                    Part::File { name, .. } => files.push((name, Vec::new())),
                    Part::Bytes(bytes) => files.last_mut().unwrap().1.extend_from_slice(bytes),
                    Part::FileEnd => files.last_mut().unwrap().0.push('!'),
                    Part::End => ended = true,
                }
                Ok::<(), NotAnArchive>(())
            })?;
        }
        assert!(ended);
        Ok(files)
    }

    #[test]
    fn an_archive_is_taken_apart_however_its_bytes_arrive() {
        let long = vec![7; 1500];
        let bytes = archive(&[("db/1.log", &long), ("empty", b""), ("exact", &[1; 512])]);
        let expected = [
            ("db/1.log!".to_owned(), long),
            ("empty!".to_owned(), Vec::new()),
            ("exact!".to_owned(), vec![1; 512]),
        ];
        for piece in [1, 100, 512, 1 << 20] {
            assert_eq!(parts(&bytes, piece).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let mut bytes = archive(&[("a", b"x")]);
        assert_eq!(parts(&[b'x'; 600], 600), Err(NotAnArchive));
        bytes[0] ^= 1;
        assert_eq!(
            parts(&bytes, 600),
            Err(NotAnArchive),
            "the sum does not fit"
        );
        let over = header("a", BACKUP_FILE_BYTES_MAX + 1);
        assert_eq!(parts(&over, 512), Err(NotAnArchive));
        assert!(read_header(&header("a", BACKUP_FILE_BYTES_MAX)).is_some());
    }

    #[test]
    fn the_systems_tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.tar");
        std::fs::write(&path, archive(&[("db/1.log", b"one"), ("id", b"two")])).unwrap();
        let unpacked = Command::new("tar")
            .arg("-xf")
            .arg(&path)
            .arg("-C")
            .arg(folder.path())
            .stderr(Stdio::inherit())
            .status()
            .unwrap();
        assert!(unpacked.success());
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("db/1.log"), read("id")),
            (b"one".to_vec(), b"two".to_vec())
        );
    }
}
