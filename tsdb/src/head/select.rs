//! Selections: series of the head as of one moment.
//!
//! A selection is made in three steps, of which only the second keeps commits waiting:
//!
//! 1. *Search*: the ids of the series that the matchers select.
//! 2. *Note*, with the gate held exclusively, so that no commit is half done: the newest sample of each series,
//!    and what it has out of order. Series that were added since the search are checked too.
//! 3. *Copy*, page after page: the lists of full chunks, and the bytes of the open chunk.
//!
//! What is copied may be newer than the moment, but reading ends at the newest sample that was noted, and that
//! is right:
//!
//! - Samples come in order within a series: those of later commits are after the noted one, those of earlier
//!   commits aren't. Ending a chunk and beginning another changes nothing about that, because the chunk that
//!   was open then is found in the list of full ones.
//! - Samples out of order are shared copy-on-write, so that what was noted stays as it was.
//! - Deletions are the tombstones of the moment. They hold the gate.
//! - A series is truncated or removed only after its samples are in a block. Whoever selects holds the list of
//!   blocks until the copy is done: either the block is on it, or the truncation comes later. That a series is
//!   the one that was noted shows in its generation.
//!
//! Full chunks are read from their files when their series is read. Labels are copied as symbols, whose texts
//! stay as long as a selection may name them.

use std::sync::Arc;

use model::cancel::Cancel;
use model::matcher::Matcher;
use model::storage::{SelectHints, Selection, StorageError};
use model::time::TimestampMs;

use super::Head;
use super::index::{Index, IndexVersion};
use super::out_of_order::LateSamples;
use super::read::{HeadSeries, Selected};
use super::series::{Kind, Record};
use super::shard::{Shard, shard_of};
use super::symbols::SymbolReader;
use crate::error::check;
use crate::select::{postings_for_matchers, retain_by_labels};

/// More open chunks than this in one selection are refused; offsets in them are 32 bits wide.
const SELECTION_BYTES_MAX: usize = u32::MAX as usize - (64 << 20);
/// After so many searches that were out of date at once, the next one keeps commits waiting.
const SEARCHES_MAX: usize = 3;

/// A series as of the moment of a selection.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    pub(super) id: u32,
    generation: u16,
    /// Of the newest sample in order.
    pub(super) kind: Kind,
    /// The newest sample in order, or what is before all time.
    pub(super) newest: (TimestampMs, f64),
    /// What came out of order.
    pub(super) late: Option<Arc<LateSamples>>,
}

impl Noted {
    /// A series of which nothing is known yet.
    fn blank(id: u32) -> Self {
        Noted { id, generation: 0, kind: Kind::None, newest: (i64::MIN, 0.0), late: None }
    }

    fn note(&mut self, shard: &Shard) {
        let record = shard.record(self.id);
        self.generation = record.generation;
        self.kind = record.kind;
        if record.kind != Kind::None {
            self.newest = (record.xor.last_timestamp(), record.xor.last_value());
        }
        if !shard.late.is_empty() {
            self.late = shard.late.get(&self.id).map(Arc::clone);
        }
    }
}

/// What a search found.
struct Found {
    /// For each selection its series, ascending; none if the head had no samples in its range.
    series: Vec<Option<Vec<Noted>>>,
    version: IndexVersion,
    symbols: SymbolReader,
}

