//! Functions over range vectors: a series' samples are read once, and windows slide over them.

use std::sync::atomic::Ordering;

use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns};

use super::cursor::Cursor;
use super::scratch::Scratch;
use super::source::{Conflict, RangeSource, Source, TYPE_LABEL, drop_metadata};
use super::{Context, eval_range, eval_scalar};
use crate::annotations::Annotations;
use crate::ast::{ExtendedRange, Span};
use crate::column::{Column, histogram_samples};
use crate::engine::QueryError;
use crate::functions::extended::{self, ExtendedWindow};
use crate::functions::float_window::{self, Ends, FloatWindows};
use crate::functions::mixed_window::{self, MixedWindow};
use crate::plan::function::{ANCHORED_FUNCTIONS, SMOOTHED_FUNCTIONS, WindowFunction};
use crate::plan::{Call, Node, NodeKind, RangeSelect, Reference, Select};
use crate::value::Steps;

/// Samples of windows that are read, some milliseconds, before a query looks whether it is to end.
const SAMPLES_PER_CHECK: u32 = 1 << 20;

/// Endings of names that counters have.
const COUNTER_SUFFIXES: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

/// The source of a call of such a function.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    function: WindowFunction,
    call: &'q Call,
    steps: Steps,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let window = source(ctx, function, call, steps)?;
    if function.keeps_name() {
        return Ok(Box::new(window));
    }
    Ok(drop_metadata(ctx, Box::new(window), Conflict::AnyStep))
}

/// The source of a call before names are dropped.
pub(crate) fn source<'q>(
    ctx: &'q Context<'q>,
    function: WindowFunction,
    call: &'q Call,
    steps: Steps,
) -> Result<Windowed<'q>, QueryError> {
    let is_range = |arg: &&Node| matches!(arg.kind, NodeKind::Range(_) | NodeKind::Subquery(_));
    let Some(range_arg) = call.args.iter().find(is_range) else {
        return Err(QueryError::Execution(format!("{} has no range vector", call.name)));
    };
    let mut params = Vec::with_capacity(2);
    for arg in call.args.iter().filter(|arg| !is_range(arg)) {
        params.push(eval_scalar(ctx, arg, steps)?);
    }
    let (reference, range_ms, extended, is_counted) = match &range_arg.kind {
        NodeKind::Range(RangeSelect { select, range_ms }) => {
            (select.reference, *range_ms, select.extended, select.is_counted)
        }
        NodeKind::Subquery(subquery) => (subquery.reference, subquery.range_ms, None, subquery.is_counted),
        _ => (Reference::default(), 0, None, false),
    };
    check_extended(call.name, function, extended)?;
    let from_storage = matches!(range_arg.kind, NodeKind::Range(_));
    Ok(Windowed {
        input: eval_range(ctx, range_arg, steps)?,
        first_span: match call.args[0].kind {
            // The reference forgets where a subquery stood.
            NodeKind::Subquery(_) => Span::default(),
            _ => call.args[0].span,
        },
        ctx,
        function,
        params,
        reference,
        range_ms,
        extended,
        from_storage,
        is_counted,
        steps,
    })
}

fn check_extended(
    name: &str,
    function: WindowFunction,
    extended: Option<ExtendedRange>,
) -> Result<(), QueryError> {
    let (modifier, allowed, functions) = match extended {
        None => return Ok(()),
        Some(ExtendedRange::Anchored) => ("anchored", function.allows_anchored(), ANCHORED_FUNCTIONS),
        Some(ExtendedRange::Smoothed) => ("smoothed", function.allows_smoothed(), SMOOTHED_FUNCTIONS),
    };
    if allowed {
        return Ok(());
    }
    Err(QueryError::Execution(format!(
        "{modifier} modifier can only be used with: {functions} - not with {name}"
    )))
}

pub(crate) struct Windowed<'q> {
    ctx: &'q Context<'q>,
    input: Box<dyn RangeSource + 'q>,
    function: WindowFunction,
    /// The other arguments, one float for each step.
    params: Vec<Vec<f64>>,
    reference: Reference,
    range_ms: i64,
    extended: Option<ExtendedRange>,
    /// Whether samples come from a selector, and not from a subquery, that counts what it reads.
    from_storage: bool,
    /// Whether samples are among those that the query is said to have seen.
    is_counted: bool,
    /// Where the first argument stands, which annotations point at.
    first_span: Span,
    steps: Steps,
}

