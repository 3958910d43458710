//! Functions of windows of floats, for all steps of a series at once.
//!
//! Windows of neighbouring steps share most of their samples. Where a function's result can be told from
//! what was worked out once for the whole series (reset positions, running counts, a queue of extremes), a
//! window costs next to nothing; additions still happen in the order of samples, so that the bits are those
//! of the reference.

use std::ops::Range;

use model::time::TimestampMs;

use super::extrapolate::{Extent, Extrapolation, growing};
use super::extremes::Sliding;
use super::lanes::{self, Average, Prediction, Slope, Total, Variance};
use super::quantile::quantile;
use super::start::{self, Started};
use crate::plan::function::WindowFunction;

/// The windows of consecutive steps over the floats of one series.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FloatWindows<'a> {
    pub(crate) times: &'a [TimestampMs],
    pub(crate) values: &'a [f64],
    /// As many as samples, or none at all.
    pub(crate) starts: &'a [TimestampMs],
    /// For each step the samples in its window.
    pub(crate) bounds: &'a [(u32, u32)],
    /// For each step the window's end; it has the same length everywhere.
    pub(crate) ends: Ends,
    pub(crate) range_ms: i64,
    /// The function's other arguments at each step.
    pub(crate) params: [&'a [f64]; 2],
}

/// Ends of windows: `first + i × step`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) first: TimestampMs,
    pub(crate) step_ms: i64,
    /// The evaluation time of the first; differs from `first` by offsets.
    pub(crate) evaluated: TimestampMs,
    /// The distance of evaluation times; that of ends is 0 if they are fixed by `@`.
    pub(crate) evaluated_step_ms: i64,
}

impl Ends {
    fn at(self, step: usize) -> TimestampMs {
        self.first + step as i64 * self.step_ms
    }

    pub(super) fn evaluated(self, step: usize) -> TimestampMs {
        self.evaluated + step as i64 * self.evaluated_step_ms
    }
}

impl FloatWindows<'_> {
    pub(super) fn window(&self, step: usize) -> Range<usize> {
        let (low, high) = self.bounds[step];
        low as usize..high as usize
    }

    fn started(&self, sample: usize) -> Started {
        Started { time: self.times[sample], start: self.starts.get(sample).copied().unwrap_or(0) }
    }

    pub(super) fn param(&self, index: usize, step: usize) -> f64 {
        self.params[index][step]
    }

    /// Calls the closure for every window with at least so many samples and puts what it yields.
    fn each(&self, out: &mut [f64], samples_min: usize, mut value: impl FnMut(usize, Range<usize>) -> f64) {
        for (step, slot) in out.iter_mut().enumerate() {
            let window = self.window(step);
            if window.len() >= samples_min {
                *slot = value(step, window);
            }
        }
    }

    fn each_values(&self, out: &mut [f64], mut value: impl FnMut(&[f64]) -> f64) {
        self.each(out, 1, |_, window| value(&self.values[window]));
    }
}

