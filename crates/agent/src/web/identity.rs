//! Who makes a request, as handlers see it.

use std::fmt;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use periwinkle_core::auth::Role;

use super::problem::Problem;

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody that we know.
    Anonymous,
    /// A session was shown, but the request lacks the proof that the console made it.
    Unproven(&'static str),
    /// A user with a valid session.
    User(Login),
    /// Root or the agent's own user, by way of the control socket.
    Local {
        /// The user, as the kernel says.
        uid: u32,
    },
}

/// A user who is logged in; as an extractor it refuses everybody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user's name; `local:UID` for programs of this machine.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// What the database knows the session by; `None` for programs of this machine.
    pub session: Option<String>,
    /// The proof that unsafe requests of this session carry.
    pub xsrf: String,
}

impl Identity {
    /// The login with at least `role`, or the problem that tells the client what is missing.
    pub fn require(&self, role: Role) -> Result<Login, Problem> {
        let login = match self {
            Identity::Anonymous => return Err(Problem::login_required()),
            Identity::Unproven(why) => {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "request_not_proven",
                    *why,
                ));
            }
            Identity::User(login) => login.clone(),
            Identity::Local { uid } => Login::local(*uid),
        };
        if !login.role.covers(role) {
            let detail = format!(
                "This needs the role {role}; {} has the role {}. An owner can change that.",
                login.name, login.role
            );
            return Err(Problem::new(StatusCode::FORBIDDEN, "role_missing", detail));
        }
        Ok(login)
    }
}

impl Login {
    /// A program of this machine acts as the owner and is named by its user.
    pub fn local(uid: u32) -> Login {
        Login {
            name: format!("local:{uid}"),
            role: Role::Owner,
            session: None,
            xsrf: String::new(),
        }
    }
}

impl fmt::Debug for Login {
    /// Without the proof: whoever logs a login does not log what stands for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("name", &self.name)
            .field("role", &self.role)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Identity, Problem> {
        Ok(parts
            .extensions
            .get()
            .cloned()
            .unwrap_or(Identity::Anonymous))
    }
}

impl<S: Sync> FromRequestParts<S> for Login {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Login, Problem> {
        Identity::from_request_parts(parts, state)
            .await?
            .require(Role::Viewer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_is_printed_does_not_show_its_proof() {
        let login = Login {
            xsrf: "the proof".to_owned(),
            ..Login::local(1000)
        };
        let shown = format!("{:?}", Identity::User(login));
        assert!(shown.contains("local:1000"), "{shown}");
        assert!(!shown.contains("the proof"), "{shown}");
    }
}
