//! Start timestamps: since when a counter counts, 0 where it isn't known.

use model::time::TimestampMs;

/// A sample's time and since when it counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Started {
    pub(crate) time: TimestampMs,
    pub(crate) start: TimestampMs,
}

/// Whether the counter began anew between two samples.
///
/// A start at the very time of the sample before is that of a delta, which begins anew with every sample;
/// unless the sample before doesn't tell its start, for then the counter may go on.
pub(crate) fn is_reset(previous: Started, current: Started) -> bool {
    if current.start == 0 || current.start >= current.time || current.start < previous.time {
        return false;
    }
    if current.start > previous.time {
        return true;
    }
    previous.start != 0 && previous.start < previous.time
}

/// Whether a sample says that it began before the sample before it, and not when that began.
pub(crate) fn overlaps(previous: Started, current: Started) -> bool {
    current.start != 0 && current.start < previous.time && current.start != previous.start
}
