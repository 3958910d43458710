//! Head chunks: full chunks of the head in append-only files.
//!
//! What was appended is gathered to [`GATHER_BYTES`] before it is written; until then reads are served from
//! memory. A crash of the process loses no sample with it, because the log still has all samples of such a
//! chunk: [`HeadChunks::sync`] comes before the checkpoint that lets the log go.
//!
//! What is written is read from maps: a system call for each chunk took longer than decoding it. Touched pages
//! of a map count as the process's memory, half a kilobyte of them for each series, so that
//! [`HeadChunks::release_pages`] lets go of them every second.
//!
//! ```text
//! file head/chunks/NNNNNN
//! ┌────────────┬────────────┬─────┬────────┬────────────┬───────────┬──────┬─
//! │ "FERULAHC" │ version u8 │ 7×0 │ crc u32│ len u32    │ encoding  │ data │ next chunk …
//! │ 8 B        │ 1          │     │ BE     │ BE, of data│ u8        │ len  │
//! └────────────┴────────────┴─────┴────────┴────────────┴───────────┴──────┴─
//! crc: CRC-32 (IEEE) of all that follows it in the chunk
//! ```
//!
//! A location is the file's number (20 bits) and the chunk's offset (28 bits). A file goes when none of its
//! chunks is in use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use model::storage::StorageError;
use parking_lot::{Mutex, RwLock};

use crate::chunk::Encoding;
use crate::db::{Damage, SET_ASIDE, move_aside};
use crate::fs::{ByteView, Fs, FsFile};

const MAGIC: &[u8; 8] = b"FERULAHC";
const VERSION: u8 = 1;
const CHUNK_HEADER_BYTES: usize = 9;
/// A file that is longer is left, and a new one begun: small enough for old ones to go soon.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// One write for so many bytes: some hundred chunks.
const GATHER_BYTES: usize = 64 << 10;
/// No chunk is larger: histograms with the most buckets stay far below.
const CHUNK_BYTES_MAX: usize = 16 << 20;

const OFFSET_BITS: u32 = 28;
const FILE_BITS: u32 = 20;

/// Where a chunk is: 48 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Location(u64);

impl Location {
    fn new(file: u32, offset: u64) -> Self {
        Location(u64::from(file) << OFFSET_BITS | offset)
    }

    /// As a number below 2⁴⁸.
    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The reverse of [`Self::to_bits`].
    pub(crate) fn from_bits(bits: u64) -> Self {
        Location(bits & ((1 << (OFFSET_BITS + FILE_BITS)) - 1))
    }

    fn file(self) -> u32 {
        (self.0 >> OFFSET_BITS) as u32
    }

    fn offset(self) -> u64 {
        self.0 & ((1 << OFFSET_BITS) - 1)
    }
}

/// A file of chunks; reading from it stays possible after it was removed.
#[derive(Debug)]
struct ChunkFile {
    path: PathBuf,
    /// Set as soon as there is a file.
    reader: OnceLock<Box<dyn FsFile>>,
    /// Chunks in use.
    live: AtomicU64,
    /// Bytes at the end that are still in memory, and where they begin.
    gathered: RwLock<Gathered>,
    /// The bytes that were written when somebody last asked for more than was mapped.
    mapped: Mutex<ByteView>,
}

