//! One source out of several: series in order of labels, the chunks of each without overlaps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use model::labels::Labels;
use model::storage::StorageError;
use model::time::TimestampMs;

use super::samples::{ChunkLimits, Samples};
use super::source::{SeriesSource, SourceSeries};
use crate::block::ChunkData;
use crate::block::tombstones::Interval;
use crate::chunk::{ChunkError, Encoding};
use crate::error::corrupt;

/// Merges sources. Where two have the same timestamp of the same series, the sample of the one with the
/// smaller first time stays, else that of the earlier source.
#[derive(Debug)]
pub struct MergedSource<'s> {
    sources: Vec<Box<dyn SeriesSource + 's>>,
    /// The next series of each source.
    current: Vec<SourceSeries>,
    /// The labels of the next series of each source that has one, the smallest on top.
    heap: BinaryHeap<Reverse<(Labels, usize)>>,
    /// The chunks of one series of all sources.
    gathered: SourceSeries,
    rechunk: bool,
    samples: Samples,
}

impl<'s> MergedSource<'s> {
    /// Merges sources; with `rechunk`, small chunks of floats that follow each other become full ones.
    pub fn new(sources: Vec<Box<dyn SeriesSource + 's>>, rechunk: bool) -> Result<Self, StorageError> {
        let mut merged = MergedSource {
            current: vec![SourceSeries::new(); sources.len()],
            heap: BinaryHeap::with_capacity(sources.len()),
            sources,
            gathered: SourceSeries::new(),
            rechunk,
            samples: Samples::default(),
        };
        for nth in 0..merged.sources.len() {
            merged.advance(nth)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, nth: usize) -> Result<(), StorageError> {
        let current = &mut self.current[nth];
        if self.sources[nth].next(current)? {
            self.heap.push(Reverse((current.labels.clone(), nth)));
        }
        Ok(())
    }
}

impl SeriesSource for MergedSource<'_> {
    fn next(&mut self, into: &mut SourceSeries) -> Result<bool, StorageError> {
        let Some(Reverse((labels, first))) = self.heap.pop() else { return Ok(false) };
        self.gathered.reset(labels.clone());
        into.reset(labels);
        let mut nth = first;
        loop {
            self.current[nth].chunks().for_each(|chunk| self.gathered.push(chunk));
            self.advance(nth)?;
            match self.heap.peek() {
                Some(Reverse((labels, next))) if *labels == into.labels => nth = *next,
                _ => break,
            }
            self.heap.pop();
        }
        let joined = join_chunks(&self.gathered, self.rechunk, &mut self.samples, into);
        joined.map_err(|error| {
            // The bytes were those that the checksum is of; so whoever wrote them is at fault.
            corrupt(Path::new("chunks to be compacted"), 0, format!("series {}: {error}", into.labels))
        })?;
        Ok(true)
    }
}

/// Appends the chunks of `from` to `out`, in order of time and without overlaps.
fn join_chunks(
    from: &SourceSeries,
    rechunk: bool,
    samples: &mut Samples,
    out: &mut SourceSeries,
) -> Result<(), ChunkError> {
    let mut order: Vec<usize> = (0..from.len()).collect();
    order.sort_by_key(|nth| (from.chunk(*nth).mint, from.chunk(*nth).maxt));
    let mut rest = order.as_slice();
    while let Some(first) = rest.first() {
        let mut group = Group::new(from.chunk(*first));
        let joining = rest[1..].iter().take_while(|nth| group.joins(&from.chunk(**nth), rechunk)).count();
        let chunks;
        (chunks, rest) = rest.split_at(1 + joining);
        let chunks = chunks.iter().map(|nth| from.chunk(*nth));
        if chunks.clone().all(|chunk| chunk == group.first) {
            out.push(group.first);
            continue;
        }
        samples.clear();
        for chunk in chunks {
            samples.decode(&chunk, Interval { mint: TimestampMs::MIN, maxt: TimestampMs::MAX })?;
        }
        samples.sort();
        samples.encode(if rechunk { ChunkLimits::FULL } else { ChunkLimits::SMALL }, out);
    }
    Ok(())
}

/// Chunks that are to be decoded together.
struct Group<'a> {
    first: ChunkData<'a>,
    maxt: TimestampMs,
    /// Whether all chunks so far are of floats and have room for more.
    small: bool,
}

impl<'a> Group<'a> {
    fn new(first: ChunkData<'a>) -> Self {
        Group { first, maxt: first.maxt, small: is_small(&first) }
    }

    /// Takes the next chunk in, if it overlaps the group, or if both are to be filled up.
    fn joins(&mut self, chunk: &ChunkData<'_>, rechunk: bool) -> bool {
        let joins = chunk.mint <= self.maxt || (rechunk && self.small && is_small(chunk));
        if joins {
            self.maxt = self.maxt.max(chunk.maxt);
            self.small &= is_small(chunk);
        }
        joins
    }
}

/// Whether a chunk of floats has so much room that filling it pays. A full one has no more than the bytes of
/// one sample left; a compaction of compacted blocks leaves those as they are.
fn is_small(chunk: &ChunkData<'_>) -> bool {
    chunk.encoding == Encoding::Xor && chunk.bytes.len() * 4 < ChunkLimits::FULL.bytes_max * 3
}
