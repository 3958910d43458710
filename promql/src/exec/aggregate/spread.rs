//! `min`, `max`, `count`, `group`, `stddev`, `stdvar`.

use model::value::{STALE_NAN, is_stale_nan};

use super::{Fold, Series, note_ignored};
use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Span};
use crate::column::Column;

/// One of these aggregations, over cells: a group at a step.
pub(super) struct Spread {
    op: AggregateOp,
    steps: usize,
    span: Span,
    /// The result so far, the staleness marker where nothing has come yet; of deviations the sum of squares.
    values: Vec<f64>,
    /// Of deviations: how many, and their mean.
    welford: Vec<(f64, f64)>,
}

impl Spread {
    pub(super) fn new(op: AggregateOp, steps: usize, cells: usize, span: Span) -> Self {
        let deviates = matches!(op, AggregateOp::Stddev | AggregateOp::Stdvar);
        let welford = vec![(0.0, 0.0); if deviates { cells } else { 0 }];
        Spread { op, steps, span, values: vec![STALE_NAN; cells], welford }
    }

    fn add_floats(&mut self, first_cell: usize, floats: &[f64]) {
        let values = &mut self.values[first_cell..first_cell + floats.len()];
        let pairs = values.iter_mut().zip(floats).filter(|(_, float)| !is_stale_nan(**float));
        match self.op {
            // The staleness marker is a NaN, so that the first value takes its place.
            AggregateOp::Min => pairs.for_each(|(value, float)| {
                if *value > *float || value.is_nan() {
                    *value = *float;
                }
            }),
            AggregateOp::Max => pairs.for_each(|(value, float)| {
                if *value < *float || value.is_nan() {
                    *value = *float;
                }
            }),
            AggregateOp::Count => pairs.for_each(|(value, _)| count_one(value)),
            AggregateOp::Group => pairs.for_each(|(value, _)| *value = 1.0),
            _ => {
                for (cell, float) in (first_cell..).zip(floats) {
                    if !is_stale_nan(*float) {
                        self.add_deviation(cell, *float);
                    }
                }
            }
        }
    }

    /// Welford's method.
    fn add_deviation(&mut self, cell: usize, float: f64) {
        let (value, (count, mean)) = (&mut self.values[cell], &mut self.welford[cell]);
        if is_stale_nan(*value) {
            *value = if float.is_finite() { 0.0 } else { f64::NAN };
            (*count, *mean) = (1.0, float);
            return;
        }
        *count += 1.0;
        let delta = float - *mean;
        *mean += delta / *count;
        *value += delta * (float - *mean);
    }
}

fn count_one(value: &mut f64) {
    *value = if is_stale_nan(*value) { 1.0 } else { *value + 1.0 };
}

impl Fold for Spread {
    fn add(&mut self, group: usize, column: &Column, _: &Series<'_>, notes: &mut Annotations) {
        let first_cell = group * self.steps;
        self.add_floats(first_cell, &column.values);
        for step in (0..column.histograms.len()).filter(|step| column.histograms[*step].is_some()) {
            let value = &mut self.values[first_cell + step];
            match self.op {
                AggregateOp::Count => count_one(value),
                AggregateOp::Group => *value = 1.0,
                op => note_ignored(notes, self.span, op),
            }
        }
    }

    fn finish(mut self: Box<Self>, _: &mut Annotations) -> Vec<Column> {
        for (value, (count, _)) in self.values.iter_mut().zip(&self.welford) {
            if !is_stale_nan(*value) {
                *value /= count;
                if self.op == AggregateOp::Stddev {
                    *value = value.sqrt();
                }
            }
        }
        let columns = self.values.chunks(self.steps);
        columns.map(|values| Column { values: values.to_vec(), histograms: Vec::new() }).collect()
    }
}
