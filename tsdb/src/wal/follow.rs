//! Following the log: reading its frames in order while others are appended.
//!
//! A follower reads files, up to where the log says that whole frames are. So what is behind costs no memory,
//! however far it is behind. Damage costs the frames that it hits, whose number the follower tells.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use model::exemplar::Exemplar;
use model::labels::Labels;
use model::log::{Log, LogCommit, LogFollower, LogSample, LogSeries};
use model::storage::StorageError;
use model::time::TimestampMs;

use super::frame::{self, Part, Parts};
use super::record::{self, SectionKind, ShardSamples};
use super::segment::{HEADER_BYTES, list_segments};
use crate::codec::DecodeError;
use crate::db::Db;
use crate::fs::FsFile;
use crate::head::Head;

/// Bytes that are read at a time, unless a frame is larger.
const READ_BYTES: u64 = 256 << 10;

/// Reads frames in order.
#[derive(Debug)]
struct FrameReader {
    head: Arc<Head>,
    segment: Option<OpenSegment>,
    /// Number of the last frame read.
    number: u64,
}

#[derive(Debug)]
struct OpenSegment {
    number: u32,
    file: Box<dyn FsFile>,
    /// Where the next frame begins in the file.
    at: u64,
    /// Bytes of the file from `at` on, as far as they were read.
    read: Vec<u8>,
    /// How many of `read` were used.
    used: usize,
}

/// A frame, and how many are missing before it.
struct NextFrame {
    payload: Vec<u8>,
    lost: u64,
}

