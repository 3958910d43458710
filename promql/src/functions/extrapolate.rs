//! From the increase between the first and the last sample of a window to that of the whole window.

use model::time::TimestampMs;

/// A window with more than 1.1 times the usual distance between its edge and the next sample is taken to
/// begin or end in between, as in the reference.
const EDGE_DISTANCE_MAX: f64 = 1.1;

/// What the extrapolation needs to know of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extrapolation {
    /// Not in the window itself.
    pub(crate) range_start: TimestampMs,
    /// The last moment of the window.
    pub(crate) range_end: TimestampMs,
    pub(crate) first_time: TimestampMs,
    pub(crate) last_time: TimestampMs,
    pub(crate) samples: usize,
    /// Of a counter that grows: its first value and its increase. It isn't extrapolated below zero.
    pub(crate) counter: Option<(f64, f64)>,
}

impl Extrapolation {
    /// The factor for a counter that is known to have begun inside the window: nothing to guess at its left.
    pub(crate) fn factor_since(&self, start: TimestampMs) -> f64 {
        let sampled = (self.last_time - start) as f64 / 1000.0;
        let (average, threshold) = self.distances();
        whole(sampled, 0.0, self.distance_to_end(average, threshold))
    }

    /// The factor that makes the increase between samples that of the window.
    pub(crate) fn factor(&self) -> f64 {
        let sampled = self.sampled();
        let (average, threshold) = self.distances();
        let mut to_start = (self.first_time - self.range_start) as f64 / 1000.0;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if let Some((first, increase)) = self.counter {
            let to_zero = sampled * (first / increase);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        whole(sampled, to_start, self.distance_to_end(average, threshold))
    }

    fn sampled(&self) -> f64 {
        (self.last_time - self.first_time) as f64 / 1000.0
    }

    fn distances(&self) -> (f64, f64) {
        let average = if self.samples > 1 { self.sampled() / (self.samples - 1) as f64 } else { 0.0 };
        (average, average * EDGE_DISTANCE_MAX)
    }

    fn distance_to_end(&self, average: f64, threshold: f64) -> f64 {
        let to_end = (self.range_end - self.last_time) as f64 / 1000.0;
        if to_end >= threshold { average / 2.0 } else { to_end }
    }
}

fn whole(sampled: f64, to_start: f64, to_end: f64) -> f64 {
    if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
}

/// The counter of an [`Extrapolation`], if it may be taken for one that grows from zero.
pub(crate) fn growing(first: f64, increase: f64) -> Option<(f64, f64)> {
    (increase > 0.0 && first >= 0.0).then_some((first, increase))
}
