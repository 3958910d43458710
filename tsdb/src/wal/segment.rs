//! Writing the log: segments, and when they are synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::storage::StorageError;
use parking_lot::{Condvar, Mutex};

use super::frame;
use crate::fs::{Fs, FsFile};

pub(crate) const MAGIC: &[u8; 8] = b"FERULAWL";
pub(crate) const VERSION: u8 = 1;
/// Bytes before the first frame of a segment.
pub(crate) const HEADER_BYTES: usize = 16;
/// Commits wait for a sync when more than this is unsynced: the copies of unsynced frames are bounded.
const UNSYNCED_BYTES_MAX: usize = 32 << 20;

/// What is kept of the log for followers behind a checkpoint, at most: at 3 bytes a sample 40 hours of a thousand
/// samples a second, some minutes of a million.
const FOLLOWED_BYTES_MAX: u64 = 4 << 30;
/// Nothing is kept for followers on a file system with less room: storing goes before sending.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// The path of a segment.
pub(crate) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}"))
}

/// The segments of a directory by number.
pub(crate) fn list_segments(fs: &dyn Fs, dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = fs.list(dir)?.into_iter().filter(|entry| !entry.is_dir && entry.name.len() == 8);
    Ok(entries.filter_map(|entry| Some((entry.name.parse().ok()?, entry.path))).collect())
}

/// The number of a segment's first frame; `None` if it has none that can be read.
pub(crate) fn first_number(fs: &dyn Fs, path: &Path) -> io::Result<Option<u64>> {
    let file = fs.open(path)?;
    let mut header = [0; frame::HEADER_BYTES];
    if file.len()? < (HEADER_BYTES + header.len()) as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut header, HEADER_BYTES as u64)?;
    Ok(frame::number(&header))
}

/// How far the log has been written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogEnd {
    /// The current segment, if there is one, and how many of its bytes are whole frames.
    pub(crate) segment: Option<(u32, u64)>,
    /// Number of the last frame.
    pub(crate) number: u64,
}

/// The end of the log, as it is written.
#[derive(Debug)]
struct Tail {
    /// The current segment; `None` after a failure, until the next commit begins another.
    segment: Option<Segment>,
    next_segment: u32,
    /// Number of the last frame.
    number: u64,
    /// Frames that no successful sync covers: if one fails, they are written again elsewhere.
    unsynced: Vec<u8>,
    /// Bytes of all segments.
    size: u64,
    scratch: Vec<u8>,
    /// Set while a sync runs without holding the lock.
    syncing: bool,
}

#[derive(Debug)]
struct Segment {
    number: u32,
    file: Box<dyn FsFile>,
    len: u64,
}

/// What the log counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WalStats {
    pub(crate) segment: u32,
    pub(crate) size: u64,
}

/// The log, open for writing.
#[derive(Debug)]
pub(crate) struct Wal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    segment_bytes_max: u64,
    /// Sync before a commit is acknowledged.
    sync_always: bool,
    tail: Mutex<Tail>,
    synced: Condvar,
    /// For followers.
    appended: Condvar,
}

