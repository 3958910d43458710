//! A shard of the head: the records, open chunks and lists of full chunks of every sixteenth page of series.
//!
//! Ids are dealt out in pages of [`PAGE_SERIES`], page after page to the next shard. Series that one scrape
//! creates have consecutive ids, so that a commit takes one or two locks, and different targets mostly take
//! different ones.
//!
//! ```text
//! id = page number · 1024 + place        page number mod 16 = shard        page number / 16 = page in it
//! ```

use std::sync::Arc;

use hashbrown::HashMap;
use model::storage::HistogramValue;
use model::time::TimestampMs;

use super::buffers::{Buffers, CHUNK_BYTES_MAX, Place};
use super::families::FamilyId;
use super::out_of_order::{LateSamples, Value};
use super::series::{Kind, Record, Sealed, SealedChunks, state_of};
use crate::chunk::histogram::HistogramAppender;
use crate::chunk::{Encoding, xor};
use crate::head_chunks::HeadChunks;
use crate::wal::checkpoint::Restored;

/// Number of shards: enough for as many commits at a time as there are cores to run them.
pub(crate) const SHARDS: usize = 16;
/// Series of a page, and of a slice of a checkpoint: locked for the time it takes to copy them.
pub(crate) const PAGE_SERIES: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 10;

/// The longest open float chunk that has a buffer with room for another sample.
pub(crate) const FLOAT_CHUNK_BYTES_MAX: usize = CHUNK_BYTES_MAX;
/// How large a histogram chunk should be, and how few samples it shouldn't fall below; Prometheus's numbers.
const HISTOGRAM_CHUNK_BYTES: usize = 1024;
const HISTOGRAM_CHUNK_SAMPLES_MIN: u16 = 10;

/// The shard of a series.
#[inline]
pub(crate) fn shard_of(id: u32) -> usize {
    page_of(id) % SHARDS
}

/// The page of a series among all pages.
#[inline]
pub(crate) fn page_of(id: u32) -> usize {
    (id >> PAGE_BITS) as usize
}

/// When chunks are full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRules {
    /// Chunks end at multiples of this time, so that blocks can be cut between them.
    pub(crate) range_ms: i64,
    /// How many samples a chunk should have.
    pub(crate) samples: u32,
}

impl ChunkRules {
    /// The end of the range that a time is in.
    pub(crate) fn range_end(&self, time: TimestampMs) -> TimestampMs {
        (time / self.range_ms).saturating_mul(self.range_ms).saturating_add(self.range_ms)
    }

    /// When a chunk that will be full at `ratio_to_full` times its present size should end, so that the
    /// chunks up to `max_t` are of one size. (The arithmetic is Prometheus's, in floats.)
    fn predict_end(
        min_t: TimestampMs,
        now_t: TimestampMs,
        max_t: TimestampMs,
        ratio_to_full: f64,
    ) -> TimestampMs {
        let span = max_t.saturating_sub(min_t) as f64;
        let chunks = span / (now_t.saturating_sub(min_t).saturating_add(1) as f64 * ratio_to_full);
        if chunks <= 1.0 { max_t } else { (min_t as f64 + span / chunks.floor()) as TimestampMs }
    }
}

/// What a shard counts as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Chunks that there ever were.
    pub(crate) chunks_created: u64,
    /// Series whose newest sample is a staleness marker.
    pub(crate) stale: usize,
    /// Series whose newest sample is a histogram.
    pub(crate) histograms: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shard {
    pages: Vec<Box<[Record]>>,
    /// Metadata of the series of each page; empty where none has any.
    families: Vec<Box<[Option<FamilyId>]>>,
    pub(crate) buffers: Buffers,
    pub(crate) sealed: SealedChunks,
    /// Open chunks.
    open: usize,
    counts: Counts,
    /// Open histogram chunks; a record has the index.
    histograms: Vec<Option<Box<HistogramAppender>>>,
    free_histograms: Vec<u32>,
    /// Samples that came out of order, by series. A selection shares them: changing them copies them then.
    pub(crate) late: HashMap<u32, Arc<LateSamples>>,
}

