//! What can be typed after `periwinkle db`, and in its shell.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::super::args::Json;

/// `db`.
///
/// A running agent does the work; with none running, the files are opened directly.
#[derive(Args, Debug)]
pub(in crate::cli) struct Db {
    /// Change nothing: refuse verbs that write
    #[arg(long, global = true)]
    pub(in crate::cli::db) read_only: bool,
    #[command(subcommand)]
    pub(in crate::cli::db) command: DbCommand,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// List the models, or the fields of one
    Models {
        /// The model to describe
        model: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Show one item
    #[command(after_help = GET_EXAMPLES)]
    Get {
        #[command(flatten)]
        item: Item,
        #[command(flatten)]
        json: Json,
    },
    /// List items of a model
    #[command(after_help = FIND_EXAMPLES)]
    Find(Find),
    /// Make an item, or change the given properties of one
    #[command(after_help = PUT_EXAMPLES)]
    Put {
        #[command(flatten)]
        item: Item,
        #[command(flatten)]
        terms: Terms,
        /// Fail if there is such an item
        #[arg(long)]
        new: bool,
        #[command(flatten)]
        json: Json,
    },
    /// Change properties of an item; NAME:=null removes one
    Update {
        #[command(flatten)]
        item: Item,
        #[command(flatten)]
        terms: Terms,
        #[command(flatten)]
        json: Json,
    },
    /// Remove an item
    Remove {
        #[command(flatten)]
        item: Item,
        /// Only if this condition holds of the item
        #[arg(long = "if", value_name = "EXPR")]
        condition: Option<String>,
        #[command(flatten)]
        places: Placeholders,
        #[command(flatten)]
        json: Json,
    },
    /// Add items from JSON lines or a JSON array
    Import(Import),
    /// Write items as JSON lines
    Export(Export),
    /// Show sizes and counts
    Stats(Json),
    /// Read every byte and name all damage
    Verify {
        /// A backup or another state directory [default: the agent's]
        directory: Option<PathBuf>,
        #[command(flatten)]
        json: Json,
    },
    /// Save what is intact of a damaged database into a new directory
    Salvage {
        /// The state directory of the damaged database, which is not changed
        source: PathBuf,
        /// The state directory to be made
        destination: PathBuf,
        #[command(flatten)]
        json: Json,
    },
    /// Copy the database as it is now into a new directory, while the agent runs
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// The directory to be made, or - for a tar archive on standard output
        directory: PathBuf,
        /// The most bytes a second, such as 5MB [default: as fast as it goes]
        #[arg(long, value_name = "SIZE")]
        rate: Option<String>,
        #[command(flatten)]
        json: Json,
    },
    /// Type these verbs one after the other
    Shell,
}

const GET_EXAMPLES: &str = "\
Examples:
  periwinkle db get Setting greeting
  periwinkle db get Metric 2026-11 2026-11-22T10:21:00.000Z --json
  periwinkle db get Metric month=2026-11 at=2026-11-22T10:21:00.000Z";

const FIND_EXAMPLES: &str = "\
Examples:
  periwinkle db find Setting
  periwinkle db find Metric month=2026-11 --prefix 2026-11-22 --reverse --limit 5
  periwinkle db find Metric month=2026-11 --filter 'cpu_max > 90' --project at,cpu_max
  periwinkle db find Metric --all --json | jq .cpu_max";

const BACKUP_EXAMPLES: &str = "\
The copy is verified before it gets its name. It is a state directory: `periwinkle run --state DIR`
runs on it, and restoring means putting its folder db in place of the agent's while none runs.

Examples:
  periwinkle db backup /mnt/usb/monday
  periwinkle db backup - | ssh host 'cat > monday.tar'";

const PUT_EXAMPLES: &str = "\
VALUE is read as the type that the schema gives to the field.

Examples:
  periwinkle db put Setting greeting value=hello 'note=a note'
  periwinkle db put Setting id=greeting note:=null";

/// An item, and what is said of it.
#[derive(Args, Debug)]
pub(super) struct Item {
    /// The model
    pub(super) model: String,
    /// The parts of the key in order, and NAME=VALUE or NAME:=JSON
    #[arg(
        value_name = "KEY|NAME=VALUE|NAME:=JSON",
        allow_negative_numbers = true
    )]
    pub(super) words: Vec<String>,
}

