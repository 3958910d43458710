//! Prometheus's head, read into a head of ours that nobody writes to.
//!
//! The log comes first: the newest checkpoint and the segments behind it. It has every sample that isn't in a
//! block, in order of time for each series but for those that came out of order, which the head keeps apart.
//! The out-of-order log and the chunk files hold samples that the log has as well, unless it was damaged or
//! cut off; of the chunk files only the chunks with a sample that isn't there yet are taken.
//!
//! Full chunks go to files of a scratch directory, so memory is that of a head with these series: about as
//! much as the server takes anyway while it scrapes them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hashbrown::HashMap;
use model::cancel::Cancel;
use model::labels::Labels;
use model::metadata::{Metadata, MetricFamily};
use model::storage::{HistogramValue, SampleColumns, StorageError};
use model::time::TimestampMs;

use super::head_chunks::{self, HeadChunk};
use super::record::{self, Entry};
use super::wal::{Part, Parts};
use super::{Layout, Segments};
use crate::block::tombstones::Interval;
use crate::chunk::{ChunkError, decode_into};
use crate::db::Damage;
use crate::error::{check, io as io_error};
use crate::fs::Fs;
use crate::head::exemplars::Stored;
use crate::head::index::Index;
use crate::head::out_of_order::{LateChunk, Value};
use crate::head::series::Kind;
use crate::head::shard::shard_of;
use crate::head::{ChunkRules, Head};
use crate::head_chunks::HeadChunks;
use crate::metrics::Metrics;
use crate::wal::record::ID_MAX;
use crate::wal::segment::Wal;

/// How the samples are gathered.
#[derive(Clone, Debug)]
pub(crate) struct GatherOptions {
    /// How chunks are cut; the range is also that of the blocks to be written.
    pub(crate) rules: ChunkRules,
    /// How many exemplars are kept, the newest.
    pub(crate) exemplars_max: usize,
    /// Where full chunks go. Whoever asks removes it.
    pub(crate) scratch_dir: PathBuf,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) files: usize,
    pub(crate) floats: u64,
    pub(crate) histograms: u64,
    /// Samples that only chunk files have.
    pub(crate) from_chunks: u64,
    pub(crate) exemplars: u64,
    pub(crate) metadata: u64,
    pub(crate) tombstones: u64,
    /// Samples, chunks and the like of series that the log doesn't define.
    pub(crate) unknown_refs: u64,
    /// Histograms whose parts contradict each other.
    pub(crate) invalid_histograms: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) head: Arc<Head>,
    /// Times of the first and the last sample in each range that a block is of, by its beginning.
    pub(crate) ranges: BTreeMap<TimestampMs, (TimestampMs, TimestampMs)>,
    pub(crate) exemplars: VecDeque<Stored>,
    pub(crate) found: Found,
    /// What couldn't be read, but for torn ends.
    pub(crate) damage: Vec<Damage>,
}

/// Reads Prometheus's head.
///
/// # Errors
///
/// A file can't be read at all, or the work was cancelled. Damage inside of files isn't an error.
pub(crate) fn gather(
    fs: &Arc<dyn Fs>,
    layout: &Layout,
    options: GatherOptions,
    metrics: &Arc<Metrics>,
    cancel: &Cancel,
) -> Result<Gathered, StorageError> {
    let mut gatherer = Gatherer::new(fs, options, metrics)?;
    let logs = [&layout.checkpoint, &layout.wal, &layout.out_of_order];
    let total = logs.iter().map(|log| log.files.len()).sum::<usize>() + layout.head_chunks.len();
    for log in logs {
        gatherer.read_log(&**fs, log, total, cancel)?;
    }
    for path in &layout.head_chunks {
        gatherer.read_chunks(&**fs, path, total, cancel)?;
    }
    Ok(gatherer.finish())
}

struct Gatherer {
    head: Head,
    /// Our ids of Prometheus's refs.
    ids: HashMap<u64, u32, foldhash::fast::RandomState>,
    ranges: BTreeMap<TimestampMs, (TimestampMs, TimestampMs)>,
    exemplars: VecDeque<Stored>,
    exemplars_max: usize,
    tombstones: Vec<(u32, Interval)>,
    found: Found,
    damage: Vec<Damage>,
}

