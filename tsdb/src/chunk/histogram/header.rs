//! The first three bytes of a histogram chunk.
//!
//! ```text
//! without start timestamps   u16 number of samples | reset: bits 7–6, zeros
//! with                       reset: bits 15–14, number of samples: bits 13–0 | header of start timestamps
//! ```
//!
//! `reset` tells of the step from the chunk before: 10 reset, 01 none, 00 unknown; 11 is a chunk of gauges.

use model::histogram::CounterResetHint;

use super::super::start::StartTimes;
use super::super::{ChunkError, Encoding};

/// Length of the header.
pub(super) const HEADER_BYTES: usize = 3;
/// Bits of the number of samples where the reset is beside it.
pub(in crate::chunk) const SHORT_SAMPLES: u16 = 0x3fff;

/// What the header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) samples: u16,
    pub(super) hint: CounterResetHint,
    pub(super) starts: StartTimes,
}

impl Header {
    pub(super) fn read(encoding: Encoding, bytes: &[u8]) -> Result<Self, ChunkError> {
        let [high, low, third] = *bytes.first_chunk::<HEADER_BYTES>().ok_or(ChunkError::Truncated)?;
        let samples = u16::from_be_bytes([high, low]);
        Ok(if encoding.has_start_timestamps() {
            let starts = StartTimes::of_header(third);
            Header { samples: samples & SHORT_SAMPLES, hint: hint_of(high), starts }
        } else {
            Header { samples, hint: hint_of(third), starts: StartTimes::default() }
        })
    }

    /// Writes the header of a chunk without start timestamps.
    pub(super) fn put(&self, bytes: &mut [u8]) {
        let [high, low] = self.samples.to_be_bytes();
        bytes[..HEADER_BYTES].copy_from_slice(&[high, low, bits_of(self.hint)]);
    }
}

fn hint_of(byte: u8) -> CounterResetHint {
    match byte >> 6 {
        0b10 => CounterResetHint::CounterReset,
        0b01 => CounterResetHint::NotCounterReset,
        0b11 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

fn bits_of(hint: CounterResetHint) -> u8 {
    let bits = match hint {
        CounterResetHint::CounterReset => 0b10,
        CounterResetHint::NotCounterReset => 0b01,
        CounterResetHint::Gauge => 0b11,
        CounterResetHint::Unknown => 0b00,
    };
    bits << 6
}
