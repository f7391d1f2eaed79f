//! The agent as a maker builds and runs it.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};

use axum::Router;
use periwinkle_core::config::{self, Config, File, Override, Sources};

use crate::net::clock::Clock;
use crate::services::{FEATURES, Parts, Services};
use crate::signals::Signals;
use crate::state::StateDir;
use crate::stop::{Stop, Stopper, stop};
use crate::{Error, Result};

/// What an agent is made from.
#[derive(Debug, Default)]
pub struct Builder {
    file: Option<(PathBuf, String)>,
    environment: Vec<(String, String)>,
    profile: Option<String>,
    overrides: Vec<Override>,
    routes: Router,
    public_routes: Router,
    setup_code: SetupCodeTo,
}

/// Where the one-time setup code is shown on the first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetupCodeTo {
    /// In `setup-code` in the state directory, which only the agent's user may read.
    #[default]
    File,
    /// On the terminal that the agent was started from.
    Terminal,
}

impl Builder {
    /// Reads the configuration from a file; what is wrong in it is told by [`build`](Self::build).
    pub fn config_file(self, path: impl AsRef<Path>) -> Result<Builder> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| {
            Error::Config(format!("{} cannot be read: {error}", path.display()))
        })?;
        Ok(Builder {
            file: Some((path.to_owned(), text)),
            ..self
        })
    }

    /// Takes the configuration as a text; `name` stands for the file in errors.
    #[must_use]
    pub fn config_text(self, name: impl Into<PathBuf>, text: impl Into<String>) -> Builder {
        Builder {
            file: Some((name.into(), text.into())),
            ..self
        }
    }

    /// Takes overrides `PERIWINKLE_SECTION__KEY` from these variables; without this call the
    /// environment is not looked at.
    #[must_use]
    pub fn environment(self, variables: impl IntoIterator<Item = (String, String)>) -> Builder {
        Builder {
            environment: variables.into_iter().collect(),
            ..self
        }
    }

    /// Applies the sections `[profile.NAME]` of the file.
    #[must_use]
    pub fn profile(self, name: impl Into<String>) -> Builder {
        Builder {
            profile: Some(name.into()),
            ..self
        }
    }

    /// Sets single keys, stronger than the file and the environment.
    #[must_use]
    pub fn overrides(self, overrides: impl IntoIterator<Item = Override>) -> Builder {
        Builder {
            overrides: overrides.into_iter().collect(),
            ..self
        }
    }

    /// Adds routes; each requires a login. Their 404 is final.
    #[must_use]
    pub fn routes(self, routes: Router) -> Builder {
        Builder {
            routes: self.routes.merge(routes),
            ..self
        }
    }

    /// Adds routes that anybody may use.
    #[must_use]
    pub fn public_routes(self, routes: Router) -> Builder {
        Builder {
            public_routes: self.public_routes.merge(routes),
            ..self
        }
    }

    /// Chooses where the one-time setup code is shown.
    #[must_use]
    pub fn setup_code_to(self, place: SetupCodeTo) -> Builder {
        Builder {
            setup_code: place,
            ..self
        }
    }

    /// Checks the configuration and opens the state directory and the database.
    ///
    /// Dropping the future leaves nothing open.
    pub async fn build(self) -> Result<Agent> {
        let config = self.load()?;
        let state = StateDir::open(&config.runtime.state)?;
        let clock = Clock::configured(&config.runtime);
        let parts = Parts {
            clock,
            state,
            routes: self.routes,
            public_routes: self.public_routes,
            setup_code: self.setup_code,
            config,
        };
        let services = Services::open(parts).await?;
        let (stopper, stop) = stop();
        Ok(Agent {
            services,
            stopper,
            stop,
        })
    }

    fn load(&self) -> Result<Config> {
        let name = self
            .file
            .as_ref()
            .map(|(path, _)| path.display().to_string());
        let file = self.file.as_ref().zip(name.as_deref());
        let sources = Sources {
            file: file.map(|((_, text), name)| File { name, text }),
            environment: self.environment.clone(),
            profile: self.profile.as_deref(),
            overrides: self.overrides.clone(),
            features: FEATURES,
        };
        let loaded = config::load(&sources).map_err(|errors| Error::Config(errors.to_string()))?;
        for hint in loaded.hints {
            tracing::warn!("{hint}");
        }
        Ok(loaded.config)
    }
}

/// An agent that is ready to run.
#[derive(Debug)]
pub struct Agent {
    pub(crate) services: Services,
    stopper: Stopper,
    stop: Stop,
}

impl Agent {
    /// Starts to describe an agent.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The MQTT client, before and while the agent runs; messages and subscriptions wait until
    /// then.
    ///
    /// # Errors
    /// `mqtt.enable` is off.
    #[cfg(feature = "mqtt")]
    pub fn mqtt(&self) -> Result<crate::mqtt::Mqtt> {
        let off = "this agent has no MQTT client: set `mqtt.enable` and `mqtt.url`";
        let mqtt = self.services.mqtt();
        mqtt.ok_or_else(|| Error::Config(off.to_owned()))
    }

    /// Asks the agent to stop from elsewhere in the program.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Runs until SIGTERM, SIGINT or the [`stopper`](Self::stopper), then stops in order within
    /// `runtime.stop_timeout`. From then on a file-size limit is an error of the write that meets
    /// it, and no longer the end of the process.
    ///
    /// Dropping the future cuts everything off; what was reported durable is safe.
    pub async fn run(self) -> Result<()> {
        let signals = Signals::listen()?;
        self.run_until(signals.received()).await
    }

    /// Runs until `end` resolves or the [`stopper`](Self::stopper) asks; installs no signal
    /// handlers. Under a file-size limit handle or ignore SIGXFSZ: it ends a process that does not.
    ///
    /// Dropping the future cuts everything off; what was reported durable is safe.
    pub async fn run_until(mut self, end: impl Future<Output = ()>) -> Result<()> {
        let running = self.services.start().await;
        tokio::select! {
            () = end => {}
            () = self.stop.requested() => {}
        }
        running.stop().await
    }
}
