//! The seam between those who keep samples and those who bring or ask for them.
//!
//! Both ways it moves columns, so that dynamic dispatch is paid for each series, not for each sample:
//!
//! - Writers fill a [`Batch`], one transaction, and hand it to an [`Appender`]. The whole batch becomes
//!   visible to readers at once, and it is acknowledged when [`Appender::commit`] returns.
//! - Readers get a [`Querier`] of a [`Queryable`], [`Querier::select`] a [`SeriesSet`] from it, and then
//!   [`SeriesSet::read`] one series at a time into [`SampleColumns`] that they use again and again. Series of
//!   one set may be read from several threads at the same time.
//!
//! Implementations of [`Queryable`] give every querier a consistent view: of a commit it sees everything or
//! nothing, and what it sees doesn't change while it lives.

use std::borrow::Cow;
use std::fmt::Debug;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::exemplar::Exemplar;
use crate::histogram::{FloatHistogram, Histogram};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::metadata::MetricFamily;
use crate::time::TimestampMs;
use crate::value::is_stale_nan;

// ---------------------------------------------------------------------------------------------- errors

/// Why a storage can't answer or can't accept a batch at all.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StorageError {
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The storage isn't open yet, or is closed.
    #[error("TSDB not ready")]
    NotReady,
    /// Bytes on disk aren't what was written.
    #[error("corruption in {file} at offset {offset}: {what}")]
    Corrupt {
        /// The damaged file.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// A read or write failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to which file.
        what: String,
        /// The operating system's error.
        source: Arc<std::io::Error>,
    },
    /// A limit was reached.
    #[error("{0}")]
    Limit(String),
}

/// Why one sample of a batch wasn't accepted. The texts are those of the reference.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AppendError {
    /// Older than the series' newest sample.
    #[error("out of order sample")]
    OutOfOrder,
    /// The series has another value at this very time.
    #[error(
        "duplicate sample for timestamp {timestamp_ms}; overrides not allowed: existing {existing}, new value {new}"
    )]
    Duplicate {
        /// The timestamp of both.
        timestamp_ms: TimestampMs,
        /// The value that was there.
        existing: f64,
        /// The value that was refused.
        new: f64,
    },
    /// Outside what the head accepts.
    #[error("out of bounds")]
    OutOfBounds,
    /// Older than the out-of-order window.
    #[error("too old sample")]
    TooOld,
    /// A label set that names no series: empty, or a name twice.
    #[error("invalid sample: {0}")]
    InvalidLabels(String),
    /// A native histogram whose parts contradict each other.
    #[error("invalid histogram: {0}")]
    InvalidHistogram(String),
    /// An exemplar that isn't newer than the last one.
    #[error("out of order exemplar")]
    OutOfOrderExemplar,
    /// An exemplar that the storage has already.
    #[error("duplicate exemplar")]
    DuplicateExemplar,
    /// An exemplar whose labels are longer than [`crate::exemplar::LABEL_CHARS_MAX`].
    #[error("label length for exemplar exceeds maximum of 128 UTF-8 characters")]
    ExemplarLabelLength,
    /// The series ref isn't known (any more): send the sample again with the series' labels.
    #[error("unknown series ref")]
    UnknownSeries,
}

// ------------------------------------------------------------------------------------------------ write

/// A storage's short name for a series. Valid until the process ends or the storage answers
/// [`AppendError::UnknownSeries`]; never given to another series meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub NonZeroU64);

/// Which series a sample of a batch belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKey {
    /// One that the storage knows.
    Known(SeriesRef),
    /// The label set at this index of [`Batch::new_series`].
    New(u32),
}

/// A float sample on its way in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatSample {
    /// The series.
    pub series: SeriesKey,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What; NaNs are already normalised, but for staleness markers.
    pub value: f64,
}

/// Integer or float counts.
#[derive(Clone, Debug, PartialEq)]
pub enum HistogramValue {
    /// As most programs expose them.
    Integer(Histogram),
    /// As rules and some programs make them.
    Float(FloatHistogram),
}

