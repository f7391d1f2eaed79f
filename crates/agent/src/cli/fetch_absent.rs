//! `periwinkle fetch` in a program that was built without it.

use clap::Args;

use super::failure::Failure;
use super::inputs::Inputs;

/// `fetch`, whatever follows.
#[derive(Args, Debug)]
pub(super) struct Fetch {
    /// Nothing can be done with these
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

pub(super) fn run(_: &Inputs, _: &Fetch) -> Result<(), Failure> {
    Err(Failure::usage(
        "this program was built without the feature `fetch`",
    ))
}
