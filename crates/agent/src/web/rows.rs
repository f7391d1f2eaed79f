//! Users and sessions as rows of the database.

use std::time::Duration;

use periwinkle_core::auth::{Role, SessionId, SessionRecord, UserName};
use periwinkle_core::schema::Hidden;
use periwinkle_core::secret::Secret;
use periwinkle_core::time::UnixMillis;
use periwinkle_core::value::{Map, Value};
use periwinkle_db::engine::Durability;
use periwinkle_db::{Committed, Database, DbError, Find};

use super::accounts::User;
use super::problem::Problem;

const USER: &str = "User";
const SESSION: &str = "Session";

/// Whether a model is the agent's own, which the API shows by other means or not at all.
pub fn is_internal(model: &str) -> bool {
    // A row of an upload names a file: whoever could write one could read any file of the agent's.
    [USER, SESSION, "Upload", "UploadFile"].contains(&model)
}

/// A user as stored.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// The name, which is the key.
    pub name: UserName,
    /// What the user may do.
    pub role: Role,
    /// The password's hash, as a PHC string.
    pub password: Secret,
    /// When the row was made, as text.
    pub created: Option<String>,
}

impl UserRow {
    /// A new user.
    pub fn new(name: UserName, role: Role, password: Secret) -> UserRow {
        UserRow {
            name,
            role,
            password,
            created: None,
        }
    }

    /// What others may see of the user.
    pub fn shown(&self) -> User {
        User {
            name: self.name.to_string(),
            role: self.role,
            created: self.created.clone(),
        }
    }

    fn properties(&self) -> Map {
        Map::from([
            ("name", Value::from(self.name.as_str())),
            ("role", Value::from(self.role.as_str())),
            ("password", Value::from(self.password.expose())),
        ])
    }

    fn read(row: &Map) -> Option<UserRow> {
        Some(UserRow {
            name: UserName::new(row.text("name")?).ok()?,
            role: row.text("role")?.parse().ok()?,
            password: Secret::from(row.text("password")?),
            created: row.text("created").map(str::to_owned),
        })
    }
}

/// A write that is not yet on the disk.
#[derive(Debug)]
#[must_use = "a change of a user counts once it is durable"]
pub struct Unwritten(Committed);

impl Unwritten {
    /// Waits until the write is on the disk. Dropping the future takes nothing back.
    pub async fn wait(self) -> Result<(), Problem> {
        Ok(self.0.ticket.durable().await?)
    }
}

/// The tables of users and sessions.
#[derive(Clone, Debug)]
pub struct Rows {
    db: Database,
}

impl Rows {
    /// The tables in this database.
    pub fn new(db: Database) -> Rows {
        Rows {
            db: db.hidden(Hidden::Include),
        }
    }

    /// One user.
    pub fn user(&self, name: &UserName) -> Result<Option<UserRow>, Problem> {
        let row = self.db.get(USER, &Map::from([("name", name.as_str())]))?;
        row.map(|row| UserRow::read(&row).ok_or_else(|| unreadable(USER)))
            .transpose()
    }

    /// All users, by name.
    pub fn users(&self) -> Result<Vec<UserRow>, Problem> {
        let users = self.all(USER)?;
        users
            .iter()
            .map(|row| UserRow::read(row).ok_or_else(|| unreadable(USER)))
            .collect()
    }

    /// Adds a user; it is an error if there is one of that name.
    pub fn add_user(&self, user: &UserRow) -> Result<Unwritten, Problem> {
        self.db
            .create(USER, &user.properties())
            .map(Unwritten)
            .map_err(|error| match error {
                DbError::Exists { .. } => {
                    let detail = format!("There is a user {} already.", user.name);
                    Problem::new(http::StatusCode::CONFLICT, "exists", detail).field("name")
                }
                other => other.into(),
            })
    }

    /// Replaces a user's row.
    pub fn put_user(&self, user: &UserRow) -> Result<Unwritten, Problem> {
        Ok(Unwritten(self.db.update(USER, &user.properties())?))
    }

    /// Removes a user.
    pub fn remove_user(&self, name: &UserName) -> Result<Unwritten, Problem> {
        Ok(Unwritten(
            self.db
                .remove(USER, &Map::from([("name", name.as_str())]))?,
        ))
    }

    /// All sessions of earlier runs; rows that cannot be read are no sessions.
    pub fn sessions(&self) -> Result<Vec<(SessionId, SessionRecord)>, Problem> {
        Ok(self.all(SESSION)?.iter().filter_map(read_session).collect())
    }

    /// Writes the row of a new session, which survives a power cut from now on.
    pub fn put_session(&self, id: &SessionId, record: &SessionRecord) -> Result<(), Problem> {
        let db = self.db.durability(Durability::Immediate);
        db.upsert(SESSION, &session_properties(id, record))?;
        Ok(())
    }

    /// Writes that a session was used, at leisure: its model is relaxed.
    pub fn note_session(&self, id: &SessionId, record: &SessionRecord) -> Result<(), Problem> {
        self.db.upsert(SESSION, &session_properties(id, record))?;
        Ok(())
    }

    /// Removes a session's row; there may be none.
    pub fn remove_session(&self, id: &SessionId) -> Result<(), Problem> {
        match self
            .db
            .remove(SESSION, &Map::from([("id", id.to_string())]))
        {
            Ok(_) | Err(DbError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn all(&self, model: &str) -> Result<Vec<Map>, Problem> {
        let mut rows = Vec::new();
        let mut find = Find::new();
        loop {
            let page = self.db.find(model, &Map::new(), &find)?;
            rows.extend(page.items);
            match page.next {
                Some(next) => find = Find::new().next(next),
                None => return Ok(rows),
            }
        }
    }
}

fn session_properties(id: &SessionId, record: &SessionRecord) -> Map {
    let age_ms = i64::try_from(record.age.as_millis()).unwrap_or(i64::MAX);
    let mut row = Map::from([
        ("id", Value::from(id.to_string())),
        ("user", Value::from(record.user.as_str())),
        ("age_ms", Value::from(age_ms)),
    ]);
    for (name, time) in [("began_ms", record.created), ("used_ms", record.used)] {
        if let Some(time) = time {
            row.insert(name, time.0);
        }
    }
    row
}

fn read_session(row: &Map) -> Option<(SessionId, SessionRecord)> {
    let millis = |name: &str| row.get(name).and_then(Value::as_i64);
    let record = SessionRecord {
        user: UserName::new(row.text("user")?).ok()?,
        age: Duration::from_millis(u64::try_from(millis("age_ms")?).ok()?),
        created: millis("began_ms").map(UnixMillis),
        used: millis("used_ms").map(UnixMillis),
    };
    Some((SessionId::parse(row.text("id")?)?, record))
}

fn unreadable(model: &str) -> Problem {
    Problem::internal(&format!("a row of {model} lacks what every {model} has"))
}
