//! Which item.

use std::fmt;

/// The primary key of an item: the texts of its partition key and its sort key.
///
/// Ordered as DynamoDB orders them: by partition, then by the UTF-8 bytes of the sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The partition key, such as `dev#thing#rw`.
    pub pk: String,
    /// The sort key, such as `Setting#volume`.
    pub sk: String,
}

impl ItemKey {
    /// The key of these two parts.
    pub fn new(pk: impl Into<String>, sk: impl Into<String>) -> ItemKey {
        ItemKey {
            pk: pk.into(),
            sk: sk.into(),
        }
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}
