//! What can be typed after `periwinkle mqtt`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand};

use super::super::args::Json;
use super::format::Format;
use crate::cli::failure::Failure;
use crate::mqtt::{Proxy, QoS, Version};

/// `mqtt`.
#[derive(Args, Debug)]
pub(in crate::cli) struct Mqtt {
    #[command(subcommand)]
    pub(super) command: MqttCommand,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum MqttCommand {
    /// Publish messages
    #[command(disable_help_flag = true, after_help = PUB_EXAMPLES)]
    Pub(Box<Publish>),
    /// Print messages as they come
    #[command(disable_help_flag = true, after_help = SUB_EXAMPLES)]
    Sub(Box<Subscribe>),
    /// Ask a question and print its answer
    #[command(disable_help_flag = true, after_help = REQUEST_EXAMPLES)]
    Request(Box<Request>),
    /// Show how the running agent's connection to its broker is
    Status(Json),
    /// Measure a broker: messages to it and back
    #[command(disable_help_flag = true)]
    Bench(Box<Bench>),
}

const PUB_EXAMPLES: &str = "\
Examples:
  periwinkle mqtt pub -h broker -t hall/lamp -m on -q 1 -r
  sensor | periwinkle mqtt pub --url mqtts://broker --cafile ca.pem -t hall/temperature -l -q 1
  periwinkle mqtt pub --agent --durable -t alarm -m fire";

const SUB_EXAMPLES: &str = "\
Examples:
  periwinkle mqtt sub -h broker -t 'hall/#' -v
  periwinkle mqtt sub -t 'hall/#' -T 'hall/private/#' -q 1 -C 10 -W 60 --json
  periwinkle mqtt sub -t '#' -F '%t %q %p'

In -F: %t topic, %p payload, %x and %X payload in hexadecimal, %l its bytes, %q QoS, %r retained
(0 or 1), %d may have come before (0 or 1), %I time, %U time as seconds since 1970, %C content type,
%R response topic, %P user properties, %j the whole message as JSON, %J the same with a payload that
is JSON as such, %% a percent sign; \\n, \\r, \\t, \\0, \\a, \\e, \\v and \\\\ as usual. `-F json` is --json.";

const REQUEST_EXAMPLES: &str = "\
Example:
  periwinkle mqtt request -h broker -t service/time -m now -W 5";

/// `mqtt pub`.
#[derive(Args, Debug)]
pub(super) struct Publish {
    /// Where to
    #[arg(short, long, required_unless_present = "url")]
    pub(super) topic: Option<String>,
    #[command(flatten)]
    pub(super) what: What,
    /// How hard to try: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = quality, hide_possible_values = true)]
    pub(super) qos: QoS,
    /// The broker keeps it for whoever subscribes later
    #[arg(short, long)]
    pub(super) retain: bool,
    /// Drop it when it could not be delivered within so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(super) expiry: Option<u64>,
    /// Say what kind of content it is, such as application/json
    #[arg(long, value_name = "KIND")]
    pub(super) content_type: Option<String>,
    /// Add a user property; may be given several times
    #[arg(short = 'D', long = "property", value_name = "NAME=VALUE", value_parser = property)]
    pub(super) properties: Vec<(String, String)>,
    /// Publish it so many times
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(super) repeat: u32,
    /// The pause between them
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(super) repeat_delay: Duration,
    /// On flash before it is accepted: safe from a power cut
    #[arg(long, requires = "agent")]
    pub(super) durable: bool,
    #[command(flatten)]
    pub(super) json: Json,
    #[command(flatten)]
    pub(super) broker: Broker,
}

/// What is published.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct What {
    /// This text
    #[arg(short, long, value_name = "TEXT")]
    pub(super) message: Option<String>,
    /// The content of this file
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Each line of standard input by itself
    #[arg(short = 'l', long = "stdin-line")]
    pub(super) lines: bool,
    /// All of standard input at once
    #[arg(short = 's', long = "stdin-file")]
    pub(super) stdin: bool,
    /// Nothing
    #[arg(short, long = "null-message")]
    pub(super) null: bool,
}