impl Shard {
    pub(crate) fn new() -> Self {
        Shard {
            pages: Vec::new(),
            families: Vec::new(),
            buffers: Buffers::new(),
            sealed: SealedChunks::default(),
            open: 0,
            counts: Counts::default(),
            histograms: Vec::new(),
            free_histograms: Vec::new(),
            late: HashMap::new(),
        }
    }

    /// The record of a series, vacant if there is none.
    #[inline]
    pub(crate) fn record(&self, id: u32) -> &Record {
        static VACANT: Record = Record::vacant();
        match self.pages.get(page_of(id) / SHARDS) {
            Some(page) => &page[id as usize % PAGE_SERIES],
            None => &VACANT,
        }
    }

    /// The record of a series. The page is made if there is none.
    #[inline]
    pub(crate) fn record_mut(&mut self, id: u32) -> &mut Record {
        let page = page_of(id) / SHARDS;
        while self.pages.len() <= page {
            self.pages.push(vec![Record::vacant(); PAGE_SERIES].into_boxed_slice());
        }
        &mut self.pages[page][id as usize % PAGE_SERIES]
    }

    /// The family of a series, if it is known.
    pub(crate) fn family(&self, id: u32) -> Option<FamilyId> {
        *self.families.get(page_of(id) / SHARDS)?.get(id as usize % PAGE_SERIES)?
    }

    /// Changes the family of a series; returns the one before.
    pub(crate) fn set_family(&mut self, id: u32, family: Option<FamilyId>) -> Option<FamilyId> {
        let page = page_of(id) / SHARDS;
        if family.is_some() {
            if self.families.len() <= page {
                self.families.resize(page + 1, Box::default());
            }
            if self.families[page].is_empty() {
                self.families[page] = vec![None; PAGE_SERIES].into_boxed_slice();
            }
        }
        let place = self.families.get_mut(page)?.get_mut(id as usize % PAGE_SERIES)?;
        std::mem::replace(place, family)
    }

    /// Makes a series; returns its generation.
    pub(crate) fn create(&mut self, id: u32) -> u16 {
        let record = self.record_mut(id);
        record.occupy(record.next_generation());
        record.generation
    }

    /// Makes a series whose labels are in the log, of a given generation.
    pub(crate) fn create_as(&mut self, id: u32, generation: u16) {
        let record = self.record_mut(id);
        record.occupy(generation);
        record.set(Record::LOGGED, true);
    }

    /// Time of the newest sample of a series, before all times if it has none; `None` if there is no series.
    pub(crate) fn newest(&self, id: u32) -> Option<TimestampMs> {
        let record = self.record(id);
        match record.kind {
            _ if !record.has(Record::LIVE) => None,
            Kind::None => Some(i64::MIN),
            _ => Some(record.xor.last_timestamp()),
        }
    }

    /// Removes a series and all its chunks. Its family is another matter: see [`super::Head::remove_from`].
    pub(crate) fn remove(&mut self, id: u32, chunks: &HeadChunks) {
        self.drop_open(id);
        self.note_newest(id, Kind::None, false);
        for late in self.late.remove(&id).iter().flat_map(|late| &late.sealed) {
            chunks.release(late.location);
        }
        let list = self.record(id).sealed;
        self.sealed.truncate(list, i64::MAX, |_, _| true, |location| chunks.release(location));
        let record = self.record_mut(id);
        *record = Record { generation: record.generation, ..Record::vacant() };
    }

