//! How long a sample takes in a chunk of 120: decoding, encoding, appending. The figures are per chunk;
//! criterion's throughput is per sample.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tsdb::chunk::{xor, xor2};

/// What Prometheus puts into a chunk.
const SAMPLES: usize = 120;

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

/// The streams by name: timestamps and values.
fn streams() -> Vec<(&'static str, Vec<i64>, Vec<f64>)> {
    let mut random = Random(1);
    let regular: Vec<i64> = (0..SAMPLES as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let jitter: Vec<i64> = regular.iter().map(|t| t + (random.next() % 5) as i64).collect();
    let mut walk = 100.0;
    let walk: Vec<f64> = regular
        .iter()
        .map(|_| {
            walk += (random.next() % 2_000) as f64 / 1_000.0 - 1.0;
            walk
        })
        .collect();
    let mut count = 1e6;
    let counter: Vec<f64> = regular
        .iter()
        .map(|_| {
            count += (random.next() % 100) as f64;
            count
        })
        .collect();
    let mut gauge = 3.0;
    let mostly_constant: Vec<f64> = regular
        .iter()
        .map(|_| {
            if random.next().is_multiple_of(10) {
                gauge = (random.next() % 8) as f64;
            }
            gauge
        })
        .collect();
    vec![
        ("constant", regular.clone(), vec![42.0; SAMPLES]),
        ("mostly constant", regular.clone(), mostly_constant),
        ("counter", regular.clone(), counter.clone()),
        ("counter with jitter", jitter, counter),
        ("random walk", regular, walk),
    ]
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (name, timestamps, values) in streams() {
        let bytes = xor::encode(&timestamps, &values);
        let (mut ts, mut vs) = (Vec::new(), Vec::new());
        group.bench_function(format!("xor {name}"), |b| {
            b.iter(|| {
                ts.clear();
                vs.clear();
                xor::decode_into(black_box(&bytes), i64::MIN, i64::MAX, &mut ts, &mut vs)
            });
        });
        let bytes = xor2::encode(&timestamps, &values, &[]);
        let mut starts = Vec::new();
        group.bench_function(format!("xor2 {name}"), |b| {
            b.iter(|| {
                ts.clear();
                vs.clear();
                xor2::decode_into(black_box(&bytes), i64::MIN, i64::MAX, &mut ts, &mut vs, &mut starts)
            });
        });
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (name, timestamps, values) in streams() {
        let mut buffer = [0; SAMPLES * xor::SAMPLE_BYTES_MAX];
        group.bench_function(format!("xor {name}"), |b| {
            b.iter(|| {
                let mut state = xor::AppendState::new();
                for (timestamp, value) in timestamps.iter().zip(&values) {
                    xor::append(&mut state, &mut buffer, *timestamp, *value);
                }
                state
            });
        });
    }
}

criterion_group!(benches, decode, append);
criterion_main!(benches);
