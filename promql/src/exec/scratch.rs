//! Buffers that are used again from series to series.

use model::storage::SampleColumns;

use crate::column::Column;

/// One thread's buffers. Whoever takes one gives it back when the series is done; one that isn't given back,
/// as after an error, is simply freed.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    columns: Vec<Column>,
    samples: Vec<SampleColumns>,
    bounds: Vec<Vec<(u32, u32)>>,
}

impl Scratch {
    pub(crate) fn take_column(&mut self) -> Column {
        self.columns.pop().unwrap_or_default()
    }

    pub(crate) fn give_column(&mut self, column: Column) {
        self.columns.push(column);
    }

    /// Empty sample columns.
    pub(crate) fn take_samples(&mut self) -> SampleColumns {
        self.samples.pop().unwrap_or_default()
    }

    pub(crate) fn give_samples(&mut self, mut samples: SampleColumns) {
        samples.clear();
        self.samples.push(samples);
    }

    /// An empty list of index ranges.
    pub(crate) fn take_bounds(&mut self) -> Vec<(u32, u32)> {
        self.bounds.pop().unwrap_or_default()
    }

    pub(crate) fn give_bounds(&mut self, mut bounds: Vec<(u32, u32)>) {
        bounds.clear();
        self.bounds.push(bounds);
    }
}
