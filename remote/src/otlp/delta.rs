//! Adds deltas up (`--enable-feature=otlp-deltatocumulative`): each series' sum since its first delta.
//!
//! Sums are in memory only. After a restart, or a pause that is too long, a series begins anew at its next delta,
//! which queries see as a counter's reset.

use hashbrown::HashMap;
use model::histogram::FloatHistogram;
use model::labels::Labels;
use model::time::TimestampMs;

/// How long a series' sum is kept without a new delta; as the collector's own processor does by default.
const KEPT_MS: i64 = 5 * 60_000;
/// How often sums that are too old are looked for.
const SWEEP_INTERVAL_MS: i64 = 60_000;
/// The most sums; with their labels they take some hundred MiB.
const SERIES_MAX: usize = 1 << 20;

/// A delta, or a sum of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Amount {
    Float(f64),
    Histogram(Box<FloatHistogram>),
}

impl Amount {
    fn add(&mut self, more: Amount) {
        match (&mut *self, more) {
            (Amount::Float(sum), Amount::Float(more)) => *sum += more,
            (Amount::Histogram(sum), Amount::Histogram(more)) => {
                // Exponential buckets and custom ones don't add up: begin anew.
                if sum.add(&more).is_err() {
                    *sum = more;
                }
            }
            (sum, more) => *sum = more,
        }
    }
}

#[derive(Debug)]
struct Sum {
    /// Time of the newest delta.
    time_ms: TimestampMs,
    /// When that came.
    seen_ms: TimestampMs,
    amount: Amount,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sums {
    by_series: HashMap<Labels, Sum>,
    swept_ms: TimestampMs,
}

impl Sums {
    /// Adds a delta of a series, and returns the sum; `None` if it isn't newer than the one before, or there are
    /// too many sums.
    pub(super) fn add(
        &mut self,
        series: &Labels,
        time_ms: TimestampMs,
        delta: Amount,
        now_ms: TimestampMs,
    ) -> Option<Amount> {
        self.sweep(now_ms);
        let is_full = self.by_series.len() >= SERIES_MAX;
        match self.by_series.get_mut(series) {
            Some(sum) if time_ms <= sum.time_ms => None,
            Some(sum) => {
                sum.amount.add(delta);
                (sum.time_ms, sum.seen_ms) = (time_ms, now_ms);
                Some(sum.amount.clone())
            }
            None if is_full => None,
            None => {
                let sum = Sum { time_ms, seen_ms: now_ms, amount: delta.clone() };
                self.by_series.insert(series.clone(), sum);
                Some(delta)
            }
        }
    }

    fn sweep(&mut self, now_ms: TimestampMs) {
        if now_ms - self.swept_ms >= SWEEP_INTERVAL_MS {
            self.by_series.retain(|_, sum| now_ms - sum.seen_ms < KEPT_MS);
            self.swept_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_in_order_until_the_series_is_forgotten() {
        let mut sums = Sums::default();
        let series = Labels::from_pairs([("a", "b")]);
        let mut add = |time_ms, delta, now_ms| sums.add(&series, time_ms, Amount::Float(delta), now_ms);
        assert_eq!(add(1_000, 2.0, 1_000), Some(Amount::Float(2.0)));
        assert_eq!(add(2_000, 3.0, 2_000), Some(Amount::Float(5.0)));
        assert_eq!(add(2_000, 3.0, 3_000), None);
        assert_eq!(add(1_500, 3.0, 3_000), None);
        assert_eq!(add(3_000, 1.0, 3_000), Some(Amount::Float(6.0)));
        let later = 3_000 + KEPT_MS + SWEEP_INTERVAL_MS;
        assert_eq!(add(later, 4.0, later), Some(Amount::Float(4.0)));
    }
}
