//! The engine: takes a query, answers it from a storage, and keeps it within its limits.

mod evaluate;
mod gate;
mod metrics;
mod observe;
mod parsed;
mod stack;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::cancel::Cancel;
use model::storage::{Queryable, StorageError};
use model::time::{Clock, TimestampMs};

use crate::annotations::Annotations;
use crate::ast::{Expr, ValueType};
use crate::features::Features;
use crate::memory::Ledger;
use crate::parse::parse;
use crate::plan::build::{Target, build};
use crate::plan::explain::{PlanNode, explain};
use crate::plan::{Plan, rewrite};
use crate::value::Value;
use evaluate::Planned;
use gate::Gate;
use metrics::EngineMetrics;
use observe::Active;
pub use observe::{Origin, QueryObserver, QueryReport};
use parsed::ParsedQueries;
use stack::{TALL_STACK_BYTES, with_room_for};

/// How old an instant selector's sample may be, unless a flag or a query says otherwise.
pub const LOOKBACK_DELTA_DEFAULT_MS: i64 = 5 * 60 * 1000;
/// Samples that one query may hold; the default of `--query.max-samples`.
pub const MAX_SAMPLES_DEFAULT: u64 = 50_000_000;
/// How long a query may take; the default of `--query.timeout`.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);
/// Timeouts that no clock can hold are this long.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
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
    /// Who is told of queries.
    pub observer: Option<Arc<dyn QueryObserver>>,
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
            observer: None,
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
    /// Who asks; for the query log.
    pub origin: Option<Origin>,
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
            origin: None,
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
    /// The plan with what each operator did; only with [`StatsLevel::Analyse`].
    pub plan: Option<PlanNode>,
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
    gate: Gate,
    ledger: Arc<Ledger>,
    parsed: ParsedQueries,
    /// `None` if queries stay on the thread that they were asked on.
    pool: Option<Arc<rayon::ThreadPool>>,
    metrics: Option<EngineMetrics>,
}

impl Engine {
    /// An engine without a query, and without metrics.
    pub fn new(options: EngineOptions) -> Self {
        Engine {
            gate: Gate::new(options.max_concurrency),
            ledger: Arc::new(Ledger::new(options.memory_bytes_total_max)),
            parsed: ParsedQueries::default(),
            pool: pool(options.threads),
            metrics: None,
            options,
        }
    }

    /// An engine that counts what it does.
    ///
    /// # Errors
    ///
    /// If the registry has metrics of these names already.
    pub fn with_metrics(
        options: EngineOptions,
        registry: &prometheus::Registry,
        clock: Arc<dyn Clock>,
    ) -> prometheus::Result<Self> {
        let metrics = EngineMetrics::new(clock)?;
        metrics.register(registry)?;
        metrics.set_running_max(options.max_concurrency);
        Ok(Engine { metrics: Some(metrics), ..Engine::new(options) })
    }

    /// Its limits and features.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Tells the metrics whether queries are logged.
    pub fn set_query_log_enabled(&self, enabled: bool) {
        self.metrics.iter().for_each(|metrics| metrics.set_query_log_enabled(enabled));
    }

    /// Answers a query. Blocks until there is an answer: call it where that is allowed.
    ///
    /// # Errors
    ///
    /// See [`QueryError`].
    pub fn query(&self, storage: &dyn Queryable, request: &QueryRequest) -> Result<QueryResult, QueryError> {
        with_room_for(&request.query, || {
            let plan_started = Instant::now();
            let (target, plan) = self.plan(request, true)?;
            let planning = plan_started.elapsed();
            self.run(storage, request, &plan, target, planning)
        })
    }

    /// Answers a query by the plan as it was written, without rewrites: what tests compare with.
    #[doc(hidden)]
    pub fn query_as_written(
        &self,
        storage: &dyn Queryable,
        request: &QueryRequest,
    ) -> Result<QueryResult, QueryError> {
        let (target, plan) = self.plan(request, false)?;
        self.run(storage, request, &plan, target, Duration::ZERO)
    }

    /// The plan of a query, which isn't run. With [`StatsLevel::Analyse`], [`Engine::query`] gives the plan
    /// and what each of its operators did.
    ///
    /// # Errors
    ///
    /// If the query can't be planned.
    pub fn explain(&self, request: &QueryRequest) -> Result<PlanNode, QueryError> {
        with_room_for(&request.query, || {
            let (_, plan) = self.plan(request, true)?;
            Ok(explain(&plan, None))
        })
    }

    /// The syntax tree of a query. Those of the last queries are remembered.
    ///
    /// # Errors
    ///
    /// [`QueryError::Parse`].
    pub fn parse(&self, query: &str) -> Result<Arc<Expr>, QueryError> {
        let parse = || parse(query, &self.options.features);
        self.parsed.get_or_parse(query, parse).map_err(|error| QueryError::Parse(error.to_string()))
    }

