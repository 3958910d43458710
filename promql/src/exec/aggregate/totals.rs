//! `sum` and `avg`: of floats or of histograms.

use model::histogram::{Combined, FloatHistogram, HistogramSum, IncompatibleSchemas};
use model::kahan;
use model::value::{STALE_NAN, is_stale_nan};

use super::{Fold, Series};
use crate::annotations::Annotations;
use crate::ast::Span;
use crate::column::Column;
use crate::functions::histogram_window::{
    HintsSeen, Operation, mixed_schemas, note_conflict, note_reconciled,
};
use crate::histogram::HistogramMean;
use crate::mean::Mean;

/// The fold of `sum`.
pub(super) fn sum(steps: usize, cells: usize, span: Span) -> Totals<Sums, HistogramSum> {
    let floats = Sums { sums: vec![STALE_NAN; cells], lost: vec![0.0; cells] };
    Totals { floats, histograms: Vec::new(), steps, span }
}

/// The fold of `avg`.
pub(super) fn mean(steps: usize, cells: usize, span: Span) -> Totals<Means, HistogramMean> {
    Totals { floats: Means(vec![None; cells]), histograms: Vec::new(), steps, span }
}

/// Running totals of floats, one for each cell: a group at a step.
pub(super) trait FloatTotals {
    /// Adds the floats of a series to consecutive cells.
    fn add_all(&mut self, first_cell: usize, values: &[f64]);

    /// The total of a cell that had a float.
    fn value(&self, cell: usize) -> Option<f64>;

    /// Number of cells.
    fn len(&self) -> usize;
}

/// Sums; a cell without a float holds the staleness marker.
pub(super) struct Sums {
    sums: Vec<f64>,
    lost: Vec<f64>,
}

impl FloatTotals for Sums {
    /// Without a branch in it, so that steps are added side by side.
    fn add_all(&mut self, first_cell: usize, values: &[f64]) {
        let cells = first_cell..first_cell + values.len();
        let (sums, losts) = (&mut self.sums[cells.clone()], &mut self.lost[cells]);
        for ((sum, lost), value) in sums.iter_mut().zip(losts).zip(values) {
            let (absent, first) = (is_stale_nan(*value), is_stale_nan(*sum));
            let (total, total_lost) = kahan::add(*value, *sum, *lost);
            let (added, added_lost) = if first { (*value, 0.0) } else { (total, total_lost) };
            *sum = if absent { *sum } else { added };
            *lost = if absent { *lost } else { added_lost };
        }
    }

    fn value(&self, cell: usize) -> Option<f64> {
        let sum = self.sums[cell];
        (!is_stale_nan(sum)).then(|| sum + self.lost[cell])
    }

    fn len(&self) -> usize {
        self.sums.len()
    }
}

/// Means.
pub(super) struct Means(Vec<Option<Mean>>);

impl FloatTotals for Means {
    fn add_all(&mut self, first_cell: usize, values: &[f64]) {
        for (cell, value) in self.0[first_cell..].iter_mut().zip(values) {
            if is_stale_nan(*value) {
                continue;
            }
            match cell {
                Some(mean) => mean.add(*value),
                None => *cell = Some(Mean::of(*value)),
            }
        }
    }

