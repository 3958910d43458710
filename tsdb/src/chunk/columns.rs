//! Where the decoders of floats put samples.

use super::ChunkError;

/// Lets `decode` put samples of `[mint, maxt]` at the end of two columns, with room for so many. After an
/// error the columns are as before.
pub(super) fn fill(
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
    room: usize,
    mint: i64,
    maxt: i64,
    decode: impl FnOnce(Columns<'_>) -> Result<Columns<'_>, ChunkError>,
) -> Result<(), ChunkError> {
    let before = timestamps.len();
    timestamps.resize(before + room, 0);
    values.resize(before + room, 0.0);
    let columns =
        Columns { timestamps: &mut timestamps[before..], values: &mut values[before..], len: 0, mint, maxt };
    let result = decode(columns).map(|columns| columns.len);
    let len = *result.as_ref().unwrap_or(&0);
    timestamps.truncate(before + len);
    values.truncate(before + len);
    result.map(|_| ())
}

/// Takes samples; says whether it wants more.
pub(super) trait Sink {
    /// One sample.
    fn one(&mut self, timestamp: i64, value: f64) -> bool;

    /// `count` samples of one value, the first at `timestamp + delta`, each `delta` after the one before.
    fn run(&mut self, timestamp: i64, delta: i64, count: usize, value: f64) -> bool;
}

/// Columns with room for all samples.
pub(super) struct Columns<'a> {
    timestamps: &'a mut [i64],
    values: &'a mut [f64],
    /// Samples so far.
    len: usize,
    mint: i64,
    maxt: i64,
}

impl Sink for Columns<'_> {
    #[inline(always)]
    fn one(&mut self, timestamp: i64, value: f64) -> bool {
        if timestamp > self.maxt {
            return false;
        }
        // Written in any case and kept only from mint on: cheaper than a branch that is hard to foresee.
        self.timestamps[self.len] = timestamp;
        self.values[self.len] = value;
        self.len += usize::from(timestamp >= self.mint);
        true
    }

    #[inline(always)]
    fn run(&mut self, timestamp: i64, delta: i64, count: usize, value: f64) -> bool {
        let inside = || {
            let first = timestamp.checked_add(delta)?;
            let last = delta.checked_mul(count as i64)?.checked_add(timestamp)?;
            (delta >= 0 && first >= self.mint && last <= self.maxt).then_some(first)
        };
        let Some(first) = inside() else {
            let mut timestamp = timestamp;
            return (0..count).all(|_| {
                timestamp = timestamp.wrapping_add(delta);
                self.one(timestamp, value)
            });
        };
        let places = self.len..self.len + count;
        let mut next = first;
        for place in &mut self.timestamps[places.clone()] {
            *place = next;
            next = next.wrapping_add(delta);
        }
        self.values[places].fill(value);
        self.len += count;
        true
    }
}
