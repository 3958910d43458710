//! What each operator of a query did: counted for `EXPLAIN` with analyse.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::labels::Labels;
use model::storage::{LabelColumn, SampleColumns};

use super::Evaluated;
use super::scratch::Scratch;
use super::source::{RangeSource, Source};
use crate::column::Column;
use crate::engine::QueryError;
use crate::plan::Node;

/// Counters of one operator, what its inputs did included in its time.
#[derive(Debug, Default)]
pub(crate) struct OperatorCounters {
    series: AtomicU64,
    reads: AtomicU64,
    samples: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
}

/// What was counted of one operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct OperatorStats {
    /// Series that it yields.
    pub series: u64,
    /// How often a series was read.
    pub reads: u64,
    /// Samples that were read.
    pub samples: u64,
    /// Bytes that they took.
    pub bytes: u64,
    /// Time spent in it and below it, in nanoseconds, on all threads together.
    pub nanos: u64,
}

/// Counters of all operators of a plan.
#[derive(Debug)]
pub(crate) struct Profile {
    operators: Vec<Arc<OperatorCounters>>,
}

impl Profile {
    /// For a plan of so many operators.
    pub(crate) fn new(operators: usize) -> Self {
        Profile { operators: (0..operators).map(|_| Arc::default()).collect() }
    }

    /// Counts what the node's value does from now on. It took so long to make.
    pub(crate) fn watch<'q>(&self, node: &Node, value: Evaluated<'q>, took: Duration) -> Evaluated<'q> {
        let counters = Arc::clone(&self.operators[node.id]);
        counters.nanos.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        match value {
            Evaluated::Vector(inner) => {
                counters.series.fetch_add(inner.len() as u64, Ordering::Relaxed);
                Evaluated::Vector(Box::new(Watched { inner, counters }))
            }
            Evaluated::Range(inner) => {
                counters.series.fetch_add(inner.len() as u64, Ordering::Relaxed);
                Evaluated::Range(Box::new(WatchedRange { inner, counters }))
            }
            other => other,
        }
    }

    /// What was counted, by the operators' numbers.
    pub(crate) fn stats(&self) -> Vec<OperatorStats> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stats = |counters: &Arc<OperatorCounters>| OperatorStats {
            series: load(&counters.series),
            reads: load(&counters.reads),
            samples: load(&counters.samples),
            bytes: load(&counters.bytes),
            nanos: load(&counters.nanos),
        };
        self.operators.iter().map(stats).collect()
    }
}

impl OperatorCounters {
    fn count(&self, started: Instant, samples: u64, bytes: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.nanos.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

struct Watched<'q> {
    inner: Box<dyn Source + 'q>,
    counters: Arc<OperatorCounters>,
}

impl Source for Watched<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.inner.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.inner.label_column(name)
    }

    fn drops_name(&self, series: usize) -> bool {
        self.inner.drops_name(series)
    }

    fn unique_without_metadata(&self) -> bool {
        self.inner.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut Column) -> Result<(), QueryError> {
        let started = Instant::now();
        self.inner.read(series, scratch, out)?;
        self.counters.count(started, out.samples(), out.bytes());
        Ok(())
    }
}

struct WatchedRange<'q> {
    inner: Box<dyn RangeSource + 'q>,
    counters: Arc<OperatorCounters>,
}

/// A timestamp and a float.
const SAMPLE_BYTES: u64 = 16;

impl RangeSource for WatchedRange<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(&self, series: usize) -> Labels {
        self.inner.labels(series)
    }

    fn label_column(&self, name: &str) -> LabelColumn<'_> {
        self.inner.label_column(name)
    }

    fn common_name(&self) -> Option<&str> {
        self.inner.common_name()
    }

    fn drops_name(&self, series: usize) -> bool {
        self.inner.drops_name(series)
    }

    fn unique_without_metadata(&self) -> bool {
        self.inner.unique_without_metadata()
    }

    fn cost(&self) -> usize {
        self.inner.cost()
    }

    fn read(&self, series: usize, scratch: &mut Scratch, out: &mut SampleColumns) -> Result<(), QueryError> {
        let started = Instant::now();
        self.inner.read(series, scratch, out)?;
        let samples = out.len() as u64;
        self.counters.count(started, samples, samples * SAMPLE_BYTES);
        Ok(())
    }
}