    fn value(&self, cell: usize) -> Option<f64> {
        self.0[cell].as_ref().map(Mean::value)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A running total of histograms.
pub(super) trait HistogramTotal: Sized {
    fn of(first: &FloatHistogram) -> Self;
    fn add(&mut self, histogram: &FloatHistogram) -> Result<Combined, IncompatibleSchemas>;
    fn value(self) -> FloatHistogram;
}

impl HistogramTotal for HistogramSum {
    fn of(first: &FloatHistogram) -> Self {
        HistogramSum::new(first)
    }

    fn add(&mut self, histogram: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        HistogramSum::add(self, histogram)
    }

    fn value(self) -> FloatHistogram {
        self.total()
    }
}

impl HistogramTotal for HistogramMean {
    fn of(first: &FloatHistogram) -> Self {
        HistogramMean::new(first)
    }

    fn add(&mut self, histogram: &FloatHistogram) -> Result<Combined, IncompatibleSchemas> {
        HistogramMean::add(self, histogram)
    }

    fn value(self) -> FloatHistogram {
        self.mean()
    }
}

/// The histograms of a cell.
struct HistogramCell<H> {
    /// `None` if a float came first: nothing will come of the cell.
    total: Option<H>,
    hints: HintsSeen,
    /// Whether histograms came that can't be added. Nothing more is looked at then.
    incompatible: bool,
}

/// Totals of groups at steps, floats and histograms apart.
pub(super) struct Totals<F, H> {
    floats: F,
    /// Empty as long as there is no histogram at all.
    histograms: Vec<Option<Box<HistogramCell<H>>>>,
    steps: usize,
    span: Span,
}

impl<F: FloatTotals, H: HistogramTotal> Totals<F, H> {
    fn add_histogram(
        &mut self,
        cell: usize,
        histogram: &FloatHistogram,
        series: &Series<'_>,
        notes: &mut Annotations,
    ) {
        if self.histograms.is_empty() {
            self.histograms.resize_with(self.floats.len(), || None);
        }
        let Some(known) = &mut self.histograms[cell] else {
            let total = self.floats.value(cell).is_none().then(|| H::of(histogram));
            let mut hints = HintsSeen::default();
            hints.see(histogram);
            self.histograms[cell] = Some(Box::new(HistogramCell { total, hints, incompatible: false }));
            return;
        };
        let Some(total) = known.total.as_mut().filter(|_| !known.incompatible) else { return };
        known.hints.see(histogram);
        match total.add(histogram) {
            Ok(combined) if combined.bounds_reconciled => {
                note_reconciled(notes, self.span, Operation::Aggregation);
            }
            Ok(_) => {}
            Err(IncompatibleSchemas) => {
                notes.warn(self.span, mixed_schemas(&series.metric_name()));
                known.incompatible = true;
            }
        }
    }

    /// The floats of the series where histograms may be in the way.
    fn add_beside_histograms(&mut self, first_cell: usize, values: &[f64]) {
        for (step, value) in values.iter().enumerate() {
            let cell = first_cell + step;
            if self.histograms[cell].as_ref().is_none_or(|known| !known.incompatible) {
                self.floats.add_all(cell, std::slice::from_ref(value));
            }
        }
    }

    fn finish_histogram(
        &self,
        cell: HistogramCell<H>,
        mixed: bool,
        notes: &mut Annotations,
    ) -> Option<FloatHistogram> {
        if mixed {
            notes.warn(self.span, "encountered a mix of histograms and floats for aggregation");
            return None;
        }
        if cell.incompatible {
            return None;
        }
        if cell.hints.contradict() {
            note_conflict(notes, self.span, Operation::Aggregation);
        }
        let mut histogram = cell.total?.value();
        histogram.compact(0);
        Some(histogram)
    }
}

impl<F: FloatTotals, H: HistogramTotal> Fold for Totals<F, H> {
    fn add(&mut self, group: usize, column: &Column, series: &Series<'_>, notes: &mut Annotations) {
        let first_cell = group * self.steps;
        if self.histograms.is_empty() {
            self.floats.add_all(first_cell, &column.values);
        } else {
            self.add_beside_histograms(first_cell, &column.values);
        }
        for (step, histogram) in column.histograms.iter().enumerate() {
            if let Some(histogram) = histogram {
                self.add_histogram(first_cell + step, histogram, series, notes);
            }
        }
    }

    fn finish(mut self: Box<Self>, notes: &mut Annotations) -> Vec<Column> {
        let groups = self.floats.len() / self.steps;
        let mut columns = Vec::with_capacity(groups);
        for group in 0..groups {
            let mut column = Column::absent(self.steps);
            for step in 0..self.steps {
                let cell = group * self.steps + step;
                let float = self.floats.value(cell);
                match self.histograms.get_mut(cell).and_then(Option::take) {
                    Some(histograms) => {
                        if let Some(total) = self.finish_histogram(*histograms, float.is_some(), notes) {
                            column.set_histogram(step, std::sync::Arc::new(total));
                        }
                    }
                    None => column.values[step] = float.unwrap_or(STALE_NAN),
                }
            }
            columns.push(column);
        }
        columns
    }
}
