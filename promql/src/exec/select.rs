//! Selectors: the leaves, where samples come from the storage.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::histogram::{CounterResetHint, FloatHistogram};
use model::labels::{Labels, METRIC_NAME};
use model::matcher::{MatchOp, Matcher};
use model::storage::{LabelColumn, SampleColumns, SampleValue, SeriesSet};
use model::value::{STALE_NAN, is_stale_nan};

use super::Context;
use super::cursor::Cursor;
use super::scratch::Scratch;
use super::source::{RangeSource, Source, TYPE_LABEL, UNIT_LABEL};
use crate::ast::{ExtendedRange, Span};
use crate::column::{Column, histogram_samples};
use crate::engine::QueryError;
use crate::plan::{RangeSelect, Select};
use crate::value::Steps;

/// A guess at the distance of samples, to tell small queries from large ones.
const SCRAPE_INTERVAL_GUESS_MS: i64 = 15_000;

/// What of a selected sample is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Its value.
    Value,
    /// Its own time, in seconds.
    Timestamp,
    /// Its start time, in seconds.
    StartTimestamp,
}

/// The source of an instant vector selector.
pub(crate) fn instant<'q>(
    ctx: &'q Context<'q>,
    select: &'q Select,
    steps: Steps,
    span: Span,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    if select.extended == Some(ExtendedRange::Smoothed) {
        return super::window::smoothed_instant(ctx, select, steps, span);
    }
    wanted(ctx, select, steps, Wanted::Value)
}

/// The source of an instant vector selector, of which the times may be wanted.
pub(crate) fn wanted<'q>(
    ctx: &'q Context<'q>,
    select: &'q Select,
    steps: Steps,
    wanted: Wanted,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let set = ctx.series_set(select.fetch)?;
    let named = common_name(&select.matchers).is_some();
    Ok(Box::new(Instant { ctx, set, named, select, steps, wanted }))
}

/// The source of a range vector selector.
pub(crate) fn range<'q>(
    ctx: &'q Context<'q>,
    range: &'q RangeSelect,
    steps: Steps,
) -> Result<Box<dyn RangeSource + 'q>, QueryError> {
    let set = ctx.series_set(range.select.fetch)?;
    let reference = range.select.reference;
    let (before, after) = match range.select.extended {
        None => (0, 0),
        Some(ExtendedRange::Anchored) => (ctx.lookback_ms, 0),
        Some(ExtendedRange::Smoothed) => (ctx.lookback_ms, ctx.lookback_ms),
    };
    let mint = first_of_window(reference.time(steps.start_ms), range.range_ms.saturating_add(before));
    let maxt = reference.time(steps.end_ms()).saturating_add(after);
    let (name, stats_only) = (common_name(&range.select.matchers), range.select.stats_only);
    Ok(Box::new(Ranged { ctx, set, name, stats_only, mint, maxt }))
}

/// The name that all series have, if the matchers tell it.
fn common_name(matchers: &[Matcher]) -> Option<&str> {
    let names = |matcher: &&Matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
    matchers.iter().find(names).map(Matcher::value)
}

/// Whether any series has a type or a unit.
fn has_metadata_beside_names(set: &dyn SeriesSet) -> bool {
    [TYPE_LABEL, UNIT_LABEL].iter().any(|name| set.label_column(name).values.len() > 1)
}

/// The first millisecond of a window of so many that ends at `end`: windows are open on the left.
fn first_of_window(end: i64, window_ms: i64) -> i64 {
    end.saturating_sub(window_ms).saturating_add(1)
}

fn samples_between(mint: i64, maxt: i64) -> usize {
    (maxt.saturating_sub(mint) / SCRAPE_INTERVAL_GUESS_MS + 1).max(1) as usize
}

struct Instant<'q> {
    ctx: &'q Context<'q>,
    set: Arc<dyn SeriesSet>,
    named: bool,
    select: &'q Select,
    steps: Steps,
    wanted: Wanted,
}

