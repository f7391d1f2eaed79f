//! What tells a file apart from one that was changed since.

use std::fmt;

/// Length, time of the last change of its bytes, and number of a file. A file that is written
/// again, or replaced by another of the same name, has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its length.
    pub bytes: u64,
    /// When its bytes were changed last, in seconds since the epoch.
    pub modified_s: i64,
    /// The nanoseconds of it.
    pub modified_ns: u32,
    /// Its number on its file system.
    pub inode: u64,
}

/// `20971520@1795342913.667000000/1234`: as it is kept in the database.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity {
            bytes,
            modified_s,
            modified_ns,
            inode,
        } = self;
        write!(f, "{bytes}@{modified_s}.{modified_ns:09}/{inode}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_identity_is_in_its_text() {
        let identity = Identity {
            bytes: 5,
            modified_s: 7,
            modified_ns: 8,
            inode: 9,
        };
        assert_eq!(identity.to_string(), "5@7.000000008/9");
        let before_the_epoch = Identity {
            modified_s: -1,
            ..identity
        };
        assert_eq!(before_the_epoch.to_string(), "5@-1.000000008/9");
    }
}
