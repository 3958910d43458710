//! Checkpoints: the head as of the log's frames, written while commits go on.
//!
//! A checkpoint is made of memory, never by reading the log again, so damage to the log can't keep the log
//! from being shortened. The head is copied page by page, each under its shard's lock for as long as the
//! copying takes; with each page goes the number of the last frame that it covers. Replay skips older frames
//! for that page. A page is written with its labels and texts: nothing in one frame refers to another.
//!
//! ```text
//! head/checkpoint.NNNNNNNN      "FERULACP" │ version u8 │ 7×0 │ frame*        see `frame`; numbered from 0
//!
//! frame 0     0 u8 │ frame of the log u64: covered by all pages │ truncated (varint ms) │ block range (varint ms)
//! page        1 u8 │ page u32 │ frame of the log u64: covered │ len u32 │ series, see `record` │ state*
//! tombstones  3 u8 │ as in `record`
//! exemplars   4 u8 │ as in `record`
//! last frame  2 u8
//!
//! state, in the order of the series:
//!   kind u8          of the newest sample: 0 none, 1 float, 2 histogram │ flags u8: bit 0 stale
//!   newest           time varint │ value u64, of a histogram its sum
//!   open chunk       encoding u8, 0: none │ min time varint │ next cut varint │ len uvarint │ chunk, len bytes
//!   full chunks      count uvarint │ (location uvarint │ min time varint)*, oldest first
//!   out of order     count uvarint │ (location uvarint │ min time varint │ max time varint)*
//!                    count uvarint │ (encoding u8 │ len uvarint │ chunk, len bytes)*
//! ```
//!
//! It is written under another name, synced and renamed; then the log before it and older checkpoints go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::storage::StorageError;
use model::time::TimestampMs;
use rayon::prelude::*;

use super::frame::{self, Part};
use super::record::{self, SeriesRecord};
use crate::block::tombstones::Interval;
use crate::chunk::histogram::HistogramAppender;
use crate::chunk::{Encoding, xor};
use crate::codec::{Cursor, DecodeError, put_prefixed_bytes, put_uvarint, put_varint};
use crate::fs::{Fs, FsFile};
use crate::head::Head;
use crate::head::exemplars::Stored;
use crate::head::out_of_order::{LateChunk, LateSamples, samples_of};
use crate::head::series::{Kind, Record, Sealed, state_of};
use crate::head::shard::{FLOAT_CHUNK_BYTES_MAX, PAGE_SERIES, SHARDS, Shard};
use crate::head_chunks::Location;

const MAGIC: &[u8; 8] = b"FERULACP";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
const NAME_PREFIX: &str = "checkpoint.";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// Frames are gathered to this size for a write.
const WRITE_BYTES: usize = 1 << 20;

const KIND_HEADER: u8 = 0;
const KIND_PAGE: u8 = 1;
const KIND_END: u8 = 2;
const KIND_TOMBSTONES: u8 = 3;
const KIND_EXEMPLARS: u8 = 4;
const FLAG_STALE: u8 = 1;

/// The checkpoints of a directory by number, oldest first.
pub(crate) fn list(fs: &dyn Fs, dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = fs.list(dir)?.into_iter();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.name.strip_prefix(NAME_PREFIX)?.parse().ok()?, entry.path)))
        .collect();
    found.sort();
    Ok(found)
}

/// Removes checkpoints that weren't finished.
pub(crate) fn remove_unfinished(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for entry in fs.list(dir)? {
        if entry.name.starts_with(NAME_PREFIX) && entry.name.ends_with(TEMPORARY_SUFFIX) {
            fs.remove_file(&entry.path)?;
        }
    }
    Ok(())
}

// ----------------------------------------------------------------------------------------------- write

