//! One query, from its plan to its value.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::storage::{Queryable, SampleColumns, SampleValue};
use model::value::is_stale_nan;

use super::{Engine, QueryError, QueryRequest, QueryResult, QueryStats, QueryTime, QueryTimings, StatsLevel};
use crate::ast::ExtendedRange;
use crate::column::{Column, histogram_bytes};
use crate::exec::drive::for_each_column;
use crate::exec::profile::Profile;
use crate::exec::source::{RangeSource, Source};
use crate::exec::{Context, ContextParts, Counts, Evaluated, eval, map};
use crate::functions::extended;
use crate::memory::Budget;
use crate::plan::build::Target;
use crate::plan::explain::explain;
use crate::plan::{Node, NodeKind, Plan};
use crate::value::{StepSeries, Steps, Value};

/// A query that has been planned.
pub(super) struct Planned<'a> {
    pub(super) engine: &'a Engine,
    pub(super) request: &'a QueryRequest,
    pub(super) plan: &'a Plan,
    pub(super) target: Target,
    pub(super) deadline: Instant,
    /// How long it waited, and how long planning took.
    pub(super) spent: (Duration, Duration),
}

impl Planned<'_> {
    /// Evaluates the query.
    pub(super) fn run(&self, storage: &dyn Queryable) -> Result<QueryResult, QueryError> {
        let prepare_started = Instant::now();
        let (engine, request) = (self.engine, self.request);
        let steps = self.target.steps();
        let (mint, maxt) = self.time_range();
        let querier = storage.querier(mint, maxt).map_err(QueryError::Storage)?;
        let options = &engine.options;
        let per_step = options.features.per_step_stats && request.stats != StatsLevel::Basic;
        let budget = Budget::new(options.max_samples, options.memory_bytes_per_query_max, &engine.ledger);
        let budget = Arc::new(budget);
        let analyse = request.stats == StatsLevel::Analyse;
        let ctx = Context::new(ContextParts {
            plan: self.plan,
            querier: &*querier,
            features: options.features,
            lookback_ms: self.target.lookback_ms,
            budget: Arc::clone(&budget),
            counts: Counts::new(steps, per_step),
            profile: analyse.then(|| Profile::new(self.plan.nodes)),
            pool: engine.pool.clone(),
            cancel: request.cancel.clone(),
            deadline: self.deadline,
        });
        let prepare = self.spent.1 + prepare_started.elapsed();
        let eval_started = Instant::now();
        let mut value = self.value(&ctx, steps)?;
        let inner_eval = eval_started.elapsed();
        let sort_started = Instant::now();
        sort(&mut value);
        let result_sort = sort_started.elapsed();
        let eval_total = prepare + inner_eval + result_sort;
        let stats = QueryStats {
            timings: QueryTimings {
                queue: self.spent.0,
                prepare,
                inner_eval,
                result_sort,
                eval_total,
                exec_total: self.spent.0 + eval_total,
            },
            samples_total: ctx.counts.total.load(Ordering::Relaxed),
            samples_per_step: ctx.counts.per_step(),
            samples_read: ctx.counts.read.load(Ordering::Relaxed),
            samples_peak: budget.samples_peak(),
            memory_bytes_peak: budget.bytes_peak(),
            plan: ctx.profile.as_ref().map(|profile| explain(self.plan, Some(&profile.stats()))),
        };
        Ok(QueryResult { value, annotations: ctx.into_annotations(), stats })
    }

    /// All the time that any selector needs.
    fn time_range(&self) -> (i64, i64) {
        let fetches = &self.plan.fetches;
        let mint = fetches.iter().map(|fetch| fetch.mint).min().unwrap_or(0);
        (mint, fetches.iter().map(|fetch| fetch.maxt).max().unwrap_or(0))
    }

    fn value<'q>(&self, ctx: &'q Context<'q>, steps: Steps) -> Result<Value, QueryError> {
        let root = &ctx.plan.root;
        let is_range = matches!(self.request.time, QueryTime::Range { .. });
        let timestamp_ms = steps.start_ms;
        Ok(match eval(ctx, root, steps)? {
            Evaluated::Scalar(values) if is_range => {
                let series = StepSeries { labels: Labels::empty(), values, histograms: Vec::new() };
                Value::Range { steps, series: vec![series] }
            }
            Evaluated::Scalar(values) => Value::Scalar { timestamp_ms, value: values[0] },
            Evaluated::Text(value) => Value::String { timestamp_ms, value },
            Evaluated::Vector(source) => {
                let source = map::clean_up(ctx, source);
                match is_range {
                    true => Value::Range { steps, series: step_series(ctx, &*source)? },
                    false => Value::Vector { timestamp_ms, samples: samples(ctx, &*source)? },
                }
            }
            Evaluated::Range(source) => Value::Matrix(matrix(ctx, root, &*source, timestamp_ms)?),
        })
    }
}

