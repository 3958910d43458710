//! Least squares.

use model::kahan::Compensated;
use model::time::TimestampMs;

/// A line through samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    /// Per second.
    pub(crate) slope: f64,
    /// At the reference time.
    pub(crate) intercept: f64,
}

impl Line {
    /// The line through values that are all the same: it has no slope, however its sums round; that through
    /// infinite ones isn't known.
    pub(crate) fn of_constant(values: &[f64]) -> Option<Line> {
        let first = values[0];
        if values.iter().any(|value| *value != first) {
            return None;
        }
        Some(match first.is_infinite() {
            true => Line { slope: f64::NAN, intercept: f64::NAN },
            false => Line { slope: 0.0, intercept: first },
        })
    }
}

/// The times of samples in seconds since a reference, and what a fit needs of them.
#[derive(Debug, Default)]
pub(crate) struct TimeAxis {
    /// Milliseconds since the reference.
    distances: Vec<i64>,
    seconds: Vec<f64>,
    /// Sum of seconds.
    x: f64,
    /// Sum of their squares.
    xx: f64,
}

impl TimeAxis {
    /// Makes it the axis of these times, which it may be already.
    pub(crate) fn set(&mut self, times: &[TimestampMs], reference: TimestampMs) {
        if self.is_of(times, reference) {
            return;
        }
        self.distances.clear();
        self.distances.extend(times.iter().map(|time| time - reference));
        self.seconds.clear();
        self.seconds.extend(self.distances.iter().map(|distance| *distance as f64 / 1e3));
        let (mut x, mut xx) = (Compensated::default(), Compensated::default());
        for seconds in &self.seconds {
            x.add(*seconds);
            xx.add(seconds * seconds);
        }
        (self.x, self.xx) = (x.total(), xx.total());
    }

    /// Whether it is the axis of these times.
    pub(crate) fn is_of(&self, times: &[TimestampMs], reference: TimestampMs) -> bool {
        // All are compared even if one differs, so that many are compared at a time.
        let differs = |bits: i64, (time, distance): (&i64, &i64)| bits | ((time - reference) ^ distance);
        times.len() == self.distances.len() && times.iter().zip(&self.distances).fold(0, differs) == 0
    }

    pub(crate) fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// The line nearest to samples with this sum of values, and this sum of their products with seconds.
    pub(crate) fn line(&self, y: f64, xy: f64) -> Line {
        let (n, x) = (self.seconds.len() as f64, self.x);
        let covariance = xy - x * y / n;
        let variance = self.xx - x * x / n;
        let slope = covariance / variance;
        Line { slope, intercept: y / n - slope * x / n }
    }
}
