//! From the log into the shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use model::labels::Labels;
use model::log::{LogCommit, LogFollower};
use model::storage::HistogramValue;
use model::time::TimestampMs;

use super::endpoint::Shared;
use super::item::{Counts, Item, SentExemplar, Value};
use super::metrics::DropReason;
use super::series::{Sent, SeriesCache};
use crate::write::Version;

/// How long to wait before the log is read again after an error.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The thread that reads the log.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    follower: Box<dyn LogFollower>,
    series: SeriesCache,
    counted: Arc<AtomicU64>,
}

/// The shards take nothing any more.
struct CutOff;

/// Exemplars that wait for their series' sample.
type Exemplars = HashMap<Labels, Vec<SentExemplar>>;

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, follower: Box<dyn LogFollower>, counted: Arc<AtomicU64>) -> Self {
        let config = &shared.config;
        let series = SeriesCache::new(config.external_labels.clone(), config.write_relabel.clone());
        Reader { shared, follower, series, counted }
    }

    /// Reads until told to stop.
    pub(super) fn run(mut self) {
        let mut commit = LogCommit::default();
        while !self.is_done() {
            match self.follower.next(&mut commit) {
                Ok(true) => {
                    if let Err(CutOff) = self.enqueue(&mut commit) {
                        return;
                    }
                    self.shared.read.store(commit.number, Ordering::Release);
                }
                Ok(false) => {
                    self.series.age();
                    self.follower.wait(&self.shared.stopping);
                }
                Err(error) => {
                    tracing::error!(remote_name = self.shared.config.name, %error, "log can't be read to be sent");
                    std::thread::park_timeout(RETRY_INTERVAL);
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let stopping = self.shared.stopping.load(Ordering::Acquire);
        let is_read = || self.follower.number() >= self.shared.read_until.load(Ordering::Acquire);
        stopping && (is_read() || self.shared.shards.is_cut_off())
    }

    fn enqueue(&mut self, commit: &mut LogCommit) -> Result<(), CutOff> {
        self.note(commit);
        for series in &commit.gone {
            self.series.remove(*series);
        }
        let mut exemplars = self.exemplars(commit);
        for sample in &commit.floats {
            let sent = self.series.get(sample.series, &*self.follower);
            let value = Value::Float(sample.value);
            self.shared.put(commit.number, sent, sample.timestamp_ms, value, &mut exemplars)?;
        }
        if self.shared.config.send_native_histograms {
            for sample in commit.histograms.drain(..) {
                let sent = self.series.get(sample.series, &*self.follower);
                let value = Value::Histogram(Arc::new(sample.value));
                self.shared.put(commit.number, sent, sample.timestamp_ms, value, &mut exemplars)?;
            }
        }
        let left = exemplars.values().map(|exemplars| exemplars.len() as u64).sum();
        let left = Counts { exemplars: left, ..Counts::default() };
        self.shared.metrics.note_dropped(left, DropReason::NoSample);
        Ok(())
    }

    /// The exemplars of a commit by the labels that the endpoint sees.
    fn exemplars(&self, commit: &mut LogCommit) -> Exemplars {
        let mut exemplars = Exemplars::new();
        if !self.shared.config.send_exemplars {
            return exemplars;
        }
        for (labels, exemplar) in commit.exemplars.drain(..) {
            if let Sent::As(labels, _) = self.series.of_labels(labels) {
                exemplars.entry(labels).or_default().push(SentExemplar {
                    labels: exemplar.labels,
                    timestamp_ms: exemplar.timestamp_ms.unwrap_or_default(),
                    value: exemplar.value,
                });
            }
        }
        exemplars
    }

    /// Counts what a commit brings.
    fn note(&self, commit: &LogCommit) {
        let metrics = &self.shared.metrics;
        let counts = Counts {
            samples: commit.floats.len() as u64,
            histograms: commit.histograms.len() as u64,
            exemplars: commit.exemplars.len() as u64,
        };
        for (counter, count) in [
            (&metrics.samples_read, counts.samples),
            (&metrics.histograms_read, counts.histograms),
            (&metrics.exemplars_read, counts.exemplars),
        ] {
            counter.inc_by(u64::from(count > 0));
        }
        metrics.segment.set(self.follower.segment().into());
        self.shared.traffic.read.add(counts.total());
        // Of all endpoints the first that comes to a commit counts it.
        if self.counted.fetch_max(commit.number, Ordering::Relaxed) < commit.number {
            self.shared.all_metrics.note_incoming(counts);
            if let Some(newest) = self.shared.log.newest_timestamp_ms() {
                self.shared.all_metrics.set_highest_timestamp(newest as f64 / 1e3);
            }
        }
        if commit.lost > 0 {
            metrics.commits_lost.inc_by(commit.lost);
            tracing::error!(
                remote_name = self.shared.config.name,
                url = self.shared.config.url,
                commits = commit.lost,
                "commits were gone from the log before they could be sent"
            );
        }
    }
}

impl Shared {
    /// Whether a sample is too old to be sent.
    pub(super) fn is_too_old(&self, timestamp_ms: TimestampMs) -> bool {
        let limit_ms = self.config.queue.sample_age_limit.as_millis();
        limit_ms > 0 && timestamp_ms < self.clock.now_ms() - limit_ms
    }

    /// Puts a sample into its shard, unless it isn't sent.
    fn put(
        &self,
        commit: u64,
        sent: &Sent,
        timestamp_ms: TimestampMs,
        value: Value,
        exemplars: &mut Exemplars,
    ) -> Result<(), CutOff> {
        let drop_for = |reason| {
            self.metrics.note_dropped(Counts::one(&value, 0), reason);
            self.traffic.dropped.add(1);
            Ok(())
        };
        let (labels, hash) = match sent {
            Sent::As(labels, hash) => (labels, *hash),
            Sent::Dropped => return drop_for(DropReason::DroppedSeries),
            Sent::Unknown => return drop_for(DropReason::UnknownSeries),
        };
        if self.is_too_old(timestamp_ms) {
            return drop_for(DropReason::TooOld);
        }
        if self.config.version == Version::V1 && has_custom_buckets(&value) {
            return drop_for(DropReason::CustomBuckets);
        }
        self.newest_queued_ms.fetch_max(timestamp_ms, Ordering::Relaxed);
        let exemplars = if exemplars.is_empty() { None } else { exemplars.remove(labels) };
        let exemplars = exemplars.unwrap_or_default();
        self.metrics.add_pending(Counts::one(&value, exemplars.len()));
        let item = Item { commit, labels: labels.clone(), timestamp_ms, value, exemplars };
        match self.shards.push(item, hash) {
            Some(waited) => {
                self.metrics.enqueue_retries.inc_by(u64::from(waited));
                Ok(())
            }
            None => Err(CutOff),
        }
    }
}

fn has_custom_buckets(value: &Value) -> bool {
    match value {
        Value::Histogram(histogram) => match &**histogram {
            HistogramValue::Integer(histogram) => histogram.has_custom_buckets(),
            HistogramValue::Float(histogram) => histogram.has_custom_buckets(),
        },
        _ => false,
    }
}