/// Writes the head as a checkpoint and drops the log before it.
pub(crate) fn write(head: &Head, fs: &dyn Fs, dir: &Path) -> Result<(), StorageError> {
    let error = |what: &str, source: io::Error| StorageError::Io {
        what: format!("{what} checkpoint in {}", dir.display()),
        source: Arc::new(source),
    };
    head.metrics.checkpoint_creations.inc();
    let first_segment = head.wal.rotate()?;
    let number = list(fs, dir).map_err(|e| error("list", e))?.last().map_or(1, |(number, _)| number + 1);
    let path = dir.join(format!("{NAME_PREFIX}{number:08}"));
    let temporary = dir.join(format!("{NAME_PREFIX}{number:08}{TEMPORARY_SUFFIX}"));
    let written = write_file(head, fs, &temporary)
        .and_then(|()| head.chunks.sync())
        .and_then(|()| fs.rename(&temporary, &path))
        .and_then(|()| fs.sync_dir(dir));
    if let Err(source) = written {
        head.metrics.checkpoint_creations_failed.inc();
        // What is left of it takes room that may be what is short.
        let _ = fs.remove_file(&temporary);
        return Err(error("write", source));
    }
    remove_old(head, fs, dir, number, first_segment).map_err(|e| error("remove what is older than", e))
}

fn remove_old(head: &Head, fs: &dyn Fs, dir: &Path, number: u32, first_segment: u32) -> io::Result<()> {
    head.metrics.wal_truncations.inc();
    head.wal.remove_before(first_segment).inspect_err(|_| head.metrics.wal_truncations_failed.inc())?;
    for (older, path) in list(fs, dir)?.into_iter().filter(|(older, _)| *older < number) {
        head.metrics.checkpoint_deletions.inc();
        fs.remove_file(&path).inspect_err(|error| {
            head.metrics.checkpoint_deletions_failed.inc();
            tracing::warn!(checkpoint = older, %error, "old checkpoint can't be removed");
        })?;
    }
    Ok(())
}

/// Gathers frames and writes them.
struct Writer {
    file: Box<dyn FsFile>,
    frames: u64,
    gathered: Vec<u8>,
}

impl Writer {
    fn put(&mut self, payload: &[u8]) -> io::Result<()> {
        frame::put(&mut self.gathered, self.frames, payload);
        self.frames += 1;
        if self.gathered.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }
}

fn write_file(head: &Head, fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let mut gathered = MAGIC.to_vec();
    gathered.resize(HEADER_BYTES, 0);
    gathered[MAGIC.len()] = VERSION;
    let mut writer = Writer { file: fs.create(path)?, frames: 0, gathered };
    let mut payload = vec![KIND_HEADER];
    payload.extend_from_slice(&head.wal.number().to_be_bytes());
    put_varint(&mut payload, head.bounds.truncated());
    put_varint(&mut payload, head.rules.range_ms);
    writer.put(&payload)?;
    let mut page = 0;
    // Series may be added meanwhile: those of later pages are in later frames of the log.
    while page * PAGE_SERIES < head.index.read().id_end() as usize {
        payload.clear();
        put_page(head, page, &mut payload);
        writer.put(&payload)?;
        page += 1;
    }
    for (kind, put) in
        [(KIND_TOMBSTONES, put_tombstones as fn(&Head, &mut Vec<u8>)), (KIND_EXEMPLARS, put_exemplars)]
    {
        payload.clear();
        payload.push(kind);
        put(head, &mut payload);
        writer.put(&payload)?;
    }
    payload.clear();
    payload.push(KIND_END);
    writer.put(&payload)?;
    writer.flush()?;
    writer.file.sync_data()
}

fn put_tombstones(head: &Head, out: &mut Vec<u8>) {
    let tombstones = Arc::clone(&head.tombstones.read());
    let all: Vec<(u32, Interval)> = tombstones
        .iter()
        .flat_map(|(id, intervals)| intervals.iter().map(move |interval| (id as u32, *interval)))
        .collect();
    record::put_tombstones(out, &all);
}

fn put_exemplars(head: &Head, out: &mut Vec<u8>) {
    head.exemplars.lock().put(out);
}

