//! Exemplars: the newest of all series, in one ring.

use std::collections::VecDeque;

use hashbrown::HashMap;
use model::exemplar::{Exemplar, LABEL_CHARS_MAX};
use model::labels::Labels;
use model::matcher::{Matcher, all_match};
use model::storage::{AppendError, Batch, BatchList, Committed, SeriesKey, StorageError};
use model::time::TimestampMs;

use super::append::{NewSeries, Reject};
use super::series::Record;
use super::shard::shard_of;
use super::{Head, split_ref};
use crate::wal::record::{SectionKind, put_exemplars, put_section};

/// An exemplar with the labels of its series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) series: Labels,
    pub(crate) labels: Labels,
    pub(crate) timestamp: TimestampMs,
    pub(crate) value: f64,
}

impl Stored {
    /// Whether it comes before another one of its series: by time, then value, then labels.
    fn precedes(&self, other: &Stored) -> bool {
        let order = self.timestamp.cmp(&other.timestamp).then(self.value.total_cmp(&other.value));
        order.then_with(|| self.labels.cmp(&other.labels)).is_lt()
    }
}

/// Exemplars that a commit adds.
#[derive(Debug, Default)]
pub(super) struct Accepted(Vec<Stored>);

impl Accepted {
    /// Appends a section, unless there is none.
    pub(super) fn put(&self, record: &mut Vec<u8>) {
        if !self.0.is_empty() {
            put_section(record, SectionKind::Exemplars, 0, |out| put_all(out, self.0.iter(), self.0.len()));
        }
    }
}

