//! Chunk segment files, `chunks/000001` and on.
//!
//! ```text
//! segment  ┌──────────────────┬───────────┬──────────┬─────────┬─────────┬───
//!          │ magic 0x85bd40dd │ version 1 │ 3 zeros  │ chunk   │ chunk   │ …
//!          │ u32 BE           │ u8        │          │         │         │
//!          └──────────────────┴───────────┴──────────┴─────────┴─────────┴───
//! chunk    ┌───────────┬──────────┬───────────┬──────────────────────────────┐
//!          │ len       │ encoding │ data      │ CRC-32C over encoding + data │
//!          │ uvarint   │ u8       │ len bytes │ u32 BE                       │
//!          └───────────┴──────────┴───────────┴──────────────────────────────┘
//! ```
//!
//! A [`ChunkRef`] is the number of the segment, from 0, in its upper half and the offset of the chunk in its
//! lower half. The source is tsdb/chunks of Prometheus 3.14.
//!
//! The checksum is verified at every access: the machine's CRC instruction takes some 15 ns for a chunk of 120
//! samples, which is less than a cache miss in a table of chunks that were verified before would cost.

use std::path::{Path, PathBuf};

use model::storage::StorageError;

use super::output::Output;
use crate::codec::{Cursor, DecodeError, put_uvarint};
use crate::error::{corrupt, invalid, io};
use crate::fs::{ByteView, Fs};

/// The directory within a block.
pub const DIR_NAME: &str = "chunks";
/// A segment is cut before it gets larger: as in Prometheus.
pub const SEGMENT_BYTES_MAX: u64 = 512 << 20;
const MAGIC: u32 = 0x85bd_40dd;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
const CRC_BYTES: usize = 4;

/// Where a chunk is, see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkRef(pub u64);

impl ChunkRef {
    fn new(segment: usize, offset: u64) -> Self {
        ChunkRef((segment as u64) << 32 | offset)
    }

    /// Number of the segment, from 0.
    pub fn segment(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Where in the segment the chunk begins.
    pub fn offset(self) -> u64 {
        self.0 & u64::from(u32::MAX)
    }
}

/// A chunk's bytes on the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawChunk<'a> {
    /// Number of the encoding.
    pub encoding: u8,
    /// The samples.
    pub data: &'a [u8],
}

/// Reads the chunk at an offset of a segment file.
pub fn decode_chunk(segment: &[u8], offset: u64) -> Result<RawChunk<'_>, DecodeError> {
    let mut cursor = Cursor::new(segment);
    cursor.take(usize::try_from(offset).unwrap_or(usize::MAX).max(HEADER_BYTES))?;
    let len = cursor.uvarint32()? as usize;
    let checked = cursor.take(len.saturating_add(1))?;
    if cursor.u32()? != crc32c::crc32c(checked) {
        return Err(DecodeError { what: "chunk checksum doesn't match", at: offset as usize });
    }
    Ok(RawChunk { encoding: checked[0], data: &checked[1..] })
}

/// Reads the header of a segment file.
pub fn decode_header(segment: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(segment);
    if cursor.u32()? != MAGIC {
        return Err(DecodeError { what: "invalid magic number", at: 0 });
    }
    if cursor.u8()? != VERSION {
        return Err(DecodeError { what: "unknown chunk segment version", at: 4 });
    }
    cursor.take(3).map(drop)
}

fn segment_name(segment: usize) -> String {
    format!("{:06}", segment + 1)
}

/// The mapped segments of a block.
#[derive(Debug)]
pub struct ChunkReader {
    dir: PathBuf,
    segments: Vec<ByteView>,
}

impl ChunkReader {
    /// Maps all segments of the block in a directory.
    pub fn open(fs: &dyn Fs, block_dir: &Path) -> Result<Self, StorageError> {
        let dir = block_dir.join(DIR_NAME);
        let entries = fs.list(&dir).map_err(io("list", &dir))?;
        let is_segment = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let names = entries.into_iter().filter(|entry| !entry.is_dir && is_segment(&entry.name));
        let mut segments = Vec::new();
        for (nth, entry) in names.enumerate() {
            if entry.name != segment_name(nth) {
                return Err(corrupt(&dir.join(segment_name(nth)), 0, "chunk segment is missing"));
            }
            let bytes = fs.view(&entry.path).map_err(io("open", &entry.path))?;
            decode_header(&bytes).map_err(|error| corrupt(&entry.path, error.at as u64, error.what))?;
            segments.push(bytes);
        }
        Ok(ChunkReader { dir, segments })
    }

    /// The chunk at a place; its checksum was verified.
    #[inline]
    pub fn get(&self, at: ChunkRef) -> Result<RawChunk<'_>, StorageError> {
        let segment = self.segments.get(at.segment());
        let segment = segment.ok_or_else(|| self.corrupt(at, "there is no such chunk segment"))?;
        decode_chunk(segment, at.offset())
            .map_err(|error| corrupt(&self.segment_path(at), error.at as u64, error.what))
    }

    /// An error about the chunk at a place.
    #[cold]
    pub fn corrupt(&self, at: ChunkRef, what: impl ToString) -> StorageError {
        corrupt(&self.segment_path(at), at.offset(), what)
    }

    fn segment_path(&self, at: ChunkRef) -> PathBuf {
        self.dir.join(segment_name(at.segment()))
    }

    /// Lets go of the memory that reading the segments took.
    pub fn release(&self) {
        self.segments.iter().for_each(ByteView::release);
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len() as u64).sum()
    }
}

