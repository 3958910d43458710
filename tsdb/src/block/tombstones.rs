//! Tombstones: which intervals of which series were deleted. The samples stay on disk until the block is
//! compacted or cleaned, and are left out of every read.
//!
//! ```text
//! ┌──────────────────┬─────────────┬──────────────────────────────────────────┬───────────┐
//! │ magic 0x0130ba30 │ version 0x1 │ series uvarint │ mint varint │ maxt varint … │ CRC-32C   │
//! │ u32 BE           │ u8          │ one such triple for each interval            │ u32 BE    │
//! └──────────────────┴─────────────┴──────────────────────────────────────────┴───────────┘
//! ```
//!
//! The checksum covers the triples alone. Both ends of an interval are inclusive. A block without the file
//! has no tombstones. The source is tsdb/tombstones of Prometheus 3.14.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use model::storage::StorageError;
use model::time::TimestampMs;

use super::output::replace_file;
use crate::codec::{Cursor, DecodeError, put_uvarint, put_varint};
use crate::error::{corrupt, io};
use crate::fs::Fs;

/// The file's name.
pub const FILE_NAME: &str = "tombstones";
const MAGIC: u32 = 0x0130_ba30;
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;

/// A range of time, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first deleted millisecond.
    pub mint: TimestampMs,
    /// The last deleted millisecond.
    pub maxt: TimestampMs,
}

/// The deleted intervals of all series, by the series' ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstones {
    /// Ascending, neither touching nor overlapping.
    by_series: BTreeMap<u64, Vec<Interval>>,
}

impl Tombstones {
    /// No tombstones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Marks `[mint, maxt]` of a series as deleted. An empty interval changes nothing.
    pub fn add(&mut self, series: u64, interval: Interval) {
        if interval.mint > interval.maxt {
            return;
        }
        let intervals = self.by_series.entry(series).or_default();
        // Those that overlap the new one or touch it become one with it.
        let from = intervals.partition_point(|i| i.maxt.saturating_add(1) < interval.mint);
        let to = intervals.partition_point(|i| i.mint <= interval.maxt.saturating_add(1));
        let mut merged = interval;
        if from < to {
            merged.mint = merged.mint.min(intervals[from].mint);
            merged.maxt = merged.maxt.max(intervals[to - 1].maxt);
        }
        intervals.splice(from..to.max(from), [merged]);
    }

    /// The deleted intervals of a series: ascending, neither touching nor overlapping.
    pub fn of(&self, series: u64) -> &[Interval] {
        self.by_series.get(&series).map_or(&[], Vec::as_slice)
    }

    /// All intervals, by series.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[Interval])> {
        self.by_series.iter().map(|(series, intervals)| (*series, intervals.as_slice()))
    }

    /// Number of intervals.
    pub fn len(&self) -> usize {
        self.by_series.values().map(Vec::len).sum()
    }

    /// Whether nothing is deleted.
    pub fn is_empty(&self) -> bool {
        self.by_series.is_empty()
    }

    /// Reads the tombstones of the block in a directory; without the file there are none.
    pub fn read(fs: &dyn Fs, block_dir: &Path) -> Result<Self, StorageError> {
        let path = block_dir.join(FILE_NAME);
        match fs.view(&path) {
            Ok(bytes) => Self::decode(&bytes).map_err(|error| corrupt(&path, error.at as u64, error.what)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::new()),
            Err(error) => Err(io("open", &path)(error)),
        }
    }

    /// Reads the content of the file.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u32()? != MAGIC {
            return Err(DecodeError { what: "invalid magic number", at: 0 });
        }
        if cursor.u8()? != VERSION {
            return Err(DecodeError { what: "unknown tombstones version", at: HEADER_BYTES - 1 });
        }
        let entries_len = cursor.remaining().checked_sub(CRC_BYTES);
        let entries = cursor.take(entries_len.ok_or_else(|| cursor.error("unexpected end"))?)?;
        if cursor.u32()? != crc32c::crc32c(entries) {
            return Err(DecodeError { what: "checksum doesn't match", at: HEADER_BYTES });
        }
        let place = |error: DecodeError| DecodeError { at: error.at + HEADER_BYTES, ..error };
        let mut tombstones = Self::new();
        let mut cursor = Cursor::new(entries);
        while !cursor.is_empty() {
            let series = cursor.uvarint().map_err(place)?;
            let mint = cursor.varint().map_err(place)?;
            let maxt = cursor.varint().map_err(place)?;
            tombstones.add(series, Interval { mint, maxt });
        }
        Ok(tombstones)
    }

    /// The content of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC.to_be_bytes());
        bytes.push(VERSION);
        for (series, intervals) in self.iter() {
            for interval in intervals {
                put_uvarint(&mut bytes, series);
                put_varint(&mut bytes, interval.mint);
                put_varint(&mut bytes, interval.maxt);
            }
        }
        let crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Writes the tombstones of the block in a directory; the old file is replaced or stays.
    pub fn write(&self, fs: &dyn Fs, block_dir: &Path) -> Result<(), StorageError> {
        replace_file(fs, &block_dir.join(FILE_NAME), &self.encode())
    }
}

