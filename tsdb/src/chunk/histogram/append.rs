//! Writing histogram chunks.

use std::num::Wrapping;

use model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span, SpanBuilder, bucket_indexes};
use model::storage::HistogramValue;
use model::value::is_stale_nan;

use super::super::bits::BitVec;
use super::super::{ChunkError, Encoding};
use super::decode::visit;
use super::header::{HEADER_BYTES, Header};
use super::layout::{Layout, bucket_count};
use super::number::{Number, Sample, Track};
use super::stream::Stream;

/// An open chunk of histograms, integer or float as its first sample is.
#[derive(Clone, Debug)]
pub struct HistogramAppender(Open);

#[derive(Clone, Debug)]
enum Open {
    Integer(OpenChunk<u64>),
    Float(OpenChunk<f64>),
}

impl HistogramAppender {
    /// Begins a chunk with a valid histogram. `previous` is the chunk before it of the same series, if that is
    /// known: the new chunk's header tells whether there was a reset in between.
    pub fn new(timestamp: i64, value: &HistogramValue, previous: Option<&HistogramAppender>) -> Self {
        let previous = previous.map(|appender| &appender.0);
        HistogramAppender(match value {
            HistogramValue::Integer(h) => {
                let previous = previous.and_then(|open| match open {
                    Open::Integer(chunk) => Some(chunk),
                    Open::Float(_) => None,
                });
                Open::Integer(OpenChunk::new(timestamp, Incoming::of_integers(h), previous))
            }
            HistogramValue::Float(h) => {
                let previous = previous.and_then(|open| match open {
                    Open::Float(chunk) => Some(chunk),
                    Open::Integer(_) => None,
                });
                Open::Float(OpenChunk::new(timestamp, Incoming::of_floats(h), previous))
            }
        })
    }

    /// An open chunk of the bytes of a whole one; `None` if that has no samples.
    ///
    /// # Errors
    ///
    /// If the bytes are no chunk of [`Encoding::Histogram`] or [`Encoding::FloatHistogram`].
    pub fn resume(encoding: Encoding, bytes: &[u8]) -> Result<Option<Self>, ChunkError> {
        Ok(match encoding {
            Encoding::Histogram => OpenChunk::resume(encoding, bytes)?.map(|open| Self(Open::Integer(open))),
            Encoding::FloatHistogram => {
                OpenChunk::resume(encoding, bytes)?.map(|open| Self(Open::Float(open)))
            }
            _ => return Err(ChunkError::Corrupt("not a histogram chunk that is written to")),
        })
    }

    /// Appends a valid histogram. `false` means that it needs a new chunk, and nothing was done: counts of the
    /// other kind, a counter reset or the explicit hint of one, another schema, zero threshold or custom
    /// bounds, a gauge after counters or the reverse, anything but a staleness marker after one, or a full
    /// chunk.
    pub fn append(&mut self, timestamp: i64, value: &HistogramValue) -> bool {
        match (&mut self.0, value) {
            (Open::Integer(chunk), HistogramValue::Integer(h)) => {
                chunk.append(timestamp, Incoming::of_integers(h))
            }
            (Open::Float(chunk), HistogramValue::Float(h)) => chunk.append(timestamp, Incoming::of_floats(h)),
            _ => false,
        }
    }

    /// Appends a staleness marker, which any chunk takes that isn't full.
    pub fn append_stale(&mut self, timestamp: i64) -> bool {
        match &mut self.0 {
            Open::Integer(chunk) => chunk.append(timestamp, Incoming::stale()),
            Open::Float(chunk) => chunk.append(timestamp, Incoming::stale()),
        }
    }

    /// How the chunk is encoded.
    pub fn encoding(&self) -> Encoding {
        match &self.0 {
            Open::Integer(_) => Encoding::Histogram,
            Open::Float(_) => Encoding::FloatHistogram,
        }
    }

    /// The chunk so far.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Open::Integer(chunk) => chunk.bits.bytes(),
            Open::Float(chunk) => chunk.bits.bytes(),
        }
    }

    /// Number of samples, at least one.
    pub fn samples(&self) -> u16 {
        match &self.0 {
            Open::Integer(chunk) => chunk.stream.samples,
            Open::Float(chunk) => chunk.stream.samples,
        }
    }

    /// Number of buckets that the samples have.
    pub fn buckets(&self) -> usize {
        let layout = match &self.0 {
            Open::Integer(chunk) => &chunk.stream.layout,
            Open::Float(chunk) => &chunk.stream.layout,
        };
        bucket_count(&layout.positive) + bucket_count(&layout.negative)
    }

    /// Time of the last sample.
    pub fn last_timestamp(&self) -> i64 {
        match &self.0 {
            Open::Integer(chunk) => chunk.stream.timestamp,
            Open::Float(chunk) => chunk.stream.timestamp,
        }
    }

    /// The last sample.
    pub fn last_value(&self) -> HistogramValue {
        match &self.0 {
            Open::Integer(chunk) => chunk.last_value(),
            Open::Float(chunk) => chunk.last_value(),
        }
    }
}

