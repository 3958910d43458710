//! `meta.json`: the time range of a block, what is in it, and what it was made of.
//!
//! The source is `BlockMeta` of Prometheus 3.14 (tsdb/block.go); unknown fields, such as Thanos's, are
//! passed over.

use std::path::Path;

use model::storage::StorageError;
use model::time::TimestampMs;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::output::replace_file;
use crate::error::{corrupt, io};
use crate::fs::Fs;

/// The file's name.
pub const FILE_NAME: &str = "meta.json";
/// The only version there is.
const VERSION: u32 = 1;

/// Hint of a block whose samples came in out of order.
pub const HINT_OUT_OF_ORDER: &str = "from-out-of-order";

/// What is known of a block without its index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// The block's name.
    pub ulid: Ulid,
    /// No sample is older.
    pub min_time: TimestampMs,
    /// Every sample is older than this: exclusive.
    pub max_time: TimestampMs,
    /// Counts.
    #[serde(default)]
    pub stats: BlockStats,
    /// Where the block comes from.
    pub compaction: BlockCompaction,
    /// Version of the format.
    pub version: u32,
}

/// What is in a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// All samples.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Floats among them.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Native histograms among them.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted intervals.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

/// Where a block comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockCompaction {
    /// 1 for a block of the head; else one above the highest of the parents.
    pub level: u32,
    /// The level 1 blocks whose samples are in this block, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Ulid>,
    /// The block has no samples left: it is removed at the next reload.
    #[serde(skip_serializing_if = "is_false")]
    pub deletable: bool,
    /// The blocks that were compacted into this one. They are removed at the next reload.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<BlockDesc>,
    /// A compaction of this block failed: it isn't tried again.
    #[serde(skip_serializing_if = "is_false")]
    pub failed: bool,
    /// What kind of samples the block holds, if not all of its time range.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block as its children name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDesc {
    /// Its name.
    pub ulid: Ulid,
    /// As in [`BlockMeta`].
    pub min_time: TimestampMs,
    /// As in [`BlockMeta`].
    pub max_time: TimestampMs,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl BlockMeta {
    /// The meta of a block `[min_time, max_time)` of level 1 that nothing is known of yet.
    pub fn new(ulid: Ulid, min_time: TimestampMs, max_time: TimestampMs) -> Self {
        let compaction = BlockCompaction { level: 1, sources: vec![ulid], ..BlockCompaction::default() };
        let stats = BlockStats::default();
        BlockMeta { ulid, min_time, max_time, stats, compaction, version: VERSION }
    }

    /// Reads the meta of the block in a directory.
    ///
    /// # Errors
    ///
    /// The file can't be read, isn't JSON of this shape, or is of another version.
    pub fn read(fs: &dyn Fs, block_dir: &Path) -> Result<Self, StorageError> {
        let path = block_dir.join(FILE_NAME);
        let bytes = fs.view(&path).map_err(io("open", &path))?;
        Self::decode(&bytes).map_err(|what| corrupt(&path, 0, what))
    }

    /// Reads the content of the file; else says what is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let meta: BlockMeta = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if meta.version != VERSION {
            return Err(format!("unexpected meta file version {}", meta.version));
        }
        if meta.min_time > meta.max_time {
            return Err(format!("minTime {} is after maxTime {}", meta.min_time, meta.max_time));
        }
        Ok(meta)
    }

    /// The content of the file, indented by tabs as Prometheus does it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
        self.serialize(&mut serializer).expect("numbers, texts and lists always become JSON");
        bytes
    }

    /// Writes the meta of the block in a directory; an old one is replaced or stays, but never half.
    pub fn write(&self, fs: &dyn Fs, block_dir: &Path) -> Result<(), StorageError> {
        replace_file(fs, &block_dir.join(FILE_NAME), &self.encode())
    }

    /// The block as its children name it.
    pub fn desc(&self) -> BlockDesc {
        BlockDesc { ulid: self.ulid, min_time: self.min_time, max_time: self.max_time }
    }

    /// Whether the block may have samples in `[mint, maxt]`, both inclusive.
    pub fn overlaps(&self, mint: TimestampMs, maxt: TimestampMs) -> bool {
        self.min_time <= maxt && mint < self.max_time
    }

    /// Whether the block has a hint.
    pub fn has_hint(&self, hint: &str) -> bool {
        self.compaction.hints.iter().any(|h| h == hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Prometheus wrote it, but for the names.
    const TEXT: &str = "{
\t\"ulid\": \"01BKGV7JBM69T2G1BGBGM6KB12\",
\t\"minTime\": 1602237600000,
\t\"maxTime\": 1602244800000,
\t\"stats\": {
\t\t\"numSamples\": 553673232,
\t\t\"numFloatSamples\": 553673232,
\t\t\"numSeries\": 1346066,
\t\t\"numChunks\": 4440437
\t},
\t\"compaction\": {
\t\t\"level\": 2,
\t\t\"sources\": [
\t\t\t\"01EM65SHSX4VARXBBHBF0M0FDS\",
\t\t\t\"01EM6GAJSYWSQQRDY782EA5ZPN\"
\t\t],
\t\t\"parents\": [
\t\t\t{
\t\t\t\t\"ulid\": \"01EM65SHSX4VARXBBHBF0M0FDS\",
\t\t\t\t\"minTime\": 1602237600000,
\t\t\t\t\"maxTime\": 1602244800000
\t\t\t}
\t\t]
\t},
\t\"version\": 1
}";

    #[test]
    fn the_file_is_written_as_prometheus_writes_it() {
        let meta = BlockMeta::decode(TEXT.as_bytes()).unwrap();
        assert_eq!(meta.stats.num_series, 1_346_066);
        assert_eq!(meta.compaction.level, 2);
        assert!(meta.overlaps(0, 1_602_237_600_000));
        assert!(!meta.overlaps(1_602_244_800_000, i64::MAX));
        assert_eq!(String::from_utf8(meta.encode()).unwrap(), TEXT);
    }

    #[test]
    fn what_another_version_wrote_is_refused_and_unknown_fields_are_not() {
        let error = BlockMeta::decode(TEXT.replace("\"version\": 1", "\"version\": 2").as_bytes());
        assert_eq!(error.unwrap_err(), "unexpected meta file version 2");
        let extended = TEXT.replace("\"version\": 1", "\"version\": 1, \"thanos\": {\"labels\": {}}");
        assert!(BlockMeta::decode(extended.as_bytes()).is_ok());
        assert!(BlockMeta::decode(b"{}").is_err());
    }
}
