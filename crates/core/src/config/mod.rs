//! The typed configuration: `periwinkle.toml` with profiles, environment and command line.
//!
//! [`load()`] takes texts and returns a [`Config`], the origin of each value, and hints; or every
//! error it found, each with its place. It reads no file and no environment itself.
//!
//! ```
//! use periwinkle_core::config::{File, Sources, load};
//!
//! let loaded = load(&Sources {
//!     file: Some(File { name: "periwinkle.toml", text: "[db]\nflush = '2 s'\n" }),
//!     features: &["web", "metrics", "mqtt", "fetch", "sync", "upload"],
//!     ..Sources::default()
//! })
//! .unwrap();
//! assert_eq!(loaded.config.db.flush.as_secs(), 2);
//!
//! let errors = load(&Sources {
//!     file: Some(File { name: "periwinkle.toml", text: "[web]\nlistne = []\n" }),
//!     ..Sources::default()
//! })
//! .unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "periwinkle.toml:2: unknown key `web.listne`; did you mean `web.listen`?"
//! );
//! ```

mod combine;
mod error;
mod keys;
mod listener;
mod load;
mod mqtt;
mod reference;
mod route;
mod setting;
mod sources;
mod table;
mod types;
mod units;
mod watch;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, ConfigErrors, Problem};
pub use keys::{
    Config, Control, Db, Device, Fetch, Log, Metrics, Mqtt, Runtime, Sync, Upload, Web,
};
pub use listener::{ListenHost, Listener, Scheme};
pub use load::{Effective, Loaded, load};
pub use mqtt::{
    Alpn, Broker, BrokerProfile, ClientId, MqttSchedule, MqttVersion, Overflow, Password, Topic,
    TopicFilter, UserName,
};
pub use reference::reference;
pub use route::{InRoute, ModelName, OutRoute, Route};
pub use sources::{File, Origin, Override, Sources};
pub use types::{
    BucketName, BypassEntry, Bytes, Credentials, DeviceId, DeviceName, Endpoint, Expiry, HostName,
    LogFormat, LogLevel, ProxyAddress, Region, TableName, UploadChecksum,
};
pub use watch::{KEY_TEMPLATE, KEY_VARIABLES, NAMELESS_KEY_VARIABLES, ObjectKeys, Watch};
