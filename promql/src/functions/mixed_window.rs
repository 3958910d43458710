//! Functions of windows that have histograms, or histograms and floats: one window at a time.

use std::sync::Arc;

use model::histogram::FloatHistogram;
use model::storage::{SampleColumns, SampleValue};
use model::time::TimestampMs;

use super::histogram_window;
use super::start::{self, Started};
use crate::annotations::Annotations;
use crate::ast::Span;
use crate::plan::function::WindowFunction;

/// The samples of a window, floats and histograms apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MixedWindow<'a> {
    pub(crate) times: &'a [TimestampMs],
    pub(crate) values: &'a [f64],
    /// As many as floats, or none at all; likewise for histograms.
    pub(crate) starts: &'a [TimestampMs],
    pub(crate) histogram_times: &'a [TimestampMs],
    pub(crate) histograms: &'a [Arc<FloatHistogram>],
    pub(crate) histogram_starts: &'a [TimestampMs],
}

/// One sample of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample<'a> {
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

impl<'a> MixedWindow<'a> {
    /// The samples at these indexes.
    pub(crate) fn of(
        samples: &'a SampleColumns,
        floats: (u32, u32),
        histograms: (u32, u32),
        with_starts: bool,
    ) -> Self {
        let floats = floats.0 as usize..floats.1 as usize;
        let histograms = histograms.0 as usize..histograms.1 as usize;
        let starts = |starts: &'a [TimestampMs], range: std::ops::Range<usize>| match with_starts {
            true => starts.get(range).unwrap_or_default(),
            false => &[],
        };
        MixedWindow {
            times: &samples.timestamps[floats.clone()],
            values: &samples.values[floats.clone()],
            starts: starts(&samples.start_timestamps, floats),
            histogram_times: &samples.histogram_timestamps[histograms.clone()],
            histograms: &samples.histograms[histograms.clone()],
            histogram_starts: starts(&samples.histogram_start_timestamps, histograms),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histogram_times.is_empty()
    }

    /// When histogram `i` was taken, and since when it counts.
    pub(crate) fn histogram_started(&self, i: usize) -> Started {
        Started { time: self.histogram_times[i], start: self.histogram_starts.get(i).copied().unwrap_or(0) }
    }

    fn float_started(&self, i: usize) -> Started {
        Started { time: self.times[i], start: self.starts.get(i).copied().unwrap_or(0) }
    }

    /// All samples in order of time.
    pub(crate) fn in_order(&self) -> Vec<(Started, Sample<'a>)> {
        let floats = (0..self.times.len()).map(|i| (self.float_started(i), Sample::Float(self.values[i])));
        let histograms = (0..self.histograms.len())
            .map(|i| (self.histogram_started(i), Sample::Histogram(&self.histograms[i])));
        let mut all: Vec<_> = floats.chain(histograms).collect();
        all.sort_by_key(|(started, _)| started.time);
        all
    }
}

/// What annotations and extrapolation need to know of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) metric_name: &'a str,
    pub(crate) span: Span,
    pub(crate) range_start: TimestampMs,
    pub(crate) range_end: TimestampMs,
}

/// What comes of a window.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Nothing,
    Sample(SampleValue),
    /// Whatever comes of its floats; histograms are as if they weren't there.
    FloatsAlone,
}

impl From<Option<FloatHistogram>> for Outcome {
    fn from(histogram: Option<FloatHistogram>) -> Self {
        match histogram {
            Some(histogram) => Outcome::Sample(SampleValue::Histogram(Arc::new(histogram))),
            None => Outcome::Nothing,
        }
    }
}

