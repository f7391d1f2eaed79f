//! The types of single values that are not plain numbers, times or paths.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::listener::{Scheme, parse_port, split_port};
use super::setting::{Element, Raw, Setting, mismatch, parse_text, quote};
use super::units;
use crate::fetch::proxy::{Bypass, Proxy};
use crate::limits::{DEVICE_ID_BYTES_MAX, DEVICE_NAME_CHARS_MAX, HOST_NAME_BYTES_MAX};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// For lengths in memory; the largest there is when it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&units::show_size(self.0))
    }
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        let size = units::parse_size(text).map(Bytes);
        size.ok_or_else(|| format!("{text:?} is not {}", <Bytes as Setting>::KIND))
    }
}

impl Setting for Bytes {
    const KIND: &'static str = "a size with its unit, such as \"20 MB\" or \"64 KiB\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Bytes, String> {
        parse_text(raw, |text| {
            let size = units::parse_size(text).map(Bytes);
            size.ok_or_else(|| mismatch::<Bytes>(raw))
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}

/// A time after which something ends, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expiry {
    /// It ends after this time.
    After(Duration),
    /// It does not end by itself.
    Never,
}

impl Expiry {
    /// The time, if there is one.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Expiry::After(time) => Some(time),
            Expiry::Never => None,
        }
    }
}

impl std::str::FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Expiry, String> {
        if text.eq_ignore_ascii_case("never") {
            return Ok(Expiry::Never);
        }
        let time = units::parse_duration(text).map(Expiry::After);
        time.ok_or_else(|| format!("{text:?} is not {}", <Expiry as Setting>::KIND))
    }
}

impl Setting for Expiry {
    const KIND: &'static str = "a time with its unit, such as \"10 mins\", or \"never\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Expiry, String> {
        parse_text(raw, |text| {
            if text.eq_ignore_ascii_case("never") {
                return Ok(Expiry::Never);
            }
            let time = units::parse_duration(text).map(Expiry::After);
            time.ok_or_else(|| mismatch::<Expiry>(raw))
        })
    }

    fn show(&self) -> Option<String> {
        match self {
            Expiry::After(time) => time.show(),
            Expiry::Never => Some(quote("never")),
        }
    }
}

