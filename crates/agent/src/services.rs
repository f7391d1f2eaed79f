//! THE list: each service with its feature, in start order, and who hands what to whom.
//!
//! | service | feature | needs | hands out |
//! |---|---|---|---|
//! | `db` | - | the state directory | the database to everybody |
//! | `changes` | `web` | `db` | durable changes to live listeners |
//! | `time` | - | the state directory | what the daemons that keep this machine's clock say, to the clock |
//! | `metrics` | `metrics` | `db` | samples to live listeners and the API, rows to the database |
//! | `mqtt` | `mqtt` | `db` | the client to the maker and the API, its queue and what its routes write to the database |
//! | `sync` | `sync` | `db` | its state to live listeners and the API |
//! | `upload` | `upload` | `db` | its queue to the API and the maker's program |
//! | `control` | `web` | `db` | the API to programs of this machine |
//! | `web` | `web` | `db` | the API, the console and the maker's routes to the network |
//!
//! Nobody may restart another service; the supervisor restarts each that fails by itself. They
//! stop in reverse order, so that the database is closed after the last one that writes.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use periwinkle_core::auth::{AcceptedHosts, SessionPolicy, Sessions};
use periwinkle_core::config::Config;
use periwinkle_core::time::UnixMillis;
use periwinkle_db::Database;
use serde_json::{Value, json};

use crate::agent::SetupCodeTo;
use crate::api::events::Feed;
use crate::api::{self, Api};
#[cfg(any(feature = "sync", feature = "upload"))]
use crate::cloud::credentials::CredentialSource;
use crate::database::{self, Db};
use crate::events::{Events, Topic};
#[cfg(feature = "mqtt")]
use crate::mqtt::MqttService;
use crate::net::clock::Clock;
use crate::net::time_daemons::TimeDaemons;
use crate::state::StateDir;
use crate::status::StatusBoard;
use crate::stop::{Stopper, stop};
use crate::supervise::{Service, Supervisor};
use crate::timekeeping;
use crate::web::accounts::{Accounts, LoginRules};
use crate::web::dispatch::Dispatch;
use crate::web::first_owner::FirstOwner;
use crate::web::identity::Login;
use crate::web::passwords::Passwords;
use crate::web::problem::Problem;
use crate::web::rows::Rows;
use crate::web::service::{ControlService, WebService};
use crate::{Error, Result};

/// The features that are compiled in, by the words of the configuration.
pub const FEATURES: &[&str] = &[
    "web",
    #[cfg(feature = "metrics")]
    "metrics",
    #[cfg(feature = "fetch")]
    "fetch",
    #[cfg(feature = "mqtt")]
    "mqtt",
    #[cfg(feature = "sync")]
    "sync",
    #[cfg(feature = "upload")]
    "upload",
];

/// What the services are made from.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// The clocks.
    pub clock: Clock,
    /// The state directory, locked.
    pub state: StateDir,
    /// The maker's routes that need a login.
    pub routes: Router,
    /// The maker's routes for anybody.
    pub public_routes: Router,
    /// Where the setup code is shown.
    pub setup_code: SetupCodeTo,
}

/// Everything that is open and ready to be started.
#[derive(Debug)]
pub struct Services {
    config: Arc<Config>,
    pub(crate) clock: Clock,
    state: StateDir,
    db: Database,
    events: Events,
    status: StatusBoard,
    accounts: Arc<Accounts>,
    routes: Router,
    device: Device,
    #[cfg(feature = "mqtt")]
    mqtt: Option<MqttService>,
    #[cfg(feature = "fetch")]
    pub(crate) fetch: crate::fetch::Fetch,
    #[cfg(feature = "upload")]
    pub(crate) uploads: crate::cloud::upload::Uploads,
    /// Everybody who signs has the credentials of replication.
    #[cfg(feature = "sync")]
    credentials: CredentialSource,
}

/// Who this device is.
#[derive(Clone, Debug)]
struct Device {
    id: String,
    name: String,
}

