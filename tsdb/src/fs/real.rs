//! The machine's file system.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use super::{ByteView, Bytes, DirEntry, Fs, FsFile, FsLock, Space};

/// The machine's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        file.set_len(0)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().read(true).append(true).open(path)?)))
    }

    fn view(&self, path: &Path) -> io::Result<ByteView> {
        let file = fs::File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(ByteView::default());
        }
        #[expect(unsafe_code, reason = "mapping a file")]
        // SAFETY: files that are viewed are immutable by the contract of `view`: block files are written
        // under another name and renamed, and the data directory is locked against other processes.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(ByteView(Arc::new(Bytes::Mapped(map))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(DirEntry { path: entry.path(), name, is_dir: entry.file_type()?.is_dir() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FsLock>> {
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            if !is_at(&file, path)? {
                // Whoever had it removed it meanwhile: a lock on it would keep nobody out.
                continue;
            }
            // Who holds it is for people to read: a full disk doesn't matter.
            let _ =
                file.set_len(0).and_then(|()| (&file).write_all(std::process::id().to_string().as_bytes()));
            return Ok(Box::new(RealLock { _file: file }));
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, available: stat.f_bavail * stat.f_frsize })
    }
}

/// Whether a path is that of an open file.
fn is_at(file: &fs::File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The operating system lets go of the lock when the file is closed, also if the process is killed.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl FsLock for RealLock {}

#[derive(Debug)]
struct RealFile(fs::File);

impl FsFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn view(&self, len: u64) -> io::Result<ByteView> {
        if self.len()? < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if len == 0 {
            return Ok(ByteView::default());
        }
        let len = usize::try_from(len).map_err(io::Error::other)?;
        #[expect(unsafe_code, reason = "mapping a file")]
        // SAFETY: the bytes that are mapped don't change by the contract of `view`: files are appended to only,
        // are cut back only to what was viewed or more, and the data directory is locked against other
        // processes.
        let map = unsafe { memmap2::MmapOptions::new().len(len).map(&self.0)? };
        Ok(ByteView(Arc::new(Bytes::Mapped(map))))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