impl Instant<'_> {
    /// The first and the last reference time.
    fn bounds(&self) -> (i64, i64) {
        (self.select.reference.time(self.steps.start_ms), self.select.reference.time(self.steps.end_ms()))
    }

    /// One step: the storage knows its newest sample without decoding what is before it.
    fn read_one(&self, series: usize, out: &mut Column) -> Result<(), QueryError> {
        let (at, _) = self.bounds();
        let newest = self.set.last(series, first_of_window(at, self.ctx.lookback_ms), at);
        let Some((time, sample)) = newest.map_err(|error| self.ctx.storage_error(error))? else {
            return Ok(());
        };
        match (sample, self.wanted) {
            (SampleValue::Float(value), _) if is_stale_nan(value) => {}
            (SampleValue::Histogram(histogram), _) if histogram.is_stale() => {}
            (_, Wanted::Timestamp) => out.values[0] = time as f64 / 1000.0,
            (sample, _) => out.set(0, sample),
        }
        Ok(())
    }

    fn read_all(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        let (first, last) = self.bounds();
        let mut samples = scratch.take_samples();
        let read = self.set.read(series, first_of_window(first, self.ctx.lookback_ms), last, &mut samples);
        read.map_err(|error| self.ctx.storage_error(error))?;
        if self.wanted != Wanted::Value {
            self.replace_by_times(&mut samples);
        } else if self.select.stats_only {
            reduce_to_stats(&mut samples.histograms);
        }
        if samples.histogram_timestamps.is_empty() {
            self.fill_floats(&samples.timestamps, &samples.values, &mut out.values);
        } else {
            self.fill_mixed(&samples, out);
        }
        scratch.give_samples(samples);
        Ok(())
    }

    /// Makes floats of all samples that tell the wanted time. Staleness markers stay.
    fn replace_by_times(&self, samples: &mut SampleColumns) {
        let SampleColumns { timestamps, values, start_timestamps, .. } = samples;
        for (i, value) in values.iter_mut().enumerate() {
            if !is_stale_nan(*value) {
                *value = match self.wanted {
                    Wanted::StartTimestamp => start_timestamps.get(i).copied().unwrap_or(0) as f64 / 1000.0,
                    _ => timestamps[i] as f64 / 1000.0,
                };
            }
        }
        if samples.histograms.is_empty() {
            return;
        }
        let mut merged: Vec<(i64, f64)> = timestamps.iter().copied().zip(values.iter().copied()).collect();
        for (i, histogram) in samples.histograms.iter().enumerate() {
            let time = samples.histogram_timestamps[i];
            let start = samples.histogram_start_timestamps.get(i).copied().unwrap_or(0);
            let wanted = if self.wanted == Wanted::StartTimestamp { start } else { time };
            merged.push((time, if histogram.is_stale() { STALE_NAN } else { wanted as f64 / 1000.0 }));
        }
        merged.sort_by_key(|(time, _)| *time);
        samples.clear();
        (samples.timestamps, samples.values) = merged.into_iter().unzip();
    }

    fn fill_floats(&self, times: &[i64], values: &[f64], out: &mut [f64]) {
        let lookback_ms = self.ctx.lookback_ms;
        let mut cursor = Cursor::default();
        for (step, slot) in out.iter_mut().enumerate() {
            let reference = self.select.reference.time(self.steps.at(step));
            let passed = cursor.pass(times, reference);
            // A staleness marker is what absence looks like, so it needs no test.
            if passed > 0 && times[passed - 1] > reference.saturating_sub(lookback_ms) {
                *slot = values[passed - 1];
            }
        }
    }

    fn fill_mixed(&self, samples: &SampleColumns, out: &mut Column) {
        let (mut float, mut histogram) = (0, 0);
        for step in 0..self.steps.count {
            let reference = self.select.reference.time(self.steps.at(step));
            while float < samples.timestamps.len() && samples.timestamps[float] <= reference {
                float += 1;
            }
            let histogram_times = &samples.histogram_timestamps;
            while histogram < histogram_times.len() && histogram_times[histogram] <= reference {
                histogram += 1;
            }
            let float_time = float.checked_sub(1).map(|i| samples.timestamps[i]);
            let histogram_time = histogram.checked_sub(1).map(|i| histogram_times[i]);
            let Some(newest) = float_time.max(histogram_time) else { continue };
            if newest <= reference.saturating_sub(self.ctx.lookback_ms) {
                continue;
            }
            if float_time == Some(newest) {
                out.values[step] = samples.values[float - 1];
            } else if !samples.histograms[histogram - 1].is_stale() {
                out.set_histogram(step, Arc::clone(&samples.histograms[histogram - 1]));
            }
        }
    }

    /// Counts what is seen at the steps.
    fn count(&self, out: &Column) -> Result<(), QueryError> {
        let counts = &self.ctx.counts;
        let samples = out.samples();
        if !self.select.is_counted {
            counts.read.fetch_add(samples, Ordering::Relaxed);
            return self.ctx.budget.take_samples(samples);
        }
        if counts.has_steps() {
            for step in 0..out.len() {
                let seen = match out.get(step) {
                    Some(SampleValue::Float(_)) => 1,
                    Some(SampleValue::Histogram(histogram)) => histogram_samples(&histogram),
                    None => 0,
                };
                counts.see_at(self.steps.at(step), seen);
            }
        } else {
            counts.total.fetch_add(samples, Ordering::Relaxed);
        }
        counts.read.fetch_add(samples, Ordering::Relaxed);
        self.ctx.budget.take_samples(samples)
    }
}

