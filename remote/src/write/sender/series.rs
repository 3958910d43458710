//! The series of the log as the endpoint sees them: with external labels, relabelled, or not at all.
//!
//! Relabelling runs once for a series that is active. What isn't asked for during a whole generation is
//! forgotten, and made again if need be.

use std::time::{Duration, Instant};

use hashbrown::HashMap;
use model::labels::{Labels, LabelsBuilder};
use model::log::{LogFollower, LogSeries};
use model::relabel;

/// The age at which a generation is followed by the next: longer than most scrape intervals.
const GENERATION: Duration = Duration::from_secs(10 * 60);

/// What becomes of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Sent {
    /// It goes to the endpoint under these labels, whose hash is that.
    As(Labels, u64),
    /// Relabelling drops it.
    Dropped,
    /// Nobody knows its labels.
    Unknown,
}

/// See the module.
#[derive(Debug)]
pub(super) struct SeriesCache {
    external_labels: Labels,
    rules: Vec<relabel::Config>,
    young: HashMap<LogSeries, Sent>,
    old: HashMap<LogSeries, Sent>,
    since: Instant,
}

impl SeriesCache {
    pub(super) fn new(external_labels: Labels, rules: Vec<relabel::Config>) -> Self {
        SeriesCache {
            external_labels,
            rules,
            young: HashMap::new(),
            old: HashMap::new(),
            since: Instant::now(),
        }
    }

    /// Begins another generation when it is time.
    pub(super) fn age(&mut self) {
        if self.since.elapsed() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.since = Instant::now();
        }
    }

    /// Forgets a series whose number will be another's.
    pub(super) fn remove(&mut self, series: LogSeries) {
        self.young.remove(&series);
        self.old.remove(&series);
    }

    /// What becomes of a series of the commit that the follower is at.
    pub(super) fn get(&mut self, series: LogSeries, follower: &dyn LogFollower) -> &Sent {
        let SeriesCache { young, old, external_labels, rules, .. } = self;
        young.entry(series).or_insert_with(|| {
            old.remove(&series).unwrap_or_else(|| match follower.labels(series) {
                Some(labels) => relabelled(labels, external_labels, rules),
                None => Sent::Unknown,
            })
        })
    }

    /// What becomes of a series that is known by its labels.
    pub(super) fn of_labels(&self, labels: Labels) -> Sent {
        relabelled(labels, &self.external_labels, &self.rules)
    }
}

fn relabelled(labels: Labels, external_labels: &Labels, rules: &[relabel::Config]) -> Sent {
    let labels = if external_labels.is_empty() && rules.is_empty() {
        labels
    } else {
        let mut builder = LabelsBuilder::from_labels(&labels);
        for (name, value) in external_labels {
            if !labels.has(name) {
                builder.set(name, value);
            }
        }
        if !relabel::process(rules, &mut builder) || builder.is_empty() {
            return Sent::Dropped;
        }
        builder.build()
    };
    let hash = labels.stable_hash();
    Sent::As(labels, hash)
}