fn put_page(head: &Head, page: usize, out: &mut Vec<u8>) {
    let index = head.index.read();
    let shard = head.shards[page % SHARDS].lock();
    // All frames that touch this shard are in memory too, while its lock is held.
    let covered = head.wal.number();
    let first = (page * PAGE_SERIES) as u32;
    let end = index.id_end().min(first + PAGE_SERIES as u32);
    let mut states = Vec::new();
    let mut ids = Vec::new();
    for id in first..end {
        let record = *shard.record(id);
        if record.has(Record::LOGGED) {
            ids.push((id, record.generation));
            put_state(&mut states, &shard, id, &record);
        }
    }
    drop(shard);
    out.push(KIND_PAGE);
    out.extend_from_slice(&(page as u32).to_be_bytes());
    out.extend_from_slice(&covered.to_be_bytes());
    let labels: Vec<_> = ids.iter().map(|(id, generation)| (*id, *generation, index.labels(*id))).collect();
    drop(index);
    let len_at = out.len();
    out.extend([0; 4]);
    record::put_series(out, labels.len(), labels.iter().map(|(id, generation, l)| (*id, *generation, l)));
    let len = (out.len() - len_at - 4) as u32;
    out[len_at..len_at + 4].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&states);
}

fn put_state(out: &mut Vec<u8>, shard: &Shard, id: u32, record: &Record) {
    out.push(record.kind as u8);
    out.push(if record.has(Record::STALE) { FLAG_STALE } else { 0 });
    put_varint(out, record.xor.last_timestamp());
    out.extend_from_slice(&record.xor.last_value().to_bits().to_be_bytes());
    let mut open = Vec::new();
    match shard.copy_open(record, &mut open) {
        None => out.push(Encoding::None as u8),
        Some(encoding) => {
            out.push(encoding as u8);
            put_varint(out, record.chunk_min_t);
            put_varint(out, record.next_cut_t);
            put_prefixed_bytes(out, &open);
        }
    }
    let mut sealed: Vec<Sealed> = shard.sealed.iter(record.sealed).collect();
    sealed.reverse();
    put_uvarint(out, sealed.len() as u64);
    for chunk in sealed {
        put_uvarint(out, chunk.location.to_bits());
        put_varint(out, chunk.min_t);
    }
    let (late_sealed, late_runs) =
        shard.late.get(&id).map(|late| (late.sealed.clone(), late.runs())).unwrap_or_default();
    put_uvarint(out, late_sealed.len() as u64);
    for chunk in late_sealed {
        put_uvarint(out, chunk.location.to_bits());
        put_varint(out, chunk.min_t);
        put_varint(out, chunk.max_t);
    }
    put_uvarint(out, late_runs.len() as u64);
    for run in late_runs {
        out.push(run.encoding as u8);
        put_prefixed_bytes(out, &run.bytes);
    }
}

// ------------------------------------------------------------------------------------------------ read

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
}

/// What a checkpoint says of a series beside its labels.
#[derive(Debug)]
struct State {
    kind: Kind,
    stale: bool,
    newest: (TimestampMs, f64),
    open: Option<Open>,
    sealed: Vec<Sealed>,
    late: LateSamples,
}

#[derive(Debug)]
struct Open {
    min_t: TimestampMs,
    next_cut_t: TimestampMs,
    chunk: OpenChunk,
}

#[derive(Debug)]
enum OpenChunk {
    Float(xor::AppendState, Vec<u8>),
    Histogram(HistogramAppender),
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
        if crate::head::shard::page_of(record.id) != number {
            return Err(cursor.error("series of another page"));
        }
        series.push((record, read_state(&mut cursor)?));
    }
    Ok(Page { number, covered, series })
}

