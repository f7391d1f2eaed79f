//! How far a transfer has come.

/// How far a transfer has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The bytes that have gone or come, those of earlier attempts that count included.
    pub bytes: u64,
    /// All bytes, when that is known.
    pub length: Option<u64>,
}
