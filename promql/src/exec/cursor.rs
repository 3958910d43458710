//! A place in a series that only goes forward.

/// How many of a series' times have been passed. Steps and samples both come at about the same distances, so
/// it first looks as far ahead as it went the last time.
#[derive(Debug, Default)]
pub(crate) struct Cursor {
    passed: usize,
    stride: usize,
}

impl Cursor {
    /// Passes all times up to and including `limit`, which isn't below that of the call before, and tells how
    /// many there are.
    #[inline]
    pub(crate) fn pass(&mut self, times: &[i64], limit: i64) -> usize {
        let mut at = (self.passed + self.stride).min(times.len());
        if at > self.passed && times[at - 1] > limit {
            while at > self.passed && times[at - 1] > limit {
                at -= 1;
            }
        } else {
            while at < times.len() && times[at] <= limit {
                at += 1;
            }
        }
        self.stride = at - self.passed;
        self.passed = at;
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_passes_what_a_search_finds(
            mut times in proptest::collection::vec(0..200_i64, 0..50),
            mut limits in proptest::collection::vec(-10..210_i64, 0..50),
        ) {
            times.sort_unstable();
            limits.sort_unstable();
            let mut cursor = Cursor::default();
            for limit in limits {
                prop_assert_eq!(cursor.pass(&times, limit), times.partition_point(|time| *time <= limit));
            }
        }
    }
}
