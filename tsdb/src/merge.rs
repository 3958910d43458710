//! Several series sets as one: the head's and those of the blocks that a query touches.
//!
//! A series that is in several sets is read from all of them, oldest part first, and each timestamp is given
//! once. Parts rarely overlap: a block begins where the one before ends, and the head where the last block
//! does. What is given up: labels are built to find the same series in several sets; queries of recent time
//! touch one set and don't come here.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError};
use model::time::TimestampMs;
use smallvec::SmallVec;

use crate::error::check;

/// How many series are looked at between two looks at the cancel flag.
const CANCEL_EVERY: usize = 1024;

/// A series of one of the sets.
#[derive(Clone, Copy, Debug)]
struct Part {
    set: u32,
    series: u32,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MergedSeries {
    /// In order of the beginning of their times.
    sets: Vec<Box<dyn SeriesSet>>,
    /// Ascending by label set.
    series: Vec<(Labels, SmallVec<[Part; 2]>)>,
}

/// The sets of a selection as one, which are in order of their times.
///
/// # Errors
///
/// [`StorageError::Cancelled`].
pub(crate) fn merge(
    sets: Vec<Box<dyn SeriesSet>>,
    hints: &SelectHints,
) -> Result<Box<dyn SeriesSet>, StorageError> {
    let mut filled: Vec<Box<dyn SeriesSet>> = sets.into_iter().filter(|set| !set.is_empty()).collect();
    match filled.len() {
        1 => Ok(filled.remove(0)),
        _ => Ok(Box::new(MergedSeries::new(filled, hints)?)),
    }
}

impl MergedSeries {
    fn new(sets: Vec<Box<dyn SeriesSet>>, hints: &SelectHints) -> Result<Self, StorageError> {
        let mut numbers: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut series: Vec<(Labels, SmallVec<[Part; 2]>)> = Vec::new();
        for (number, set) in sets.iter().enumerate() {
            for at in 0..set.len() {
                if at.is_multiple_of(CANCEL_EVERY) {
                    check(&hints.cancel)?;
                }
                let part = Part { set: number as u32, series: at as u32 };
                let labels = set.labels(at);
                match numbers.get(&labels) {
                    Some(found) => series[*found].1.push(part),
                    None => {
                        numbers.insert(labels.clone(), series.len());
                        series.push((labels, SmallVec::from_slice(&[part])));
                    }
                }
            }
        }
        drop(numbers);
        series.sort_by(|a, b| a.0.cmp(&b.0));
        if hints.limit > 0 {
            series.truncate(hints.limit);
        }
        Ok(MergedSeries { sets, series })
    }
}

impl SeriesSet for MergedSeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.series[series].0.clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut column = LabelColumn { values: vec![Cow::Borrowed("")], ids: Vec::with_capacity(self.len()) };
        let mut numbers: HashMap<&str, u32> = HashMap::from([("", 0)]);
        for (labels, _) in &self.series {
            let next = column.values.len() as u32;
            let number = *numbers.entry(labels.value(name)).or_insert(next);
            if number == next {
                column.values.push(Cow::Borrowed(labels.value(name)));
            }
            column.ids.push(number);
        }
        column
    }

    fn read(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
        out: &mut SampleColumns,
    ) -> Result<(), StorageError> {
        for part in &self.series[series].1 {
            let (floats, histograms) = (out.timestamps.len(), out.histogram_timestamps.len());
            self.sets[part.set as usize].read(part.series as usize, mint, maxt, out)?;
            settle(out, floats, histograms);
        }
        Ok(())
    }

    fn last(
        &self,
        series: usize,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Option<(TimestampMs, SampleValue)>, StorageError> {
        let mut newest: Option<(TimestampMs, SampleValue)> = None;
        for part in self.series[series].1.iter().rev() {
            // Nothing older than what was found is of interest, which spares most parts their decoding.
            let from = newest.as_ref().map_or(mint, |newest| newest.0.saturating_add(1).max(mint));
            if from > maxt {
                break;
            }
            let found = self.sets[part.set as usize].last(part.series as usize, from, maxt)?;
            newest = found.or(newest);
        }
        Ok(newest)
    }
}