/// Evaluates a window with at least one sample.
pub(crate) fn evaluate(
    function: WindowFunction,
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Outcome {
    use WindowFunction as F;
    let float = |value: f64| Outcome::Sample(SampleValue::Float(value));
    match function {
        F::Count => float((window.times.len() + window.histograms.len()) as f64),
        F::Present => float(1.0),
        F::First => first(window),
        F::Last => last(window),
        F::TsOfFirst => float(first_time(window) as f64 / 1000.0),
        F::TsOfLast => float(last_time(window) as f64 / 1000.0),
        F::Changes => float(changes(window)),
        F::Resets => float(resets(window)),
        F::Irate | F::Idelta => last_two(function, window, about, notes),
        F::Rate | F::Increase | F::Delta | F::Avg | F::Sum => one_kind(function, window, about, notes),
        F::Deriv | F::PredictLinear | F::DoubleExponentialSmoothing => floats_alone(1, window, about, notes),
        F::Min | F::Max | F::TsOfMin | F::TsOfMax | F::Mad | F::Quantile | F::Stddev | F::Stdvar => {
            floats_alone(1, window, about, notes)
        }
    }
}

/// Functions that know no histograms, and say so where there are both.
fn floats_alone(
    floats_min: usize,
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Outcome {
    if window.times.len() < floats_min {
        return Outcome::Nothing;
    }
    if !window.histograms.is_empty() {
        let text = format!(
            "ignored histograms in a range containing both floats and histograms for metric name {:?}",
            about.metric_name
        );
        notes.info(about.span, text);
    }
    Outcome::FloatsAlone
}

/// Text of a warning.
pub(crate) fn mixed_kinds(metric_name: &str) -> String {
    format!("encountered a mix of histograms and floats for metric name {metric_name:?}")
}

/// Functions of floats or of histograms, but not of both.
fn one_kind(
    function: WindowFunction,
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Outcome {
    if window.histograms.is_empty() {
        return Outcome::FloatsAlone;
    }
    if !window.times.is_empty() {
        notes.warn(about.span, mixed_kinds(about.metric_name));
        return Outcome::Nothing;
    }
    match function {
        WindowFunction::Avg => histogram_window::mean(window, about, notes).into(),
        WindowFunction::Sum => histogram_window::sum(window, about, notes).into(),
        _ => histogram_window::extrapolated(function, window, about, notes).into(),
    }
}

fn first(window: &MixedWindow<'_>) -> Outcome {
    Outcome::Sample(match (window.times.first(), window.histogram_times.first()) {
        (Some(float), Some(histogram)) if float < histogram => SampleValue::Float(window.values[0]),
        (_, Some(_)) => SampleValue::Histogram(Arc::clone(&window.histograms[0])),
        _ => SampleValue::Float(window.values[0]),
    })
}

fn last(window: &MixedWindow<'_>) -> Outcome {
    let value = |values: &[f64]| SampleValue::Float(values[values.len() - 1]);
    Outcome::Sample(match (window.times.last(), window.histogram_times.last()) {
        (Some(float), Some(histogram)) if histogram < float => value(window.values),
        (_, Some(_)) => SampleValue::Histogram(Arc::clone(&window.histograms[window.histograms.len() - 1])),
        _ => value(window.values),
    })
}

fn first_time(window: &MixedWindow<'_>) -> TimestampMs {
    let times = window.times.first().into_iter().chain(window.histogram_times.first());
    times.copied().min().unwrap_or_default()
}

fn last_time(window: &MixedWindow<'_>) -> TimestampMs {
    let times = window.times.last().into_iter().chain(window.histogram_times.last());
    times.copied().max().unwrap_or_default()
}

/// A float after a histogram, or the other way round, is a change.
pub(crate) fn changes(window: &MixedWindow<'_>) -> f64 {
    count_pairs(window, |(_, previous), (_, current)| match (previous, current) {
        (Sample::Float(previous), Sample::Float(current)) => {
            current != previous && !(current.is_nan() && previous.is_nan())
        }
        (Sample::Histogram(previous), Sample::Histogram(current)) => !current.equals(previous),
        _ => true,
    })
}

/// A float after a histogram, or the other way round, is a reset.
pub(crate) fn resets(window: &MixedWindow<'_>) -> f64 {
    count_pairs(window, |(before, previous), (now, current)| match (previous, current) {
        (Sample::Float(previous), Sample::Float(current)) => {
            current < previous || start::is_reset(*before, *now)
        }
        (Sample::Histogram(previous), Sample::Histogram(current)) => {
            start::is_reset(*before, *now) || current.detect_reset(previous)
        }
        _ => true,
    })
}

fn count_pairs<'a>(
    window: &MixedWindow<'a>,
    counts: impl Fn(&(Started, Sample<'a>), &(Started, Sample<'a>)) -> bool,
) -> f64 {
    let samples = window.in_order();
    samples.windows(2).filter(|pair| counts(&pair[0], &pair[1])).count() as f64
}

/// `irate` and `idelta` where a histogram is in the window.
fn last_two(
    function: WindowFunction,
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Outcome {
    if window.histograms.is_empty() {
        return Outcome::FloatsAlone;
    }
    let samples = window.in_order();
    let [.., (before, previous), (now, current)] = samples.as_slice() else { return Outcome::Nothing };
    let interval = (now.time - before.time) as f64 / 1000.0;
    if interval == 0.0 {
        return Outcome::Nothing;
    }
    let counter = function.is_counter();
    match (previous, current) {
        (Sample::Float(previous), Sample::Float(current)) => {
            let reset = counter && (current < previous || start::is_reset(*before, *now));
            let difference = if reset { *current } else { current - previous };
            let value = if counter { difference / interval } else { difference };
            Outcome::Sample(SampleValue::Float(value))
        }
        (Sample::Histogram(previous), Sample::Histogram(current)) => {
            let reset = counter && (start::is_reset(*before, *now) || current.detect_reset(previous));
            let mut difference =
                match histogram_window::difference(current, previous, reset, counter, about, notes) {
                    Some(difference) => difference,
                    None => return Outcome::Nothing,
                };
            if counter {
                difference.div(interval);
            }
            Some(difference).into()
        }
        _ => {
            notes.warn(about.span, mixed_kinds(about.metric_name));
            Outcome::Nothing
        }
    }
}
