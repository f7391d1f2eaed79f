//! What tells a file apart from one that was changed since.

use std::fmt;

/// Length, time of the last change of its bytes, and number of a file, where it keeps one. A file
/// that is written again, or replaced by another of the same name, has another one; without a
/// number, one that is replaced by another of the same length and time has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its length.
    pub bytes: u64,
    /// When its bytes were changed last, in seconds since the epoch.
    pub modified_s: i64,
    /// The nanoseconds of it.
    pub modified_ns: u32,
    /// Its number on its file system; `None` where numbers change with each mount.
    pub inode: Option<u64>,
}

/// `20971520@1795342913.667000000/1234`, without the end where there is no number: as it is kept in
/// the database.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity {
            bytes,
            modified_s,
            modified_ns,
            inode,
        } = self;
        write!(f, "{bytes}@{modified_s}.{modified_ns:09}")?;
        match inode {
            Some(inode) => write!(f, "/{inode}"),
            None => Ok(()),
        }
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
            inode: Some(9),
        };
        assert_eq!(identity.to_string(), "5@7.000000008/9");
        let before_the_epoch = Identity {
            modified_s: -1,
            ..identity
        };
        assert_eq!(before_the_epoch.to_string(), "5@-1.000000008/9");
        let without_number = Identity {
            inode: None,
            ..identity
        };
        assert_eq!(without_number.to_string(), "5@7.000000008");
    }
}
