//! Execution: a plan's operators, made into sources from the leaves up.
//!
//! [`Context`] is what all operators of a query share; [`eval`] makes the value of a plan's node over the
//! steps of a scope. Inside a subquery the scope is the subquery's own grid of steps.

pub(crate) mod absent;
pub(crate) mod aggregate;
pub(crate) mod binary;
pub(crate) mod call;
pub(crate) mod classic;
pub(crate) mod cursor;
pub(crate) mod drive;
pub(crate) mod info;
pub(crate) mod invariant;
pub(crate) mod label;
pub(crate) mod map;
pub(crate) mod matching;
pub(crate) mod profile;
pub(crate) mod scalar;
pub(crate) mod scratch;
pub(crate) mod select;
pub(crate) mod set;
pub(crate) mod sort;
pub(crate) mod source;
pub(crate) mod subquery;
pub(crate) mod window;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use model::cancel::Cancel;
use model::storage::{Querier, SelectHints, Selection, SeriesSet, StorageError};
use parking_lot::Mutex;

use crate::annotations::Annotations;
use crate::ast::{Span, ValueType};
use crate::engine::{Phase, QueryError};
use crate::features::Features;
use crate::memory::Budget;
use crate::plan::{Node, NodeKind, Plan};
use crate::value::Steps;
use profile::Profile;
use scratch::Scratch;
use source::{RangeSource, Source};

/// What all operators of a query share.
pub(crate) struct Context<'q> {
    pub(crate) plan: &'q Plan,
    pub(crate) querier: &'q dyn Querier,
    /// What the plan fetches, all of one moment; selected when the first of it is asked for.
    sets: OnceLock<Vec<Arc<dyn SeriesSet>>>,
    pub(crate) features: Features,
    pub(crate) lookback_ms: i64,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counts: Counts,
    pub(crate) profile: Option<Profile>,
    pub(crate) pool: Option<Arc<rayon::ThreadPool>>,
    pub(crate) cancel: Cancel,
    pub(crate) deadline: Instant,
    annotations: Mutex<Annotations>,
    scratches: Mutex<Vec<Scratch>>,
}

/// What is handed to a new context.
pub(crate) struct ContextParts<'q> {
    pub(crate) plan: &'q Plan,
    pub(crate) querier: &'q dyn Querier,
    pub(crate) features: Features,
    pub(crate) lookback_ms: i64,
    pub(crate) budget: Arc<Budget>,
    pub(crate) counts: Counts,
    pub(crate) profile: Option<Profile>,
    pub(crate) pool: Option<Arc<rayon::ThreadPool>>,
    pub(crate) cancel: Cancel,
    pub(crate) deadline: Instant,
}

impl<'q> Context<'q> {
    pub(crate) fn new(parts: ContextParts<'q>) -> Self {
        Context {
            sets: OnceLock::new(),
            plan: parts.plan,
            querier: parts.querier,
            features: parts.features,
            lookback_ms: parts.lookback_ms,
            budget: parts.budget,
            counts: parts.counts,
            profile: parts.profile,
            pool: parts.pool,
            cancel: parts.cancel,
            deadline: parts.deadline,
            annotations: Mutex::default(),
            scratches: Mutex::default(),
        }
    }

    /// Fails if the query is cancelled or late. Asked between series.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Canceled(Phase::Evaluation));
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout(Phase::Evaluation));
        }
        Ok(())
    }

    /// The series of one of the plan's fetches.
    pub(crate) fn series_set(&self, fetch: usize) -> Result<Arc<dyn SeriesSet>, QueryError> {
        let set = match self.sets.get() {
            Some(sets) => sets.get(fetch),
            None => {
                let sets = self.select_all()?;
                self.sets.get_or_init(|| sets).get(fetch)
            }
        };
        set.cloned().ok_or_else(|| QueryError::Execution("plan names an unknown selection".to_owned()))
    }

    fn select_all(&self) -> Result<Vec<Arc<dyn SeriesSet>>, QueryError> {
        let deadline = self.deadline;
        let cancel = self.cancel.or_when(move || Instant::now() >= deadline);
        let selections: Vec<Selection<'_>> = self
            .plan
            .fetches
            .iter()
            .map(|wanted| Selection {
                matchers: &wanted.matchers,
                hints: SelectHints::new(wanted.mint, wanted.maxt, &cancel),
            })
            .collect();
        let sets = self.querier.select_all(&selections).map_err(|error| self.storage_error(error))?;
        for warning in sets.iter().flat_map(|set| set.warnings()) {
            self.annotations.lock().warn_anywhere(warning);
        }
        Ok(sets.into_iter().map(Arc::from).collect())
    }

    /// A storage's error as that of a query.
    pub(crate) fn storage_error(&self, error: StorageError) -> QueryError {
        match error {
            StorageError::Cancelled if Instant::now() >= self.deadline => {
                QueryError::Timeout(Phase::Evaluation)
            }
            StorageError::Cancelled => QueryError::Canceled(Phase::Evaluation),
            error => QueryError::Storage(error),
        }
    }

    pub(crate) fn warn(&self, span: Span, text: impl Into<String>) {
        self.annotations.lock().warn(span, text);
    }

    /// Adds what an operator collected for itself.
    pub(crate) fn annotate(&self, annotations: Annotations) {
        if !annotations.is_empty() {
            self.annotations.lock().merge(annotations);
        }
    }

    pub(crate) fn into_annotations(self) -> Annotations {
        self.annotations.into_inner()
    }

    pub(crate) fn take_scratch(&self) -> Scratch {
        self.scratches.lock().pop().unwrap_or_default()
    }

    pub(crate) fn give_scratch(&self, scratch: Scratch) {
        self.scratches.lock().push(scratch);
    }
}

