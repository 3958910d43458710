//! What storage tells of itself, under Prometheus's names.

use std::sync::Arc;

use model::summary::{Summary, SummaryOpts};
use model::time::Clock;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// What all names begin with.
const PREFIX: &str = "prometheus_tsdb_";
/// Quantiles of the duration of a sync.
const FSYNC_QUANTILES: &[f64] = &[0.5, 0.9, 0.99];
/// Sum and count alone.
const NO_QUANTILES: &[f64] = &[];
/// Ten minutes to twelve hours.
const OUT_OF_ORDER_BUCKETS: &[f64] = &[600.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0];

/// Label value of `type` for floats.
pub(crate) const FLOAT: &str = "float";
/// Label value of `type` for histograms.
pub(crate) const HISTOGRAM: &str = "histogram";

/// A kind of metric, made from its name, its help, and what else it takes.
trait Kind: Collector + Clone + Sized + 'static {
    /// What else it takes.
    type With;

    fn make(name: String, help: &str, with: Self::With, clock: &Arc<dyn Clock>) -> prometheus::Result<Self>;
}

impl Kind for IntCounter {
    type With = ();

    fn make(name: String, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        IntCounter::new(name, help)
    }
}

impl Kind for IntGauge {
    type With = ();

    fn make(name: String, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        IntGauge::new(name, help)
    }
}

impl Kind for Gauge {
    type With = ();

    fn make(name: String, help: &str, (): (), _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        Gauge::new(name, help)
    }
}

/// Counters by kind of sample, of which those named are there from the beginning.
impl Kind for IntCounterVec {
    type With = &'static [&'static str];

    fn make(name: String, help: &str, types: Self::With, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        let metric = IntCounterVec::new(Opts::new(name, help), &["type"])?;
        for kind in types {
            metric.with_label_values(&[kind]);
        }
        Ok(metric)
    }
}

/// Upper bounds of a histogram's buckets.
enum Buckets {
    Fixed(&'static [f64]),
    /// The first, by how much each is larger than the one before, and how many there are.
    Exponential(f64, f64, usize),
}

impl Kind for Histogram {
    type With = Buckets;

    fn make(name: String, help: &str, buckets: Buckets, _: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        let bounds = match buckets {
            Buckets::Fixed(bounds) => bounds.to_vec(),
            Buckets::Exponential(first, factor, count) => {
                prometheus::exponential_buckets(first, factor, count)?
            }
        };
        Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds))
    }
}

impl Kind for Summary {
    /// Quantiles.
    type With = &'static [f64];

    fn make(
        name: String,
        help: &str,
        quantiles: Self::With,
        clock: &Arc<dyn Clock>,
    ) -> prometheus::Result<Self> {
        Summary::new(SummaryOpts::new(&name, help, quantiles, Arc::clone(clock)))
    }
}

/// Makes a metric and registers it.
fn register<K: Kind>(
    registry: &Registry,
    clock: &Arc<dyn Clock>,
    (name, help, with): (&str, &str, K::With),
) -> prometheus::Result<K> {
    let metric = K::make(format!("{PREFIX}{name}"), help, with, clock)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Declares [`Metrics`] as a table of field, kind with what else it takes, name behind the prefix, and help.
macro_rules! metrics {
    ($($field:ident: $kind:ident $(($with:expr))? = $name:literal, $help:literal;)*) => {
        /// The metrics of a database.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind,)*
        }

        impl Metrics {
            fn make(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
                Ok(Metrics {
                    $($field: register(registry, clock, ($name, $help, ($($with)?)))?,)*
                })
            }
        }
    };
}

