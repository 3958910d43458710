//! `anchored` and `smoothed`: windows that reach beyond their range.
//!
//! An anchored window begins with the last sample at or before the range; a smoothed one has values
//! interpolated at both ends of the range. Neither extrapolates.

use std::sync::Arc;

use model::histogram::{CounterResetHint, FloatHistogram, IncompatibleSchemas};
use model::storage::{SampleColumns, SampleValue};
use model::time::TimestampMs;

use super::histogram_window::{Operation, mixed_schemas, not_a_counter, not_a_gauge, note_reconciled};
use super::mixed_window::{self, MixedWindow, mixed_kinds};
use crate::annotations::Annotations;
use crate::ast::Span;
use crate::plan::function::WindowFunction;

/// A window and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExtendedWindow<'a> {
    pub(crate) function: WindowFunction,
    pub(crate) smoothed: bool,
    /// The window's samples reach beyond these two.
    pub(crate) range_start: TimestampMs,
    pub(crate) range_end: TimestampMs,
    pub(crate) metric_name: &'a str,
    pub(crate) span: Span,
}

/// Evaluates a window, which may have no samples.
pub(crate) fn evaluate(
    window: &ExtendedWindow<'_>,
    samples: &MixedWindow<'_>,
    notes: &mut Annotations,
) -> Option<SampleValue> {
    if matches!(window.function, WindowFunction::Changes | WindowFunction::Resets) {
        let anchored = window.anchored(samples)?;
        return Some(SampleValue::Float(match window.function {
            WindowFunction::Changes => mixed_window::changes(&anchored),
            _ => mixed_window::resets(&anchored),
        }));
    }
    match (samples.values.is_empty(), samples.histograms.is_empty()) {
        (true, true) => None,
        (false, false) => {
            notes.warn(window.span, mixed_kinds(window.metric_name));
            None
        }
        (false, true) => window.floats(samples).map(SampleValue::Float),
        (true, false) => {
            window.histograms(samples, notes).map(|histogram| SampleValue::Histogram(Arc::new(histogram)))
        }
    }
}

/// A value between two samples. A counter that was reset in between is taken to begin at 0.
fn interpolate(
    before: (TimestampMs, f64),
    after: (TimestampMs, f64),
    time: TimestampMs,
    counter: bool,
) -> f64 {
    let first = if counter && after.1 < before.1 { 0.0 } else { before.1 };
    first + (after.1 - first) * (time - before.0) as f64 / (after.0 - before.0) as f64
}