/// A histogram to be written.
struct Incoming<N> {
    hint: CounterResetHint,
    layout: Layout,
    sample: Sample<N>,
}

impl<N: Number> Incoming<N> {
    fn stale() -> Self {
        let sample = Sample { sum: model::value::STALE_NAN, ..Sample::default() };
        Incoming { hint: CounterResetHint::Unknown, layout: Layout::default(), sample }
    }

    fn is_stale(&self) -> bool {
        is_stale_nan(self.sample.sum)
    }

    fn is_gauge(&self) -> bool {
        self.hint == CounterResetHint::Gauge
    }
}

impl Incoming<u64> {
    fn of_integers(h: &Histogram) -> Self {
        if h.is_stale() {
            return Self::stale();
        }
        let absolute = |deltas: &[i64]| {
            let mut count = Wrapping(0);
            deltas
                .iter()
                .map(|delta| {
                    count += *delta as u64;
                    count.0
                })
                .collect()
        };
        Incoming {
            hint: h.counter_reset_hint,
            layout: Layout {
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: h.positive_spans.clone(),
                negative: h.negative_spans.clone(),
                custom_values: h.custom_values.clone(),
            },
            sample: Sample {
                count: h.count,
                zero_count: h.zero_count,
                sum: h.sum,
                positive: absolute(&h.positive_deltas),
                negative: absolute(&h.negative_deltas),
            },
        }
    }
}

impl Incoming<f64> {
    fn of_floats(h: &FloatHistogram) -> Self {
        if h.is_stale() {
            return Self::stale();
        }
        Incoming {
            hint: h.counter_reset_hint,
            layout: Layout {
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: h.positive_spans.clone(),
                negative: h.negative_spans.clone(),
                custom_values: h.custom_values.clone(),
            },
            sample: Sample {
                count: h.count,
                zero_count: h.zero_count,
                sum: h.sum,
                positive: h.positive_buckets.clone(),
                negative: h.negative_buckets.clone(),
            },
        }
    }
}

/// Whether a sample can follow those of a chunk.
enum Fit {
    /// It can, in a chunk of these spans.
    Follows { positive: Vec<Span>, negative: Vec<Span> },
    /// There was a counter reset.
    Reset,
    /// It can't; whether there was a reset isn't known.
    Differs,
}

#[derive(Clone, Debug)]
struct OpenChunk<N: Number> {
    bits: BitVec,
    hint: CounterResetHint,
    stream: Stream<N>,
}

impl<N: Number> OpenChunk<N> {
    fn new(timestamp: i64, incoming: Incoming<N>, previous: Option<&OpenChunk<N>>) -> Self {
        let hint = match (incoming.hint, previous) {
            (hint @ (CounterResetHint::Gauge | CounterResetHint::CounterReset), _) => hint,
            (_, None) => CounterResetHint::Unknown,
            (_, Some(previous)) => match previous.fit(&incoming) {
                Fit::Follows { .. } => CounterResetHint::NotCounterReset,
                Fit::Reset => CounterResetHint::CounterReset,
                Fit::Differs => CounterResetHint::Unknown,
            },
        };
        let mut chunk = Self::empty(hint, incoming.layout);
        chunk.put(timestamp, &incoming.sample);
        chunk
    }

    fn empty(hint: CounterResetHint, layout: Layout) -> Self {
        OpenChunk { bits: BitVec::with_header(HEADER_BYTES), hint, stream: Stream::new(layout) }
    }

    fn resume(encoding: Encoding, bytes: &[u8]) -> Result<Option<Self>, ChunkError> {
        let hint = Header::read(encoding, bytes)?.hint;
        Ok(visit(encoding, bytes, |_, _, _| Ok(true))?.map(|(end, stream)| OpenChunk {
            bits: BitVec::resume(bytes, end),
            hint,
            stream,
        }))
    }

    fn append(&mut self, timestamp: i64, mut incoming: Incoming<N>) -> bool {
        if self.stream.samples == u16::MAX {
            return false;
        }
        let Fit::Follows { positive, negative } = self.fit(&incoming) else {
            return false;
        };
        if !incoming.is_stale() {
            let (ours, theirs) = (&self.stream.layout, &incoming.layout);
            if positive != ours.positive || negative != ours.negative {
                self.recode(&positive, &negative);
            }
            let sample = &mut incoming.sample;
            sample.positive = lay_out(&theirs.positive, &sample.positive, &positive);
            sample.negative = lay_out(&theirs.negative, &sample.negative, &negative);
        }
        self.put(timestamp, &incoming.sample);
        true
    }

