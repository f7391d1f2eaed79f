//! `--aws`: an operation by its name, as in AWS's API reference.

use std::io::{self, IsTerminal};

use periwinkle_core::aws::ServiceErrorKind;
use periwinkle_core::config::Config;
use periwinkle_core::value::{Map, Value, json};

use super::args::Fetch as Options;
use super::request::timeout;
use super::show;
use super::words::failure;
use crate::cli::failure::Failure;
use crate::cli::output::{self, plain};
use crate::fetch::{AwsError, Fetch};

/// Calls the operation and prints its result as JSON.
pub(super) async fn run(options: &Options, config: &Config, fetch: &Fetch) -> Result<(), Failure> {
    let (service, operation, parameters) = call(&options.words)?;
    let mut aws = fetch.aws().retries(options.retries());
    let configured = config.sync.endpoint.as_ref().map(ToString::to_string);
    // The configured address is that of the table.
    let configured = configured.filter(|_| service == "dynamodb");
    if let Some(endpoint) = options.endpoint.clone().or(configured) {
        aws = aws.endpoint(endpoint);
    }
    if let Some(time) = timeout(options)? {
        aws = aws.deadline(time);
    }
    let answer = aws.call(service, operation, parameters).await;
    let text = answer.map_err(|error| refusal(&error))?.to_json();
    match io::stdout().is_terminal() {
        true => output::print(&show::for_people("application/json", text.as_bytes())),
        false => output::print(&text),
    }
}

fn call(words: &[String]) -> Result<(&str, &str, Map), Failure> {
    match words {
        [service, operation] => Ok((service, operation, Map::default())),
        [service, operation, parameters] => match json::parse(parameters) {
            Ok(Value::Map(parameters)) => Ok((service, operation, parameters)),
            Ok(_) => Err(Failure::usage(
                "--aws: the parameters are not a JSON object",
            )),
            Err(error) => Err(Failure::usage(format!(
                "--aws: the parameters are no JSON: {error}"
            ))),
        },
        _ => Err(Failure::usage(
            "--aws: use --aws SERVICE OPERATION [JSON], such as --aws dynamodb ListTables '{}'",
        )),
    }
}

fn refusal(error: &AwsError) -> Failure {
    let words = plain(&error.to_string());
    match error {
        AwsError::Fetch(error) => failure(error),
        AwsError::Service(error) => Failure::answered(class(&error.kind), words),
        AwsError::Answer(_) | AwsError::Unprocessed(_) => Failure::refused(words),
        _ => Failure::usage(words),
    }
}

/// The class of the status: whose fault it is.
fn class(kind: &ServiceErrorKind) -> http::StatusCode {
    match kind {
        ServiceErrorKind::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
        ServiceErrorKind::WrongRegion { .. } => http::StatusCode::MOVED_PERMANENTLY,
        _ => http::StatusCode::BAD_REQUEST,
    }
}
