//! Sums over the windows of several steps at once.
//!
//! A compensated sum is a chain of additions that wait for each other. Sums of different windows don't, so
//! those of [`LANES`] steps are taken side by side, each in the order of its own samples: its bits are those
//! that it has alone.
#![expect(clippy::needless_range_loop, reason = "an index goes through the rows of all lanes together")]

use std::array;
use std::ops::Range;

use model::kahan::{self, Compensated};

use super::float_window::FloatWindows;
use super::regression::{Line, TimeAxis};
use crate::mean::Mean;

/// Windows side by side: as many as keep a processor's adders busy.
const LANES: usize = 4;

/// A function of windows that is told from sums.
pub(super) trait OfSums {
    /// Its values at the steps.
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N];
}

/// Puts the function's values at all steps whose windows have at least so many samples.
pub(super) fn fill(windows: &FloatWindows<'_>, out: &mut [f64], samples_min: usize, mut of: impl OfSums) {
    let (mut lanes, mut taken) = ([0; LANES], 0);
    for step in (0..out.len()).filter(|step| windows.window(*step).len() >= samples_min) {
        lanes[taken] = step;
        taken += 1;
        if taken == LANES {
            for (step, value) in lanes.iter().zip(of.at(windows, lanes)) {
                out[*step] = value;
            }
            taken = 0;
        }
    }
    for step in &lanes[..taken] {
        [out[*step]] = of.at(windows, [*step]);
    }
}

/// Running sums, one a lane.
#[derive(Clone, Copy)]
struct Sums<const N: usize> {
    sums: [f64; N],
    lost: [f64; N],
}

impl<const N: usize> Sums<N> {
    fn from(sums: [f64; N]) -> Self {
        Sums { sums, lost: [0.0; N] }
    }

    #[inline(always)]
    fn add(&mut self, values: [f64; N]) {
        for lane in 0..N {
            (self.sums[lane], self.lost[lane]) = kahan::add(values[lane], self.sums[lane], self.lost[lane]);
        }
    }

    #[inline(always)]
    fn totals(&self) -> [f64; N] {
        array::from_fn(|lane| self.sums[lane] + self.lost[lane])
    }

    fn lane(&self, lane: usize) -> Compensated {
        Compensated { value: self.sums[lane], lost: self.lost[lane] }
    }
}

fn shortest<const N: usize>(ranges: &[Range<usize>; N]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).min().unwrap_or(0)
}

/// The first so many values of every range.
fn rows<'a, const N: usize>(values: &'a [f64], ranges: &[Range<usize>; N], len: usize) -> [&'a [f64]; N] {
    array::from_fn(|lane| &values[ranges[lane].start..ranges[lane].start + len])
}

/// Adds the values in the ranges to sums that begin with the given values.
fn sums<const N: usize>(values: &[f64], ranges: &[Range<usize>; N], first: [f64; N]) -> [Compensated; N] {
    let shared = shortest(ranges);
    let rows = rows(values, ranges, shared);
    let mut sums = Sums::from(first);
    for i in 0..shared {
        sums.add(array::from_fn(|lane| rows[lane][i]));
    }
    array::from_fn(|lane| {
        let mut sum = sums.lane(lane);
        for value in &values[ranges[lane].start + shared..ranges[lane].end] {
            sum.add(*value);
        }
        sum
    })
}

/// `sum_over_time`: the sum, or an infinity as soon as it is one.
pub(super) struct Total;

impl OfSums for Total {
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N] {
        let ranges = steps.map(|step| windows.window(step));
        sums(windows.values, &ranges, [0.0; N])
            .map(|sum| if sum.value.is_infinite() { sum.value } else { sum.total() })
    }
}

/// `avg_over_time`
pub(super) struct Average;