impl Source for Instant<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.set.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.set.label_column(name)
    }

    fn unique_without_metadata(&self) -> bool {
        self.named && !has_metadata_beside_names(&*self.set)
    }

    fn cost(&self) -> usize {
        let (first, last) = self.bounds();
        if self.steps.count == 1 { 1 } else { samples_between(first, last) }
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        out.reset(self.steps.count);
        let newest_tells_all = self.wanted != Wanted::StartTimestamp && !self.select.stats_only;
        if self.steps.count == 1 && newest_tells_all {
            self.read_one(series, out)?;
        } else {
            self.read_all(series, scratch, out)?;
        }
        self.count(out)
    }
}

struct Ranged<'q> {
    ctx: &'q Context<'q>,
    set: Arc<dyn SeriesSet>,
    /// The name that all series have.
    name: Option<&'q str>,
    stats_only: bool,
    mint: i64,
    maxt: i64,
}

impl RangeSource for Ranged<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.set.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.set.label_column(name)
    }

    fn common_name(&self) -> Option<&str> {
        self.name
    }

    fn drops_name(&self, _: usize) -> bool {
        false
    }

    fn unique_without_metadata(&self) -> bool {
        self.name.is_some() && !has_metadata_beside_names(&*self.set)
    }

    fn cost(&self) -> usize {
        samples_between(self.mint, self.maxt)
    }

    fn read(&self, series: usize, _: &mut Scratch, out: &mut SampleColumns) -> Result<(), QueryError> {
        if self.mint > self.maxt {
            return Ok(());
        }
        let read = self.set.read(series, self.mint, self.maxt, out);
        read.map_err(|error| self.ctx.storage_error(error))?;
        remove_stale(out);
        if self.stats_only {
            reduce_to_stats(&mut out.histograms);
        }
        Ok(())
    }
}

/// Takes from histograms what neither count nor sum needs, after having told from it where counters were
/// reset: afterwards that couldn't be told any more.
fn reduce_to_stats(histograms: &mut [Arc<FloatHistogram>]) {
    let mut previous: Option<Arc<FloatHistogram>> = None;
    for histogram in histograms.iter_mut().filter(|histogram| !histogram.is_stale()) {
        let hint = match (histogram.counter_reset_hint, &previous) {
            (CounterResetHint::Unknown, Some(previous)) if histogram.detect_reset(previous) => {
                CounterResetHint::CounterReset
            }
            (CounterResetHint::Unknown, Some(_)) => CounterResetHint::NotCounterReset,
            (hint, _) => hint,
        };
        let stats = FloatHistogram {
            counter_reset_hint: hint,
            schema: histogram.schema,
            count: histogram.count,
            sum: histogram.sum,
            ..FloatHistogram::default()
        };
        previous = Some(std::mem::replace(histogram, Arc::new(stats)));
    }
}

/// Takes staleness markers out. Most series have none, and are left alone.
fn remove_stale(samples: &mut SampleColumns) {
    let SampleColumns { timestamps, values, start_timestamps, .. } = samples;
    // All are looked at even if one is found, so that many are looked at together.
    if values.iter().fold(false, |any, value| any | is_stale_nan(*value)) {
        let keep: Vec<bool> = values.iter().map(|value| !is_stale_nan(*value)).collect();
        retain(timestamps, &keep);
        retain(values, &keep);
        retain(start_timestamps, &keep);
    }
    if samples.histograms.iter().any(|histogram| histogram.is_stale()) {
        let keep: Vec<bool> = samples.histograms.iter().map(|histogram| !histogram.is_stale()).collect();
        retain(&mut samples.histogram_timestamps, &keep);
        retain(&mut samples.histograms, &keep);
        retain(&mut samples.histogram_start_timestamps, &keep);
    }
}

fn retain<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut flags = keep.iter();
    list.retain(|_| flags.next().copied().unwrap_or(true));
}

/// The samples around every step of an instant vector selector, as far as it looks back, to either side.
pub(crate) fn between<'q>(
    ctx: &'q Context<'q>,
    select: &'q Select,
    steps: Steps,
) -> Result<Box<dyn RangeSource + 'q>, QueryError> {
    let set = ctx.series_set(select.fetch)?;
    let mint = first_of_window(select.reference.time(steps.start_ms), ctx.lookback_ms);
    let maxt = select.reference.time(steps.end_ms()).saturating_add(ctx.lookback_ms);
    let (name, stats_only) = (common_name(&select.matchers), select.stats_only);
    Ok(Box::new(Ranged { ctx, set, name, stats_only, mint, maxt }))
}