    fn plan(&self, request: &QueryRequest, optimise: bool) -> Result<(Target, Plan), QueryError> {
        let expr = self.parse(&request.query)?;
        let lookback_ms = request.lookback_delta_ms.filter(|delta_ms| *delta_ms > 0);
        let (start_ms, end_ms, step_ms) = match request.time {
            QueryTime::Instant { at_ms } => (at_ms, at_ms, 0),
            QueryTime::Range { start_ms, end_ms, step_ms } => (start_ms, end_ms, step_ms),
        };
        let target = Target {
            start_ms,
            end_ms,
            step_ms,
            lookback_ms: lookback_ms.unwrap_or(self.options.lookback_delta_ms),
            default_subquery_step_ms: (self.options.default_subquery_step.0)(),
        };
        if let QueryTime::Range { .. } = request.time {
            check_range(&target, self.options.max_samples)?;
        }
        let value_type = expr.value_type();
        let is_range = matches!(request.time, QueryTime::Range { .. });
        if is_range && !matches!(value_type, ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::InvalidParameter(format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                value_type.documented()
            )));
        }
        let mut plan = build(&expr, &target)?;
        if optimise {
            rewrite::optimise(&mut plan);
        }
        Ok((target, plan))
    }

    fn run(
        &self,
        storage: &dyn Queryable,
        request: &QueryRequest,
        plan: &Plan,
        target: Target,
        planning: Duration,
    ) -> Result<QueryResult, QueryError> {
        let started = Instant::now();
        let timeout =
            request.timeout.map_or(self.options.timeout, |timeout| timeout.min(self.options.timeout));
        let deadline = started.checked_add(timeout).unwrap_or(started + TIMEOUT_MAX);
        let _running = Running::of(self.metrics.as_ref());
        let turn = self.gate.enter(&request.cancel, deadline);
        let spent = (started.elapsed(), planning);
        let observer = self.options.observer.as_deref();
        let result = turn.and_then(|_turn| {
            let _active = Active::new(observer, &request.query);
            Planned { engine: self, request, plan, target, deadline, spent }.run(storage)
        });
        if let Ok(result) = &result {
            self.metrics.iter().for_each(|metrics| metrics.observe(&result.stats));
        }
        if let Some(observer) = observer {
            self.report(observer, request, &result, (spent.0, planning + started.elapsed()));
        }
        result
    }

    /// Tells the observer how a query ended, which waited so long and took so long in all.
    fn report(
        &self,
        observer: &dyn QueryObserver,
        request: &QueryRequest,
        result: &Result<QueryResult, QueryError>,
        (queue, exec_total): (Duration, Duration),
    ) {
        let timings = QueryTimings {
            queue,
            exec_total,
            eval_total: exec_total.saturating_sub(queue),
            ..QueryTimings::default()
        };
        let of_failed = QueryStats { timings, ..QueryStats::default() };
        let report = QueryReport {
            request,
            stats: result.as_ref().map_or(&of_failed, |result| &result.stats),
            error: result.as_ref().err(),
        };
        if let Err(error) = observer.ended(&report) {
            self.metrics.iter().for_each(EngineMetrics::count_query_log_failure);
            tracing::error!(%error, "can't log query");
        }
    }
}

/// Counts a query among those that run or wait, as long as it does.
struct Running<'a>(Option<&'a EngineMetrics>);

impl<'a> Running<'a> {
    fn of(metrics: Option<&'a EngineMetrics>) -> Self {
        metrics.iter().for_each(|metrics| metrics.running.inc());
        Running(metrics)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|metrics| metrics.running.dec());
    }
}

fn check_range(target: &Target, max_samples: u64) -> Result<(), QueryError> {
    let wrong = |text: &str| Err(QueryError::InvalidParameter(text.to_owned()));
    if target.step_ms <= 0 {
        return wrong(
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        );
    }
    if target.end_ms < target.start_ms {
        return wrong("end timestamp must not be before start time");
    }
    let range_ms = target.end_ms.checked_sub(target.start_ms);
    let steps = range_ms.map(|range_ms| (range_ms / target.step_ms).unsigned_abs() + 1);
    if steps.is_none_or(|steps| steps > max_samples) {
        // Not even one series could have a sample at every step.
        return Err(QueryError::TooManySamples(Phase::Execution));
    }
    Ok(())
}

/// Threads for all queries; none for one, which the caller's own is.
fn pool(threads: usize) -> Option<Arc<rayon::ThreadPool>> {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    };
    if threads == 1 {
        return None;
    }
    let builder = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(TALL_STACK_BYTES)
        .thread_name(|index| format!("query-{index}"));
    // Without threads of their own queries are slower, and as good.
    builder.build().ok().map(Arc::new)
}
