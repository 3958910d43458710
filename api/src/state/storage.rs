//! What the storage tells of itself, and what it can be told to do.

use std::fmt::Debug;
use std::sync::Arc;

use model::exemplar::Exemplar;
use model::labels::Labels;
use model::matcher::Matcher;
use model::metadata::MetricFamily;
use model::storage::StorageError;
use model::time::TimestampMs;

/// Sizes of the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadStats {
    /// Series in it.
    pub num_series: u64,
    /// Distinct label pairs.
    pub num_label_pairs: u64,
    /// Chunks, the open ones included.
    pub chunk_count: u64,
    /// Time of its oldest sample; `i64::MAX` while it is empty.
    pub min_time_ms: TimestampMs,
    /// Time of its newest sample; `i64::MIN` while it is empty.
    pub max_time_ms: TimestampMs,
}

/// The largest contributors to the head, each list from the largest down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Metric names by number of series.
    pub series_by_metric_name: Vec<(String, u64)>,
    /// Label names by number of distinct values.
    pub values_by_label_name: Vec<(String, u64)>,
    /// Label names by bytes that their values take.
    pub bytes_by_label_name: Vec<(String, u64)>,
    /// Label pairs, as `name=value`, by number of series.
    pub series_by_label_pair: Vec<(String, u64)>,
}

/// How far the write-ahead log has been read back, in segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalReplay {
    /// The first segment.
    pub min: u64,
    /// The last segment.
    pub max: u64,
    /// The segment being read.
    pub current: u64,
}

/// A place on disk that couldn't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DamagedPlace {
    /// The file, or the directory of a block.
    pub file: String,
    /// Where the damage begins, in bytes.
    pub from: u64,
    /// Where it ends; as `from` if all of the file is meant.
    pub to: u64,
    /// What is wrong.
    pub what: String,
}

/// What the storage lost to damage on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageDamage {
    /// Where; all else is served.
    pub places: Vec<DamagedPlace>,
    /// Commits that are missing from the log.
    pub lost_commits: u64,
}

/// Tells how full the storage is.
pub trait StorageStatus: Debug + Send + Sync {
    /// Sizes of the head.
    fn head_stats(&self) -> Result<HeadStats, StorageError>;

    /// The largest contributors to the head, at most `limit` of each list.
    fn cardinality(&self, limit: usize) -> Result<Cardinality, StorageError>;

    /// The `meta.json` of every block, oldest first.
    fn blocks(&self) -> Result<Vec<serde_json::Value>, StorageError>;

    /// What is known of the metric families of its series, in no order.
    fn families(&self) -> Result<Vec<Arc<MetricFamily>>, StorageError>;

    /// How far the log has been read back; asked while the program starts.
    fn wal_replay(&self) -> WalReplay;

    /// What was found damaged since the program started.
    fn damage(&self) -> Result<StorageDamage, StorageError>;
}

/// Changes what is stored.
pub trait StorageAdmin: Debug + Send + Sync {
    /// Deletes the samples in `[mint, maxt]`, both inclusive, of all series that satisfy the matchers.
    fn delete_series(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        matchers: &[Matcher],
    ) -> Result<(), StorageError>;

    /// Rewrites blocks without their deleted samples.
    fn clean_tombstones(&self) -> Result<(), StorageError>;

    /// Makes a copy of everything under `snapshots/<name>` of the data directory, without the head if so
    /// asked.
    fn snapshot(&self, name: &str, skip_head: bool) -> Result<(), StorageError>;
}

/// The exemplars of one series.
#[derive(Clone, Debug)]
pub struct SeriesExemplars {
    /// Labels of the series.
    pub series: Labels,
    /// Its exemplars in order of time, each with a timestamp.
    pub exemplars: Vec<Exemplar>,
}

/// Keeps exemplars.
pub trait ExemplarSource: Debug + Send + Sync {
    /// Exemplars in `[mint, maxt]`, both inclusive, of the series that satisfy one of the selectors; sorted by
    /// label set.
    fn exemplars(
        &self,
        mint: TimestampMs,
        maxt: TimestampMs,
        selectors: &[Vec<Matcher>],
    ) -> Result<Vec<SeriesExemplars>, StorageError>;
}
