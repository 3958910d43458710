use std::collections::BTreeMap;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};
use model::storage::HistogramValue;
use model::value::STALE_NAN;
use proptest::prelude::*;

use super::super::bits::{BitReader, BitVec, PutBits};
use super::super::start::StartTimes;
use super::super::varbit::{put_int, put_uint};
use super::super::{ChunkError, Encoding};
use super::number::Sample;
use super::stream::Stream;
use super::*;

fn spans(pairs: &[(i32, u32)]) -> Vec<Span> {
    pairs.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect()
}

/// A counter with these buckets, counted.
fn counter(buckets: &[(i32, u64)]) -> Histogram {
    let mut builder = model::histogram::SpanBuilder::default();
    let mut before = 0;
    let positive_deltas = buckets
        .iter()
        .map(|(index, count)| {
            builder.push(*index);
            let delta = *count as i64 - before;
            before = *count as i64;
            delta
        })
        .collect();
    let count = buckets.iter().map(|(_, count)| count).sum();
    Histogram {
        count,
        sum: count as f64,
        positive_spans: builder.into_spans(),
        positive_deltas,
        ..Default::default()
    }
}

fn append(chunk: &mut HistogramAppender, timestamp: i64, histogram: &Histogram) -> bool {
    chunk.append(timestamp, &HistogramValue::Integer(histogram.clone()))
}

fn start(histogram: &Histogram) -> HistogramAppender {
    HistogramAppender::new(0, &HistogramValue::Integer(histogram.clone()), None)
}

fn read(encoding: Encoding, bytes: &[u8]) -> Vec<Decoded<HistogramValue>> {
    let mut out = Vec::new();
    decode_values(encoding, bytes, i64::MIN, i64::MAX, &mut out).unwrap();
    out
}

#[test]
fn the_bytes_are_those_of_the_format() {
    // One sample at 0 ms: count 1, sum 1.0, one positive bucket, 0, of 1. By hand from the format.
    let bytes = [
        0x00,
        0x01,
        0x00, // one sample, nothing known of a reset
        0x00, // zero threshold 0
        // 0 schema 0 | 10 001 one span | 10 001 of length 1 | 0 offset 0 | 0 no negative spans | 0 timestamp
        // 0 | 10 001 count 1 | 0 zero count | 64 bits of sum | 10 001 bucket
        0b0100_0110,
        0b0010_0010,
        0x23,
        0xff,
        0,
        0,
        0,
        0,
        0,
        0,
        0b0000_1000,
        0b1000_0000,
    ];
    let chunk = start(&counter(&[(0, 1)]));
    assert_eq!(chunk.bytes(), bytes);
    let h = &read(Encoding::Histogram, chunk.bytes())[0];
    assert_eq!(h.value, HistogramValue::Integer(counter(&[(0, 1)])));
}

#[test]
fn new_buckets_make_the_chunk_be_written_anew() {
    let mut chunk = start(&counter(&[(1, 5)]));
    assert!(append(&mut chunk, 10, &counter(&[(0, 2), (1, 6), (7, 1)])));
    assert!(append(&mut chunk, 20, &counter(&[(0, 2), (1, 9), (7, 1)])));
    let read = read(chunk.encoding(), chunk.bytes());
    let HistogramValue::Integer(first) = &read[0].value else { panic!("integers") };
    assert_eq!(first.positive_spans, spans(&[(0, 2), (5, 1)]));
    assert_eq!(first.positive_deltas, [0, 5, -5]);
    assert_eq!(first.counter_reset_hint, CounterResetHint::Unknown);
    let HistogramValue::Integer(last) = &read[2].value else { panic!("integers") };
    assert_eq!(last.positive_deltas, [2, 7, -8]);
    assert_eq!(last.counter_reset_hint, CounterResetHint::NotCounterReset);
}

#[test]
fn a_bucket_that_was_empty_may_be_left_out() {
    let mut chunk = start(&counter(&[(0, 0), (1, 5)]));
    assert!(append(&mut chunk, 10, &counter(&[(1, 5)])));
    assert!(append(&mut chunk, 20, &counter(&[(1, 6), (2, 1)])));
    assert_eq!(chunk.samples(), 3);
    assert!(!append(&mut chunk, 30, &counter(&[(1, 7)])), "bucket 2 had a count");
}

