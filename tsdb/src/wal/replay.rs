//! Replay: the log into the head, several shards at a time.
//!
//! One thread reads frames in order and hands each to all workers; a worker applies the sections of its
//! shards. A shard needs nothing of another, because its series are defined in its own sections. Queues are
//! short, so memory stays that of the head.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use model::metadata::MetricFamily;
use model::time::TimestampMs;

use super::checkpoint::{Covered, replay_exemplars, replay_families};
use super::frame::{Frame, Part, Parts};
use super::record::{self, Section, SectionKind, SeriesRecord, ShardSamples};
use super::segment::{HEADER_BYTES, MAGIC, first_number, list_segments};
use crate::codec::{Cursor, DecodeError};
use crate::db::{Damage, move_aside};
use crate::fs::Fs;
use crate::head::Head;
use crate::head::index::Index;
use crate::head::shard::{SHARDS, Shard, page_of, shard_of};

/// Frames that a worker may be behind: some megabytes at most for ordinary commits.
const QUEUE_FRAMES: usize = 64;
/// More workers than this wait for each other on the index.
const WORKERS_MAX: usize = 8;

/// What became of the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replayed {
    /// Number of the last frame.
    pub(crate) number: u64,
    /// The segment to begin next.
    pub(crate) next_segment: u32,
    /// Bytes of the segments.
    pub(crate) size: u64,
    /// Frames applied.
    pub(crate) frames: u64,
    /// Damage, but for torn ends.
    pub(crate) damage: Vec<Damage>,
    /// Commits that are missing from the log.
    pub(crate) lost_commits: u64,
    /// Samples of series that nobody defined.
    pub(crate) unknown_refs: u64,
}

struct Work {
    number: u64,
    record: Vec<u8>,
}

/// How far replay is, for others to look at: numbers of segments, all 0 while there is nothing to replay.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    /// The first.
    pub first: AtomicU64,
    /// The last.
    pub last: AtomicU64,
    /// The one that is being read.
    pub current: AtomicU64,
}

/// Replays the log of a directory behind what a checkpoint covers. Segments that can't be read at all go to
/// `aside`.
pub(crate) fn replay(
    head: &Head,
    fs: &dyn Fs,
    (dir, aside): (&Path, &Path),
    covered: &Covered,
    progress: &ReplayProgress,
) -> io::Result<Replayed> {
    let mut segments = list_segments(fs, dir)?;
    let mut replayed = Replayed { number: covered.all, next_segment: 1, ..Replayed::default() };
    replayed.number = covered.pages.iter().copied().fold(covered.all, u64::max);
    if let (Some(first), Some(last)) = (segments.first(), segments.last()) {
        progress.first.store(first.0.into(), Ordering::Relaxed);
        progress.last.store(last.0.into(), Ordering::Relaxed);
        replayed.next_segment = last.0 + 1;
    }
    replayed.size = skip_covered(fs, &mut segments, covered.all)?;
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get()).min(WORKERS_MAX);
    let unknown = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let mut queues = Vec::new();
        for worker in 0..workers {
            let (sender, receiver) = sync_channel::<Arc<Work>>(QUEUE_FRAMES);
            queues.push(sender);
            let unknown = &unknown;
            scope.spawn(move || run_worker(head, covered, &receiver, (worker, workers), unknown));
        }
        let mut reader = Reader { fs, replayed: &mut replayed, queues, expected: None };
        for (number, path) in &segments {
            progress.current.store((*number).into(), Ordering::Relaxed);
            if let Err(error) = reader.read_segment(path) {
                tracing::error!(file = %path.display(), %error, "log segment can't be read");
                reader.replayed.damage.push(Damage::of_file(path, error));
                if let Err(error) = move_aside(fs, path, aside) {
                    tracing::error!(file = %path.display(), %error, "log segment can't be set aside");
                }
            }
        }
    });
    replayed.unknown_refs = unknown.into_inner();
    Ok(replayed)
}

