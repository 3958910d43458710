//! What flags and configuration say, in the words of each part.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use api::ApiOptions;
use model::byte_size::ByteSize;
use model::duration::PromDuration;
use model::regex::AnchoredRegex;
use promql::engine::{DefaultSubqueryStep, EngineOptions, QueryObserver};
use rules::notify::NotifierOptions;
use rules::restore::RestoreOptions;
use tsdb::WalSync;

use super::storage::max_exemplars;
use super::url;
use crate::config::{Config, Retention};
use crate::flags::Flags;
use crate::query_log::QueryLog;
use crate::reload::Reloader;
use crate::version;

/// How long samples are kept if nobody says.
const DEFAULT_RETENTION: PromDuration = PromDuration::from_secs(15 * 24 * 3600);

/// The longest block that is made, unless a tenth of the retention is shorter.
const LONGEST_BLOCK: PromDuration = PromDuration::from_secs(31 * 24 * 3600);

/// The retention in force: the configuration's, or else the flags', or else 15 days.
pub(super) fn retention(flags: &Flags, config: &Config) -> Retention {
    let of_flags = || Retention {
        time: flags.storage.retention_time.unwrap_or_default(),
        size: flags.storage.retention_size.unwrap_or_default(),
        percentage: 0.0,
    };
    let retention = config.storage.retention.unwrap_or_else(of_flags);
    if retention == Retention::default() {
        return Retention { time: DEFAULT_RETENTION, ..retention };
    }
    retention
}

impl Retention {
    /// As the database takes it.
    pub(super) fn for_storage(self) -> tsdb::Retention {
        tsdb::Retention {
            time_ms: self.time.as_millis(),
            size_bytes: self.size.0,
            percentage: self.percentage,
        }
    }
}

impl fmt::Display for Retention {
    /// As `/api/v1/status/runtimeinfo` has it: `15d or 10GiB or 80%`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            (!self.time.is_zero()).then(|| self.time.to_string()),
            (self.size != ByteSize(0)).then(|| self.size.to_string()),
            (self.percentage != 0.0).then(|| format!("{}%", self.percentage)),
        ];
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        f.write_str(&limits.join(" or "))
    }
}

/// The options of the HTTP server.
pub(super) fn api(flags: &Flags) -> anyhow::Result<ApiOptions> {
    let (external_url, route_prefix) = url::external(&flags.web)?;
    let cors_origin = AnchoredRegex::new(&flags.web.cors_origin)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("could not compile CORS regex string {:?}", flags.web.cors_origin))?;
    Ok(ApiOptions {
        listen_addresses: flags.web.listen_addresses.clone(),
        read_timeout: flags.web.read_timeout,
        max_connections: flags.web.max_connections,
        external_url,
        route_prefix,
        enable_lifecycle: flags.web.enable_lifecycle,
        enable_admin_api: flags.web.enable_admin_api,
        web_config_file: flags.web.config_file.clone(),
        enable_search_api: flags.features.search_api,
        search_limit_max: flags.web.search_limit_max,
        cors_origin,
        max_notification_subscribers: flags.web.max_notification_subscribers,
        page: page(),
        page_title: flags.web.page_title.clone(),
        lookback_ms: flags.query.lookback_delta.as_millis() as i64,
    })
}

/// The full page, if the program was built with it.
fn page() -> Option<&'static ui::Page> {
    if let Err(why) = &ui::BUILT {
        tracing::warn!(
            err = why,
            "The web pages are plain ones. For the full page, build again where npm is, after touch ui/package.json"
        );
    }
    ui::BUILT.as_ref().ok()
}

/// The options of the query engine.
pub(super) fn engine(flags: &Flags, reloader: &Arc<Reloader>, log: &Arc<QueryLog>) -> EngineOptions {
    let reloader = Arc::clone(reloader);
    EngineOptions {
        max_samples: flags.query.max_samples as u64,
        timeout: flags.query.timeout,
        max_concurrency: flags.query.max_concurrency,
        lookback_delta_ms: flags.query.lookback_delta.as_millis() as i64,
        default_subquery_step: DefaultSubqueryStep(Arc::new(move || {
            reloader.current().global.evaluation_interval.as_millis()
        })),
        features: flags.features.promql,
        memory_bytes_per_query_max: flags.query.memory.each.0,
        memory_bytes_total_max: flags.query.memory.total.0,
        observer: Some(Arc::clone(log) as Arc<dyn QueryObserver>),
        ..EngineOptions::default()
    }
}

/// The options of scraping.
pub(super) fn scrape(flags: &Flags) -> scrape::Options {
    scrape::Options {
        user_agent: format!("Prometheus/{}", version::SPOKEN),
        hostname: hostname::get().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        discovery_reload_interval: flags.scrape.discovery_reload_interval,
        align_timestamps: flags.scrape.adjust_timestamps,
        timestamp_tolerance: flags.scrape.timestamp_tolerance,
        ..scrape::Options::default()
    }
}

/// The options of OTLP's receiver.
pub(super) fn otlp(flags: &Flags) -> remote::otlp::ReceiverOptions {
    remote::otlp::ReceiverOptions {
        deltas: flags.features.otlp_deltas,
        lookback_ms: flags.query.lookback_delta.as_millis() as i64,
    }
}

/// The options of the database.
pub(super) fn storage(flags: &Flags, config: &Config) -> tsdb::Options {
    let retention = retention(flags, config);
    let tenth = PromDuration(retention.time.0 / 10);
    let longest = if tenth.is_zero() { LONGEST_BLOCK } else { tenth.min(LONGEST_BLOCK) };
    let shortest = flags.storage.min_block_duration;
    tsdb::Options {
        min_block_duration_ms: shortest.as_millis(),
        max_block_duration_ms: flags.storage.max_block_duration.unwrap_or(longest).max(shortest).as_millis(),
        retention: retention.for_storage(),
        out_of_order_time_window_ms: config.storage.out_of_order_time_window.as_millis(),
        samples_per_chunk: flags.storage.samples_per_chunk,
        chunk_segment_bytes: flags.storage.chunk_segment_size.0,
        wal_segment_bytes: flags.storage.wal_segment_size.0,
        wal_sync: match flags.storage.wal_sync_interval.as_millis() as u64 {
            0 => WalSync::Always,
            interval_ms => WalSync::Every { interval_ms },
        },
        overlapping_compaction: flags.storage.overlapping_compaction,
        block_reload_interval_ms: flags.storage.block_reload_interval.as_millis(),
        no_lockfile: flags.storage.no_lockfile,
        max_exemplars: max_exemplars(config, flags.features.exemplar_storage),
        ..tsdb::Options::default()
    }
}

/// The options of the notifier.
pub(super) fn notifier(flags: &Flags) -> NotifierOptions {
    NotifierOptions {
        queue_capacity: flags.alerts.queue_capacity,
        batch_size: flags.alerts.batch_size,
        drains_on_shutdown: flags.alerts.drains_on_shutdown,
    }
}

/// How the state of alerts comes back after a restart.
pub(super) fn restore(flags: &Flags) -> RestoreOptions {
    RestoreOptions {
        outage_tolerance_ms: flags.alerts.outage_tolerance.as_millis() as i64,
        grace_period_ms: flags.alerts.grace_period.as_millis() as i64,
    }
}
