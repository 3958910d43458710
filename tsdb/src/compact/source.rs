//! Where a compaction's series come from.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use model::labels::Labels;
use model::storage::{SampleColumns, StorageError};
use model::time::TimestampMs;

use super::samples::{ChunkLimits, Samples};
use crate::block::index::ChunkMeta;
use crate::block::tombstones::{Interval, Tombstones, kept};
use crate::block::{Block, ChunkData};
use crate::chunk::{ChunkError, Encoding};
use crate::postings::{SeriesId, union_of_disjoint};
use crate::select::LabelIndex;

/// How many bytes of chunks are read from a block before their memory is let go of: about as much of each
/// source is resident at a time.
const RELEASE_BYTES: usize = 8 << 20;

/// Gives series in ascending order of their labels, each once.
pub trait SeriesSource: Debug + Send {
    /// Replaces `into` by the next series, or returns `false` if there is none. A series may have no chunks,
    /// and its chunks may overlap and be in any order.
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError>;
}

/// A series on its way into a block: its labels and encoded chunks, in buffers that are used again.
#[derive(Clone, Debug, Default)]
pub struct SourceSeries {
    /// The label set.
    pub labels: Labels,
    chunks: Vec<Placed>,
    bytes: Vec<u8>,
}

/// A chunk in the buffer of its series.
#[derive(Clone, Debug)]
struct Placed {
    mint: TimestampMs,
    maxt: TimestampMs,
    encoding: Encoding,
    bytes: Range<usize>,
}

impl SourceSeries {
    /// A series without labels and chunks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins another series.
    pub fn reset(&mut self, labels: Labels) {
        self.labels = labels;
        self.chunks.clear();
        self.bytes.clear();
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: ChunkData<'_>) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(chunk.bytes);
        let bytes = begin..self.bytes.len();
        self.chunks.push(Placed { mint: chunk.mint, maxt: chunk.maxt, encoding: chunk.encoding, bytes });
    }

    /// Adds what a chunk has within the intervals, which ascend and are apart. A chunk that is wholly within
    /// one passes as it is; else what is left of it is encoded anew.
    ///
    /// # Errors
    ///
    /// The chunk had to be decoded and is damaged.
    pub fn push_within(&mut self, chunk: ChunkData<'_>, intervals: &[Interval]) -> Result<(), ChunkError> {
        if intervals.iter().any(|i| i.mint <= chunk.mint && chunk.maxt <= i.maxt) {
            self.push(chunk);
            return Ok(());
        }
        let mut samples = Samples::default();
        for interval in intervals.iter().filter(|i| i.mint <= chunk.maxt && chunk.mint <= i.maxt) {
            samples.decode(&chunk, *interval)?;
        }
        samples.encode(ChunkLimits::SMALL, self);
        Ok(())
    }

    /// Adds floats in order of time, each timestamp once, in chunks as the head makes them.
    pub fn push_samples(&mut self, samples: SampleColumns) {
        Samples::of(samples).encode(ChunkLimits::SMALL, self);
    }

    /// Number of chunks.
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there are no chunks.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// A chunk.
    ///
    /// # Panics
    ///
    /// If `nth` isn't below [`Self::len`].
    pub fn chunk(&self, nth: usize) -> ChunkData<'_> {
        let chunk = &self.chunks[nth];
        let bytes = &self.bytes[chunk.bytes.clone()];
        ChunkData { mint: chunk.mint, maxt: chunk.maxt, encoding: chunk.encoding, bytes }
    }

    /// The chunks.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkData<'_>> {
        (0..self.len()).map(|nth| self.chunk(nth))
    }
}

/// The series of a block, without what is deleted.
#[derive(Debug)]
pub struct BlockSource {
    block: Arc<Block>,
    ids: std::vec::IntoIter<SeriesId>,
    tombstones: Arc<Tombstones>,
    chunks: Vec<ChunkMeta>,
    /// Bytes of chunks that were read since their memory was let go of.
    read_bytes: usize,
}

impl BlockSource {
    /// All series of a block as it is now.
    pub fn new(block: &Arc<Block>) -> Result<Self, StorageError> {
        Self::without(block, block.tombstones())
    }

    /// All series of a block, with the samples that are deleted but still there.
    pub(crate) fn with_deleted(block: &Arc<Block>) -> Result<Self, StorageError> {
        Self::without(block, Arc::new(Tombstones::new()))
    }

    fn without(block: &Arc<Block>, tombstones: Arc<Tombstones>) -> Result<Self, StorageError> {
        let ids = union_of_disjoint(&[block.index().all()?]).into_iter();
        Ok(BlockSource { block: Arc::clone(block), ids, tombstones, chunks: Vec::new(), read_bytes: 0 })
    }
}

impl SeriesSource for BlockSource {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        let Some(id) = self.ids.next() else { return Ok(false) };
        into.reset(self.block.index().labels(id)?);
        self.block.index().chunks(id, &mut self.chunks)?;
        let deleted = self.tombstones.of(u64::from(id));
        let intervals: Vec<Interval> = kept(TimestampMs::MIN, TimestampMs::MAX, deleted).collect();
        for meta in &self.chunks {
            let damaged = |error: ChunkError| self.block.chunks().corrupt(meta.at, error);
            let raw = self.block.chunks().get(meta.at)?;
            let encoding = Encoding::from_u8(raw.encoding).map_err(damaged)?;
            let chunk = ChunkData { mint: meta.mint, maxt: meta.maxt, encoding, bytes: raw.data };
            into.push_within(chunk, &intervals).map_err(damaged)?;
            self.read_bytes += raw.data.len();
        }
        if self.read_bytes > RELEASE_BYTES {
            self.block.chunks().release();
            self.read_bytes = 0;
        }
        Ok(true)
    }
}