/// What is left of `[mint, maxt]`, both inclusive, without the deleted intervals, which are ascending and
/// apart; ascending.
pub fn kept(
    mint: TimestampMs,
    maxt: TimestampMs,
    deleted: &[Interval],
) -> impl Iterator<Item = Interval> + '_ {
    let mut next = Some(mint);
    deleted.iter().map(Some).chain([None]).filter_map(move |gap| {
        let begin = next?;
        let end = gap.map_or(Some(maxt), |gap| gap.mint.checked_sub(1).map(|end| end.min(maxt)));
        if let Some(gap) = gap {
            next = gap.maxt.checked_add(1).map(|after| after.max(begin));
        }
        end.filter(|end| begin <= *end).map(|end| Interval { mint: begin, maxt: end })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intervals() -> impl Strategy<Value = Vec<(u64, i64, i64)>> {
        proptest::collection::vec((0u64..3, -5i64..40, 0i64..9), 0..12)
    }

    proptest! {
        #[test]
        fn tombstones_are_the_set_of_what_was_deleted(deleted in intervals(), mint in -8i64..50, len in 0i64..50) {
            let mut tombstones = Tombstones::new();
            for (series, from, len) in &deleted {
                tombstones.add(*series, Interval { mint: *from, maxt: from + len - 1 });
            }
            let read = Tombstones::decode(&tombstones.encode()).unwrap();
            prop_assert_eq!(&read, &tombstones);
            for series in 0..3 {
                let is_deleted = |t: i64| deleted.iter().any(|(s, from, len)| *s == series && (*from..from + len).contains(&t));
                let of = tombstones.of(series);
                prop_assert!(of.windows(2).all(|w| w[0].maxt + 1 < w[1].mint));
                let left: Vec<i64> = kept(mint, mint + len, of).flat_map(|i| i.mint..=i.maxt).collect();
                let expected: Vec<i64> = (mint..=mint + len).filter(|t| !is_deleted(*t)).collect();
                prop_assert_eq!(left, expected);
            }
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut file = Tombstones::new().encode();
            file.truncate(HEADER_BYTES);
            file.extend_from_slice(&bytes);
            file.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
            let _ = Tombstones::decode(&file);
            let _ = Tombstones::decode(&bytes);
        }
    }

    #[test]
    fn intervals_at_the_ends_of_time_do_not_overflow() {
        let mut tombstones = Tombstones::new();
        tombstones.add(1, Interval { mint: i64::MIN, maxt: 5 });
        tombstones.add(1, Interval { mint: 10, maxt: i64::MAX });
        let left: Vec<Interval> = kept(i64::MIN, i64::MAX, tombstones.of(1)).collect();
        assert_eq!(left, [Interval { mint: 6, maxt: 9 }]);
        tombstones.add(1, Interval { mint: 0, maxt: 20 });
        assert_eq!(kept(i64::MIN, i64::MAX, tombstones.of(1)).count(), 0);
    }

    #[test]
    fn damage_is_an_error() {
        let mut tombstones = Tombstones::new();
        tombstones.add(7, Interval { mint: 1, maxt: 2 });
        let good = tombstones.encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(Tombstones::decode(&bad).is_err(), "flip at {at}");
            assert!(Tombstones::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }
}
