//! The service `metrics` as the agent runs it: samples to live listeners, rows to the database.

use std::path::PathBuf;
use std::sync::Arc;

use periwinkle_core::config::Config;
use periwinkle_core::limits;
use periwinkle_db::engine::Durability;
use periwinkle_db::{Database, DbError};

use serde_json::json;

use super::{Feed, Interface, Options, Row, run};
use crate::events::{Events, Topic};
use crate::supervise::{Service, ServiceContext, ServiceError};

/// The model that rows become items of.
const METRIC: &str = "Metric";

/// The service before it runs.
#[derive(Debug)]
pub struct MetricsService {
    options: Options,
    feed: Feed,
    db: Database,
    events: Events,
    /// Whether rows go to the cloud.
    synced: bool,
}

/// The service over this database, as configured.
pub fn service(config: &Arc<Config>, db: &Database, events: &Events) -> MetricsService {
    let metrics = &config.metrics;
    MetricsService {
        options: Options {
            root: PathBuf::from("/"),
            disk: metrics.disk.clone(),
            row: metrics.row,
            keep: metrics.keep.duration(),
        },
        feed: Feed::new(limits::METRICS_RING_SAMPLES_MAX, metrics.interval),
        db: db.clone(),
        events: events.clone(),
        synced: config.sync.enable,
    }
}

impl MetricsService {
    /// The samples, for the API.
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// The entry for the supervisor.
    pub fn into_service(self) -> Service {
        let silence_max = limits::METRICS_SILENCE_MAX.max(self.feed.interval() * 4);
        let this = Arc::new(self);
        Service::new("metrics", move |ctx| this.clone().run(ctx)).beats_within(silence_max)
    }

    async fn run(self: Arc<Self>, mut ctx: ServiceContext) -> Result<(), ServiceError> {
        ctx.ready();
        let publish = tokio::spawn(publish(self.feed.clone(), self.events.clone()));
        let (heartbeat, clock) = (ctx.heartbeat(), ctx.clock.clone());
        let now = move || {
            heartbeat.beat();
            clock.now()
        };
        let keep = |row: Row| self.keep(&row);
        let stop = async move { ctx.stop.requested().await };
        let ended = run(self.options.clone(), self.feed.clone(), now, keep, stop).await;
        publish.abort();
        Ok(ended?)
    }

    /// The cloud and live listeners hear of a row when it is on the disk. While nobody does, a row
    /// spares the flash a flush of its own.
    fn durability(&self) -> Durability {
        match self.synced || self.events.has_listeners() {
            true => Durability::Relaxed,
            false => Durability::Lazy,
        }
    }

    /// A row that cannot be kept is gone; the next one is a minute away.
    fn keep(&self, row: &Row) {
        let db = self.db.durability(self.durability());
        match db.create(METRIC, &row.properties()) {
            Ok(_) => {}
            Err(error) if matches!(error.cause(), DbError::Exists { .. }) => {
                tracing::debug!("two rows of metrics carry one time: the clock was set back");
            }
            Err(error) => tracing::warn!("a row of metrics is lost: {error}"),
        }
    }
}

/// The section `metrics` of the status.
pub fn show(feed: &Feed) -> serde_json::Value {
    let interface = |one: &Interface| json!({"name": one.name, "rx_bytes": one.rx_bytes, "tx_bytes": one.tx_bytes});
    json!({
        "samples": feed.samples(),
        "latest": feed.latest().as_deref(),
        "interfaces": feed.interfaces().iter().map(interface).collect::<Vec<_>>(),
    })
}

/// Hands each sample to live listeners, until it is cut off.
async fn publish(feed: Feed, events: Events) {
    use tokio::sync::broadcast::error::RecvError;
    let mut samples = feed.subscribe();
    loop {
        match samples.recv().await {
            Ok(sample) => events.publish(Topic::Metrics, || {
                serde_json::to_string(&*sample).expect("a sample has only text keys")
            }),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
