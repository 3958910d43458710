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
        let sampled = seconds(self.last_time - start);
        whole(sampled, 0.0, Extent::of(self.spacing()).to_end)
    }

    /// The factor that makes the increase between samples that of the window.
    pub(crate) fn factor(&self) -> f64 {
        Extent::of(self.spacing()).factor(self.counter)
    }

    /// Where the samples are in the window.
    pub(crate) fn spacing(&self) -> Spacing {
        Spacing {
            before_ms: self.first_time - self.range_start,
            sampled_ms: self.last_time - self.first_time,
            after_ms: self.range_end - self.last_time,
            samples: self.samples,
        }
    }
}

/// Where the samples are in a window: the same in most windows of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spacing {
    before_ms: i64,
    sampled_ms: i64,
    after_ms: i64,
    samples: usize,
}

/// What a spacing tells of a window's whole, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    spacing: Spacing,
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// The factor of what doesn't end at zero.
    factor: f64,
}

impl Extent {
    pub(crate) fn of(spacing: Spacing) -> Self {
        let sampled = seconds(spacing.sampled_ms);
        let average = if spacing.samples > 1 { sampled / (spacing.samples - 1) as f64 } else { 0.0 };
        let threshold = average * EDGE_DISTANCE_MAX;
        let to_edge = |distance: f64| if distance >= threshold { average / 2.0 } else { distance };
        let (to_start, to_end) = (to_edge(seconds(spacing.before_ms)), to_edge(seconds(spacing.after_ms)));
        Extent { spacing, sampled, to_start, to_end, factor: whole(sampled, to_start, to_end) }
    }

    pub(crate) fn is_of(&self, spacing: &Spacing) -> bool {
        self.spacing == *spacing
    }

    /// The factor of an increase; of that of a counter that grows with its first value.
    pub(crate) fn factor(&self, counter: Option<(f64, f64)>) -> f64 {
        let Some((first, increase)) = counter else { return self.factor };
        // A counter that was at least as high as it grew was at zero before the samples' own distance.
        if first >= increase && self.sampled >= self.to_start {
            return self.factor;
        }
        let to_zero = self.sampled * (first / increase);
        if to_zero < self.to_start { whole(self.sampled, to_zero, self.to_end) } else { self.factor }
    }
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn whole(sampled: f64, to_start: f64, to_end: f64) -> f64 {
    if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
}

/// The counter of an [`Extrapolation`], if it may be taken for one that grows from zero.
pub(crate) fn growing(first: f64, increase: f64) -> Option<(f64, f64)> {
    (increase > 0.0 && first >= 0.0).then_some((first, increase))
}