/// Writes segments one after the other.
#[derive(Debug)]
pub struct ChunkWriter {
    dir: PathBuf,
    segment_bytes_max: u64,
    /// The number of the open segment, or of the first one.
    segment: usize,
    output: Option<Output>,
    frame: Vec<u8>,
}

impl ChunkWriter {
    /// Begins the chunks of the block in a directory. A segment that holds more than one chunk isn't larger
    /// than `segment_bytes_max`, which is at most 4 GiB.
    pub fn create(fs: &dyn Fs, block_dir: &Path, segment_bytes_max: u64) -> Result<Self, StorageError> {
        let dir = block_dir.join(DIR_NAME);
        fs.create_dir_all(&dir).map_err(io("create", &dir))?;
        let segment_bytes_max = segment_bytes_max.min(u64::from(u32::MAX));
        Ok(ChunkWriter { dir, segment_bytes_max, segment: 0, output: None, frame: Vec::new() })
    }

    /// Appends a chunk and says where it is.
    pub fn write(&mut self, fs: &dyn Fs, chunk: RawChunk<'_>) -> Result<ChunkRef, StorageError> {
        let Ok(len) = u32::try_from(chunk.data.len()) else {
            return Err(invalid("write", &self.dir, format!("chunk of {} bytes", chunk.data.len())));
        };
        self.frame.clear();
        put_uvarint(&mut self.frame, u64::from(len));
        let checked_from = self.frame.len();
        self.frame.push(chunk.encoding);
        self.frame.extend_from_slice(chunk.data);
        let crc = crc32c::crc32c(&self.frame[checked_from..]);
        self.frame.extend_from_slice(&crc.to_be_bytes());
        debug_assert_eq!(self.frame.len(), checked_from + 1 + chunk.data.len() + CRC_BYTES);

        let frame_len = self.frame.len() as u64;
        let full = |output: &mut Output| output.position() + frame_len > self.segment_bytes_max;
        if let Some(output) = self.output.take_if(full) {
            output.finish()?;
            self.segment += 1;
        }
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Self::begin(fs, self.dir.join(segment_name(self.segment)))?),
        };
        let at = ChunkRef::new(self.segment, output.position());
        output.put(&self.frame)?;
        Ok(at)
    }

    fn begin(fs: &dyn Fs, path: PathBuf) -> Result<Output, StorageError> {
        let mut output = Output::create(fs, path)?;
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&MAGIC.to_be_bytes());
        header[4] = VERSION;
        output.put(&header)?;
        Ok(output)
    }

    /// Makes all segments survive a power loss.
    pub fn finish(mut self, fs: &dyn Fs) -> Result<(), StorageError> {
        if let Some(output) = self.output.take() {
            output.finish()?;
        }
        fs.sync_dir(&self.dir).map_err(io("sync", &self.dir))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fs::RealFs;

    #[test]
    fn chunks_read_back_across_segments() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ChunkWriter::create(&RealFs, dir.path(), 100).unwrap();
        let data: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; usize::from(n) * 9]).collect();
        let refs: Vec<ChunkRef> =
            data.iter().map(|data| writer.write(&RealFs, RawChunk { encoding: 1, data }).unwrap()).collect();
        writer.finish(&RealFs).unwrap();
        assert!(refs.windows(2).all(|w| w[0] < w[1]));
        assert!(refs.last().unwrap().segment() > 5);

        let reader = ChunkReader::open(&RealFs, dir.path()).unwrap();
        for (at, data) in refs.iter().zip(&data) {
            assert_eq!(reader.get(*at).unwrap(), RawChunk { encoding: 1, data });
        }
        let error = reader.get(ChunkRef(99 << 32)).unwrap_err().to_string();
        assert!(error.contains("chunks/000100 at offset 0: there is no such chunk segment"), "{error}");

        std::fs::remove_file(dir.path().join("chunks/000002")).unwrap();
        let error = ChunkReader::open(&RealFs, dir.path()).unwrap_err().to_string();
        assert!(error.contains("chunks/000002 at offset 0: chunk segment is missing"), "{error}");
    }

    #[test]
    fn a_flipped_bit_is_an_error_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ChunkWriter::create(&RealFs, dir.path(), SEGMENT_BYTES_MAX).unwrap();
        let at = writer.write(&RealFs, RawChunk { encoding: 1, data: &[7; 30] }).unwrap();
        writer.finish(&RealFs).unwrap();
        let path = dir.path().join("chunks/000001");
        let good = std::fs::read(&path).unwrap();
        for byte in 8..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let reader = ChunkReader::open(&RealFs, dir.path()).unwrap();
            assert!(matches!(reader.get(at), Err(StorageError::Corrupt { .. })), "flip in byte {byte}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            offset in prop_oneof![0u64..110, any::<u64>()],
        ) {
            let _ = decode_header(&bytes);
            let _ = decode_chunk(&bytes, offset);
        }
    }
}
