//! Operations of two samples.

use std::sync::Arc;

use model::histogram::{CounterResetHint, FloatHistogram, IncompatibleSchemas};
use model::storage::SampleValue;

use super::super::scalar;
use super::changes_metric;
use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::functions::histogram_window::{Operation, note_conflict, note_reconciled};
use crate::histogram::{Keep, trim};

/// What comes of two samples.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) sample: SampleValue,
    /// Whether a comparison holds; true for other operations.
    pub(crate) keep: bool,
}

impl Outcome {
    fn float(value: f64) -> Option<Self> {
        Some(Outcome { sample: SampleValue::Float(value), keep: true })
    }

    fn histogram(mut histogram: FloatHistogram) -> Option<Self> {
        histogram.compact(0);
        Some(Outcome { sample: SampleValue::Histogram(Arc::new(histogram)), keep: true })
    }
}

/// Where notes go: `None` where the operation's infos and warnings aren't wanted.
pub(crate) struct Notes<'a> {
    pub(crate) span: Span,
    pub(crate) annotations: &'a mut Annotations,
    /// Whether warnings are left out, as where one side is a scalar.
    pub(crate) infos_only: bool,
}

/// The operation of two samples; `None` if there is no such operation.
pub(crate) fn operate(
    op: BinaryOp,
    lhs: &SampleValue,
    rhs: &SampleValue,
    notes: &mut Notes<'_>,
) -> Option<Outcome> {
    use SampleValue::{Float, Histogram};
    let outcome = match (lhs, rhs) {
        (Float(l), Float(r)) if changes_metric(op) => Outcome::float(scalar::arithmetic(op, *l, *r)),
        (Float(l), Float(r)) if op.is_comparison() => {
            Some(Outcome { sample: Float(*l), keep: scalar::compare(op, *l, *r) })
        }
        (Float(factor), Histogram(histogram)) | (Histogram(histogram), Float(factor))
            if op == BinaryOp::Mul =>
        {
            let mut product = FloatHistogram::clone(histogram);
            product.mul(*factor);
            Outcome::histogram(product)
        }
        (Histogram(l), Float(divisor)) if op == BinaryOp::Div => {
            let mut quotient = FloatHistogram::clone(l);
            quotient.div(*divisor);
            Outcome::histogram(quotient)
        }
        (Histogram(l), Float(at)) if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) => {
            let keep = if op == BinaryOp::TrimUpper { Keep::Below } else { Keep::Above };
            let mut trimmed = FloatHistogram::clone(l);
            trim(&mut trimmed, *at, keep);
            Some(Outcome { sample: Histogram(Arc::new(trimmed)), keep: true })
        }
        (Histogram(l), Histogram(r)) if matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
            return combine(op, l, r, notes);
        }
        (Histogram(l), Histogram(r)) if matches!(op, BinaryOp::Equal | BinaryOp::NotEqual) => {
            let keep = l.equals(r) == (op == BinaryOp::Equal);
            Some(Outcome { sample: Histogram(Arc::clone(l)), keep })
        }
        _ => None,
    };
    if outcome.is_none() {
        let (l, r) = (kind(lhs), kind(rhs));
        let text =
            format!("incompatible sample types encountered for binary operator \"{op}\": {l} {op} {r}");
        notes.annotations.info(notes.span, text);
    }
    outcome
}

fn kind(sample: &SampleValue) -> &'static str {
    match sample {
        SampleValue::Float(_) => "float",
        SampleValue::Histogram(_) => "histogram",
    }
}

/// The sum or the difference of two histograms.
fn combine(
    op: BinaryOp,
    lhs: &FloatHistogram,
    rhs: &FloatHistogram,
    notes: &mut Notes<'_>,
) -> Option<Outcome> {
    let mut result = lhs.clone();
    let (combined, operation) = match op {
        BinaryOp::Add => (result.add(rhs), Operation::Addition),
        _ => (result.sub(rhs), Operation::Subtraction),
    };
    match combined {
        Ok(combined) => {
            if combined.counter_reset_conflict && !notes.infos_only {
                note_conflict(notes.annotations, notes.span, operation);
            }
            if combined.bounds_reconciled {
                note_reconciled(notes.annotations, notes.span, operation);
            }
        }
        Err(IncompatibleSchemas) => {
            let text = format!("incompatible bucket layout encountered for binary operator {op}");
            notes.annotations.warn(notes.span, text);
            return None;
        }
    }
    if op == BinaryOp::Sub {
        result.counter_reset_hint = CounterResetHint::Gauge;
    }
    Outcome::histogram(result)
}
