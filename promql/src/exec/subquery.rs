//! Subqueries: an expression evaluated on a grid of its own, its columns read as samples.

use std::sync::Arc;

use model::histogram::{CounterResetHint, FloatHistogram};
use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns, SampleValue};

use super::map::clean_up;
use super::scratch::Scratch;
use super::source::{Held, RangeSource, Source};
use super::{Context, eval_vector};
use crate::engine::{Phase, QueryError};
use crate::plan::{NodeKind, Subquery};
use crate::value::Steps;

/// The source of a subquery.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    subquery: &'q Subquery,
    steps: Steps,
) -> Result<Box<dyn RangeSource + 'q>, QueryError> {
    let grid = grid(subquery, steps);
    let inner: Box<dyn Source + 'q> = match grid {
        // A column of more steps couldn't be held, even if every step had but one sample.
        Some(grid) if !ctx.budget.allows_samples(grid.count) => {
            return Err(QueryError::TooManySamples(Phase::Execution));
        }
        Some(grid) => eval_vector(ctx, &subquery.input, grid)?,
        None => Box::new(Held::empty()),
    };
    let is_whole_query =
        matches!(&ctx.plan.root.kind, NodeKind::Subquery(root) if std::ptr::eq(root, subquery));
    let inner = if is_whole_query { clean_up(ctx, inner) } else { inner };
    Ok(Box::new(Resampled { inner, grid: grid.unwrap_or(steps), keeps_hints: is_whole_query }))
}

/// The subquery's own steps: multiples of its step from the first that any window may see to the last.
/// `None` if there is none.
fn grid(subquery: &Subquery, steps: Steps) -> Option<Steps> {
    let step_ms = subquery.step_ms;
    let open = subquery.reference.time(steps.start_ms).saturating_sub(subquery.range_ms);
    let end = subquery.reference.time(steps.end_ms());
    let mut start = open / step_ms * step_ms;
    if start <= open {
        start = start.saturating_add(step_ms);
    }
    (start <= end).then(|| Steps::range(start, end, step_ms))
}

struct Resampled<'q> {
    inner: Box<dyn Source + 'q>,
    grid: Steps,
    /// Whether histograms keep what they say of counter resets: no function looks at them.
    keeps_hints: bool,
}

impl RangeSource for Resampled<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.inner.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.inner.label_column(name)
    }

    fn drops_name(&self, series: usize) -> bool {
        self.inner.drops_name(series)
    }

    fn unique_without_metadata(&self) -> bool {
        self.inner.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.inner.cost().max(self.grid.count)
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut SampleColumns) -> Result<(), QueryError> {
        let mut column = scratch.take_column();
        self.inner.read(series, scratch, &mut column)?;
        for step in 0..column.len() {
            match column.get(step) {
                Some(SampleValue::Float(value)) => {
                    out.timestamps.push(self.grid.at(step));
                    out.values.push(value);
                }
                Some(SampleValue::Histogram(histogram)) => {
                    out.histogram_timestamps.push(self.grid.at(step));
                    out.histograms.push(if self.keeps_hints { histogram } else { without_hint(histogram) });
                }
                None => {}
            }
        }
        scratch.give_column(column);
        Ok(())
    }
}

/// What a hint says of the sample before is not true of the grid's step before.
fn without_hint(mut histogram: Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    use CounterResetHint::{CounterReset, NotCounterReset};
    if matches!(histogram.counter_reset_hint, CounterReset | NotCounterReset) {
        Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Unknown;
    }
    histogram
}
