//! The services that speak to the maker's AWS account. None imports another; they meet in
//! `services` and through the database.

pub mod credentials;
#[cfg(feature = "sync")]
pub mod sync;
#[cfg(feature = "upload")]
pub mod upload;
