//! Why a scrape, or a target, isn't one.

use client::ClientError;

use crate::parse::ParseError;

/// Why a scrape failed: `up` is 0 and the text stands on the targets page. The texts are the reference's.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No answer.
    #[error("Get {url:?}: {source}")]
    Request {
        /// Who was asked.
        url: String,
        /// What happened.
        source: ClientError,
    },
    /// No answer, or not all of it, in time.
    #[error("Get {0:?}: context deadline exceeded")]
    Timeout(String),
    /// The connection broke within the answer.
    #[error("{0}")]
    Body(String),
    /// An answer other than 200.
    #[error("server returned HTTP status {0}")]
    Status(String),
    /// More bytes than allowed.
    #[error("body size limit exceeded")]
    BodySize,
    /// A format that nobody agreed on.
    #[error("{0}")]
    ContentType(String),
    /// An answer that can't be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// More samples than allowed.
    #[error("sample limit exceeded")]
    SampleLimit,
    /// More or longer labels than allowed.
    #[error("{0}")]
    LabelLimit(String),
    /// A histogram with more buckets than allowed.
    #[error("histogram bucket limit exceeded")]
    BucketLimit,
    /// A sample without a metric name.
    #[error("missing metric name (__name__ label)")]
    NoMetricName,
    /// Names that the validation scheme forbids.
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(String),
    /// A label twice.
    #[error("label name {0:?} is not unique: invalid sample")]
    RepeatedLabel(String),
    /// The pool as a whole isn't scraped.
    #[error("{0}")]
    Forced(String),
}

/// Why a discovered target can't be scraped. The texts are the reference's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No `__address__`.
    #[error("no address")]
    NoAddress,
    /// An address with a slash.
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    /// A label that isn't a duration.
    #[error("error parsing {what}: {reason}")]
    Duration {
        /// Interval or timeout.
        what: &'static str,
        /// What is wrong with it.
        reason: model::duration::DurationError,
    },
    /// An interval or timeout of 0.
    #[error("{0} cannot be 0")]
    Zero(&'static str),
    /// A timeout that doesn't fit.
    #[error("scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})")]
    TimeoutOverInterval {
        /// The label's value.
        timeout: String,
        /// The label's value.
        interval: String,
    },
    /// A label that isn't `true` or `false`.
    #[error("error parsing {what}: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    Bool {
        /// Which.
        what: &'static str,
        /// The label's value.
        value: String,
    },
    /// Not a URL.
    #[error("invalid URL {0:?}")]
    Url(String),
}
