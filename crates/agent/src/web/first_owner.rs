//! The setup code of a device that nobody owns yet, and where it is shown.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use http::StatusCode;
use periwinkle_core::auth::{Setup, SetupError};
use periwinkle_core::time::Mono;
use tokio::sync::watch;

use super::problem::Problem;
use crate::agent::SetupCodeTo;
use crate::net::entropy;
use crate::state::write_private;

/// Guards the way to the first owner.
#[derive(Debug)]
pub struct FirstOwner {
    setup: Mutex<Setup>,
    shown: SetupCodeTo,
    file: PathBuf,
    url: String,
    known: watch::Sender<bool>,
}

impl FirstOwner {
    /// A guard that shows codes at `shown`; `file` is where the file is, `url` where the console.
    pub fn new(shown: SetupCodeTo, file: PathBuf, url: String) -> FirstOwner {
        let setup = Mutex::new(Setup::Done);
        FirstOwner {
            setup,
            shown,
            file,
            url,
            known: watch::Sender::new(false),
        }
    }

    /// There is an owner already: a code of an earlier start is worth nothing.
    pub fn found(&self) {
        self.known.send_replace(true);
        // There usually is none.
        let _ = fs::remove_file(&self.file);
    }

    /// Makes a code and shows it.
    pub fn offer(&self, now: Mono) -> Result<(), Problem> {
        self.renew(now).map(drop)
    }

    /// Makes a code in place of the last one and shows it.
    pub fn renew(&self, now: Mono) -> Result<String, Problem> {
        if *self.known.borrow() {
            return Err(done(SetupError::Done));
        }
        let entropy = entropy::bytes().map_err(|error| Problem::internal(&error))?;
        let fresh = Setup::needed(entropy, now);
        let code = fresh.code(now).expect("a fresh code can be used").expose();
        self.show(&code)
            .map_err(|error| Problem::internal(&error))?;
        *self.setup() = fresh;
        Ok(code)
    }

    /// Judges a code that somebody typed.
    pub fn check(&self, typed: &str, now: Mono) -> Result<(), Problem> {
        self.setup().attempt(typed, now).map_err(done)
    }

    /// The owner is in the database.
    pub fn finish(&self) -> Result<(), Problem> {
        self.setup().finish();
        self.known.send_replace(true);
        match fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Problem::internal(&error)),
            _ => Ok(()),
        }
    }

    /// Whether nobody owns the device yet.
    pub fn is_needed(&self) -> bool {
        !*self.known.borrow()
    }

    /// Tells when the device has an owner.
    pub fn known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    fn show(&self, code: &str) -> io::Result<()> {
        match self.shown {
            SetupCodeTo::Terminal => show_on_terminal(&self.url, code),
            SetupCodeTo::File => {
                write_private(&self.file, &format!("{code}\n"))?;
                let file = self.file.display();
                tracing::info!("nobody owns this device yet: the setup code is in {file}");
                Ok(())
            }
        }
    }

    fn setup(&self) -> MutexGuard<'_, Setup> {
        self.setup.lock().expect("no holder of the setup panics")
    }
}

/// Straight to the terminal, past every log that is kept.
fn show_on_terminal(url: &str, code: &str) -> io::Result<()> {
    use std::io::Write;
    writeln!(
        io::stderr(),
        "\n  Nobody owns this device yet. Open {url} and enter this setup code:\n\n      \
         {code}\n"
    )
}

fn done(error: SetupError) -> Problem {
    let (status, kind) = match error {
        SetupError::Done => (StatusCode::CONFLICT, "setup_done"),
        SetupError::Wrong { .. } => (StatusCode::FORBIDDEN, "wrong_code"),
        _ => (StatusCode::TOO_MANY_REQUESTS, "code_used_up"),
    };
    Problem::new(status, kind, format!("{error}.")).field("code")
}