impl HistogramValue {
    /// Whether the sample is a staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum())
    }

    /// The sum of all observations.
    pub fn sum(&self) -> f64 {
        match self {
            HistogramValue::Integer(histogram) => histogram.sum,
            HistogramValue::Float(histogram) => histogram.sum,
        }
    }
}

/// A histogram sample on its way in.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// The series.
    pub series: SeriesKey,
    /// When.
    pub timestamp_ms: TimestampMs,
    /// What.
    pub value: HistogramValue,
}

/// One transaction: all samples of a scrape, of a remote-write request, of a rule evaluation.
///
/// A storage may know the label sets of `new_series` already; then they get the ref they have. Samples of one
/// series are in order of time within each list, unless they are meant to be out of order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Label sets that samples refer to by [`SeriesKey::New`]. A series comes into being only if one of its
    /// samples is accepted.
    pub new_series: Vec<Labels>,
    /// Float samples. A staleness marker takes the kind of its series' last sample.
    pub floats: Vec<FloatSample>,
    /// Histogram samples.
    pub histograms: Vec<HistogramSample>,
    /// Staleness markers of series that are gone: written after everything else, and left out without an
    /// error where the series is unknown or has a newer sample.
    pub ended: Vec<(SeriesRef, TimestampMs)>,
    /// Exemplars, by series. Those without a timestamp were given their sample's.
    pub exemplars: Vec<(SeriesKey, Exemplar)>,
    /// Metadata that may be new or changed, by series. It is left out where the series is unknown.
    pub metadata: Vec<(SeriesKey, Arc<MetricFamily>)>,
    /// Metadata that goes for all series of a family that there are, unless `metadata` says otherwise.
    pub families: Vec<Arc<MetricFamily>>,
}

impl Batch {
    /// Empties the batch and keeps its buffers.
    pub fn clear(&mut self) {
        self.new_series.clear();
        self.floats.clear();
        self.histograms.clear();
        self.ended.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.families.clear();
    }

    /// Adds a label set to `new_series` and returns its key.
    pub fn add_series(&mut self, labels: Labels) -> SeriesKey {
        self.new_series.push(labels);
        SeriesKey::New(self.new_series.len() as u32 - 1)
    }
}

/// Which list of a batch a [`Rejected`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchList {
    /// [`Batch::floats`].
    Floats,
    /// [`Batch::histograms`].
    Histograms,
    /// [`Batch::exemplars`].
    Exemplars,
}

/// An element of a batch that wasn't accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejected {
    /// The list.
    pub list: BatchList,
    /// The index in the list.
    pub index: usize,
    /// Why.
    pub error: AppendError,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    /// For each of [`Batch::new_series`] its ref; `None` where none of its samples was accepted.
    pub new_refs: Vec<Option<SeriesRef>>,
    /// What wasn't accepted. Everything else was. Equal samples at a time that the series has already are
    /// accepted and dropped.
    pub rejected: Vec<Rejected>,
}

/// Takes batches in.
pub trait Appender: Debug + Send + Sync {
    /// Writes a batch. When this returns `Ok`, what wasn't rejected outlives the process.
    ///
    /// # Errors
    ///
    /// Nothing of the batch was stored, as with a full disk.
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError>;
}

// ------------------------------------------------------------------------------------------------- read

/// Gives views of what is stored.
pub trait Queryable: Debug + Send + Sync {
    /// A view of `[mint, maxt]`, both inclusive.
    fn querier(&self, mint: TimestampMs, maxt: TimestampMs) -> Result<Box<dyn Querier>, StorageError>;
}

/// What a selection is for; lets a storage do less work.
#[derive(Clone, Debug)]
pub struct SelectHints {
    /// No sample before this time will be read.
    pub mint: TimestampMs,
    /// No sample after this time will be read.
    pub maxt: TimestampMs,
    /// Selections and reads end early with [`StorageError::Cancelled`] when this is set.
    pub cancel: Cancel,
    /// At most this many series are wanted; 0 is no limit. For `/series` and the like.
    pub limit: usize,
}

