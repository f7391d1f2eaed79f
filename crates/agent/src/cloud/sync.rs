//! The service `sync`: moves requests, time and database changes in and out of the replication
//! machine of the core.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use periwinkle_core::aws::dynamodb::{self, Request as Call};
use periwinkle_core::aws::sigv4::{self, Signer};
use periwinkle_core::config::Config;
use periwinkle_core::fetch::parse_date;
use periwinkle_core::limits;
use periwinkle_core::sync::config::Config as SyncConfig;
use periwinkle_core::sync::machine::{Machine, Output, Reason, Reply, RequestId, State, Status};
use periwinkle_core::time::{Now, UnixMillis};
use periwinkle_db::{ChangeStream, Database, Event, Origin, Since};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::credentials::CredentialSource;
use crate::events::{Events, Topic};
use crate::fetch::{Fetch, FetchError};
use crate::net::clock::Clock;
use crate::net::entropy;
use crate::supervise::{Service, ServiceContext, ServiceError};

/// What others see and want of replication; clones share it.
#[derive(Clone, Debug)]
pub struct SyncHandle {
    enabled: bool,
    shown: watch::Receiver<Arc<str>>,
    retry: mpsc::Sender<()>,
    db: Database,
}

impl SyncHandle {
    /// The state, as `GET /api/v1/sync` answers it.
    pub fn show(&self) -> serde_json::Value {
        let mut shown: serde_json::Value =
            serde_json::from_str(&self.shown.borrow()).expect("the machine writes JSON");
        // The machine tells now and then; what waits is known at any time.
        let queue = self.db.stats().queue;
        if self.enabled {
            shown["queued_rows"] = queue.rows.into();
            shown["queued_bytes"] = queue.bytes.into();
            if queue.rows > 0 && shown["state"] == State::Idle.as_str() {
                shown["state"] = State::Sending.as_str().into();
            }
        }
        shown
    }

    /// Whether the configuration switches replication on.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Ends all pauses and takes up what was set aside.
    pub fn retry(&self) {
        // A full channel means that somebody has just asked for the same.
        let _ = self.retry.try_send(());
    }
}

/// The service before it runs.
#[derive(Debug)]
pub struct SyncService {
    parts: Parts,
    handle: SyncHandle,
}

#[derive(Clone, Debug)]
struct Parts {
    config: Arc<Config>,
    db: Database,
    events: Events,
    shown: watch::Sender<Arc<str>>,
    retries: Arc<tokio::sync::Mutex<mpsc::Receiver<()>>>,
    fetch: Fetch,
    credentials: CredentialSource,
}

/// The service over this database, as configured.
pub fn service(
    config: &Arc<Config>,
    db: &Database,
    events: &Events,
    fetch: &Fetch,
    credentials: &CredentialSource,
) -> SyncService {
    let shown = watch::Sender::new(text(&Status::off()));
    let (retry, retries) = mpsc::channel(1);
    let handle = SyncHandle {
        enabled: config.sync.enable,
        shown: shown.subscribe(),
        retry,
        db: db.clone(),
    };
    let parts = Parts {
        config: config.clone(),
        db: db.clone(),
        events: events.clone(),
        shown,
        retries: Arc::new(tokio::sync::Mutex::new(retries)),
        fetch: fetch.clone(),
        credentials: credentials.clone(),
    };
    SyncService { parts, handle }
}

impl SyncService {
    /// What others see and want of it.
    pub fn handle(&self) -> SyncHandle {
        self.handle.clone()
    }

    /// The entry for the supervisor.
    pub fn into_service(self) -> Service {
        let parts = self.parts;
        let run = move |ctx: ServiceContext| {
            let parts = parts.clone();
            async move { Shell::new(parts, &ctx)?.run(ctx).await }
        };
        Service::new("sync", run).beats_within(limits::SYNC_SILENCE_MAX)
    }
}

/// Moves everything in and out of one machine.
struct Shell {
    parts: Parts,
    clock: Clock,
    machine: Machine,
    sender: Sender,
    changes: ChangeStream,
    /// When local changes that have been seen are told to the machine.
    change_due: Option<Instant>,
    happened: mpsc::UnboundedReceiver<Happened>,
    happens: mpsc::UnboundedSender<Happened>,
    told: Instant,
    told_state: Option<State>,
    /// The kind of trouble that the log knows of.
    logged: Option<String>,
}

/// What comes back from tasks; each output of the machine, which bounds them, gives one.
enum Happened {
    Reply(RequestId, Reply, Option<UnixMillis>),
    Durable(Result<u64, String>),
}

enum Woken {
    Stop,
    Happened(Happened),
    Change(Option<Event>),
    ChangeDue,
    Retry,
    Timeout,
    Tell,
}

impl Shell {
    fn new(parts: Parts, ctx: &ServiceContext) -> Result<Shell, ServiceError> {
        let machine = Machine::new(
            machine_config(&parts),
            u64::from_le_bytes(entropy::bytes()?),
        );
        let (happens, happened) = mpsc::unbounded_channel();
        Ok(Shell {
            clock: ctx.clock.clone(),
            sender: Sender::new(&parts),
            changes: parts.db.changes(Since::Now),
            machine,
            change_due: None,
            happened,
            happens,
            told: Instant::now(),
            told_state: None,
            logged: None,
            parts,
        })
    }

