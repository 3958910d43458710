//! `quantile`: all values of a group are needed before any can be told.

use model::value::is_stale_nan;

use super::{Fold, Series, note_ignored};
use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::column::Column;
use crate::functions::quantile::quantile;

/// Steps whose values are picked out of the columns together: a cache line of each column.
const STEPS_TOGETHER: usize = 8;

/// The columns of every group, one after the other.
pub(super) struct Quantiles {
    /// Which quantile is wanted at each step.
    wanted: Vec<f64>,
    columns: Vec<Vec<f64>>,
    span: Span,
}

impl Quantiles {
    pub(super) fn new(wanted: Vec<f64>, groups: usize, span: Span) -> Self {
        Quantiles { wanted, columns: vec![Vec::new(); groups], span }
    }

    /// The quantile at every step of a group's columns.
    fn of_group(&self, columns: &[f64]) -> Column {
        let steps = self.wanted.len();
        let mut out = Column::absent(steps);
        let mut values: [Vec<f64>; STEPS_TOGETHER] = std::array::from_fn(|_| Vec::new());
        for first in (0..steps).step_by(STEPS_TOGETHER) {
            let last = steps.min(first + STEPS_TOGETHER);
            values.iter_mut().for_each(Vec::clear);
            for column in columns.chunks_exact(steps) {
                for (list, value) in values.iter_mut().zip(&column[first..last]) {
                    if !is_stale_nan(*value) {
                        list.push(*value);
                    }
                }
            }
            for (step, list) in (first..last).zip(&mut values).filter(|(_, list)| !list.is_empty()) {
                out.values[step] = quantile(self.wanted[step], list);
            }
        }
        out
    }
}

impl Fold for Quantiles {
    fn add(&mut self, group: usize, column: &Column, _: &Series<'_>, notes: &mut Annotations) {
        self.columns[group].extend_from_slice(&column.values);
        if column.histograms.iter().any(Option::is_some) {
            note_ignored(notes, self.span, AggregateOp::Quantile);
        }
    }

    fn finish(self: Box<Self>, _: &mut Annotations) -> Vec<Column> {
        self.columns.iter().map(|columns| self.of_group(columns)).collect()
    }
}
