//! The blocks of a data directory that are open.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use model::storage::StorageError;
use model::time::TimestampMs;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use ulid::Ulid;

use crate::block::{Block, dir};
use crate::fs::Fs;

/// Where damaged blocks go.
const SET_ASIDE: &str = "set-aside";

/// See the module. In order of their beginnings.
#[derive(Debug)]
pub(crate) struct Blocks {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    open: RwLock<Vec<Arc<Block>>>,
}

/// A block that can't be opened.
#[derive(Debug)]
pub(crate) struct BadBlock {
    pub(crate) path: PathBuf,
    pub(crate) error: StorageError,
}

impl Blocks {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: PathBuf) -> Self {
        Blocks { fs, dir, open: RwLock::new(Vec::new()) }
    }

    /// Holds the blocks as they are.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<Block>>> {
        self.open.read()
    }

    /// Holds the blocks for changing them; no selection runs meanwhile.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Vec<Arc<Block>>> {
        self.open.write()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Block>> {
        self.open.read().clone()
    }

    /// Those that may have samples in `[mint, maxt]`.
    pub(crate) fn overlapping(&self, mint: TimestampMs, maxt: TimestampMs) -> Vec<Arc<Block>> {
        self.open.read().iter().filter(|block| block.meta().overlaps(mint, maxt)).cloned().collect()
    }

    /// Opens the blocks of the directory that aren't open; those that are gone are let go. Damaged ones are
    /// set aside and named.
    pub(crate) fn reload(&self) -> Result<Vec<BadBlock>, StorageError> {
        let listed = dir::list(&*self.fs, &self.dir)?;
        let known = self.all();
        let mut blocks: Vec<Arc<Block>> = known
            .iter()
            .filter(|block| listed.iter().any(|(ulid, _)| *ulid == block.ulid()))
            .cloned()
            .collect();
        let mut bad = Vec::new();
        for (ulid, path) in listed {
            if known.iter().any(|block| block.ulid() == ulid) {
                continue;
            }
            match Block::open(Arc::clone(&self.fs), &path) {
                Ok(block) => blocks.push(block),
                Err(error) => bad.push(BadBlock { path, error }),
            }
        }
        blocks.sort_by_key(|block| (block.meta().min_time, block.ulid()));
        *self.open.write() = blocks;
        for bad in &bad {
            self.set_aside(bad);
        }
        Ok(bad)
    }

    /// Moves a damaged block out of the way. One that couldn't be read stays: it may be readable later.
    fn set_aside(&self, bad: &BadBlock) {
        tracing::error!(block = %bad.path.display(), error = %bad.error, "block can't be opened");
        let Some(name) = bad.path.file_name() else { return };
        if !matches!(bad.error, StorageError::Corrupt { .. }) {
            return;
        }
        let aside = self.dir.join(SET_ASIDE);
        let moved = self
            .fs
            .create_dir_all(&aside)
            .and_then(|()| self.fs.rename(&bad.path, &aside.join(name)))
            .and_then(|()| self.fs.sync_dir(&self.dir));
        if let Err(error) = moved {
            tracing::error!(block = %bad.path.display(), %error, "damaged block can't be set aside");
        }
    }

    /// Adds a block that was just written.
    pub(crate) fn open_block(&self, ulid: Ulid) -> Result<Arc<Block>, StorageError> {
        Block::open(Arc::clone(&self.fs), &dir::path_of(&self.dir, ulid))
    }

    /// Removes blocks from the view and from the directory.
    pub(crate) fn remove(&self, ulids: &BTreeSet<Ulid>) -> Result<(), StorageError> {
        self.open.write().retain(|block| !ulids.contains(&block.ulid()));
        for ulid in ulids {
            if self.fs.exists(&dir::path_of(&self.dir, *ulid)) {
                dir::remove(&*self.fs, &self.dir, *ulid)?;
            }
        }
        Ok(())
    }
}

/// Puts a block at its place in a list.
pub(crate) fn insert(blocks: &mut Vec<Arc<Block>>, block: Arc<Block>) {
    let key = (block.meta().min_time, block.ulid());
    let at = blocks.partition_point(|other| (other.meta().min_time, other.ulid()) < key);
    blocks.insert(at, block);
}