#[derive(Debug, Default)]
struct Gathered {
    offset: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Writer {
    number: u32,
    file: Arc<ChunkFile>,
    /// Set as soon as there is a file.
    appender: Option<Box<dyn FsFile>>,
}

/// The files of head chunks of one data directory.
#[derive(Debug)]
pub(crate) struct HeadChunks {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    files: RwLock<BTreeMap<u32, Arc<ChunkFile>>>,
    /// Files that aren't synced; the last one is appended to.
    writers: Mutex<Vec<Writer>>,
    next_number: AtomicU32,
    write_errors: AtomicU64,
    /// Chunks that were appended.
    appended: AtomicU64,
    /// Files of an earlier run that can't be opened.
    unreadable: Vec<Damage>,
}

/// A view of the files, for reading chunks while files come and go.
#[derive(Debug, Default)]
pub(crate) struct HeadChunkReader {
    files: BTreeMap<u32, OpenFile>,
}

/// A file, and what was written of it when a reader first read from it.
#[derive(Debug)]
struct OpenFile {
    file: Arc<ChunkFile>,
    map: OnceLock<ByteView>,
}

impl HeadChunks {
    /// Opens the directory, which is made if it isn't there.
    pub(crate) fn open(fs: Arc<dyn Fs>, dir: PathBuf) -> std::io::Result<Self> {
        fs.create_dir_all(&dir)?;
        let mut files = BTreeMap::new();
        let mut unreadable = Vec::new();
        let mut last = 0;
        for entry in fs.list(&dir)? {
            let Ok(number) = entry.name.parse::<u32>() else { continue };
            if entry.is_dir || number >= 1 << FILE_BITS {
                continue;
            }
            last = last.max(number);
            let opened = fs.open(&entry.path).and_then(|reader| Ok((reader.len()?, reader)));
            let (offset, reader) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    unreadable.push(Damage::of_file(&entry.path, error));
                    if let Err(error) = move_aside(&*fs, &entry.path, &dir.with_file_name(SET_ASIDE)) {
                        tracing::error!(file = %entry.path.display(), %error, "file can't be set aside");
                    }
                    continue;
                }
            };
            let gathered = RwLock::new(Gathered { offset, bytes: Vec::new() });
            let file = ChunkFile {
                path: entry.path,
                reader: reader.into(),
                live: AtomicU64::new(0),
                gathered,
                mapped: Mutex::default(),
            };
            files.insert(number, Arc::new(file));
        }
        Ok(HeadChunks {
            fs,
            dir,
            files: RwLock::new(files),
            writers: Mutex::new(Vec::new()),
            next_number: AtomicU32::new(last + 1),
            write_errors: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            unreadable,
        })
    }

    /// Appends a chunk, which is in use from now on. A failure to write isn't one of this call: the bytes
    /// stay in memory and are written later, and meanwhile the log, on the same disk, takes nothing either.
    pub(crate) fn append(&self, encoding: Encoding, data: &[u8]) -> Location {
        let mut writers = self.writers.lock();
        if writers.last().is_none_or(|w| w.file.end() + data.len() as u64 > FILE_BYTES_MAX) {
            writers.push(self.begin_file());
        }
        let writer = writers.last_mut().expect("a writer was pushed if there was none");
        let mut gathered = writer.file.gathered.write();
        let location = Location::new(writer.number, gathered.offset + gathered.bytes.len() as u64);
        put_chunk(&mut gathered.bytes, encoding, data);
        writer.file.live.fetch_add(1, Ordering::Relaxed);
        self.appended.fetch_add(1, Ordering::Relaxed);
        let full = gathered.bytes.len() >= GATHER_BYTES;
        drop(gathered);
        if full && let Err(error) = writer.flush(&*self.fs) {
            self.note_write_error(&writer.file.path, &error);
        }
        location
    }

    /// A file that exists in memory only, until it is flushed. Numbers start again at their end: by then the
    /// first million files is long gone.
    fn begin_file(&self) -> Writer {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed) & ((1 << FILE_BITS) - 1);
        let mut bytes = MAGIC.to_vec();
        bytes.extend([VERSION, 0, 0, 0, 0, 0, 0, 0]);
        let file = Arc::new(ChunkFile {
            path: self.dir.join(format!("{number:06}")),
            reader: OnceLock::new(),
            live: AtomicU64::new(0),
            gathered: RwLock::new(Gathered { offset: 0, bytes }),
            mapped: Mutex::default(),
        });
        self.files.write().insert(number, Arc::clone(&file));
        Writer { number, file, appender: None }
    }

    fn note_write_error(&self, path: &Path, error: &std::io::Error) {
        if self.write_errors.fetch_add(1, Ordering::Relaxed).is_power_of_two() {
            tracing::error!(file = %path.display(), %error, "head chunks can't be written and stay in memory");
        }
    }

    /// Writes what is gathered and makes all chunks survive a power loss.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        let mut writers = self.writers.lock();
        let Some(last) = writers.len().checked_sub(1) else { return Ok(()) };
        for writer in writers.iter_mut() {
            writer.flush(&*self.fs)?;
            if let Some(appender) = &mut writer.appender {
                appender.sync_data()?;
            }
        }
        self.fs.sync_dir(&self.dir)?;
        writers.drain(..last);
        Ok(())
    }

    /// Notes that a chunk of an earlier run is in use; says whether its file is there at all.
    pub(crate) fn adopt(&self, location: Location) -> bool {
        let files = self.files.read();
        let Some(file) = files.get(&location.file()) else { return false };
        file.live.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Notes that a chunk isn't used any more.
    pub(crate) fn release(&self, location: Location) {
        if let Some(file) = self.files.read().get(&location.file()) {
            file.live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Removes files without chunks in use; returns how many.
    pub(crate) fn remove_unused(&self) -> std::io::Result<usize> {
        let writers: Vec<u32> = self.writers.lock().iter().map(|writer| writer.number).collect();
        let mut files = self.files.write();
        let unused: Vec<u32> = files
            .iter()
            .filter(|(number, file)| file.live.load(Ordering::Relaxed) == 0 && !writers.contains(number))
            .map(|(number, _)| *number)
            .collect();
        for number in &unused {
            if let Some(file) = files.get(number) {
                self.fs.remove_file(&file.path)?;
            }
            files.remove(number);
        }
        Ok(unused.len())
    }

    /// A reader of all chunks that are there now.
    pub(crate) fn reader(&self) -> HeadChunkReader {
        let files = self.files.read();
        HeadChunkReader { files: files.iter().map(|(number, file)| (*number, OpenFile::new(file))).collect() }
    }

    /// Lets go of the memory that reading chunks took; what is read again comes from the page cache.
    pub(crate) fn release_pages(&self) {
        self.files.read().values().for_each(|file| file.mapped.lock().release());
    }

    /// Number of chunks that were appended.
    pub(crate) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Files of an earlier run that can't be opened.
    pub(crate) fn unreadable(&self) -> &[Damage] {
        &self.unreadable
    }

    /// Bytes of chunks that aren't written yet.
    pub(crate) fn gathered_bytes(&self) -> usize {
        self.files.read().values().map(|file| file.gathered.read().bytes.capacity()).sum()
    }

    /// Bytes of all files.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.files.read().values().map(|file| file.end()).sum()
    }
}

impl HeadChunkReader {
    /// Makes sure that a chunk can be read whose use nobody ends before this returns.
    pub(crate) fn cover(&mut self, chunks: &HeadChunks, location: Location) {
        let number = location.file();
        if !self.files.contains_key(&number)
            && let Some(file) = chunks.files.read().get(&number)
        {
            self.files.insert(number, OpenFile::new(file));
        }
    }

    /// A chunk and its encoding; `buffer` is for the bytes of one that isn't mapped.
    pub(crate) fn read<'r>(
        &'r self,
        location: Location,
        buffer: &'r mut Vec<u8>,
    ) -> Result<(Encoding, &'r [u8]), StorageError> {
        match self.files.get(&location.file()) {
            Some(open) => open.read(location.offset(), buffer),
            None => Err(StorageError::Corrupt {
                file: format!("head/chunks/{:06}", location.file()),
                offset: location.offset(),
                what: "the file of a head chunk is missing".to_owned(),
            }),
        }
    }
}

