//! Builds the parts, joins them, runs them, and takes them apart again.
//!
//! Nothing is started before the configuration is known to be right. The HTTP server comes first, so that it can
//! say "not ready" while the storage replays its log; then the storage, then whatever writes to it. They end in
//! the opposite order, and the HTTP server last, so that nothing is asked for that nobody can answer.

mod alertmanagers;
mod alerts;
mod base;
mod chunks;
mod features;
mod options;
mod otlp;
mod remote_read;
mod remote_write;
mod status;
mod storage;
mod targets;
mod url;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error};
use api::notifications::{Notifications, SHUTTING_DOWN, STARTING_UP};
use api::readiness::{Phase, Readiness};
use api::{Parts, Server};
use model::storage::Queryable;
use promql::engine::Engine;
use remote::read::Merged;
use remote::write::sender::Sender;
use rules::notify::Notifier;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tsdb::Db;
use tsdb::fs::RealFs;

use crate::config::Config;
use crate::flags::Flags;
use crate::query_log::{Logging, QueryLog};
use crate::reload::{Part, Reloader};
use crate::shutdown::{Quit, Signals, Told};
use base::Base;

/// Threads that may block, which answer requests: more than the queries that run at a time by default, so that
/// requests which aren't queries find one. Each costs memory only while it is used.
const BLOCKING_THREADS_MAX: usize = 64;

/// How long a thread that may block waits for more to do before it ends.
const BLOCKING_THREAD_IDLE: Duration = Duration::from_secs(10);

/// How often the sizes of the targets' caches are read for the metrics.
const METRICS_REFRESH: Duration = Duration::from_secs(5);

/// Runs the server until it is told to end.
pub(crate) fn run(flags: Flags) -> anyhow::Result<()> {
    let config = Config::load_to_run(&flags.config_file, flags.features.promql)
        .map_err(Error::msg)
        .with_context(|| format!("loading config (--config.file={})", flags.config_file.display()))?;
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .thread_name("ferula")
        .enable_all()
        .build()
        .context("starting threads")?;
    runtime.block_on(async {
        let program = Program::start(flags, config, threads).await?;
        program.serve().await
    })
}

/// Everything that runs.
struct Program {
    base: Base,
    reloader: Arc<Reloader>,
    readiness: Readiness,
    notifications: Notifications,
    signals: Signals,
    engine: Arc<Engine>,
    query_log: Arc<QueryLog>,
    scraping: Arc<scrape::Manager>,
    sender: Arc<Sender>,
    merged: Arc<Merged>,
    otlp_receiver: Option<Arc<otlp::Receiver>>,
    rules: Arc<rules::manager::Manager>,
    notifier: Arc<Notifier>,
    /// Where links to this server lead, without a slash at the end.
    external_url: String,
    stop_http: oneshot::Sender<()>,
    http: tokio::task::JoinHandle<()>,
}

impl Program {
    /// Builds the parts and opens the listeners.
    async fn start(flags: Flags, config: Config, threads: usize) -> anyhow::Result<Program> {
        tracing::info!(version = crate::version::shown(), mode = "server", "Starting Ferula");
        let base = Base::new(flags)?;
        let options = options::api(&base.flags)?;
        let readiness = Readiness::new();
        let notifications = base.notifications(&options)?;
        notifications.add(STARTING_UP, "");
        let reloader = base.reloader(config, &notifications)?;
        let quit = Quit::default();
        let signals = Signals::new(quit.clone()).context("listening to signals")?;
        let scraping = base.scraping()?;
        let sender = base.sender(&scraping)?;
        let query_log = Arc::new(QueryLog::new(Arc::clone(&base.clock)));
        let engine = base.engine(&reloader, &query_log)?;
        let notifier = base.notifier()?;
        let merged = base.merged()?;
        let rules = base.rules(&engine, &merged, &notifier)?;
        let otlp_receiver = base.otlp_receiver()?;
        let external_url = options.external_url.as_str().trim_end_matches('/').to_owned();
        let parts = Parts {
            read_server: base.read_server()?,
            write_receiver: base.write_receiver()?,
            otlp_receiver: otlp_receiver.clone(),
            storage: Arc::clone(&merged) as Arc<dyn Queryable>,
            local_storage: Arc::new(base.storage.clone()),
            exemplars: Arc::new(base.storage.clone()),
            engine: Arc::clone(&engine),
            targets: Arc::new(targets::Targets(Arc::clone(&scraping))),
            alerts: Arc::new(alerts::Alerts { manager: Arc::clone(&rules), notifier: Arc::clone(&notifier) }),
            storage_status: Arc::new(base.storage.clone()),
            storage_admin: Arc::new(base.storage.clone()),
            config: base.configuration(&reloader),
            runtime: base.runtime(&reloader, threads),
            build: status::build_info(),
            lifecycle: Arc::new(status::Life { reloader: Arc::clone(&reloader), quit }),
            readiness: readiness.clone(),
            notifications: notifications.clone(),
            registry: base.registry.clone(),
            clock: Arc::clone(&base.clock),
        };
        let server = Server::bind(options, parts).await?;
        let (stop_http, stopped) = oneshot::channel();
        // The sender is dropped only where it is used: an error means the same as the message.
        let http = tokio::spawn(server.run(async { drop(stopped.await) }));
        Ok(Program {
            base,
            reloader,
            readiness,
            notifications,
            signals,
            engine,
            query_log,
            scraping,
            sender,
            merged,
            otlp_receiver,
            rules,
            notifier,
            external_url,
            stop_http,
            http,
        })
    }

