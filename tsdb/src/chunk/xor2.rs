//! XOR2 chunks: float samples with one control for timestamp and value, and start timestamps if there are.
//!
//! ```text
//! bytes  0  u16  number of samples, big-endian
//!        2  u8   header of start timestamps, see `start`
//! bits  24  sample 0    zigzag LEB128 timestamp (ms), 64 bits value
//!           sample 1    LEB128 difference of timestamps, value after control
//!           sample 2…   control:
//!                       0                  regular, same value
//!                       1 0       0 | 1    regular; value in window | value with new window
//!                       1 1 0     <13>     difference of differences in −4096 ..= 4095, value after control
//!                       1 1 1 0   <20>     in −524288 ..= 524287, value after control
//!                       1 1 1 1 0 <64>     any, value after control
//!                       1 1 1 1 1          regular, staleness marker
//!           each followed by its start timestamp, if one is written
//!
//! value after control    0 same    1 0 in window    1 1 0 new window    1 1 1 staleness marker
//! ```
//!
//! Windows are those of `window`. A staleness marker is no base for the value after it: that is the last value
//! which wasn't one, at first 0. Source: tsdb/chunkenc/xor2.go of Prometheus 3.14.

use model::value::{STALE_NAN, is_stale_nan};

use super::ChunkError;
use super::bits::{BitReader, BitVec, PEEK_BITS, PutBits};
use super::columns::{self, Sink};
use super::start::StartTimes;
use super::window::Window;

#[cfg(test)]
mod tests;

/// The number of samples and the header of start timestamps.
const HEADER_BYTES: usize = 3;
/// The most samples of a chunk.
pub const SAMPLES_MAX: u16 = u16::MAX;
/// Sizes in bits of the differences of differences, after 2, 3 and 4 ones and a zero.
const DOD_BITS: [u32; 3] = [13, 20, 64];
/// Ones of the control of a regular staleness marker.
const STALE_ONES: u32 = 5;

/// Appends the samples in `[mint, maxt]`, both inclusive, to the columns. `start_timestamps` are either none
/// or as many as the samples, 0 where they aren't known. After an error the columns are as before.
pub fn decode_into(
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
    start_timestamps: &mut Vec<i64>,
) -> Result<(), ChunkError> {
    let [high, low, header] = *bytes.first_chunk::<HEADER_BYTES>().ok_or(ChunkError::Truncated)?;
    let samples = u16::from_be_bytes([high, low]);
    let bits = BitReader::new(bytes, HEADER_BYTES);
    if usize::from(samples) > 2 + bits.left() {
        return Err(ChunkError::Truncated);
    }
    let mut decoder = Decoder {
        bits,
        samples,
        timestamp: 0,
        delta: 0,
        base_bits: 0,
        window: Window::unset(),
        starts: StartTimes::of_header(header),
    };
    let before = timestamps.len();
    if header == 0 {
        columns::fill(timestamps, values, samples.into(), mint, maxt, |mut out| {
            decoder.run(&mut out).map(|()| out)
        })?;
        super::align(start_timestamps, timestamps.len());
        return Ok(());
    }
    let mut starts = Vec::with_capacity(samples.into());
    columns::fill(timestamps, values, samples.into(), mint, maxt, |mut out| {
        decoder.run_with_starts(|timestamp, value, start| {
            let wanted = out.one(timestamp, value);
            if wanted && timestamp >= mint {
                starts.push(start);
            }
            wanted
        })?;
        Ok(out)
    })?;
    if !start_timestamps.is_empty() || starts.iter().any(|start| *start != 0) {
        start_timestamps.resize(before, 0);
        start_timestamps.append(&mut starts);
    }
    Ok(())
}

struct Decoder<'a> {
    bits: BitReader<'a>,
    samples: u16,
    timestamp: i64,
    delta: u64,
    /// The last value that isn't a staleness marker.
    base_bits: u64,
    window: Window,
    starts: StartTimes,
}