impl ExtendedWindow<'_> {
    fn counter(&self) -> bool {
        self.function.is_counter()
    }

    fn range_seconds(&self) -> f64 {
        (self.range_end - self.range_start) as f64 / 1000.0
    }

    /// Indexes of the samples at the two ends of the range; `None` if there is nothing to measure.
    fn ends(&self, times: &[TimestampMs]) -> Option<(usize, usize)> {
        let last = times.len() - 1;
        let first = times[..last].partition_point(|time| *time <= self.range_start).saturating_sub(1);
        let last = match self.smoothed {
            true => times[..last].partition_point(|time| *time < self.range_end),
            false => last,
        };
        let outside = times[last] <= self.range_start || (self.smoothed && times[first] > self.range_end);
        (!outside).then_some((first, last))
    }

    fn floats(&self, samples: &MixedWindow<'_>) -> Option<f64> {
        let (mut first, mut last) = self.ends(samples.times)?;
        let point = |i: usize| (samples.times[i], samples.values[i]);
        let left = match self.smoothed && samples.times[first] < self.range_start {
            true => interpolate(point(first), point(first + 1), self.range_start, self.counter()),
            false => samples.values[first],
        };
        let right = match self.smoothed && last > 0 && samples.times[last] > self.range_end {
            true => interpolate(point(last - 1), point(last), self.range_end, self.counter()),
            false => samples.values[last],
        };
        let mut result = right - left;
        if self.counter() {
            // What is at an end was taken into account by interpolation.
            first += usize::from(samples.times[first] <= self.range_start);
            let end = last + usize::from(samples.times[last] < self.range_end);
            last = end.max(first);
            result += resets(left, right, &samples.values[first..last]);
        }
        if self.function == WindowFunction::Rate {
            result /= self.range_seconds();
        }
        Some(result)
    }

    /// The samples from the anchor on: the last one, of either kind, not after the range's start. `None` if
    /// no sample is after it.
    fn anchored<'a>(&self, samples: &MixedWindow<'a>) -> Option<MixedWindow<'a>> {
        let floats = samples.times.partition_point(|time| *time <= self.range_start);
        let histograms = samples.histogram_times.partition_point(|time| *time <= self.range_start);
        if floats >= samples.times.len() && histograms >= samples.histogram_times.len() {
            return None;
        }
        let float_anchor = floats.checked_sub(1).map(|i| samples.times[i]);
        let histogram_anchor = histograms.checked_sub(1).map(|i| samples.histogram_times[i]);
        let (first_float, first_histogram) = match (float_anchor, histogram_anchor) {
            (None, None) => (0, 0),
            (Some(float), histogram) if histogram.is_none_or(|histogram| float >= histogram) => {
                (floats - 1, histograms)
            }
            _ => (floats, histograms - 1),
        };
        Some(MixedWindow {
            times: &samples.times[first_float..],
            values: &samples.values[first_float..],
            starts: samples.starts.get(first_float..).unwrap_or_default(),
            histogram_times: &samples.histogram_times[first_histogram..],
            histograms: &samples.histograms[first_histogram..],
            histogram_starts: samples.histogram_starts.get(first_histogram..).unwrap_or_default(),
        })
    }

    fn histograms(&self, samples: &MixedWindow<'_>, notes: &mut Annotations) -> Option<FloatHistogram> {
        let (first, last) = self.ends(samples.histogram_times)?;
        let inside = &samples.histograms[first..=last.max(first)];
        self.check(inside, notes)?;
        let left = self.left(samples, first, notes)?;
        let right = self.right(samples, last, notes)?;
        let gauges = [&left, &right].map(|h| h.counter_reset_hint == CounterResetHint::Gauge);
        if !self.counter() && gauges.contains(&false) {
            notes.warn(self.span, not_a_gauge(self.metric_name));
        }
        let mut result = right.clone();
        self.noted(result.sub(&left), Operation::Subtraction, notes)?;
        if self.counter()
            && let Some(correction) = self.correction(samples, (first, last), (&left, &right), notes)?
        {
            self.noted(result.add(&correction), Operation::Addition, notes)?;
        }
        if self.function == WindowFunction::Rate {
            result.div(self.range_seconds());
        }
        result.counter_reset_hint = CounterResetHint::Gauge;
        result.compact(0);
        Some(result)
    }

    /// Buckets must be of one kind, and a counter no gauge.
    fn check(&self, histograms: &[Arc<FloatHistogram>], notes: &mut Annotations) -> Option<()> {
        let custom = histograms.first()?.has_custom_buckets();
        for histogram in histograms {
            if histogram.has_custom_buckets() != custom {
                notes.warn(self.span, mixed_schemas(self.metric_name));
                return None;
            }
            if self.counter() && histogram.counter_reset_hint == CounterResetHint::Gauge {
                notes.warn(self.span, not_a_counter(self.metric_name));
            }
        }
        Some(())
    }

    fn left(
        &self,
        samples: &MixedWindow<'_>,
        first: usize,
        notes: &mut Annotations,
    ) -> Option<FloatHistogram> {
        if self.smoothed && samples.histogram_times[first] < self.range_start {
            return self.between(samples, first, self.range_start, notes);
        }
        Some(FloatHistogram::clone(&samples.histograms[first]))
    }

    fn right(
        &self,
        samples: &MixedWindow<'_>,
        last: usize,
        notes: &mut Annotations,
    ) -> Option<FloatHistogram> {
        if self.smoothed && last > 0 && samples.histogram_times[last] > self.range_end {
            return self.between(samples, last - 1, self.range_end, notes);
        }
        Some(FloatHistogram::clone(&samples.histograms[last]))
    }

    fn between(
        &self,
        samples: &MixedWindow<'_>,
        first: usize,
        time: TimestampMs,
        notes: &mut Annotations,
    ) -> Option<FloatHistogram> {
        let at = |i: usize| (samples.histogram_times[i], &*samples.histograms[i]);
        let mixed = interpolate_histograms(at(first), at(first + 1), time, self.counter(), self.span, notes);
        if mixed.is_none() {
            notes.warn(self.span, mixed_schemas(self.metric_name));
        }
        mixed
    }

    /// What the counter had at its resets between the ends, if there was one.
    fn correction(
        &self,
        samples: &MixedWindow<'_>,
        (first, last): (usize, usize),
        (left, right): (&FloatHistogram, &FloatHistogram),
        notes: &mut Annotations,
    ) -> Option<Option<FloatHistogram>> {
        let histograms = samples.histograms;
        let mut next = first + 1;
        let mut previous = left;
        let interpolated = self.smoothed && samples.histogram_times[first] < self.range_start;
        if interpolated && histograms[first + 1].detect_reset(&histograms[first]) {
            // The interpolation at the left knows of this reset.
            previous = &histograms[first + 1];
            next += 1;
        }
        // The sample at the right end is left out: `right` is it, or was made of it.
        if next > last {
            return Some(None);
        }
        let mut correction: Option<FloatHistogram> = None;
        for current in histograms[next..last].iter().map(|histogram| &**histogram).chain([right]) {
            if current.detect_reset(previous) {
                match &mut correction {
                    Some(correction) => self.noted(correction.add(previous), Operation::Addition, notes)?,
                    None => correction = Some(previous.clone()),
                }
            }
            previous = current;
        }
        Some(correction)
    }

    fn noted(
        &self,
        outcome: Result<model::histogram::Combined, IncompatibleSchemas>,
        operation: Operation,
        notes: &mut Annotations,
    ) -> Option<()> {
        match outcome {
            Ok(combined) if combined.bounds_reconciled => note_reconciled(notes, self.span, operation),
            Ok(_) => {}
            Err(IncompatibleSchemas) => {
                notes.warn(self.span, mixed_schemas(self.metric_name));
                return None;
            }
        }
        Some(())
    }
}

