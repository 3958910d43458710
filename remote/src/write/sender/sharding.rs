//! How many shards an endpoint needs: as the reference works it out.
//!
//! A shard sends one request at a time, so throughput is shards divided by the time that a sample takes. What
//! is wanted is as many as let samples out as fast as they come in, and a twentieth of the backlog in a second
//! beside. Small differences are let be, since changing the number costs a pause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often the number is worked out.
pub(super) const UPDATE_INTERVAL: Duration = Duration::from_secs(10);
/// How much the newest interval counts.
const WEIGHT: f64 = 0.2;
/// The part of the backlog to send in a second.
const BACKLOG_PART: f64 = 0.05;
/// The change that isn't worth it.
const TOLERANCE: f64 = 0.3;
/// No fewer shards while the endpoint is farther behind, in seconds.
const DELAY_SECS_MAX: f64 = 10.0;

/// Events per second, averaged with exponential weights.
#[derive(Debug, Default)]
pub(super) struct Rate {
    events: AtomicU64,
    /// Bits of the rate; the bits of 0 before the first event.
    rate: AtomicU64,
}

impl Rate {
    pub(super) fn add(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// Ends an interval.
    pub(super) fn tick(&self) {
        let now = self.events.swap(0, Ordering::Relaxed) as f64 / UPDATE_INTERVAL.as_secs_f64();
        let before = self.get();
        let rate = if before == 0.0 { now } else { before + WEIGHT * (now - before) };
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }
}

/// What is known of an endpoint's traffic.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Samples read from the log.
    pub(super) read: Rate,
    /// Those that relabelling dropped.
    pub(super) dropped: Rate,
    /// Those that were sent, whatever came of it.
    pub(super) sent: Rate,
    /// Microseconds of sending, over all shards.
    pub(super) sending_us: Rate,
}

impl Traffic {
    pub(super) fn tick(&self) {
        [&self.read, &self.dropped, &self.sent, &self.sending_us].into_iter().for_each(Rate::tick);
    }

    /// How many shards there should be, when the newest sample sent is so many seconds older than the newest
    /// that there is; `None` if nothing can be said.
    pub(super) fn shards_wanted(&self, delay_secs: f64) -> Option<f64> {
        let sent = self.sent.get();
        if sent <= 0.0 {
            return None;
        }
        let kept_ratio = sent / (self.dropped.get() + sent);
        let kept = self.read.get() * kept_ratio;
        let pending = delay_secs * kept;
        let secs_per_sample = self.sending_us.get() / 1e6 / sent;
        Some(secs_per_sample * (kept + BACKLOG_PART * pending))
    }
}

/// The number of shards to have next.
pub(super) fn next_shards(
    shards: usize,
    wanted: f64,
    delay_secs: f64,
    (min_shards, max_shards): (usize, usize),
) -> usize {
    let (lower, upper) = (shards as f64 * (1.0 - TOLERANCE), shards as f64 * (1.0 + TOLERANCE));
    let wanted = wanted.ceil();
    if (lower..=upper).contains(&wanted) {
        return shards;
    }
    let wanted = wanted as usize;
    if wanted < shards && delay_secs > DELAY_SECS_MAX {
        return shards;
    }
    wanted.clamp(min_shards, max_shards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_shards_follows_what_is_wanted_but_for_small_changes() {
        for (shards, wanted, delay_secs, next) in [
            (1, 0.4, 0.0, 1),
            (4, 4.4, 0.0, 4),
            (4, 5.1, 0.0, 6),
            (10, 7.0, 0.0, 10),
            (10, 5.0, 0.0, 5),
            (10, 5.0, 11.0, 10),
            (10, 1e9, 0.0, 20),
            (10, 0.0, 0.0, 2),
        ] {
            assert_eq!(next_shards(shards, wanted, delay_secs, (2, 20)), next, "{shards} {wanted}");
        }
        assert_eq!(next_shards(1, 0.0, 0.0, (1, 20)), 1);
    }

    #[test]
    fn shards_are_wanted_for_what_comes_in_and_for_the_backlog() {
        let traffic = Traffic::default();
        assert_eq!(traffic.shards_wanted(0.0), None);
        // 1,000 samples a second of which half are dropped; a sample takes 4 ms.
        traffic.read.add(10_000);
        traffic.dropped.add(5_000);
        traffic.sent.add(5_000);
        traffic.sending_us.add(5_000 * 4_000);
        traffic.tick();
        assert_eq!(traffic.shards_wanted(0.0), Some(2.0));
        assert_eq!(traffic.shards_wanted(20.0), Some(4.0));
    }
}