impl Gatherer {
    fn new(fs: &Arc<dyn Fs>, options: GatherOptions, metrics: &Arc<Metrics>) -> Result<Self, StorageError> {
        let GatherOptions { rules, exemplars_max, scratch_dir } = options;
        let chunks = HeadChunks::open(Arc::clone(fs), scratch_dir.join("chunks"))
            .map_err(io_error("create", &scratch_dir))?;
        // Nothing is ever appended to it, so there is never a file of it.
        let wal = Wal::new(Arc::clone(fs), scratch_dir.join("wal"), 1, 0, 0, 0, false);
        Ok(Gatherer {
            head: Head::new(wal, chunks, rules, 0, 0, Arc::clone(metrics)),
            ids: HashMap::default(),
            ranges: BTreeMap::new(),
            exemplars: VecDeque::new(),
            exemplars_max,
            tombstones: Vec::new(),
            found: Found::default(),
            damage: Vec::new(),
        })
    }

    fn finish(self) -> Gathered {
        let Gatherer { head, ranges, exemplars, found, damage, tombstones, .. } = self;
        head.add_tombstones(&tombstones);
        if let (Some(first), Some(last)) = (ranges.values().next(), ranges.values().last()) {
            head.bounds.extend(first.0, last.1);
        }
        Gathered { head: Arc::new(head), ranges, exemplars, found, damage }
    }

    fn note_damage(&mut self, file: &Path, from: usize, to: usize, what: String) {
        tracing::error!(file = %file.display(), from, to, what, "damage in Prometheus's head");
        self.damage.push(Damage { file: file.to_owned(), from, to, what });
    }

    fn begin_file(&mut self, path: &Path, total: usize) {
        self.found.files += 1;
        tracing::info!(file = %path.display(), number = self.found.files, of = total, "reading Prometheus's head");
    }

    // ------------------------------------------------------------------------------------ logs

    fn read_log(
        &mut self,
        fs: &dyn Fs,
        log: &Segments,
        total: usize,
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        let mut expected = log.first;
        for (number, path) in &log.files {
            if expected.is_some_and(|expected| expected != *number) {
                self.note_damage(path, 0, 0, "segments before this one are missing".to_owned());
            }
            expected = number.checked_add(1);
            self.begin_file(path, total);
            self.read_segment(fs, path, cancel)?;
        }
        Ok(())
    }

    fn read_segment(&mut self, fs: &dyn Fs, path: &Path, cancel: &Cancel) -> Result<(), StorageError> {
        let bytes = fs.view(path).map_err(io_error("read", path))?;
        let mut parts = Parts::new(&bytes);
        while let Some(part) = parts.next() {
            check(cancel)?;
            match part {
                Part::Record(record) => self.read_record(&record, path, parts.position())?,
                Part::Damage { from, to, what } => self.note_damage(path, from, to, what.to_owned()),
                Part::Torn { from } => {
                    tracing::info!(file = %path.display(), offset = from, "Prometheus's log ends within a record");
                }
            }
        }
        Ok(())
    }

    fn read_record(&mut self, record: &[u8], path: &Path, end: usize) -> Result<(), StorageError> {
        let mut failed = None;
        let read = record::read(record, &mut |entry| {
            if let Err(error) = self.take(entry) {
                failed.get_or_insert(error);
            }
        });
        if let Err(error) = read {
            // The checksum was right: this is of another version, or a mistake.
            let what = format!("record isn't understood: {error}");
            self.note_damage(path, end.saturating_sub(record.len()), end, what);
        }
        failed.map_or(Ok(()), Err)
    }

    fn take(&mut self, entry: Entry) -> Result<(), StorageError> {
        if let Entry::Series(series, labels) = entry {
            return self.define(series, &labels);
        }
        let series = match &entry {
            Entry::Series(series, _)
            | Entry::Float(series, ..)
            | Entry::Histogram(series, ..)
            | Entry::Tombstone(series, _)
            | Entry::Exemplar(series, ..)
            | Entry::Metadata(series, _) => *series,
        };
        let Some(id) = self.ids.get(&series).copied() else {
            self.found.unknown_refs += 1;
            return Ok(());
        };
        match entry {
            Entry::Series(..) => {}
            Entry::Float(_, timestamp, value) => self.float(id, timestamp, value),
            Entry::Histogram(_, timestamp, value) => self.histogram(id, timestamp, value),
            Entry::Tombstone(_, interval) => {
                self.found.tombstones += 1;
                self.tombstones.push((id, interval));
            }
            Entry::Exemplar(_, labels, timestamp, value) => self.exemplar(id, labels, timestamp, value),
            Entry::Metadata(_, metadata) => self.metadata(id, metadata),
        }
        Ok(())
    }