    async fn run(mut self, mut ctx: ServiceContext) -> Result<(), ServiceError> {
        ctx.ready();
        let heartbeat = ctx.heartbeat();
        let retries = self.parts.retries.clone();
        let mut retries = retries.lock().await;
        loop {
            while let Some(output) = self.machine.poll_output() {
                self.put_out(output);
            }
            self.tell_state()?;
            heartbeat.beat();
            let timeout = self.machine.poll_timeout().map(|(at, _)| at);
            let timeout = timeout.map(|at| Instant::now() + at.since(self.clock.mono()));
            let woken = tokio::select! {
                biased;
                () = ctx.stop.requested() => Woken::Stop,
                Some(happened) = self.happened.recv() => Woken::Happened(happened),
                Some(()) = retries.recv() => Woken::Retry,
                event = self.changes.next(), if self.change_due.is_none() => Woken::Change(event),
                () = at(self.change_due) => Woken::ChangeDue,
                () = at(timeout) => Woken::Timeout,
                () = at(Some(self.told + limits::SYNC_TELL_INTERVAL)) => Woken::Tell,
            };
            if !self.take_in(woken)? {
                return Ok(());
            }
        }
    }

    /// Tells the machine what happened; `false` ends the service.
    fn take_in(&mut self, woken: Woken) -> Result<bool, ServiceError> {
        let now = self.clock.uncorrected();
        let store = self.parts.db.clone();
        match woken {
            Woken::Stop | Woken::Change(None) => return Ok(false),
            Woken::Happened(Happened::Reply(id, reply, date)) => {
                self.machine.handle_reply(id, reply, date, now, &store)?;
            }
            Woken::Happened(Happened::Durable(sequence)) => {
                let sequence = sequence.map_err(ServiceError::new)?;
                self.machine.handle_durable(sequence, now, &store)?;
            }
            // What came from the cloud does not go back there.
            Woken::Change(Some(Event::Change(change))) if change.origin == Origin::Cloud => {}
            Woken::Change(Some(_)) => {
                self.change_due = Some(Instant::now() + self.parts.config.sync.delay);
            }
            Woken::ChangeDue => {
                self.change_due = None;
                while self.changes.try_next().is_some() {}
                self.machine.handle_change(now, &store)?;
            }
            Woken::Retry => self.machine.retry_now(now, &store)?,
            Woken::Timeout => self.machine.handle_timeout(now, &store)?,
            Woken::Tell => self.told = Instant::now() - limits::SYNC_TELL_INTERVAL,
        }
        Ok(true)
    }

    fn put_out(&mut self, output: Output) {
        let happens = self.happens.clone();
        match output {
            Output::Send(id, call) => {
                let exchange = self.sender.exchange(&call, self.clock.uncorrected());
                tokio::spawn(async move {
                    let (reply, date) = exchange.await;
                    // Without a receiver the service has ended, and with it the question.
                    let _ = happens.send(Happened::Reply(id, reply, date));
                });
            }
            Output::Flush(sequence) => {
                let flushed = self.parts.db.flush();
                tokio::spawn(async move {
                    let result = flushed.durable().await;
                    let result = result.map(|()| sequence).map_err(|error| error.to_string());
                    let _ = happens.send(Happened::Durable(result));
                });
            }
            Output::ClockOffset(offset_ms) => {
                self.sender.offset_ms = offset_ms;
                if let Some(wall) = self.clock.uncorrected().wall {
                    self.clock
                        .confirm(UnixMillis(wall.0.saturating_add(offset_ms)));
                }
            }
            Output::Alarm(Reason {
                kind, text, hint, ..
            }) => {
                tracing::error!(kind, "{text}; {hint}");
            }
        }
    }

    /// One line when a kind of trouble begins and one when everything is sent again: what comes
    /// and goes with every attempt must not fill the disk.
    fn log_trouble(&mut self, status: &Status) {
        match &status.reason {
            Some(reason) if self.logged.as_ref() != Some(&reason.kind) => {
                let Reason { kind, text, hint } = reason;
                tracing::warn!(kind, "replication waits: {text}; {hint}");
                self.logged = Some(kind.clone());
            }
            None if status.state == State::Idle && self.logged.take().is_some() => {
                tracing::info!("replication goes on: everything is sent");
            }
            _ => {}
        }
    }

    /// Tells listeners the state: at once when it is another one, otherwise now and then.
    fn tell_state(&mut self) -> Result<(), ServiceError> {
        let due = self.told.elapsed() >= limits::SYNC_TELL_INTERVAL;
        let store = self.parts.db.clone();
        let state = self.machine.state_word(self.clock.uncorrected(), &store);
        if !due && self.told_state == Some(state) {
            return Ok(());
        }
        let status = self.machine.status(self.clock.uncorrected(), &store)?;
        self.log_trouble(&status);
        self.told = Instant::now();
        self.told_state = Some(state);
        let text = text(&status);
        if *self.parts.shown.borrow() != text {
            self.parts.events.publish(Topic::Sync, || text.to_string());
            self.parts.shown.send_replace(text);
        }
        Ok(())
    }
}

