//! What a user may do.

use std::fmt;
use std::str::FromStr;

/// What a user may do; each role may do everything that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything but users and secrets.
    Viewer,
    /// Change data.
    Editor,
    /// Everything, users included.
    Owner,
}

impl Role {
    /// All roles, rising.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Editor, Role::Owner];

    /// The role's word in the interface and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Owner => "owner",
        }
    }

    /// Whether this role may do what `needed` may.
    pub fn covers(self, needed: Role) -> bool {
        self >= needed
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is `viewer`, `editor` or `owner`")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Role, UnknownRole> {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_covers_itself_and_the_ones_before_it() {
        for (index, role) in Role::ALL.into_iter().enumerate() {
            for (other_index, other) in Role::ALL.into_iter().enumerate() {
                assert_eq!(role.covers(other), index >= other_index, "{role} {other}");
            }
        }
    }

    #[test]
    fn roles_read_back_from_their_words() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        for word in ["", "Owner", "admin", "owner "] {
            assert_eq!(word.parse::<Role>(), Err(UnknownRole));
        }
    }
}
