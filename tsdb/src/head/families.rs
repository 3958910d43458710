//! Metadata: what is known of metric families, and which of them each series is of. The newest word goes.
//!
//! A family is here once, however many series are of it; a series has its number, four bytes of its shard. It goes
//! with the last series. Families that were announced by name, by writers who don't know their series, stay until
//! the next truncation of the head even without one.

use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashTable};
use model::labels::METRIC_NAME;
use model::metadata::MetricFamily;
use model::storage::{Batch, SeriesKey};

use super::append::{Locked, NewSeries, names};
use super::series::Record;
use super::shard::{Shard, shard_of};
use super::{Head, split_ref};
use crate::select::LabelIndex;
use crate::wal::record::{self, SectionKind, ShardSamples, put_section};

/// Number of a family of the head.
pub(crate) type FamilyId = NonZeroU32;

/// More families than this aren't remembered without a series.
const ANNOUNCED_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
struct Entry {
    family: Arc<MetricFamily>,
    /// Series that are of it, and its announcement; 0 if the number is free.
    uses: u32,
}

/// The families of the head.
#[derive(Debug, Default)]
pub(crate) struct Families {
    entries: Vec<Entry>,
    ids: HashTable<FamilyId>,
    free: Vec<FamilyId>,
    /// By name.
    announced: HashMap<String, FamilyId>,
    text_bytes: usize,
    hasher: RandomState,
}

fn text_bytes(family: &MetricFamily) -> usize {
    family.name.len() + family.metadata.help.len() + family.metadata.unit.len()
}

fn place(id: FamilyId) -> usize {
    id.get() as usize - 1
}

impl Families {
    fn get(&self, id: FamilyId) -> &Arc<MetricFamily> {
        &self.entries[place(id)].family
    }

    /// The number of a family, used once more.
    fn acquire(&mut self, family: &Arc<MetricFamily>) -> FamilyId {
        let hash = self.hasher.hash_one(family);
        let found = self.ids.find(hash, |id| self.entries[place(*id)].family == *family);
        if let Some(id) = found.copied() {
            self.entries[place(id)].uses += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            NonZeroU32::MIN.saturating_add(self.entries.len() as u32 - 1)
        });
        self.entries[place(id)] = Entry { family: Arc::clone(family), uses: 1 };
        self.text_bytes += text_bytes(family);
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.ids.insert_unique(hash, id, |id| hasher.hash_one(&entries[place(*id)].family));
        id
    }

    /// Uses a family once less.
    fn release(&mut self, id: FamilyId) {
        let entry = &mut self.entries[place(id)];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let family = std::mem::take(&mut entry.family);
        self.text_bytes -= text_bytes(&family);
        if let Ok(found) = self.ids.find_entry(self.hasher.hash_one(&family), |other| *other == id) {
            found.remove();
        }
        self.free.push(id);
    }

    fn is_announced(&self, family: &MetricFamily) -> bool {
        self.announced.get(&family.name).is_some_and(|id| **self.get(*id) == *family)
    }

    /// Remembers a family by its name.
    pub(crate) fn announce(&mut self, family: &Arc<MetricFamily>) {
        if self.announced.len() >= ANNOUNCED_MAX && !self.announced.contains_key(&family.name) {
            return;
        }
        let id = self.acquire(family);
        if let Some(before) = self.announced.insert(family.name.clone(), id) {
            self.release(before);
        }
    }

    /// Forgets the families without series.
    pub(crate) fn forget_announced(&mut self) {
        for (_, id) in std::mem::take(&mut self.announced) {
            self.release(id);
        }
    }

    /// The families that were announced.
    pub(crate) fn announced(&self) -> impl ExactSizeIterator<Item = &Arc<MetricFamily>> {
        self.announced.values().map(|id| self.get(*id))
    }

    /// All families. Several may have one name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<MetricFamily>> {
        self.entries.iter().filter(|entry| entry.uses > 0).map(|entry| &entry.family)
    }

    /// Bytes of the table and the texts.
    pub(crate) fn heap_bytes(&self) -> usize {
        let fixed = size_of::<Entry>() + size_of::<MetricFamily>() + 2 * size_of::<usize>();
        self.entries.capacity() * fixed + self.ids.allocation_size() + self.text_bytes
    }
}

/// That a series is of a family, by a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) id: u32,
    /// Index into the families of the batch, and behind them into its metadata.
    item: u32,
}

impl Claim {
    fn family(self, batch: &Batch) -> &Arc<MetricFamily> {
        let item = self.item as usize;
        batch.families.get(item).unwrap_or_else(|| &batch.metadata[item - batch.families.len()].1)
    }

    /// Whether the series of the id is the one that the batch means.
    fn is_of(self, batch: &Batch, record: &Record) -> bool {
        match (self.item as usize).checked_sub(batch.families.len()).map(|at| batch.metadata[at].0) {
            Some(SeriesKey::Known(series)) => names(record, series),
            _ => record.has(Record::LIVE),
        }
    }
}

/// The metadata that a commit changes.
#[derive(Debug, Default)]
pub(super) struct FamilyChanges {
    /// By shard and id.
    series: Vec<(u32, Arc<MetricFamily>)>,
    announced: Vec<Arc<MetricFamily>>,
}

impl FamilyChanges {
    /// Appends sections, unless there is nothing.
    pub(super) fn put(&self, record: &mut Vec<u8>) {
        for rows in self.series.chunk_by(|a, b| shard_of(a.0) == shard_of(b.0)) {
            put_section(record, SectionKind::Metadata, shard_of(rows[0].0), |out| {
                record::put_metadata(out, rows);
            });
        }
        if !self.announced.is_empty() {
            put_section(record, SectionKind::Families, 0, |out| {
                record::put_families(out, self.announced.iter());
            });
        }
    }
}

