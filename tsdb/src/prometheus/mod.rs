//! Taking over from Prometheus: what its head had, which isn't in blocks yet, becomes blocks.
//!
//! ```text
//! <data>/wal/NNNNNNNN                 the log                              [`wal`], [`record`]
//! <data>/wal/checkpoint.NNNNNNNN/     what the log before began with       as a log
//! <data>/wbl/NNNNNNNN                 samples that came out of order       as a log
//! <data>/chunks_head/NNNNNN           full chunks                          [`head_chunks`]
//! <data>/chunk_snapshot.…             the head at a clean shutdown; the log has all of it, so it isn't read
//! <data>/series_state.json            what a quick start needs; likewise
//! ```
//!
//! The files are read where they are into a scratch head (`gather`), which is written as blocks, one for each
//! range of the shortest block duration, without the samples that a block has already (`import`). So a sample
//! of any age comes in, and each once: samples that the log still has although they were compacted, that came
//! out of order, or that are older than the newest block.
//!
//! # Crashes
//!
//! Until all is durable nothing of Prometheus's is touched: it could start again at any moment.
//!
//! - While the scratch head is filled, or a block is written: the next start removes what is unfinished and
//!   reads everything again. Samples of blocks that were completed are found there, and not written twice.
//! - After the last block: metadata and exemplars are logged and the log is synced; again they are found when
//!   they come a second time.
//! - Then the files are renamed into `<data>/prometheus-head.tmp-for-deletion`, the log last, because nothing
//!   can be read without it, and removed. A start that finds some of them there and some not reads the rest,
//!   finds all of it in blocks, and goes on; one that finds only the directory removes it.
//! - If part of the files was damaged, they go to `<data>/set-aside/prometheus-head.N` instead, and stay.
//!
//! If it fails for want of room or the like, the files stay, the server starts without them, and the next start
//! tries again.
//!
//! # What is given up
//!
//! Start timestamps, which the head doesn't keep. Which series metadata was of: what is known of a family is
//! there under its name until the head is truncated, and its series bring it again. If Prometheus was told
//! to clean the tombstones of its newest blocks while its log still had the samples, the samples come back.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::{DirEntry, Fs};

mod gather;
pub mod head_chunks;
mod import;
pub mod record;
#[cfg(test)]
mod testing;
pub mod wal;

pub(crate) use gather::{GatherOptions, gather, remove_scratch};
pub(crate) use import::Import;

const WAL: &str = "wal";
const OUT_OF_ORDER_LOG: &str = "wbl";
const HEAD_CHUNKS: &str = "chunks_head";
const SNAPSHOT_PREFIX: &str = "chunk_snapshot.";
const SERIES_STATE: &str = "series_state.json";
const CHECKPOINT_PREFIX: &str = "checkpoint.";

/// The files of a log, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segments {
    /// By number.
    files: Vec<(u32, PathBuf)>,
    /// The number that the first one should have, if that is known.
    first: Option<u32>,
}

/// Where Prometheus's head is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    checkpoint: Segments,
    wal: Segments,
    out_of_order: Segments,
    head_chunks: Vec<PathBuf>,
    /// All that belongs to it, in the order in which it can go.
    parts: Vec<PathBuf>,
}

impl Layout {
    /// Looks for the head of a data directory; `None` if there is none.
    pub(crate) fn find(fs: &dyn Fs, data_dir: &Path) -> io::Result<Option<Layout>> {
        let mut layout = Layout::default();
        let entries = fs.list(data_dir)?;
        let dir = |name: &str| entries.iter().find(|entry| entry.is_dir && entry.name == name);
        if let Some(entry) = dir(HEAD_CHUNKS) {
            layout.head_chunks = numbered_files(fs, &entry.path)?.into_iter().map(|file| file.1).collect();
            layout.parts.push(entry.path.clone());
        }
        if let Some(entry) = dir(OUT_OF_ORDER_LOG) {
            layout.out_of_order.files = numbered_files(fs, &entry.path)?;
            layout.parts.push(entry.path.clone());
        }
        let others = entries
            .iter()
            .filter(|entry| entry.name.starts_with(SNAPSHOT_PREFIX) || entry.name == SERIES_STATE);
        layout.parts.extend(others.map(|entry| entry.path.clone()));
        if let Some(entry) = dir(WAL) {
            layout.find_log(fs, &entry.path)?;
            layout.parts.push(entry.path.clone());
        }
        Ok((!layout.is_empty()).then_some(layout))
    }

    /// The segments behind the newest checkpoint, and those of the checkpoint.
    fn find_log(&mut self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let checkpoints = fs.list(dir)?.into_iter().filter(|entry| entry.is_dir).filter_map(|entry| {
            let number: u32 = digits(entry.name.strip_prefix(CHECKPOINT_PREFIX)?)?;
            Some((number, entry.path))
        });
        self.wal.files = numbered_files(fs, dir)?;
        if let Some((number, path)) = checkpoints.max() {
            self.checkpoint.files = numbered_files(fs, &path)?;
            self.wal.files.retain(|(segment, _)| *segment > number);
            self.wal.first = number.checked_add(1);
        }
        Ok(())
    }

    /// Whether there is nothing to read. Directories without files are left where they are.
    fn is_empty(&self) -> bool {
        let logs = [&self.checkpoint, &self.wal, &self.out_of_order];
        self.head_chunks.is_empty() && logs.iter().all(|log| log.files.is_empty())
    }
}

/// The files of a directory whose names are numbers, by number.
fn numbered_files(fs: &dyn Fs, dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let numbered = |entry: DirEntry| Some((digits(&entry.name)?, entry.path));
    let files = fs.list(dir)?.into_iter().filter(|entry| !entry.is_dir);
    let mut files: Vec<(u32, PathBuf)> = files.filter_map(numbered).collect();
    files.sort();
    Ok(files)
}

fn digits(name: &str) -> Option<u32> {
    name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok())?
}

#[cfg(test)]
mod tests;
