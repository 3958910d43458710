//! The one door to files. Everything that reads or writes the data directory takes an [`Fs`], so that tests
//! can fail any call, lose what wasn't synced, and flip bits.

use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod real;
pub mod sim;

pub use real::RealFs;

/// A file system. Paths are used as given.
pub trait Fs: Debug + Send + Sync {
    /// Creates a file for appending; an existing one is emptied. The name survives a power loss only after
    /// [`Fs::sync_dir`] of its directory.
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Opens an existing file for reading at any place and for appending at its end.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// The whole content of a file as bytes that stay valid while the view lives, even if the file is
    /// removed meanwhile. The file must not be changed while it is viewed.
    fn view(&self, path: &Path) -> io::Result<ByteView>;

    /// Renames a file or directory; replaces an existing file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes created, renamed and removed names of the directory survive a power loss.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// What is in a directory, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Whether there is a file or directory of this name.
    fn exists(&self, path: &Path) -> bool;

    /// Creates a file and locks it against everybody else who locks it, until the lock is dropped.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if somebody else has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn FsLock>>;

    /// Bytes of the file system that a path is on, and how many of them are free.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// Room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In all.
    pub total: u64,
    /// Free for us.
    pub available: u64,
}

/// A lock on a file, let go when dropped.
pub trait FsLock: Debug + Send + Sync {}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The path: that of the directory and the name.
    pub path: PathBuf,
    /// The name alone.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// An open file.
pub trait FsFile: Debug + Send + Sync {
    /// Appends all bytes. After an error some of them may have been written: [`FsFile::len`] tells.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads exactly `into.len()` bytes from an offset.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;

    /// The first `len` bytes, which must not be changed or cut off from now on, as bytes that stay valid while
    /// the view lives, even if the file is removed meanwhile. The file may grow.
    fn view(&self, len: u64) -> io::Result<ByteView>;

    /// Makes the content survive a power loss. After an error the state of the unsynced content is unknown
    /// for good: asking again may succeed without anything having been written.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Cuts the file, or extends it with zeros. Appending goes on at the new end.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file is empty.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Bytes of a file, mapped or in memory; clones share them.
#[derive(Clone, Debug)]
pub struct ByteView(Arc<Bytes>);

impl Default for ByteView {
    /// No bytes.
    fn default() -> Self {
        ByteView::from_vec(Vec::new())
    }
}

#[derive(Debug)]
enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl ByteView {
    /// A view of bytes in memory.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        ByteView(Arc::new(Bytes::Owned(bytes)))
    }

    /// Lets go of the memory that reading a mapped file took, as whoever reads much once should. What is read
    /// again comes from the page cache or the disk again.
    pub fn release(&self) {
        if let Bytes::Mapped(map) = &*self.0 {
            #[expect(unsafe_code, reason = "advice that drops pages")]
            // SAFETY: the map is read-only and shared with the file, which doesn't change while it is viewed:
            // the bytes that come back are those that went.
            let released = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            // It is only advice: where it isn't taken, the pages stay until somebody needs the memory.
            drop(released);
        }
    }
}

impl Deref for ByteView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}