/// On which terms an item is written.
#[derive(Args, Debug, Default)]
pub(super) struct Terms {
    /// Only if this condition holds of the item as it is
    #[arg(long = "if", value_name = "EXPR")]
    pub(super) condition: Option<String>,
    /// Also apply an update expression, such as 'SET count = count + 1'
    #[arg(long, value_name = "EXPR")]
    pub(super) apply: Option<String>,
    #[command(flatten)]
    pub(super) places: Placeholders,
}

/// What the placeholders of the expressions stand for.
#[derive(Args, Debug, Default)]
pub(super) struct Placeholders {
    /// What :placeholders stand for, such as '{":more": ["a"]}'
    #[arg(long, value_name = "JSON")]
    pub(super) values: Option<String>,
    /// What #placeholders stand for, such as '{"#n": "name"}'
    #[arg(long, value_name = "JSON")]
    pub(super) names: Option<String>,
}

/// `db find`.
#[derive(Args, Debug)]
pub(super) struct Find {
    /// The model
    pub(super) model: String,
    /// Only items with these properties; parts of the key make it quick
    #[arg(value_name = "NAME=VALUE")]
    pub(super) words: Vec<String>,
    /// By an index of the schema: in its order, and keys are those of the index
    #[arg(long, value_name = "NAME")]
    pub(super) index: Option<String>,
    /// Only items whose first part of the key that is not given begins so
    #[arg(long, value_name = "TEXT", allow_negative_numbers = true)]
    pub(super) prefix: Option<String>,
    /// Only items whose first part of the key that is not given is this or comes behind it
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub(super) from: Option<String>,
    /// As --from, without the value itself
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub(super) above: Option<String>,
    /// Only items whose first part of the key that is not given is this or comes before it
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub(super) to: Option<String>,
    /// As --to, without the value itself
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    pub(super) below: Option<String>,
    /// Only items of which this condition holds, such as 'temp > 20'
    #[arg(long, value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Only these parts of the items: a list of paths
    #[arg(long, value_name = "PATHS")]
    pub(super) project: Option<String>,
    #[command(flatten)]
    pub(super) places: Placeholders,
    /// Show how many there are instead
    #[arg(long, conflicts_with_all = ["limit", "all", "reverse", "next", "project"])]
    pub(super) count: bool,
    /// The most items to show [default: 50]
    #[arg(
        long,
        value_name = "COUNT",
        conflicts_with = "all",
        allow_negative_numbers = true
    )]
    pub(super) limit: Option<u64>,
    /// Show all items, page by page
    #[arg(long)]
    pub(super) all: bool,
    /// Last items first
    #[arg(long)]
    pub(super) reverse: bool,
    /// Go on where an earlier list ended
    #[arg(long, value_name = "TOKEN")]
    pub(super) next: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// `db import`.
#[derive(Args, Debug)]
pub(super) struct Import {
    /// The file, or - for standard input
    pub(super) file: PathBuf,
    /// The items are plain properties of this model
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<String>,
    /// What to do with items that are there already
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub(super) on_conflict: Conflict,
    /// Only check
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) json: Json,
}

/// What an import does with an item that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Conflict {
    /// Write nothing of the file
    Fail,
    /// Leave it as it is
    Skip,
    /// Put the new one in its place
    Replace,
}

impl Conflict {
    /// The word of the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Conflict::Fail => "fail",
            Conflict::Skip => "skip",
            Conflict::Replace => "replace",
        }
    }
}

/// `db export`.
#[derive(Args, Debug)]
pub(super) struct Export {
    /// The models [default: all]
    pub(super) models: Vec<String>,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// properties, or dynamodb for items as they are stored
    #[arg(long, value_name = "FORM", default_value = "properties")]
    pub(super) form: Form,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// {"model":...,"item":{...}}
    Properties,
    /// {"Item":{...}} with typed values, attributes outside the schema included
    Dynamodb,
}

impl Form {
    /// The word of the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Form::Properties => "properties",
            Form::Dynamodb => "dynamodb",
        }
    }
}
