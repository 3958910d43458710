//! Aggregations: series are pulled one at a time and folded into their groups' columns, so that memory is
//! groups × steps and not series × steps.

mod count_values;
mod groups;
mod limit;
mod quantile;
mod spread;
mod topk;
mod totals;

use model::labels::METRIC_NAME;

use super::drive::{for_each_column, read_in_vain};
use super::source::{Held, Source};
use super::{Context, eval_scalar, eval_vector};
use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::{Aggregate, Node, NodeKind};
use crate::value::Steps;
use groups::Groups;

/// An aggregation that yields one series a group.
trait Fold {
    /// Takes a series of a group in. Series come in order.
    fn add(&mut self, group: usize, column: &Column, series: &Series<'_>, notes: &mut Annotations);

    /// The groups' columns.
    fn finish(self: Box<Self>, notes: &mut Annotations) -> Vec<Column>;
}

/// What a fold may need to know of a series.
struct Series<'a> {
    source: &'a dyn Source,
    index: usize,
}

impl Series<'_> {
    fn metric_name(&self) -> String {
        self.source.labels(self.index).value(METRIC_NAME).to_owned()
    }
}

/// The source of an aggregation.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    aggregate: &'q Aggregate,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let held_before = ctx.budget.samples();
    let param = match &aggregate.param {
        Some(param) if aggregate.op != AggregateOp::CountValues => eval_scalar(ctx, param, steps)?,
        _ => Vec::new(),
    };
    let input = eval_vector(ctx, &aggregate.input, steps)?;
    let task = Task { ctx, node, aggregate, input: &*input, param: &param, steps };
    let result = match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk => topk::select(&task)?,
        AggregateOp::Limitk => limit::first(&task)?,
        AggregateOp::LimitRatio => limit::ratio(&task)?,
        AggregateOp::CountValues => count_values::count(&task)?,
        _ => task.fold()?,
    };
    // What went in isn't held any more.
    ctx.budget.set_samples(held_before);
    ctx.budget.take_samples(result.columns.iter().map(Column::samples).sum())?;
    Ok(Box::new(result))
}

/// An aggregation at work.
struct Task<'a, 'q> {
    ctx: &'q Context<'q>,
    node: &'q Node,
    aggregate: &'q Aggregate,
    input: &'a dyn Source,
    /// The parameter at each step, of operators that have a number for one.
    param: &'a [f64],
    steps: Steps,
}

impl Task<'_, '_> {
    fn input_span(&self) -> Span {
        self.aggregate.input.span
    }

    fn param_span(&self) -> Span {
        self.aggregate.param.as_ref().map_or(self.node.span, |param| param.span)
    }

    fn groups(&self) -> Groups {
        Groups::of(self.input, &self.aggregate.grouping, self.aggregate.without)
    }

    /// The text of a parameter that is one.
    fn text_param(&self) -> &str {
        match self.aggregate.param.as_ref().map(|param| &param.kind) {
            Some(NodeKind::Text(text)) => text,
            _ => "",
        }
    }

    /// The result of an aggregation that leaves nothing of its input.
    fn nothing(&self) -> Result<Held, QueryError> {
        read_in_vain(self.ctx, self.input, 0..self.input.len())?;
        Ok(Held::empty())
    }

    fn fold(&self) -> Result<Held, QueryError> {
        let ctx = self.ctx;
        let groups = self.groups();
        let (mut fold, bytes) = self.new_fold(groups.labels.len());
        let _held = ctx.budget.reserve(bytes as u64)?;
        let mut notes = Annotations::default();
        for_each_column(ctx, self.input, |index, column| {
            let series = Series { source: self.input, index };
            fold.add(groups.of_series[index] as usize, column, &series, &mut notes);
            Ok(())
        })?;
        let columns = fold.finish(&mut notes);
        ctx.annotate(notes);
        Held::new(ctx, groups.labels, columns, groups.drops)
    }

    /// The fold, and how many bytes it takes.
    fn new_fold(&self, groups: usize) -> (Box<dyn Fold>, usize) {
        let (steps, span, op) = (self.steps.count, self.input_span(), self.aggregate.op);
        let cells = groups * steps;
        match op {
            AggregateOp::Sum => (Box::new(totals::sum(steps, cells, span)), cells * 2 * size_of::<f64>()),
            AggregateOp::Avg => {
                (Box::new(totals::mean(steps, cells, span)), cells * size_of::<crate::mean::Mean>())
            }
            AggregateOp::Quantile => {
                self.warn_of_quantiles();
                let fold = quantile::Quantiles::new(self.param.to_vec(), groups, span);
                // All that goes in is held.
                (Box::new(fold), self.input.len() * steps * size_of::<f64>())
            }
            _ => (Box::new(spread::Spread::new(op, steps, cells, span)), cells * 3 * size_of::<f64>()),
        }
    }

    fn warn_of_quantiles(&self) {
        let (lowest, highest) = extremes(self.param);
        // A NaN among them hides the others.
        let wrong = match self.param.iter().any(|q| q.is_nan()) {
            true => [Some(f64::NAN), None],
            false => [(highest > 1.0).then_some(highest), (lowest < 0.0).then_some(lowest)],
        };
        for quantile in wrong.into_iter().flatten() {
            let quantile = model::float_text::general(quantile);
            let text = format!("quantile value should be between 0 and 1, got {quantile}");
            self.ctx.warn(self.param_span(), text);
        }
    }
}

/// The lowest and the highest, NaN apart.
fn extremes(values: &[f64]) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    values.iter().fold(start, |(low, high), value| (low.min(*value), high.max(*value)))
}

/// Says that an operator doesn't know histograms.
fn note_ignored(notes: &mut Annotations, span: Span, op: AggregateOp) {
    notes.info(span, format!("ignored histogram in {} aggregation", op.as_str()));
}