impl OpenFile {
    fn new(file: &Arc<ChunkFile>) -> Self {
        OpenFile { file: Arc::clone(file), map: OnceLock::new() }
    }

    fn read<'r>(
        &'r self,
        offset: u64,
        buffer: &'r mut Vec<u8>,
    ) -> Result<(Encoding, &'r [u8]), StorageError> {
        let map = match self.map.get() {
            Some(map) => map,
            None => {
                let map = self.file.map()?;
                self.map.get_or_init(|| map)
            }
        };
        let mut written = from(map, offset);
        if written.is_empty() {
            self.file.copy_unmapped(offset, buffer)?;
            written = buffer;
        }
        self.file.chunk(offset, written)
    }
}

/// The bytes from an offset on; none past the end.
fn from(bytes: &[u8], offset: u64) -> &[u8] {
    usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

impl Writer {
    /// Writes what is gathered. After an error it is still gathered, and the next call cuts the file back.
    fn flush(&mut self, fs: &dyn Fs) -> std::io::Result<()> {
        let gathered = self.file.gathered.read();
        if gathered.bytes.is_empty() {
            return Ok(());
        }
        let appender = match &mut self.appender {
            Some(appender) => appender,
            None => self.appender.insert(fs.create(&self.file.path)?),
        };
        if self.file.reader.get().is_none() {
            // Only this thread, which holds the writers, sets it.
            let _ = self.file.reader.set(fs.open(&self.file.path)?);
        }
        if appender.len()? != gathered.offset {
            appender.set_len(gathered.offset)?;
        }
        appender.append(&gathered.bytes)?;
        drop(gathered);
        let mut gathered = self.file.gathered.write();
        gathered.offset += gathered.bytes.len() as u64;
        gathered.bytes.clear();
        gathered.bytes.shrink_to(2 * GATHER_BYTES);
        Ok(())
    }
}

impl ChunkFile {
    fn end(&self) -> u64 {
        let gathered = self.gathered.read();
        gathered.offset + gathered.bytes.len() as u64
    }

    fn corrupt(&self, offset: u64, what: &str) -> StorageError {
        StorageError::Corrupt { file: self.path.display().to_string(), offset, what: what.to_owned() }
    }

    /// What is written of the file.
    fn map(&self) -> Result<ByteView, StorageError> {
        let written = self.gathered.read().offset;
        let mut mapped = self.mapped.lock();
        if (mapped.len() as u64) < written {
            let Some(reader) = self.reader.get() else {
                return Err(self.corrupt(0, "file of head chunks was never written"));
            };
            *mapped = reader.view(written).map_err(|source| StorageError::Io {
                what: format!("map {}", self.path.display()),
                source: Arc::new(source),
            })?;
        }
        Ok(mapped.clone())
    }

    /// Copies a chunk that was in memory when the file was mapped. It may have been written since.
    fn copy_unmapped(&self, offset: u64, into: &mut Vec<u8>) -> Result<(), StorageError> {
        into.clear();
        let gathered = self.gathered.read();
        if let Some(at) = offset.checked_sub(gathered.offset) {
            into.extend_from_slice(first_chunk(from(&gathered.bytes, at)));
            return Ok(());
        }
        drop(gathered);
        into.extend_from_slice(first_chunk(from(&self.map()?, offset)));
        Ok(())
    }

    /// Checks the chunk that bytes of this file begin with.
    fn chunk<'b>(&self, offset: u64, bytes: &'b [u8]) -> Result<(Encoding, &'b [u8]), StorageError> {
        let too_short = || self.corrupt(offset, "head chunk reaches past the end of its file");
        let (header, rest) = bytes.split_first_chunk::<CHUNK_HEADER_BYTES>().ok_or_else(too_short)?;
        let [c0, c1, c2, c3, .., encoding] = *header;
        let len = data_len(header);
        if len > CHUNK_BYTES_MAX {
            return Err(self.corrupt(offset, "length of head chunk"));
        }
        let data = rest.get(..len).ok_or_else(too_short)?;
        if chunk_crc(&header[4..], data) != u32::from_be_bytes([c0, c1, c2, c3]) {
            return Err(self.corrupt(offset, "checksum of head chunk"));
        }
        let encoding =
            Encoding::from_u8(encoding).map_err(|error| self.corrupt(offset, &error.to_string()))?;
        Ok((encoding, data))
    }
}

