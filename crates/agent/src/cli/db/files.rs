//! The API of the database over its files, when no agent runs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use periwinkle_core::config::Config;
use periwinkle_db::Database;
use tower::ServiceExt;

use super::super::failure::Failure;
use super::super::new_file::cannot_read;
use super::face::Use;
use crate::api::{DataApi, data_router};
use crate::database;
use crate::net::clock::Clock;
use crate::state::StateDir;
use crate::web::identity::Identity;

/// The open files, and the routes over them.
pub(super) struct Files {
    router: Router,
    db: Database,
    /// Held to the end: the lock keeps an agent from starting meanwhile.
    state: StateDir,
}

impl Files {
    /// Opens the database of this configuration. For reading, nothing is made or changed.
    pub(super) async fn open(config: &Config, wanted: Use) -> Result<Files, Failure> {
        let folder = &config.runtime.state;
        let state = match wanted {
            Use::Read => {
                check_there(folder)?;
                StateDir::look(folder)?
            }
            Use::Write => StateDir::open(folder)?,
        };
        let device = device(config, &state, wanted)?;
        let clock = Clock::configured(&config.runtime);
        let path = state.database();
        let db = match wanted {
            Use::Read => database::open_read_only(config, &path, &device, clock).await?,
            Use::Write => database::open(config, &path, &device, clock).await?,
        };
        Ok(Files {
            router: data_router(DataApi::new(db.clone())),
            db,
            state,
        })
    }

    /// The folder of the files.
    pub(super) fn path(&self) -> PathBuf {
        self.state.database()
    }

    /// Answers a request as the agent would answer the owner of the process.
    pub(super) async fn call(&self, mut request: Request<Body>) -> Response<Body> {
        let uid = rustix::process::getuid().as_raw();
        request.extensions_mut().insert(Identity::Local { uid });
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Returns once everything is on the disk and the log is closed in order.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.db
            .close()
            .map_err(|error| Failure::internal(error.to_string()))
    }
}

fn check_there(folder: &Path) -> Result<(), Failure> {
    let database = folder.join("db");
    match is_folder(&database)? {
        true => Ok(()),
        false => Err(
            Failure::input(format!("there is no database in {}", database.display()))
                .hint("name the agent's directory with --state or its configuration with --config"),
        ),
    }
}

/// Whether there is such a folder; nobody knows where this process may not look.
pub(super) fn is_folder(path: &Path) -> Result<bool, Failure> {
    match fs::metadata(path) {
        Ok(there) => Ok(there.is_dir()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(cannot_read(path, &error)),
        Err(_) => Ok(false),
    }
}

fn device(config: &Config, state: &StateDir, wanted: Use) -> Result<String, Failure> {
    if let Some(id) = &config.device.id {
        return Ok(id.to_string());
    }
    let known = match wanted {
        Use::Read => state.known_device_id()?,
        Use::Write => Some(state.device_id()?),
    };
    known.map(|id| id.to_string()).ok_or_else(|| {
        let path = state.path().join("device-id");
        Failure::input(format!("{} is missing", path.display()))
            .hint("say whose rows these are with --set device.id=...")
    })
}