/// Leaves out the segments that are there for followers alone; returns their bytes.
fn skip_covered(fs: &dyn Fs, segments: &mut Vec<(u32, PathBuf)>, covered: u64) -> io::Result<u64> {
    let mut first = 0;
    for (at, (_, path)) in segments.iter().enumerate().skip(1) {
        if first_number(fs, path)?.is_some_and(|number| number <= covered + 1) {
            first = at;
        }
    }
    let mut skipped_bytes = 0;
    for (_, path) in segments.drain(..first) {
        skipped_bytes += fs.len(&path)?;
    }
    Ok(skipped_bytes)
}

struct Reader<'a> {
    fs: &'a dyn Fs,
    replayed: &'a mut Replayed,
    queues: Vec<SyncSender<Arc<Work>>>,
    /// Number of the next frame; `None` before the first.
    expected: Option<u64>,
}

impl Reader<'_> {
    fn read_segment(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.fs.view(path)?;
        self.replayed.size += bytes.len() as u64;
        if bytes.len() < HEADER_BYTES {
            // The process ended while it began the segment.
            return Ok(());
        }
        let body = if bytes.starts_with(MAGIC) { HEADER_BYTES } else { 0 };
        let mut torn = None;
        for part in Parts::new(&bytes, body) {
            match part {
                Part::Frame(frame) => self.dispatch(frame),
                Part::Damage { from, to, what } if to == bytes.len() && what == super::frame::SHORT => {
                    torn = Some(from);
                }
                Part::Damage { from, to, what } => {
                    let what = what.to_owned();
                    self.replayed.damage.push(Damage { file: path.to_owned(), from, to, what });
                }
            }
        }
        drop(bytes);
        if let Some(from) = torn {
            tracing::info!(file = %path.display(), offset = from, "cut off a commit that was being written");
            // Later commits go to a new segment, so that one that stays does no harm.
            if let Err(error) = self.fs.open(path).and_then(|mut file| file.set_len(from as u64)) {
                tracing::warn!(file = %path.display(), %error, "torn end of the log can't be cut off");
            }
        }
        Ok(())
    }

    fn dispatch(&mut self, frame: Frame<'_>) {
        // A failed sync leaves frames in two segments.
        if self.expected.is_some_and(|expected| frame.number < expected) {
            return;
        }
        if let Some(expected) = self.expected {
            self.replayed.lost_commits += frame.number - expected;
        } else if frame.number > self.replayed.number + 1 && self.replayed.number > 0 {
            self.replayed.lost_commits += frame.number - self.replayed.number - 1;
        }
        self.expected = Some(frame.number + 1);
        self.replayed.number = self.replayed.number.max(frame.number);
        self.replayed.frames += 1;
        let work = Arc::new(Work { number: frame.number, record: frame.payload.into_owned() });
        for queue in &self.queues {
            // A worker ends only when its queue does.
            let _ = queue.send(Arc::clone(&work));
        }
    }
}

fn run_worker(
    head: &Head,
    covered: &Covered,
    queue: &Receiver<Arc<Work>>,
    (worker, workers): (usize, usize),
    unknown: &AtomicU64,
) {
    let mut samples = ShardSamples::default();
    for work in queue {
        let applier = Applier { head, covered, number: work.number, unknown };
        if let Err(error) = applier.apply_record(&work.record, (worker, workers), &mut samples)
            && worker == 0
        {
            // The checksum was right: this is of another version, or a mistake.
            tracing::error!(commit = work.number, %error, "commit in the log isn't understood");
        }
    }
}

/// Applies what a frame says.
#[derive(Clone, Copy)]
struct Applier<'a> {
    head: &'a Head,
    covered: &'a Covered,
    number: u64,
    unknown: &'a AtomicU64,
}

