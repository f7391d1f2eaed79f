//! The pure half of the upload service: which files a pattern names, when a file is at rest, how
//! fast bytes may leave, and which entry of the queue is next.
//!
//! What S3 is told and answers is in [`aws::s3`](crate::aws::s3).
//!
//! ```
//! use periwinkle_core::upload::PathPattern;
//!
//! let pattern = PathPattern::parse("/var/spool/camera/**/*.jpg")?;
//! assert_eq!(pattern.base(), "/var/spool/camera");
//! assert!(pattern.matches("2026/11/door.jpg"));
//! assert!(!pattern.matches("2026/.door.jpg.part"));
//! # Ok::<(), periwinkle_core::upload::PatternError>(())
//! ```

mod identity;
mod pace;
mod pattern;
mod queue;
mod settle;

pub use identity::Identity;
pub use pace::Pace;
pub use pattern::{PathPattern, PatternError};
pub use queue::{Budget, Full, Queue, Waiting};
pub use settle::Settling;
