//! What sending tells of itself, under Prometheus's names.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::item::Counts;

const ENDPOINT: &[&str] = &["remote_name", "url"];
/// Beyond the usual ones, since retries may take long.
const LONG_SECS: [f64; 4] = [25.0, 60.0, 120.0, 300.0];

/// Why a sample isn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DropReason {
    TooOld,
    DroppedSeries,
    UnknownSeries,
    CustomBuckets,
    /// An exemplar whose series has no sample in its commit.
    NoSample,
}

impl DropReason {
    fn as_str(self) -> &'static str {
        match self {
            DropReason::TooOld => "too_old",
            DropReason::DroppedSeries => "dropped_series",
            DropReason::UnknownSeries => "unintentionally_dropped_series",
            DropReason::CustomBuckets => "nhcb_in_rw1_not_supported",
            DropReason::NoSample => "exemplar_without_sample",
        }
    }
}

/// A metric of samples, histograms and exemplars.
#[derive(Clone, Debug)]
struct Kinds<V> {
    samples: V,
    histograms: V,
    exemplars: V,
}

/// The metrics of all endpoints.
#[derive(Debug)]
pub(super) struct Metrics {
    sent: Kinds<IntCounterVec>,
    failed: Kinds<IntCounterVec>,
    retried: Kinds<IntCounterVec>,
    dropped: Kinds<IntCounterVec>,
    pending: Kinds<IntGaugeVec>,
    incoming: Kinds<IntCounter>,
    metadata: IntCounterVec,
    metadata_failed: IntCounterVec,
    metadata_retried: IntCounterVec,
    metadata_bytes: IntCounterVec,
    bytes: IntCounterVec,
    enqueue_retries: IntCounterVec,
    batch_duration: HistogramVec,
    highest_timestamp: Gauge,
    queue_highest: GaugeVec,
    queue_highest_sent: GaugeVec,
    shard_capacity: IntGaugeVec,
    shards: IntGaugeVec,
    shards_max: IntGaugeVec,
    shards_min: IntGaugeVec,
    shards_desired: GaugeVec,
    max_samples_per_send: IntGaugeVec,
    records_read: IntCounterVec,
    commits_lost: IntCounterVec,
    segment: IntGaugeVec,
}

struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> prometheus::Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn opts(name: &str, help: &str) -> Opts {
        Opts::new(format!("prometheus_remote_storage_{name}"), help)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounterVec> {
        self.register(IntCounterVec::new(Self::opts(name, help), ENDPOINT)?)
    }

    fn int_gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Self::opts(name, help), ENDPOINT)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<GaugeVec> {
        self.register(GaugeVec::new(Self::opts(name, help), ENDPOINT)?)
    }

    /// For each kind a metric `<kind>_<name>`, made by `make` of the name and the help text.
    fn kinds<V>(
        name: &str,
        help: &str,
        make: impl Fn(&str, &str) -> prometheus::Result<V>,
    ) -> prometheus::Result<Kinds<V>> {
        let of = |kind: &str| make(&format!("{kind}_{name}"), &help.replace("KIND", kind));
        Ok(Kinds { samples: of("samples")?, histograms: of("histograms")?, exemplars: of("exemplars")? })
    }

    fn counters(&self, name: &str, help: &str) -> prometheus::Result<Kinds<IntCounterVec>> {
        Self::kinds(name, help, |name, help| self.counter(name, help))
    }
}

