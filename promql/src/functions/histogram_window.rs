//! Functions of windows of native histograms.

use std::sync::Arc;

use model::histogram::{Combined, CounterResetHint, FloatHistogram, HistogramSum, IncompatibleSchemas};

use super::extrapolate::{Extrapolation, growing};
use super::float_window::begins_inside;
use super::mixed_window::{About, MixedWindow};
use super::start;
use crate::annotations::Annotations;
use crate::ast::Span;
use crate::histogram::HistogramMean;
use crate::plan::function::WindowFunction;

/// What is done with histograms, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Addition,
    Subtraction,
    Aggregation,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Addition => "addition",
            Operation::Subtraction => "subtraction",
            Operation::Aggregation => "aggregation",
        }
    }
}

/// Says that bounds of custom buckets had to be made the same.
pub(crate) fn note_reconciled(notes: &mut Annotations, span: Span, operation: Operation) {
    notes.info(span, format!("mismatched custom buckets were reconciled during {}", operation.as_str()));
}

/// Says that hints contradict each other.
pub(crate) fn note_conflict(notes: &mut Annotations, span: Span, operation: Operation) {
    notes.warn(span, format!("conflicting counter resets during histogram {}", operation.as_str()));
}

/// Text of a warning.
pub(crate) fn mixed_schemas(metric_name: &str) -> String {
    format!(
        "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric_name:?}"
    )
}

/// Notes what there is to note of a combination; `None` if it failed.
fn combined(
    outcome: Result<Combined, IncompatibleSchemas>,
    operation: Operation,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<()> {
    match outcome {
        Ok(combined) if combined.bounds_reconciled => note_reconciled(notes, about.span, operation),
        Ok(_) => {}
        Err(IncompatibleSchemas) => {
            notes.warn(about.span, mixed_schemas(about.metric_name));
            return None;
        }
    }
    Some(())
}

/// Which of the hints that contradict each other were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HintsSeen {
    reset: bool,
    no_reset: bool,
}

impl HintsSeen {
    pub(crate) fn see(&mut self, histogram: &FloatHistogram) {
        self.reset |= histogram.counter_reset_hint == CounterResetHint::CounterReset;
        self.no_reset |= histogram.counter_reset_hint == CounterResetHint::NotCounterReset;
    }

    pub(crate) fn contradict(self) -> bool {
        self.reset && self.no_reset
    }
}

/// The sum of a window's histograms.
pub(crate) fn sum(
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let mut total = HistogramSum::new(&window.histograms[0]);
    let (mut hints, mut own) = (HintsSeen::default(), Annotations::default());
    hints.see(&window.histograms[0]);
    for histogram in &window.histograms[1..] {
        hints.see(histogram);
        if combined(total.add(histogram), Operation::Aggregation, about, &mut own).is_none() {
            notes.warn(about.span, mixed_schemas(about.metric_name));
            return None;
        }
    }
    if hints.contradict() {
        note_conflict(&mut own, about.span, Operation::Aggregation);
    }
    notes.merge(own);
    Some(total.total())
}

/// The mean of a window's histograms.
pub(crate) fn mean(
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let mut mean = HistogramMean::new(&window.histograms[0]);
    let (mut hints, mut own) = (HintsSeen::default(), Annotations::default());
    hints.see(&window.histograms[0]);
    for histogram in &window.histograms[1..] {
        hints.see(histogram);
        if combined(mean.add(histogram), Operation::Aggregation, about, &mut own).is_none() {
            notes.warn(about.span, mixed_schemas(about.metric_name));
            return None;
        }
    }
    if hints.contradict() {
        note_conflict(&mut own, about.span, Operation::Aggregation);
    }
    notes.merge(own);
    Some(mean.mean())
}

/// `current − previous`, or `current` alone after a reset, as a compacted gauge.
pub(crate) fn difference(
    current: &FloatHistogram,
    previous: &FloatHistogram,
    reset: bool,
    counter: bool,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let gauges = [current, previous].map(|h| h.counter_reset_hint == CounterResetHint::Gauge);
    if counter && gauges.contains(&true) {
        notes.warn(about.span, not_a_counter(about.metric_name));
    }
    if !counter && gauges.contains(&false) {
        notes.warn(about.span, not_a_gauge(about.metric_name));
    }
    let mut difference = current.clone();
    if !reset {
        combined(difference.sub(previous), Operation::Subtraction, about, notes)?;
    }
    difference.counter_reset_hint = CounterResetHint::Gauge;
    difference.compact(0);
    Some(difference)
}

/// Text of a warning.
pub(crate) fn not_a_counter(metric_name: &str) -> String {
    format!("this native histogram metric is not a counter: {metric_name:?}")
}

