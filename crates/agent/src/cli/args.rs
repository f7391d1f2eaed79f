//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use super::db::Db;
use super::fetch::Fetch;
#[cfg(feature = "mqtt")]
use super::mqtt::Mqtt;
use super::upload::Upload;

/// Device agent: web server, database that replicates with DynamoDB, and the device's metrics.
///
/// Without a command the agent runs.
#[derive(Debug, Parser)]
#[command(name = "periwinkle", version, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// Options of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The configuration [default: $PERIWINKLE_CONFIG, ./periwinkle.toml,
    /// /etc/periwinkle/periwinkle.toml, or none]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Apply the sections [profile.NAME] of the configuration
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Option<String>,
    /// The directory of everything the agent keeps
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Set one key of the configuration, such as web.listen=http://127.0.0.1:9000
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the agent
    Run,
    /// Check configuration and schema, and show each value with its origin
    Check(Check),
    /// Show how the running agent is
    Status(Json),
    /// List and change the users of the running agent
    User(User),
    /// Make a new code for setting up the owner
    Setup(Json),
    /// Read, change, check and back up the database
    Db(Box<Db>),
    /// Send any request of HTTP, follow events, or call an operation of AWS
    Fetch(Box<Fetch>),
    /// Publish, listen and ask at an MQTT broker
    #[cfg(feature = "mqtt")]
    Mqtt(Mqtt),
    /// Upload to S3 from a queue that survives restarts, and read what is there
    Upload(Box<Upload>),
}

/// Options of `check`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Check {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Print the reference of all keys instead (Markdown)
    #[arg(long, conflicts_with = "json")]
    pub(super) reference: bool,
}

/// The option of commands that only show something.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct Json {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `user`.
#[derive(Args, Debug)]
pub(super) struct User {
    #[command(subcommand)]
    pub(super) command: UserCommand,
}

/// The verbs of `user`.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// List the users
    List(Json),
    /// Add a user
    Add {
        /// The name to log in with
        name: String,
        /// viewer, editor or owner
        #[arg(long, value_name = "ROLE")]
        role: String,
        #[command(flatten)]
        password: PasswordFrom,
        #[command(flatten)]
        json: Json,
    },
    /// Set a new password and end the user's sessions
    Password {
        /// The user
        name: String,
        #[command(flatten)]
        password: PasswordFrom,
        #[command(flatten)]
        json: Json,
    },
    /// Change what a user may do
    Role {
        /// The user
        name: String,
        /// viewer, editor or owner
        role: String,
        #[command(flatten)]
        json: Json,
    },
    /// Remove a user
    Remove {
        /// The user
        name: String,
        #[command(flatten)]
        json: Json,
    },
}

/// How a password is given; never on the command line, which other users can see.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(super) struct PasswordFrom {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    pub(super) password_stdin: bool,
}

/// What came of the command line.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Something to do.
    Arguments(Box<Arguments>),
    /// Help or version, as asked for.
    Text(String),
    /// What is wrong with it.
    Usage(String),
}

/// Reads the command line. Two habits of clap are overridden: its exit code 2, which stands for a
/// broken configuration here, and help on standard error.
pub(super) fn parse(words: impl IntoIterator<Item = OsString>) -> Parsed {
    match Arguments::try_parse_from(words) {
        Ok(arguments) => Parsed::Arguments(Box::new(arguments)),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Parsed::Text(error.to_string()),
            _ => {
                let text = error.to_string();
                let words = text.strip_prefix("error: ").unwrap_or(&text);
                Parsed::Usage(words.trim_end().to_owned())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &str) -> Parsed {
        parse(words.split(' ').map(OsString::from))
    }

    #[track_caller]
    fn arguments(words: &str) -> Arguments {
        match parsed(words) {
            Parsed::Arguments(arguments) => *arguments,
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_command_means_run() {
        assert!(arguments("periwinkle").command.is_none());
        assert!(matches!(
            arguments("periwinkle run").command,
            Some(Command::Run)
        ));
    }

    #[test]
    fn global_options_stand_before_and_after_the_command() {
        let words = "--config a.toml --state /s --profile prod --set a.b=1 --set a.c=2";
        for line in [
            format!("periwinkle {words} status"),
            format!("periwinkle status {words}"),
        ] {
            let global = arguments(&line).global;
            assert_eq!(global.config.unwrap(), PathBuf::from("a.toml"));
            assert_eq!(global.state.unwrap(), PathBuf::from("/s"));
            assert_eq!(global.profile.unwrap(), "prod");
            assert_eq!(global.set, ["a.b=1", "a.c=2"]);
        }
    }

    #[test]
    fn a_mistake_is_explained_without_a_prefix_of_its_own() {
        for (words, part) in [
            ("periwinkle statsu", "unrecognized subcommand 'statsu'"),
            (
                "periwinkle --confg x",
                "unexpected argument '--confg' found",
            ),
            ("periwinkle user add ada", "--role <ROLE>"),
            ("periwinkle user", "Usage: periwinkle user"),
            ("periwinkle check --json --reference", "cannot be used with"),
        ] {
            match parsed(words) {
                Parsed::Usage(text) => {
                    assert!(text.contains(part), "{words}: {text}");
                    assert!(!text.starts_with("error"), "{text}");
                }
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    #[test]
    fn help_and_version_are_texts() {
        for (words, part) in [
            ("periwinkle --help", "Run the agent"),
            ("periwinkle --version", "periwinkle 0."),
            ("periwinkle user --help", "List the users"),
        ] {
            match parsed(words) {
                Parsed::Text(text) => assert!(text.contains(part), "{words}: {text}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }
}