/// Evaluates the function at every step. Steps whose windows have too few samples keep what `out` holds.
pub(crate) fn evaluate(function: WindowFunction, windows: &FloatWindows<'_>, out: &mut [f64]) {
    match function {
        WindowFunction::Rate => extrapolated(windows, out, true, true),
        WindowFunction::Increase => extrapolated(windows, out, true, false),
        WindowFunction::Delta => extrapolated(windows, out, false, false),
        WindowFunction::Irate => last_two(windows, out, true),
        WindowFunction::Idelta => last_two(windows, out, false),
        WindowFunction::Deriv => lanes::fill(windows, out, 2, Slope::default()),
        WindowFunction::PredictLinear => lanes::fill(windows, out, 2, Prediction::default()),
        WindowFunction::Changes => counted(windows, out, |samples, i| {
            let (previous, current) = (samples.values[i - 1], samples.values[i]);
            current != previous && !(current.is_nan() && previous.is_nan())
        }),
        WindowFunction::Resets => counted(windows, out, is_reset),
        WindowFunction::Avg => lanes::fill(windows, out, 1, Average),
        WindowFunction::Sum => lanes::fill(windows, out, 1, Total),
        WindowFunction::Min => extremes(windows, out, |later, earlier| later < earlier),
        WindowFunction::Max => extremes(windows, out, |later, earlier| later > earlier),
        WindowFunction::TsOfMin => times_of_extremes(windows, out, |later, earlier| later <= earlier),
        WindowFunction::TsOfMax => times_of_extremes(windows, out, |later, earlier| later >= earlier),
        WindowFunction::Count => windows.each(out, 1, |_, window| window.len() as f64),
        WindowFunction::Present => windows.each(out, 1, |_, _| 1.0),
        WindowFunction::First => windows.each(out, 1, |_, window| windows.values[window.start]),
        WindowFunction::Last => windows.each(out, 1, |_, window| windows.values[window.end - 1]),
        WindowFunction::TsOfFirst => windows.each(out, 1, |_, window| seconds(windows.times[window.start])),
        WindowFunction::TsOfLast => windows.each(out, 1, |_, window| seconds(windows.times[window.end - 1])),
        WindowFunction::Quantile => {
            let mut sorted = Vec::new();
            windows.each(out, 1, |step, window| {
                sorted.clear();
                sorted.extend_from_slice(&windows.values[window]);
                quantile(windows.param(0, step), &mut sorted)
            });
        }
        WindowFunction::Mad => {
            let mut deviations = Vec::new();
            windows.each_values(out, |values| median_deviation(values, &mut deviations));
        }
        WindowFunction::Stddev => lanes::fill(windows, out, 1, Variance { root: true }),
        WindowFunction::Stdvar => lanes::fill(windows, out, 1, Variance { root: false }),
        WindowFunction::DoubleExponentialSmoothing => windows.each(out, 2, |step, window| {
            smoothed(&windows.values[window], windows.param(0, step), windows.param(1, step))
        }),
    }
}

fn seconds(time: TimestampMs) -> f64 {
    time as f64 / 1000.0
}

fn is_reset(windows: &FloatWindows<'_>, sample: usize) -> bool {
    windows.values[sample] < windows.values[sample - 1]
        || (!windows.starts.is_empty()
            && start::is_reset(windows.started(sample - 1), windows.started(sample)))
}

/// How many samples are looked at together for counter resets.
const RESET_BLOCK: usize = 64;

/// The samples before which a counter was reset. Most series have none, so blocks of samples are asked first
/// whether there is any.
fn resets(windows: &FloatWindows<'_>) -> Vec<usize> {
    let values = windows.values;
    let mut resets = Vec::new();
    for first in (1..values.len()).step_by(RESET_BLOCK) {
        let block = first..(first + RESET_BLOCK).min(values.len());
        let before = &values[first - 1..block.end - 1];
        let falls =
            values[block.clone()].iter().zip(before).fold(false, |any, (now, before)| any | (now < before));
        if falls || !windows.starts.is_empty() {
            resets.extend(block.filter(|sample| is_reset(windows, *sample)));
        }
    }
    resets
}

/// `rate`, `increase`, `delta`.
fn extrapolated(windows: &FloatWindows<'_>, out: &mut [f64], counter: bool, per_second: bool) {
    let resets = if counter { resets(windows) } else { Vec::new() };
    let mut extent = Extent::default();
    let range_seconds = windows.range_ms as f64 / 1000.0;
    let mut passed = 0;
    for (step, slot) in out.iter_mut().enumerate() {
        let window = windows.window(step);
        // A single sample tells something only if it says since when it counts.
        if window.len() < 2 && (windows.starts.is_empty() || !counter || window.is_empty()) {
            continue;
        }
        while passed < resets.len() && resets[passed] <= window.start {
            passed += 1;
        }
        let (first, last) = (windows.values[window.start], windows.values[window.end - 1]);
        let mut increase = last - first;
        for reset in resets[passed..].iter().take_while(|reset| **reset < window.end) {
            increase += windows.values[reset - 1];
        }
        let range_end = windows.ends.at(step);
        let extrapolation = Extrapolation {
            range_start: range_end.saturating_sub(windows.range_ms),
            range_end,
            first_time: windows.times[window.start],
            last_time: windows.times[window.end - 1],
            samples: window.len(),
            counter: if counter { growing(first, increase) } else { None },
        };
        let begun = windows.started(window.start);
        let mut factor = if counter && begins_inside(begun, extrapolation.range_start) {
            increase += first;
            extrapolation.factor_since(begun.start)
        } else if window.len() < 2 {
            continue;
        } else {
            let spacing = extrapolation.spacing();
            if !extent.is_of(&spacing) {
                extent = Extent::of(spacing);
            }
            extent.factor(extrapolation.counter)
        };
        if per_second {
            factor /= range_seconds;
        }
        *slot = increase * factor;
    }
}