impl Wal {
    /// Opens the log for writing behind frame `number`, in a new segment. `size` is that of the old ones.
    pub(crate) fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        next_segment: u32,
        number: u64,
        size: u64,
        segment_bytes_max: u64,
        sync_always: bool,
    ) -> Self {
        let tail = Tail {
            segment: None,
            next_segment,
            number,
            unsynced: Vec::new(),
            size,
            scratch: Vec::new(),
            syncing: false,
        };
        Wal {
            fs,
            dir,
            segment_bytes_max,
            sync_always,
            tail: Mutex::new(tail),
            synced: Condvar::new(),
            appended: Condvar::new(),
        }
    }

    /// Appends a record; returns the number of its frame.
    ///
    /// # Errors
    ///
    /// Nothing of it will be there after a restart.
    pub(crate) fn append(&self, record: &[u8]) -> Result<u64, StorageError> {
        if record.len() > frame::PAYLOAD_BYTES_MAX {
            return Err(StorageError::Limit(format!(
                "commit of {} bytes is above the limit of {}",
                record.len(),
                frame::PAYLOAD_BYTES_MAX
            )));
        }
        let mut tail = self.tail.lock();
        while tail.unsynced.len() > UNSYNCED_BYTES_MAX {
            if tail.syncing {
                self.synced.wait(&mut tail);
            } else {
                self.sync_locked(&mut tail).map_err(|error| self.error("sync log", error))?;
            }
        }
        let number = tail.number + 1;
        let mut scratch = std::mem::take(&mut tail.scratch);
        scratch.clear();
        frame::put(&mut scratch, number, record);
        let result = self.append_frame(&mut tail, &scratch);
        if result.is_ok() {
            tail.number = number;
            tail.unsynced.extend_from_slice(&scratch);
        }
        scratch.shrink_to(1 << 20);
        tail.scratch = scratch;
        result.map_err(|error| self.error("write log", error))?;
        if self.sync_always {
            self.sync_locked(&mut tail).map_err(|error| self.error("sync log", error))?;
        }
        drop(tail);
        self.appended.notify_all();
        Ok(number)
    }

    fn append_frame(&self, tail: &mut Tail, bytes: &[u8]) -> io::Result<()> {
        if tail.segment.as_ref().is_none_or(|s| s.len + bytes.len() as u64 > self.segment_bytes_max) {
            self.begin_segment(tail)?;
        }
        let Some(segment) = &mut tail.segment else { return Err(io::ErrorKind::NotFound.into()) };
        match segment.file.append(bytes) {
            Ok(()) => {
                segment.len += bytes.len() as u64;
                tail.size += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Part of the frame may be there. If it can't be cut off, a new segment leaves it behind.
                if segment.file.set_len(segment.len).is_err() {
                    tail.segment = None;
                }
                Err(error)
            }
        }
    }

    /// Begins a segment. The one before is synced first, so that unsynced frames are in one file only; if it
    /// was given up, they are written again.
    fn begin_segment(&self, tail: &mut Tail) -> io::Result<()> {
        if tail.segment.is_none() && !tail.unsynced.is_empty() {
            return self.rewrite_unsynced(tail);
        }
        self.sync_locked(tail)?;
        self.create_segment(tail)
    }

    fn create_segment(&self, tail: &mut Tail) -> io::Result<()> {
        let number = tail.next_segment;
        let mut file = self.fs.create(&segment_path(&self.dir, number))?;
        tail.next_segment += 1;
        let mut header = MAGIC.to_vec();
        header.resize(HEADER_BYTES, 0);
        header[MAGIC.len()] = VERSION;
        file.append(&header)?;
        self.fs.sync_dir(&self.dir)?;
        tail.size += HEADER_BYTES as u64;
        tail.segment = Some(Segment { number, file, len: HEADER_BYTES as u64 });
        Ok(())
    }

    /// Syncs under the lock. A failed sync is final for its file: what it should have made durable is written
    /// to a new segment, and only that one's sync counts.
    fn sync_locked(&self, tail: &mut Tail) -> io::Result<()> {
        if tail.unsynced.is_empty() {
            return Ok(());
        }
        if let Some(segment) = &mut tail.segment {
            match segment.file.sync_data() {
                Ok(()) => {
                    tail.unsynced.clear();
                    return Ok(());
                }
                Err(error) => self.note_failed_sync(segment.number, &error),
            }
        }
        self.rewrite_unsynced(tail)
    }

    fn note_failed_sync(&self, segment: u32, error: &io::Error) {
        tracing::error!(segment, %error, "log segment can't be synced, its unsynced commits move to a new one");
    }

    fn rewrite_unsynced(&self, tail: &mut Tail) -> io::Result<()> {
        tail.segment = None;
        self.create_segment(tail)?;
        let unsynced = std::mem::take(&mut tail.unsynced);
        let result = self.append_frame(tail, &unsynced).and_then(|()| match &mut tail.segment {
            Some(segment) => segment.file.sync_data(),
            None => Err(io::ErrorKind::NotFound.into()),
        });
        if result.is_err() {
            tail.segment = None;
            tail.unsynced = unsynced;
        }
        result
    }

    /// Makes all commits so far survive a power loss. Commits go on meanwhile.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        let mut tail = self.tail.lock();
        if tail.syncing || tail.unsynced.is_empty() {
            return Ok(());
        }
        let Some(number) = tail.segment.as_ref().map(|segment| segment.number) else {
            return self.sync_locked(&mut tail).map_err(|error| self.error("sync log", error));
        };
        let covered = tail.unsynced.len();
        tail.syncing = true;
        drop(tail);
        // A second handle of the file, so that commits needn't wait.
        let synced = self.fs.open(&segment_path(&self.dir, number)).and_then(|mut file| file.sync_data());
        let mut tail = self.tail.lock();
        tail.syncing = false;
        let result = match synced {
            // A segment that was begun meanwhile has synced the one before.
            Ok(()) if tail.segment.as_ref().is_some_and(|segment| segment.number == number) => {
                tail.unsynced.drain(..covered);
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(error) => {
                self.note_failed_sync(number, &error);
                self.rewrite_unsynced(&mut tail)
            }
        };
        self.synced.notify_all();
        result.map_err(|error| self.error("sync log", error))
    }

    /// Number of the last frame.
    pub(crate) fn number(&self) -> u64 {
        self.tail.lock().number
    }

    /// Ends the current segment; returns the number of the first segment that later frames go to.
    pub(crate) fn rotate(&self) -> Result<u32, StorageError> {
        let mut tail = self.tail.lock();
        self.sync_locked(&mut tail).map_err(|error| self.error("sync log", error))?;
        tail.segment = None;
        Ok(tail.next_segment)
    }

    pub(crate) fn fs(&self) -> &dyn Fs {
        &*self.fs
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// See [`LogEnd`].
    pub(crate) fn end(&self) -> LogEnd {
        let tail = self.tail.lock();
        let segment = tail.segment.as_ref().map(|segment| (segment.number, segment.len));
        LogEnd { segment, number: tail.number }
    }

    /// Waits until there is a frame behind `number`, or until `stopped` is set before [`Self::wake`].
    pub(crate) fn wait_behind(&self, number: u64, stopped: &AtomicBool) {
        let mut tail = self.tail.lock();
        while tail.number <= number && !stopped.load(Ordering::Acquire) {
            self.appended.wait(&mut tail);
        }
    }

    /// Makes who waits look again.
    pub(crate) fn wake(&self) {
        // Nobody is between a look and waiting meanwhile.
        drop(self.tail.lock());
        self.appended.notify_all();
    }

    /// The index of the segment that has a frame; of the first if that is gone.
    pub(crate) fn segment_of(&self, segments: &[(u32, PathBuf)], number: u64) -> io::Result<usize> {
        for (at, (_, path)) in segments.iter().enumerate().rev() {
            if first_number(&*self.fs, path)?.is_some_and(|first| first <= number) {
                return Ok(at);
            }
        }
        Ok(0)
    }

    /// The first segment that has to stay when those before `first` aren't needed for a restart: `done` is the
    /// last frame that all followers are done with, `None` if nobody follows.
    fn followed_from(&self, first: u32, done: Option<u64>) -> io::Result<u32> {
        let Some(done) = done.filter(|done| *done < self.number()) else { return Ok(first) };
        let segments = list_segments(&*self.fs, &self.dir)?;
        let at = self.segment_of(&segments, done + 1)?;
        let mut kept_bytes = 0;
        for (number, path) in segments[at..].iter().filter(|(number, _)| *number < first).rev() {
            kept_bytes += self.fs.len(path)?;
            let is_full = self.fs.space(&self.dir).is_ok_and(|space| space.available < FREE_BYTES_MIN);
            if kept_bytes > FOLLOWED_BYTES_MAX || is_full {
                tracing::error!(
                    segment = number,
                    is_full,
                    "log segments go that aren't sent yet: whoever follows the log is too far behind"
                );
                return Ok(number + 1);
            }
        }
        Ok(segments.get(at).map_or(first, |(number, _)| first.min(*number)))
    }

    /// Removes the segments before `first` that no follower needs, see [`Self::followed_from`].
    pub(crate) fn remove_before(&self, first: u32, done: Option<u64>) -> io::Result<()> {
        let first = self.followed_from(first, done)?;
        for (number, path) in list_segments(&*self.fs, &self.dir)? {
            if number < first {
                let len = self.fs.len(&path)?;
                self.fs.remove_file(&path)?;
                let mut tail = self.tail.lock();
                tail.size = tail.size.saturating_sub(len);
            }
        }
        self.fs.sync_dir(&self.dir)
    }

    /// Bytes of frames that no sync covers yet.
    pub(crate) fn unsynced_bytes(&self) -> usize {
        let tail = self.tail.lock();
        tail.unsynced.capacity() + tail.scratch.capacity()
    }

    pub(crate) fn stats(&self) -> WalStats {
        let tail = self.tail.lock();
        let segment = tail.segment.as_ref().map_or(tail.next_segment, |segment| segment.number);
        WalStats { segment, size: tail.size }
    }

    fn error(&self, what: &str, source: io::Error) -> StorageError {
        StorageError::Io { what: format!("{what} in {}", self.dir.display()), source: Arc::new(source) }
    }
}
