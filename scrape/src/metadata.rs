//! What a target says of its metric families.

use hashbrown::HashMap;
use model::metadata::{Metadata, MetricType};

/// How many good scrapes a family is remembered after it was last seen, as in the reference.
const KEPT_SCRAPES: u64 = 10;

/// A target's families.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache {
    /// Families by number; numbers of forgotten ones are used again.
    families: Vec<Option<Family>>,
    ids: HashMap<Box<str>, u32>,
    /// Number of good scrapes so far.
    scrape: u64,
}

#[derive(Debug)]
struct Family {
    name: Box<str>,
    metadata: Metadata,
    last_seen: u64,
}

impl MetadataCache {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape += 1;
    }

    /// Notes that a family's line was there again. Says which type it has.
    #[inline]
    pub(crate) fn touch(&mut self, id: u32) -> MetricType {
        match self.families.get_mut(id as usize) {
            Some(Some(family)) => {
                family.last_seen = self.scrape;
                family.metadata.metric_type
            }
            _ => MetricType::Unknown,
        }
    }

    /// Changes what is known of a family. Says its number and whether that was news.
    pub(crate) fn update(&mut self, name: &str, change: impl FnOnce(&mut Metadata)) -> (u32, bool) {
        let id = match self.ids.get(name) {
            Some(id) => *id,
            None => self.add(name),
        };
        let scrape = self.scrape;
        let Some(family) = self.families[id as usize].as_mut() else { return (id, false) };
        let before = family.metadata.clone();
        change(&mut family.metadata);
        family.last_seen = scrape;
        (id, family.metadata != before)
    }

    fn add(&mut self, name: &str) -> u32 {
        let family =
            Some(Family { name: name.into(), metadata: Metadata::default(), last_seen: self.scrape });
        let free = self.families.iter().position(Option::is_none);
        let id = free.unwrap_or(self.families.len());
        match self.families.get_mut(id) {
            Some(place) => *place = family,
            None => self.families.push(family),
        }
        self.ids.insert(name.into(), id as u32);
        id as u32
    }

    /// Ends a good scrape: forgets families that weren't seen for long.
    pub(crate) fn finish(&mut self) {
        let oldest = self.scrape.saturating_sub(KEPT_SCRAPES);
        for place in &mut self.families {
            if let Some(family) = place
                && family.last_seen < oldest
            {
                self.ids.remove(&family.name);
                *place = None;
            }
        }
    }

    /// The number of a family.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// What is known of the family with this number, with its name.
    pub(crate) fn by_id(&self, id: u32) -> Option<(&str, &Metadata)> {
        let family = self.families.get(id as usize)?.as_ref()?;
        Some((&family.name, &family.metadata))
    }

    /// All families.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Metadata)> {
        self.families.iter().flatten().map(|family| (&*family.name, &family.metadata))
    }

    /// Number of families.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of names, texts and units.
    pub(crate) fn size_bytes(&self) -> usize {
        let size = |(name, metadata): (&str, &Metadata)| {
            name.len() + metadata.help.len() + metadata.unit.len() + metadata.metric_type.as_str().len()
        };
        self.iter().map(size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_forgotten_ten_scrapes_after_it_was_seen() {
        let mut cache = MetadataCache::default();
        cache.begin();
        let (id, is_new) = cache.update("a", |metadata| metadata.metric_type = MetricType::Gauge);
        assert!(is_new);
        assert_eq!(cache.touch(id), MetricType::Gauge);
        cache.finish();
        for _ in 0..10 {
            cache.begin();
            cache.finish();
            assert_eq!(cache.len(), 1);
        }
        cache.begin();
        cache.finish();
        assert_eq!(cache.len(), 0);
        assert_eq!(cache.find("a"), None);
    }
}