impl Services {
    /// Opens the database and the accounts.
    pub async fn open(parts: Parts) -> Result<Services> {
        let Parts {
            config,
            clock,
            state,
            routes,
            public_routes,
            setup_code,
        } = parts;
        let device = device(&config, &state)?;
        let db = database::open(&config, &state.database(), &device.id, clock.clone()).await?;
        let accounts = open_accounts(&config, &clock, &state, &db, setup_code)?;
        let routes = maker_routes(routes, public_routes);
        #[cfg(any(feature = "sync", feature = "upload"))]
        let credentials = CredentialSource::new(&config.sync);
        #[cfg(any(feature = "sync", feature = "upload"))]
        let keys = credentials.to_fetch();
        #[cfg(all(feature = "fetch", not(any(feature = "sync", feature = "upload"))))]
        let keys = no_credentials();
        #[cfg(all(feature = "mqtt", feature = "sync"))]
        let signer = iot_signer(&config, &clock, &credentials);
        #[cfg(all(feature = "mqtt", not(feature = "sync")))]
        let signer = no_signer(&config)?;
        #[cfg(feature = "mqtt")]
        let mqtt = open_mqtt(&config, &device.id, signer, &clock, &db)?;
        #[cfg(feature = "mqtt")]
        let routes = match &mqtt {
            Some(mqtt) => routes.layer(axum::Extension(mqtt.handle())),
            None => routes,
        };
        #[cfg(feature = "fetch")]
        let fetch = open_fetch(&config, &clock, keys.clone())?;
        #[cfg(feature = "fetch")]
        let routes = routes.layer(axum::Extension(fetch.clone()));
        #[cfg(feature = "upload")]
        let uploads = open_uploads(&config, &db, &clock, &fetch, keys)?;
        Ok(Services {
            #[cfg(feature = "sync")]
            credentials,
            #[cfg(feature = "upload")]
            uploads,
            #[cfg(feature = "fetch")]
            fetch,
            config: Arc::new(config),
            clock,
            state,
            events: Events::default(),
            status: StatusBoard::default(),
            accounts: Arc::new(accounts),
            routes,
            db,
            device,
            #[cfg(feature = "mqtt")]
            mqtt,
        })
    }

    /// Starts every service in order.
    ///
    /// Dropping the future leaves those running that were started.
    pub async fn start(self) -> Running {
        let mut supervisor = Supervisor::new(self.clock.clone());
        let (listeners, listening) = stop();
        let extra = Router::new();

        let db = self.db.clone();
        let service = Service::new("db", move |ctx| database::run(db.clone(), ctx));
        supervisor
            .start(service.beats_within(database::SILENCE_MAX))
            .await;

        let (db, events) = (self.db.clone(), self.events.clone());
        let tell = move |ctx| database::tell_changes(db.clone(), events.clone(), ctx);
        supervisor.start(Service::new("changes", tell)).await;

        let keep = |ctx| timekeeping::run(TimeDaemons::default(), ctx);
        supervisor.start(Service::new("time", keep)).await;

        #[cfg(feature = "metrics")]
        let extra = self.start_metrics(&mut supervisor, extra).await;
        #[cfg(feature = "mqtt")]
        let extra = self.start_mqtt(&mut supervisor, extra, &listening).await;
        #[cfg(feature = "sync")]
        let extra = self.start_sync(&mut supervisor, extra).await;
        #[cfg(feature = "upload")]
        let extra = self.start_upload(&mut supervisor, extra).await;

        let places = Arc::new(RwLock::new(Vec::new()));
        self.add_status(&supervisor, &places);
        let api = Api {
            accounts: self.accounts.clone(),
            db: self.db.clone(),
            status: self.status.clone(),
            feed: Feed::new(self.events.clone(), self.accounts.clone(), listening),
        };
        let dispatch = Arc::new(self.dispatch(api::router(api, extra)));
        self.start_servers(&mut supervisor, dispatch, places).await;
        publish_states(&supervisor, &self.events);
        let stop_timeout = self.config.runtime.stop_timeout;
        Running {
            supervisor,
            listeners,
            stop_timeout,
            _state: self.state,
        }
    }

    #[cfg(feature = "metrics")]
    async fn start_metrics(&self, supervisor: &mut Supervisor, extra: Router) -> Router {
        if !self.config.metrics.enable {
            return extra;
        }
        let metrics = crate::metrics::service(&self.config, &self.db, &self.events);
        let feed = metrics.feed();
        self.status.add("metrics", {
            let feed = feed.clone();
            move || crate::metrics::show(&feed)
        });
        supervisor.start(metrics.into_service()).await;
        extra.merge(api::metrics_router(feed))
    }

    /// The MQTT client, if it is configured.
    #[cfg(feature = "mqtt")]
    pub fn mqtt(&self) -> Option<crate::mqtt::Mqtt> {
        self.mqtt.as_ref().map(MqttService::handle)
    }

    #[cfg(feature = "mqtt")]
    async fn start_mqtt(
        &self,
        supervisor: &mut Supervisor,
        extra: Router,
        listening: &crate::stop::Stop,
    ) -> Router {
        let Some(service) = &self.mqtt else {
            return extra;
        };
        let mqtt = service.handle();
        self.status.add("mqtt", {
            let mqtt = mqtt.clone();
            move || mqtt.show()
        });
        supervisor.start(service.service()).await;
        extra.merge(api::mqtt_router(
            mqtt,
            self.accounts.clone(),
            listening.clone(),
        ))
    }

