//! The manager: all pools, kept in step with the configuration.

use std::sync::Arc;
use std::time::Duration;

use client::{ClientError, DialMetrics};
use hashbrown::HashMap;
use model::labels::Labels;
use model::storage::Appender;
use model::time::Clock;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::JobConfig;
use crate::discovery;
use crate::discovery::DiscoveryMetrics;
use crate::failure_log::FailureLog;
use crate::metrics::Metrics;
use crate::pool::{Command, Pool, Snapshot};
use crate::scrape_loop::PoolContext;
use crate::session::ScratchPool;
use crate::status::{PoolStatus, TargetMetadata, TargetStatus};
use crate::target::fnv1a;

/// Commands that may wait for a pool that is busy with an earlier one.
const COMMANDS_WAITING_MAX: usize = 16;

/// What scraping is told beside its configuration file.
#[derive(Clone, Debug)]
pub struct Options {
    /// The header `User-Agent`: `Prometheus/<version>`.
    pub user_agent: String,
    /// This server's name, which shifts the time of its scrapes against other servers'.
    pub hostname: String,
    /// How often discovery may change the targets of a pool.
    pub discovery_reload_interval: Duration,
    /// Whether the timestamp of a scrape that is late by less than the tolerance is that of its slot.
    pub align_timestamps: bool,
    /// See above; at most a hundredth of the interval.
    pub timestamp_tolerance: Duration,
    /// The secret key of the hashes that stand for lines.
    pub hash_seed: u64,
    /// Where connections are counted.
    pub dial_metrics: Option<DialMetrics>,
    /// Where discovery counts.
    pub discovery_metrics: Option<DiscoveryMetrics>,
}

impl Default for Options {
    /// The defaults of the command line, with a random key.
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Options {
            user_agent: "Prometheus/3.14.0".to_owned(),
            hostname: String::new(),
            discovery_reload_interval: Duration::from_secs(5),
            align_timestamps: true,
            timestamp_tolerance: Duration::from_millis(2),
            hash_seed: RandomState::new().hash_one(0),
            dial_metrics: None,
            discovery_metrics: None,
        }
    }
}

pub(crate) fn client_options(options: &Options, name: &str, unix_socket: Option<String>) -> client::Options {
    client::Options {
        name: name.to_owned(),
        user_agent: options.user_agent.clone(),
        unix_socket,
        round_robin_dns: false,
        metrics: options.dial_metrics.clone(),
    }
}

pub(crate) fn discovery_context(pool: &PoolContext) -> discovery::Context {
    discovery::Context {
        job_name: pool.job.job_name.clone(),
        client: client_options(&pool.options, &pool.job.job_name, None),
        metrics: pool.options.discovery_metrics.clone(),
    }
}

/// All pools. Its methods are to be called within a tokio runtime of several threads.
#[derive(Debug)]
pub struct Manager {
    appender: Arc<dyn Appender>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    options: Options,
    scratches: Arc<ScratchPool>,
    pools: Mutex<HashMap<String, PoolHandle>>,
    /// Tasks of pools that were removed and still end their series.
    ending: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct PoolHandle {
    context: Arc<PoolContext>,
    commands: mpsc::Sender<Command>,
    snapshot: Arc<Mutex<Snapshot>>,
    task: JoinHandle<()>,
}

impl Manager {
    /// A manager without pools. Registers its metrics.
    ///
    /// # Errors
    ///
    /// The registry has metrics of these names already.
    pub fn new(
        appender: Arc<dyn Appender>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
        mut options: Options,
    ) -> prometheus::Result<Self> {
        let metrics = Metrics::register(registry, &clock)?;
        if options.dial_metrics.is_none() {
            options.dial_metrics = Some(DialMetrics::register(registry)?);
        }
        if options.discovery_metrics.is_none() {
            options.discovery_metrics = Some(DiscoveryMetrics::register(registry, &clock)?);
        }
        Ok(Manager {
            appender,
            clock,
            metrics,
            options,
            scratches: Arc::default(),
            pools: Mutex::default(),
            ending: Mutex::default(),
        })
    }

