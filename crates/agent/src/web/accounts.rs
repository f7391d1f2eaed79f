//! Whose device it is: the first owner, users, logins and sessions.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use http::StatusCode;
use periwinkle_core::auth::{
    LoginThrottle, Role, SessionId, SessionToken, Sessions, Standing, UserName, check_password,
};
use periwinkle_core::config::Expiry;
use periwinkle_core::secret::Secret;

use super::first_owner::FirstOwner;
use super::identity::{Identity, Login};
use super::passwords::Passwords;
use super::problem::Problem;
use super::rows::{Rows, UserRow};
use crate::net::clock::Clock;
use crate::net::entropy;
use crate::net::listen::Peer;

/// Users and sessions.
#[derive(Debug)]
pub struct Accounts {
    rows: Rows,
    clock: Clock,
    passwords: Passwords,
    rules: LoginRules,
    first_owner: FirstOwner,
    /// Held while users are read in order to change them, or to let one in; never while waiting.
    changes: Mutex<()>,
    sessions: Mutex<Sessions>,
    throttle: Mutex<LoginThrottle>,
}

/// What the configuration says about logins.
#[derive(Clone, Copy, Debug)]
pub struct LoginRules {
    /// Whether passwords may travel over plain HTTP from other machines.
    pub insecure_login: bool,
    /// How long a session lasts at most.
    pub life: Expiry,
}

/// Who wants to be let in, and how.
#[derive(Debug)]
pub struct Applicant {
    /// The name as typed.
    pub name: String,
    /// The password as typed.
    pub password: Secret,
    /// Where from.
    pub peer: Peer,
    /// Whether nobody on the way can read along.
    pub secure: bool,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct NewSession {
    /// What the cookie carries.
    pub token: Secret,
    /// Who it is.
    pub login: Login,
    /// How long the browser shall keep the cookie.
    pub life: Duration,
}

/// A user, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// When the user was added, if the clock was known.
    pub created: Option<String>,
}

impl Accounts {
    /// The accounts of a database; sessions of earlier runs go on.
    pub fn open(
        rows: Rows,
        clock: Clock,
        passwords: Passwords,
        rules: LoginRules,
        first_owner: FirstOwner,
        mut sessions: Sessions,
    ) -> Result<Accounts, Problem> {
        let now = clock.now();
        for (id, record) in rows.sessions()? {
            for over in sessions.restore(id, record, now) {
                rows.remove_session(&over)?;
            }
        }
        let accounts = Accounts {
            rows,
            clock,
            passwords,
            rules,
            first_owner,
            changes: Mutex::default(),
            sessions: Mutex::new(sessions),
            throttle: Mutex::default(),
        };
        if accounts.owners()? > 0 {
            accounts.first_owner.found();
        } else {
            accounts.first_owner.offer(accounts.clock.mono())?;
        }
        Ok(accounts)
    }

    /// Whether nobody owns the device yet.
    pub fn setup_needed(&self) -> Result<bool, Problem> {
        Ok(self.first_owner.is_needed())
    }

    /// Tells when the device has an owner, which is when it may be seen from elsewhere.
    pub fn owner_known(&self) -> tokio::sync::watch::Receiver<bool> {
        self.first_owner.known()
    }

    /// Makes the first owner out of somebody who knows the setup code.
    ///
    /// Dropping the future may leave the owner made.
    pub async fn set_up(&self, code: &str, applicant: Applicant) -> Result<NewSession, Problem> {
        self.check_channel(&applicant)?;
        self.first_owner.check(code, self.clock.mono())?;
        let name = parse_name(&applicant.name)?;
        let hash = self.new_hash(&name, applicant.password).await?;
        let made = {
            let _one = self.one_change();
            // Somebody else may have been quicker while the password was hashed.
            self.first_owner.check(code, self.clock.mono())?;
            let made = self
                .rows
                .add_user(&UserRow::new(name.clone(), Role::Owner, hash))?;
            self.first_owner.finish()?;
            made
        };
        made.wait().await?;
        tracing::info!(user = %name, "the device has an owner");
        self.begin(name, Role::Owner)
    }

