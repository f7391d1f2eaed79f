//! A file of `/proc` or `/sys` that is read over and over.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use periwinkle_core::limits::METRICS_FILE_BYTES_MAX;
use tracing::debug;

/// What most files fit in; larger ones grow the buffer once.
const FIRST_BYTES: usize = 4 * 1024;

/// The bytes of the file read last, shared by all files of one reader.
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn new() -> Buffer {
        Buffer(vec![0; FIRST_BYTES])
    }
}

/// The file stays open: reading from offset 0 makes the kernel write its text anew, so that one
/// look costs two system calls and nothing is looked up by name.
pub(super) struct Source {
    path: PathBuf,
    file: Option<File>,
    /// Remembered so that what a device does not have is logged once and not every second.
    missing: bool,
}

impl Source {
    pub(super) fn new(path: PathBuf) -> Source {
        Source {
            path,
            file: None,
            missing: false,
        }
    }

    /// The text of the file now; `None` when it cannot be read. It is tried again next time.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut Buffer) -> Option<Cow<'b, str>> {
        match self.fill(buffer) {
            Ok(len) => {
                self.missing = false;
                Some(String::from_utf8_lossy(&buffer.0[..len]))
            }
            Err(error) => {
                if !self.missing {
                    debug!(target: "metrics", path = %self.path.display(), %error, "not readable; its values are absent");
                }
                self.missing = true;
                self.file = None;
                None
            }
        }
    }

    fn fill(&mut self, buffer: &mut Buffer) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(File::open(&self.path)?),
        };
        read_lines(file, &mut buffer.0)
    }
}

/// Reads to the end of the file, or as many whole lines as the bound allows.
fn read_lines(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut len = 0;
    loop {
        if len == buffer.len() {
            if len >= METRICS_FILE_BYTES_MAX {
                let last_end = buffer.iter().rposition(|byte| *byte == b'\n');
                return Ok(last_end.map_or(0, |at| at + 1));
            }
            buffer.resize((len * 2).min(METRICS_FILE_BYTES_MAX), 0);
        }
        match file.read_at(&mut buffer[len..], len as u64) {
            Ok(0) => return Ok(len),
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(bytes: &[u8]) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        (dir, Source::new(path))
    }

    #[test]
    fn a_file_that_changes_is_read_anew_each_time() {
        let (dir, mut source) = source(b"one\n");
        let mut buffer = Buffer::new();
        assert_eq!(source.read(&mut buffer).unwrap(), "one\n");
        std::fs::write(dir.path().join("file"), "second\n").unwrap();
        assert_eq!(source.read(&mut buffer).unwrap(), "second\n");
    }

    #[test]
    fn a_file_that_appears_later_is_read_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut source = Source::new(path.clone());
        let mut buffer = Buffer::new();
        assert_eq!(source.read(&mut buffer), None);
        std::fs::write(path, "here\n").unwrap();
        assert_eq!(source.read(&mut buffer).unwrap(), "here\n");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        let mut source = Source::new(dir.path().to_path_buf());
        assert_eq!(source.read(&mut Buffer::new()), None);
    }

    #[test]
    fn a_file_of_the_largest_size_is_read_whole() {
        let mut bytes = vec![b'x'; METRICS_FILE_BYTES_MAX - 1];
        bytes.push(b'\n');
        let (_dir, mut source) = source(&bytes);
        let mut buffer = Buffer::new();
        assert_eq!(source.read(&mut buffer).unwrap().len(), bytes.len());
    }

    #[test]
    fn a_file_beyond_the_bound_is_cut_after_a_whole_line() {
        let mut bytes = b"first line\nsecond line ".to_vec();
        bytes.resize(METRICS_FILE_BYTES_MAX + 1, b'x');
        let (_dir, mut source) = source(&bytes);
        let mut buffer = Buffer::new();
        assert_eq!(source.read(&mut buffer).unwrap(), "first line\n");
        assert_eq!(buffer.0.len(), METRICS_FILE_BYTES_MAX);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_the_rest() {
        let (_dir, mut source) = source(b"\xff\nplain\n");
        let mut buffer = Buffer::new();
        let text = source.read(&mut buffer).unwrap();
        assert_eq!(text.lines().nth(1), Some("plain"));
    }
}
