//! Which times a commit takes.

use model::storage::AppendError;
use model::time::TimestampMs;

/// What may be appended, as of the beginning of a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Older samples can't be appended in order.
    pub(super) min_valid: TimestampMs,
    /// Newest sample of the head.
    pub(super) head_max: TimestampMs,
    /// See [`crate::Options::out_of_order_time_window_ms`].
    pub(super) window: i64,
}

/// What becomes of a sample.
pub(super) enum Verdict {
    Append,
    /// It is older than others, but within the window.
    AppendLate,
    /// The series has this very sample.
    Drop,
    Reject(AppendError),
}

impl Limits {
    /// Of a sample of a series that has none.
    pub(super) fn check_first(&self, timestamp: TimestampMs) -> Verdict {
        if timestamp >= self.min_valid { Verdict::Append } else { self.check_late(timestamp) }
    }

    /// Of a sample that can't be appended in order.
    pub(super) fn check_late(&self, timestamp: TimestampMs) -> Verdict {
        if self.window > 0 && timestamp >= self.head_max.saturating_sub(self.window) {
            Verdict::AppendLate
        } else if self.window > 0 {
            Verdict::Reject(AppendError::TooOld)
        } else if timestamp < self.min_valid {
            Verdict::Reject(AppendError::OutOfBounds)
        } else {
            Verdict::Reject(AppendError::OutOfOrder)
        }
    }

    /// Of a sample of a series whose newest sample is at this time; `same` compares the two if their times
    /// are equal, and says how they differ.
    pub(super) fn check(
        &self,
        newest: TimestampMs,
        timestamp: TimestampMs,
        same: impl FnOnce() -> Result<(), AppendError>,
    ) -> Verdict {
        if timestamp >= self.min_valid && timestamp > newest {
            return Verdict::Append;
        }
        if timestamp >= self.min_valid && timestamp == newest {
            return same().map_or_else(Verdict::Reject, |()| Verdict::Drop);
        }
        self.check_late(timestamp)
    }

    /// Why there is no series of a label set that a sample has.
    pub(super) fn reject_new(&self, empty: bool, timestamp: TimestampMs) -> AppendError {
        match self.check_first(timestamp) {
            _ if empty => AppendError::InvalidLabels("empty labelset".to_owned()),
            Verdict::Reject(error) => error,
            _ => AppendError::UnknownSeries,
        }
    }
}