    /// A fresh setup code, in place of one that was lost or used up.
    pub fn renew_setup_code(&self) -> Result<String, Problem> {
        let _one = self.one_change();
        self.first_owner.renew(self.clock.mono())
    }

    /// Begins a session for somebody who knows the password.
    ///
    /// Dropping the future leaves the attempt counted and no session.
    pub async fn log_in(&self, applicant: Applicant) -> Result<NewSession, Problem> {
        self.check_channel(&applicant)?;
        let name = UserName::new(&applicant.name).ok();
        let address = address_of(&applicant.peer);
        self.admit(address, name.as_ref())?;
        let row = name
            .as_ref()
            .map(|name| self.rows.user(name))
            .transpose()?
            .flatten();
        let hash = row.as_ref().map(|row| row.password.expose());
        let matches = self.passwords.check(applicant.password, hash).await?;
        let (Some(row), Some(name), true) = (row, name, matches) else {
            let detail = "Name or password is wrong.";
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "login_failed",
                detail,
            ));
        };
        self.throttle().handle_success(address, &name);
        let _one = self.one_change();
        // The password may have been changed, or the user removed, while this one was checked.
        let role = self.unchanged(&row)?.role;
        tracing::info!(user = %name, "logged in");
        self.begin(name, role)
    }

    /// Ends the session of a login.
    pub fn log_out(&self, login: &Login) -> Result<(), Problem> {
        let Some(id) = login.session.as_deref().and_then(SessionId::parse) else {
            return Ok(());
        };
        self.sessions().close(&id);
        self.rows.remove_session(&id)
    }

    /// Who the session of a cookie belongs to, if it is open.
    pub fn login_of(&self, cookie: &str) -> Result<Option<Login>, Problem> {
        let Some(token) = SessionToken::parse(cookie) else {
            return Ok(None);
        };
        let id = token.id();
        let standing = self.sessions().touch(&id, self.clock.now());
        let user = match standing {
            Standing::Unknown => return Ok(None),
            Standing::Expired => {
                self.keep(self.rows.remove_session(&id));
                return Ok(None);
            }
            Standing::Valid { user, save } => {
                if let Some(record) = save {
                    self.keep(self.rows.note_session(&id, &record));
                }
                user
            }
        };
        // The role is the one of now, not the one of the login.
        let Some(row) = self.rows.user(&user)? else {
            return Ok(None);
        };
        let session = Some(id.to_string());
        Ok(Some(Login {
            name: user.to_string(),
            role: row.role,
            session,
            xsrf: token.xsrf(),
        }))
    }

    /// Whether a request shows the proof that its session's own page made it.
    pub fn proves(&self, login: &Login, shown: &[u8]) -> bool {
        periwinkle_core::secret::equal_secrets(login.xsrf.as_bytes(), shown)
    }

    /// Who a program of this machine is: root and the agent's own user act as the owner.
    pub fn local(&self, uid: u32) -> Identity {
        match uid == 0 || uid == rustix::process::geteuid().as_raw() {
            true => Identity::Local { uid },
            false => Identity::Anonymous,
        }
    }

    /// Changes the password of somebody who knows the old one; other sessions of the user end.
    pub async fn change_own_password(
        &self,
        login: &Login,
        old: Secret,
        new: Secret,
        peer: &Peer,
    ) -> Result<(), Problem> {
        let name = parse_name(&login.name)?;
        self.admit(address_of(peer), Some(&name))?;
        let row = self.existing(&name)?;
        if !self
            .passwords
            .check(old, Some(row.password.expose()))
            .await?
        {
            let detail = "The old password is wrong.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "login_failed", detail).field("old"));
        }
        self.throttle().handle_success(address_of(peer), &name);
        let password = self.new_hash(&name, new).await?;
        let changed = {
            let _one = self.one_change();
            // An owner may have given the user another role or password in the meantime.
            let row = self.unchanged(&row)?;
            self.end_sessions(&name, login.session.as_deref())?;
            self.rows.put_user(&UserRow { password, ..row })?
        };
        changed.wait().await
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<User>, Problem> {
        Ok(self.rows.users()?.iter().map(UserRow::shown).collect())
    }

    /// Adds a user.
    pub async fn add_user(
        &self,
        name: &str,
        password: Secret,
        role: Role,
    ) -> Result<User, Problem> {
        let name = parse_name(name)?;
        let hash = self.new_hash(&name, password).await?;
        let row = UserRow::new(name, role, hash);
        let added = {
            let _one = self.one_change();
            let added = self.rows.add_user(&row)?;
            if role == Role::Owner {
                self.first_owner.finish()?;
            }
            added
        };
        added.wait().await?;
        tracing::info!(user = %row.name, role = %role, "a user was added");
        Ok(self.existing(&row.name)?.shown())
    }

    /// Changes the role or the password of a user, whose sessions end.
    pub async fn change_user(
        &self,
        login: &Login,
        name: &str,
        role: Option<Role>,
        password: Option<Secret>,
    ) -> Result<User, Problem> {
        let name = parse_name(name)?;
        let hash = match password {
            Some(password) => Some(self.new_hash(&name, password).await?),
            None => None,
        };
        let own = login
            .session
            .as_deref()
            .filter(|_| login.name == name.as_str());
        let (changed, written) = {
            let _one = self.one_change();
            let row = self.existing(&name)?;
            if row.role == Role::Owner && role.is_some_and(|role| role != Role::Owner) {
                self.keep_one_owner()?;
            }
            let changed = UserRow {
                role: role.unwrap_or(row.role),
                password: hash.unwrap_or_else(|| row.password.clone()),
                ..row
            };
            // Sessions first: what makes the change durable makes their end durable too.
            self.end_sessions(&name, own)?;
            let written = self.rows.put_user(&changed)?;
            if changed.role == Role::Owner {
                self.first_owner.finish()?;
            }
            (changed, written)
        };
        self.throttle().forget_user(&name);
        written.wait().await?;
        tracing::info!(user = %name, role = %changed.role, "a user was changed");
        Ok(changed.shown())
    }

    /// Removes a user, whose sessions end.
    pub async fn remove_user(&self, name: &str) -> Result<(), Problem> {
        let name = parse_name(name)?;
        let removed = {
            let _one = self.one_change();
            if self.existing(&name)?.role == Role::Owner {
                self.keep_one_owner()?;
            }
            self.end_sessions(&name, None)?;
            self.rows.remove_user(&name)?
        };
        self.throttle().forget_user(&name);
        removed.wait().await?;
        tracing::info!(user = %name, "a user was removed");
        Ok(())
    }

    /// Whether the session of a login is still open, without using it: for what a page keeps
    /// open. Programs of this machine need none.
    pub fn is_open(&self, login: &Login) -> bool {
        let Some(session) = &login.session else {
            return true;
        };
        let id = SessionId::parse(session);
        id.is_some_and(|id| self.sessions().is_open(&id, self.clock.now()))
    }

    /// Ends the sessions whose time is over; called now and then.
    pub fn sweep(&self) -> Result<(), Problem> {
        let over = self.sessions().sweep(self.clock.now());
        over.iter().try_for_each(|id| self.rows.remove_session(id))
    }

    fn begin(&self, name: UserName, role: Role) -> Result<NewSession, Problem> {
        let entropy = entropy::bytes().map_err(|error| Problem::internal(&error))?;
        let token = SessionToken::from_entropy(entropy);
        let id = token.id();
        let (record, evicted) = self.sessions().open(id, name.clone(), self.clock.now());
        self.keep(self.rows.put_session(&id, &record));
        for id in &evicted {
            self.keep(self.rows.remove_session(id));
        }
        let xsrf = token.xsrf();
        let login = Login {
            name: name.to_string(),
            role,
            session: Some(id.to_string()),
            xsrf,
        };
        let life = self
            .rules
            .life
            .duration()
            .unwrap_or(COOKIE_LIFE_MAX)
            .min(COOKIE_LIFE_MAX);
        Ok(NewSession {
            token: Secret::from(token.expose()),
            login,
            life,
        })
    }

    /// A session lives in memory; that its row cannot be written, on a full disk for instance,
    /// must not keep the owner from looking what is wrong.
    fn keep(&self, written: Result<(), Problem>) {
        if let Err(problem) = written {
            tracing::warn!(?problem, "a session will not survive a restart");
        }
    }

    fn admit(&self, address: IpAddr, name: Option<&UserName>) -> Result<(), Problem> {
        self.throttle()
            .admit(address, name, self.clock.mono())
            .map_err(|later| {
                let seconds = later.seconds();
                let detail = format!("Too many attempts; try again in {seconds} s.");
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "throttled", detail)
                    .retry_after_s(seconds)
            })
    }

    /// Passwords do not travel where others can read them, unless the owner said so.
    fn check_channel(&self, applicant: &Applicant) -> Result<(), Problem> {
        let private = applicant
            .peer
            .address()
            .is_none_or(|address| address.is_loopback());
        if private || applicant.secure || self.rules.insecure_login {
            return Ok(());
        }
        let detail = "A password would travel unencrypted. Give web.listen an https:// address \
            with web.tls_certificate and web.tls_key, or set web.insecure_login = true.";
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "login_insecure",
            detail,
        ))
    }

    async fn new_hash(&self, name: &UserName, password: Secret) -> Result<Secret, Problem> {
        check_password(password.expose(), name).map_err(|error| {
            Problem::bad_request("password_refused", error.to_string()).field("password")
        })?;
        self.passwords.hash(password).await.map(Secret::from)
    }

    fn existing(&self, name: &UserName) -> Result<UserRow, Problem> {
        let none = || Problem::not_found(format!("There is no user {name}."));
        self.rows.user(name)?.ok_or_else(none)
    }

    /// The user's row of now, if nobody has changed the password since it was read.
    fn unchanged(&self, seen: &UserRow) -> Result<UserRow, Problem> {
        let row = self.rows.user(&seen.name)?;
        row.filter(|row| row.password.expose() == seen.password.expose())
            .ok_or_else(|| {
                let detail = "The password has just been changed; log in with the new one.";
                Problem::new(StatusCode::UNAUTHORIZED, "login_failed", detail)
            })
    }

    fn keep_one_owner(&self) -> Result<(), Problem> {
        if self.owners()? > 1 {
            return Ok(());
        }
        let detail = "This is the only owner; make another user an owner first.";
        Err(Problem::new(StatusCode::CONFLICT, "last_owner", detail))
    }

    fn owners(&self) -> Result<usize, Problem> {
        Ok(self
            .rows
            .users()?
            .iter()
            .filter(|row| row.role == Role::Owner)
            .count())
    }

    fn end_sessions(&self, name: &UserName, except: Option<&str>) -> Result<(), Problem> {
        let except = except.and_then(SessionId::parse);
        let ended = self.sessions().close_user(name, except.as_ref());
        ended.iter().try_for_each(|id| self.rows.remove_session(id))
    }

    fn one_change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().expect("no change of a user panics")
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions
            .lock()
            .expect("no holder of the sessions panics")
    }

    fn throttle(&self) -> MutexGuard<'_, LoginThrottle> {
        self.throttle
            .lock()
            .expect("no holder of the throttle panics")
    }
}

/// Browsers keep no cookie for longer than 400 days (RFC 6265bis, 5.5).
const COOKIE_LIFE_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

fn parse_name(text: &str) -> Result<UserName, Problem> {
    UserName::new(text)
        .map_err(|error| Problem::bad_request("name_refused", error.to_string()).field("name"))
}

/// Programs of this machine count as one address.
fn address_of(peer: &Peer) -> IpAddr {
    peer.address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