fn read_state(cursor: &mut Cursor<'_>) -> Result<State, DecodeError> {
    let kind = match cursor.u8()? {
        0 => Kind::None,
        1 => Kind::Float,
        2 => Kind::Histogram,
        _ => return Err(cursor.error("kind of series")),
    };
    let stale = cursor.u8()? & FLAG_STALE != 0;
    let newest = (cursor.varint()?, cursor.f64()?);
    let encoding = read_encoding(cursor)?;
    let open = match encoding {
        Encoding::None => None,
        _ => Some(Open {
            min_t: cursor.varint()?,
            next_cut_t: cursor.varint()?,
            chunk: read_open(cursor, encoding)?,
        }),
    };
    let mut sealed = Vec::new();
    for _ in 0..cursor.uvarint()? {
        let location = Location::from_bits(cursor.uvarint()?);
        sealed.push(Sealed { location, min_t: cursor.varint()? });
    }
    Ok(State { kind, stale, newest, open, sealed, late: read_late(cursor)? })
}

fn read_encoding(cursor: &mut Cursor<'_>) -> Result<Encoding, DecodeError> {
    let number = cursor.u8()?;
    Encoding::from_u8(number).map_err(|_| cursor.error("encoding of chunk"))
}

fn read_open(cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<OpenChunk, DecodeError> {
    let bytes = cursor.prefixed_bytes()?;
    let wrong = || cursor.error("open chunk");
    if encoding == Encoding::Xor {
        let xor = xor::AppendState::resume(bytes).map_err(|_| wrong())?;
        let fits = xor.samples() > 0 && xor.byte_len() == bytes.len() && bytes.len() <= FLOAT_CHUNK_BYTES_MAX;
        return if fits { Ok(OpenChunk::Float(xor, bytes.to_vec())) } else { Err(wrong()) };
    }
    match HistogramAppender::resume(encoding, bytes) {
        Ok(Some(appender)) => Ok(OpenChunk::Histogram(appender)),
        _ => Err(wrong()),
    }
}

fn read_late(cursor: &mut Cursor<'_>) -> Result<LateSamples, DecodeError> {
    let mut late = LateSamples::default();
    for _ in 0..cursor.uvarint()? {
        let location = Location::from_bits(cursor.uvarint()?);
        late.sealed.push(LateChunk { location, min_t: cursor.varint()?, max_t: cursor.varint()? });
    }
    for _ in 0..cursor.uvarint()? {
        let encoding = read_encoding(cursor)?;
        let bytes = cursor.prefixed_bytes()?;
        let samples =
            samples_of(encoding, bytes).map_err(|_| cursor.error("chunk of samples out of order"))?;
        late.open.extend(samples);
    }
    late.open.sort_by_key(|sample| sample.0);
    late.open.dedup_by_key(|sample| sample.0);
    Ok(late)
}

/// Puts a page into the head; returns its number, what it covers, and how many full chunks have no file.
fn restore(head: &Head, page: Page) -> (usize, u64, usize) {
    let hasher = head.index.read().hasher();
    let hashes: Vec<_> = page
        .series
        .iter()
        .map(|(series, _)| crate::head::index::Index::hash(&hasher, &series.labels))
        .collect();
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
    if min <= max {
        head.bounds.extend(min.max(head.bounds.truncated()), max);
    }
    (page.number, page.covered, missing)
}

/// A series as a checkpoint gives it to a shard.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) record: Record,
    /// The open float chunk, empty if there is none.
    pub(crate) open: Vec<u8>,
    /// The open histogram chunk.
    pub(crate) histogram: Option<HistogramAppender>,
    /// Oldest first.
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) late: LateSamples,
}

impl State {
    fn into_parts(self) -> Restored {
        let State { kind, stale, newest, open, sealed, late } = self;
        let mut record = Record { kind, ..Record::vacant() };
        record.set(Record::STALE, stale);
        if kind != Kind::None {
            record.xor = state_of(newest);
        }
        let mut restored = Restored { record, open: Vec::new(), histogram: None, sealed, late };
        if let Some(Open { min_t, next_cut_t, chunk }) = open {
            restored.record.chunk_min_t = min_t;
            restored.record.next_cut_t = next_cut_t;
            match chunk {
                OpenChunk::Float(xor, bytes) => (restored.record.xor, restored.open) = (xor, bytes),
                OpenChunk::Histogram(appender) => restored.histogram = Some(appender),
            }
        }
        restored
    }
}
