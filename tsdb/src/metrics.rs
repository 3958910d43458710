//! What storage tells of itself, under Prometheus's names.

use std::sync::Arc;

use model::summary::{Summary, SummaryOpts};
use model::time::Clock;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Quantiles of the duration of a sync.
const FSYNC_QUANTILES: &[f64] = &[0.5, 0.9, 0.99];

/// The metrics of a database. Those that only hold a constant are registered and not kept.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is named by its metric, whose help says what it is")]
pub struct Metrics {
    pub blocks_loaded: IntGauge,
    pub checkpoint_creations: IntCounter,
    pub checkpoint_creations_failed: IntCounter,
    pub checkpoint_deletions: IntCounter,
    pub checkpoint_deletions_failed: IntCounter,
    pub compaction_chunk_range: Histogram,
    pub compaction_chunk_samples: Histogram,
    pub compaction_chunk_size: Histogram,
    pub compaction_duration: Histogram,
    pub compaction_populating_block: IntGauge,
    pub compactions: IntCounter,
    pub compactions_failed: IntCounter,
    pub compactions_skipped: IntCounter,
    pub compactions_triggered: IntCounter,
    pub vertical_compactions: IntCounter,
    pub replay_duration: Gauge,
    pub exemplars_appended: IntCounter,
    pub exemplars_in_storage: IntGauge,
    pub exemplars_last_timestamp: Gauge,
    pub exemplars_max: IntGauge,
    pub exemplars_out_of_order: IntCounter,
    pub exemplars_series: IntGauge,
    pub active_appenders: IntGauge,
    pub appenders_created: IntCounter,
    pub head_chunks: IntGauge,
    pub chunks_created: IntCounter,
    pub chunks_removed: IntCounter,
    pub head_chunks_bytes: IntGauge,
    pub gc_duration: Summary,
    pub head_max_time: IntGauge,
    pub head_min_time: IntGauge,
    pub head_max_time_seconds: Gauge,
    pub head_min_time_seconds: Gauge,
    pub lowest_timestamp: IntGauge,
    pub lowest_timestamp_seconds: Gauge,
    pub native_histogram_series: IntGauge,
    pub samples_appended: IntCounterVec,
    pub out_of_order_appended: IntCounterVec,
    pub series: IntGauge,
    pub series_created: IntCounter,
    pub series_removed: IntCounter,
    pub series_not_found: IntCounter,
    pub stale_series: IntGauge,
    pub truncations: IntCounter,
    pub truncations_failed: IntCounter,
    pub mmap_chunk_corruptions: IntCounter,
    pub mmap_chunks: IntCounter,
    pub out_of_bound_samples: IntCounterVec,
    pub out_of_order_samples: IntCounterVec,
    pub too_old_samples: IntCounterVec,
    pub reloads: IntCounter,
    pub reloads_failed: IntCounter,
    pub ooo_delta: Histogram,
    pub size_retentions: IntCounter,
    pub time_retentions: IntCounter,
    pub retention_limit_bytes: IntGauge,
    pub retention_limit_percentage: Gauge,
    pub retention_limit_seconds: IntGauge,
    pub storage_blocks_bytes: IntGauge,
    pub symbol_table_bytes: IntGauge,
    pub tombstone_cleanup: Histogram,
    pub wal_corruptions: IntCounter,
    pub wal_unknown_refs: IntCounterVec,
    pub wal_truncate_duration: Summary,
    pub wal_fsync_duration: Summary,
    pub wal_segment: IntGauge,
    pub wal_bytes: IntGauge,
    pub wal_truncations: IntCounter,
    pub wal_truncations_failed: IntCounter,
    pub wal_writes_failed: IntCounter,
    pub wal_records: IntCounter,
    pub wal_bytes_written: IntCounter,
    pub wal_lost_commits: IntCounter,
    pub clean_start: IntGauge,
}

