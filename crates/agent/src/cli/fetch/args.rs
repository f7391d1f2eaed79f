//! What can be typed after `periwinkle fetch`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::cli::args::PasswordFrom;

/// `fetch`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = EXAMPLES,
    override_usage = "periwinkle fetch [OPTIONS] [METHOD] URL [ITEM]...\n       \
                      periwinkle fetch [OPTIONS] --aws SERVICE OPERATION [JSON]",
    group = ArgGroup::new("kind").args(["json", "form", "multipart"]),
    group = ArgGroup::new("mode").args(["sse", "ws", "bench", "aws", "output"]),
)]
pub(in crate::cli) struct Fetch {
    /// The method, by default GET, or POST where there is a body; the address; and what is sent:
    /// key=value and key:=json in the body, Header:value, key==value in the query, field@file in a
    /// form, @file as the body (@- is standard input), key=@file and key:=@file from a file
    #[arg(required = true, value_name = "[METHOD] URL [ITEM]")]
    pub(super) words: Vec<String>,

    /// Send key=value as a JSON object, as is the default
    #[arg(long, short = 'j', help_heading = REQUEST)]
    pub(super) json: bool,
    /// Send key=value as a form; with field@file, one in parts
    #[arg(long, short = 'f', help_heading = REQUEST)]
    pub(super) form: bool,
    /// Send a form in parts although it has no file
    #[arg(long, help_heading = REQUEST)]
    pub(super) multipart: bool,
    /// Ask for a part of the bytes, such as 0-999, 1000- or -500
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, conflicts_with = "resume", help_heading = REQUEST)]
    pub(super) range: Option<String>,

    /// Write the body of an answer of success to this file, which appears when it is whole; - is
    /// standard output
    #[arg(long, short = 'o', value_name = "FILE", help_heading = ANSWER)]
    pub(super) output: Option<PathBuf>,
    /// Go on where an earlier download to the same file has ended, and when the connection breaks
    #[arg(long, short = 'c', requires = "output", help_heading = ANSWER)]
    pub(super) resume: bool,
    /// Write the body as it comes, and do not lay JSON out
    #[arg(long, short = 'S', help_heading = ANSWER)]
    pub(super) stream: bool,
    /// What is shown: H and B are the request's head and body, h and b the answer's [default: hb on
    /// a terminal, otherwise b]
    #[arg(long, short = 'p', value_name = "HBhb", help_heading = ANSWER)]
    pub(super) show: Option<String>,
    /// Print the events of an event stream as they come, one line of JSON each, and reconnect
    #[arg(long, help_heading = ANSWER)]
    pub(super) sse: bool,
    /// Open a WebSocket: lines of standard input are sent, messages are printed
    #[arg(long, help_heading = ANSWER)]
    pub(super) ws: bool,

    /// Follow redirects
    #[arg(long, short = 'F', help_heading = CONNECTION)]
    pub(super) follow: bool,
    /// Let redirects carry the header field of this name to other hosts too; repeatable
    #[arg(long, value_name = "NAME", requires = "follow", help_heading = CONNECTION)]
    pub(super) follow_with: Vec<String>,
    /// Try again so often where nothing can happen twice [default: 0, and 7 with --resume]
    #[arg(long, value_name = "N", help_heading = CONNECTION)]
    pub(super) retries: Option<u32>,
    /// Give up after this time, such as '30 s' [default: as long as something arrives]
    #[arg(long, value_name = "TIME", help_heading = CONNECTION)]
    pub(super) timeout: Option<String>,
    /// Give a new connection up after this time [default: `fetch.connect_timeout` for each of name,
    /// TCP, proxy and TLS]
    #[arg(long, value_name = "TIME", help_heading = CONNECTION)]
    pub(super) connect_timeout: Option<String>,
    /// Through this proxy: http://HOST:PORT or socks5://HOST:PORT, with NAME:PASSWORD@ if it asks;
    /// "none" for none. This machine is always reached directly [default: `fetch.proxy`, or
    /// $http_proxy, $https_proxy, $all_proxy, but for $no_proxy]
    #[arg(long, value_name = "URL", help_heading = CONNECTION)]
    pub(super) proxy: Option<String>,
    /// Trust the authorities of this PEM file, and no other
    #[arg(long, value_name = "FILE", help_heading = CONNECTION)]
    pub(super) ca: Option<PathBuf>,
    /// Show this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key", help_heading = CONNECTION)]
    pub(super) cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = CONNECTION)]
    pub(super) key: Option<PathBuf>,
    /// Talk to anybody who says to be the server, whatever the certificate is: nothing that is sent
    /// or received is safe
    #[arg(long, conflicts_with = "ca", help_heading = CONNECTION)]
    pub(super) danger_accept_any_certificate: bool,

    /// Log in; without the password it is asked for. Basic or Digest, as the server asks
    #[arg(long, short = 'u', value_name = "NAME[:PASSWORD]", help_heading = IDENTITY)]
    pub(super) user: Option<String>,
    /// Send name and password at once, without waiting to be asked
    #[arg(long, requires = "user", help_heading = IDENTITY)]
    pub(super) basic: bool,
    /// Never send the password itself: Digest or nothing
    #[arg(long, requires = "user", conflicts_with = "basic", help_heading = IDENTITY)]
    pub(super) digest: bool,
    #[command(flatten, next_help_heading = IDENTITY)]
    pub(super) password: PasswordFrom,
    /// Sign for this service of AWS, such as dynamodb or s3
    #[arg(long, value_name = "SERVICE", conflicts_with = "user", help_heading = IDENTITY)]
    pub(super) sigv4: Option<String>,
    /// The region of AWS [default: as the address says, or `fetch.region`, `sync.region`, $AWS_REGION]
    #[arg(long, help_heading = IDENTITY)]
    pub(super) region: Option<String>,
    /// Keys in the form of AWS's credential_process [default: `sync.credentials_file`, or
    /// $AWS_ACCESS_KEY_ID and its companions]
    #[arg(long, value_name = "FILE", help_heading = IDENTITY)]
    pub(super) credentials: Option<PathBuf>,
    /// Call an operation of AWS, such as `--aws dynamodb ListTables '{}'`
    #[arg(long, conflicts_with_all = ["sigv4", "user", "json", "form", "multipart", "range"], help_heading = IDENTITY)]
    pub(super) aws: bool,
    /// Where the service of AWS is instead [default: for dynamodb, `sync.endpoint`]
    #[arg(long, value_name = "URL", requires = "aws", help_heading = IDENTITY)]
    pub(super) endpoint: Option<String>,

    /// Send the request so often, and print rates and times
    #[arg(long, value_name = "N", help_heading = MEASURING)]
    pub(super) bench: Option<u32>,
    /// With so many on their way at a time
    #[arg(long, value_name = "C", requires = "bench", default_value_t = 1, help_heading = MEASURING)]
    pub(super) clients: u32,
}