    /// Brings the pools in step with a configuration, by difference: a job that is as it was goes on without
    /// noticing. Jobs that can't be set up are left as they were, the others are not held up by them.
    ///
    /// # Errors
    ///
    /// The jobs that failed, each with its reason.
    pub fn apply(
        &self,
        jobs: Vec<JobConfig>,
        external_labels: &Labels,
    ) -> Result<(), Vec<(String, ClientError)>> {
        let seed = fnv1a(format!("{}{external_labels}", self.options.hostname).as_bytes());
        let mut pools = self.pools.lock();
        let mut failed = Vec::new();
        let names: Vec<String> = jobs.iter().map(|job| job.job_name.clone()).collect();
        for job in jobs {
            let name = job.job_name.clone();
            if let Err(error) = self.apply_job(&mut pools, job, seed) {
                failed.push((name, error));
            }
        }
        let gone: Vec<String> = pools.keys().filter(|name| !names.contains(name)).cloned().collect();
        let mut ending = self.ending.lock();
        ending.retain(|task| !task.is_finished());
        for name in gone {
            if let Some(pool) = pools.remove(&name) {
                pool.send(Command::End);
                ending.push(pool.task);
            }
        }
        self.metrics.sd_failed_configs.with_label_values(&["scrape"]).set(failed.len() as i64);
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    fn apply_job(
        &self,
        pools: &mut HashMap<String, PoolHandle>,
        job: JobConfig,
        seed: u64,
    ) -> Result<(), ClientError> {
        if let Some(pool) = pools.get_mut(&job.job_name) {
            if let Some(log) = &pool.context.failure_log {
                log.reopen();
            }
            if pool.context.job != job || pool.context.offset_seed != seed {
                let context = self.context(job, seed);
                pool.context = context.clone();
                pool.send(Command::Reload(context));
            }
            return Ok(());
        }
        self.metrics.pools.inc();
        let context = self.context(job, seed);
        let snapshot = Arc::new(Mutex::new(Snapshot::default()));
        let pool =
            Pool::new(context.clone(), snapshot.clone()).inspect_err(|_| self.metrics.pools_failed.inc())?;
        let (commands, received) = mpsc::channel(COMMANDS_WAITING_MAX);
        let task = tokio::spawn(pool.run(received));
        pools.insert(context.job.job_name.clone(), PoolHandle { context, commands, snapshot, task });
        Ok(())
    }

    fn context(&self, job: JobConfig, offset_seed: u64) -> Arc<PoolContext> {
        let path = job.scrape_failure_log_file.as_str();
        let failure_log = match path {
            "" => None,
            path => FailureLog::open(path)
                .inspect_err(|error| tracing::error!(path, %error, "Opening the scrape failure log failed"))
                .ok(),
        };
        Arc::new(PoolContext {
            job,
            appender: self.appender.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            options: self.options.clone(),
            scratches: self.scratches.clone(),
            failure_log,
            offset_seed,
            forced_error: Mutex::new(None),
        })
    }

    /// All pools with their targets, by name.
    pub fn targets(&self) -> Vec<PoolStatus> {
        let pools = self.pools.lock();
        let mut all: Vec<PoolStatus> = pools.iter().map(|(name, pool)| pool.status(name)).collect();
        all.sort_by(|a, b| a.job_name.cmp(&b.job_name));
        all
    }

    /// What targets say of their metric families; of `metric` only, unless that is empty.
    pub fn metadata(&self, metric: &str) -> Vec<TargetMetadata> {
        let pools = self.pools.lock();
        let mut all = Vec::new();
        for pool in pools.values() {
            for (target, health) in &pool.snapshot.lock().active {
                let cache = health.metadata().lock();
                let families = cache.iter().filter(|(name, _)| metric.is_empty() || *name == metric);
                all.extend(families.map(|(name, metadata)| TargetMetadata {
                    target: target.labels.clone(),
                    metric: name.to_owned(),
                    metadata: metadata.clone(),
                }));
            }
        }
        all
    }

    /// The configuration of a job in force.
    pub fn job(&self, name: &str) -> Option<JobConfig> {
        self.pools.lock().get(name).map(|pool| pool.context.job.clone())
    }

    /// Brings the gauges that show sizes of caches up to date; to be called before metrics are collected.
    pub fn refresh_metrics(&self) {
        for (name, pool) in self.pools.lock().iter() {
            let (mut entries, mut bytes) = (0, 0);
            for (_, health) in &pool.snapshot.lock().active {
                let cache = health.metadata().lock();
                entries += cache.len();
                bytes += cache.size_bytes();
            }
            self.metrics.metadata_entries.with_label_values(&[name]).set(entries as i64);
            self.metrics.metadata_bytes.with_label_values(&[name]).set(bytes as i64);
        }
    }

    /// Stops all scraping. Writes no staleness markers: the server is expected back.
    pub async fn shutdown(&self) {
        let pools: Vec<PoolHandle> = self.pools.lock().drain().map(|(_, pool)| pool).collect();
        for pool in &pools {
            pool.send(Command::Quit);
        }
        for pool in pools {
            let _ = pool.task.await;
        }
        for task in self.ending.lock().drain(..) {
            task.abort();
        }
    }
}

impl PoolHandle {
    fn send(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::error!(scrape_pool = %self.context.job.job_name, "Scrape pool doesn't take commands");
        }
    }

    fn status(&self, name: &str) -> PoolStatus {
        let snapshot = self.snapshot.lock();
        let active = snapshot.active.iter();
        PoolStatus {
            job_name: name.to_owned(),
            active: active.map(|(target, health)| TargetStatus::new(name, target, health.get())).collect(),
            dropped: snapshot.dropped.clone(),
            dropped_count: snapshot.dropped_count,
        }
    }
}