/// One kind of samples: timestamps, values, and start timestamps if there are any.
struct Lane<'a, V> {
    timestamps: &'a mut Vec<TimestampMs>,
    values: &'a mut Vec<V>,
    starts: &'a mut Vec<TimestampMs>,
}

impl<V: Clone> Lane<'_, V> {
    /// Brings start timestamps to the number of timestamps, if any are wanted.
    fn pad_starts(&mut self, wanted: bool) {
        if wanted || !self.starts.is_empty() {
            self.starts.resize(self.timestamps.len(), 0);
        }
    }

    /// Adds another lane; of two samples at one time this lane's stays.
    fn add(&mut self, mut other: Lane<'_, V>) {
        let with_starts = !self.starts.is_empty() || !other.starts.is_empty();
        self.pad_starts(with_starts);
        other.pad_starts(with_starts);
        let in_order = match (self.timestamps.last(), other.timestamps.first()) {
            (Some(last), Some(first)) => last < first,
            _ => true,
        };
        if in_order {
            self.timestamps.append(other.timestamps);
            self.values.append(other.values);
            self.starts.append(other.starts);
        } else {
            self.interleave(&other, with_starts);
        }
    }

    fn interleave(&mut self, other: &Lane<'_, V>, with_starts: bool) {
        let len = self.timestamps.len() + other.timestamps.len();
        let (mut timestamps, mut values) = (Vec::with_capacity(len), Vec::with_capacity(len));
        let mut starts = Vec::new();
        let (mut a, mut b) = (0, 0);
        loop {
            let (mine, theirs) = (self.timestamps.get(a), other.timestamps.get(b));
            let (lane, at) = match (mine, theirs) {
                (None, None) => break,
                (Some(mine), Some(theirs)) if mine > theirs => (other, b),
                (None, Some(_)) => (other, b),
                _ => (&*self, a),
            };
            timestamps.push(lane.timestamps[at]);
            values.push(lane.values[at].clone());
            if with_starts {
                starts.push(lane.starts[at]);
            }
            let time = lane.timestamps[at];
            a += usize::from(self.timestamps.get(a) == Some(&time));
            b += usize::from(other.timestamps.get(b) == Some(&time));
        }
        (*self.timestamps, *self.values, *self.starts) = (timestamps, values, starts);
    }
}

fn float_lane(columns: &mut SampleColumns) -> Lane<'_, f64> {
    Lane {
        timestamps: &mut columns.timestamps,
        values: &mut columns.values,
        starts: &mut columns.start_timestamps,
    }
}

fn histogram_lane(columns: &mut SampleColumns) -> Lane<'_, Arc<FloatHistogram>> {
    Lane {
        timestamps: &mut columns.histogram_timestamps,
        values: &mut columns.histograms,
        starts: &mut columns.histogram_start_timestamps,
    }
}

/// Adds samples; of two at one time those that are there stay.
pub(crate) fn add_columns(to: &mut SampleColumns, mut from: SampleColumns) {
    float_lane(to).add(float_lane(&mut from));
    histogram_lane(to).add(histogram_lane(&mut from));
    if to.timestamps.is_empty() || to.histogram_timestamps.is_empty() {
        return;
    }
    // No timestamp may be in both kinds: a histogram says more than a float.
    let taken = |time: &TimestampMs| to.histogram_timestamps.binary_search(time).is_ok();
    if to.timestamps.iter().any(taken) {
        let keep: Vec<bool> = to.timestamps.iter().map(|time| !taken(time)).collect();
        retain(&mut to.timestamps, &keep);
        retain(&mut to.values, &keep);
        retain(&mut to.start_timestamps, &keep);
    }
}

/// Brings samples that were appended behind so many floats and histograms into their places. Parts of a series
/// nearly always follow each other, and then they are there already.
fn settle(columns: &mut SampleColumns, floats: usize, histograms: usize) {
    let (old_floats, new_floats) = columns.timestamps.split_at(floats);
    let (old_histograms, new_histograms) = columns.histogram_timestamps.split_at(histograms);
    let newest_before = old_floats.last().max(old_histograms.last());
    let oldest_added = [new_floats.first(), new_histograms.first()].into_iter().flatten().min();
    if oldest_added.is_none_or(|oldest| newest_before.is_none_or(|newest| newest < oldest)) {
        return;
    }
    let added = SampleColumns {
        timestamps: columns.timestamps.split_off(floats),
        values: columns.values.split_off(floats),
        histogram_timestamps: columns.histogram_timestamps.split_off(histograms),
        histograms: columns.histograms.split_off(histograms),
        start_timestamps: split_off_known(&mut columns.start_timestamps, floats),
        histogram_start_timestamps: split_off_known(&mut columns.histogram_start_timestamps, histograms),
    };
    add_columns(columns, added);
}