impl Windowed<'_> {
    fn param(&self, index: usize) -> &[f64] {
        self.params.get(index).map_or(&[], Vec::as_slice)
    }

    fn window_end(&self, step: usize) -> i64 {
        self.reference.time(self.steps.at(step))
    }

    /// How far the window reaches beyond the range, to its left and to its right.
    fn margins(&self) -> (i64, i64) {
        match self.extended {
            None => (0, 0),
            Some(ExtendedRange::Anchored) => (self.ctx.lookback_ms, 0),
            Some(ExtendedRange::Smoothed) => (self.ctx.lookback_ms, self.ctx.lookback_ms),
        }
    }

    /// For each step which of the samples at these times are in its window.
    fn bounds(&self, times: &[i64], bounds: &mut Vec<(u32, u32)>) {
        let (left, right) = self.margins();
        let (mut low, mut high) = (Cursor::default(), Cursor::default());
        bounds.extend((0..self.steps.count).map(|step| {
            let end = self.window_end(step);
            let start = end.saturating_sub(self.range_ms).saturating_sub(left);
            (low.pass(times, start) as u32, high.pass(times, end.saturating_add(right)) as u32)
        }));
    }

    fn ends(&self, step: usize) -> Ends {
        Ends {
            first: self.window_end(step),
            step_ms: if self.reference.at_ms.is_some() { 0 } else { self.steps.step_ms },
            evaluated: self.steps.at(step),
            evaluated_step_ms: self.steps.step_ms,
        }
    }

    fn uses_starts(&self) -> bool {
        self.ctx.features.use_start_timestamps && self.function.uses_start_timestamps()
    }

    /// Windows of the steps from `step` on, over the floats.
    fn float_windows<'a>(
        &'a self,
        samples: &'a SampleColumns,
        bounds: &'a [(u32, u32)],
        step: usize,
    ) -> FloatWindows<'a> {
        let params = [0, 1].map(|index| self.param(index).get(step..).unwrap_or_default());
        FloatWindows {
            times: &samples.timestamps,
            values: &samples.values,
            starts: if self.uses_starts() { &samples.start_timestamps } else { &[] },
            bounds,
            ends: self.ends(step),
            range_ms: self.range_ms,
            params,
        }
    }

    /// Refuses arguments that no window can be evaluated with, where there is a window.
    fn check_params(&self, bounds: &[(u32, u32)]) -> Result<(), QueryError> {
        if self.function != WindowFunction::DoubleExponentialSmoothing {
            return Ok(());
        }
        for step in (0..bounds.len()).filter(|step| bounds[*step].0 < bounds[*step].1) {
            for (index, name) in ["smoothing", "trend"].into_iter().enumerate() {
                let factor = self.param(index)[step];
                if factor <= 0.0 || factor >= 1.0 {
                    let short = if index == 0 { "sf" } else { "tf" };
                    let text = format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {factor:.6}");
                    return Err(QueryError::Execution(text));
                }
            }
        }
        Ok(())
    }

    /// The annotations that floats alone can bring about.
    fn annotate_floats(&self, series: usize, windows: &FloatWindows<'_>, notes: &mut Annotations) {
        if self.function == WindowFunction::Quantile {
            let with_window =
                (0..windows.bounds.len()).filter(|s| windows.bounds[*s].0 < windows.bounds[*s].1);
            for quantile in with_window.map(|step| windows.params[0][step]) {
                if !(0.0..=1.0).contains(&quantile) {
                    notes.warn(self.first_span, invalid_quantile(quantile));
                }
            }
        }
        let tells_overlaps = matches!(self.function, WindowFunction::Rate | WindowFunction::Increase);
        if tells_overlaps && !windows.starts.is_empty() {
            let occurrences = float_window::overlapping_windows(windows);
            if occurrences > 0 {
                let labels = self.input.labels(series);
                notes.warn_counted(self.first_span, start_overlap(labels.metric_name()), occurrences);
            }
        }
    }

    /// Hints that a rate of floats may not be one of a counter.
    fn annotate_type(&self, series: usize, out: &Column, notes: &mut Annotations) {
        if !matches!(self.function, WindowFunction::Rate | WindowFunction::Increase) {
            return;
        }
        let by_name = !self.ctx.features.type_and_unit_labels;
        if by_name && self.input.common_name().is_some_and(is_counter_name) {
            return;
        }
        if (0..out.len()).all(|step| out.float(step).is_none()) {
            return;
        }
        let labels = self.input.labels(series);
        let name = labels.metric_name();
        if name.is_empty() {
            return;
        }
        if !by_name {
            let kind = labels.value(TYPE_LABEL);
            if kind != "counter" && kind != "histogram" {
                notes.info(self.first_span, not_typed_counter(name, kind));
            }
        } else if !is_counter_name(name) {
            notes.info(self.first_span, not_named_counter(name));
        }
    }

    /// Counts what the windows see, and what was read.
    fn count(
        &self,
        samples: &SampleColumns,
        floats: &[(u32, u32)],
        histograms: &[(u32, u32)],
    ) -> Result<(), QueryError> {
        let mut seen: Vec<u64> = Vec::new();
        let (total, largest, read) = match samples.histograms.is_empty() {
            true => {
                let sizes = || floats.iter().map(|(low, high)| u64::from(high - low));
                if self.ctx.counts.has_steps() {
                    seen.extend(sizes());
                }
                let read = newly_seen(floats).map(|(low, high)| u64::from(high - low)).sum();
                (sizes().sum(), sizes().max().unwrap_or(0), read)
            }
            false => {
                let weights = running_weights(samples);
                let weight = |(low, high): (u32, u32)| weights[high as usize] - weights[low as usize];
                let size = |(low, high): (u32, u32)| u64::from(high - low);
                seen.extend(floats.iter().zip(histograms).map(|(f, h)| size(*f) + weight(*h)));
                let read = newly_seen(floats).map(size).chain(newly_seen(histograms).map(weight)).sum();
                (seen.iter().sum(), seen.iter().copied().max().unwrap_or(0), read)
            }
        };
        let counts = &self.ctx.counts;
        if self.is_counted {
            counts.see(self.steps, &seen, total);
        }
        if self.from_storage {
            counts.read.fetch_add(read, Ordering::Relaxed);
        }
        // The largest window is held only as long as the series is at hand.
        let held = self.ctx.budget.samples();
        self.ctx.budget.take_samples(largest)?;
        self.ctx.budget.set_samples(held);
        Ok(())
    }

    /// Evaluates windows of floats alone, so many at a time that the query ends soon after it is told to.
    fn read_floats(
        &self,
        samples: &SampleColumns,
        bounds: &[(u32, u32)],
        out: &mut [f64],
    ) -> Result<(), QueryError> {
        let mut first = 0;
        while first < bounds.len() {
            let mut last = bounds.len();
            if self.function.reads_every_window() {
                let mut read = 0;
                let mut fits = |(low, high): &(u32, u32)| {
                    read += high - low;
                    read < SAMPLES_PER_CHECK
                };
                last = bounds.len().min(first + 1 + bounds[first..].iter().take_while(|b| fits(b)).count());
            }
            let windows = self.float_windows(samples, &bounds[first..last], first);
            float_window::evaluate(self.function, &windows, &mut out[first..last]);
            self.ctx.check()?;
            first = last;
        }
        Ok(())
    }

    fn read_extended(
        &self,
        series: usize,
        samples: &SampleColumns,
        floats: &[(u32, u32)],
        histograms: &[(u32, u32)],
        out: &mut Column,
        notes: &mut Annotations,
    ) {
        let labels = self.input.labels(series);
        for step in 0..self.steps.count {
            let range_end = self.window_end(step);
            let window = ExtendedWindow {
                function: self.function,
                smoothed: self.extended == Some(ExtendedRange::Smoothed),
                range_start: range_end.saturating_sub(self.range_ms),
                range_end,
                metric_name: labels.metric_name(),
                span: self.first_span,
            };
            let window_samples = MixedWindow::of(samples, floats[step], histograms[step], self.uses_starts());
            if let Some(sample) = extended::evaluate(&window, &window_samples, notes) {
                out.set(step, sample);
            }
        }
    }

    fn read_mixed(
        &self,
        series: usize,
        samples: &SampleColumns,
        floats: &[(u32, u32)],
        histograms: &[(u32, u32)],
        out: &mut Column,
        notes: &mut Annotations,
    ) {
        let labels = self.input.labels(series);
        for step in 0..self.steps.count {
            let window = MixedWindow::of(samples, floats[step], histograms[step], self.uses_starts());
            if window.is_empty() {
                continue;
            }
            let range_end = self.window_end(step);
            let about = mixed_window::About {
                metric_name: labels.metric_name(),
                span: self.first_span,
                range_start: range_end.saturating_sub(self.range_ms),
                range_end,
            };
            match mixed_window::evaluate(self.function, &window, &about, notes) {
                mixed_window::Outcome::Sample(sample) => out.set(step, sample),
                mixed_window::Outcome::Nothing => {}
                mixed_window::Outcome::FloatsAlone => {
                    let windows = self.float_windows(samples, &floats[step..=step], step);
                    float_window::evaluate(self.function, &windows, &mut out.values[step..=step]);
                    self.annotate_floats(series, &windows, notes);
                }
            }
        }
    }
}