    fn put(&mut self, timestamp: i64, sample: &Sample<N>) {
        self.stream.put(&mut self.bits, timestamp, sample);
        let header = Header { samples: self.stream.samples, hint: self.hint, starts: Default::default() };
        header.put(self.bits.bytes_mut());
    }

    /// Writes all samples anew, with more buckets.
    fn recode(&mut self, positive: &[Span], negative: &[Span]) {
        let layout =
            Layout { positive: positive.to_vec(), negative: negative.to_vec(), ..self.stream.layout.clone() };
        let mut wider = Self::empty(self.hint, layout);
        let encoding = if N::IS_INTEGER { Encoding::Histogram } else { Encoding::FloatHistogram };
        let read = visit::<N>(encoding, self.bits.bytes(), |stream, _, _| {
            let mut sample = stream.sample();
            sample.positive = lay_out(&stream.layout.positive, &sample.positive, positive);
            sample.negative = lay_out(&stream.layout.negative, &sample.negative, negative);
            wider.put(stream.timestamp, &sample);
            Ok(true)
        });
        debug_assert!(read.is_ok(), "a chunk that was written here is read");
        *self = wider;
    }

    fn last_value(&self) -> HistogramValue {
        let sample = self.stream.sample();
        if is_stale_nan(sample.sum) {
            return N::histogram(sample, &Layout::default(), CounterResetHint::Unknown);
        }
        N::histogram(sample, &self.stream.layout, self.stream.hint(self.hint == CounterResetHint::Gauge))
    }

    fn fit(&self, incoming: &Incoming<N>) -> Fit {
        let (ours, theirs) = (&self.stream.layout, &incoming.layout);
        if incoming.is_stale() {
            return Fit::Follows { positive: ours.positive.clone(), negative: ours.negative.clone() };
        }
        let gauge = incoming.is_gauge();
        if incoming.hint == CounterResetHint::CounterReset {
            return Fit::Reset;
        }
        if gauge != (self.hint == CounterResetHint::Gauge) || is_stale_nan(self.stream.sum()) {
            return Fit::Differs;
        }
        let sample = &incoming.sample;
        if !gauge && sample.count < self.stream.count.last() {
            return Fit::Reset;
        }
        if theirs.schema != ours.schema || theirs.zero_threshold != ours.zero_threshold {
            return Fit::Differs;
        }
        if theirs.custom_values != ours.custom_values
            || !gauge && sample.zero_count < self.stream.zero_count.last()
        {
            return Fit::Reset;
        }
        let positive =
            fit_side(&ours.positive, self.stream.positive(), &theirs.positive, &sample.positive, gauge);
        let negative =
            fit_side(&ours.negative, self.stream.negative(), &theirs.negative, &sample.negative, gauge);
        match (positive, negative) {
            (Some(positive), Some(negative)) => Fit::Follows { positive, negative },
            _ => Fit::Reset,
        }
    }
}

/// The spans of all buckets that are in `ours` or `theirs`: those of `ours` if there are no others. `None` if
/// a bucket of a counter went down, or isn't there any more though it had counts.
fn fit_side<N: Number>(
    ours: &[Span],
    our_counts: impl Iterator<Item = N>,
    theirs: &[Span],
    their_counts: &[N],
    gauge: bool,
) -> Option<Vec<Span>> {
    let mut all = SpanBuilder::default();
    let mut grows = false;
    let mut new = bucket_indexes(theirs).zip(their_counts).peekable();
    for (index, count) in bucket_indexes(ours).zip(our_counts) {
        while let Some((before, _)) = new.next_if(|(theirs, _)| *theirs < index) {
            all.push(before);
            grows = true;
        }
        let now = new.next_if(|(theirs, _)| *theirs == index).map_or(N::default(), |(_, count)| *count);
        if !gauge && now < count {
            return None;
        }
        all.push(index);
    }
    for (index, _) in new {
        all.push(index);
        grows = true;
    }
    Some(if grows { all.into_spans() } else { ours.to_vec() })
}

/// Counts of the buckets of `from` as those of `to`, which has them all; the others are empty.
fn lay_out<N: Number>(from: &[Span], counts: &[N], to: &[Span]) -> Vec<N> {
    if from == to {
        return counts.to_vec();
    }
    let mut known = bucket_indexes(from).zip(counts).peekable();
    bucket_indexes(to)
        .map(|index| known.next_if(|(known, _)| *known == index).map_or(N::default(), |(_, count)| *count))
        .collect()
}