impl Fetch {
    /// How often a request is sent again.
    pub(super) fn retries(&self) -> u32 {
        self.retries.unwrap_or(0)
    }
}

const REQUEST: &str = "What is sent";
const ANSWER: &str = "What becomes of the answer";
const CONNECTION: &str = "The way to the server";
const IDENTITY: &str = "Who asks";
const MEASURING: &str = "Measuring";

const EXAMPLES: &str = "\
An address without https:// or http:// means https, and http for this machine: localhost,
127.0.0.1, or :8080 for a port of it.

Exit codes: 0 for an answer of success, 13, 14 and 15 for one of class 3xx, 4xx and 5xx; 3 when the
answer cannot be used, 4 when the server cannot be reached or its certificate is not good, 2 for
files and configuration, 64 for a mistake on the command line.

Examples:
  periwinkle fetch example.com
  periwinkle fetch :8080/api/v1/status --show hb
  periwinkle fetch PUT api.example.com/rooms/7 name=kitchen lamps:=3 X-Token:abc
  periwinkle fetch api.example.com/search q=='blue flower' limit==10
  periwinkle fetch --form api.example.com/upload title=Map map@map.png
  periwinkle fetch POST api.example.com/log Content-Type:text/plain @- < log.txt
  periwinkle fetch example.com/image.iso --output image.iso --resume --follow
  periwinkle fetch --sse api.example.com/events
  periwinkle fetch --sigv4 s3 https://bucket.s3.eu-central-1.amazonaws.com/key
  periwinkle fetch --aws dynamodb ListTables '{}' --region eu-central-1
  periwinkle fetch :8080/api/v1/status --bench 10000 --clients 64";
