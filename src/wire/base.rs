//! What every part stands on, and each part built on it.

use std::sync::Arc;

use api::ApiOptions;
use api::notifications::Notifications;
use model::names::ValidationScheme;
use model::storage::Queryable;
use model::time::{Clock, SystemClock};
use prometheus::Registry;
use promql::engine::Engine;
use remote::read::Merged;
use remote::write::sender::{Sender, SenderParts};
use remote::write::{Receiver, ReceiverOptions};
use rules::group::Sources;
use rules::manager::{AlertSink, ManagerParts};
use rules::notify::{self, Notifier};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::storage::Storage;
use super::{chunks, options, otlp, remote_read, remote_write, status};
use crate::config::Config;
use crate::flags::Flags;
use crate::query_log::QueryLog;
use crate::reload::Reloader;
use crate::telemetry;

/// See the module.
pub(super) struct Base {
    pub(super) flags: Arc<Flags>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) registry: Registry,
    pub(super) storage: Storage,
}

impl Base {
    /// With a storage that isn't open yet.
    pub(super) fn new(flags: Flags) -> anyhow::Result<Self> {
        let registry = Registry::new();
        telemetry::register(&registry)?;
        let storage = Storage::new(flags.storage.path.clone());
        Ok(Base { flags: Arc::new(flags), clock: Arc::new(SystemClock), registry, storage })
    }

    pub(super) fn notifications(&self, options: &ApiOptions) -> anyhow::Result<Notifications> {
        let subscribers_max = options.max_notification_subscribers;
        Ok(Notifications::new(Arc::clone(&self.clock), subscribers_max, &self.registry)?)
    }

    pub(super) fn reloader(
        &self,
        config: Config,
        notifications: &Notifications,
    ) -> anyhow::Result<Arc<Reloader>> {
        let reloader = Reloader::new(
            self.flags.config_file.clone(),
            self.flags.features.promql,
            config,
            Arc::clone(&self.clock),
            notifications.clone(),
            &self.registry,
        );
        Ok(Arc::new(reloader?))
    }

    pub(super) fn scraping(&self) -> anyhow::Result<Arc<scrape::Manager>> {
        let appender = Arc::new(self.storage.clone());
        let options = options::scrape(&self.flags);
        Ok(Arc::new(scrape::Manager::new(appender, Arc::clone(&self.clock), &self.registry, options)?))
    }

    /// What takes remote writes, if that is switched on.
    pub(super) fn write_receiver(&self) -> anyhow::Result<Option<Arc<Receiver>>> {
        let Some(accepted) = &self.flags.web.remote_write_versions else { return Ok(None) };
        let options = ReceiverOptions { accepted: accepted.clone(), names: ValidationScheme::Utf8 };
        let appender = Arc::new(self.storage.clone());
        Ok(Some(Arc::new(Receiver::new(options, appender, Arc::clone(&self.clock), &self.registry)?)))
    }

    /// Takes OTLP, if that is switched on.
    pub(super) fn otlp_receiver(&self) -> anyhow::Result<Option<Arc<otlp::Receiver>>> {
        if !self.flags.web.enable_otlp_receiver {
            return Ok(None);
        }
        let (appender, clock) = (Arc::new(self.storage.clone()), Arc::clone(&self.clock));
        let receiver = otlp::Receiver::new(options::otlp(&self.flags), appender, clock, &self.registry)?;
        Ok(Some(Arc::new(receiver)))
    }

    pub(super) fn read_server(&self) -> anyhow::Result<Arc<remote::read::Server>> {
        let (storage, chunks) = (Arc::new(self.storage.clone()), Arc::new(chunks::Chunks));
        Ok(Arc::new(remote::read::Server::new(self.flags.remote_read, storage, chunks, &self.registry)?))
    }

    /// The storage, and those that are read from.
    pub(super) fn merged(&self) -> anyhow::Result<Arc<Merged>> {
        Ok(Arc::new(remote_read::merged(&self.storage, &self.flags, &self.registry)?))
    }

    pub(super) fn sender(&self, scraping: &Arc<scrape::Manager>) -> anyhow::Result<Arc<Sender>> {
        let parts = SenderParts {
            log: Arc::new(self.storage.clone()),
            metadata: Arc::new(remote_write::KnownFamilies {
                scraping: Arc::clone(scraping),
                storage: self.storage.clone(),
            }),
            clock: Arc::clone(&self.clock),
            runtime: Handle::current(),
            user_agent: format!("Ferula/{}", crate::version::VERSION),
            flush_deadline: self.flags.storage.remote_flush_deadline,
        };
        Ok(Arc::new(Sender::new(parts, &self.registry)?))
    }

    pub(super) fn engine(
        &self,
        reloader: &Arc<Reloader>,
        query_log: &Arc<QueryLog>,
    ) -> anyhow::Result<Arc<Engine>> {
        let options = options::engine(&self.flags, reloader, query_log);
        Ok(Arc::new(Engine::with_metrics(options, &self.registry, Arc::clone(&self.clock))?))
    }

    pub(super) fn notifier(&self) -> anyhow::Result<Arc<Notifier>> {
        let metrics = Arc::new(notify::Metrics::new(&self.registry, &self.clock)?);
        Ok(Arc::new(Notifier::new(options::notifier(&self.flags), metrics, Handle::current())))
    }

    pub(super) fn rules(
        &self,
        engine: &Arc<Engine>,
        storage: &Arc<Merged>,
        notifier: &Arc<Notifier>,
    ) -> anyhow::Result<Arc<rules::manager::Manager>> {
        let parts = ManagerParts {
            sources: Sources {
                engine: Arc::clone(engine),
                storage: Arc::clone(storage) as Arc<dyn Queryable>,
                appender: Arc::new(self.storage.clone()),
            },
            clock: Arc::clone(&self.clock),
            metrics: Arc::new(rules::metrics::Metrics::new(&self.registry, &self.clock)?),
            sink: Arc::clone(notifier) as Arc<dyn AlertSink>,
            restore: options::restore(&self.flags),
            resend_delay_ms: self.flags.alerts.resend_delay.as_millis() as i64,
            permits: (self.flags.alerts.max_concurrent_evals)
                .map(|count| Semaphore::new(count.min(Semaphore::MAX_PERMITS))),
            runtime: Handle::current(),
        };
        Ok(Arc::new(rules::manager::Manager::new(parts)))
    }

    pub(super) fn configuration(&self, reloader: &Arc<Reloader>) -> Arc<status::Configuration> {
        Arc::new(status::Configuration { reloader: Arc::clone(reloader), flags: Arc::clone(&self.flags) })
    }

    pub(super) fn runtime(&self, reloader: &Arc<Reloader>, threads: usize) -> Arc<status::Runtime> {
        Arc::new(status::Runtime {
            reloader: Arc::clone(reloader),
            flags: Arc::clone(&self.flags),
            storage: self.storage.clone(),
            started_at_ms: self.clock.now_ms(),
            threads,
            tokio: Handle::current(),
        })
    }
}