impl OfSums for Average {
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N] {
        let values = windows.values;
        let ranges = steps.map(|step| windows.window(step));
        let first: [f64; N] = array::from_fn(|lane| values[ranges[lane].start]);
        let others: [Range<usize>; N] = array::from_fn(|lane| ranges[lane].start + 1..ranges[lane].end);
        let sums = sums(values, &others, first);
        array::from_fn(|lane| {
            let (sum, count) = (sums[lane], ranges[lane].len() as f64);
            // A sum that was infinite once never is finite again.
            match sum.value.is_finite() {
                true => sum.value / count + sum.lost / count,
                false => mean(&values[ranges[lane].clone()]),
            }
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::of(values[0]);
    for value in &values[1..] {
        mean.add(*value);
    }
    mean.value()
}

/// `stdvar_over_time`, or its root: Welford's variance of a population, compensated.
pub(super) struct Variance {
    pub(super) root: bool,
}

impl OfSums for Variance {
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N] {
        let ranges = steps.map(|step| windows.window(step));
        let shared = shortest(&ranges);
        let rows = rows(windows.values, &ranges, shared);
        let (mut means, mut squares) = (Sums::from([0.0; N]), Sums::from([0.0; N]));
        for i in 0..shared {
            let values: [f64; N] = array::from_fn(|lane| rows[lane][i]);
            let before = means.totals();
            let deltas: [f64; N] = array::from_fn(|lane| values[lane] - before[lane]);
            means.add(deltas.map(|delta| delta / (i + 1) as f64));
            let after = means.totals();
            squares.add(array::from_fn(|lane| deltas[lane] * (values[lane] - after[lane])));
        }
        array::from_fn(|lane| {
            let (mut mean, mut squares) = (means.lane(lane), squares.lane(lane));
            for (i, value) in windows.values[ranges[lane].clone()].iter().enumerate().skip(shared) {
                let delta = value - mean.total();
                mean.add(delta / (i + 1) as f64);
                squares.add(delta * (value - mean.total()));
            }
            let variance = squares.total() / ranges[lane].len() as f64;
            if self.root { variance.sqrt() } else { variance }
        })
    }
}

/// A line through each window.
#[derive(Default)]
struct Lines {
    axis: TimeAxis,
}

impl Lines {
    /// The lines, times counted from the references.
    fn at<const N: usize>(
        &mut self,
        windows: &FloatWindows<'_>,
        steps: [usize; N],
        references: [i64; N],
    ) -> [Line; N] {
        let ranges = steps.map(|step| windows.window(step));
        self.axis.set(&windows.times[ranges[0].clone()], references[0]);
        // Where samples come at regular distances windows have the same times, seen from their references.
        let same = |lane: usize| self.axis.is_of(&windows.times[ranges[lane].clone()], references[lane]);
        if (1..N).all(same) {
            return self.on_one_axis(windows.values, &ranges);
        }
        array::from_fn(|lane| {
            self.axis.set(&windows.times[ranges[lane].clone()], references[lane]);
            let [line] = self.on_one_axis(windows.values, &[ranges[lane].clone()]);
            line
        })
    }

    fn on_one_axis<const N: usize>(&self, values: &[f64], ranges: &[Range<usize>; N]) -> [Line; N] {
        let seconds = self.axis.seconds();
        let rows = rows(values, ranges, seconds.len());
        let constants = rows.map(Line::of_constant);
        if constants.iter().all(Option::is_some) {
            return constants.map(Option::unwrap_or_default);
        }
        let (mut y, mut xy) = (Sums::from([0.0; N]), Sums::from([0.0; N]));
        for (i, seconds) in seconds.iter().enumerate() {
            let values: [f64; N] = array::from_fn(|lane| rows[lane][i]);
            y.add(values);
            xy.add(values.map(|value| seconds * value));
        }
        let (y, xy) = (y.totals(), xy.totals());
        array::from_fn(|lane| constants[lane].unwrap_or_else(|| self.axis.line(y[lane], xy[lane])))
    }
}

/// `deriv`: the line's slope.
#[derive(Default)]
pub(super) struct Slope(Lines);

impl OfSums for Slope {
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N] {
        let references = steps.map(|step| windows.times[windows.window(step).start]);
        self.0.at(windows, steps, references).map(|line| line.slope)
    }
}

/// `predict_linear`: where the line is so many seconds after the evaluation time.
#[derive(Default)]
pub(super) struct Prediction(Lines);

impl OfSums for Prediction {
    fn at<const N: usize>(&mut self, windows: &FloatWindows<'_>, steps: [usize; N]) -> [f64; N] {
        let references = steps.map(|step| windows.ends.evaluated(step));
        let lines = self.0.at(windows, steps, references);
        array::from_fn(|lane| lines[lane].slope * windows.param(0, steps[lane]) + lines[lane].intercept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::functions::float_window::Ends;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -1e6..1e6f64,
            2 => Just(5.0),
            1 => proptest::sample::select(vec![0.0, -0.0, 1e300, -1e300, 1.7e308, f64::INFINITY, f64::NAN]),
        ]
    }

    proptest! {
        #[test]
        fn windows_side_by_side_give_the_bits_that_each_gives_alone(
            samples in proptest::collection::vec((prop_oneof![3 => Just(15_000_i64), 1 => 1..60_000_i64], value()), 1..40),
            windows in proptest::collection::vec((0..40_usize, 1..20_usize), 1..14),
        ) {
            let mut time = 0;
            let times: Vec<i64> = samples.iter().map(|(distance, _)| { time += distance; time }).collect();
            let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
            let bounds: Vec<(u32, u32)> = windows
                .iter()
                .map(|(first, len)| {
                    let low = first % values.len();
                    (low as u32, (low + len).min(values.len()) as u32)
                })
                .collect();
            let ahead = vec![3600.0; bounds.len()];
            let windows = FloatWindows {
                times: &times,
                values: &values,
                starts: &[],
                bounds: &bounds,
                ends: Ends { first: 0, step_ms: 15_000, evaluated: 0, evaluated_step_ms: 15_000 },
                range_ms: 300_000,
                params: [&ahead, &[]],
            };
            macro_rules! same {
                ($of:expr) => {{
                    let mut together = vec![0.0; bounds.len()];
                    fill(&windows, &mut together, 1, $of);
                    for (step, value) in together.iter().enumerate() {
                        let [alone] = $of.at(&windows, [step]);
                        prop_assert!(
                            value.to_bits() == alone.to_bits() || (value.is_nan() && alone.is_nan()),
                            "{} at {}: {} and {}", stringify!($of), step, value, alone
                        );
                    }
                }};
            }
            same!(Total);
            same!(Average);
            same!(Variance { root: false });
            same!(Slope::default());
            same!(Prediction::default());
            for (step, (low, high)) in bounds.iter().enumerate() {
                let range = *low as usize..*high as usize;
                let [average] = Average.at(&windows, [step]);
                let naive = mean(&values[range]);
                prop_assert!(average.to_bits() == naive.to_bits() || (average.is_nan() && naive.is_nan()));
            }
        }
    }
}