/// `mqtt sub`.
#[derive(Args, Debug)]
pub(super) struct Subscribe {
    /// Which topics; may be given several times
    #[arg(
        short,
        long = "topic",
        value_name = "FILTER",
        required_unless_present = "url"
    )]
    pub(super) topics: Vec<String>,
    /// Leave out messages to these topics; may be given several times
    #[arg(short = 'T', long = "filter-out", value_name = "FILTER")]
    pub(super) filter_out: Vec<String>,
    /// The highest quality of service
    #[arg(short, long, default_value = "0", value_parser = quality, hide_possible_values = true)]
    pub(super) qos: QoS,
    /// End after so many messages
    #[arg(short = 'C', long, value_name = "COUNT")]
    pub(super) count: Option<u64>,
    /// End after so many seconds; with -C, fail if there were fewer messages
    #[arg(short = 'W', long = "wait", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) wait: Option<Duration>,
    /// Print each message in this form
    #[arg(short = 'F', long = "format", value_name = "FORMAT", value_parser = Format::parse)]
    pub(super) format: Option<Format>,
    /// Print the topic before the payload
    #[arg(short, long, conflicts_with_all = ["format", "json"])]
    pub(super) verbose: bool,
    /// No newline after a message
    #[arg(short = 'N', long = "no-newline", conflicts_with = "json")]
    pub(super) no_newline: bool,
    /// Leave out what the broker had kept from before
    #[arg(short = 'R', long, conflicts_with = "retained_only")]
    pub(super) no_retained: bool,
    /// Only what the broker had kept from before; end with the first message that is new
    #[arg(long)]
    pub(super) retained_only: bool,
    /// End once the broker has acknowledged the subscriptions
    #[arg(short = 'E', conflicts_with_all = ["agent", "count", "wait"])]
    pub(super) only_subscribe: bool,
    /// Print one line of JSON for each message
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) broker: Broker,
}

/// `mqtt request`.
#[derive(Args, Debug)]
pub(super) struct Request {
    /// Where the question goes
    #[arg(short, long, required_unless_present = "url")]
    pub(super) topic: Option<String>,
    #[command(flatten)]
    pub(super) what: What,
    /// How hard to try to get it to the broker
    #[arg(short, long, default_value = "1", value_parser = quality, hide_possible_values = true)]
    pub(super) qos: QoS,
    /// How long to wait for the answer
    #[arg(short = 'W', long = "wait", value_name = "SECONDS", default_value = "10", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) wait: Duration,
    /// Where the answer comes [default: a topic of this client's own; with -V 311, `replies`]
    #[arg(short = 'e', long, value_name = "TOPIC", conflicts_with = "agent")]
    pub(super) response_topic: Option<String>,
    #[command(flatten)]
    pub(super) json: Json,
    #[command(flatten)]
    pub(super) broker: Broker,
}

/// `mqtt bench`.
#[derive(Args, Debug)]
pub(super) struct Bench {
    /// Where to publish; nobody else should [default: periwinkle/bench/CLIENT_ID]
    #[arg(short, long)]
    pub(super) topic: Option<String>,
    /// How many messages
    #[arg(short, long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(super) number: u32,
    /// Bytes of each
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=100_000))]
    pub(super) size: u32,
    /// The quality of service, to the broker and back
    #[arg(short, long, default_value = "1", value_parser = quality, hide_possible_values = true)]
    pub(super) qos: QoS,
    /// Messages on their way at once
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) window: u16,
    #[command(flatten)]
    pub(super) json: Json,
    #[command(flatten)]
    pub(super) broker: Broker,
}

