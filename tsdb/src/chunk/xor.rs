//! XOR chunks: float samples, timestamps as differences of differences, values XORed.
//!
//! ```text
//! bytes    0  u16  number of samples, big-endian
//! bits    16  sample 0    zigzag LEB128 timestamp (ms), 64 bits value
//!             sample 1    LEB128 difference of timestamps, value as difference
//!             sample 2…   difference of differences of timestamps, value as difference
//!
//! difference of differences       bits                          value as difference: see `window`
//! 0                               0
//! −8191 ..= 8192                  1 0        <14>
//! −65535 ..= 65536                1 1 0      <17>
//! −524287 ..= 524288              1 1 1 0    <20>
//! else                            1 1 1 1    <64>
//! ```
//!
//! Source: tsdb/chunkenc/xor.go of Prometheus 3.14; the bytes are the same.
//!
//! Appending keeps its state apart from the buffer, in [`AppendState`], which is small and `Copy`, so that the
//! head can keep it beside its other fields of a series; a buffer is touched at its end alone. That is why
//! the number of samples isn't in the buffer of an open chunk until [`AppendState::finish`] puts it there.

use super::ChunkError;
use super::bits::{BitSlice, PutBits};
use super::window::Window;

mod decode;
#[cfg(test)]
mod tests;

pub use decode::{decode_into, last_sample};

/// The number of samples comes first.
pub const HEADER_BYTES: usize = 2;
/// How many bytes must be free after [`AppendState::byte_len`] for [`append`]: those of the second sample at
/// worst, 80 bits of timestamp and 77 of value. (The first needs 18, from the third on it is 19.)
pub const SAMPLE_BYTES_MAX: usize = 20;
/// The most samples of a chunk.
pub const SAMPLES_MAX: u16 = u16::MAX;

/// Sizes in bits of the differences of differences, after 1, 2 and 3 ones and a zero.
const DOD_BITS: [u32; 3] = [14, 17, 20];

/// What there is to know of an open chunk in order to append to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendState {
    timestamp: i64,
    /// Between the last two timestamps; wraps where they are further apart than an `i64` holds.
    delta: u64,
    value_bits: u64,
    bit_len: u32,
    samples: u16,
    window: Window,
}

impl Default for AppendState {
    fn default() -> Self {
        Self::new()
    }
}

impl AppendState {
    /// The state of a chunk without samples.
    pub const fn new() -> Self {
        AppendState {
            timestamp: 0,
            delta: 0,
            value_bits: 0,
            bit_len: HEADER_BYTES as u32 * 8,
            samples: 0,
            window: Window::unset(),
        }
    }

    /// The state after the samples of a whole chunk: what appending them one after the other would have led
    /// to.
    ///
    /// # Errors
    ///
    /// If the bytes are no XOR chunk. Bytes after the last sample are of no interest.
    pub fn resume(bytes: &[u8]) -> Result<Self, ChunkError> {
        decode::resume(bytes)
    }

    /// Number of samples.
    #[inline]
    pub fn samples(&self) -> u16 {
        self.samples
    }

    /// Length of the chunk in bytes, header included.
    #[inline]
    pub fn byte_len(&self) -> usize {
        (self.bit_len as usize).div_ceil(8)
    }

    /// Time of the last sample; of no meaning if there is none.
    #[inline]
    pub fn last_timestamp(&self) -> i64 {
        self.timestamp
    }

    /// Value of the last sample; of no meaning if there is none.
    #[inline]
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.value_bits)
    }

    /// Writes the header into the buffer of the chunk, or into a copy of it, and returns the bytes that are
    /// the chunk. The chunk may be appended to afterwards.
    ///
    /// # Panics
    ///
    /// If the buffer is shorter than [`Self::byte_len`].
    pub fn finish<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        buffer[..HEADER_BYTES].copy_from_slice(&self.samples.to_be_bytes());
        &buffer[..self.byte_len()]
    }
}

/// Appends a sample to the chunk in `buffer`. Timestamps are expected to rise, but any are written and read
/// back.
///
/// # Panics
///
/// If fewer than [`SAMPLE_BYTES_MAX`] bytes are free and the sample needs them, or if there are
/// [`SAMPLES_MAX`] samples.
#[inline]
pub fn append(state: &mut AppendState, buffer: &mut [u8], timestamp: i64, value: f64) {
    assert!(state.samples < SAMPLES_MAX, "chunk is full");
    let mut bits = BitSlice::new(buffer, state.bit_len as usize);
    let value_bits = value.to_bits();
    let delta = timestamp.wrapping_sub(state.timestamp) as u64;
    if state.samples >= 2 {
        let dod = delta.wrapping_sub(state.delta) as i64;
        let difference = value_bits ^ state.value_bits;
        // No difference of differences is one zero, which goes along with what follows.
        if dod != 0 {
            put_dod(&mut bits, dod);
            state.window.put(&mut bits, 0, difference);
        } else if difference != 0 {
            state.window.put(&mut bits, 1, difference);
        } else {
            bits.put(0, 2);
        }
        state.delta = delta;
    } else if state.samples == 1 {
        bits.put_uvarint(delta);
        state.window.put(&mut bits, 0, value_bits ^ state.value_bits);
        state.delta = delta;
    } else {
        bits.put_varint(timestamp);
        bits.put(value_bits, 64);
    }
    state.bit_len = bits.position() as u32;
    state.timestamp = timestamp;
    state.value_bits = value_bits;
    state.samples += 1;
}

/// Writes a difference of differences that isn't 0.
#[inline]
fn put_dod(bits: &mut BitSlice<'_>, dod: i64) {
    for (size, prefix) in DOD_BITS.into_iter().zip([0b10, 0b110, 0b1110]) {
        let half = 1_i64 << (size - 1);
        if -half < dod && dod <= half {
            let low = dod as u64 & ((1 << size) - 1);
            return bits.put(prefix << size | low, size + u64::ilog2(prefix) + 1);
        }
    }
    bits.put(0b1111, 4);
    bits.put(dod as u64, 64);
}

/// A chunk of all samples of two columns of the same length.
///
/// # Panics
///
/// If there are more than [`SAMPLES_MAX`] samples.
pub fn encode(timestamps: &[i64], values: &[f64]) -> Vec<u8> {
    let mut state = AppendState::new();
    let mut buffer = vec![0; HEADER_BYTES + SAMPLE_BYTES_MAX];
    for (timestamp, value) in timestamps.iter().zip(values) {
        if buffer.len() < state.byte_len() + SAMPLE_BYTES_MAX {
            buffer.resize(buffer.len() * 2, 0);
        }
        append(&mut state, &mut buffer, *timestamp, *value);
    }
    state.finish(&mut buffer);
    buffer.truncate(state.byte_len());
    buffer
}