    /// Appends a float to a series that it is newer than.
    #[inline]
    pub(crate) fn append_float(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        value: f64,
        rules: &ChunkRules,
        chunks: &HeadChunks,
    ) {
        let page = page_of(id) / SHARDS;
        let record = &self.pages[page][id as usize % PAGE_SERIES];
        let (samples, len) = (u32::from(record.xor.samples()), record.xor.byte_len());
        if record.place.is_none()
            || timestamp >= record.next_cut_t
            || samples == rules.samples / 4
            || samples >= 2 * rules.samples
            || len + xor::SAMPLE_BYTES_MAX > Buffers::capacity(record.place).min(CHUNK_BYTES_MAX)
        {
            self.begin_float_chunk_if_due(id, timestamp, rules, chunks);
            self.make_room(id);
        }
        let record = &mut self.pages[page][id as usize % PAGE_SERIES];
        xor::append(&mut record.xor, self.buffers.get_mut(record.place), timestamp, value);
        let stale = model::value::is_stale_nan(value);
        if record.kind != Kind::Float || record.has(Record::STALE) != stale {
            self.note_newest(id, Kind::Float, stale);
        }
    }

    /// Moves the open float chunk of a series to a larger buffer if another sample might not fit.
    fn make_room(&mut self, id: u32) {
        let record = self.record(id);
        let (place, len) = (record.place, record.xor.byte_len() + xor::SAMPLE_BYTES_MAX);
        if len > Buffers::capacity(place) {
            let (larger, moved) = self.buffers.grow(place, len);
            self.record_mut(id).place = larger;
            self.note_moved(moved);
        }
    }

    /// Notes what the newest sample of a series is.
    #[cold]
    fn note_newest(&mut self, id: u32, kind: Kind, stale: bool) {
        let record = self.record_mut(id);
        let was = (record.kind, record.has(Record::STALE));
        record.kind = kind;
        record.set(Record::STALE, stale);
        let is_histogram = |kind| usize::from(kind == Kind::Histogram);
        let counts = &mut self.counts;
        counts.stale = counts.stale + usize::from(stale) - usize::from(was.1);
        counts.histograms = counts.histograms + is_histogram(kind) - is_histogram(was.0);
    }

    fn note_created(&mut self, chunks: usize) {
        self.counts.chunks_created += chunks as u64;
    }

    fn note_moved(&mut self, moved: Option<super::buffers::Moved>) {
        if let Some(moved) = moved {
            self.record_mut(moved.owner).place = moved.to;
        }
    }

    #[cold]
    fn begin_float_chunk_if_due(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        rules: &ChunkRules,
        chunks: &HeadChunks,
    ) {
        let record = self.record_mut(id);
        if !record.place.is_none() {
            let samples = u32::from(record.xor.samples());
            if samples == rules.samples / 4 && timestamp < record.next_cut_t {
                let newest = record.xor.last_timestamp();
                record.next_cut_t =
                    ChunkRules::predict_end(record.chunk_min_t, newest, record.next_cut_t, 4.0);
            }
            let full = timestamp >= record.next_cut_t
                || samples >= 2 * rules.samples
                || record.xor.byte_len() > CHUNK_BYTES_MAX - xor::SAMPLE_BYTES_MAX;
            if !full {
                return;
            }
        }
        self.seal(id, chunks);
        let place = self.buffers.allocate(id, xor::HEADER_BYTES + xor::SAMPLE_BYTES_MAX);
        self.open += 1;
        self.note_created(1);
        let record = self.record_mut(id);
        record.xor = xor::AppendState::new();
        record.place = place;
        record.chunk_min_t = timestamp;
        record.next_cut_t = rules.range_end(timestamp);
    }

    /// Appends a histogram to a series that it is newer than.
    pub(crate) fn append_histogram(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        value: &HistogramValue,
        rules: &ChunkRules,
        chunks: &HeadChunks,
    ) {
        self.cut_histogram_chunk_if_due(id, timestamp, rules, chunks);
        let stale = value.is_stale();
        let slot = self.record(id).histogram as usize;
        let open = self.histograms.get_mut(slot).and_then(Option::as_mut);
        let appended = open.is_some_and(|open| {
            if stale { open.append_stale(timestamp) } else { open.append(timestamp, value) }
        });
        if !appended {
            self.begin_histogram_chunk(id, timestamp, value, rules, chunks);
        }
        let record = self.record_mut(id);
        record.xor = state_of((timestamp, value.sum()));
        self.note_newest(id, Kind::Histogram, stale);
    }

