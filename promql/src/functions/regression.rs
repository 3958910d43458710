//! Least squares.

use model::time::TimestampMs;

use model::kahan::Compensated;

/// A line through samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Per second.
    pub(crate) slope: f64,
    /// At the reference time.
    pub(crate) intercept: f64,
}

/// The line nearest to the samples, times counted from `reference`.
pub(crate) fn fit(times: &[TimestampMs], values: &[f64], reference: TimestampMs) -> Line {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        // A constant has no slope, however its sums round; an infinite one has none that is known.
        let known = !first.is_infinite();
        return if known {
            Line { slope: 0.0, intercept: first }
        } else {
            Line { slope: f64::NAN, intercept: f64::NAN }
        };
    }
    let (mut x, mut y, mut xy, mut xx) =
        (Compensated::default(), Compensated::default(), Compensated::default(), Compensated::default());
    for (time, value) in times.iter().zip(values) {
        let seconds = (time - reference) as f64 / 1e3;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    let n = values.len() as f64;
    let (x, y, xy, xx) = (x.total(), y.total(), xy.total(), xx.total());
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    Line { slope, intercept: y / n - slope * x / n }
}