    #[cfg(feature = "sync")]
    async fn start_sync(&self, supervisor: &mut Supervisor, extra: Router) -> Router {
        let sync = crate::cloud::sync::service(
            &self.config,
            &self.db,
            &self.events,
            &self.fetch,
            &self.credentials,
        );
        let handle = sync.handle();
        self.status.add("sync", {
            let handle = handle.clone();
            move || handle.show()
        });
        if self.config.sync.enable {
            supervisor.start(sync.into_service()).await;
        }
        extra.merge(api::sync_router(handle))
    }

    #[cfg(feature = "upload")]
    async fn start_upload(&self, supervisor: &mut Supervisor, extra: Router) -> Router {
        let uploads = self.uploads.clone();
        self.status.add("upload", {
            let uploads = uploads.clone();
            move || uploads.show_status()
        });
        if self.config.upload.enable {
            supervisor
                .start(crate::cloud::upload::service(&uploads))
                .await;
        }
        extra.merge(api::uploads_router(uploads))
    }

    async fn start_servers(
        &self,
        supervisor: &mut Supervisor,
        dispatch: Arc<Dispatch>,
        listening: Arc<RwLock<Vec<String>>>,
    ) {
        // Less than the share of the stop that the supervisor gives to one service.
        let drain_timeout = self.config.runtime.stop_timeout / 8;
        let path = self.config.control_socket();
        let control = ControlService {
            path,
            dispatch: dispatch.clone(),
            drain_timeout,
        };
        supervisor
            .start(Service::new("control", move |ctx| control.clone().run(ctx)))
            .await;
        let web = self.config.web.clone();
        let web = WebService {
            web,
            dispatch,
            listening,
            drain_timeout,
        };
        supervisor
            .start(Service::new("web", move |ctx| web.clone().run(ctx)))
            .await;
    }

    fn dispatch(&self, api: Router) -> Dispatch {
        let web = &self.config.web;
        Dispatch {
            accounts: self.accounts.clone(),
            db: Db(self.db.clone()),
            hosts: AcceptedHosts::new(&web.listen, &web.hosts),
            api,
            pages: pages(),
            actions: self.routes.clone(),
            body_bytes_max: web.body_bytes_max.as_usize(),
            upload_bytes_max: web.upload_bytes_max.as_usize(),
            request_timeout: web.request_timeout.duration(),
        }
    }

    fn add_status(&self, supervisor: &Supervisor, listening: &Arc<RwLock<Vec<String>>>) {
        let states = supervisor.states();
        self.status.add("services", move || json!(*states.borrow()));
        let Device { id, name } = self.device.clone();
        self.status
            .add("device", move || json!({"id": id, "name": name}));
        let clock = self.clock.clone();
        self.status.add("uptime_ms", move || {
            json!(clock.mono().since_start().as_millis() as u64)
        });
        let clock = self.clock.clone();
        self.status.add("time", move || {
            let now = clock.now();
            let confirmation = clock.confirmation();
            json!({
                "wall": now.wall.map(UnixMillis::iso),
                "trusted": now.trusted,
                "source": confirmation.map(|last| last.source.as_str()),
                "confirmed": confirmation.map(|last| last.at.iso()),
            })
        });
        let db = self.db.clone();
        self.status.add("db", move || database::show(&db));
        let listening = listening.clone();
        self.status.add(
            "web",
            move || json!({"listen": *listening.read().expect("no holder of the list panics")}),
        );
    }
}

/// The agent at work.
#[derive(Debug)]
pub struct Running {
    supervisor: Supervisor,
    listeners: Stopper,
    stop_timeout: Duration,
    /// Held to the end: the lock says that somebody is at work here.
    _state: StateDir,
}