fn running_weights(samples: &SampleColumns) -> Vec<u64> {
    let mut weights = vec![0];
    for histogram in &samples.histograms {
        weights.push(weights[weights.len() - 1] + histogram_samples(histogram));
    }
    weights
}

/// Of each window what no window before it had.
fn newly_seen(bounds: &[(u32, u32)]) -> impl Iterator<Item = (u32, u32)> + '_ {
    let mut seen = 0;
    bounds.iter().map(move |(low, high)| {
        let new = (*low.max(&seen), *high.max(&seen));
        seen = seen.max(*high);
        new
    })
}

fn invalid_quantile(quantile: f64) -> String {
    format!("quantile value should be between 0 and 1, got {}", model::float_text::general(quantile))
}

/// Text of a warning.
pub(crate) fn start_overlap(metric_name: &str) -> String {
    format!("sample has start time that overlaps with previous sample timestamp for metric {metric_name:?}")
}

fn is_counter_name(name: &str) -> bool {
    COUNTER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

fn not_named_counter(metric_name: &str) -> String {
    format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric_name:?}")
}

fn not_typed_counter(metric_name: &str, kind: &str) -> String {
    format!(
        "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind:?}: {metric_name:?}"
    )
}

impl Source for Windowed<'_> {
    fn len(&self) -> usize {
        self.input.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.input.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.input.label_column(name)
    }

    fn drops_name(&self, series: usize) -> bool {
        self.input.drops_name(series)
    }

    fn unique_without_metadata(&self) -> bool {
        self.input.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.input.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        out.reset(self.steps.count);
        let mut samples = scratch.take_samples();
        self.input.read(series, scratch, &mut samples)?;
        if !samples.is_empty() {
            let (mut floats, mut histograms) = (scratch.take_bounds(), scratch.take_bounds());
            self.bounds(&samples.timestamps, &mut floats);
            let mut notes = Annotations::default();
            if self.extended.is_none() && samples.histograms.is_empty() {
                self.check_params(&floats)?;
                self.read_floats(&samples, &floats, &mut out.values)?;
                self.annotate_floats(series, &self.float_windows(&samples, &floats, 0), &mut notes);
            } else {
                self.bounds(&samples.histogram_timestamps, &mut histograms);
                self.check_params(&floats)?;
                self.check_params(&histograms)?;
                if self.extended.is_some() {
                    self.read_extended(series, &samples, &floats, &histograms, out, &mut notes);
                } else {
                    self.read_mixed(series, &samples, &floats, &histograms, out, &mut notes);
                }
            }
            self.annotate_type(series, out, &mut notes);
            self.ctx.annotate(notes);
            self.count(&samples, &floats, &histograms)?;
            self.ctx.budget.take_samples(out.samples())?;
            scratch.give_bounds(floats);
            scratch.give_bounds(histograms);
        }
        scratch.give_samples(samples);
        Ok(())
    }
}

