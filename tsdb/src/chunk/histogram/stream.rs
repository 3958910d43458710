//! The samples of a histogram chunk, one after the other, written and read by the same state.

use model::histogram::CounterResetHint;
use model::value::is_stale_nan;

use super::super::ChunkError;
use super::super::bits::{BitReader, BitVec};
use super::super::varbit::{put_int, read_int};
use super::layout::{Layout, bucket_count};
use super::number::{FloatTrack, Number, Sample, Track};

/// What is known after some samples.
#[derive(Clone, Debug)]
pub(super) struct Stream<N: Number> {
    pub(super) layout: Layout,
    pub(super) samples: u16,
    pub(super) timestamp: i64,
    delta: i64,
    pub(super) count: N::Track,
    pub(super) zero_count: N::Track,
    sum: FloatTrack,
    positive: Vec<N::Track>,
    negative: Vec<N::Track>,
}

impl<N: Number> Stream<N> {
    /// Before the first sample of a chunk of this layout.
    pub(super) fn new(layout: Layout) -> Self {
        Stream {
            samples: 0,
            timestamp: 0,
            delta: 0,
            count: N::Track::default(),
            zero_count: N::Track::default(),
            sum: FloatTrack::default(),
            positive: vec![N::Track::default(); bucket_count(&layout.positive)],
            negative: vec![N::Track::default(); bucket_count(&layout.negative)],
            layout,
        }
    }

    /// Sum of the last sample.
    pub(super) fn sum(&self) -> f64 {
        self.sum.last()
    }

    /// Positive buckets of the last sample.
    pub(super) fn positive(&self) -> impl Iterator<Item = N> {
        counts(&self.positive)
    }

    /// Negative buckets of the last sample.
    pub(super) fn negative(&self) -> impl Iterator<Item = N> {
        counts(&self.negative)
    }

    /// Writes a sample that has the buckets of the layout, unless it is a staleness marker.
    pub(super) fn put(&mut self, bits: &mut BitVec, timestamp: i64, sample: &Sample<N>) {
        let first = self.samples == 0;
        if first {
            self.layout.put(bits);
            put_int(bits, timestamp);
            self.count.put_first_count(bits, sample.count);
            self.zero_count.put_first_count(bits, sample.zero_count);
            self.sum.put_first_count(bits, sample.sum);
        } else {
            let delta = timestamp.wrapping_sub(self.timestamp);
            put_int(bits, delta.wrapping_sub(self.delta));
            self.delta = delta;
            if is_stale_nan(sample.sum) {
                self.count.put_stale(bits);
                self.zero_count.put_stale(bits);
            } else {
                self.count.put(bits, sample.count);
                self.zero_count.put(bits, sample.zero_count);
            }
            self.sum.put(bits, sample.sum);
        }
        self.timestamp = timestamp;
        self.samples += 1;
        if is_stale_nan(sample.sum) {
            return;
        }
        for (tracks, counts) in
            [(&mut self.positive, &sample.positive), (&mut self.negative, &sample.negative)]
        {
            let mut before = N::default();
            for (track, count) in tracks.iter_mut().zip(counts) {
                let written = count.after(before);
                before = *count;
                if first { track.put_first_bucket(bits, written) } else { track.put(bits, written) }
            }
        }
    }

    /// Reads the next sample.
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        let first = self.samples == 0;
        if first {
            self.timestamp = read_int(bits);
            self.count.read_first_count(bits);
            self.zero_count.read_first_count(bits);
            self.sum.read_first_count(bits);
        } else {
            self.delta = self.delta.wrapping_add(read_int(bits));
            self.timestamp = self.timestamp.wrapping_add(self.delta);
            self.count.read(bits)?;
            self.zero_count.read(bits)?;
            self.sum.read(bits)?;
        }
        self.samples += 1;
        if first || !is_stale_nan(self.sum()) {
            for track in self.positive.iter_mut().chain(&mut self.negative) {
                if first { track.read_first_bucket(bits) } else { track.read(bits)? }
            }
        }
        bits.check()
    }

    /// The last sample; of a staleness marker the sum alone.
    pub(super) fn sample(&self) -> Sample<N> {
        if is_stale_nan(self.sum()) {
            return Sample { sum: self.sum(), ..Sample::default() };
        }
        Sample {
            count: self.count.last(),
            zero_count: self.zero_count.last(),
            sum: self.sum(),
            positive: self.positive().collect(),
            negative: self.negative().collect(),
        }
    }

    /// What is known of a reset before the last sample. Of the first nothing, whatever the header says: the
    /// chunk before may be gone, or another may have come between.
    pub(super) fn hint(&self, is_gauge: bool) -> CounterResetHint {
        match (is_gauge, self.samples) {
            (true, _) => CounterResetHint::Gauge,
            (false, 0..=1) => CounterResetHint::Unknown,
            (false, _) => CounterResetHint::NotCounterReset,
        }
    }
}

fn counts<N: Number>(tracks: &[N::Track]) -> impl Iterator<Item = N> {
    let mut before = N::default();
    tracks.iter().map(move |track| {
        before = N::back(track.last(), before);
        before
    })
}
