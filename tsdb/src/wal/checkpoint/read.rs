//! Reading a checkpoint: whatever of it is undamaged.

use std::sync::Arc;

use model::metadata::MetricFamily;
use rayon::prelude::*;

use super::state::{State, read_state};
use super::{
    HEADER_BYTES, KIND_END, KIND_EXEMPLARS, KIND_FAMILIES, KIND_HEADER, KIND_PAGE, KIND_TOMBSTONES, MAGIC,
};
use crate::codec::{Cursor, DecodeError};
use crate::head::Head;
use crate::head::exemplars::Stored;
use crate::head::index::Index;
use crate::head::series::Kind;
use crate::head::shard::{SHARDS, page_of};
use crate::wal::frame::{self, Part};
use crate::wal::record::{self, SeriesRecord};

/// What a checkpoint covers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Covered {
    /// Frames of the log up to this are in all pages.
    pub(crate) all: u64,
    /// For each page the last frame in it.
    pub(crate) pages: Vec<u64>,
    /// Parts of the file that couldn't be read: from, to, why.
    pub(crate) damage: Vec<(usize, usize, String)>,
    /// Full chunks whose file is gone.
    pub(crate) missing_chunks: usize,
}

impl Covered {
    /// Whether a page has what a frame of the log says.
    pub(crate) fn has(&self, page: usize, number: u64) -> bool {
        number <= self.pages.get(page).copied().unwrap_or(self.all)
    }
}

/// A page of a checkpoint.
#[derive(Debug)]
struct Page {
    number: usize,
    covered: u64,
    series: Vec<(SeriesRecord, State)>,
    families: Vec<(u32, Arc<MetricFamily>)>,
}

/// Reads a checkpoint into an empty head. What of it is damaged is left out and named in the result.
pub(crate) fn read(head: &Head, bytes: &[u8]) -> Covered {
    let mut covered = Covered::default();
    let mut frames = Vec::new();
    let body = if bytes.starts_with(MAGIC) { HEADER_BYTES } else { 0 };
    for part in frame::Parts::new(bytes, body) {
        match part {
            Part::Frame(frame) => frames.push(frame),
            Part::Damage { from, to, what } => covered.damage.push((from, to, what.to_owned())),
        }
    }
    let mut complete = false;
    for frame in &frames {
        match frame.payload.first() {
            Some(&KIND_HEADER) => {
                if let Err(error) = read_header(head, &frame.payload, &mut covered) {
                    covered.damage.push((frame.offset, frame.offset, error.to_string()));
                }
            }
            Some(&KIND_TOMBSTONES) => match record::read_tombstones(&frame.payload[1..]) {
                Ok(tombstones) => head.add_tombstones(&tombstones),
                Err(error) => covered.damage.push((frame.offset, frame.offset, error.to_string())),
            },
            Some(&KIND_EXEMPLARS) => {
                if let Err(error) = replay_exemplars(head, &frame.payload[1..]) {
                    covered.damage.push((frame.offset, frame.offset, error.to_string()));
                }
            }
            Some(&KIND_FAMILIES) => {
                if let Err(error) = replay_families(head, &frame.payload[1..]) {
                    covered.damage.push((frame.offset, frame.offset, error.to_string()));
                }
            }
            Some(&KIND_END) => complete = true,
            _ => {}
        }
    }
    if !complete && covered.damage.is_empty() {
        covered.damage.push((bytes.len(), bytes.len(), "checkpoint ends early".to_owned()));
    }
    let pages = frames.par_iter().filter(|frame| frame.payload.first() == Some(&KIND_PAGE));
    let results: Vec<_> = pages
        .map(|frame| match read_page(&frame.payload) {
            Ok(page) => Ok(restore(head, page)),
            Err(error) => Err((frame.offset, frame.offset, error.to_string())),
        })
        .collect();
    for result in results {
        match result {
            Ok((page, number, missing)) => {
                if covered.pages.len() <= page {
                    covered.pages.resize(page + 1, covered.all);
                }
                covered.pages[page] = number;
                covered.missing_chunks += missing;
            }
            Err(damage) => covered.damage.push(damage),
        }
    }
    covered
}

/// Takes in the exemplars of a checkpoint or of the log.
pub(crate) fn replay_exemplars(head: &Head, body: &[u8]) -> Result<(), DecodeError> {
    let mut ring = head.exemplars.lock();
    record::read_exemplars(body, |series, labels, timestamp, value| {
        ring.replay(Stored { series, labels, timestamp, value });
    })
}

/// Takes in the families that a checkpoint or the log says were announced.
pub(crate) fn replay_families(head: &Head, body: &[u8]) -> Result<(), DecodeError> {
    let announced = record::read_families(&mut Cursor::new(body))?;
    let mut families = head.families.lock();
    announced.iter().for_each(|family| families.announce(family));
    Ok(())
}

fn read_header(head: &Head, payload: &[u8], covered: &mut Covered) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(payload);
    cursor.u8()?;
    covered.all = cursor.u64()?;
    let truncated = cursor.varint()?;
    head.bounds.truncate(truncated);
    if cursor.varint()? != head.rules.range_ms {
        head.bounds.forget_chunk_range();
    }
    Ok(())
}

fn read_page(payload: &[u8]) -> Result<Page, DecodeError> {
    let mut cursor = Cursor::new(payload);
    cursor.u8()?;
    let number = cursor.u32()? as usize;
    let covered = cursor.u64()?;
    let len = cursor.u32()? as usize;
    let mut records = Vec::new();
    record::read_series(cursor.take(len)?, |series| records.push(series))?;
    let mut series = Vec::with_capacity(records.len());
    for record in records {
        if page_of(record.id) != number {
            return Err(cursor.error("series of another page"));
        }
        series.push((record, read_state(&mut cursor)?));
    }
    let mut families = Vec::new();
    if !cursor.is_empty() {
        let rest = cursor.take(cursor.remaining())?;
        record::read_metadata(rest, |id, family| families.push((id, Arc::clone(family))))?;
    }
    Ok(Page { number, covered, series, families })
}

/// Puts a page into the head; returns its number, what it covers, and how many full chunks have no file.
fn restore(head: &Head, page: Page) -> (usize, u64, usize) {
    let hasher = head.index.read().hasher();
    let hashes: Vec<_> = page.series.iter().map(|(series, _)| Index::hash(&hasher, &series.labels)).collect();
    let mut index = head.index.write();
    for (hash, (series, _)) in hashes.iter().zip(&page.series) {
        if !index.contains(series.id) && index.find(*hash, &series.labels).is_none() {
            index.create_as(series.id, *hash, &series.labels);
        }
    }
    drop(index);
    let mut shard = head.shards[page.number % SHARDS].lock();
    let mut missing = 0;
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for (series, state) in page.series {
        if state.kind != Kind::None {
            max = max.max(state.newest.0);
            min = min.min(state.open.as_ref().map_or(state.newest.0, |open| open.min_t));
            min = state.sealed.first().map_or(min, |sealed| min.min(sealed.min_t));
        }
        if let Some(late) = state.late.min_t() {
            head.bounds.extend_late(late);
        }
        missing += shard.restore(series.id, series.generation, state.into_parts(), &head.chunks);
    }
    for (id, family) in &page.families {
        if page_of(*id) == page.number && shard.newest(*id).is_some() {
            head.set_family(&mut shard, *id, family);
        }
    }
    if min <= max {
        head.bounds.extend(min.max(head.bounds.truncated()), max);
    }
    (page.number, page.covered, missing)
}
