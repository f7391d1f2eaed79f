//! Who may do what: roles, passwords, the setup code, login throttling, sessions, and the checks
//! that keep foreign web pages out.
//!
//! All of it is pure: entropy and [`Now`](crate::time::Now) are arguments, hashing of passwords
//! and storage belong to the agent.
//!
//! ```
//! use periwinkle_core::auth::{Role, SessionPolicy, SessionToken, Sessions, Standing, UserName};
//! use periwinkle_core::time::{Mono, Now};
//!
//! let now = Now { mono: Mono::ZERO, wall: None, trusted: false };
//! let mut sessions = Sessions::new(SessionPolicy::default());
//! let token = SessionToken::from_entropy([7; 32]);
//! sessions.open(token.id(), UserName::new("ada").unwrap(), now);
//!
//! // Later, with the text of a cookie:
//! let token = SessionToken::parse(token.expose()).unwrap();
//! assert!(matches!(sessions.touch(&token.id(), now), Standing::Valid { .. }));
//! assert!(token.xsrf_matches(&token.xsrf()));
//! assert!(Role::Viewer < Role::Owner);
//! ```

mod border;
mod password;
mod role;
mod session;
mod sessions;
mod setup;
mod throttle;
mod user;

pub use border::{AcceptedHosts, BorderError, Provenance};
pub use password::{PasswordError, check_password};
pub use role::{Role, UnknownRole};
pub use session::{SessionId, SessionPolicy, SessionRecord, SessionToken};
pub use sessions::{Sessions, Standing};
pub use setup::{Setup, SetupCode, SetupError};
pub use throttle::{LoginThrottle, Source, TryLater};
pub use user::{UserName, UserNameError};