#[test]
fn what_needs_a_new_chunk_and_what_its_header_says() {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    let base = Histogram { zero_count: 2, count: 7, zero_threshold: 0.5, ..counter(&[(1, 5)]) };
    let custom = |bounds: &[f64]| Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: bounds.to_vec(),
        ..counter(&[(0, 1)])
    };
    let table = [
        (base.clone(), base.clone(), true, NotCounterReset),
        (base.clone(), Histogram { count: 6, ..base.clone() }, false, CounterReset),
        (base.clone(), Histogram { zero_count: 1, count: 8, ..base.clone() }, false, CounterReset),
        (base.clone(), Histogram { schema: 1, ..base.clone() }, false, Unknown),
        (base.clone(), Histogram { zero_threshold: 0.25, ..base.clone() }, false, Unknown),
        (base.clone(), Histogram { counter_reset_hint: CounterReset, ..base.clone() }, false, CounterReset),
        (base.clone(), Histogram { counter_reset_hint: Gauge, ..base.clone() }, false, Gauge),
        (Histogram { counter_reset_hint: Gauge, ..base.clone() }, base.clone(), false, Unknown),
        (base.clone(), Histogram { sum: STALE_NAN, ..Default::default() }, true, NotCounterReset),
        (Histogram { sum: STALE_NAN, ..Default::default() }, base.clone(), false, Unknown),
        (custom(&[1.0, 2.0]), custom(&[1.0, 2.0]), true, NotCounterReset),
        (custom(&[1.0, 2.0]), custom(&[1.0, 3.0]), false, CounterReset),
    ];
    for (number, (before, now, follows, hint)) in table.into_iter().enumerate() {
        let mut chunk = start(&before);
        let next = HistogramAppender::new(10, &HistogramValue::Integer(now.clone()), Some(&chunk));
        let header = header::Header::read(next.encoding(), next.bytes()).unwrap();
        assert_eq!(header.hint, hint, "row {number}");
        let bytes = chunk.bytes().to_vec();
        assert_eq!(append(&mut chunk, 10, &now), follows, "row {number}");
        assert!(follows || chunk.bytes() == bytes, "row {number}");
    }
    let mut integers = start(&base);
    assert!(!integers.append(10, &HistogramValue::Float(base.to_float())));
}

#[test]
fn gauges_go_down_and_lose_buckets() {
    let gauge = |buckets: &[(i32, u64)]| Histogram {
        counter_reset_hint: CounterResetHint::Gauge,
        ..counter(buckets)
    };
    let mut chunk = start(&gauge(&[(1, 5), (3, 1)]));
    assert!(append(&mut chunk, 10, &gauge(&[(2, 1)])));
    assert!(chunk.append_stale(20));
    assert!(!append(&mut chunk, 30, &gauge(&[(2, 1)])), "nothing follows a staleness marker");
    let read = read(chunk.encoding(), chunk.bytes());
    let HistogramValue::Integer(second) = &read[1].value else { panic!("integers") };
    assert_eq!(
        (second.counter_reset_hint, &second.positive_deltas[..]),
        (CounterResetHint::Gauge, &[0, 1, -1][..])
    );
    let HistogramValue::Integer(stale) = &read[2].value else { panic!("integers") };
    assert!(stale.is_stale() && stale.positive_spans.is_empty());
}

#[test]
fn schemas_of_newer_writers_are_reduced() {
    let fine = Histogram { schema: 10, ..counter(&[(1, 1), (4, 2), (5, 3)]) };
    let chunk = start(&fine);
    let read = read(chunk.encoding(), chunk.bytes());
    let HistogramValue::Integer(h) = &read[0].value else { panic!("integers") };
    assert_eq!((h.schema, &h.positive_deltas[..]), (8, &[3, 0][..]));
    let mut floats = Vec::new();
    decode_floats(chunk.encoding(), chunk.bytes(), 0, 0, &mut floats).unwrap();
    assert_eq!(floats[0].value.positive_buckets, [3.0, 3.0]);
}