/// Makes and registers metrics under `prometheus_tsdb_`.
struct Maker<'a> {
    registry: &'a Registry,
    clock: &'a Arc<dyn Clock>,
}

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<C>,
    ) -> prometheus::Result<C> {
        let metric = metric?;
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.register(IntCounter::new(format!("prometheus_tsdb_{name}"), help))
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.register(IntGauge::new(format!("prometheus_tsdb_{name}"), help))
    }

    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.register(Gauge::new(format!("prometheus_tsdb_{name}"), help))
    }

    /// A counter by kind of sample, both kinds there from the beginning.
    fn by_type(&self, name: &str, help: &str) -> prometheus::Result<IntCounterVec> {
        let opts = Opts::new(format!("prometheus_tsdb_{name}"), help);
        let metric = self.register(IntCounterVec::new(opts, &["type"]))?;
        for kind in [FLOAT, HISTOGRAM] {
            metric.with_label_values(&[kind]);
        }
        Ok(metric)
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> prometheus::Result<Histogram> {
        let opts = HistogramOpts::new(format!("prometheus_tsdb_{name}"), help).buckets(buckets);
        self.register(Histogram::with_opts(opts))
    }

    fn summary(&self, name: &str, help: &str, quantiles: &'static [f64]) -> prometheus::Result<Summary> {
        let name = format!("prometheus_tsdb_{name}");
        self.register(Summary::new(SummaryOpts::new(&name, help, quantiles, Arc::clone(self.clock))))
    }
}

/// Label value of `type` for floats.
pub(crate) const FLOAT: &str = "float";
/// Label value of `type` for histograms.
pub(crate) const HISTOGRAM: &str = "histogram";

