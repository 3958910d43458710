//! `quantile`: all values of a group are needed before any can be told.

use model::value::is_stale_nan;

use super::{Fold, Series, note_ignored};
use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::column::Column;
use crate::functions::quantile::quantile;

/// The values of every cell: a group at a step.
pub(super) struct Quantiles {
    /// Which quantile is wanted at each step.
    wanted: Vec<f64>,
    values: Vec<Vec<f64>>,
    span: Span,
}

impl Quantiles {
    pub(super) fn new(wanted: Vec<f64>, cells: usize, span: Span) -> Self {
        Quantiles { wanted, values: vec![Vec::new(); cells], span }
    }
}

impl Fold for Quantiles {
    fn add(&mut self, group: usize, column: &Column, _: &Series<'_>, notes: &mut Annotations) {
        let first_cell = group * self.wanted.len();
        for (step, value) in column.values.iter().enumerate() {
            if !is_stale_nan(*value) {
                self.values[first_cell + step].push(*value);
            }
        }
        if column.histograms.iter().any(Option::is_some) {
            note_ignored(notes, self.span, AggregateOp::Quantile);
        }
    }

    fn finish(mut self: Box<Self>, _: &mut Annotations) -> Vec<Column> {
        let steps = self.wanted.len();
        let wanted = &self.wanted;
        let groups = self.values.chunks_mut(steps);
        let column_of = |cells: &mut [Vec<f64>]| {
            let mut column = Column::absent(steps);
            for (step, values) in cells.iter_mut().enumerate().filter(|(_, values)| !values.is_empty()) {
                column.values[step] = quantile(wanted[step], values);
            }
            column
        };
        groups.map(column_of).collect()
    }
}