#[test]
fn start_timestamps_are_read() {
    let mut bits = BitVec::with_header(3);
    let mut stream = Stream::<u64>::new(Default::default());
    let mut starts = StartTimes::default();
    let samples = [(1_000, 400), (2_000, 400), (3_000, 2_500), (4_000, 2_500), (5_000, 0)];
    for (index, (timestamp, start)) in (0..).zip(samples) {
        let previous = stream.timestamp;
        stream.put(&mut bits, timestamp, &Sample { count: index.into(), ..Default::default() });
        starts.put(&mut bits, index, start, timestamp, previous);
    }
    let mut bytes = bits.into_bytes();
    bytes[..3].copy_from_slice(&[0b0100_0000, 5, starts.header()]);
    for (encoding, is_read) in [(Encoding::HistogramSt, true), (Encoding::Histogram, false)] {
        let mut out = Vec::new();
        let result = decode_values(encoding, &bytes, i64::MIN, i64::MAX, &mut out);
        let read: Vec<_> = out.iter().map(|d| (d.timestamp, d.start_timestamp)).collect();
        assert_eq!((result.is_ok(), read == samples), (is_read, is_read));
    }
    assert_eq!(super::super::sample_count(Encoding::HistogramSt, &bytes), Ok(5));
}

#[test]
fn spans_that_the_bytes_cannot_hold_allocate_nothing() {
    let mut bits = BitVec::default();
    bits.put(0, 8); // zero threshold
    put_int(&mut bits, 0); // schema
    put_uint(&mut bits, 1); // spans
    put_uint(&mut bits, u32::MAX.into()); // buckets
    put_int(&mut bits, i64::from(i32::MIN)); // offset
    let mut bits = BitReader::new(bits.bytes(), 0);
    assert_eq!(layout::Layout::read(&mut bits), Err(ChunkError::Truncated));
}

/// What happens to a histogram from one sample to the next.
#[derive(Clone, Debug)]
enum Step {
    Observe(Vec<(i32, u64)>, u64),
    Reset,
    Schema(i32),
    Stale,
    Gauge(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let observed =
        prop::collection::vec((-20..20_i32, prop_oneof![0..5_u64, 0..1_000_000_000_000_u64]), 0..4);
    prop::collection::vec(
        prop_oneof![
            20 => (observed, 0..3_u64).prop_map(|(buckets, zero)| Step::Observe(buckets, zero)),
            1 => Just(Step::Reset),
            1 => (-4..=8_i32).prop_map(Step::Schema),
            1 => Just(Step::Stale),
            1 => any::<bool>().prop_map(Step::Gauge),
        ],
        1..60,
    )
}

/// The histograms of a life of steps.
fn life(steps: &[Step]) -> Vec<Histogram> {
    let (mut positive, mut negative, mut zero, mut schema, mut gauge) =
        (BTreeMap::<i32, u64>::new(), BTreeMap::<i32, u64>::new(), 0, 0, false);
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Observe(buckets, zeros) => {
                zero += zeros;
                for (index, count) in buckets {
                    let side = if index % 3 == 0 { &mut negative } else { &mut positive };
                    *side.entry(*index).or_default() += count;
                }
            }
            Step::Reset => {
                positive.clear();
                negative.clear();
                zero = 0;
            }
            Step::Schema(next) => schema = *next,
            Step::Gauge(is) => gauge = *is,
            Step::Stale => {
                out.push(Histogram { sum: STALE_NAN, ..Default::default() });
                continue;
            }
        }
        let list =
            |side: &BTreeMap<i32, u64>| counter(&side.iter().map(|(i, c)| (*i, *c)).collect::<Vec<_>>());
        let (above, below) = (list(&positive), list(&negative));
        out.push(Histogram {
            schema,
            zero_count: zero,
            zero_threshold: 0.001,
            count: zero + above.count + below.count,
            sum: above.sum - below.sum / 3.0,
            counter_reset_hint: if gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
            negative_spans: below.positive_spans,
            negative_deltas: below.positive_deltas,
            ..above
        });
    }
    out
}

/// As data: empty buckets and hints don't matter.
fn plain(value: &HistogramValue) -> FloatHistogram {
    let mut float = match value {
        HistogramValue::Integer(h) => h.to_float(),
        HistogramValue::Float(h) => h.clone(),
    };
    float.compact(0);
    float
}

fn is_same(a: &HistogramValue, b: &HistogramValue) -> bool {
    matches!(
        (a, b),
        (HistogramValue::Integer(_), HistogramValue::Integer(_))
            | (HistogramValue::Float(_), HistogramValue::Float(_))
    ) && plain(a).equals(&plain(b))
}