/// Which broker, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "The broker")]
pub(super) struct Broker {
    /// Through the running agent: its connection, its queue
    #[arg(long, conflicts_with_all = OWN_CONNECTION)]
    pub(super) agent: bool,
    /// Where it is: mqtt://, mqtts://, ws:// or wss://, host, and port if it is not the usual one;
    /// with user and password as in mqtt://USER:PASSWORD@HOST, and with mqtt and mqtts a topic
    /// behind the next slash
    #[arg(short = 'L', long, conflicts_with_all = ["host", "port"], value_parser = Url::parse)]
    pub(super) url: Option<Url>,
    /// Its host [default: localhost]
    #[arg(short = 'h', long)]
    pub(super) host: Option<String>,
    /// Its port [default: 1883, with --cafile or --cert 8883]
    #[arg(short, long)]
    pub(super) port: Option<u16>,
    /// The protocol: 5 or 311
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "5", value_parser = version, hide_possible_values = true)]
    pub(super) version: Version,
    /// The client id [default: periwinkle- and a random number]
    #[arg(short, long, value_name = "CLIENT_ID")]
    pub(super) id: Option<String>,
    /// The user
    #[arg(short, long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// The password, which other users of this machine can see
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD")]
    pub(super) password: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub(super) password_file: Option<PathBuf>,
    /// The longest time without a sign of life
    #[arg(short, long, value_name = "SECONDS", default_value = "60", value_parser = keep_alive)]
    pub(super) keepalive: Duration,
    /// Messages with QoS 1 and 2 on their way at once [default: 1000, with -V 311 20]
    #[arg(short = 'M', long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) max_inflight: Option<u16>,
    /// Go on with the session that the broker keeps for this client id
    #[arg(short = 'c', long, requires = "id")]
    pub(super) disable_clean_session: bool,
    /// How long the broker keeps the session
    #[arg(short = 'x', long, value_name = "SECONDS", requires = "disable_clean_session", value_parser = seconds)]
    pub(super) session_expiry_interval: Option<Duration>,
    /// Trust the authorities in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) cafile: Option<PathBuf>,
    /// Our certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(super) cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// What is spoken over TLS, such as x-amzn-mqtt-ca on port 443 of AWS IoT
    #[arg(long, value_name = "PROTOCOL")]
    pub(super) tls_alpn: Option<String>,
    /// The way through: http://HOST:PORT or socks5h://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<Proxy>,
    /// The longest pause before the next attempt after the connection was lost
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(super) pause_max: Duration,
    /// What the broker publishes when this client vanishes: where to
    #[arg(long, value_name = "TOPIC")]
    pub(super) will_topic: Option<String>,
    /// The will's payload
    #[arg(long, value_name = "TEXT", requires = "will_topic")]
    pub(super) will_payload: Option<String>,
    /// The will's quality of service
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = quality, hide_possible_values = true)]
    pub(super) will_qos: QoS,
    /// The broker keeps the will for whoever subscribes later
    #[arg(long, requires = "will_topic")]
    pub(super) will_retain: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help, help_heading = "Options of every command")]
    help: Option<bool>,
}

/// An address that may hold more, as mosquitto's tools take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) address: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) topic: Option<String>,
}

impl Url {
    /// Never fails: what is wrong with the address is told by who connects to it.
    fn parse(text: &str) -> Result<Url, Infallible> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (username, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            Some(Ok((name, password))) => (Some(name), Some(password)),
            Some(Err(name)) => (Some(name), None),
            None => (None, None),
        };
        let topic = path.strip_prefix('/').filter(|topic| !topic.is_empty());
        // With WebSockets the path belongs to the address.
        let (path, topic) = match scheme {
            "mqtt" | "mqtts" => ("", topic),
            _ => (path, None),
        };
        Ok(Url {
            address: format!("{scheme}://{place}{path}"),
            username: username.map(str::to_owned),
            password: password.map(str::to_owned),
            topic: topic.map(str::to_owned),
        })
    }
}

