//! Exposition parsers: bytes of a response in, samples and metadata out, one entry at a time.
//!
//! A parser copies nothing. For a sample it gives the raw bytes of its series part, by which the scrape loop
//! finds the series it saw the last time; labels are taken apart only on request. For such a known series
//! [`Lines::sample_after`] reads just the value and timestamp behind it, without looking at the labels.
//!
//! What is accepted and what is refused, and in which words, follows the reference's `model/textparse`.

use std::borrow::Cow;

use model::metadata::MetricType;
use model::time::TimestampMs;

pub(crate) use self::labels::openmetrics_float;
pub use self::openmetrics::OpenMetricsParser;
pub use self::protobuf::{
    ClassicBucket, Family, HistogramMessage, Metric, MetricValue, ProtobufEntry, ProtobufParser, Side,
    SummaryValue,
};
pub use self::text::TextParser;

mod labels;
mod lex;
mod number;
mod openmetrics;
mod protobuf;
mod quote;
mod text;
mod wire;

/// Why an exposition can't be read. The text names the place by what stands there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(Box<str>);

impl ParseError {
    pub(crate) fn new(text: impl Into<Box<str>>) -> Self {
        ParseError(text.into())
    }
}

/// One thing that an exposition says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// What a metric family measures.
    Help {
        /// The family.
        family: Cow<'a, str>,
        /// The words, without escapes.
        help: Cow<'a, str>,
    },
    /// Of which type a metric family is.
    Type {
        /// The family.
        family: Cow<'a, str>,
        /// Its type.
        metric_type: MetricType,
    },
    /// In which unit a metric family measures.
    Unit {
        /// The family.
        family: Cow<'a, str>,
        /// Its unit.
        unit: Cow<'a, str>,
    },
    /// Anything else behind a `#`.
    Comment,
    /// A sample; its labels and exemplar are in the parser until the next entry is read.
    Sample(Sample<'a>),
}

/// A float sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Name and labels as they are written.
    pub series: &'a [u8],
    /// The value; every NaN is the normal one.
    pub value: f64,
    /// The timestamp, if there is one.
    pub timestamp_ms: Option<TimestampMs>,
}

/// Labels as an exposition lists them: in its order, perhaps with a name twice or a value empty.
pub type RawLabels<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// An exemplar as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct RawExemplar<'a> {
    /// Its labels.
    pub labels: RawLabels<'a>,
    /// The observed value.
    pub value: f64,
    /// When it was observed, if that is written.
    pub timestamp_ms: Option<TimestampMs>,
}

/// A parser of a text format, line by line.
pub trait Lines<'a> {
    /// What hasn't been read yet; begins with a line, but for its leading blanks.
    fn rest(&self) -> &'a [u8];

    /// Reads the next entry; `None` at the end.
    fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError>;

    /// Reads a sample whose series part is the first `series_len` bytes of [`Self::rest`], which the caller
    /// knows from an earlier scrape. `None`, and nothing is read, if what follows isn't a plain value and
    /// timestamp: then [`Self::next_entry`] has the last word.
    fn sample_after(&mut self, series_len: usize) -> Option<Sample<'a>>;

    /// The type that the last line of metadata that sets one has set.
    fn metric_type(&self) -> MetricType;

    /// Skips a line of metadata that the caller knows from an earlier scrape, line end included. `type_set`
    /// is the type that it sets, if it sets one.
    fn skip_known(&mut self, line_len: usize, type_set: Option<MetricType>);

    /// The labels of the sample that [`Self::next_entry`] read last, the metric name first.
    fn labels(&self) -> RawLabels<'a>;

    /// The exemplar of the sample that [`Self::next_entry`] read last.
    fn exemplar(&self) -> Option<RawExemplar<'a>>;
}

#[cfg(test)]
mod tests;
