//! A file that is written from its beginning to its end, in large pieces.

use std::path::{Path, PathBuf};

use model::storage::StorageError;

use crate::error::io;
use crate::fs::{Fs, FsFile};

/// How many bytes are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// A buffered, append-only file that knows its position.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    file: Box<dyn FsFile>,
    buffer: Vec<u8>,
    /// Bytes that left the buffer.
    written: u64,
}

impl Output {
    /// Creates the file.
    pub(crate) fn create(fs: &dyn Fs, path: PathBuf) -> Result<Self, StorageError> {
        let file = fs.create(&path).map_err(io("create", &path))?;
        Ok(Output { path, file, buffer: Vec::with_capacity(BUFFER_BYTES), written: 0 })
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next byte goes.
    pub(crate) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            self.file.append(bytes).map_err(io("write", &self.path))?;
            self.written += bytes.len() as u64;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Appends zeros up to a multiple of `alignment`.
    pub(crate) fn align(&mut self, alignment: u64) -> Result<(), StorageError> {
        const ZEROS: [u8; 16] = [0; 16];
        let padding = self.position().next_multiple_of(alignment) - self.position();
        self.put(&ZEROS[..padding as usize])
    }

    /// Hands everything to the file system.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer).map_err(io("write", &self.path))?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes everything survive a power loss; the file is complete.
    pub(crate) fn finish(mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file.sync_data().map_err(io("sync", &self.path))
    }
}

/// Writes a small file whole, under another name first, so that the old content or the new one is there
/// whatever happens.
pub(crate) fn replace_file(fs: &dyn Fs, path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let tmp = path.with_extension("tmp");
    let mut output = Output::create(fs, tmp.clone())?;
    output.put(content)?;
    output.finish()?;
    fs.rename(&tmp, path).map_err(io("rename", &tmp))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    fs.sync_dir(dir).map_err(io("sync", dir))
}