/// Text of a warning.
pub(crate) fn not_a_gauge(metric_name: &str) -> String {
    format!("this native histogram metric is not a gauge: {metric_name:?}")
}

/// `rate`, `increase`, `delta`.
pub(crate) fn extrapolated(
    function: WindowFunction,
    window: &MixedWindow<'_>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let counter = function.is_counter();
    let mut increase = match window.histograms.len() {
        0 | 1 => None,
        _ => Some(increase(window, counter, about, notes)?),
    };
    let first = &window.histograms[0];
    let last = window.histograms.len() - 1;
    let growth = increase.as_ref().filter(|_| counter).and_then(|total| growing(first.count, total.count));
    let extrapolation = Extrapolation {
        range_start: about.range_start,
        range_end: about.range_end,
        first_time: window.histogram_times[0],
        last_time: window.histogram_times[last],
        samples: window.histograms.len(),
        counter: growth,
    };
    let begun = window.histogram_started(0);
    let mut factor = if counter && begins_inside(begun, about.range_start) {
        match &mut increase {
            Some(increase) => combined(increase.add(first), Operation::Addition, about, notes)?,
            None => increase = Some(FloatHistogram::clone(first)),
        }
        extrapolation.factor_since(begun.start)
    } else {
        extrapolation.factor()
    };
    let mut increase = increase?;
    if function == WindowFunction::Rate {
        factor /= (about.range_end - about.range_start) as f64 / 1000.0;
    }
    increase.mul(factor);
    Some(increase)
}

/// The increase between the first and the last of at least two histograms, as a compacted gauge.
fn increase(
    window: &MixedWindow<'_>,
    counter: bool,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<FloatHistogram> {
    let histograms = window.histograms;
    let last = &histograms[histograms.len() - 1];
    let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    if counter && (is_gauge(&histograms[0]) || is_gauge(last)) {
        notes.warn(about.span, not_a_counter(about.metric_name));
    }
    // What was before a reset right after the first sample doesn't matter, not even its layout.
    let second_is_reset = counter && is_reset(window, 1, &histograms[0]);
    let first =
        if second_is_reset { Arc::new(nothing_like(&histograms[1])) } else { Arc::clone(&histograms[0]) };
    let custom = first.has_custom_buckets();
    let inner = &histograms[1..histograms.len() - 1];
    let same_kind = |histogram: &Arc<FloatHistogram>| histogram.has_custom_buckets() == custom;
    if !same_kind(last) {
        notes.warn(about.span, mixed_schemas(about.metric_name));
        return None;
    }
    let mut schema = last.schema.min(first.schema);
    if counter {
        if inner.iter().any(|histogram| is_gauge(histogram)) {
            notes.warn(about.span, not_a_counter(about.metric_name));
        }
        schema = inner.iter().map(|histogram| histogram.schema).chain([schema]).min().unwrap_or(schema);
        if !inner.iter().all(same_kind) {
            notes.warn(about.span, mixed_schemas(about.metric_name));
            return None;
        }
    }
    let mut total = last.copy_to_schema(schema);
    combined(total.sub(&first), Operation::Subtraction, about, notes)?;
    if counter {
        add_resets(&mut total, window, &first, about, notes)?;
    } else if !is_gauge(&histograms[0]) || !is_gauge(last) {
        notes.warn(about.span, not_a_gauge(about.metric_name));
    }
    total.counter_reset_hint = CounterResetHint::Gauge;
    total.compact(0);
    Some(total)
}

/// Adds what the counter had at each reset.
fn add_resets(
    total: &mut FloatHistogram,
    window: &MixedWindow<'_>,
    first: &Arc<FloatHistogram>,
    about: &About<'_>,
    notes: &mut Annotations,
) -> Option<()> {
    let mut overlap = false;
    let mut previous = first;
    for i in 1..window.histograms.len() {
        overlap |= start::overlaps(window.histogram_started(i - 1), window.histogram_started(i));
        if is_reset(window, i, previous) {
            combined(total.add(previous), Operation::Addition, about, notes)?;
        }
        previous = &window.histograms[i];
    }
    if overlap {
        let text = crate::exec::window::start_overlap(about.metric_name);
        notes.warn_counted(about.span, text, 1);
    }
    Some(())
}

fn is_reset(window: &MixedWindow<'_>, i: usize, previous: &FloatHistogram) -> bool {
    start::is_reset(window.histogram_started(i - 1), window.histogram_started(i))
        || window.histograms[i].detect_reset(previous)
}

/// An empty histogram with the layout of another.
fn nothing_like(histogram: &FloatHistogram) -> FloatHistogram {
    FloatHistogram {
        schema: histogram.schema,
        custom_values: histogram.custom_values.clone(),
        ..FloatHistogram::default()
    }
}