/// The chunk that bytes begin with, as far as they have it.
fn first_chunk(bytes: &[u8]) -> &[u8] {
    let len = bytes.first_chunk().map_or(0, data_len).min(CHUNK_BYTES_MAX);
    &bytes[..bytes.len().min(CHUNK_HEADER_BYTES + len)]
}

/// How many bytes of data a chunk says it has.
fn data_len(header: &[u8; CHUNK_HEADER_BYTES]) -> usize {
    let [_, _, _, _, l0, l1, l2, l3, _] = *header;
    u32::from_be_bytes([l0, l1, l2, l3]) as usize
}

fn chunk_crc(header: &[u8], data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(data);
    hasher.finalize()
}

fn put_chunk(out: &mut Vec<u8>, encoding: Encoding, data: &[u8]) {
    let mut header = [0; 5];
    header[..4].copy_from_slice(&(data.len() as u32).to_be_bytes());
    header[4] = encoding as u8;
    out.extend_from_slice(&chunk_crc(&header, data).to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::RealFs;

    #[test]
    fn chunks_read_back_before_and_after_they_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let chunks = HeadChunks::open(Arc::new(RealFs), dir.path().join("chunks")).unwrap();
        let data: Vec<Vec<u8>> = (0..2000_usize).map(|i| vec![i as u8; i % 200]).collect();
        let places: Vec<Location> = data.iter().map(|data| chunks.append(Encoding::Xor, data)).collect();
        chunks.sync().unwrap();
        let last = chunks.append(Encoding::Histogram, b"last");
        let mut buffer = Vec::new();
        for (place, data) in places.iter().zip(&data) {
            assert_eq!(chunks.reader().read(*place, &mut buffer).unwrap(), (Encoding::Xor, &data[..]));
            assert_eq!(Location::from_bits(place.to_bits()), *place);
        }
        let reader = chunks.reader();
        assert_eq!(reader.read(last, &mut buffer).unwrap(), (Encoding::Histogram, &b"last"[..]));
        chunks.sync().unwrap();
        chunks.release_pages();
        assert_eq!(reader.read(last, &mut buffer).unwrap(), (Encoding::Histogram, &b"last"[..]));
        assert_eq!(reader.read(places[1], &mut buffer).unwrap(), (Encoding::Xor, &data[1][..]));
    }

    #[test]
    fn a_file_goes_when_none_of_its_chunks_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chunks");
        let chunks = HeadChunks::open(Arc::new(RealFs), path.clone()).unwrap();
        let place = chunks.append(Encoding::Xor, b"data");
        chunks.sync().unwrap();
        drop(chunks);
        let chunks = HeadChunks::open(Arc::new(RealFs), path.clone()).unwrap();
        assert!(chunks.adopt(place));
        assert_eq!(chunks.remove_unused().unwrap(), 0);
        let reader = chunks.reader();
        chunks.release(place);
        assert_eq!(chunks.remove_unused().unwrap(), 1);
        let mut buffer = Vec::new();
        let read = reader.read(place, &mut buffer).unwrap();
        assert_eq!(read, (Encoding::Xor, &b"data"[..]), "readers from before still read");
        assert!(chunks.reader().read(place, &mut buffer).is_err());
        assert!(RealFs.list(&path).unwrap().is_empty());
    }

    #[test]
    fn a_flipped_bit_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let chunks = HeadChunks::open(Arc::new(RealFs), dir.path().to_owned()).unwrap();
        let place = chunks.append(Encoding::Xor, &[7; 50]);
        chunks.sync().unwrap();
        let file = dir.path().join("000001");
        let mut bytes = std::fs::read(&file).unwrap();
        for at in 16..bytes.len() {
            bytes[at] ^= 4;
            std::fs::write(&file, &bytes).unwrap();
            let error = chunks.reader().read(place, &mut Vec::new()).unwrap_err();
            assert!(matches!(error, StorageError::Corrupt { offset: 16, .. } | StorageError::Corrupt { .. }));
            bytes[at] ^= 4;
        }
    }
}
