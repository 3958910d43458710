//! How fast is the JSON of a range query written? 10,000 series of 1,000 points, as a large dashboard asks
//! for; whole numbers, fractions, and values that stay the same.

use std::hint::black_box;

use api::json::{JsonOut, Sink, write_query_value};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use model::labels::Labels;
use promql::value::{StepSeries, Steps, Value};

const SERIES: usize = 10_000;
const POINTS: usize = 1_000;

/// Counts bytes and drops them.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn take(&mut self, mut chunk: Vec<u8>) -> Option<Vec<u8>> {
        self.0 += chunk.len() as u64;
        chunk.clear();
        Some(chunk)
    }
}

fn matrix(value: impl Fn(usize, usize) -> f64) -> Value {
    let steps = Steps { start_ms: 1_435_781_430_781, step_ms: 15_000, count: POINTS };
    let series = (0..SERIES).map(|series| StepSeries {
        labels: Labels::from_pairs([
            ("__name__", "requests_total"),
            ("instance", format!("host-{series}").as_str()),
        ]),
        values: (0..POINTS).map(|point| value(series, point)).collect(),
        ..StepSeries::default()
    });
    Value::Range { steps, series: series.collect() }
}

fn encoded(value: Value) -> u64 {
    let mut sink = Count::default();
    let mut out = JsonOut::new(Vec::new(), &mut sink);
    out.open_object();
    write_query_value(&mut out, value);
    out.close_object();
    let rest = out.into_rest().len() as u64;
    sink.0 + rest
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    group.sample_size(10);
    for (name, value) in [
        ("whole numbers", matrix(|series, point| (series * 17 + point * 3) as f64)),
        ("fractions", matrix(|series, point| (series as f64 + 0.1) / (point as f64 + 3.7))),
        ("constants", matrix(|series, _| series as f64 * 0.37)),
    ] {
        group.throughput(Throughput::Bytes(encoded(value.clone())));
        group.bench_function(name, |b| {
            b.iter_batched(
                || value.clone(),
                |value| black_box(encoded(value)),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