impl Decoder<'_> {
    /// Reads a chunk without start timestamps.
    fn run(&mut self, sink: &mut impl Sink) -> Result<(), ChunkError> {
        let mut index = 0;
        while index < self.samples {
            let zeros = self.bits.peek().leading_zeros().min(PEEK_BITS);
            if index < 2 || zeros == 0 {
                let value = self.sample(index)?;
                self.bits.check()?;
                index += 1;
                if !sink.one(self.timestamp, value) {
                    break;
                }
                continue;
            }
            let count = (zeros as u16).min(self.samples - index);
            self.bits.skip(u32::from(count));
            self.bits.check()?;
            index += count;
            let (from, delta) = (self.timestamp, self.delta as i64);
            self.timestamp = from.wrapping_add(delta.wrapping_mul(i64::from(count)));
            if !sink.run(from, delta, usize::from(count), f64::from_bits(self.base_bits)) {
                break;
            }
        }
        Ok(())
    }

    /// Reads a chunk sample by sample.
    fn run_with_starts(&mut self, mut one: impl FnMut(i64, f64, i64) -> bool) -> Result<(), ChunkError> {
        for index in 0..self.samples {
            let previous = self.timestamp;
            let value = self.sample(index)?;
            self.starts.read(&mut self.bits, index, self.timestamp, previous)?;
            self.bits.check()?;
            if !one(self.timestamp, value, self.starts.start()) {
                break;
            }
        }
        Ok(())
    }

    /// Reads timestamp and value of a sample.
    fn sample(&mut self, index: u16) -> Result<f64, ChunkError> {
        if index == 0 {
            self.timestamp = self.bits.varint()?;
            let value = f64::from_bits(self.bits.bits(64));
            if !is_stale_nan(value) {
                self.base_bits = value.to_bits();
            }
            return Ok(value);
        }
        if index == 1 {
            self.delta = self.bits.uvarint()?;
            self.timestamp = self.timestamp.wrapping_add(self.delta as i64);
            return self.value();
        }
        let ones = (!self.bits.peek()).leading_zeros().min(STALE_ONES);
        self.bits.skip((ones + 1).min(STALE_ONES));
        if (2..STALE_ONES).contains(&ones) {
            let size = DOD_BITS[ones as usize - 2];
            let dod = (self.bits.bits(size) << (64 - size)) as i64 >> (64 - size);
            self.delta = self.delta.wrapping_add(dod as u64);
        }
        self.timestamp = self.timestamp.wrapping_add(self.delta as i64);
        match ones {
            0 => Ok(f64::from_bits(self.base_bits)),
            1 if self.bits.bit() => self.value_with_new_window(),
            1 => Ok(self.value_in_window()),
            STALE_ONES => Ok(STALE_NAN),
            _ => self.value(),
        }
    }

    /// Reads a value after its control.
    fn value(&mut self) -> Result<f64, ChunkError> {
        let ones = (!self.bits.peek()).leading_zeros().min(3);
        self.bits.skip((ones + 1).min(3));
        match ones {
            0 => Ok(f64::from_bits(self.base_bits)),
            1 => Ok(self.value_in_window()),
            2 => self.value_with_new_window(),
            _ => Ok(STALE_NAN),
        }
    }

    fn value_in_window(&mut self) -> f64 {
        self.base_bits ^= self.window.read_inside(&mut self.bits);
        f64::from_bits(self.base_bits)
    }

    fn value_with_new_window(&mut self) -> Result<f64, ChunkError> {
        self.base_bits ^= self.window.read_new(&mut self.bits)?;
        Ok(f64::from_bits(self.base_bits))
    }
}

/// A chunk of all samples of columns of the same length. `start_timestamps` may be empty: none is known.
///
/// # Panics
///
/// If there are more than [`SAMPLES_MAX`] samples.
pub fn encode(timestamps: &[i64], values: &[f64], start_timestamps: &[i64]) -> Vec<u8> {
    let samples = u16::try_from(timestamps.len()).expect("no more samples than a chunk holds");
    let mut encoder = Encoder {
        bits: BitVec::with_header(HEADER_BYTES),
        timestamp: 0,
        delta: 0,
        base_bits: 0,
        window: Window::unset(),
    };
    let mut starts = StartTimes::default();
    for (index, (timestamp, value)) in (0..samples).zip(timestamps.iter().zip(values)) {
        let previous = encoder.timestamp;
        encoder.sample(index, *timestamp, *value);
        let start = start_timestamps.get(usize::from(index)).copied().unwrap_or(0);
        starts.put(&mut encoder.bits, index, start, *timestamp, previous);
    }
    let mut bytes = encoder.bits.into_bytes();
    bytes[..2].copy_from_slice(&samples.to_be_bytes());
    bytes[2] = starts.header();
    bytes
}

struct Encoder {
    bits: BitVec,
    timestamp: i64,
    delta: u64,
    base_bits: u64,
    window: Window,
}

impl Encoder {
    fn sample(&mut self, index: u16, timestamp: i64, value: f64) {
        let delta = timestamp.wrapping_sub(self.timestamp) as u64;
        let dod = delta.wrapping_sub(self.delta) as i64;
        match (index, dod) {
            (0, _) => {
                self.bits.put_varint(timestamp);
                self.bits.put(value.to_bits(), 64);
            }
            (1, _) => {
                self.bits.put_uvarint(delta);
                self.value(value);
            }
            (_, 0) => self.regular(value),
            _ => {
                self.dod(dod);
                self.value(value);
            }
        }
        if !is_stale_nan(value) {
            self.base_bits = value.to_bits();
        }
        self.timestamp = timestamp;
        self.delta = if index == 0 { 0 } else { delta };
    }

    fn dod(&mut self, dod: i64) {
        let size = DOD_BITS.into_iter().position(|size| (dod << (64 - size)) >> (64 - size) == dod);
        let ones = size.map_or(4, |place| place as u32 + 2);
        self.bits.put((1 << (ones + 1)) - 2, ones + 1);
        self.bits.put(dod as u64, DOD_BITS[ones as usize - 2]);
    }

    /// A sample at the same distance as the one before.
    fn regular(&mut self, value: f64) {
        let difference = value.to_bits() ^ self.base_bits;
        if is_stale_nan(value) {
            self.bits.put(0b11111, STALE_ONES);
        } else if difference == 0 {
            self.bits.put(0, 1);
        } else if self.window.fits(difference) {
            self.bits.put(0b100, 3);
            self.window.put_inside(&mut self.bits, difference);
        } else {
            self.bits.put(0b101, 3);
            self.window.put_new(&mut self.bits, difference);
        }
    }

    /// A value after its control.
    fn value(&mut self, value: f64) {
        let difference = value.to_bits() ^ self.base_bits;
        if is_stale_nan(value) {
            self.bits.put(0b111, 3);
        } else if difference == 0 {
            self.bits.put(0, 1);
        } else if self.window.fits(difference) {
            self.bits.put(0b10, 2);
            self.window.put_inside(&mut self.bits, difference);
        } else {
            self.bits.put(0b110, 3);
            self.window.put_new(&mut self.bits, difference);
        }
    }
}