    /// Notes what a ref stands for. Several may stand for one label set: a series that came back.
    fn define(&mut self, series: u64, labels: &Labels) -> Result<(), StorageError> {
        let index = self.head.index.get_mut();
        let hash = Index::hash(&index.hasher(), labels);
        let id = match index.find(hash, labels) {
            Some(id) => id,
            None if index.id_end() > ID_MAX => {
                return Err(StorageError::Limit(format!("Prometheus's head has more than {ID_MAX} series")));
            }
            None => {
                let id = index.create(hash, labels);
                self.head.shards[shard_of(id)].get_mut().create(id);
                id
            }
        };
        self.ids.insert(series, id);
        Ok(())
    }

    fn float(&mut self, id: u32, timestamp: TimestampMs, value: f64) {
        let Head { shards, chunks, rules, .. } = &mut self.head;
        let shard = shards[shard_of(id)].get_mut();
        let record = shard.record(id);
        let newest = (record.kind != Kind::None).then(|| record.xor.last_timestamp());
        let is_repeated = record.kind == Kind::Float
            && newest == Some(timestamp)
            && record.xor.last_value().to_bits() == value.to_bits();
        if is_repeated {
            return;
        }
        if newest.is_none_or(|newest| timestamp > newest) {
            shard.append_float(id, timestamp, value, rules, chunks);
        } else if !shard.insert_late(id, timestamp, Value::Float(value), chunks) {
            return;
        }
        self.found.floats += 1;
        self.note_time(timestamp);
    }

    fn histogram(&mut self, id: u32, timestamp: TimestampMs, value: Box<HistogramValue>) {
        if !value.is_stale() && !is_valid(&value) {
            self.found.invalid_histograms += 1;
            return;
        }
        let Head { shards, chunks, rules, .. } = &mut self.head;
        let shard = shards[shard_of(id)].get_mut();
        let record = shard.record(id);
        if record.kind == Kind::None || timestamp > record.xor.last_timestamp() {
            shard.append_histogram(id, timestamp, &value, rules, chunks);
        } else if !shard.insert_late(id, timestamp, Value::Histogram(value), chunks) {
            return;
        }
        self.found.histograms += 1;
        self.note_time(timestamp);
    }

    fn metadata(&mut self, id: u32, metadata: Metadata) {
        self.found.metadata += 1;
        let labels = self.head.index.get_mut().labels(id);
        let family = Arc::new(MetricFamily::of_metric(labels.metric_name(), metadata));
        self.head.set_family(&mut self.head.shards[shard_of(id)].lock(), id, &family);
    }

    fn exemplar(&mut self, id: u32, labels: Labels, timestamp: TimestampMs, value: f64) {
        self.found.exemplars += 1;
        if self.exemplars_max == 0 {
            return;
        }
        if self.exemplars.len() == self.exemplars_max {
            self.exemplars.pop_front();
        }
        let series = self.head.index.get_mut().labels(id);
        self.exemplars.push_back(Stored { series, labels, timestamp, value });
    }

    fn note_time(&mut self, timestamp: TimestampMs) {
        let range = self.head.rules.range_ms;
        let begin = timestamp.div_euclid(range).saturating_mul(range);
        let times = self.ranges.entry(begin).or_insert((timestamp, timestamp));
        *times = (times.0.min(timestamp), times.1.max(timestamp));
    }

    // ------------------------------------------------------------------------------------ chunks