impl Metrics {
    /// Registers the metrics.
    ///
    /// # Errors
    ///
    /// They are registered already.
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let m = Maker(registry);
        let mut buckets = prometheus::DEFAULT_BUCKETS.to_vec();
        buckets.extend(LONG_SECS);
        let duration = HistogramOpts::new(
            "prometheus_remote_storage_sent_batch_duration_seconds",
            "Duration of send calls to the remote storage.",
        );
        let watcher = |name: &str, help: &str| Opts::new(format!("prometheus_wal_watcher_{name}"), help);
        Ok(Metrics {
            sent: m.counters("total", "Total number of KIND sent to remote storage.")?,
            failed: m.counters("failed_total", "Total number of KIND which failed on send to remote storage, non-recoverable errors.")?,
            retried: m.counters("retried_total", "Total number of KIND which failed on send to remote storage but were retried because the send error was recoverable.")?,
            dropped: Maker::kinds("dropped_total", "Total number of KIND which were dropped after being read from the log before being sent via remote write, either via relabelling, due to being too old or unintentionally because of an unknown series.", |name, help| {
                m.register(IntCounterVec::new(Maker::opts(name, help), &["reason", "remote_name", "url"])?)
            })?,
            pending: Maker::kinds("pending", "The number of KIND pending in the queues shards to be sent to the remote storage.", |name, help| m.int_gauge(name, help))?,
            incoming: Maker::kinds("in_total", "KIND in to remote storage, as the log has them.", |name, help| {
                m.register(IntCounter::with_opts(Maker::opts(name, help))?)
            })?,
            metadata: m.counter("metadata_total", "Total number of metadata entries sent to remote storage.")?,
            metadata_failed: m.counter("metadata_failed_total", "Total number of metadata entries which failed on send to remote storage, non-recoverable errors.")?,
            metadata_retried: m.counter("metadata_retried_total", "Total number of metadata entries which failed on send to remote storage but were retried because the send error was recoverable.")?,
            metadata_bytes: m.counter("metadata_bytes_total", "The total number of bytes of metadata sent by the queue after compression.")?,
            bytes: m.counter("bytes_total", "The total number of bytes of data (not metadata) sent by the queue after compression.")?,
            enqueue_retries: m.counter("enqueue_retries_total", "Total number of times enqueue has had to wait because a shards queue was full.")?,
            batch_duration: m.register(HistogramVec::new(duration.buckets(buckets), ENDPOINT)?)?,
            highest_timestamp: m.register(Gauge::with_opts(Maker::opts("highest_timestamp_in_seconds", "Highest timestamp that has come into the remote storage, in seconds since epoch."))?)?,
            queue_highest: m.gauge("queue_highest_timestamp_seconds", "Highest timestamp that was enqueued, or is waiting to be while the queue is full, in seconds since epoch.")?,
            queue_highest_sent: m.gauge("queue_highest_sent_timestamp_seconds", "Timestamp from a log sample, the highest timestamp successfully sent by this queue, in seconds since epoch.")?,
            shard_capacity: m.int_gauge("shard_capacity", "The capacity of each shard of the queue used for parallel sending to the remote storage.")?,
            shards: m.int_gauge("shards", "The number of shards used for parallel sending to the remote storage.")?,
            shards_max: m.int_gauge("shards_max", "The maximum number of shards that the queue is allowed to run.")?,
            shards_min: m.int_gauge("shards_min", "The minimum number of shards that the queue is allowed to run.")?,
            shards_desired: m.gauge("shards_desired", "The number of shards that the queues shard calculation wants to run based on the rate of samples in vs. samples out.")?,
            max_samples_per_send: m.int_gauge("max_samples_per_send", "The maximum number of samples to be sent, in a single request, to the remote storage.")?,
            records_read: m.register(IntCounterVec::new(watcher("records_read_total", "Number of commits read from the log, by what they hold."), &["consumer", "type"])?)?,
            commits_lost: m.register(IntCounterVec::new(watcher("commits_lost_total", "Number of commits of the log that were gone or damaged before they could be sent."), &["consumer"])?)?,
            segment: m.register(IntGaugeVec::new(watcher("current_segment", "Current segment the log watcher is reading from."), &["consumer"])?)?,
        })
    }

    /// Notes what a commit brought.
    pub(super) fn note_incoming(&self, counts: Counts) {
        self.incoming.samples.inc_by(counts.samples);
        self.incoming.histograms.inc_by(counts.histograms);
        self.incoming.exemplars.inc_by(counts.exemplars);
    }

    pub(super) fn set_highest_timestamp(&self, secs: f64) {
        self.highest_timestamp.set(secs);
    }

    /// Those of one endpoint.
    pub(super) fn of(&self, name: &str, url: &str) -> EndpointMetrics {
        let labels = [name, url];
        let counter = |vec: &IntCounterVec| vec.with_label_values(&labels);
        let gauge = |vec: &IntGaugeVec| vec.with_label_values(&labels);
        let counters = |kinds: &Kinds<IntCounterVec>| Kinds {
            samples: counter(&kinds.samples),
            histograms: counter(&kinds.histograms),
            exemplars: counter(&kinds.exemplars),
        };
        EndpointMetrics {
            name: name.to_owned(),
            url: url.to_owned(),
            sent: counters(&self.sent),
            failed: counters(&self.failed),
            retried: counters(&self.retried),
            dropped: self.dropped.clone(),
            pending: Kinds {
                samples: gauge(&self.pending.samples),
                histograms: gauge(&self.pending.histograms),
                exemplars: gauge(&self.pending.exemplars),
            },
            metadata: counter(&self.metadata),
            metadata_failed: counter(&self.metadata_failed),
            metadata_retried: counter(&self.metadata_retried),
            metadata_bytes: counter(&self.metadata_bytes),
            bytes: counter(&self.bytes),
            enqueue_retries: counter(&self.enqueue_retries),
            batch_duration: self.batch_duration.with_label_values(&labels),
            queue_highest: self.queue_highest.with_label_values(&labels),
            queue_highest_sent: self.queue_highest_sent.with_label_values(&labels),
            shard_capacity: gauge(&self.shard_capacity),
            shards: gauge(&self.shards),
            shards_max: gauge(&self.shards_max),
            shards_min: gauge(&self.shards_min),
            shards_desired: self.shards_desired.with_label_values(&labels),
            max_samples_per_send: gauge(&self.max_samples_per_send),
            samples_read: self.records_read.with_label_values(&[name, "samples"]),
            histograms_read: self.records_read.with_label_values(&[name, "histogram_samples"]),
            exemplars_read: self.records_read.with_label_values(&[name, "exemplars"]),
            commits_lost: self.commits_lost.with_label_values(&[name]),
            segment: self.segment.with_label_values(&[name]),
        }
    }

    /// Forgets those of an endpoint that is gone.
    pub(super) fn remove(&self, name: &str, url: &str) {
        let labels = [name, url];
        // What was never set isn't there: that is no error.
        for kinds in [&self.sent, &self.failed, &self.retried] {
            for vec in [&kinds.samples, &kinds.histograms, &kinds.exemplars] {
                let _ = vec.remove_label_values(&labels);
            }
        }
        for vec in [&self.dropped.samples, &self.dropped.histograms, &self.dropped.exemplars] {
            for reason in DROP_REASONS {
                let _ = vec.remove_label_values(&[reason.as_str(), name, url]);
            }
        }
        for vec in [
            &self.metadata,
            &self.metadata_failed,
            &self.metadata_retried,
            &self.metadata_bytes,
            &self.bytes,
            &self.enqueue_retries,
        ] {
            let _ = vec.remove_label_values(&labels);
        }
        for vec in [
            &self.pending.samples,
            &self.pending.histograms,
            &self.pending.exemplars,
            &self.shard_capacity,
            &self.shards,
            &self.shards_max,
            &self.shards_min,
            &self.max_samples_per_send,
        ] {
            let _ = vec.remove_label_values(&labels);
        }
        for vec in [&self.queue_highest, &self.queue_highest_sent, &self.shards_desired] {
            let _ = vec.remove_label_values(&labels);
        }
        let _ = self.batch_duration.remove_label_values(&labels);
        for kind in ["samples", "histogram_samples", "exemplars"] {
            let _ = self.records_read.remove_label_values(&[name, kind]);
        }
        let _ = self.commits_lost.remove_label_values(&[name]);
        let _ = self.segment.remove_label_values(&[name]);
    }
}

