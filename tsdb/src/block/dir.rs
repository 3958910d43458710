//! The directories of blocks: their names, and how one is removed so that no half of it is ever read.

use std::path::{Path, PathBuf};

use model::storage::StorageError;
use ulid::Ulid;

use crate::error::io;
use crate::fs::Fs;

/// The end of the name of a block that is being written.
pub const CREATION_SUFFIX: &str = ".tmp-for-creation";
/// The end of the name of a block that is being removed.
pub const DELETION_SUFFIX: &str = ".tmp-for-deletion";
/// The end of the name that old versions of Prometheus gave to unfinished blocks.
const LEGACY_SUFFIX: &str = ".tmp";

/// The directory of a block.
pub fn path_of(data_dir: &Path, ulid: Ulid) -> PathBuf {
    data_dir.join(ulid.to_string())
}

/// The block that a directory of this name holds: exactly the 26 characters of a ULID.
pub fn ulid_of(name: &str) -> Option<Ulid> {
    name.parse::<Ulid>().ok().filter(|ulid| ulid.to_string() == name)
}

/// The blocks in a data directory, oldest ULID first.
pub fn list(fs: &dyn Fs, data_dir: &Path) -> Result<Vec<(Ulid, PathBuf)>, StorageError> {
    let entries = fs.list(data_dir).map_err(io("list", data_dir))?;
    let dirs = entries.into_iter().filter(|entry| entry.is_dir);
    Ok(dirs.filter_map(|entry| Some((ulid_of(&entry.name)?, entry.path))).collect())
}

/// Removes what a crash left of blocks that were being written or removed; returns the names.
pub fn remove_leftovers(fs: &dyn Fs, data_dir: &Path) -> Result<Vec<String>, StorageError> {
    let mut removed = Vec::new();
    for entry in fs.list(data_dir).map_err(io("list", data_dir))? {
        let stem = [CREATION_SUFFIX, DELETION_SUFFIX, LEGACY_SUFFIX]
            .iter()
            .find_map(|suffix| entry.name.strip_suffix(suffix));
        if entry.is_dir && stem.and_then(ulid_of).is_some() {
            fs.remove_dir_all(&entry.path).map_err(io("remove", &entry.path))?;
            removed.push(entry.name);
        }
    }
    Ok(removed)
}

/// Removes a block. Views of its files stay valid.
pub fn remove(fs: &dyn Fs, data_dir: &Path, ulid: Ulid) -> Result<(), StorageError> {
    let path = path_of(data_dir, ulid);
    let doomed = data_dir.join(format!("{ulid}{DELETION_SUFFIX}"));
    if fs.exists(&doomed) {
        fs.remove_dir_all(&doomed).map_err(io("remove", &doomed))?;
    }
    fs.rename(&path, &doomed).map_err(io("rename", &path))?;
    fs.sync_dir(data_dir).map_err(io("sync", data_dir))?;
    fs.remove_dir_all(&doomed).map_err(io("remove", &doomed))
}

/// Bytes of all files of a directory and those below it.
pub fn size_bytes(fs: &dyn Fs, dir: &Path) -> Result<u64, StorageError> {
    let mut total = 0;
    for entry in fs.list(dir).map_err(io("list", dir))? {
        total += if entry.is_dir {
            size_bytes(fs, &entry.path)?
        } else {
            fs.len(&entry.path).map_err(io("measure", &entry.path))?
        };
    }
    Ok(total)
}

/// Gives every file of a directory, and of those below it, a second name under another directory.
pub fn hard_link_all(fs: &dyn Fs, from: &Path, to: &Path) -> Result<(), StorageError> {
    fs.create_dir_all(to).map_err(io("create", to))?;
    for entry in fs.list(from).map_err(io("list", from))? {
        let target = to.join(&entry.name);
        if entry.is_dir {
            hard_link_all(fs, &entry.path, &target)?;
        } else {
            fs.hard_link(&entry.path, &target).map_err(io("link", &entry.path))?;
        }
    }
    fs.sync_dir(to).map_err(io("sync", to))
}
