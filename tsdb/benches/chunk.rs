//! How long a sample takes in a chunk: decoding, encoding, appending. The figures are per pass over a stream's
//! chunks; criterion's throughput is per sample.
//!
//! A stream has many chunks of 120 samples, so that the processor can't learn it by heart. Wall time is only good
//! for comparing streams of one run; for comparing code, count instructions:
//! `valgrind --tool=callgrind --branch-sim=yes target/release/deps/chunk-… --bench --profile-time 1 'xor counter$'`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use model::histogram::{Histogram, Span};
use model::storage::{HistogramValue, SampleColumns};
use tsdb::chunk::histogram::HistogramAppender;
use tsdb::chunk::{Encoding, decode_into, xor, xor2};

/// What Prometheus puts into a chunk.
const SAMPLES: usize = 120;
/// A day of samples every 15 s.
const CHUNKS: usize = 48;
/// Where time begins.
const START_MS: i64 = 1_700_000_000_000;
/// See `testdata/chunks/README.md`.
const NODE_EXPORTER: &[u8] = include_bytes!("../../testdata/chunks/node_exporter.xor");

/// A sequence of numbers that looks random and is the same every time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Chunks by their timestamps and values.
type Chunks = Vec<(Vec<i64>, Vec<f64>)>;

/// A stream of samples every 15 s, and up to `jitter_ms` later.
fn stream(samples: usize, jitter_ms: u64, mut next: impl FnMut(&mut Random) -> f64) -> Chunks {
    let (mut random, mut at_ms) = (Random(1), START_MS);
    let mut one = |random: &mut Random| {
        at_ms += 15_000;
        let late = if jitter_ms == 0 { 0 } else { random.next() % (jitter_ms + 1) };
        (at_ms + late as i64, next(random))
    };
    (0..CHUNKS).map(|_| (0..samples).map(|_| one(&mut random)).unzip()).collect()
}

/// The series of a node exporter that satisfy a condition.
fn node_exporter(is_wanted: impl Fn(&[f64]) -> bool) -> Chunks {
    let (mut chunks, mut rest) = (Vec::new(), NODE_EXPORTER);
    while let Some((len, after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(u16::from_be_bytes(*len)));
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        xor::decode_into(bytes, i64::MIN, i64::MAX, &mut timestamps, &mut values).expect("a good chunk");
        if is_wanted(&values) {
            chunks.push((timestamps, values));
        }
        rest = after;
    }
    chunks
}

/// The streams by name.
fn streams() -> Vec<(&'static str, Chunks)> {
    let (mut walk, mut count, mut gauge) = (100.0, 1e6, 3.0);
    let counter = |count: &mut f64, random: &mut Random| {
        *count += (random.next() % 100) as f64;
        *count
    };
    let steps = |values: &[f64]| values.windows(2).filter(|pair| pair[0] != pair[1]).count();
    vec![
        ("constant", stream(SAMPLES, 0, |_| 42.0)),
        ("constant of 1,200 samples", stream(10 * SAMPLES, 0, |_| 42.0)),
        (
            "mostly constant",
            stream(SAMPLES, 0, |random| {
                if random.next().is_multiple_of(10) {
                    gauge = (random.next() % 8) as f64;
                }
                gauge
            }),
        ),
        ("counter", stream(SAMPLES, 0, |random| counter(&mut count, random))),
        ("counter with jitter", stream(SAMPLES, 4, |random| counter(&mut count, random))),
        (
            "random walk",
            stream(SAMPLES, 0, |random| {
                walk += (random.next() % 2_000) as f64 / 1_000.0 - 1.0;
                walk
            }),
        ),
        ("node exporter", node_exporter(|_| true)),
        ("node exporter, what changes", node_exporter(|values| steps(values) > 0)),
        ("node exporter, what changes at most steps", node_exporter(|values| steps(values) > SAMPLES / 2)),
    ]
}

/// Measures decoding a list of chunks.
fn decode_chunks(
    criterion: &mut Criterion,
    name: &str,
    encoding: Encoding,
    chunks: &[Vec<u8>],
    samples: usize,
) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(samples as u64));
    let mut columns = SampleColumns::default();
    group.bench_function(name, |bench| {
        bench.iter(|| {
            columns.clear();
            for bytes in chunks {
                decode_into(encoding, black_box(bytes), i64::MIN, i64::MAX, &mut columns)
                    .expect("a good chunk");
            }
            columns.len()
        });
    });
}

fn decode(criterion: &mut Criterion) {
    for (name, chunks) in streams() {
        let samples = chunks.iter().map(|(timestamps, _)| timestamps.len()).sum();
        let bytes: Vec<Vec<u8>> = chunks.iter().map(|(t, v)| xor::encode(t, v)).collect();
        decode_chunks(criterion, &format!("xor {name}"), Encoding::Xor, &bytes, samples);
        let bytes: Vec<Vec<u8>> = chunks.iter().map(|(t, v)| xor2::encode(t, v, &[])).collect();
        decode_chunks(criterion, &format!("xor2 {name}"), Encoding::Xor2, &bytes, samples);
    }
}

/// Chunks of native histograms of twenty buckets, of which two grow with each sample.
fn histograms() -> Vec<HistogramAppender> {
    let mut random = Random(1);
    let mut buckets = [10_i64; 20];
    let mut at_ms = START_MS;
    let mut next = || {
        at_ms += 15_000;
        for _ in 0..2 {
            buckets[(random.next() % 20) as usize] += (random.next() % 5) as i64;
        }
        let mut before = 0;
        let deltas = buckets.iter().map(|count| count - std::mem::replace(&mut before, *count)).collect();
        let count = buckets.iter().sum::<i64>() as u64;
        let histogram = Histogram {
            schema: 3,
            count,
            sum: count as f64 * 0.37,
            positive_spans: vec![Span { offset: 0, length: 20 }],
            positive_deltas: deltas,
            ..Histogram::default()
        };
        (at_ms, HistogramValue::Integer(histogram))
    };
    let chunk = |_| {
        let (timestamp, value) = next();
        let mut appender = HistogramAppender::new(timestamp, &value, None);
        for _ in 1..SAMPLES {
            let (timestamp, value) = next();
            assert!(appender.append(timestamp, &value), "a histogram like the one before");
        }
        appender
    };
    (0..CHUNKS).map(chunk).collect()
}

fn decode_histograms(criterion: &mut Criterion) {
    let chunks = histograms();
    let encoding = chunks[0].encoding();
    let bytes: Vec<Vec<u8>> = chunks.iter().map(|chunk| chunk.bytes().to_vec()).collect();
    decode_chunks(criterion, "histogram of 20 buckets", encoding, &bytes, CHUNKS * SAMPLES);
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (name, chunks) in streams() {
        group.throughput(Throughput::Elements(chunks.iter().map(|(times, _)| times.len() as u64).sum()));
        let longest = chunks.iter().map(|(times, _)| times.len()).max().unwrap_or(0);
        group.bench_function(format!("xor {name}"), |bench| {
            bench.iter_batched_ref(
                || vec![0; xor::HEADER_BYTES + longest * xor::SAMPLE_BYTES_MAX],
                |buffer| {
                    for (timestamps, values) in &chunks {
                        let mut state = xor::AppendState::new();
                        for (timestamp, value) in timestamps.iter().zip(values) {
                            xor::append(&mut state, buffer, *timestamp, *value);
                        }
                        black_box(state);
                    }
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, decode, decode_histograms, append);
criterion_main!(benches);
