//! What the head takes on the heap, structure by structure. What the allocator adds isn't counted.

use super::Head;

/// Bytes of the head's structures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadMemory {
    /// Hot records, one cache line a series.
    pub records: usize,
    /// Buffers of open float chunks.
    pub open_chunks: usize,
    /// Places of full chunks.
    pub sealed_chunks: usize,
    /// Open histogram chunks.
    pub histograms: usize,
    /// Label sets as symbols, and their table.
    pub labels: usize,
    /// Texts of names and values, and their table.
    pub symbols: usize,
    /// Postings.
    pub postings: usize,
    /// Metadata.
    pub families: usize,
    /// Full chunks that aren't written yet.
    pub gathered_chunks: usize,
    /// Frames of the log that aren't synced yet.
    pub unsynced_log: usize,
}

impl HeadMemory {
    /// Each part by name.
    pub fn parts(&self) -> [(&'static str, usize); 10] {
        [
            ("records", self.records),
            ("open chunks", self.open_chunks),
            ("sealed chunks", self.sealed_chunks),
            ("histograms", self.histograms),
            ("labels", self.labels),
            ("symbols", self.symbols),
            ("postings", self.postings),
            ("families", self.families),
            ("gathered chunks", self.gathered_chunks),
            ("unsynced log", self.unsynced_log),
        ]
    }
}

impl Head {
    /// See the module.
    pub(crate) fn memory(&self) -> HeadMemory {
        let mut memory = HeadMemory {
            gathered_chunks: self.chunks.gathered_bytes(),
            unsynced_log: self.wal.unsynced_bytes(),
            families: self.families.lock().heap_bytes(),
            ..HeadMemory::default()
        };
        {
            let index = self.index.read();
            memory.labels = index.label_bytes();
            memory.symbols = index.symbols().heap_bytes();
            memory.postings = index.postings().heap_bytes();
        }
        for shard in &self.shards {
            let shard = shard.lock();
            memory.records += shard.record_bytes();
            memory.open_chunks += shard.buffers.heap_bytes();
            memory.sealed_chunks += shard.sealed.heap_bytes();
            memory.histograms += shard.histogram_bytes();
            memory.families += shard.family_bytes();
        }
        memory
    }
}