    fn begin_histogram_chunk(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        value: &HistogramValue,
        rules: &ChunkRules,
        chunks: &HeadChunks,
    ) {
        let previous = self.histogram(self.record(id)).cloned();
        self.seal(id, chunks);
        let appender = Box::new(HistogramAppender::new(timestamp, value, previous.as_ref()));
        let slot = self.free_histograms.pop().unwrap_or_else(|| {
            self.histograms.push(None);
            self.histograms.len() as u32 - 1
        });
        self.histograms[slot as usize] = Some(appender);
        self.open += 1;
        self.note_created(1);
        let record = self.record_mut(id);
        record.histogram = slot;
        record.chunk_min_t = timestamp;
        record.next_cut_t = rules.range_end(timestamp);
        record.set(Record::PREDICTED, false);
    }

    /// Ends the open histogram chunk by Prometheus's rules: by bytes, since histograms differ so much, but
    /// not below some samples unless a block ends.
    fn cut_histogram_chunk_if_due(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        rules: &ChunkRules,
        chunks: &HeadChunks,
    ) {
        let record = *self.record(id);
        let Some(open) = self.histogram(&record) else { return };
        let (bytes, samples) = (open.bytes().len(), open.samples());
        let mut next_cut_t = record.next_cut_t;
        if !record.has(Record::PREDICTED) && bytes >= HISTOGRAM_CHUNK_BYTES / 4 {
            let ratio = HISTOGRAM_CHUNK_BYTES as f64 / bytes as f64;
            let newest = open.last_timestamp();
            next_cut_t = ChunkRules::predict_end(record.chunk_min_t, newest, next_cut_t, ratio);
            let record = self.record_mut(id);
            record.next_cut_t = next_cut_t;
            record.set(Record::PREDICTED, true);
        }
        let full = timestamp >= next_cut_t || bytes >= 2 * HISTOGRAM_CHUNK_BYTES;
        let range_ends = timestamp >= rules.range_end(record.chunk_min_t);
        if range_ends || (full && samples >= HISTOGRAM_CHUNK_SAMPLES_MIN) {
            self.seal(id, chunks);
        }
    }

    /// The open histogram chunk of a series.
    pub(crate) fn histogram(&self, record: &Record) -> Option<&HistogramAppender> {
        self.histograms.get(record.histogram as usize)?.as_deref()
    }

    /// Adds a sample that came out of order; `false` if there is one at this time.
    pub(crate) fn insert_late(
        &mut self,
        id: u32,
        timestamp: TimestampMs,
        value: Value,
        chunks: &HeadChunks,
    ) -> bool {
        let before = self.late_chunks(id);
        let inserted = Arc::make_mut(self.late.entry(id).or_default()).insert(timestamp, value, chunks);
        self.note_created(self.late_chunks(id) - before);
        inserted
    }

    /// Chunks of the samples of a series that came out of order; those in memory are one.
    fn late_chunks(&self, id: u32) -> usize {
        self.late.get(&id).map_or(0, |late| late.sealed.len() + 1)
    }

    /// Ends the open chunk of a series, if there is one, and puts it among the full ones.
    pub(crate) fn seal(&mut self, id: u32, chunks: &HeadChunks) {
        let record = *self.record(id);
        let location = if let Some(open) = self.histogram(&record) {
            chunks.append(open.encoding(), open.bytes())
        } else if !record.place.is_none() {
            chunks.append(Encoding::Xor, record.xor.finish(self.buffers.get_mut(record.place)))
        } else {
            return;
        };
        let list = self.sealed.push(record.sealed, Sealed { location, min_t: record.chunk_min_t });
        self.record_mut(id).sealed = list;
        self.drop_open(id);
    }