impl SelectHints {
    /// Hints for reading `[mint, maxt]`, without a limit.
    pub fn new(mint: TimestampMs, maxt: TimestampMs, cancel: &Cancel) -> Self {
        SelectHints { mint, maxt, cancel: cancel.clone(), limit: 0 }
    }
}

/// One of the selections of a query.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// Which series.
    pub matchers: &'a [Matcher],
    /// Which samples of them, and how.
    pub hints: SelectHints,
}

/// A view of a time range. What one call selects is of one moment: a batch that is committed meanwhile is in
/// it as a whole or not at all.
pub trait Querier: Debug + Send + Sync {
    /// The series that satisfy all matchers and may have samples in the range of the hints. An empty list of
    /// matchers selects everything.
    fn select(&self, matchers: &[Matcher], hints: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError>;

    /// Selections that belong together, all of the same moment: as many sets, in the same order.
    ///
    /// Selecting one by one, as is done here, is right for a storage that doesn't change while it is looked
    /// at. Others have to do better.
    fn select_all(&self, selections: &[Selection<'_>]) -> Result<Vec<Box<dyn SeriesSet>>, StorageError> {
        selections.iter().map(|selection| self.select(selection.matchers, &selection.hints)).collect()
    }

    /// Names of the labels of the series that satisfy all matchers; sorted, at most `limit` (0: no limit).
    fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError>;

    /// Values of the label among the series that satisfy all matchers; sorted, at most `limit` (0: no limit).
    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError>;
}

/// The values of one label over the series of a set, as a dictionary and indexes into it: what grouping and
/// joining work with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelColumn<'a> {
    /// Distinct values in no particular order. The first is always `""`, for series without the label.
    pub values: Vec<Cow<'a, str>>,
    /// For each series of the set the index of its value.
    pub ids: Vec<u32>,
}

/// Selected series. Their order is the same for the same data and selection: ascending by label set where
/// the storage can give that at no cost, else whatever the storage likes.
pub trait SeriesSet: Debug + Send + Sync {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether there are no series.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of a series. May cost an allocation: ask once.
    ///
    /// # Panics
    ///
    /// If `series` isn't below [`Self::len`]; likewise below.
    fn labels(&self, series: usize) -> Labels;

    /// One label of all series.
    fn label_column(&self, name: &str) -> LabelColumn<'_>;

    /// Reads the samples of a series in `[mint, maxt]`, both inclusive, appending to `out` in order of time.
    /// Staleness markers come as they are stored.
    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError>;

    /// What a user should know of the set: whose series are missing from it, for example.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The newest sample of a series in `[mint, maxt]`, both inclusive; what an instant query asks for.
    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError>;
}

/// A float or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float; may be a staleness marker.
    Float(f64),
    /// A histogram; may be a staleness marker.
    Histogram(Arc<FloatHistogram>),
}

/// Samples of one series in order of time: floats in one pair of columns, histograms in another. Nearly every
/// series has only one of the two; where it has both, no timestamp is in both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleColumns {
    /// Times of the floats, ascending.
    pub timestamps: Vec<TimestampMs>,
    /// The floats, as many as their times.
    pub values: Vec<f64>,
    /// Times of the histograms, ascending.
    pub histogram_timestamps: Vec<TimestampMs>,
    /// The histograms, as many as their times.
    pub histograms: Vec<Arc<FloatHistogram>>,
    /// Start timestamps of the floats, as many as those or none at all; 0 where it isn't known.
    pub start_timestamps: Vec<TimestampMs>,
    /// Start timestamps of the histograms, likewise.
    pub histogram_start_timestamps: Vec<TimestampMs>,
}

impl SampleColumns {
    /// Empties the columns and keeps their buffers.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histogram_timestamps.clear();
        self.histograms.clear();
        self.start_timestamps.clear();
        self.histogram_start_timestamps.clear();
    }

    /// Number of samples of both kinds.
    pub fn len(&self) -> usize {
        self.timestamps.len() + self.histogram_timestamps.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
