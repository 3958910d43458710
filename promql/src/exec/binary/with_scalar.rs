//! A vector and a scalar.

use model::labels::Labels;
use model::storage::{LabelColumn, SampleValue};
use model::value::{STALE_NAN, is_stale_nan};

use super::super::scratch::Scratch;
use super::super::source::{Conflict, Source, drop_metadata};
use super::super::{Context, scalar};
use super::changes_metric;
use super::element::{self, Notes};
use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::{Binary, Node};

/// The source of such an operation; `swapped` if the scalar stands on the left.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    operation: &'q Binary,
    vector: Box<dyn Source + 'q>,
    values: Vec<f64>,
    swapped: bool,
) -> Box<dyn Source + 'q> {
    let (op, return_bool) = (operation.op, operation.return_bool);
    let source =
        Box::new(WithScalar { ctx, inner: vector, values, op, return_bool, swapped, span: node.span });
    if changes_metric(op) || return_bool {
        return drop_metadata(ctx, source, Conflict::SameStep);
    }
    source
}

struct WithScalar<'q> {
    ctx: &'q Context<'q>,
    inner: Box<dyn Source + 'q>,
    values: Vec<f64>,
    op: BinaryOp,
    return_bool: bool,
    swapped: bool,
    span: Span,
}

impl WithScalar<'_> {
    fn floats(&self, column: &mut Column) {
        for (value, other) in column.values.iter_mut().zip(&self.values) {
            if is_stale_nan(*value) {
                continue;
            }
            let (lhs, rhs) = if self.swapped { (*other, *value) } else { (*value, *other) };
            *value = match (changes_metric(self.op), self.return_bool) {
                (true, _) => scalar::arithmetic(self.op, lhs, rhs),
                (false, true) => scalar::truth(scalar::compare(self.op, lhs, rhs)),
                // A comparison keeps the vector's value, on whichever side it stands.
                (false, false) if scalar::compare(self.op, lhs, rhs) => *value,
                (false, false) => STALE_NAN,
            };
        }
    }

    /// Steps with histograms, or operators for them.
    fn samples(&self, column: &mut Column) {
        let mut annotations = Annotations::default();
        let mut notes = Notes { span: self.span, annotations: &mut annotations, infos_only: true };
        for step in 0..column.len() {
            let Some(own) = column.get(step) else { continue };
            let other = SampleValue::Float(self.values[step]);
            let (lhs, rhs) = if self.swapped { (&other, &own) } else { (&own, &other) };
            let outcome = element::operate(self.op, lhs, rhs, &mut notes);
            column.clear_step(step);
            let Some(outcome) = outcome else { continue };
            if self.return_bool {
                column.values[step] = scalar::truth(outcome.keep);
            } else if outcome.keep {
                let sample = if self.op.is_comparison() { own } else { outcome.sample };
                column.set(step, sample);
            }
        }
        self.ctx.annotate(annotations);
    }
}

impl Source for WithScalar<'_> {
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
        let trims = matches!(self.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        if out.has_histograms() || trims {
            self.samples(out)
        } else {
            self.floats(out)
        }
        Ok(())
    }
}