/// A value that is one of a few words.
macro_rules! choice {
    (
        $(#[$meta:meta])* $Name:ident, $kind:literal {
            $( $(#[$variant_meta:meta])* $Variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Name {
            $( $(#[$variant_meta])* $Variant, )+
        }

        impl $Name {
            /// The word in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( $Name::$Variant => $word, )+
                }
            }
        }

        impl Setting for $Name {
            const KIND: &'static str = $kind;

            fn parse(raw: &Raw, _: &Path) -> Result<$Name, String> {
                parse_text(raw, |text| match text {
                    $( $word => Ok($Name::$Variant), )+
                    _ => Err(mismatch::<$Name>(raw)),
                })
            }

            fn show(&self) -> Option<String> {
                Some(quote(self.as_str()))
            }
        }
    };
}

choice! {
    /// How severe a log line must be to be written.
    LogLevel, "\"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"" {
        /// Nothing at all.
        Off = "off",
        /// Something is broken and someone must act.
        Error = "error",
        /// Odd, but working.
        Warn = "warn",
        /// Changes of state that the owner cares about.
        Info = "info",
        /// Decisions.
        Debug = "debug",
        /// Every message.
        Trace = "trace",
    }
}

choice! {
    /// How a log line is written.
    LogFormat, "\"text\" or \"json\"" {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// Where the credentials of the cloud come from.
    Credentials, "\"env\" or \"file\"" {
        /// The variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
        Environment = "env",
        /// The file `sync.credentials_file`.
        File = "file",
    }
}

/// A text that was checked once and is as it must be ever after.
macro_rules! checked_text {
    ($(#[$meta:meta])* $Name:ident, $kind:literal, $normal:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Name(String);

        impl $Name {
            /// The text if it can be one; otherwise why not, as a phrase that follows the name
            /// of a key.
            pub fn new(text: &str) -> Result<$Name, String> {
                let normal: fn(&str) -> Option<String> = $normal;
                normal(text)
                    .map($Name)
                    .ok_or_else(|| format!("must be {}, not {}", $kind, quote(text)))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Setting for $Name {
            const KIND: &'static str = $kind;

            fn parse(raw: &Raw, _: &Path) -> Result<$Name, String> {
                parse_text(raw, $Name::new)
            }

            fn show(&self) -> Option<String> {
                Some(quote(&self.0))
            }
        }
    };
}

checked_text! {
    /// The id of a device: a thing name of AWS IoT (API reference, CreateThing).
    DeviceId,
    "1 to 128 letters, digits, `:`, `_` or `-`, such as \"pump-7\"",
    |text| {
        let fits = (1..=DEVICE_ID_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b":_-".contains(&b));
        fits.then(|| text.to_owned())
    }
}

checked_text! {
    /// The name of a device that people read.
    DeviceName,
    "1 to 128 characters without control characters, such as \"Pump in the cellar\"",
    |text| {
        let fits = (1..=DEVICE_NAME_CHARS_MAX).contains(&text.chars().count())
            && !text.chars().any(char::is_control);
        fits.then(|| text.to_owned())
    }
}

checked_text! {
    /// The name of a DynamoDB table (developer guide, naming rules).
    TableName,
    "a table's name: 3 to 255 letters, digits, `_`, `-` or `.`, such as \"periwinkle\"",
    |text| {
        let fits = (3..=255).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        fits.then(|| text.to_owned())
    }
}

checked_text! {
    /// The name of a bucket (S3 User Guide, "Bucket naming rules").
    BucketName,
    "a bucket's name: 3 to 63 small letters, digits, dots and hyphens, such as \"pumps-7\"",
    |text| crate::aws::s3::Bucket::is_name(text).then(|| text.to_owned())
}

choice! {
    /// Which checksum S3 compares.
    UploadChecksum, "\"crc64nvme\" or \"crc32\"" {
        /// CRC-64/NVME, which S3 itself prefers.
        Crc64Nvme = "crc64nvme",
        /// CRC-32, which every stand-in of S3 understands.
        Crc32 = "crc32",
    }
}

checked_text! {
    /// The code of an AWS region.
    Region,
    "a region's code, such as \"eu-central-1\"",
    |text| {
        let fits = (1..=63).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| text.to_owned())
    }
}

/// The address of a proxy, with name and password if it asks for them; those are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress(pub Proxy);

/// Proxies have no order; a key has no bounds for them.
impl PartialOrd for ProxyAddress {
    fn partial_cmp(&self, other: &ProxyAddress) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Setting for ProxyAddress {
    const KIND: &'static str =
        "a proxy's address, such as \"http://proxy.local:3128\" or \"socks5h://10.0.0.1\"";

    /// What is wrong is told without the text, which may hold a password.
    fn parse(raw: &Raw, _: &Path) -> Result<ProxyAddress, String> {
        parse_text(raw, |text| match Proxy::parse(text) {
            Ok(proxy) => Ok(ProxyAddress(proxy)),
            Err(error) => Err(format!("must be {}: {error}", ProxyAddress::KIND)),
        })
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0.to_string()))
    }
}

checked_text! {
    /// A host, address or network that is reached without a proxy.
    BypassEntry,
    "a host, an address or a network, such as \"pump.local\" or \"10.0.0.0/8\"",
    |text| {
        let one = !text.is_empty() && !text.contains([',', ' ']);
        (one && Bypass::parse(text).is_ok()).then(|| text.to_owned())
    }
}

checked_text! {
    /// The name of a host, in lower case and without a dot at its end.
    HostName,
    "a host's name without scheme and port, such as \"pump.local\"",
    |text| {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        (name.len() <= HOST_NAME_BYTES_MAX && name.split('.').all(label)).then_some(name)
    }
}

pub(super) use {checked_text, choice};
impl Element for BypassEntry {
    const LIST_KIND: &'static str =
        "a list of hosts, addresses and networks, such as `[\"pump.local\", \"10.0.0.0/8\"]`";
}

impl Element for HostName {
    const LIST_KIND: &'static str = "a list of host names, such as `[\"pump.local\"]`";
}

/// The base URL of a service: scheme, host and port, no path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Endpoint {
    /// The endpoint that `text` names; otherwise why not, as a phrase that follows the name of
    /// a key.
    pub fn new(text: &str) -> Result<Endpoint, String> {
        parse_endpoint(text).ok_or_else(|| {
            format!(
                "must be {}, not {}",
                <Endpoint as Setting>::KIND,
                quote(text)
            )
        })
    }

    /// Plain or under TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or IP address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, named or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is this machine, as far as its name says.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// What goes into the `Host` header and the signature: the port only where it must stand.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match self.port == self.scheme.default_port() {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }
}

fn parse_endpoint(text: &str) -> Option<Endpoint> {
    let (scheme, rest) = match text.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let (host, port) = split_port(rest.strip_suffix('/').unwrap_or(rest))?;
    let host = match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => HostName::new(host).ok()?.0,
    };
    let port = match port {
        None => scheme.default_port(),
        Some(port) => parse_port(port).filter(|port| *port != 0)?,
    };
    Some(Endpoint { scheme, host, port })
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

impl Setting for Endpoint {
    const KIND: &'static str = "a URL without a path, such as \"http://127.0.0.1:4566\"";

    fn parse(raw: &Raw, _: &Path) -> Result<Endpoint, String> {
        parse_text(raw, Endpoint::new)
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }
}