metrics! {
    blocks_loaded: IntGauge = "blocks_loaded", "Number of currently loaded data blocks";
    checkpoint_creations: IntCounter = "checkpoint_creations_total",
        "Total number of checkpoint creations attempted.";
    checkpoint_creations_failed: IntCounter = "checkpoint_creations_failed_total",
        "Total number of checkpoint creations that failed.";
    checkpoint_deletions: IntCounter = "checkpoint_deletions_total",
        "Total number of checkpoint deletions attempted.";
    checkpoint_deletions_failed: IntCounter = "checkpoint_deletions_failed_total",
        "Total number of checkpoint deletions that failed.";
    compaction_chunk_range: Histogram(Buckets::Exponential(100.0, 4.0, 10)) = "compaction_chunk_range_seconds",
        "Final time range of chunks on their first compaction";
    compaction_chunk_samples: Histogram(Buckets::Exponential(4.0, 1.5, 12)) = "compaction_chunk_samples",
        "Final number of samples on their first compaction";
    compaction_chunk_size: Histogram(Buckets::Exponential(32.0, 1.5, 12)) = "compaction_chunk_size_bytes",
        "Final size of chunks on their first compaction";
    compaction_duration: Histogram(Buckets::Exponential(1.0, 2.0, 14)) = "compaction_duration_seconds",
        "Duration of compaction runs";
    compaction_populating_block: IntGauge = "compaction_populating_block",
        "Set to 1 when a block is currently being written to the disk.";
    compactions: IntCounter = "compactions_total",
        "Total number of compactions that were executed for the partition.";
    compactions_failed: IntCounter = "compactions_failed_total",
        "Total number of compactions that failed for the partition.";
    compactions_skipped: IntCounter = "compactions_skipped_total",
        "Total number of skipped compactions due to disabled auto compaction.";
    compactions_triggered: IntCounter = "compactions_triggered_total",
        "Total number of triggered compactions for the partition.";
    vertical_compactions: IntCounter = "vertical_compactions_total",
        "Total number of compactions done on overlapping blocks.";
    replay_duration: Gauge = "data_replay_duration_seconds", "Time taken to replay the data on disk.";
    exemplars_appended: IntCounter = "exemplar_exemplars_appended_total",
        "Total number of appended exemplars.";
    exemplars_in_storage: IntGauge = "exemplar_exemplars_in_storage",
        "Number of exemplars currently in circular storage.";
    exemplars_last_timestamp: Gauge = "exemplar_last_exemplars_timestamp_seconds",
        "The timestamp of the oldest exemplar stored in circular storage.";
    exemplars_max: IntGauge = "exemplar_max_exemplars",
        "Total number of exemplars the exemplar storage can store, resizeable.";
    exemplars_out_of_order: IntCounter = "exemplar_out_of_order_exemplars_total",
        "Total number of out of order exemplar ingestion failed attempts.";
    exemplars_series: IntGauge = "exemplar_series_with_exemplars_in_storage",
        "Number of series with exemplars currently in circular storage.";
    active_appenders: IntGauge = "head_active_appenders", "Number of currently active appender transactions";
    appenders_created: IntCounter = "head_appenders_created_total", "Total number of appenders created.";
    head_chunks: IntGauge = "head_chunks", "Total number of chunks in the head block.";
    chunks_created: IntCounter = "head_chunks_created_total", "Total number of chunks created in the head";
    chunks_removed: IntCounter = "head_chunks_removed_total", "Total number of chunks removed in the head";
    head_chunks_bytes: IntGauge = "head_chunks_storage_size_bytes", "Size of the chunks_head directory.";
    gc_duration: Summary(NO_QUANTILES) = "head_gc_duration_seconds",
        "Runtime of garbage collection in the head block.";
    head_max_time: IntGauge = "head_max_time",
        "Maximum timestamp of the head block. The unit is decided by the library consumer.";
    head_min_time: IntGauge = "head_min_time",
        "Minimum time bound of the head block. The unit is decided by the library consumer.";
    head_max_time_seconds: Gauge = "head_max_time_seconds", "Maximum timestamp of the head block.";
    head_min_time_seconds: Gauge = "head_min_time_seconds", "Minimum time bound of the head block.";
    lowest_timestamp: IntGauge = "lowest_timestamp",
        "Lowest timestamp value stored in the database. The unit is decided by the library consumer.";
    lowest_timestamp_seconds: Gauge = "lowest_timestamp_seconds",
        "Lowest timestamp value stored in the database.";
    native_histogram_series: IntGauge = "head_native_histogram_series",
        "Number of native histogram series in the head block.";
    native_histogram_buckets: IntGauge = "head_native_histogram_buckets",
        "Number of native histogram buckets in the head block.";
    samples_appended: IntCounterVec(BY_TYPE) = "head_samples_appended_total", "Total number of appended samples.";
    out_of_order_appended: IntCounterVec(BY_TYPE) = "head_out_of_order_samples_appended_total",
        "Total number of appended out of order samples.";
    series: IntGauge = "head_series", "Total number of series in the head block.";
    series_created: IntCounter = "head_series_created_total", "Total number of series created in the head";
    series_removed: IntCounter = "head_series_removed_total", "Total number of series removed in the head";
    series_not_found: IntCounter = "head_series_not_found_total",
        "Total number of requests for series that were not found.";
    stale_series: IntGauge = "head_stale_series", "Total number of stale series in the head block.";
    truncations: IntCounter = "head_truncations_total", "Total number of head truncations attempted.";
    truncations_failed: IntCounter = "head_truncations_failed_total",
        "Total number of head truncations that failed.";
    mmap_chunk_corruptions: IntCounter = "mmap_chunk_corruptions_total",
        "Total number of memory-mapped chunk corruptions.";
    mmap_chunks: IntCounter = "mmap_chunks_total", "Total number of chunks that were memory-mapped.";
    out_of_bound_samples: IntCounterVec(BY_TYPE) = "out_of_bound_samples_total",
        "Total number of out of bound samples ingestion failed attempts with out of order support disabled.";
    out_of_order_samples: IntCounterVec(BY_TYPE) = "out_of_order_samples_total",
        "Total number of out of order samples ingestion failed attempts due to out of order being disabled.";
    too_old_samples: IntCounterVec(BY_TYPE) = "too_old_samples_total",
        "Total number of out of order samples ingestion failed attempts with out of support enabled, but sample outside of time window.";
    reloads: IntCounter = "reloads_total", "Number of times the database reloaded block data from disk.";
    reloads_failed: IntCounter = "reloads_failures_total",
        "Number of times the database failed to reload block data from disk.";
    ooo_delta: Histogram(Buckets::Fixed(OUT_OF_ORDER_BUCKETS)) = "sample_ooo_delta",
        "Delta in seconds by which a sample is considered out of order (reported regardless of OOO time window and whether sample is accepted or not).";
    size_retentions: IntCounter = "size_retentions_total",
        "The number of times that blocks were deleted because the maximum number of bytes was exceeded.";
    time_retentions: IntCounter = "time_retentions_total",
        "The number of times that blocks were deleted because the maximum time limit was exceeded.";
    retention_limit_bytes: IntGauge = "retention_limit_bytes",
        "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled";
    retention_limit_percentage: Gauge = "retention_limit_percentage",
        "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 means disabled";
    retention_limit_seconds: IntGauge = "retention_limit_seconds", "How long to retain samples in storage.";
    storage_blocks_bytes: IntGauge = "storage_blocks_bytes",
        "The number of bytes that are currently used for local storage by all blocks.";
    symbol_table_bytes: IntGauge = "symbol_table_size_bytes",
        "Size of symbol table in memory for loaded blocks";
    tombstone_cleanup: Histogram(Buckets::Fixed(prometheus::DEFAULT_BUCKETS)) = "tombstone_cleanup_seconds",
        "The time taken to recompact blocks to remove tombstones.";
    wal_corruptions: IntCounter = "wal_corruptions_total", "Total number of WAL corruptions.";
    wal_unknown_refs: IntCounterVec(REPLAYED) = "wal_replay_unknown_refs_total",
        "Total number of unknown series references encountered during WAL replay.";
    wal_truncate_duration: Summary(NO_QUANTILES) = "wal_truncate_duration_seconds", "Duration of WAL truncation.";
    wal_fsync_duration: Summary(FSYNC_QUANTILES) = "wal_fsync_duration_seconds",
        "Duration of write log fsync.";
    wal_segment: IntGauge = "wal_segment_current",
        "Write log segment index that TSDB is currently writing to.";
    wal_bytes: IntGauge = "wal_storage_size_bytes", "Size of the write log directory.";
    wal_truncations: IntCounter = "wal_truncations_total", "Total number of write log truncations attempted.";
    wal_truncations_failed: IntCounter = "wal_truncations_failed_total",
        "Total number of write log truncations that failed.";
    wal_writes_failed: IntCounter = "wal_writes_failed_total",
        "Total number of write log writes that failed.";
    wal_records: IntCounter = "wal_record_part_writes_total",
        "Total number of record parts written before flushing.";
    wal_bytes_written: IntCounter = "wal_record_parts_bytes_written_total",
        "Total number of record part bytes written before flushing, including CRC and compression headers.";
    wal_lost_commits: IntCounter = "wal_lost_commits_total",
        "Total number of commits that damage to the write log has cost.";
    clean_start: IntGauge = "clean_start",
        "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: lockfile creation was clean";
}

/// Both kinds of samples.
const BY_TYPE: &[&str] = &[FLOAT, HISTOGRAM];
/// What a log is replayed of.
const REPLAYED: &[&str] = &["samples"];

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// If the registry has one of the names already.
    pub fn register(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        register_constants(registry, clock)?;
        Metrics::make(registry, clock)
    }
}

/// Metrics that have no meaning here beyond being there for dashboards: head reads need no ids of transactions,
/// and no queue is before the files of head chunks.
fn register_constants(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<()> {
    for (name, help) in [
        ("isolation_high_watermark", "The highest TSDB append ID that has been given out."),
        ("isolation_low_watermark", "The lowest TSDB append ID that is still referenced."),
    ] {
        register::<IntGauge>(registry, clock, (name, help, ()))?;
    }
    let opts = Opts::new(
        format!("{PREFIX}chunk_write_queue_operations_total"),
        "Number of chunk write queue operations.",
    );
    let queue = GaugeVec::new(opts, &["operation"])?;
    queue.with_label_values(&["add"]).set(0.0);
    registry.register(Box::new(queue))
}