impl Head {
    /// For each selection the series that satisfy its matchers and may have samples in its time range; all as
    /// of one moment.
    pub(crate) fn select_all(
        self: &Arc<Self>,
        selections: &[Selection<'_>],
    ) -> Result<Vec<HeadSeries>, StorageError> {
        let (found, mut sets) = self.note(selections)?;
        for ((selection, noted), set) in selections.iter().zip(found.series).zip(&mut sets) {
            self.copy(noted.unwrap_or_default(), &selection.hints, set)?;
        }
        Ok(sets)
    }

    fn search(&self, selections: &[Selection<'_>]) -> Result<Found, StorageError> {
        let index = self.index.read();
        let mut series = Vec::with_capacity(selections.len());
        for Selection { matchers, hints } in selections {
            series.push(if self.overlaps(hints) {
                let ids = postings_for_matchers(&*index, matchers, &hints.cancel)?;
                Some(ids.into_iter().map(Noted::blank).collect())
            } else {
                None
            });
        }
        Ok(Found { series, version: index.version(), symbols: index.symbol_reader() })
    }

    /// Whether there may be samples in the range.
    fn overlaps(&self, hints: &SelectHints) -> bool {
        self.bounds.range_with_late().is_some_and(|(min, max)| min <= hints.maxt && max >= hints.mint)
    }

    /// Searches, and notes the series of the moment; the sets are empty.
    fn note(
        self: &Arc<Self>,
        selections: &[Selection<'_>],
    ) -> Result<(Found, Vec<HeadSeries>), StorageError> {
        let mut searches = 0;
        loop {
            let mut found = self.search(selections)?;
            searches += 1;
            let _gate = self.gate.write();
            if !self.bring_up_to_date(selections, &mut found)? {
                if searches < SEARCHES_MAX {
                    continue;
                }
                found = self.search(selections)?;
            }
            let tombstones = Arc::clone(&self.tombstones.read());
            let mut sets = Vec::with_capacity(selections.len());
            for (Selection { hints, .. }, series) in selections.iter().zip(&mut found.series) {
                let mut set = HeadSeries::new(self, &tombstones, &found.symbols, &hints.cancel);
                self.note_series(series.as_deref_mut().unwrap_or_default(), &mut set, &hints.cancel)?;
                sets.push(set);
            }
            return Ok((found, sets));
        }
    }

    fn note_series(
        &self,
        series: &mut [Noted],
        set: &mut HeadSeries,
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        for page in series.chunk_by_mut(|a, b| shard_of(a.id) == shard_of(b.id)) {
            check(cancel)?;
            let shard = self.shards[shard_of(page[0].id)].lock();
            for noted in page {
                noted.note(&shard);
                let late = noted.late.iter().flat_map(|late| &late.sealed);
                late.for_each(|chunk| set.reader.cover(&self.chunks, chunk.location));
            }
        }
        Ok(())
    }

    /// Adds the series that came since the search; `false` if that can't be told. Whoever calls holds the gate.
    fn bring_up_to_date(
        &self,
        selections: &[Selection<'_>],
        found: &mut Found,
    ) -> Result<bool, StorageError> {
        let mut series = found.series.iter().zip(selections);
        if series.any(|(series, Selection { hints, .. })| series.is_none() && self.overlaps(hints)) {
            return Ok(false);
        }
        let index = self.index.read();
        let Some(added) = index.added_since(found.version) else { return Ok(false) };
        let added: Vec<u32> = added.collect();
        for (series, Selection { matchers, hints }) in found.series.iter_mut().zip(selections) {
            let Some(series) = series.as_mut().filter(|_| !added.is_empty()) else { continue };
            let mut ids = added.clone();
            let matchers: Vec<&Matcher> = matchers.iter().collect();
            retain_by_labels(&*index, &mut ids, &matchers, &hints.cancel)?;
            series.extend(ids.into_iter().map(Noted::blank));
            series.sort_unstable_by_key(|noted| noted.id);
        }
        Ok(true)
    }

    /// Fills a set with what was noted, as far as it may have samples in the range.
    fn copy(&self, noted: Vec<Noted>, hints: &SelectHints, set: &mut HeadSeries) -> Result<(), StorageError> {
        let mut noted = noted.into_iter().peekable();
        while let Some(first) = noted.peek() {
            check(&hints.cancel)?;
            let number = shard_of(first.id);
            let index = self.index.read();
            let shard = self.shards[number].lock();
            while let Some(noted) = noted.next_if(|noted| shard_of(noted.id) == number) {
                if hints.limit > 0 && set.series.len() == hints.limit {
                    return Ok(());
                }
                self.copy_series(&index, &shard, noted, hints, set);
            }
            if set.open_bytes.len() > SELECTION_BYTES_MAX {
                return Err(StorageError::Limit("selection takes more than 4 GiB of open chunks".to_owned()));
            }
        }
        Ok(())
    }

    /// Adds a series to a set, if it may have samples in the range.
    fn copy_series(
        &self,
        index: &Index,
        shard: &Shard,
        noted: Noted,
        hints: &SelectHints,
        set: &mut HeadSeries,
    ) {
        let record = shard.record(noted.id);
        if !record.has(Record::LIVE) || record.generation != noted.generation {
            return;
        }
        let (mint, maxt) = (hints.mint, hints.maxt.min(noted.newest.0));
        let (sealed_from, open_from) = (set.sealed.len() as u32, set.open_bytes.len() as u32);
        let newest = record.xor.last_timestamp();
        let mut next = if record.is_open() { record.chunk_min_t } else { newest.saturating_add(1) };
        let mut open_encoding = None;
        if noted.kind != Kind::None {
            if record.is_open() && record.chunk_min_t <= maxt && newest >= mint {
                open_encoding = shard.copy_open(record, &mut set.open_bytes);
            }
            for sealed in shard.sealed.iter(record.sealed) {
                if next <= mint {
                    break;
                }
                next = sealed.min_t;
                if sealed.min_t <= maxt {
                    set.reader.cover(&self.chunks, sealed.location);
                    set.sealed.push(sealed);
                }
            }
            set.sealed[sealed_from as usize..].reverse();
        }
        let sealed = sealed_from..set.sealed.len() as u32;
        let late = noted.late.filter(|late| late.overlaps(hints.mint, hints.maxt));
        if sealed.is_empty() && open_encoding.is_none() && late.is_none() {
            return;
        }
        let pairs_from = set.pairs.len() as u32;
        set.pairs.extend(index.pairs(noted.id));
        set.series.push(Selected {
            id: noted.id,
            pairs: pairs_from..set.pairs.len() as u32,
            sealed,
            open: open_from..set.open_bytes.len() as u32,
            open_encoding,
            open_min_t: record.chunk_min_t,
            newest: noted.newest,
            kind: noted.kind,
            late,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use model::storage::{SampleColumns, SeriesSet};

    use super::*;
    use crate::db::tests::{commit, labels, open_with};
    use crate::fs::RealFs;
    use crate::{Db, Options};

    const MINUTE: i64 = 60_000;

    fn open(dir: &std::path::Path) -> Arc<Db> {
        let options =
            Options { background: false, out_of_order_time_window_ms: 1000 * MINUTE, ..Options::default() };
        open_with(dir, options, Arc::new(RealFs)).unwrap()
    }

    fn everything() -> Selection<'static> {
        Selection { matchers: &[], hints: SelectHints::new(i64::MIN, i64::MAX, &Cancel::new()) }
    }

    fn samples(set: &HeadSeries) -> Vec<(model::labels::Labels, Vec<i64>)> {
        let read = |series| {
            let mut columns = SampleColumns::default();
            set.read(series, i64::MIN, i64::MAX, &mut columns).unwrap();
            let last = set.last(series, i64::MIN, i64::MAX).unwrap();
            assert_eq!(last.map(|last| last.0), columns.timestamps.last().copied());
            (set.labels(series), columns.timestamps)
        };
        (0..set.len()).map(read).collect()
    }

    #[test]
    fn what_is_committed_between_noting_and_copying_is_not_selected() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        for i in 0..100 {
            commit(&db, &[(0, 500 * MINUTE + i * MINUTE, 1.0), (1, 500 * MINUTE + i * MINUTE, 2.0)]).unwrap();
        }
        // Series 2 has only samples out of order.
        commit(&db, &[(0, 200 * MINUTE, 1.0), (2, 100 * MINUTE, 1.0)]).unwrap();
        let selections = [everything()];
        let before = samples(&db.head.select_all(&selections).unwrap()[0]);
        assert_eq!(before.iter().map(|(_, times)| times.len()).collect::<Vec<_>>(), [101, 100, 1]);

        let (found, mut sets) = db.head.note(&selections).unwrap();
        for i in 100..500 {
            // The open chunk is sealed, and others after it; late samples become chunks.
            commit(&db, &[(0, 500 * MINUTE + i * MINUTE, 1.0), (3, 500 * MINUTE + i * MINUTE, 2.0)]).unwrap();
            commit(&db, &[(0, 200 * MINUTE + i, 1.0), (2, 300 * MINUTE + i, 1.0)]).unwrap();
        }
        for (noted, set) in found.series.into_iter().zip(&mut sets) {
            db.head.copy(noted.unwrap(), &selections[0].hints, set).unwrap();
        }
        assert_eq!(samples(&sets[0]), before);
        assert_eq!(samples(&db.head.select_all(&selections).unwrap()[0])[0].1.len(), 901);
    }

    #[test]
    fn series_that_came_after_the_search_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        commit(&db, &[(0, MINUTE, 1.0)]).unwrap();
        let one = Matcher::equal("i", "1");
        let selections =
            [everything(), Selection { matchers: std::slice::from_ref(&one), hints: everything().hints }];
        let mut found = db.head.search(&selections).unwrap();
        commit(&db, &[(1, MINUTE, 1.0), (2, MINUTE, 1.0)]).unwrap();
        assert!(db.head.bring_up_to_date(&selections, &mut found).unwrap());
        let ids = |at: usize| found.series[at].iter().flatten().map(|noted| noted.id).collect::<Vec<_>>();
        assert_eq!((ids(0), ids(1)), (vec![0, 1, 2], vec![1]));
    }

    #[test]
    fn a_search_before_series_were_removed_or_the_range_had_samples_is_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let selections = [everything()];
        let mut found = db.head.search(&selections).unwrap();
        commit(&db, &[(0, 0, 1.0)]).unwrap();
        assert!(!db.head.bring_up_to_date(&selections, &mut found).unwrap(), "the head was empty");
        let mut found = db.head.search(&selections).unwrap();
        db.head.truncate(MINUTE);
        assert!(!db.head.bring_up_to_date(&selections, &mut found).unwrap(), "the series is gone");
    }

    #[test]
    fn selections_of_one_query_see_whole_commits_while_others_commit() {
        const COMMITS: i64 = 400;
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        let done = AtomicBool::new(false);
        let old = Matcher::equal("i", "0");
        let new = Matcher::not_equal("i", "0");
        let select =
            |matcher| Selection { matchers: std::slice::from_ref(matcher), hints: everything().hints };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Each commit is a sample of series 0 and a new series.
                for i in 1..=COMMITS {
                    commit(&db, &[(0, i, 1.0), (i as usize, i, 1.0)]).unwrap();
                }
                done.store(true, Ordering::Release);
            });
            loop {
                let last = done.load(Ordering::Acquire);
                let sets = db.head.select_all(&[select(&old), select(&new)]).unwrap();
                let old = samples(&sets[0]);
                assert!(old.is_empty() || old[0].0 == labels(0));
                assert_eq!(old.first().map_or(0, |(_, times)| times.len()), sets[1].len());
                if last {
                    assert_eq!(sets[1].len() as i64, COMMITS);
                    break;
                }
            }
        });
    }

    #[test]
    fn a_cancelled_read_ends() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        for i in 0..200 {
            commit(&db, &[(0, i * MINUTE, 1.0)]).unwrap();
        }
        let selections = [everything()];
        let sets = db.head.select_all(&selections).unwrap();
        let mut columns = SampleColumns::default();
        sets[0].read(0, i64::MIN, i64::MAX, &mut columns).unwrap();
        assert_eq!(columns.len(), 200);
        selections[0].hints.cancel.cancel();
        let read = sets[0].read(0, i64::MIN, i64::MAX, &mut columns);
        assert!(matches!(read, Err(StorageError::Cancelled)));
    }

    #[test]
    fn a_cancelled_selection_ends() {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path());
        commit(&db, &[(0, 0, 1.0)]).unwrap();
        let selections = [everything()];
        let (found, mut sets) = db.head.note(&selections).unwrap();
        selections[0].hints.cancel.cancel();
        assert!(matches!(db.head.note(&selections), Err(StorageError::Cancelled)));
        let noted = found.series.into_iter().flatten().next().unwrap();
        let copied = db.head.copy(noted, &selections[0].hints, &mut sets[0]);
        assert!(matches!(copied, Err(StorageError::Cancelled)));
    }
}