/// Whether the sample's counter is known to have begun inside the window.
pub(crate) fn begins_inside(sample: Started, range_start: TimestampMs) -> bool {
    sample.start != 0 && sample.start > range_start && sample.start < sample.time
}

/// In how many windows start timestamps contradict the samples before them.
pub(crate) fn overlapping_windows(windows: &FloatWindows<'_>) -> u64 {
    let overlaps: Vec<usize> = (1..windows.starts.len())
        .filter(|sample| start::overlaps(windows.started(sample - 1), windows.started(*sample)))
        .collect();
    let overlapping = |(low, high): &&(u32, u32)| {
        overlaps.iter().any(|sample| (*low as usize) < *sample && *sample < *high as usize)
    };
    windows.bounds.iter().filter(overlapping).count() as u64
}

/// `irate`, `idelta`.
fn last_two(windows: &FloatWindows<'_>, out: &mut [f64], counter: bool) {
    windows.each(out, 2, |_, window| {
        let last = window.end - 1;
        let difference = match counter && is_reset(windows, last) {
            true => windows.values[last],
            false => windows.values[last] - windows.values[last - 1],
        };
        if counter { difference / seconds(windows.times[last] - windows.times[last - 1]) } else { difference }
    });
}

/// How many samples of each window are in the given relation to the sample before them.
fn counted(windows: &FloatWindows<'_>, out: &mut [f64], counts: impl Fn(&FloatWindows<'_>, usize) -> bool) {
    let mut running = Vec::with_capacity(windows.values.len());
    let mut count = 0_u32;
    for sample in 0..windows.values.len() {
        count += u32::from(sample > 0 && counts(windows, sample));
        running.push(count);
    }
    windows.each(out, 1, |_, window| f64::from(running[window.end - 1] - running[window.start]));
}

fn median_deviation(values: &[f64], deviations: &mut Vec<f64>) -> f64 {
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    deviations.clear();
    deviations.extend_from_slice(values);
    let median = quantile(0.5, deviations);
    deviations.iter_mut().for_each(|value| *value = (*value - median).abs());
    quantile(0.5, deviations)
}

/// Minimum or maximum of every window; NaN only where there is nothing else.
fn extremes(windows: &FloatWindows<'_>, out: &mut [f64], wins: impl Fn(f64, f64) -> bool) {
    let item = |sample: usize| windows.values[sample];
    // Without NaN two values are compared in one instruction.
    if windows.values.iter().fold(false, |any, value| any | value.is_nan()) {
        let better = |earlier: f64, later: f64| {
            if wins(later, earlier) || earlier.is_nan() { later } else { earlier }
        };
        let mut sliding = Sliding::new(item, better);
        windows.each(out, 1, |_, window| sliding.best(window));
    } else {
        let better = |earlier: f64, later: f64| if wins(later, earlier) { later } else { earlier };
        let mut sliding = Sliding::new(item, better);
        windows.each(out, 1, |_, window| sliding.best(window));
    }
}

/// The time of the minimum or maximum of every window. Of NaNs alone the last one counts.
fn times_of_extremes(windows: &FloatWindows<'_>, out: &mut [f64], wins: impl Fn(f64, f64) -> bool) {
    let item = |sample: usize| (windows.values[sample], windows.times[sample]);
    let better = |earlier: (f64, i64), later: (f64, i64)| {
        if wins(later.0, earlier.0) || earlier.0.is_nan() { later } else { earlier }
    };
    let mut sliding = Sliding::new(item, better);
    windows.each(out, 1, |_, window| seconds(sliding.best(window).1));
}

/// Holt's linear method: level and trend, both smoothed exponentially.
fn smoothed(values: &[f64], factor: f64, trend_factor: f64) -> f64 {
    let (mut before, mut level, mut trend) = (0.0, values[0], values[1] - values[0]);
    for (i, value) in values.iter().enumerate().skip(1) {
        let scaled = factor * value;
        if i > 1 {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let carried = (1.0 - factor) * (level + trend);
        (before, level) = (level, scaled + carried);
    }
    level
}
