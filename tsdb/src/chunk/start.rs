//! Start timestamps: since when a counter counts, sample by sample, behind the samples they belong to.
//!
//! ```text
//! header byte   bit 7: sample 0 has one; bits 0–6: the sample from which on each has one, 0 for none
//! sample 0      zigzag LEB128: its timestamp − its start timestamp
//! sample n      signed varbit: timestamp of sample n−1 − start timestamp of sample n;
//!               after the first, the difference to what was written for sample n−1
//! ```
//!
//! Samples before the change have the start timestamp of sample 0; 0 is "not known". As the header has 7
//! bits, sample 127 begins to write them at the latest, so that a change after it can be told. Source:
//! tsdb/chunkenc/{st,xor2}.go of Prometheus 3.14.

use super::ChunkError;
use super::bits::{BitReader, PutBits};
use super::varbit;

/// Header bit: sample 0 has a start timestamp.
const FIRST_KNOWN: u8 = 0x80;
/// Header bits: where the change is.
const CHANGE_ON: u8 = 0x7f;

/// The start timestamps of a chunk, up to some sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StartTimes {
    header: u8,
    /// That of the last sample.
    start: i64,
    /// What was written for it, if anything.
    difference: i64,
}

impl StartTimes {
    /// Those of a chunk with this header byte.
    pub(super) fn of_header(header: u8) -> Self {
        StartTimes { header, start: 0, difference: 0 }
    }

    /// The header byte of what was written so far.
    pub(super) fn header(&self) -> u8 {
        self.header
    }

    /// The start timestamp of the last sample.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// Reads that of sample `index`, at `timestamp`; the one before it is at `previous`.
    pub(super) fn read(
        &mut self,
        bits: &mut BitReader<'_>,
        index: u16,
        timestamp: i64,
        previous: i64,
    ) -> Result<(), ChunkError> {
        let change_on = u16::from(self.header & CHANGE_ON);
        if index == 0 {
            if self.header & FIRST_KNOWN != 0 {
                self.difference = bits.varint()?;
                self.start = timestamp.wrapping_sub(self.difference);
            }
        } else if change_on > 0 && index >= change_on {
            let written = varbit::read_int(bits);
            let before = if index == change_on { 0 } else { self.difference };
            self.difference = before.wrapping_add(written);
            self.start = previous.wrapping_sub(self.difference);
        }
        Ok(())
    }

    /// Writes that of sample `index`, as [`Self::read`] reads it.
    pub(super) fn put(
        &mut self,
        bits: &mut impl PutBits,
        index: u16,
        start: i64,
        timestamp: i64,
        previous: i64,
    ) {
        let change_on = self.header & CHANGE_ON;
        if index == 0 {
            if start != 0 {
                self.header |= FIRST_KNOWN;
                bits.put_varint(timestamp.wrapping_sub(start));
            }
        } else if change_on > 0 {
            let difference = previous.wrapping_sub(start);
            varbit::put_int(bits, difference.wrapping_sub(self.difference));
            self.difference = difference;
        } else if start != self.start || index == u16::from(CHANGE_ON) {
            self.header |= index as u8 & CHANGE_ON;
            self.difference = previous.wrapping_sub(start);
            varbit::put_int(bits, self.difference);
        }
        self.start = start;
    }
}