/// Splits a column that may be empty because nothing in it is known.
fn split_off_known(column: &mut Vec<TimestampMs>, at: usize) -> Vec<TimestampMs> {
    if column.is_empty() { Vec::new() } else { column.split_off(at) }
}

/// Keeps the elements whose place says so. An empty list stays empty.
fn retain<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        keep[at - 1]
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::cancel::Cancel;
    use proptest::prelude::*;

    use super::*;

    /// A set of one series without samples.
    #[derive(Debug)]
    struct One;

    impl SeriesSet for One {
        fn len(&self) -> usize {
            1
        }

        fn labels(&self, _: usize) -> Labels {
            Labels::from_pairs([("a", "b")])
        }

        fn label_column(&self, _: &str) -> LabelColumn<'_> {
            LabelColumn::default()
        }

        fn read(&self, _: usize, _: i64, _: i64, _: &mut SampleColumns) -> Result<(), StorageError> {
            Ok(())
        }

        fn last(&self, _: usize, _: i64, _: i64) -> Result<Option<(i64, SampleValue)>, StorageError> {
            Ok(None)
        }
    }

    #[test]
    fn a_cancelled_merge_ends() {
        let hints = SelectHints::new(0, 1, &Cancel::new());
        let sets = || -> Vec<Box<dyn SeriesSet>> { vec![Box::new(One), Box::new(One)] };
        assert_eq!(merge(sets(), &hints).unwrap().len(), 1);
        hints.cancel.cancel();
        assert!(matches!(merge(sets(), &hints), Err(StorageError::Cancelled)));
    }

    fn columns(floats: &BTreeMap<i64, f64>, histograms: &BTreeMap<i64, f64>) -> SampleColumns {
        let histogram = |sum: &f64| Arc::new(FloatHistogram { sum: *sum, ..FloatHistogram::default() });
        SampleColumns {
            timestamps: floats.keys().copied().collect(),
            values: floats.values().copied().collect(),
            histogram_timestamps: histograms.keys().copied().collect(),
            histograms: histograms.values().map(histogram).collect(),
            ..SampleColumns::default()
        }
    }

    proptest! {
        #[test]
        fn merged_columns_have_each_timestamp_once(
            parts in proptest::collection::vec((
                proptest::collection::btree_map(0i64..60, 0.0f64..9.0, 0..20),
                proptest::collection::btree_map(0i64..60, 0.0f64..9.0, 0..6),
            ), 1..4),
            apart_ms in prop_oneof![Just(0), Just(50), Just(100)],
        ) {
            let (mut merged, mut settled) = (SampleColumns::default(), SampleColumns::default());
            let (mut floats, mut histograms) = (BTreeMap::new(), BTreeMap::new());
            for ((f, h), nth) in parts.iter().zip(0..) {
                let later = |part: &BTreeMap<i64, f64>| {
                    part.iter().map(|(time, value)| (time + nth * apart_ms, *value)).collect()
                };
                let (mut f, h): (BTreeMap<_, _>, BTreeMap<_, _>) = (later(f), later(h));
                f.retain(|time, _| !h.contains_key(time));
                let (mut part, places) = (columns(&f, &h), (settled.timestamps.len(), settled.histograms.len()));
                add_columns(&mut merged, part.clone());
                settled.timestamps.append(&mut part.timestamps);
                settled.values.append(&mut part.values);
                settled.histogram_timestamps.append(&mut part.histogram_timestamps);
                settled.histograms.append(&mut part.histograms);
                settle(&mut settled, places.0, places.1);
                for (time, value) in &f {
                    floats.entry(*time).or_insert(*value);
                }
                for (time, value) in &h {
                    histograms.entry(*time).or_insert(*value);
                }
                floats.retain(|time, _| !histograms.contains_key(time));
            }
            prop_assert_eq!(&merged, &columns(&floats, &histograms));
            prop_assert_eq!(settled, merged);
        }
    }
}
