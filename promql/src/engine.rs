//! The engine: takes a query, answers it from a storage, and keeps it within its limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::cancel::Cancel;
use model::storage::{Queryable, StorageError};
use model::time::TimestampMs;

use crate::annotations::Annotations;
use crate::features::Features;
use crate::value::Value;

/// How old an instant selector's sample may be, unless a flag or a query says otherwise.
pub const LOOKBACK_DELTA_DEFAULT_MS: i64 = 5 * 60 * 1000;
/// Samples that one query may hold; the default of `--query.max-samples`.
pub const MAX_SAMPLES_DEFAULT: u64 = 50_000_000;
/// How long a query may take; the default of `--query.timeout`.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// Queries that run at the same time; the default of `--query.max-concurrency`.
pub const MAX_CONCURRENCY_DEFAULT: usize = 20;

/// Tells the step of subqueries that name none, in milliseconds; asked once a query. It is the global
/// evaluation interval, which a reload can change.
#[derive(Clone)]
pub struct DefaultSubqueryStep(pub Arc<dyn Fn() -> i64 + Send + Sync>);

impl DefaultSubqueryStep {
    /// A step that never changes.
    pub fn fixed(step_ms: i64) -> Self {
        DefaultSubqueryStep(Arc::new(move || step_ms))
    }
}

impl fmt::Debug for DefaultSubqueryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DefaultSubqueryStep({} ms)", (self.0)())
    }
}

/// What an engine may do.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Samples that one query may hold in memory.
    pub max_samples: u64,
    /// How long a query may take, waiting included.
    pub timeout: Duration,
    /// Queries that run at the same time; others wait. 0 is no limit.
    pub max_concurrency: usize,
    /// How old an instant selector's sample may be.
    pub lookback_delta_ms: i64,
    /// The step of subqueries that name none.
    pub default_subquery_step: DefaultSubqueryStep,
    /// Experimental parts of the language.
    pub features: Features,
    /// Bytes that one query may hold; 0 is no limit.
    pub memory_bytes_per_query_max: u64,
    /// Bytes that all queries together may hold; 0 is no limit.
    pub memory_bytes_total_max: u64,
    /// Threads that one query is spread over; 0 for as many as there are processors.
    pub threads: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions {
            max_samples: MAX_SAMPLES_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            max_concurrency: MAX_CONCURRENCY_DEFAULT,
            lookback_delta_ms: LOOKBACK_DELTA_DEFAULT_MS,
            default_subquery_step: DefaultSubqueryStep::fixed(60_000),
            features: Features::default(),
            memory_bytes_per_query_max: 0,
            memory_bytes_total_max: 0,
            threads: 0,
        }
    }
}

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTime {
    /// Once.
    Instant {
        /// The evaluation time.
        at_ms: TimestampMs,
    },
    /// At `start, start + step, …`, as long as that isn't after `end`.
    Range {
        /// The first evaluation time.
        start_ms: TimestampMs,
        /// No evaluation time is after this one. Not before `start_ms`.
        end_ms: TimestampMs,
        /// The distance between them, above 0.
        step_ms: i64,
    },
}

/// Which statistics a query gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsLevel {
    /// Totals only.
    #[default]
    Basic,
    /// Samples for each step too, if [`Features::per_step_stats`] is on.
    All,
    /// As `All`, and what each operator of the plan did.
    Analyse,
}

/// A query.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// The text.
    pub query: String,
    /// When it is evaluated.
    pub time: QueryTime,
    /// Takes the place of [`EngineOptions::lookback_delta_ms`].
    pub lookback_delta_ms: Option<i64>,
    /// Shortens [`EngineOptions::timeout`].
    pub timeout: Option<Duration>,
    /// Ends the query early.
    pub cancel: Cancel,
    /// What to count.
    pub stats: StatsLevel,
}

impl QueryRequest {
    /// A query at one time.
    pub fn instant(query: impl Into<String>, at_ms: TimestampMs) -> Self {
        Self::new(query.into(), QueryTime::Instant { at_ms })
    }

    /// A query over a range of time.
    pub fn range(query: impl Into<String>, start_ms: TimestampMs, end_ms: TimestampMs, step_ms: i64) -> Self {
        Self::new(query.into(), QueryTime::Range { start_ms, end_ms, step_ms })
    }

    fn new(query: String, time: QueryTime) -> Self {
        QueryRequest {
            query,
            time,
            lookback_delta_ms: None,
            timeout: None,
            cancel: Cancel::new(),
            stats: StatsLevel::Basic,
        }
    }
}

/// Where the time of a query went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueryTimings {
    /// Waiting for other queries.
    pub queue: Duration,
    /// Planning, and finding the series.
    pub prepare: Duration,
    /// Reading and computing.
    pub inner_eval: Duration,
    /// Sorting the result.
    pub result_sort: Duration,
    /// `prepare + inner_eval + result_sort`.
    pub eval_total: Duration,
    /// All of it.
    pub exec_total: Duration,
}

/// What a query cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryStats {
    /// Where its time went.
    pub timings: QueryTimings,
    /// Samples that selectors took in, counted again at each step that sees them.
    pub samples_total: u64,
    /// The same for each step; empty unless asked for.
    pub samples_per_step: Vec<(TimestampMs, u64)>,
    /// Samples read from the storage, each counted once a selector.
    pub samples_read: u64,
    /// The most samples that were held at one time.
    pub samples_peak: u64,
    /// The most bytes that were held at one time.
    pub memory_bytes_peak: u64,
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// What the user should know about it.
    pub annotations: Annotations,
    /// What it cost.
    pub stats: QueryStats,
}

/// What a query was doing when it was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for other queries.
    Queue,
    /// Between parts of the evaluation.
    Execution,
    /// Evaluating an expression.
    Evaluation,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Queue => "query queue",
            Phase::Execution => "query execution",
            Phase::Evaluation => "expression evaluation",
        })
    }
}

/// Why a query has no answer. The texts are those of the reference where it knows the error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is no PromQL; has place and reason.
    #[error("{0}")]
    Parse(String),
    /// A parameter beside the query can't be used.
    #[error("{0}")]
    InvalidParameter(String),
    /// The query can't be evaluated on this data.
    #[error("{0}")]
    Execution(String),
    /// The query took too long.
    #[error("query timed out in {0}")]
    Timeout(Phase),
    /// The client went away, or the program is shutting down.
    #[error("query was canceled in {0}")]
    Canceled(Phase),
    /// More samples than [`EngineOptions::max_samples`].
    #[error("query processing would load too many samples into memory in {0}")]
    TooManySamples(Phase),
    /// More bytes than a memory limit.
    #[error("{0}")]
    Memory(String),
    /// The storage failed.
    #[error("expanding series: {0}")]
    Storage(StorageError),
}

/// Answers queries. One engine serves a program; it is shared by reference between threads.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine without a query.
    pub fn new(options: EngineOptions) -> Self {
        Engine { options }
    }

    /// Its limits and features.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Answers a query. Blocks until there is an answer: call it where that is allowed.
    ///
    /// # Errors
    ///
    /// See [`QueryError`].
    pub fn query(
        &self,
        _storage: &dyn Queryable,
        _request: &QueryRequest,
    ) -> Result<QueryResult, QueryError> {
        Err(QueryError::Execution("expression kind not supported".to_owned()))
    }
}