    /// Drops the open chunk of a series, if there is one. The newest sample stays in the record.
    pub(crate) fn drop_open(&mut self, id: u32) {
        let place = std::mem::replace(&mut self.record_mut(id).place, Place::NONE);
        if !place.is_none() {
            let moved = self.buffers.free(place);
            self.note_moved(moved);
            self.open -= 1;
        }
        let histogram = std::mem::replace(&mut self.record_mut(id).histogram, Record::NO_HISTOGRAM);
        if histogram != Record::NO_HISTOGRAM {
            self.histograms[histogram as usize] = None;
            self.free_histograms.push(histogram);
            self.open -= 1;
        }
    }

    /// Encoding and bytes of the open chunk of a series. The header of a float chunk is made for the copy.
    pub(crate) fn copy_open(&self, record: &Record, out: &mut Vec<u8>) -> Option<Encoding> {
        if let Some(open) = self.histogram(record) {
            out.extend_from_slice(open.bytes());
            return Some(open.encoding());
        }
        if record.place.is_none() {
            return None;
        }
        let from = out.len();
        out.extend_from_slice(&self.buffers.get(record.place)[..record.xor.byte_len()]);
        record.xor.finish(&mut out[from..]);
        Some(Encoding::Xor)
    }

    /// Makes a series of what an earlier run left of it; returns how many full chunks have lost their file.
    pub(crate) fn restore(
        &mut self,
        id: u32,
        generation: u16,
        restored: Restored,
        chunks: &HeadChunks,
    ) -> usize {
        let Restored { record, open, histogram, sealed, late } = restored;
        let mut missing = 0;
        let mut list = SealedChunks::NONE;
        let mut late = late;
        let before = late.sealed.len();
        late.sealed.retain(|chunk| chunks.adopt(chunk.location));
        missing += before - late.sealed.len();
        for chunk in sealed {
            if chunks.adopt(chunk.location) {
                list = self.sealed.push(list, chunk);
            } else {
                missing += 1;
            }
        }
        let mut place = Place::NONE;
        if !open.is_empty() {
            place = self.buffers.allocate(id, open.len() + xor::SAMPLE_BYTES_MAX);
            self.buffers.get_mut(place)[..open.len()].copy_from_slice(&open);
            self.open += 1;
        }
        let mut slot = Record::NO_HISTOGRAM;
        if let Some(appender) = histogram {
            slot = self.histograms.len() as u32;
            self.histograms.push(Some(Box::new(appender)));
            self.open += 1;
        }
        if !late.is_empty() {
            self.late.insert(id, Arc::new(late));
        }
        self.note_created(usize::from(!place.is_none()) + usize::from(slot != Record::NO_HISTOGRAM));
        self.note_created(self.sealed.iter(list).count() + self.late_chunks(id));
        self.note_newest(id, record.kind, record.has(Record::STALE));
        let flags = record.flags | Record::LIVE | Record::LOGGED;
        let restored = Record { generation, flags, place, histogram: slot, sealed: list, ..record };
        *self.record_mut(id) = restored;
        missing
    }

    /// Number of chunks, open and full.
    pub(crate) fn chunk_count(&self) -> usize {
        self.open + self.sealed.len() + self.late.values().map(|late| late.sealed.len() + 1).sum::<usize>()
    }

    /// Bytes of the records.
    pub(crate) fn record_bytes(&self) -> usize {
        self.pages.len() * PAGE_SERIES * size_of::<Record>()
    }

    /// Bytes of the numbers of families.
    pub(crate) fn family_bytes(&self) -> usize {
        self.families.iter().map(|page| size_of_val(&**page)).sum()
    }

    /// Bytes of the open histogram chunks.
    pub(crate) fn histogram_bytes(&self) -> usize {
        let open = self.histograms.iter().flatten();
        open.map(|open| size_of::<HistogramAppender>() + open.bytes().len()).sum()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Buckets of the open histogram chunks.
    pub(crate) fn histogram_buckets(&self) -> usize {
        self.histograms.iter().flatten().map(|open| open.buckets()).sum()
    }
}