impl Applier<'_> {
    fn apply_record(
        &self,
        record: &[u8],
        (worker, workers): (usize, usize),
        samples: &mut ShardSamples,
    ) -> Result<(), DecodeError> {
        let mut pending = None;
        samples.clear();
        for section in record::sections(record) {
            let section = section?;
            if section.shard % workers != worker {
                continue;
            }
            // The samples of a shard are in several sections, and a series may be in more than one of them.
            let shard = section.shard % SHARDS;
            if let Some(other) = pending.take_if(|other| *other != shard) {
                self.apply_samples(other, samples);
            }
            if samples.read(&section)? {
                pending = Some(shard);
            } else {
                self.apply_section(&section)?;
            }
        }
        if let Some(shard) = pending {
            self.apply_samples(shard, samples);
        }
        Ok(())
    }

    fn apply_section(&self, section: &Section<'_>) -> Result<(), DecodeError> {
        match section.kind {
            SectionKind::Series => record::read_series(section.body, |series| {
                if !self.covered.has(page_of(series.id), self.number) {
                    define(self.head, series);
                }
            }),
            SectionKind::Truncate => {
                self.head.bounds.truncate(Cursor::new(section.body).varint()?);
                Ok(())
            }
            SectionKind::Tombstones => {
                let mut tombstones = record::read_tombstones(section.body)?;
                tombstones.retain(|(id, _)| !self.covered.has(page_of(*id), self.number));
                self.head.add_tombstones(&tombstones);
                Ok(())
            }
            SectionKind::Exemplars => replay_exemplars(self.head, section.body),
            SectionKind::Metadata => record::read_metadata(section.body, |id, family| {
                if !self.covered.has(page_of(id), self.number) {
                    restore_family(self.head, id, family);
                }
            }),
            SectionKind::Families => replay_families(self.head, section.body),
            _ => Ok(()),
        }
    }

    /// Applies the samples of a shard, but for those that the checkpoint has or that a block has.
    fn apply_samples(&self, number: usize, samples: &mut ShardSamples) {
        let head = self.head;
        let truncated = head.bounds.truncated();
        let mut shard = head.shards[number].lock();
        let mut unknown = 0;
        let ShardSamples { floats, histograms, late_floats, late_histograms } = samples;
        let mut known = |id: u32| {
            let known = shard_of(id) == number && shard.newest(id).is_some();
            unknown += u64::from(!known);
            known
        };
        let covered = |id: u32| self.covered.has(page_of(id), self.number);
        floats.retain(|id, t| !covered(id) && t >= truncated && known(id));
        histograms.retain(|row| !covered(row.id) && row.timestamp >= truncated && known(row.id));
        late_floats.retain(|id, _| !covered(id) && known(id));
        late_histograms.retain(|row| !covered(row.id) && known(row.id));
        self.unknown.fetch_add(unknown, Ordering::Relaxed);
        floats.retain(newer_only(&shard));
        {
            let mut newer = newer_only(&shard);
            histograms.retain(|row| newer(row.id, row.timestamp) && !floats.has(row.id, row.timestamp));
        }
        head.apply(&mut shard, samples);
        samples.clear();
    }
}

/// Says of samples, by series and in order, whether each is newer than those before it and those of the shard. A
/// sample that is there already, as after a rewritten segment, is there once.
fn newer_only(shard: &Shard) -> impl FnMut(u32, TimestampMs) -> bool + '_ {
    let mut before: Option<(u32, TimestampMs)> = None;
    move |id, timestamp| {
        let newest = match before {
            Some((other, newest)) if other == id => Some(newest),
            _ => shard.newest(id),
        };
        let newer = newest.is_some_and(|newest| timestamp > newest);
        if newer {
            before = Some((id, timestamp));
        }
        newer
    }
}

/// Notes the family of a series, if there is one.
fn restore_family(head: &Head, id: u32, family: &Arc<MetricFamily>) {
    let mut shard = head.shards[shard_of(id)].lock();
    if shard.newest(id).is_some() {
        head.set_family(&mut shard, id, family);
    }
}

/// Makes a series under the id that it had. Another that has the id was removed since.
fn define(head: &Head, series: SeriesRecord) {
    let mut index = head.index.write();
    let hash = Index::hash(&index.hasher(), &series.labels);
    let mut shard = head.shards[shard_of(series.id)].lock();
    if index.contains(series.id) {
        if shard.record(series.id).generation == series.generation {
            return;
        }
        head.remove_from(&mut shard, series.id);
        index.remove(&std::iter::once(series.id).collect());
    }
    if let Some(other) = index.find(hash, &series.labels) {
        // The same labels under an id of before: that one was removed since.
        drop(shard);
        head.remove_from(&mut head.shards[shard_of(other)].lock(), other);
        index.remove(&std::iter::once(other).collect());
        shard = head.shards[shard_of(series.id)].lock();
    }
    index.create_as(series.id, hash, &series.labels);
    shard.create_as(series.id, series.generation);
}