fn sort(value: &mut Value) {
    match value {
        Value::Range { series, .. } => series.sort_by(|a, b| a.labels.cmp(&b.labels)),
        Value::Matrix(series) => series.sort_by(|(a, _), (b, _)| a.cmp(b)),
        Value::Scalar { .. } | Value::String { .. } | Value::Vector { .. } => {}
    }
}

fn step_series(ctx: &Context<'_>, source: &dyn Source) -> Result<Vec<StepSeries>, QueryError> {
    let mut series = Vec::new();
    let mut held = ctx.budget.reserve(0)?;
    for_each_column(ctx, source, |index, column| {
        if !column.is_absent() {
            let labels = source.labels(index);
            held.grow(column.bytes() + (size_of::<StepSeries>() + labels.size_bytes()) as u64)?;
            let Column { values, histograms } = std::mem::take(column);
            series.push(StepSeries { labels, values, histograms });
        }
        Ok(())
    })?;
    Ok(series)
}

fn samples(ctx: &Context<'_>, source: &dyn Source) -> Result<Vec<(Labels, SampleValue)>, QueryError> {
    let mut samples = Vec::new();
    let mut held = ctx.budget.reserve(0)?;
    for_each_column(ctx, source, |index, column| {
        if let Some(sample) = column.get(0) {
            let labels = source.labels(index);
            held.grow((size_of::<(Labels, SampleValue)>() + labels.size_bytes()) as u64 + column.bytes())?;
            samples.push((labels, sample));
        }
        Ok(())
    })?;
    Ok(samples)
}

/// An instant query for a range vector: samples as they are.
fn matrix(
    ctx: &Context<'_>,
    root: &Node,
    source: &dyn RangeSource,
    at_ms: i64,
) -> Result<Vec<(Labels, SampleColumns)>, QueryError> {
    let mut matrix = Vec::new();
    let mut scratch = ctx.take_scratch();
    let mut held = ctx.budget.reserve(0)?;
    for series in 0..source.len() {
        ctx.check()?;
        let mut samples = SampleColumns::default();
        source.read(series, &mut scratch, &mut samples)?;
        if let NodeKind::Range(range) = &root.kind {
            let end = range.select.reference.time(at_ms);
            extend(&mut samples, range.select.extended, end - range.range_ms, end)?;
            let count = samples.len() as u64;
            ctx.counts.see_at(at_ms, count);
            ctx.counts.read.fetch_add(count, Ordering::Relaxed);
        }
        ctx.budget.take_samples(samples.len() as u64)?;
        if !samples.is_empty() {
            let labels = source.labels(series);
            held.grow(samples_bytes(&samples) + labels.size_bytes() as u64)?;
            matrix.push((labels, samples));
        }
    }
    Ok(matrix)
}

fn samples_bytes(samples: &SampleColumns) -> u64 {
    let histograms: u64 = samples.histograms.iter().map(|histogram| histogram_bytes(histogram)).sum();
    (samples.len() * (size_of::<i64>() + size_of::<f64>())) as u64 + histograms
}

/// Cuts or interpolates the samples of an extended range at its ends.
fn extend(
    samples: &mut SampleColumns,
    extended: Option<ExtendedRange>,
    start: i64,
    end: i64,
) -> Result<(), QueryError> {
    let (modifier, smoothed) = match extended {
        None => return Ok(()),
        Some(ExtendedRange::Anchored) => ("anchored", false),
        Some(ExtendedRange::Smoothed) => ("smoothed", true),
    };
    if !samples.histograms.is_empty() {
        let text = format!("{modifier} modifier is not supported with histograms");
        return Err(QueryError::Execution(text));
    }
    debug_assert!(!samples.values.iter().any(|value| is_stale_nan(*value)));
    let (times, values) = extended::cut(&samples.timestamps, &samples.values, start, end, smoothed);
    samples.clear();
    (samples.timestamps, samples.values) = (times, values);
    Ok(())
}
