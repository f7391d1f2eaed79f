//! Black-box tests.

mod counterparts;