impl OpenSegment {
    /// The next frame before `limit`; `None` at the end. Damage is passed over.
    fn next_frame(&mut self, limit: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        while self.at < limit {
            let rest = &self.read[self.used..];
            let wanted = frame::stored_bytes(rest).unwrap_or(frame::HEADER_BYTES);
            if rest.len() < wanted && (rest.len() as u64) < limit - self.at {
                let len = (limit - self.at).min((wanted as u64).max(READ_BYTES));
                self.read.resize(len as usize, 0);
                self.used = 0;
                self.file.read_exact_at(&mut self.read, self.at)?;
                continue;
            }
            match Parts::new(rest, 0).next() {
                Some(Part::Frame(frame)) => {
                    let found = (frame.number, frame.payload.into_owned());
                    self.skip(wanted);
                    return Ok(Some(found));
                }
                Some(Part::Damage { to, .. }) => self.skip(to),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn skip(&mut self, len: usize) {
        self.at += len as u64;
        self.used += len;
    }
}

impl FrameReader {
    /// Reads behind frame `number`.
    fn new(head: Arc<Head>, number: u64) -> Self {
        FrameReader { head, segment: None, number }
    }

    /// The next frame; `None` if there is none yet.
    fn next(&mut self) -> io::Result<Option<NextFrame>> {
        loop {
            let end = self.head.wal.end();
            if end.number <= self.number {
                return Ok(None);
            }
            if self.segment.is_none() && !self.open_next(None)? {
                return Ok(self.give_up(end.number));
            }
            let Some(segment) = &mut self.segment else { continue };
            let current = end.segment.filter(|(number, _)| *number == segment.number);
            let limit = match current {
                Some((_, len)) => len,
                None => segment.file.len()?,
            };
            match segment.next_frame(limit)? {
                // What is there already: frames before the first wanted, or rewritten after a failed sync.
                Some((number, _)) if number <= self.number => {}
                Some((number, payload)) => {
                    let lost = number - self.number - 1;
                    self.number = number;
                    return Ok(Some(NextFrame { payload, lost }));
                }
                None => {
                    let number = segment.number;
                    if current.is_some() || !self.open_next(Some(number))? {
                        return Ok(self.give_up(end.number));
                    }
                }
            }
        }
    }

    /// All frames up to `last` that weren't found are lost.
    fn give_up(&mut self, last: u64) -> Option<NextFrame> {
        let lost = last - self.number;
        self.number = last;
        Some(NextFrame { payload: Vec::new(), lost })
    }

    /// Opens the segment behind another one; without one, that which has the next frame.
    fn open_next(&mut self, behind: Option<u32>) -> io::Result<bool> {
        let wal = &self.head.wal;
        let segments = list_segments(wal.fs(), wal.dir())?;
        let found: Option<(u32, PathBuf)> = match behind {
            Some(behind) => segments.into_iter().find(|(number, _)| *number > behind),
            None => {
                let at = wal.segment_of(&segments, self.number + 1)?;
                segments.into_iter().nth(at)
            }
        };
        self.segment = match found {
            None => return Ok(false),
            Some((number, path)) => {
                let (file, at) = (wal.fs().open(&path)?, HEADER_BYTES as u64);
                Some(OpenSegment { number, file, at, read: Vec::new(), used: 0 })
            }
        };
        Ok(true)
    }
}

/// A follower by name.
#[derive(Debug)]
struct Follower {
    name: String,
    reader: FrameReader,
    samples: ShardSamples,
    /// Whether it is known which series ended behind the place where this began.
    knows_ended: bool,
}

impl Follower {
    fn new(head: Arc<Head>, name: &str) -> Self {
        let last = head.wal.number();
        let number = head.followers.begin(name, last);
        Follower {
            name: name.to_owned(),
            reader: FrameReader::new(head, number),
            samples: ShardSamples::default(),
            knows_ended: number == last,
        }
    }

    /// Looks for the series that ended in what is still to be read.
    fn find_ended(&mut self) -> io::Result<()> {
        let head = Arc::clone(&self.reader.head);
        let mut ahead = FrameReader::new(Arc::clone(&head), self.reader.number);
        let last = head.wal.number();
        while ahead.number < last
            && let Some(frame) = ahead.next()?
        {
            let number = ahead.number;
            for section in record::sections(&frame.payload).flatten() {
                if section.kind == SectionKind::Gone {
                    let add = |series: record::SeriesRecord| {
                        head.followers.add_gone(series.id, number, series.labels)
                    };
                    // What of it can't be read is told when it is reached.
                    let _ = record::read_series(section.body, add);
                }
            }
        }
        self.knows_ended = true;
        Ok(())
    }

    fn error(&self, source: io::Error) -> StorageError {
        let what = format!("read log in {} for {:?}", self.reader.head.wal.dir().display(), self.name);
        StorageError::Io { what, source: Arc::new(source) }
    }
}

impl LogFollower for Follower {
    fn next(&mut self, commit: &mut LogCommit) -> Result<bool, StorageError> {
        commit.clear();
        if !self.knows_ended {
            self.find_ended().map_err(|error| self.error(error))?;
        }
        let Some(frame) = self.reader.next().map_err(|error| self.error(error))? else { return Ok(false) };
        commit.number = self.reader.number;
        commit.lost = frame.lost;
        if let Err(error) = read_commit(&frame.payload, &mut self.samples, commit) {
            tracing::error!(commit = commit.number, %error, "commit in the log isn't understood");
        }
        Ok(true)
    }

    fn wait(&self, stopped: &AtomicBool) {
        self.reader.head.wal.wait_behind(self.reader.number, stopped);
    }

    fn number(&self) -> u64 {
        self.reader.number
    }

    fn last_number(&self) -> u64 {
        self.reader.head.wal.number()
    }

    fn segment(&self) -> u32 {
        self.reader.segment.as_ref().map_or_else(|| self.reader.head.wal.stats().segment, |open| open.number)
    }

    fn labels(&self, series: LogSeries) -> Option<Labels> {
        let head = &self.reader.head;
        // Held over both looks: who removes a series holds it too.
        let index = head.index.read();
        let gone = head.followers.find_gone(series, self.reader.number);
        gone.or_else(|| index.contains(series).then(|| index.labels(series)))
    }
}

fn read_commit(
    payload: &[u8],
    samples: &mut ShardSamples,
    commit: &mut LogCommit,
) -> Result<(), DecodeError> {
    for section in record::sections(payload) {
        let section = section?;
        match section.kind {
            SectionKind::Gone => record::read_series(section.body, |series| commit.gone.push(series.id))?,
            SectionKind::Exemplars => {
                record::read_exemplars(section.body, |series, labels, timestamp_ms, value| {
                    commit
                        .exemplars
                        .push((series, Exemplar { labels, value, timestamp_ms: Some(timestamp_ms) }));
                })?;
            }
            _ if samples.read(&section)? => take_samples(samples, commit),
            _ => {}
        }
    }
    Ok(())
}

fn take_samples(samples: &mut ShardSamples, commit: &mut LogCommit) {
    for columns in [&samples.floats, &samples.late_floats] {
        let floats =
            columns.iter().map(|(series, timestamp_ms, value)| LogSample { series, timestamp_ms, value });
        commit.floats.extend(floats);
    }
    for rows in [&mut samples.histograms, &mut samples.late_histograms] {
        let rows = rows.drain(..).map(|row| LogSample {
            series: row.id,
            timestamp_ms: row.timestamp,
            value: row.value,
        });
        commit.histograms.extend(rows);
    }
    samples.clear();
}

impl Log for Db {
    fn follow(&self, name: &str) -> Result<Box<dyn LogFollower>, StorageError> {
        let follower = Follower::new(Arc::clone(&self.head), name);
        // A crash from now on mustn't make it begin anew.
        self.save_followers();
        Ok(Box::new(follower))
    }

    fn confirm(&self, name: &str, number: u64) {
        self.head.followers.confirm(name, number);
    }

    fn keep_followers(&self, names: &[&str]) {
        self.head.followers.keep(names);
    }

    fn last_number(&self) -> u64 {
        self.head.wal.number()
    }

    fn newest_timestamp_ms(&self) -> Option<TimestampMs> {
        self.head.bounds.range().map(|(_, newest)| newest)
    }

    fn wake_followers(&self) {
        self.head.wal.wake();
    }
}

#[cfg(test)]
mod tests;