const DROP_REASONS: [DropReason; 5] = [
    DropReason::TooOld,
    DropReason::DroppedSeries,
    DropReason::UnknownSeries,
    DropReason::CustomBuckets,
    DropReason::NoSample,
];

/// The metrics of one endpoint.
#[derive(Debug)]
pub(super) struct EndpointMetrics {
    name: String,
    url: String,
    sent: Kinds<IntCounter>,
    failed: Kinds<IntCounter>,
    retried: Kinds<IntCounter>,
    dropped: Kinds<IntCounterVec>,
    pending: Kinds<IntGauge>,
    pub(super) metadata: IntCounter,
    pub(super) metadata_failed: IntCounter,
    pub(super) metadata_retried: IntCounter,
    pub(super) metadata_bytes: IntCounter,
    pub(super) bytes: IntCounter,
    pub(super) enqueue_retries: IntCounter,
    pub(super) batch_duration: Histogram,
    pub(super) queue_highest: Gauge,
    pub(super) queue_highest_sent: Gauge,
    pub(super) shard_capacity: IntGauge,
    pub(super) shards: IntGauge,
    pub(super) shards_max: IntGauge,
    pub(super) shards_min: IntGauge,
    pub(super) shards_desired: Gauge,
    pub(super) max_samples_per_send: IntGauge,
    pub(super) samples_read: IntCounter,
    pub(super) histograms_read: IntCounter,
    pub(super) exemplars_read: IntCounter,
    pub(super) commits_lost: IntCounter,
    pub(super) segment: IntGauge,
}

impl Kinds<IntCounter> {
    fn add(&self, counts: Counts) {
        self.samples.inc_by(counts.samples);
        self.histograms.inc_by(counts.histograms);
        self.exemplars.inc_by(counts.exemplars);
    }
}

impl EndpointMetrics {
    /// Notes that so much is in a request on its way.
    pub(super) fn note_sent(&self, counts: Counts) {
        self.sent.add(counts);
    }

    /// Notes that so much was refused.
    pub(super) fn note_failed(&self, counts: Counts) {
        self.failed.add(counts);
    }

    /// Notes that so much will be sent again.
    pub(super) fn note_retried(&self, counts: Counts) {
        self.retried.add(counts);
    }

    /// Notes that so much isn't sent.
    pub(super) fn note_dropped(&self, counts: Counts, reason: DropReason) {
        let labels = [reason.as_str(), &self.name, &self.url];
        for (vec, count) in [
            (&self.dropped.samples, counts.samples),
            (&self.dropped.histograms, counts.histograms),
            (&self.dropped.exemplars, counts.exemplars),
        ] {
            if count > 0 {
                vec.with_label_values(&labels).inc_by(count);
            }
        }
    }

    /// Notes that so much waits.
    pub(super) fn add_pending(&self, counts: Counts) {
        self.pending.samples.add(counts.samples as i64);
        self.pending.histograms.add(counts.histograms as i64);
        self.pending.exemplars.add(counts.exemplars as i64);
    }

    /// Notes that so much waits no longer.
    pub(super) fn remove_pending(&self, counts: Counts) {
        self.pending.samples.sub(counts.samples as i64);
        self.pending.histograms.sub(counts.histograms as i64);
        self.pending.exemplars.sub(counts.exemplars as i64);
    }
}
