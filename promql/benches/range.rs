//! How long range queries take over samples in memory: the engine alone, without a storage's decoding.
//!
//! 10,000 series of counters at 15 s. Figures of one machine are worth something only beside each other.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use model::cancel::Cancel;
use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::storage::{
    LabelColumn, Querier, Queryable, SampleColumns, SampleValue, SelectHints, SeriesSet, StorageError,
};
use promql::engine::{Engine, EngineOptions, QueryRequest};

const SERIES: usize = 10_000;
const INTERVAL_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
/// Samples of six hours.
const SAMPLES: usize = (6 * HOUR_MS / INTERVAL_MS) as usize;

/// Series as flat columns, all with the same timestamps.
#[derive(Debug)]
struct Flat {
    timestamps: Vec<i64>,
    series: Vec<(Labels, Vec<f64>)>,
}

impl Flat {
    fn new() -> Self {
        let timestamps = (0..SAMPLES as i64).map(|i| i * INTERVAL_MS).collect();
        let series = (0..SERIES)
            .map(|i| {
                let (instance, le) = (format!("host-{:03}", i / 100), format!("{}", i % 10));
                let pod = format!("pod-{}", i % 100);
                let labels = [
                    ("__name__", "x_total"),
                    ("instance", &instance),
                    ("job", "node"),
                    ("le", &le),
                    ("pod", &pod),
                ];
                let values = (0..SAMPLES).map(|s| ((s * (i % 7 + 1)) % 1_000) as f64).collect();
                (Labels::from_pairs(labels), values)
            })
            .collect();
        Flat { timestamps, series }
    }
}

/// What a query sees of it.
#[derive(Debug)]
struct View(Arc<Flat>, Vec<usize>);

#[derive(Clone, Debug)]
struct Shared(Arc<Flat>);

impl Queryable for Shared {
    fn querier(&self, _: i64, _: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(self.clone()))
    }
}

impl Querier for Shared {
    fn select(&self, matchers: &[Matcher], _: &SelectHints) -> Result<Box<dyn SeriesSet>, StorageError> {
        let selected = (0..self.0.series.len()).filter(|i| all_match(matchers, &self.0.series[*i].0));
        Ok(Box::new(View(Arc::clone(&self.0), selected.collect())))
    }

    fn label_names(&self, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for View {
    fn len(&self) -> usize {
        self.1.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.0.series[self.1[series]].0.clone()
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        let mut ids: HashMap<&str, u32> = HashMap::from([("", 0)]);
        let mut column = LabelColumn { values: vec![Cow::Borrowed("")], ids: Vec::new() };
        for series in &self.1 {
            let value = self.0.series[*series].0.value(name);
            let next = column.values.len() as u32;
            column.ids.push(*ids.entry(value).or_insert_with(|| {
                column.values.push(Cow::Borrowed(value));
                next
            }));
        }
        column
    }

    fn read(&self, series: usize, mint: i64, maxt: i64, out: &mut SampleColumns) -> Result<(), StorageError> {
        let first = self.0.timestamps.partition_point(|t| *t < mint);
        let last = self.0.timestamps.partition_point(|t| *t <= maxt);
        out.timestamps.extend_from_slice(&self.0.timestamps[first..last]);
        out.values.extend_from_slice(&self.0.series[self.1[series]].1[first..last]);
        Ok(())
    }

    fn last(&self, series: usize, mint: i64, maxt: i64) -> Result<Option<(i64, SampleValue)>, StorageError> {
        let newest = self.0.timestamps.partition_point(|t| *t <= maxt).checked_sub(1);
        let newest = newest.filter(|i| self.0.timestamps[*i] >= mint);
        Ok(newest.map(|i| (self.0.timestamps[i], SampleValue::Float(self.0.series[self.1[series]].1[i]))))
    }
}

fn queries(criterion: &mut Criterion) {
    let storage = Shared(Arc::new(Flat::new()));
    let mut group = criterion.benchmark_group("range");
    group.sample_size(10);
    for query in [
        "sum by (instance) (rate(x_total[5m]))",
        "histogram_quantile(0.99, sum by (le, job) (rate(x_total[5m])))",
        "topk(5, x_total)",
        "x_total * on (instance) group_left max by (instance) (x_total)",
        "max_over_time(rate(x_total{instance=~\"host-00.\"}[5m])[1h:1m])",
        "avg_over_time(x_total[5m])",
    ] {
        for threads in [1, 2] {
            let engine = Engine::new(EngineOptions { threads, ..EngineOptions::default() });
            let request = QueryRequest::range(query, HOUR_MS, 6 * HOUR_MS, 60_000);
            group.bench_function(BenchmarkId::new(query, threads), |bencher| {
                bencher.iter(|| black_box(engine.query(&storage, &request)).expect("a valid query"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