impl Head {
    /// Which series the metadata of a batch is about, by shard and id, each once: the last word on it.
    pub(super) fn family_claims(&self, batch: &Batch, new: &NewSeries) -> Vec<Claim> {
        let mut claims = self.claims_by_name(batch);
        let metadata = batch.metadata.iter().enumerate();
        claims.extend(metadata.filter_map(|(at, (series, _))| {
            let id = match series {
                SeriesKey::Known(series) => split_ref(*series).0,
                SeriesKey::New(at) => (*new.ids.get(*at as usize)?)?,
            };
            Some(Claim { id, item: (batch.families.len() + at) as u32 })
        }));
        claims.sort_by_key(|claim| (shard_of(claim.id), claim.id));
        claims.dedup_by(|later, earlier| {
            let is_same = later.id == earlier.id;
            if is_same {
                *earlier = *later;
            }
            is_same
        });
        claims
    }

    /// The series of the families of a batch. One that has a family's very name goes to that one.
    fn claims_by_name(&self, batch: &Batch) -> Vec<Claim> {
        let mut claims = Vec::new();
        if batch.families.is_empty() {
            return claims;
        }
        let index = self.index.read();
        let mut ids = Vec::new();
        let mut claim = |name: &str, item: usize| {
            ids.clear();
            if let Ok(postings) = LabelIndex::postings(&*index, METRIC_NAME, name) {
                postings.append_to(&mut ids);
            }
            claims.extend(ids.iter().map(|id| Claim { id: *id, item: item as u32 }));
        };
        for (item, family) in batch.families.iter().enumerate() {
            family.suffixed_names().for_each(|name| claim(&name, item));
        }
        for (item, family) in batch.families.iter().enumerate() {
            claim(&family.name, item);
        }
        claims
    }

    /// What of the metadata of a batch is news, about series that are in the log or will be with these samples.
    pub(super) fn family_changes(
        &self,
        batch: &Batch,
        claims: &[Claim],
        locked: &Locked<'_>,
        samples: &[ShardSamples],
    ) -> FamilyChanges {
        let mut changes = FamilyChanges::default();
        if claims.is_empty() && batch.families.is_empty() {
            return changes;
        }
        let families = self.families.lock();
        for claim in claims {
            let Some(shard) = &locked[shard_of(claim.id)] else { continue };
            let record = shard.record(claim.id);
            let is_logged = record.has(Record::LOGGED) || samples[shard_of(claim.id)].has(claim.id);
            let family = claim.family(batch);
            let is_news = || shard.family(claim.id).is_none_or(|id| families.get(id) != family);
            if claim.is_of(batch, record) && is_logged && is_news() {
                changes.series.push((claim.id, Arc::clone(family)));
            }
        }
        let news = batch.families.iter().filter(|family| !families.is_announced(family));
        changes.announced.extend(news.cloned());
        changes
    }

    /// Applies what was logged.
    pub(super) fn apply_families(&self, changes: &FamilyChanges, locked: &mut Locked<'_>) {
        for (id, family) in &changes.series {
            if let Some(shard) = &mut locked[shard_of(*id)] {
                self.set_family(shard, *id, family);
            }
        }
        if !changes.announced.is_empty() {
            let mut families = self.families.lock();
            changes.announced.iter().for_each(|family| families.announce(family));
        }
    }

    /// Notes the family of a series.
    pub(crate) fn set_family(&self, shard: &mut Shard, id: u32, family: &Arc<MetricFamily>) {
        let mut families = self.families.lock();
        let new = families.acquire(family);
        if let Some(before) = shard.set_family(id, Some(new)) {
            families.release(before);
        }
    }

    /// Removes a series from its shard, with all that it holds.
    pub(crate) fn remove_from(&self, shard: &mut Shard, id: u32) {
        if let Some(family) = shard.set_family(id, None) {
            self.families.lock().release(family);
        }
        shard.remove(id, &self.chunks);
    }

    /// Those of the series whose family is known, with it.
    pub(crate) fn families_of(
        &self,
        shard: &Shard,
        ids: impl Iterator<Item = u32>,
    ) -> Vec<(u32, Arc<MetricFamily>)> {
        let families = self.families.lock();
        ids.filter_map(|id| Some((id, Arc::clone(families.get(shard.family(id)?))))).collect()
    }
}

#[cfg(test)]
mod tests {
    use model::metadata::Metadata;

    use super::*;

    fn family(name: &str, help: &str) -> Arc<MetricFamily> {
        let metadata = Metadata { help: help.to_owned(), ..Metadata::default() };
        Arc::new(MetricFamily { name: name.to_owned(), metadata })
    }

    #[test]
    fn a_family_goes_with_its_last_use_and_its_number_is_given_out_again() {
        let mut families = Families::default();
        let a = families.acquire(&family("a", "1"));
        assert_eq!(families.acquire(&family("a", "1")), a);
        assert_ne!(families.acquire(&family("a", "2")), a);
        families.release(a);
        assert_eq!(families.iter().count(), 2);
        families.release(a);
        assert_eq!(families.iter().map(|f| f.metadata.help.clone()).collect::<Vec<_>>(), ["2"]);
        assert_eq!(families.text_bytes, 2);
        assert_eq!(families.acquire(&family("b", "")), a);
    }

    #[test]
    fn of_a_name_the_last_announcement_stays_until_it_is_forgotten() {
        let mut families = Families::default();
        for help in ["1", "2"] {
            families.announce(&family("a", help));
        }
        assert!(families.is_announced(&family("a", "2")) && !families.is_announced(&family("a", "1")));
        assert_eq!(families.iter().count(), 1);
        families.forget_announced();
        assert_eq!((families.iter().count(), families.text_bytes), (0, 0));
    }
}