proptest! {
    #[test]
    fn what_was_appended_is_decoded(steps in steps(), floats: bool, reopen in 0..10_usize) {
        let values: Vec<HistogramValue> = life(&steps)
            .into_iter()
            .map(|h| if floats { HistogramValue::Float(h.to_float()) } else { HistogramValue::Integer(h) })
            .collect();
        let mut chunks: Vec<HistogramAppender> = Vec::new();
        for (number, value) in values.iter().enumerate() {
            let timestamp = number as i64 * 15_000 + (number as i64 % 3);
            let appended = match chunks.last_mut() {
                Some(open) => {
                    if number % 10 == reopen {
                        *open = HistogramAppender::resume(open.encoding(), open.bytes()).unwrap().unwrap();
                    }
                    open.append(timestamp, value)
                }
                None => false,
            };
            if !appended {
                let next = HistogramAppender::new(timestamp, value, chunks.last());
                chunks.push(next);
            }
            prop_assert!(is_same(&chunks.last().unwrap().last_value(), value));
        }
        let decoded: Vec<_> = chunks.iter().flat_map(|chunk| read(chunk.encoding(), chunk.bytes())).collect();
        prop_assert_eq!(decoded.len(), values.len());
        for (number, (decoded, value)) in decoded.iter().zip(&values).enumerate() {
            prop_assert_eq!(decoded.timestamp, number as i64 * 15_000 + (number as i64 % 3));
            prop_assert!(is_same(&decoded.value, value), "{:?} {:?}", decoded.value, value);
        }
        for chunk in &chunks {
            let mut as_floats = Vec::new();
            decode_floats(chunk.encoding(), chunk.bytes(), 20_000, 300_000, &mut as_floats).unwrap();
            let raw = read(chunk.encoding(), chunk.bytes());
            let inside: Vec<_> = raw.iter().filter(|d| (20_000..=300_000).contains(&d.timestamp)).collect();
            prop_assert_eq!(as_floats.len(), inside.len());
            for (float, raw) in as_floats.iter().zip(inside) {
                prop_assert!(plain(&HistogramValue::Float((*float.value).clone())).equals(&plain(&raw.value)));
            }
            // Counters never go down inside of a chunk.
            for pair in raw.windows(2) {
                let (before, now) = (plain(&pair[0].value), plain(&pair[1].value));
                let gauge = header::Header::read(chunk.encoding(), chunk.bytes()).unwrap().hint == CounterResetHint::Gauge;
                prop_assert!(gauge || now.is_stale() || before.is_stale() || !now.detect_reset(&before));
            }
        }
    }

    #[test]
    fn going_on_is_the_same_as_never_having_stopped(steps in steps(), stop in 0..60_usize) {
        let mut chunk: Option<HistogramAppender> = None;
        let mut stopped: Option<HistogramAppender> = None;
        for (number, h) in life(&steps).into_iter().enumerate() {
            let value = HistogramValue::Integer(h);
            if number == stop {
                stopped = chunk.as_ref().map(|c| HistogramAppender::resume(c.encoding(), c.bytes()).unwrap().unwrap());
            }
            for open in [&mut chunk, &mut stopped].into_iter().flatten() {
                if !open.append(number as i64, &value) {
                    *open = HistogramAppender::new(number as i64, &value, Some(open));
                }
            }
            chunk.get_or_insert_with(|| HistogramAppender::new(0, &value, None));
        }
        if let (Some(chunk), Some(stopped)) = (chunk, stopped) {
            prop_assert_eq!(chunk.bytes(), stopped.bytes());
        }
    }

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), mint: i64, maxt: i64) {
        for encoding in [Encoding::Histogram, Encoding::FloatHistogram, Encoding::HistogramSt, Encoding::FloatHistogramSt] {
            let _ = decode_values(encoding, &bytes, mint, maxt, &mut Vec::new());
            let _ = decode_floats(encoding, &bytes, mint, maxt, &mut Vec::new());
            let _ = HistogramAppender::resume(encoding, &bytes);
        }
    }

    #[test]
    fn damaged_chunks_are_read_or_refused(steps in steps(), at: prop::sample::Index, flip: u8) {
        let values = life(&steps);
        let mut chunk = start(&values[0]);
        for (number, h) in values.iter().enumerate().skip(1) {
            append(&mut chunk, number as i64, h);
        }
        let mut bytes = chunk.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode_values(Encoding::Histogram, &bytes, i64::MIN, i64::MAX, &mut Vec::new());
        if let Ok(Some(mut open)) = HistogramAppender::resume(Encoding::Histogram, &bytes) {
            append(&mut open, 99, &values[0]);
        }
    }
}
