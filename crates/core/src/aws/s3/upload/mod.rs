//! An upload in parts that survives restarts and power cuts.
//!
//! [`plan()`] says whether an object goes in one request or in parts. An [`Upload`] drives the parts:
//! it begins the upload, has its id saved, sends parts in parallel within a bound of memory, and
//! makes the object of them. After a restart it goes on from its [`Record`]: it asks S3 which parts
//! are there and sends the others.
//!
//! **What is on the disk is small and seldom written.** The record holds the id and the plan, not
//! the parts: S3 knows these better, and thousands of writes to flash are saved.
//!
//! **One object, once.** A lost answer to the last step is not repeated blindly: when S3 no longer
//! knows the upload, the object is asked for the mark that this upload gave it.
//!
//! What cannot be known is left to the bucket's own rule for incomplete uploads: an upload whose
//! creation was answered to nobody.

mod machine;
mod parts;
mod plan;
mod record;

pub use machine::{Answer, Failure, Outcome, Output, Request, Upload, Wake};
pub use plan::{PartPlan, PlanError, UploadPlan, plan};
pub use record::{Phase, Record, RecordError};