impl Broker {
    /// The topic that was given, or else that of the address.
    fn topic<'a>(&'a self, given: Option<&'a String>) -> Result<&'a str, Failure> {
        let of_url = || self.url.as_ref()?.topic.as_ref();
        let topic = given.or_else(of_url);
        topic.map(String::as_str).ok_or_else(no_topic)
    }
}

fn no_topic() -> Failure {
    Failure::usage("-t: which topic? The address names none")
}

impl Publish {
    pub(super) fn topic(&self) -> Result<&str, Failure> {
        self.broker.topic(self.topic.as_ref())
    }
}

impl Request {
    pub(super) fn topic(&self) -> Result<&str, Failure> {
        self.broker.topic(self.topic.as_ref())
    }
}

impl Subscribe {
    /// That of the address first.
    pub(super) fn topics(&self) -> Result<Vec<&str>, Failure> {
        let of_url = self.broker.url.as_ref().and_then(|url| url.topic.as_ref());
        let topics: Vec<&str> = of_url
            .into_iter()
            .chain(&self.topics)
            .map(String::as_str)
            .collect();
        match topics.is_empty() {
            true => Err(no_topic()),
            false => Ok(topics),
        }
    }
}

/// Options that say nothing when the agent has the connection.
const OWN_CONNECTION: [&str; 22] = [
    "url",
    "host",
    "port",
    "id",
    "username",
    "password",
    "password_file",
    "disable_clean_session",
    "cafile",
    "cert",
    "key",
    "tls_alpn",
    "proxy",
    "will_topic",
    "session_expiry_interval",
    "max_inflight",
    "version",
    "keepalive",
    "pause_max",
    "will_payload",
    "will_qos",
    "will_retain",
];

fn quality(text: &str) -> Result<QoS, String> {
    match text {
        "0" => Ok(QoS::AtMostOnce),
        "1" => Ok(QoS::AtLeastOnce),
        "2" => Ok(QoS::ExactlyOnce),
        _ => Err("it is 0, 1 or 2".to_owned()),
    }
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "5" | "mqttv5" => Ok(Version::V5),
        "311" | "mqttv311" | "3.1.1" => Ok(Version::V311),
        _ => Err("it is 5 or 311".to_owned()),
    }
}

/// At most a year, so that nothing that adds to a time can overflow.
fn seconds(text: &str) -> Result<Duration, String> {
    const SECONDS_MAX: f64 = 365.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=SECONDS_MAX).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("it is a number of seconds, such as 0.5 or 60".to_owned()),
    }
}

