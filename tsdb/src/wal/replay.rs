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

use super::checkpoint::Covered;
use super::frame::{Frame, Part, Parts};
use super::record::{self, FloatColumns, Section, SectionKind, SeriesRecord};
use super::segment::{HEADER_BYTES, MAGIC, list_segments};
use crate::codec::Cursor;
use crate::fs::Fs;
use crate::head::Head;
use crate::head::index::Index;
use crate::head::shard::{SHARDS, page_of, shard_of};

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
    /// Damage, but for torn ends: file, from, to, why.
    pub(crate) damage: Vec<(PathBuf, usize, usize, String)>,
    /// Commits that are missing from the log.
    pub(crate) lost_commits: u64,
    /// Samples of series that nobody defined.
    pub(crate) unknown_refs: u64,
}

struct Work {
    number: u64,
    record: Vec<u8>,
}

/// Progress that others may look at: the first, the last and the current segment.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) first: AtomicU64,
    pub(crate) last: AtomicU64,
    pub(crate) current: AtomicU64,
}

/// Replays the log of a directory behind what a checkpoint covers.
pub(crate) fn replay(
    head: &Head,
    fs: &dyn Fs,
    dir: &Path,
    covered: &Covered,
    progress: &Progress,
) -> io::Result<Replayed> {
    let segments = list_segments(fs, dir)?;
    let mut replayed = Replayed { number: covered.all, next_segment: 1, ..Replayed::default() };
    replayed.number = covered.pages.iter().copied().fold(covered.all, u64::max);
    if let (Some(first), Some(last)) = (segments.first(), segments.last()) {
        progress.first.store(first.0.into(), Ordering::Relaxed);
        progress.last.store(last.0.into(), Ordering::Relaxed);
        replayed.next_segment = last.0 + 1;
    }
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
            reader.read_segment(path)?;
        }
        Ok::<(), io::Error>(())
    })?;
    replayed.unknown_refs = unknown.into_inner();
    Ok(replayed)
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
                    self.replayed.damage.push((path.to_owned(), from, to, what.to_owned()));
                }
            }
        }
        drop(bytes);
        if let Some(from) = torn {
            tracing::info!(file = %path.display(), offset = from, "cut off a commit that was being written");
            self.fs.open(path)?.set_len(from as u64)?;
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
    let mut samples = FloatColumns::default();
    for work in queue {
        for section in record::sections(&work.record) {
            let applied = match section {
                Ok(section) if section.shard % workers == worker => {
                    apply(head, covered, work.number, &section, &mut samples, unknown)
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = applied
                && worker == 0
            {
                // The checksum was right: this is of another version, or a mistake.
                tracing::error!(commit = work.number, %error, "commit in the log isn't understood");
            }
        }
    }
}

fn apply(
    head: &Head,
    covered: &Covered,
    number: u64,
    section: &Section<'_>,
    samples: &mut FloatColumns,
    unknown: &AtomicU64,
) -> Result<(), crate::codec::DecodeError> {
    let shard = section.shard % SHARDS;
    match section.kind {
        SectionKind::Series => record::read_series(section.body, |series| {
            if !covered.has(page_of(series.id), number) {
                define(head, series);
            }
        }),
        SectionKind::Floats => {
            record::read_floats(section.body, samples)?;
            apply_floats(head, covered, number, shard, samples, unknown);
            Ok(())
        }
        SectionKind::OutOfOrderFloats => Ok(()),
        SectionKind::Truncate => {
            head.bounds.truncate(Cursor::new(section.body).varint()?);
            Ok(())
        }
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
        shard.remove(series.id, &head.chunks);
        index.remove(&std::iter::once(series.id).collect());
    }
    if let Some(other) = index.find(hash, &series.labels) {
        // The same labels under an id of before: that one was removed since.
        drop(shard);
        head.shards[shard_of(other)].lock().remove(other, &head.chunks);
        index.remove(&std::iter::once(other).collect());
        shard = head.shards[shard_of(series.id)].lock();
    }
    index.create_as(series.id, hash, &series.labels);
    shard.create_as(series.id, series.generation);
}

fn apply_floats(
    head: &Head,
    covered: &Covered,
    number: u64,
    shard: usize,
    samples: &mut FloatColumns,
    unknown: &AtomicU64,
) {
    let truncated = head.bounds.truncated();
    let mut shard = head.shards[shard].lock();
    let mut unknown_here = 0;
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for (id, timestamp, value) in samples.iter() {
        if covered.has(page_of(id), number) || timestamp < truncated {
            continue;
        }
        match shard.newest(id) {
            None => unknown_here += 1,
            Some(newest) if newest >= timestamp => {}
            Some(_) => {
                shard.append_float(id, timestamp, value, &head.rules, &head.chunks);
                min = min.min(timestamp);
                max = max.max(timestamp);
            }
        }
    }
    if min <= max {
        head.bounds.extend(min, max);
    }
    unknown.fetch_add(unknown_here, Ordering::Relaxed);
}