impl Running {
    /// Stops every service within the configured bound.
    pub async fn stop(self) -> Result<()> {
        // Live listeners would otherwise keep their connections to the bound.
        self.listeners.stop();
        self.supervisor.stop(self.stop_timeout).await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn device(config: &Config, state: &StateDir) -> Result<Device> {
    let id = match &config.device.id {
        Some(id) => id.to_string(),
        None => state.device_id()?.to_string(),
    };
    let host = || {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    };
    let name = config
        .device
        .name
        .as_ref()
        .map_or_else(host, ToString::to_string);
    Ok(Device { id, name })
}

#[cfg(feature = "upload")]
fn open_uploads(
    config: &Config,
    db: &Database,
    clock: &Clock,
    fetch: &crate::fetch::Fetch,
    keys: crate::fetch::CredentialsSource,
) -> Result<crate::cloud::upload::Uploads> {
    crate::cloud::upload::open(config, db, clock, fetch.clone(), keys)
        .map_err(|error| Error::Other(error.into()))
}

fn open_accounts(
    config: &Config,
    clock: &Clock,
    state: &StateDir,
    db: &Database,
    shown: SetupCodeTo,
) -> Result<Accounts> {
    let web = &config.web;
    let url = web
        .listen
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let first_owner = FirstOwner::new(shown, state.setup_code(), url);
    let rules = LoginRules {
        insecure_login: web.insecure_login,
        life: web.session_life,
    };
    let passwords = Passwords::new(web.password_memory.0);
    let sessions = Sessions::new(SessionPolicy::from(web));
    let rows = Rows::new(db.clone());
    Accounts::open(rows, clock.clone(), passwords, rules, first_owner, sessions)
        .map_err(|problem| Error::Config(format!("the users cannot be read: {problem:?}")))
}

#[cfg(feature = "mqtt")]
fn open_mqtt(
    config: &Config,
    device: &str,
    signer: Option<Arc<dyn crate::mqtt::Presign>>,
    clock: &Clock,
    db: &Database,
) -> Result<Option<MqttService>> {
    if !config.mqtt.enable {
        return Ok(None);
    }
    Ok(Some(MqttService::open(
        &config.mqtt,
        device,
        signer,
        clock,
        db,
    )?))
}

/// What signs the addresses of WebSocket connections, with the credentials of replication.
#[cfg(all(feature = "mqtt", feature = "sync"))]
fn iot_signer(
    config: &Config,
    clock: &Clock,
    credentials: &CredentialSource,
) -> Option<Arc<dyn crate::mqtt::Presign>> {
    let mqtt = &config.mqtt;
    let region = mqtt.region.as_ref().filter(|_| mqtt.enable && mqtt.sign)?;
    let (credentials, clock) = (credentials.clone(), clock.clone());
    let keys = move |signer: &mut dyn FnMut(&periwinkle_core::aws::Credentials, UnixMillis)| {
        let keys = credentials.credentials();
        let keys = keys.map_err(|error| error.to_string())?;
        signer(&keys, clock.now().wall.unwrap_or(UnixMillis(0)));
        Ok(())
    };
    Some(Arc::new(crate::mqtt::IotSigner::new(region.as_str(), keys)))
}

#[cfg(all(feature = "mqtt", not(feature = "sync")))]
fn no_signer(config: &Config) -> Result<Option<Arc<dyn crate::mqtt::Presign>>> {
    match config.mqtt.enable && config.mqtt.sign {
        false => Ok(None),
        true => Err(Error::Config(
            "`mqtt.sign` needs the feature `sync`, which has the credentials".to_owned(),
        )),
    }
}

#[cfg(feature = "fetch")]
fn open_fetch(
    config: &Config,
    clock: &Clock,
    keys: crate::fetch::CredentialsSource,
) -> Result<crate::fetch::Fetch> {
    let options = crate::fetch::FetchOptions::configured(config, clock);
    let options = options.map_err(|error| Error::Config(error.to_string()))?;
    let client = options.credentials(keys).build();
    client.map_err(|error| Error::Config(error.to_string()))
}

#[cfg(all(feature = "fetch", not(any(feature = "sync", feature = "upload"))))]
fn no_credentials() -> crate::fetch::CredentialsSource {
    Arc::new(|| Err("give them to the request".to_owned()))
}

/// The maker's routes: those that need a login ask for it only when one of them matches.
fn maker_routes(routes: Router, public_routes: Router) -> Router {
    let guarded = match routes.has_routes() {
        true => routes.route_layer(from_fn(require_login)),
        false => routes,
    };
    guarded.merge(public_routes).fallback(no_such_page)
}

async fn require_login(_: Login, request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn no_such_page(uri: http::Uri) -> Problem {
    Problem::not_found(format!("There is nothing at {}.", uri.path()))
}

#[cfg(feature = "console")]
fn pages() -> Option<crate::web::dispatch::Pages> {
    Some(crate::console::answer)
}

#[cfg(not(feature = "console"))]
fn pages() -> Option<crate::web::dispatch::Pages> {
    None
}

/// Tells live listeners whenever a service changes its state.
fn publish_states(supervisor: &Supervisor, events: &Events) {
    let mut states = supervisor.states();
    let events = events.clone();
    tokio::spawn(async move {
        // Ends with the supervisor.
        while states.changed().await.is_ok() {
            let shown: Value = json!({"services": *states.borrow_and_update()});
            events.publish(Topic::Status, || shown.to_string());
        }
    });
}