/// Samples that a query takes in.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Counted at each step that sees them.
    pub(crate) total: AtomicU64,
    /// Counted once for each selector.
    pub(crate) read: AtomicU64,
    /// The total for each of the query's steps, if it was asked for.
    per_step: Vec<AtomicU64>,
    steps: Steps,
}

impl Counts {
    /// Counts for each step too, if so told.
    pub(crate) fn new(steps: Steps, per_step: bool) -> Self {
        let per_step_len = if per_step { steps.count } else { 0 };
        let per_step = (0..per_step_len).map(|_| AtomicU64::new(0)).collect();
        Counts { total: AtomicU64::new(0), read: AtomicU64::new(0), per_step, steps }
    }

    /// Whether steps are counted apart.
    pub(crate) fn has_steps(&self) -> bool {
        !self.per_step.is_empty()
    }

    /// Counts samples seen at an evaluation time.
    pub(crate) fn see_at(&self, time_ms: i64, samples: u64) {
        self.total.fetch_add(samples, Ordering::Relaxed);
        if let Some(count) = self.per_step.get(self.step_of(time_ms)) {
            count.fetch_add(samples, Ordering::Relaxed);
        }
    }

    /// Counts samples seen at these steps: so many in all, and, where steps are counted apart, so many each.
    pub(crate) fn see(&self, steps: Steps, each: &[u64], total: u64) {
        if !self.has_steps() {
            self.total.fetch_add(total, Ordering::Relaxed);
            return;
        }
        for (step, samples) in each.iter().enumerate() {
            self.see_at(steps.at(step), *samples);
        }
    }

    /// Totals for each step.
    pub(crate) fn per_step(&self) -> Vec<(i64, u64)> {
        let counts = self.per_step.iter().enumerate();
        counts.map(|(step, count)| (self.steps.at(step), count.load(Ordering::Relaxed))).collect()
    }

    /// The query's step that an evaluation time, perhaps of a subquery, belongs to: the first not before it.
    fn step_of(&self, time_ms: i64) -> usize {
        let after_start = (time_ms - self.steps.start_ms).max(0);
        let step = (after_start + self.steps.step_ms - 1) / self.steps.step_ms;
        (step as usize).min(self.steps.count - 1)
    }
}

/// The value of a node.
pub(crate) enum Evaluated<'q> {
    /// One float for each step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Box<dyn Source + 'q>),
    Range(Box<dyn RangeSource + 'q>),
}

/// Evaluates a node over steps.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    ctx.check()?;
    let started = ctx.profile.as_ref().map(|_| Instant::now());
    let value = match &node.kind {
        NodeKind::Number(value) => Evaluated::Scalar(vec![*value; steps.count]),
        NodeKind::Text(text) => Evaluated::Text(text.clone()),
        NodeKind::Select(selected) => Evaluated::Vector(select::instant(ctx, selected, steps, node.span)?),
        NodeKind::Range(range) => Evaluated::Range(select::range(ctx, range, steps)?),
        NodeKind::Subquery(inner) => Evaluated::Range(subquery::eval(ctx, inner, steps)?),
        NodeKind::StepInvariant(input) => invariant::eval(ctx, input, steps)?,
        NodeKind::Call(call) => call::eval(ctx, node, call, steps)?,
        NodeKind::Aggregate(aggregate) => Evaluated::Vector(aggregate::eval(ctx, node, aggregate, steps)?),
        NodeKind::Binary(operation) => binary::eval(ctx, node, operation, steps)?,
        NodeKind::Negate(input) => map::negate(ctx, eval(ctx, input, steps)?),
    };
    Ok(match (&ctx.profile, started) {
        (Some(profile), Some(started)) => profile.watch(node, value, started.elapsed()),
        _ => value,
    })
}

/// Evaluates a node that yields a vector.
pub(crate) fn eval_vector<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    match eval(ctx, node, steps)? {
        Evaluated::Vector(source) => Ok(source),
        _ => Err(wrong_type(node, ValueType::Vector)),
    }
}

/// Evaluates a node that yields a scalar.
pub(crate) fn eval_scalar<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    steps: Steps,
) -> Result<Vec<f64>, QueryError> {
    match eval(ctx, node, steps)? {
        Evaluated::Scalar(values) => Ok(values),
        _ => Err(wrong_type(node, ValueType::Scalar)),
    }
}

/// Evaluates a node that yields a range vector.
pub(crate) fn eval_range<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    steps: Steps,
) -> Result<Box<dyn RangeSource + 'q>, QueryError> {
    match eval(ctx, node, steps)? {
        Evaluated::Range(source) => Ok(source),
        _ => Err(wrong_type(node, ValueType::Matrix)),
    }
}

/// The parser checks types, so this is for plans that no parser made.
fn wrong_type(node: &Node, wanted: ValueType) -> QueryError {
    let (wanted, got) = (wanted.documented(), node.value_type().documented());
    QueryError::Execution(format!("expected type {wanted}, got {got}"))
}
