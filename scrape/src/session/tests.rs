use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use model::labels::Labels;
use model::storage::StorageError;
use model::time::{Clock, ManualClock};

use super::*;
use crate::config::{GlobalScrapeDefaults, ScrapeConfig};
use crate::target::{Discovered, build};

mod counting;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Accepts everything and keeps nothing.
#[derive(Debug, Default)]
struct Sink {
    series: AtomicU64,
    floats: AtomicU64,
}

impl Appender for Sink {
    fn commit(&self, batch: &Batch) -> Result<Committed, StorageError> {
        self.floats.fetch_add(batch.floats.len() as u64, Ordering::Relaxed);
        let next = |_: &Labels| {
            let series = self.series.fetch_add(1, Ordering::Relaxed) + 1;
            NonZeroU64::new(series).map(SeriesRef)
        };
        Ok(Committed { new_refs: batch.new_series.iter().map(next).collect(), rejected: Vec::new() })
    }
}

/// Allocations of the third scrape of a page with so many series.
fn allocations_of_a_known_page(series: usize) -> u64 {
    let config: ScrapeConfig = serde_saphyr::from_str("job_name: j").unwrap();
    let job = config.resolve(&GlobalScrapeDefaults::default()).unwrap();
    let own = Labels::from_pairs([("__address__", "a:1")]);
    let Ok(Discovered::Target(target)) = build(&job, &own, &Labels::empty()) else { panic!("no target") };
    let registry = prometheus::Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(0));
    let metrics = Metrics::register(&registry, &clock).unwrap();
    let sink = Sink::default();
    let context = Context { appender: &sink, job: &job, target: &target, metrics: &metrics };
    let mut session = Session::new(1, Arc::default());
    let mut scratch = Scratch::default();
    let mut counted = 0;
    for scrape in 0..3i64 {
        scratch.body.clear();
        scratch.body.extend_from_slice(b"# HELP metric What it is.\n# TYPE metric gauge\n");
        for i in 0..series {
            let line = format!("metric{{path=\"/a/b\",code=\"200\",id=\"{i}\"}} {}.5\n", i as i64 + scrape);
            scratch.body.extend_from_slice(line.as_bytes());
        }
        let before = counting::allocations();
        let outcome =
            session.append(&context, &mut scratch, scrape * 1000, Ok(Some(Format::Text)), Instant::now());
        counted = counting::allocations() - before;
        assert!(outcome.error.is_none());
    }
    assert_eq!(sink.floats.load(Ordering::Relaxed), 3 * (series as u64 + 5));
    counted
}

#[test]
fn a_known_series_allocates_nothing() {
    let few = allocations_of_a_known_page(10);
    let many = allocations_of_a_known_page(10_000);
    assert_eq!(few, many);
}
