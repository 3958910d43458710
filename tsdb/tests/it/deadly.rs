//! The machine's file system, which kills its own process at one call that changes something.

use std::io;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use tsdb::fs::{ByteView, DirEntry, Fs, FsFile, FsLock, RealFs, Space};

/// When of a call the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    /// With half of the bytes written; as `Before` for anything but a write.
    Midway,
    After,
}

impl Moment {
    pub(crate) const ALL: [Moment; 3] = [Moment::Before, Moment::Midway, Moment::After];
}

/// Which call is the last: its number, counted from 0, and the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) call: u64,
    pub(crate) moment: Moment,
}

impl FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (call, moment) = text.split_once(' ').ok_or("no moment")?;
        let moment = Moment::ALL.into_iter().find(|m| format!("{m:?}") == moment).ok_or("unknown moment")?;
        Ok(Death { call: call.parse().map_err(|_| "no number")?, moment })
    }
}

#[derive(Debug, Default)]
struct Calls {
    made: AtomicU64,
    death: Option<Death>,
}

impl Calls {
    /// The moment of this call at which the process dies.
    fn next(&self) -> Option<Moment> {
        let call = self.made.fetch_add(1, Ordering::Relaxed);
        self.death.filter(|death| death.call == call).map(|death| death.moment)
    }

    fn change<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let moment = self.next();
        if matches!(moment, Some(Moment::Before | Moment::Midway)) {
            die();
        }
        let result = work();
        if moment.is_some() {
            die();
        }
        result
    }
}

/// As `kill -9` does it: nothing is flushed, nothing is dropped.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    loop {
        std::thread::park();
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeadlyFs(Arc<Calls>);

impl DeadlyFs {
    pub(crate) fn new(death: Option<Death>) -> Self {
        DeadlyFs(Arc::new(Calls { made: AtomicU64::new(0), death }))
    }

    /// How many calls changed something.
    pub(crate) fn calls(&self) -> u64 {
        self.0.made.load(Ordering::Relaxed)
    }

    fn file(&self, file: Box<dyn FsFile>) -> Box<dyn FsFile> {
        Box::new(DeadlyFile { file, calls: Arc::clone(&self.0) })
    }
}

impl Fs for DeadlyFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.0.change(|| RealFs.create(path)).map(|file| self.file(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        RealFs.open(path).map(|file| self.file(file))
    }

    fn view(&self, path: &Path) -> io::Result<ByteView> {
        RealFs.view(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.rename(from, to))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.hard_link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.remove_dir_all(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.create_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.change(|| RealFs.sync_dir(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealFs.list(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        RealFs.len(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealFs.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn FsLock>> {
        RealFs.lock(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealFs.space(path)
    }
}

#[derive(Debug)]
struct DeadlyFile {
    file: Box<dyn FsFile>,
    calls: Arc<Calls>,
}

impl FsFile for DeadlyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let moment = self.calls.next();
        match moment {
            Some(Moment::Before) => die(),
            Some(Moment::Midway) => {
                self.file.append(&bytes[..bytes.len() / 2])?;
                die();
            }
            _ => {}
        }
        let result = self.file.append(bytes);
        if moment.is_some() {
            die();
        }
        result
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn view(&self, len: u64) -> io::Result<ByteView> {
        self.file.view(len)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        self.calls.change(|| file.sync_data())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let file = &mut self.file;
        self.calls.change(|| file.set_len(len))
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