/// What a counter had at its resets between two values.
fn resets(left: f64, right: f64, between: &[f64]) -> f64 {
    let mut correction = 0.0;
    let mut previous = left;
    for value in between.iter().copied().chain([right]) {
        if value < previous {
            correction += previous;
        }
        previous = value;
    }
    correction
}

/// A histogram between two. A counter that was reset in between is taken to begin empty. `None` if their
/// buckets are of different kinds.
fn interpolate_histograms(
    (first_time, first): (TimestampMs, &FloatHistogram),
    (second_time, second): (TimestampMs, &FloatHistogram),
    time: TimestampMs,
    counter: bool,
    span: Span,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let fraction = (time - first_time) as f64 / (second_time - first_time) as f64;
    let mut result = second.clone();
    if time == second_time {
        return Some(result);
    }
    if time == first_time {
        return Some(first.clone());
    }
    if counter && second.detect_reset(first) {
        result.mul(fraction);
        return Some(result);
    }
    if result.sub(first).ok()?.bounds_reconciled {
        note_reconciled(notes, span, Operation::Subtraction);
    }
    result.mul(fraction);
    if result.add(first).ok()?.bounds_reconciled {
        note_reconciled(notes, span, Operation::Addition);
    }
    Some(result)
}

/// A smoothed instant selector at one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant<'a> {
    pub(crate) time: TimestampMs,
    pub(crate) lookback_ms: i64,
    pub(crate) metric_name: &'a str,
    pub(crate) span: Span,
}