/// Two bytes hold it.
fn keep_alive(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(time) if time <= Duration::from_secs(u16::MAX.into()) => Ok(time),
        _ => Err("it is a number of seconds up to 65535; 0 is none".to_owned()),
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it has the form NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Arguments, Command, Parsed, parse};

    fn parsed(words: &str) -> Parsed {
        let words = format!("periwinkle mqtt {words}");
        parse(words.split(' ').map(std::ffi::OsString::from))
    }

    #[track_caller]
    fn command(words: &str) -> MqttCommand {
        match parsed(words) {
            Parsed::Arguments(arguments) => match *arguments {
                Arguments {
                    command: Some(Command::Mqtt(mqtt)),
                    ..
                } => mqtt.command,
                other => panic!("{words}: {other:?}"),
            },
            other => panic!("{words}: {other:?}"),
        }
    }

    #[test]
    fn the_letters_are_those_of_mosquitto() {
        let words = "pub -h b -p 99 -V 311 -i me -u ada -P x -k 5 -c -t a/b -m hi -q 2 -r";
        let MqttCommand::Pub(it) = command(words) else {
            panic!("{words}");
        };
        assert_eq!(it.broker.host.as_deref(), Some("b"));
        assert_eq!(it.broker.port, Some(99));
        assert_eq!(it.broker.version, Version::V311);
        assert_eq!(it.broker.id.as_deref(), Some("me"));
        assert_eq!(it.broker.keepalive, Duration::from_secs(5));
        assert!(it.broker.disable_clean_session && it.retain);
        assert_eq!(
            (it.topic.as_deref(), it.qos),
            (Some("a/b"), QoS::ExactlyOnce)
        );
        assert_eq!(it.what.message.as_deref(), Some("hi"));
        let words = "sub -t a -t b/# -T b/c -q 1 -C 3 -W 0.5 -v -N -R";
        let MqttCommand::Sub(it) = command(words) else {
            panic!("{words}");
        };
        assert_eq!(it.topics, ["a", "b/#"]);
        assert_eq!(it.filter_out, ["b/c"]);
        assert_eq!(
            (it.count, it.wait),
            (Some(3), Some(Duration::from_millis(500)))
        );
        assert!(it.verbose && it.no_newline && it.no_retained);
    }

    #[test]
    fn an_address_may_hold_user_password_and_topic() {
        let table = [
            ("mqtt://b", ("mqtt://b", None, None, None)),
            ("b:99", ("mqtt://b:99", None, None, None)),
            (
                "mqtts://ada:p@ss:w@b:8883/hall/lamp",
                (
                    "mqtts://b:8883",
                    Some("ada"),
                    Some("p@ss:w"),
                    Some("hall/lamp"),
                ),
            ),
            (
                "mqtt://ada@[::1]/",
                ("mqtt://[::1]", Some("ada"), None, None),
            ),
            ("wss://b/mqtt", ("wss://b/mqtt", None, None, None)),
        ];
        for (text, (address, username, password, topic)) in table {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.address, address);
            assert_eq!(
                (
                    url.username.as_deref(),
                    url.password.as_deref(),
                    url.topic.as_deref()
                ),
                (username, password, topic),
                "{text}"
            );
        }
        let MqttCommand::Sub(it) = command("sub -L mqtt://b/a/# -t c") else {
            panic!("a subscription");
        };
        assert_eq!(it.topics().unwrap(), ["a/#", "c"]);
        let MqttCommand::Pub(it) = command("pub -L mqtt://b -m x") else {
            panic!("a message");
        };
        assert_eq!(it.topic().unwrap_err().code, 64);
    }

    #[test]
    fn a_mistake_is_explained() {
        for (words, part) in [
            ("pub -t a", "required"),
            ("pub -t a -m x -n", "cannot be used with"),
            ("pub -t a -m x -q 3", "it is 0, 1 or 2"),
            ("pub -t a -m x -V 4", "it is 5 or 311"),
            ("pub -t a -m x -D name", "NAME=VALUE"),
            ("pub -t a -m x --durable", "--agent"),
            ("pub -t a -m x -c", "--id"),
            ("pub -t a -m x --cert c.pem", "--key"),
            ("pub -t a -m x --agent -h b", "cannot be used with"),
            ("pub -t a -m x --url mqtt://b -p 1", "cannot be used with"),
            ("sub", "--topic"),
            ("pub -t a -m x --agent -V 311", "cannot be used with"),
            ("sub -t a --agent -k 5", "cannot be used with"),
            ("pub -t a -m x -k 65536", "up to 65535"),
            ("pub -t a -m x -k 99999999", "up to 65535"),
            ("sub -t a -W -1", "number of seconds"),
            ("sub -t a -F %z", "%z"),
            ("bench --window 0", "window"),
        ] {
            match parsed(words) {
                Parsed::Usage(text) => assert!(text.contains(part), "{words}: {text}"),
                other => panic!("{words}: {other:?}"),
            }
        }
    }

    #[test]
    fn h_is_the_host_and_help_is_spelled_out() {
        for verb in ["pub", "sub", "request", "bench"] {
            match parsed(&format!("{verb} --help")) {
                Parsed::Text(text) => {
                    assert!(text.contains("-h, --host"), "{text}");
                    assert!(text.contains("--help"), "{text}");
                }
                other => panic!("{verb}: {other:?}"),
            }
        }
    }
}