    /// Opens the storage, scrapes and answers until told to end, and ends.
    async fn serve(mut self) -> anyhow::Result<()> {
        let opened = self.open_storage().await;
        if let Ok(()) = &opened {
            self.run().await;
        }
        self.readiness.set(Phase::Stopping);
        self.notifications.add(SHUTTING_DOWN, "");
        tracing::info!("Stopping rule manager...");
        self.rules.shutdown().await;
        tracing::info!("Stopping scrape manager...");
        self.scraping.shutdown().await;
        tracing::info!("Stopping notifier...");
        self.notifier.shutdown().await;
        tracing::info!("Stopping remote storage...");
        self.sender.shutdown().await;
        if let Some(db) = self.base.storage.take() {
            tracing::info!("Closing storage...");
            // What a checkpoint couldn't hold is in the log: the next start replays it.
            if let Err(error) = spawn_blocking(move || db.close()).await.context("closing storage")? {
                tracing::error!(%error, "Closing storage failed; its log will be replayed");
            }
        }
        // The server may have ended by itself; then nobody listens.
        let _ = self.stop_http.send(());
        self.http.await.context("serving HTTP")?;
        opened
    }

    async fn open_storage(&self) -> anyhow::Result<()> {
        let (path, clock, registry) =
            (self.base.flags.storage.path.clone(), Arc::clone(&self.base.clock), self.base.registry.clone());
        let mut options = options::storage(&self.base.flags, &self.reloader.current());
        options.replay_progress = self.base.storage.replay_progress();
        tracing::info!(path = %path.display(), "Opening storage...");
        let open = spawn_blocking(move || Db::open(&path, options, Arc::new(RealFs), clock, &registry));
        let db = open.await.context("opening storage")?.context("opening storage")?;
        // Only now is the data directory known to be no other process's.
        self.query_log.open_active(&self.base.flags.storage.path, self.base.flags.query.max_concurrency);
        self.base.storage.opened(db);
        tracing::info!("Storage is open");
        Ok(())
    }

    /// Hands the configuration to the parts and does what it is told until it is told to end.
    async fn run(&mut self) {
        let scraping = targets::Scraping {
            manager: Arc::clone(&self.scraping),
            features: self.base.flags.features.clone(),
        };
        let runtime = Handle::current();
        let notifying = alertmanagers::Notifying::new(
            Arc::clone(&self.notifier),
            self.external_url.clone(),
            runtime.clone(),
        );
        let rules = alerts::Rules {
            manager: Arc::clone(&self.rules),
            external_url: self.external_url.clone(),
            runtime,
        };
        let limits =
            storage::Limits { storage: self.base.storage.clone(), flags: Arc::clone(&self.base.flags) };
        let logging = Logging { log: Arc::clone(&self.query_log), engine: Arc::clone(&self.engine) };
        let sending = remote_write::Sending(Arc::clone(&self.sender));
        let receiving = otlp::Receiving(self.otlp_receiver.clone());
        let parts: Vec<Box<dyn Part>> = vec![
            Box::new(receiving),
            Box::new(limits),
            Box::new(sending),
            Box::new(remote_read::Reading(Arc::clone(&self.merged))),
            Box::new(logging),
            Box::new(scraping),
            Box::new(notifying),
            Box::new(rules),
        ];
        // An error is in the log and in the metrics; what could be applied is.
        let _ = self.on_reloader(move |reloader| reloader.start(parts)).await;
        self.notifications.remove(STARTING_UP);
        self.readiness.set(Phase::Ready);
        tracing::info!("Server is ready to receive web requests.");
        let mut checksum = self.checksum().await;
        let mut auto_reload =
            tokio::time::interval(self.base.flags.auto_reload_interval.unwrap_or(METRICS_REFRESH));
        let mut refresh = tokio::time::interval(METRICS_REFRESH);
        loop {
            let changed = tokio::select! {
                _ = refresh.tick() => {
                    self.scraping.refresh_metrics();
                    false
                }
                told = self.signals.next() => match told {
                    Told::End => return,
                    Told::Reload => true,
                },
                _ = auto_reload.tick(), if self.base.flags.auto_reload_interval.is_some() => {
                    self.checksum().await != checksum
                }
            };
            if changed {
                let _ = self.on_reloader(Reloader::reload).await;
                checksum = self.checksum().await;
            }
        }
    }

    async fn checksum(&self) -> Option<u64> {
        match self.base.flags.auto_reload_interval {
            Some(_) => self.on_reloader(Reloader::checksum).await,
            None => None,
        }
    }

    /// Runs what may block on a thread where that is allowed.
    async fn on_reloader<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reloader) -> T + Send + 'static,
    ) -> Option<T> {
        let reloader = Arc::clone(&self.reloader);
        spawn_blocking(move || work(&reloader)).await.ok()
    }
}