impl Metrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    ///
    /// If the registry has one of the names already.
    pub fn register(registry: &Registry, clock: &Arc<dyn Clock>) -> prometheus::Result<Self> {
        use prometheus::exponential_buckets as exponential;
        let m = Maker { registry, clock };
        Self::register_constants(&m)?;
        Ok(Metrics {
            blocks_loaded: m.gauge("blocks_loaded", "Number of currently loaded data blocks")?,
            checkpoint_creations: m
                .counter("checkpoint_creations_total", "Total number of checkpoint creations attempted.")?,
            checkpoint_creations_failed: m
                .counter("checkpoint_creations_failed_total", "Total number of checkpoint creations that failed.")?,
            checkpoint_deletions: m
                .counter("checkpoint_deletions_total", "Total number of checkpoint deletions attempted.")?,
            checkpoint_deletions_failed: m
                .counter("checkpoint_deletions_failed_total", "Total number of checkpoint deletions that failed.")?,
            compaction_chunk_range: m.histogram(
                "compaction_chunk_range_seconds",
                "Final time range of chunks on their first compaction",
                exponential(100.0, 4.0, 10)?,
            )?,
            compaction_chunk_samples: m.histogram(
                "compaction_chunk_samples",
                "Final number of samples on their first compaction",
                exponential(4.0, 1.5, 12)?,
            )?,
            compaction_chunk_size: m.histogram(
                "compaction_chunk_size_bytes",
                "Final size of chunks on their first compaction",
                exponential(32.0, 1.5, 12)?,
            )?,
            compaction_duration: m.histogram(
                "compaction_duration_seconds",
                "Duration of compaction runs",
                exponential(1.0, 2.0, 14)?,
            )?,
            compaction_populating_block: m
                .gauge("compaction_populating_block", "Set to 1 when a block is currently being written to the disk.")?,
            compactions: m
                .counter("compactions_total", "Total number of compactions that were executed for the partition.")?,
            compactions_failed: m
                .counter("compactions_failed_total", "Total number of compactions that failed for the partition.")?,
            compactions_skipped: m
                .counter("compactions_skipped_total", "Total number of skipped compactions due to disabled auto compaction.")?,
            compactions_triggered: m
                .counter("compactions_triggered_total", "Total number of triggered compactions for the partition.")?,
            vertical_compactions: m
                .counter("vertical_compactions_total", "Total number of compactions done on overlapping blocks.")?,
            replay_duration: m
                .float_gauge("data_replay_duration_seconds", "Time taken to replay the data on disk.")?,
            exemplars_appended: m
                .counter("exemplar_exemplars_appended_total", "Total number of appended exemplars.")?,
            exemplars_in_storage: m
                .gauge("exemplar_exemplars_in_storage", "Number of exemplars currently in circular storage.")?,
            exemplars_last_timestamp: m.float_gauge(
                "exemplar_last_exemplars_timestamp_seconds",
                "The timestamp of the oldest exemplar stored in circular storage.",
            )?,
            exemplars_max: m
                .gauge("exemplar_max_exemplars", "Total number of exemplars the exemplar storage can store, resizeable.")?,
            exemplars_out_of_order: m
                .counter("exemplar_out_of_order_exemplars_total", "Total number of out of order exemplar ingestion failed attempts.")?,
            exemplars_series: m.gauge(
                "exemplar_series_with_exemplars_in_storage",
                "Number of series with exemplars currently in circular storage.",
            )?,
            active_appenders: m.gauge("head_active_appenders", "Number of currently active appender transactions")?,
            appenders_created: m.counter("head_appenders_created_total", "Total number of appenders created.")?,
            head_chunks: m.gauge("head_chunks", "Total number of chunks in the head block.")?,
            chunks_created: m
                .counter("head_chunks_created_total", "Total number of chunks created in the head")?,
            chunks_removed: m
                .counter("head_chunks_removed_total", "Total number of chunks removed in the head")?,
            head_chunks_bytes: m
                .gauge("head_chunks_storage_size_bytes", "Size of the chunks_head directory.")?,
            gc_duration: m
                .summary("head_gc_duration_seconds", "Runtime of garbage collection in the head block.", &[])?,
            head_max_time: m.gauge(
                "head_max_time",
                "Maximum timestamp of the head block. The unit is decided by the library consumer.",
            )?,
            head_min_time: m.gauge(
                "head_min_time",
                "Minimum time bound of the head block. The unit is decided by the library consumer.",
            )?,
            head_max_time_seconds: m.float_gauge("head_max_time_seconds", "Maximum timestamp of the head block.")?,
            head_min_time_seconds: m.float_gauge("head_min_time_seconds", "Minimum time bound of the head block.")?,
            lowest_timestamp: m.gauge(
                "lowest_timestamp",
                "Lowest timestamp value stored in the database. The unit is decided by the library consumer.",
            )?,
            lowest_timestamp_seconds: m
                .float_gauge("lowest_timestamp_seconds", "Lowest timestamp value stored in the database.")?,
            native_histogram_series: m
                .gauge("head_native_histogram_series", "Number of native histogram series in the head block.")?,
            samples_appended: m.by_type("head_samples_appended_total", "Total number of appended samples.")?,
            out_of_order_appended: m.by_type(
                "head_out_of_order_samples_appended_total",
                "Total number of appended out of order samples.",
            )?,
            series: m.gauge("head_series", "Total number of series in the head block.")?,
            series_created: m.counter("head_series_created_total", "Total number of series created in the head")?,
            series_removed: m.counter("head_series_removed_total", "Total number of series removed in the head")?,
            series_not_found: m
                .counter("head_series_not_found_total", "Total number of requests for series that were not found.")?,
            stale_series: m.gauge("head_stale_series", "Total number of stale series in the head block.")?,
            truncations: m.counter("head_truncations_total", "Total number of head truncations attempted.")?,
            truncations_failed: m
                .counter("head_truncations_failed_total", "Total number of head truncations that failed.")?,
            mmap_chunk_corruptions: m
                .counter("mmap_chunk_corruptions_total", "Total number of memory-mapped chunk corruptions.")?,
            mmap_chunks: m.counter("mmap_chunks_total", "Total number of chunks that were memory-mapped.")?,
            out_of_bound_samples: m.by_type(
                "out_of_bound_samples_total",
                "Total number of out of bound samples ingestion failed attempts with out of order support disabled.",
            )?,
            out_of_order_samples: m.by_type(
                "out_of_order_samples_total",
                "Total number of out of order samples ingestion failed attempts due to out of order being disabled.",
            )?,
            too_old_samples: m.by_type(
                "too_old_samples_total",
                "Total number of out of order samples ingestion failed attempts with out of support enabled, but sample outside of time window.",
            )?,
            reloads: m.counter(
                "reloads_total",
                "Number of times the database reloaded block data from disk.",
            )?,
            reloads_failed: m.counter(
                "reloads_failures_total",
                "Number of times the database failed to reload block data from disk.",
            )?,
            ooo_delta: m.histogram(
                "sample_ooo_delta",
                "Delta in seconds by which a sample is considered out of order (reported regardless of OOO time window and whether sample is accepted or not).",
                vec![600.0, 1800.0, 3600.0, 7200.0, 10800.0, 21600.0, 43200.0],
            )?,
            size_retentions: m.counter(
                "size_retentions_total",
                "The number of times that blocks were deleted because the maximum number of bytes was exceeded.",
            )?,
            time_retentions: m.counter(
                "time_retentions_total",
                "The number of times that blocks were deleted because the maximum time limit was exceeded.",
            )?,
            retention_limit_bytes: m.gauge(
                "retention_limit_bytes",
                "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled",
            )?,
            retention_limit_percentage: m.float_gauge(
                "retention_limit_percentage",
                "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 means disabled",
            )?,
            retention_limit_seconds: m.gauge(
                "retention_limit_seconds",
                "How long to retain samples in storage.",
            )?,
            storage_blocks_bytes: m.gauge(
                "storage_blocks_bytes",
                "The number of bytes that are currently used for local storage by all blocks.",
            )?,
            symbol_table_bytes: m
                .gauge("symbol_table_size_bytes", "Size of symbol table in memory for loaded blocks")?,
            tombstone_cleanup: m.histogram(
                "tombstone_cleanup_seconds",
                "The time taken to recompact blocks to remove tombstones.",
                prometheus::DEFAULT_BUCKETS.to_vec(),
            )?,
            wal_corruptions: m.counter("wal_corruptions_total", "Total number of WAL corruptions.")?,
            wal_unknown_refs: {
                let opts = Opts::new(
                    "prometheus_tsdb_wal_replay_unknown_refs_total",
                    "Total number of unknown series references encountered during WAL replay.",
                );
                m.register(IntCounterVec::new(opts, &["type"]))?
            },
            wal_truncate_duration: m
                .summary("wal_truncate_duration_seconds", "Duration of WAL truncation.", &[])?,
            wal_fsync_duration: m.summary(
                "wal_fsync_duration_seconds",
                "Duration of write log fsync.",
                FSYNC_QUANTILES,
            )?,
            wal_segment: m.gauge("wal_segment_current", "Write log segment index that TSDB is currently writing to.")?,
            wal_bytes: m.gauge("wal_storage_size_bytes", "Size of the write log directory.")?,
            wal_truncations: m.counter("wal_truncations_total", "Total number of write log truncations attempted.")?,
            wal_truncations_failed: m
                .counter("wal_truncations_failed_total", "Total number of write log truncations that failed.")?,
            wal_writes_failed: m.counter("wal_writes_failed_total", "Total number of write log writes that failed.")?,
            wal_records: m
                .counter("wal_record_part_writes_total", "Total number of record parts written before flushing.")?,
            wal_bytes_written: m.counter(
                "wal_record_parts_bytes_written_total",
                "Total number of record part bytes written before flushing, including CRC and compression headers.",
            )?,
            wal_lost_commits: m.counter(
                "wal_lost_commits_total",
                "Total number of commits that damage to the write log has cost.",
            )?,
            clean_start: m.gauge(
                "clean_start",
                "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: lockfile creation was clean",
            )?,
        })
    }

    /// Metrics that have no meaning here beyond being there for dashboards: head reads need no ids of
    /// transactions, and stale series are compacted with the others.
    fn register_constants(m: &Maker<'_>) -> prometheus::Result<()> {
        for (name, help) in [
            ("isolation_high_watermark", "The highest TSDB append ID that has been given out."),
            ("isolation_low_watermark", "The lowest TSDB append ID that is still referenced."),
        ] {
            m.gauge(name, help)?;
        }
        let opts = Opts::new(
            "prometheus_tsdb_chunk_write_queue_operations_total",
            "Number of chunk write queue operations.",
        );
        let queue: GaugeVec = m.register(GaugeVec::new(opts, &["operation"]))?;
        queue.with_label_values(&["add"]).set(0.0);
        Ok(())
    }
}