/// The source of a smoothed instant selector: values between samples are interpolated.
pub(crate) fn smoothed_instant<'q>(
    ctx: &'q Context<'q>,
    select: &'q Select,
    steps: Steps,
    span: Span,
) -> Result<Box<dyn Source + 'q>, QueryError> {
    let range = super::select::between(ctx, select, steps)?;
    Ok(Box::new(Smoothed { ctx, input: range, reference: select.reference, steps, span }))
}

struct Smoothed<'q> {
    ctx: &'q Context<'q>,
    input: Box<dyn RangeSource + 'q>,
    reference: Reference,
    steps: Steps,
    span: Span,
}

impl Source for Smoothed<'_> {
    fn len(&self) -> usize {
        self.input.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.input.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.input.label_column(name)
    }

    fn unique_without_metadata(&self) -> bool {
        self.input.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.input.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        out.reset(self.steps.count);
        let mut samples = scratch.take_samples();
        self.input.read(series, scratch, &mut samples)?;
        let labels = self.input.labels(series);
        let mut notes = Annotations::default();
        for step in 0..self.steps.count {
            let time = self.reference.time(self.steps.at(step));
            let about = extended::Instant {
                time,
                lookback_ms: self.ctx.lookback_ms,
                metric_name: labels.metric_name(),
                span: self.span,
            };
            if let Some(sample) = extended::interpolate_at(&about, &samples, &mut notes) {
                out.set(step, sample);
            }
        }
        self.ctx.annotate(notes);
        scratch.give_samples(samples);
        self.ctx.budget.take_samples(out.samples())
    }
}