    fn read_chunks(
        &mut self,
        fs: &dyn Fs,
        path: &Path,
        total: usize,
        cancel: &Cancel,
    ) -> Result<(), StorageError> {
        self.begin_file(path, total);
        let bytes = fs.view(path).map_err(io_error("read", path))?;
        let end = bytes.len();
        let read = head_chunks::read(&bytes, |chunk| {
            check(cancel)?;
            self.chunk(&chunk, path)
        })?;
        match read {
            Ok(()) => {}
            // The last chunk was being written.
            Err(error) if error.what == "unexpected end" => {
                tracing::info!(file = %path.display(), offset = error.at, "Prometheus's head chunks end within one");
            }
            Err(error) => self.note_damage(path, error.at, end, error.what.to_owned()),
        }
        Ok(())
    }

    /// Takes a chunk if it has a sample that isn't there yet.
    fn chunk(&mut self, chunk: &HeadChunk<'_>, path: &Path) -> Result<(), StorageError> {
        let Some(id) = self.ids.get(&chunk.series).copied() else {
            self.found.unknown_refs += 1;
            return Ok(());
        };
        let mut columns = SampleColumns::default();
        if let Err(error) = decode_into(chunk.encoding, chunk.bytes, i64::MIN, i64::MAX, &mut columns) {
            self.note_damage(path, 0, 0, error.to_string());
            return Ok(());
        }
        let times = if chunk.encoding.is_float() { columns.timestamps } else { columns.histogram_timestamps };
        let (Some(min_t), Some(max_t)) = (times.first().copied(), times.last().copied()) else {
            return Ok(());
        };
        let known = self.known_times(id, min_t, max_t)?;
        let missing = times.iter().filter(|time| known.binary_search(time).is_err()).count();
        if missing == 0 {
            return Ok(());
        }
        self.found.from_chunks += missing as u64;
        let location = self.head.chunks.append(chunk.encoding, chunk.bytes);
        let late = self.head.shards[shard_of(id)].get_mut().late.entry(id).or_default();
        Arc::make_mut(late).sealed.push(LateChunk { location, min_t, max_t });
        times.into_iter().for_each(|time| self.note_time(time));
        Ok(())
    }

    /// The times in `[mint, maxt]` at which a series has a sample, ascending.
    fn known_times(
        &self,
        id: u32,
        mint: TimestampMs,
        maxt: TimestampMs,
    ) -> Result<Vec<TimestampMs>, StorageError> {
        let shard = self.head.shards[shard_of(id)].lock();
        let record = *shard.record(id);
        let reader = self.head.chunks.reader();
        let mut columns = SampleColumns::default();
        let mut data = Vec::new();
        let scratch = |error: ChunkError| StorageError::Corrupt {
            file: "scratch of the import".to_owned(),
            offset: 0,
            what: error.to_string(),
        };
        let mut next = if record.is_open() { record.chunk_min_t } else { i64::MAX };
        let mut locations = Vec::new();
        for sealed in shard.sealed.iter(record.sealed) {
            if next <= mint {
                break;
            }
            next = sealed.min_t;
            if sealed.min_t <= maxt {
                locations.push(sealed.location);
            }
        }
        let late = shard.late.get(&id);
        let late_chunks = late.iter().flat_map(|late| &late.sealed);
        let overlapping = late_chunks.filter(|chunk| chunk.min_t <= maxt && chunk.max_t >= mint);
        locations.extend(overlapping.map(|chunk| chunk.location));
        for location in locations {
            let (encoding, bytes) = reader.read(location, &mut data)?;
            decode_into(encoding, bytes, mint, maxt, &mut columns).map_err(scratch)?;
        }
        data.clear();
        if let Some(encoding) = shard.copy_open(&record, &mut data) {
            decode_into(encoding, &data, mint, maxt, &mut columns).map_err(scratch)?;
        }
        let mut times = columns.timestamps;
        times.append(&mut columns.histogram_timestamps);
        let open = late.iter().flat_map(|late| &late.open).map(|sample| sample.0);
        times.extend(open.filter(|time| (mint..=maxt).contains(time)));
        times.sort_unstable();
        Ok(times)
    }
}

fn is_valid(value: &HistogramValue) -> bool {
    match value {
        HistogramValue::Integer(histogram) => histogram.validate().is_ok(),
        HistogramValue::Float(histogram) => histogram.validate().is_ok(),
    }
}

/// Removes a scratch directory, if it is there.
pub(crate) fn remove_scratch(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    if fs.exists(dir) { fs.remove_dir_all(dir) } else { Ok(()) }
}
