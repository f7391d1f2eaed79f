//! `periwinkle setup`: a new code for setting up the owner, when the first one was lost.

use http::Method;

use super::args::Json;
use super::failure::Failure;
use super::inputs::Inputs;
use super::{control, output};

pub(super) fn setup(inputs: &Inputs, json: &Json) -> Result<(), Failure> {
    let answer = control::ask(
        inputs,
        *json,
        (Method::POST, "/api/v1/agent/setup-code", None),
    )?;
    if json.json {
        return Ok(());
    }
    let code = answer["code"].as_str().ok_or_else(|| {
        Failure::internal("the agent's answer has no code")
            .hint("are command and agent of the same version?")
    })?;
    output::print(&format!(
        "{}\nthe console asks for this code; older ones are void",
        output::plain(code)
    ))
}
