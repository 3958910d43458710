//! Operators that turn each sample into one other, without looking at any other sample.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::storage::LabelColumn;
use model::value::is_stale_nan;

use super::scratch::Scratch;
use super::source::{Conflict, Relabelled, Source, drop_metadata, drop_name, without_metadata};
use super::{Context, Evaluated, eval_scalar, eval_vector};
use crate::column::Column;
use crate::engine::QueryError;
use crate::functions::{date, map};
use crate::histogram::{average, standard_deviation, variance};
use crate::plan::function::{DatePart, HistogramStat, MapFunction};
use crate::plan::{Call, Node};
use crate::value::Steps;

/// Changes a column in place.
pub(crate) trait ColumnMap: Send + Sync {
    fn apply(&self, column: &mut Column);
}

/// A source whose columns are changed.
pub(crate) struct Mapped<'q, M> {
    pub(crate) inner: Box<dyn Source + 'q>,
    pub(crate) map: M,
}

impl<M: ColumnMap> Source for Mapped<'_, M> {
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
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        self.inner.read(series, scratch, out)?;
        self.map.apply(out);
        Ok(())
    }
}

/// A function of floats with scalars beside. Histograms have no result.
struct Floats {
    function: MapFunction,
    params: Vec<Vec<f64>>,
}

impl ColumnMap for Floats {
    fn apply(&self, column: &mut Column) {
        column.drop_histograms();
        let mut params: Vec<f64> = Vec::with_capacity(self.params.len());
        for step in 0..column.len() {
            let value = column.values[step];
            if is_stale_nan(value) {
                continue;
            }
            params.clear();
            params.extend(self.params.iter().map(|param| param[step]));
            if map::is_empty(self.function, &params) {
                column.clear_step(step);
            } else {
                column.values[step] = map::apply(self.function, value, &params);
            }
        }
    }
}

/// `abs`, `round`, `clamp` and their like.
pub(crate) fn floats<'q>(
    ctx: &'q Context<'q>,
    function: MapFunction,
    call: &'q Call,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let inner = eval_vector(ctx, &call.args[0], steps)?;
    let params = call.args[1..].iter().map(|arg| eval_scalar(ctx, arg, steps)).collect::<Result<_, _>>()?;
    let mapped = Mapped { inner, map: Floats { function, params } };
    Ok(Evaluated::Vector(drop_metadata(ctx, Box::new(mapped), Conflict::SameStep)))
}

struct Dates(DatePart);

impl ColumnMap for Dates {
    fn apply(&self, column: &mut Column) {
        column.drop_histograms();
        for value in column.values.iter_mut().filter(|value| !is_stale_nan(**value)) {
            *value = date::part(self.0, *value);
        }
    }
}

/// `hour`, `month` and their like, of samples.
pub(crate) fn dates<'q>(
    ctx: &'q Context<'q>,
    part: DatePart,
    arg: &'q Node,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let mapped = Mapped { inner: eval_vector(ctx, arg, steps)?, map: Dates(part) };
    Ok(Evaluated::Vector(drop_metadata(ctx, Box::new(mapped), Conflict::SameStep)))
}

struct Stats(HistogramStat);

impl ColumnMap for Stats {
    fn apply(&self, column: &mut Column) {
        let steps = column.len();
        let histograms = std::mem::take(&mut column.histograms);
        column.reset(steps);
        for (step, histogram) in histograms.iter().enumerate() {
            if let Some(histogram) = histogram {
                column.values[step] = stat(self.0, histogram);
            }
        }
    }
}

fn stat(wanted: HistogramStat, histogram: &FloatHistogram) -> f64 {
    match wanted {
        HistogramStat::Count => histogram.count,
        HistogramStat::Sum => histogram.sum,
        HistogramStat::Avg => average(histogram),
        HistogramStat::Stddev => standard_deviation(histogram),
        HistogramStat::Stdvar => variance(histogram),
    }
}

/// `histogram_count` and its like.
pub(crate) fn stats<'q>(
    ctx: &'q Context<'q>,
    wanted: HistogramStat,
    arg: &'q Node,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let mapped = Mapped { inner: eval_vector(ctx, arg, steps)?, map: Stats(wanted) };
    Ok(Evaluated::Vector(drop_name(ctx, Box::new(mapped))))
}

struct Negated;

impl ColumnMap for Negated {
    fn apply(&self, column: &mut Column) {
        for value in column.values.iter_mut().filter(|value| !is_stale_nan(**value)) {
            *value = -*value;
        }
        for histogram in column.histograms.iter_mut().flatten() {
            Arc::make_mut(histogram).mul(-1.0);
        }
    }
}

/// A minus before an expression.
pub(crate) fn negate<'q>(ctx: &'q Context<'q>, value: Evaluated<'q>) -> Evaluated<'q> {
    match value {
        Evaluated::Scalar(values) => Evaluated::Scalar(values.into_iter().map(|value| -value).collect()),
        Evaluated::Vector(inner) => {
            let mapped = Box::new(Mapped { inner, map: Negated });
            Evaluated::Vector(drop_metadata(ctx, mapped, Conflict::SameStep))
        }
        other => other,
    }
}

/// What is left of a query's result when names that are dropped late are dropped.
pub(crate) fn clean_up<'q>(ctx: &Context<'q>, inner: Box<dyn Source + 'q>) -> Box<dyn Source + 'q> {
    if !ctx.features.delayed_name_removal {
        return inner;
    }
    let labels: Vec<Labels> = (0..inner.len())
        .map(|series| match inner.drops_name(series) {
            true => without_metadata(&inner.labels(series)),
            false => inner.labels(series),
        })
        .collect();
    Box::new(Relabelled::new(inner, Conflict::SameStep, |series| (labels[series].clone(), false)))
}

struct Times(Steps);

impl ColumnMap for Times {
    fn apply(&self, column: &mut Column) {
        for step in (0..column.len()).filter(|step| column.is_present(*step)).collect::<Vec<_>>() {
            column.clear_step(step);
            column.values[step] = self.0.at(step) as f64 / 1000.0;
        }
    }
}

/// The evaluation time wherever there is a sample.
pub(crate) fn evaluation_times<'q>(inner: Box<dyn Source + 'q>, steps: Steps) -> Box<dyn Source + 'q> {
    Box::new(Mapped { inner, map: Times(steps) })
}