fn put_all<'a>(out: &mut Vec<u8>, stored: impl Iterator<Item = &'a Stored>, count: usize) {
    put_exemplars(out, count, stored.map(|e| (&e.series, &e.labels, e.timestamp, e.value)));
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Exemplars {
    capacity: usize,
    ring: VecDeque<Stored>,
    /// For each series the newest, and how many are in the ring.
    series: HashMap<Labels, (Stored, usize)>,
}

impl Exemplars {
    /// A ring of so many; 0 keeps none.
    pub(crate) fn new(capacity: usize) -> Self {
        Exemplars { capacity, ..Exemplars::default() }
    }

    /// Changes how many are kept; the oldest go.
    pub(crate) fn resize(&mut self, capacity: usize) {
        self.capacity = capacity;
        while self.ring.len() > capacity {
            self.drop_oldest();
        }
    }

    /// Adds one, which is newer than those of its series.
    pub(crate) fn add(&mut self, stored: Stored) {
        if self.capacity == 0 {
            return;
        }
        if self.ring.len() == self.capacity {
            self.drop_oldest();
        }
        match self.series.get_mut(&stored.series) {
            Some((newest, count)) => {
                *newest = stored.clone();
                *count += 1;
            }
            None => drop(self.series.insert(stored.series.clone(), (stored.clone(), 1))),
        }
        self.ring.push_back(stored);
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.ring.pop_front() else { return };
        if let Some((_, count)) = self.series.get_mut(&oldest.series) {
            *count -= 1;
            if *count == 0 {
                self.series.remove(&oldest.series);
            }
        }
    }

    pub(super) fn extend(&mut self, accepted: Accepted) {
        accepted.0.into_iter().for_each(|stored| self.add(stored));
    }

    /// Adds one of an earlier run, unless it is there.
    pub(crate) fn replay(&mut self, stored: Stored) {
        if self.check(&stored).is_ok() {
            self.add(stored);
        }
    }

    fn check(&self, stored: &Stored) -> Result<(), AppendError> {
        match self.series.get(&stored.series) {
            Some((newest, _)) if newest == stored => Err(AppendError::DuplicateExemplar),
            Some((newest, _)) if !newest.precedes(stored) => Err(AppendError::OutOfOrderExemplar),
            _ => Ok(()),
        }
    }

    /// Number of exemplars, and of series that have some.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.ring.len(), self.series.len())
    }

    /// The oldest exemplar's time.
    pub(crate) fn oldest(&self) -> Option<TimestampMs> {
        self.ring.front().map(|stored| stored.timestamp)
    }

    /// Writes all as the body of a section.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_all(out, self.ring.iter(), self.ring.len());
    }

    /// Those in `[mint, maxt]` of the series that satisfy one of the selectors, by series in order of labels.
    pub(crate) fn select(
        &self,
        selectors: &[Vec<Matcher>],
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let mut found: HashMap<&Labels, Option<Vec<Exemplar>>> = HashMap::new();
        for stored in self.ring.iter().filter(|stored| (mint..=maxt).contains(&stored.timestamp)) {
            let list = found.entry(&stored.series).or_insert_with(|| {
                selectors.iter().any(|matchers| all_match(matchers, &stored.series)).then(Vec::new)
            });
            if let Some(list) = list {
                list.push(Exemplar {
                    labels: stored.labels.clone(),
                    value: stored.value,
                    timestamp_ms: Some(stored.timestamp),
                });
            }
        }
        let found = found.into_iter().filter_map(|(series, list)| Some((series.clone(), list?)));
        let mut found: Vec<_> = found.collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

impl Head {
    /// The labels that the exemplars of a batch have as their series; `None` if there is no such series.
    pub(super) fn exemplar_series(&self, batch: &Batch) -> Vec<Option<Labels>> {
        let index = self.index.read();
        let labels = |series: &SeriesKey| match series {
            SeriesKey::New(at) => batch.new_series.get(*at as usize).cloned(),
            SeriesKey::Known(series) => {
                let (id, generation) = split_ref(*series);
                let shard = self.shards[shard_of(id)].lock();
                let record = shard.record(id);
                let same = u64::from(record.generation) == generation && record.has(Record::LIVE);
                same.then(|| index.labels(id))
            }
        };
        batch.exemplars.iter().map(|(series, _)| labels(series)).collect()
    }

    /// Logs and adds exemplars of another store, but for those that are there already.
    pub(crate) fn import_exemplars(&self, exemplars: &[Stored]) -> Result<(), StorageError> {
        let mut ring = self.exemplars.lock();
        let mut record = Vec::new();
        put_section(&mut record, SectionKind::Exemplars, 0, |out| {
            put_all(out, exemplars.iter(), exemplars.len());
        });
        self.wal.append(&record)?;
        exemplars.iter().cloned().for_each(|stored| ring.replay(stored));
        Ok(())
    }

    /// Checks the exemplars of a batch.
    pub(super) fn check_exemplars(
        &self,
        batch: &Batch,
        series: &[Option<Labels>],
        new: &NewSeries,
        committed: &mut Committed,
    ) -> Accepted {
        let mut accepted: Vec<Stored> = Vec::new();
        if batch.exemplars.is_empty() {
            return Accepted(accepted);
        }
        let ring = self.exemplars.lock();
        for (at, ((key, exemplar), labels)) in batch.exemplars.iter().zip(series).enumerate() {
            let unknown =
                matches!(key, SeriesKey::New(at) if new.ids.get(*at as usize).is_none_or(|id| id.is_none()));
            let (Some(labels), false) = (labels, unknown) else {
                committed.reject(BatchList::Exemplars, at, AppendError::UnknownSeries);
                continue;
            };
            let Some(timestamp) = exemplar.timestamp_ms else {
                committed.reject(BatchList::Exemplars, at, AppendError::OutOfOrderExemplar);
                continue;
            };
            let (series, labels, value) = (labels.clone(), exemplar.labels.clone(), exemplar.value);
            let stored = Stored { series, labels, timestamp, value };
            let before = accepted.iter().rev().find(|other| other.series == stored.series);
            let checked = match before {
                _ if label_chars(&stored.labels) > LABEL_CHARS_MAX => Err(AppendError::ExemplarLabelLength),
                Some(before) if *before == stored => Err(AppendError::DuplicateExemplar),
                Some(before) if !before.precedes(&stored) => Err(AppendError::OutOfOrderExemplar),
                Some(_) => Ok(()),
                None => ring.check(&stored),
            };
            match checked {
                Ok(()) => accepted.push(stored),
                Err(error) => {
                    if error == AppendError::OutOfOrderExemplar {
                        self.metrics.exemplars_out_of_order.inc();
                    }
                    committed.reject(BatchList::Exemplars, at, error);
                }
            }
        }
        self.metrics.exemplars_appended.inc_by(accepted.len() as u64);
        Accepted(accepted)
    }
}

fn label_chars(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_of_all_series() {
        let mut ring = Exemplars::new(3);
        let series = |name: &str| Labels::from_pairs([("s", name)]);
        for (name, timestamp) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
            let stored = Stored { series: series(name), labels: Labels::empty(), timestamp, value: 1.0 };
            assert_eq!(ring.check(&stored), Ok(()));
            ring.add(stored);
        }
        assert_eq!((ring.counts(), ring.oldest()), ((3, 2), Some(2)));
        let found = ring.select(&[vec![Matcher::equal("s", "a")]], 0, 3);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.iter().map(|e| e.timestamp_ms).collect::<Vec<_>>(), [Some(3)]);
        let old = Stored { series: series("a"), labels: Labels::empty(), timestamp: 4, value: 1.0 };
        assert_eq!(ring.check(&old), Err(AppendError::DuplicateExemplar));
        assert_eq!(ring.check(&Stored { value: 0.5, ..old }), Err(AppendError::OutOfOrderExemplar));
        ring.resize(1);
        assert_eq!(ring.counts(), (1, 1));
    }
}