fn text(status: &Status) -> Arc<str> {
    status.to_value().to_json().into()
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn machine_config(parts: &Parts) -> SyncConfig {
    let sync = &parts.config.sync;
    let schema = parts.db.schema();
    let device = parts.db.context().text("deviceId").unwrap_or_default();
    let table = sync
        .table
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut config = SyncConfig::new(table, device);
    config.region = region(parts);
    config.schema = u32::try_from(schema.major_version()).unwrap_or(u32::MAX);
    config.models = parts.db.sync_rules();
    config.partitions = ["rw", "dn"]
        .map(|class| format!("dev#{device}#{class}"))
        .into_iter()
        .filter(|pk| config.models.iter().any(|model| receives(model, pk)))
        .collect();
    config.poll = sync.interval;
    config.lanes = usize::try_from(sync.in_flight_max).unwrap_or(usize::MAX);
    config
}

fn receives(model: &periwinkle_core::sync::config::ModelRule, pk: &str) -> bool {
    model.direction.is_down() && pk.starts_with(&model.pk_prefix)
}

fn region(parts: &Parts) -> String {
    parts
        .config
        .sync
        .region
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// Signs requests and sends them.
struct Sender {
    fetch: Fetch,
    url: String,
    host: String,
    signer: Signer,
    source: CredentialSource,
    offset_ms: i64,
}

impl Sender {
    fn new(parts: &Parts) -> Sender {
        let region = region(parts);
        let (url, host) = match &parts.config.sync.endpoint {
            Some(endpoint) => (endpoint.to_string(), endpoint.authority()),
            None => {
                let host = format!("dynamodb.{region}.{}", domain(&region));
                (format!("https://{host}"), host)
            }
        };
        Sender {
            fetch: parts.fetch.clone(),
            url: format!("{url}/"),
            host,
            signer: Signer::new(region, "dynamodb"),
            source: parts.credentials.clone(),
            offset_ms: 0,
        }
    }

    /// The exchange of one call, signed now; what becomes of it is never an error.
    fn exchange(
        &mut self,
        call: &Call,
        now: Now,
    ) -> impl Future<Output = (Reply, Option<UnixMillis>)> + Send + 'static {
        let request = self.request(call, now);
        let fetch = self.fetch.clone();
        async move {
            let request = match request {
                Ok(request) => request,
                Err(reason) => return (Reply::NotSent(reason), None),
            };
            let deadline = Duration::from_millis(limits::SYNC_REQUEST_MS);
            match fetch.send(request, deadline).await {
                Ok(answer) => {
                    let date = server_date(answer.headers());
                    (answered(&answer), date)
                }
                Err(error) => (lost(&error), None),
            }
        }
    }

    fn request(&mut self, call: &Call, now: Now) -> Result<Request<Bytes>, Reason> {
        let credentials = self.source.credentials().map_err(|error| {
            let hint = "set the AWS_... variables, or sync.credentials_file to a readable file";
            Reason::new("credentials_missing", error.to_string(), hint)
        })?;
        let wall = now.wall.map_or(0, |wall| wall.0);
        let at = UnixMillis(wall.saturating_add(self.offset_ms));
        let headers = [
            ("content-type", dynamodb::CONTENT_TYPE),
            ("x-amz-target", call.target.as_str()),
        ];
        let signed = self.signer.sign(
            &sigv4::Request {
                method: "POST",
                host: &self.host,
                path: "/",
                query: "",
                headers: &headers,
                payload: sigv4::Payload::Bytes(call.body.as_bytes()),
            },
            &credentials,
            at,
        );
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, dynamodb::CONTENT_TYPE)
            .header("x-amz-target", &call.target)
            .body(Bytes::from(call.body.clone()))
            .map_err(|error| unsendable(&error))?;
        for (name, value) in signed {
            let mut value = HeaderValue::from_str(&value).map_err(|error| unsendable(&error))?;
            value.set_sensitive(true);
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
        Ok(request)
    }
}

fn server_date(headers: &HeaderMap) -> Option<UnixMillis> {
    parse_date(headers.get(DATE)?.to_str().ok()?)
}

/// The domain of a region's endpoints (AWS General Reference, service endpoints).
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

fn unsendable(error: &dyn std::fmt::Display) -> Reason {
    let hint = "check sync.endpoint and the credentials for stray characters";
    Reason::new(
        "configuration",
        format!("the request cannot be sent: {error}"),
        hint,
    )
}

fn answered(answer: &http::Response<Bytes>) -> Reply {
    let error_type = answer.headers().get("x-amzn-errortype");
    Reply::Answer {
        status: answer.status().as_u16(),
        error_type: error_type
            .and_then(|field| field.to_str().ok())
            .map(str::to_owned),
        body: answer.body().to_vec(),
    }
}

fn lost(error: &FetchError) -> Reply {
    Reply::Lost(error.to_string())
}
