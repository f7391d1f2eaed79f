//! The command line of the one binary: quiet verbs, honest exit codes, and words that say what to
//! do next.
//!
//! `run` and `check` work on the configuration; `status`, `user`, `setup` and `upload` speak to the
//! running agent over its control socket, which serves the same API as the web server; `db` does so, too,
//! and works on the files itself when no agent runs; `mqtt` is a client of any broker, or speaks to the
//! agent's; `fetch` needs no agent.

mod args;
mod check;
mod control;
mod db;
mod failure;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(not(feature = "fetch"))]
#[path = "fetch_absent.rs"]
mod fetch;
mod human;
mod inputs;
mod log;
#[cfg(feature = "mqtt")]
mod mqtt;
mod new_file;
mod output;
mod progress;
mod prompt;
mod run;
mod setup;
mod silent_terminal;
mod status;
mod table;
mod upload;
mod user;

use std::process::ExitCode;

use args::{Arguments, Command, Parsed};
use failure::Failure;
use inputs::Inputs;

use crate::signals::outlive_file_size_limit_without_runtime;

/// Does what the command line asks, and returns the exit code of the process: 0 done, 1 internal
/// failure, 2 configuration, schema or database file, 3 refused, 4 no agent or server answers, 13 to
/// 15 an answer to `fetch` of class 3xx to 5xx, 64 usage.
pub fn main() -> ExitCode {
    let arguments = match args::parse(std::env::args_os()) {
        Parsed::Arguments(arguments) => *arguments,
        Parsed::Text(text) => return finish(output::print(&text)),
        Parsed::Usage(text) => return finish(Err(Failure::usage(text))),
    };
    finish(dispatch(arguments))
}

fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    outlive_file_size_limit_without_runtime()
        .map_err(|error| Failure::internal(format!("signals cannot be handled: {error}")))?;
    let inputs = Inputs::gather(&arguments.global)?;
    match arguments.command {
        None | Some(Command::Run) => run::run(&inputs),
        Some(Command::Check(check)) => check::check(&inputs, &check),
        Some(Command::Status(status)) => status::status(&inputs, &status),
        Some(Command::User(user)) => user::user(&inputs, &user.command),
        Some(Command::Setup(setup)) => setup::setup(&inputs, &setup),
        Some(Command::Db(db)) => db::run(&inputs, &db),
        Some(Command::Fetch(fetch)) => fetch::run(&inputs, &fetch),
        Some(Command::Upload(upload)) => upload::run(&inputs, &upload),
        #[cfg(feature = "mqtt")]
        Some(Command::Mqtt(mqtt)) => mqtt::run(&inputs, &mqtt),
    }
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}
