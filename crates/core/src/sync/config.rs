//! What the machine is told about the table, the device and the models.

use super::record::ItemKey;
use crate::limits::{SYNC_LANES_MAX, SYNC_POLL_MS};
use std::time::Duration;

/// Everything that the replication of one database needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The table's name.
    pub table: String,
    /// The region that it lives in, for status only.
    pub region: String,
    /// The device's name: the thing in `dev#<thing>#...`.
    pub device: String,
    /// What the device writes to `_w`.
    pub writer: String,
    /// The major number of our schema, written to `_s`.
    pub schema: u32,
    /// The synced models; a key that belongs to none of them is left alone.
    pub models: Vec<ModelRule>,
    /// The device's own partitions that are read again on every pass, such as `dev#<thing>#rw`.
    pub partitions: Vec<String>,
    /// Time between two passes over these partitions.
    pub poll: Duration,
    /// How many writes may be on their way at once.
    pub lanes: usize,
    /// Parts of the protocol that a proof may take out.
    pub rules: Rules,
}

impl Config {
    /// A configuration with the defaults for everything but the names.
    pub fn new(table: impl Into<String>, device: impl Into<String>) -> Config {
        Config {
            table: table.into(),
            region: String::new(),
            device: device.into(),
            writer: "device".to_owned(),
            schema: 1,
            models: Vec::new(),
            partitions: Vec::new(),
            poll: Duration::from_millis(SYNC_POLL_MS),
            lanes: SYNC_LANES_MAX,
            rules: Rules::default(),
        }
    }

    /// The model of an item: the one whose key templates begin like the key, the longest first.
    ///
    /// Service rows, whose sort keys begin with `~`, belong to none.
    pub fn model_of(&self, key: &ItemKey) -> Option<&ModelRule> {
        if key.sk.starts_with('~') {
            return None;
        }
        let fits = |model: &&ModelRule| {
            key.sk.starts_with(&model.sk_prefix) && key.pk.starts_with(&model.pk_prefix)
        };
        let length = |model: &&ModelRule| model.sk_prefix.len() + model.pk_prefix.len();
        self.models.iter().filter(fits).max_by_key(length)
    }
}

/// One synced model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRule {
    /// Its name.
    pub name: String,
    /// How its partition keys begin: the template up to its first unknown variable.
    pub pk_prefix: String,
    /// How its sort keys begin, such as `Setting#`.
    pub sk_prefix: String,
    /// Which way its changes travel.
    pub direction: Direction,
    /// Which side stays when both changed a field, or both made an item.
    pub policy: Policy,
    /// Which side stays when one deleted what the other edited.
    pub deletes: DeletePolicy,
    /// What to do when the evidence of an attempt was erased before it was answered.
    pub uncertain: OnUncertain,
    /// The field that holds the time of the last write, if the model has timestamps.
    pub updated: Option<String>,
}

impl ModelRule {
    /// A model with the default policies of its direction: upwards the device decides, otherwise
    /// the cloud.
    pub fn new(
        name: impl Into<String>,
        pk_prefix: impl Into<String>,
        sk_prefix: impl Into<String>,
        direction: Direction,
    ) -> ModelRule {
        let policy = if direction == Direction::Up {
            Policy::Device
        } else {
            Policy::Cloud
        };
        ModelRule {
            name: name.into(),
            pk_prefix: pk_prefix.into(),
            sk_prefix: sk_prefix.into(),
            direction,
            policy,
            deletes: DeletePolicy::EditWins,
            uncertain: OnUncertain::Recreate,
            updated: None,
        }
    }
}

/// Which way the changes of a model travel: *up* is device to cloud, *down* the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device to the cloud.
    Up,
    /// From the cloud to the device.
    Down,
    /// Both ways.
    Both,
    /// Neither way: the model stays on the device.
    None,
}

impl Direction {
    /// The word for it in schema and API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Up => "up",
            Direction::Down => "down",
            Direction::Both => "both",
            Direction::None => "none",
        }
    }

    /// Whether local changes travel to the cloud.
    pub const fn is_up(self) -> bool {
        matches!(self, Direction::Up | Direction::Both)
    }

    /// Whether changes in the cloud travel to the device.
    pub const fn is_down(self) -> bool {
        matches!(self, Direction::Down | Direction::Both)
    }
}

/// Which side stays when both changed the same field. The loser is always kept as a
/// [`Conflict`](super::store::Conflict).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The cloud's value.
    Cloud,
    /// The device's value.
    Device,
    /// The later one, as far as clocks can be trusted; the cloud's if they cannot.
    LastWrite,
}

/// Which side stays when one deleted what the other one edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// The edit; the item lives on.
    EditWins,
    /// The deletion.
    DeleteWins,
}

/// What to do with a change that may or may not have been applied and then erased by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUncertain {
    /// Go on as if it had not been applied: the state must get there.
    Recreate,
    /// Go on as if it had been applied and erased since.
    Drop,
}

/// Parts of the protocol, all on.
///
/// They exist for proof only: the simulation takes each one out and must see histories break, so
/// that nobody removes one by accident and believes the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
#[non_exhaustive]
pub struct Rules {
    /// An attempt is repeated as it is until it is answered.
    pub frozen_attempts: bool,
    /// A write holds the old values of the fields that it touches.
    pub field_comparison: bool,
    /// Every start takes a new epoch.
    pub epoch_per_start: bool,
    /// A failed condition with our mark in the item is our own success.
    pub own_marks: bool,
    /// A copy counts only if its read began after the last answer, with nothing on its way.
    pub read_rule: bool,
    /// The absence of an item from a page is confirmed before it counts.
    pub confirmed_absence: bool,
    /// A delete leaves a grave that late copies of earlier writes fall into.
    pub graves: bool,
    /// An attempt leaves only after its mark is durable.
    pub durable_marks: bool,
    /// A late create that landed between a delete and its answer is no reason to keep the item.
    pub overtaken_deletes: bool,
    /// A delete or replacement is shown what it took along.
    pub shown_deletes: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            frozen_attempts: true,
            field_comparison: true,
            epoch_per_start: true,
            own_marks: true,
            read_rule: true,
            confirmed_absence: true,
            graves: true,
            durable_marks: true,
            overtaken_deletes: true,
            shown_deletes: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_template_names_the_model() {
        let mut config = Config::new("table", "a");
        config.models = vec![
            ModelRule::new("Any", "dev#a#rw", "", Direction::Both),
            ModelRule::new("Setting", "dev#a#rw", "Setting#", Direction::Both),
            ModelRule::new("Metric", "dev#a#up#", "Metric#", Direction::Up),
        ];
        let name = |pk: &str, sk: &str| {
            config
                .model_of(&ItemKey::new(pk, sk))
                .map(|model| model.name.clone())
        };
        assert_eq!(name("dev#a#rw", "Setting#1").as_deref(), Some("Setting"));
        assert_eq!(name("dev#a#rw", "Other#1").as_deref(), Some("Any"));
        assert_eq!(
            name("dev#a#up#2026-11", "Metric#1").as_deref(),
            Some("Metric")
        );
        assert_eq!(name("dev#b#rw", "Setting#1"), None);
        assert_eq!(name("dev#a#rw", "~del#Setting#1"), None);
    }
}
