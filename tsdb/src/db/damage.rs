//! Damage: what of the files couldn't be read, named and set aside.

use std::io;
use std::path::{Path, PathBuf};

use crate::fs::Fs;

/// Where damaged parts of the head go, below its directory.
pub(crate) const SET_ASIDE: &str = "set-aside";
/// So much is remembered; all of it is in the program's log.
pub(super) const DAMAGE_MAX: usize = 1000;

/// A part of a file that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, or the directory of a block, where it was met.
    pub file: PathBuf,
    /// Where the damage begins, in bytes.
    pub from: usize,
    /// Where the next undamaged part begins; as `from` if all of the file is meant.
    pub to: usize,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// Damage to a file as a whole.
    pub(crate) fn of_file(file: &Path, what: impl ToString) -> Self {
        Damage { file: file.to_owned(), from: 0, to: 0, what: what.to_string() }
    }

    /// Copies the damaged bytes into a directory.
    pub(super) fn copy_to(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        if self.from == self.to {
            return Ok(());
        }
        fs.create_dir_all(dir)?;
        let bytes = fs.view(&self.file)?;
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let mut copy = fs.create(&dir.join(format!("{name}.{}-{}", self.from, self.to)))?;
        copy.append(bytes.get(self.from..self.to).unwrap_or_default())?;
        copy.sync_data()
    }
}

/// Moves a file that can't be read at all out of the way, so that nothing removes it: it may be readable on
/// another day, or by other means.
pub(crate) fn move_aside(fs: &dyn Fs, file: &Path, aside: &Path) -> io::Result<()> {
    fs.create_dir_all(aside)?;
    fs.rename(file, &aside.join(file.file_name().unwrap_or_default()))?;
    fs.sync_dir(aside)
}