/// The value at a time: of the sample there, else between the samples beside, else that of the sample before.
pub(crate) fn interpolate_at(
    about: &Instant<'_>,
    samples: &SampleColumns,
    notes: &mut Annotations,
) -> Option<SampleValue> {
    let near = |times: &[TimestampMs]| {
        let low = times.partition_point(|time| *time <= about.time - about.lookback_ms);
        let high = times.partition_point(|time| *time <= about.time + about.lookback_ms);
        (low as u32, high as u32)
    };
    let window =
        MixedWindow::of(samples, near(&samples.timestamps), near(&samples.histogram_timestamps), false);
    match (window.values.is_empty(), window.histograms.is_empty()) {
        (true, true) => None,
        (false, false) => {
            notes.warn(about.span, mixed_kinds(about.metric_name));
            None
        }
        (false, true) => float_at(about, &window).map(SampleValue::Float),
        (true, false) => histogram_at(about, &window, notes).map(SampleValue::Histogram),
    }
}

fn float_at(about: &Instant<'_>, window: &MixedWindow<'_>) -> Option<f64> {
    let point = |i: usize| (window.times[i], window.values[i]);
    let next = window.times.partition_point(|time| *time < about.time);
    if window.times.get(next) == Some(&about.time) {
        return Some(window.values[next]);
    }
    let previous = next.checked_sub(1)?;
    Some(match next < window.times.len() {
        true => interpolate(point(previous), point(next), about.time, false),
        false => window.values[previous],
    })
}

fn histogram_at(
    about: &Instant<'_>,
    window: &MixedWindow<'_>,
    notes: &mut Annotations,
) -> Option<Arc<FloatHistogram>> {
    let next = window.histogram_times.partition_point(|time| *time < about.time);
    if window.histogram_times.get(next) == Some(&about.time) {
        return Some(Arc::clone(&window.histograms[next]));
    }
    let previous = next.checked_sub(1)?;
    let before = &window.histograms[previous];
    let Some(after) = window.histograms.get(next) else {
        // The hint tells about two samples that follow each other, not about a value that goes on.
        let carried =
            FloatHistogram { counter_reset_hint: CounterResetHint::Unknown, ..FloatHistogram::clone(before) };
        return Some(Arc::new(carried));
    };
    let gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    let counter = !gauge(before) || !gauge(after);
    let times = (window.histogram_times[previous], window.histogram_times[next]);
    let mixed = match before.has_custom_buckets() == after.has_custom_buckets() {
        true => {
            let (before, after) = ((times.0, &**before), (times.1, &**after));
            interpolate_histograms(before, after, about.time, counter, about.span, notes)
        }
        false => None,
    };
    if mixed.is_none() {
        notes.warn(about.span, mixed_schemas(about.metric_name));
    }
    mixed.map(Arc::new)
}

/// The samples of a range with one at each of its ends, as a range vector itself shows them.
pub(crate) fn cut(
    times: &[TimestampMs],
    values: &[f64],
    start: TimestampMs,
    end: TimestampMs,
    smoothed: bool,
) -> (Vec<TimestampMs>, Vec<f64>) {
    if times.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let point = |i: usize| (times[i], values[i]);
    let highest = times.len() - 1;
    let mut first = times[..highest].partition_point(|time| *time <= start).saturating_sub(1);
    let last = if smoothed { times[..highest].partition_point(|time| *time < end) } else { highest };
    if times[last] <= start {
        return (Vec::new(), Vec::new());
    }
    let left = match smoothed && times[first] < start {
        true => interpolate(point(first), point(first + 1), start, false),
        false => values[first],
    };
    let right = match smoothed && last > 0 && times[last] > end {
        true => interpolate(point(last - 1), point(last), end, false),
        false => values[last],
    };
    first += usize::from(times[first] <= start);
    let inner = first..(last + usize::from(times[last] < end)).max(first);
    let cut_times = [&[start], &times[inner.clone()], &[end]].concat();
    (cut_times, [&[left], &values[inner], &[right]].concat())
}
