//! Blocks out of plain maps, back again, and a disk that fails, for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::cancel::Cancel;
use model::labels::Labels;
use model::storage::{SampleColumns, SelectHints, SeriesSet, StorageError};

use super::chunks::SEGMENT_BYTES_MAX;
use super::meta::BlockMeta;
use super::{Block, BlockWriter, ChunkData, dir};
use crate::chunk::{Encoding, xor};
use crate::fs::{ByteView, DirEntry, Fs, FsFile, FsLock, RealFs, Space};

/// What a storage holds: the naive model.
pub(crate) type Model = BTreeMap<Labels, BTreeMap<i64, f64>>;

/// Writes a block of chunks of this many samples.
pub(crate) fn write_model(
    fs: Arc<dyn Fs>,
    data_dir: &Path,
    meta: BlockMeta,
    model: &Model,
    chunk_samples: usize,
) -> Result<Option<BlockMeta>, StorageError> {
    let mut writer = BlockWriter::create(fs, data_dir, meta, SEGMENT_BYTES_MAX)?;
    for (labels, samples) in model {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().unzip();
        let encoded: Vec<_> = times
            .chunks(chunk_samples)
            .zip(values.chunks(chunk_samples))
            .map(|(t, v)| (t[0], t[t.len() - 1], xor::encode(t, v)))
            .collect();
        let data = encoded.iter().map(|(mint, maxt, bytes)| ChunkData {
            mint: *mint,
            maxt: *maxt,
            encoding: Encoding::Xor,
            bytes,
        });
        writer.add_series(labels, data)?;
    }
    writer.finish()
}

/// Opens a block.
pub(crate) fn open(data_dir: &Path, meta: &BlockMeta) -> Arc<Block> {
    Block::open(Arc::new(RealFs), &dir::path_of(data_dir, meta.ulid)).unwrap()
}

/// All floats of a block.
pub(crate) fn read_model(block: &Arc<Block>) -> Model {
    let set = block.select(&[], &SelectHints::new(i64::MIN, i64::MAX, &Cancel::new())).unwrap();
    let mut model = Model::new();
    for nth in 0..set.len() {
        let mut columns = SampleColumns::default();
        set.read(nth, i64::MIN, i64::MAX, &mut columns).unwrap();
        assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
        let samples = columns.timestamps.into_iter().zip(columns.values).collect();
        assert!(model.insert(set.labels(nth), samples).is_none());
    }
    model
}

/// The machine's file system, one of whose changes fails.
#[derive(Debug, Clone)]
pub(crate) struct FailingFs {
    /// How many changes are still to succeed.
    left: Arc<AtomicUsize>,
    /// Whether everything fails after that, as when the process is killed.
    for_ever: bool,
}

impl FailingFs {
    /// Fails after so many changes: once, or for ever.
    pub(crate) fn after(changes: usize, for_ever: bool) -> Self {
        FailingFs { left: Arc::new(AtomicUsize::new(changes)), for_ever }
    }

    /// Whether the failure has come.
    pub(crate) fn has_failed(&self) -> bool {
        self.left.load(Ordering::Relaxed) > usize::MAX / 2
    }

    fn change(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        if left > usize::MAX / 2 {
            return if self.for_ever { Err(io::Error::other("injected")) } else { Ok(()) };
        }
        self.left.store(left.wrapping_sub(1), Ordering::Relaxed);
        if left == 0 { Err(io::Error::other("injected")) } else { Ok(()) }
    }
}

impl Fs for FailingFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        self.change()?;
        Ok(Box::new(FailingFile { fs: self.clone(), file: RealFs.create(path)? }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(FailingFile { fs: self.clone(), file: RealFs.open(path)? }))
    }

    fn view(&self, path: &Path) -> io::Result<ByteView> {
        RealFs.view(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.remove_dir_all(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        RealFs.sync_dir(path)
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
struct FailingFile {
    fs: FailingFs,
    file: Box<dyn FsFile>,
}

impl FsFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.fs.change() {
            // A short write: the first half is there.
            self.file.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.append(bytes)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(into, offset)
    }

    fn view(&self, len: u64) -> io::Result<ByteView> {
        self.file.view(len)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.fs.change()?;
        self.file.sync_data()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.fs.change()?;
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
