//! Reading XOR chunks.
//!
//! One look at the next 57 bits decides most samples. A sample that comes at the same distance as the one
//! before and with the same value is two zero bits, and those are the most: `2k` leading zeros are `k` such
//! samples, which a [`Sink`] takes as one run. Reading goes on past the end as if there were zeros; each turn
//! of the loop finds out about that, so that no single read has to.

use super::super::ChunkError;
use super::super::bits::{BitReader, PEEK_BITS};
use super::super::columns::{self, Nowhere, Sink};
use super::super::window::Window;
use super::{AppendState, DOD_BITS, HEADER_BYTES};

/// Fewest bits of a sample, but for the first two.
const SAMPLE_BITS_MIN: usize = 2;

/// Appends the samples in `[mint, maxt]`, both inclusive, to the columns. Reading ends with the first sample
/// after `maxt`; what follows isn't looked at. After an error the columns are as before.
pub fn decode_into(
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    let decoder = Decoder::new(bytes)?;
    let samples = usize::from(decoder.samples);
    columns::fill(timestamps, values, samples, mint, maxt, |columns| {
        decoder.run(columns).map(|(_, columns)| columns)
    })
}

/// The last sample; `None` if there is none.
pub fn last_sample(bytes: &[u8]) -> Result<Option<(i64, f64)>, ChunkError> {
    let state = resume(bytes)?;
    Ok((state.samples > 0).then(|| (state.last_timestamp(), state.last_value())))
}

/// See [`AppendState::resume`].
pub(super) fn resume(bytes: &[u8]) -> Result<AppendState, ChunkError> {
    let (decoder, _) = Decoder::new(bytes)?.run(Nowhere)?;
    Ok(AppendState {
        timestamp: decoder.timestamp,
        delta: decoder.delta,
        value_bits: decoder.value_bits,
        bit_len: decoder.bits.position() as u32,
        samples: decoder.samples,
        window: decoder.window,
    })
}

struct Decoder<'a> {
    bits: BitReader<'a>,
    samples: u16,
    timestamp: i64,
    delta: u64,
    value_bits: u64,
    window: Window,
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, ChunkError> {
        let header = bytes.first_chunk().ok_or(ChunkError::Truncated)?;
        let samples = u16::from_be_bytes(*header);
        let bits = BitReader::new(bytes, HEADER_BYTES);
        if usize::from(samples) > 2 + bits.left() / SAMPLE_BITS_MIN {
            return Err(ChunkError::Truncated);
        }
        Ok(Decoder { bits, samples, timestamp: 0, delta: 0, value_bits: 0, window: Window::unset() })
    }

    /// Reads until the sink has enough or there are no more samples. Decoder and sink go in and out by value:
    /// that way they live in registers meanwhile.
    #[inline(always)]
    fn run<S: Sink>(mut self, mut sink: S) -> Result<(Self, S), ChunkError> {
        if self.samples == 0 {
            return Ok((self, sink));
        }
        self.timestamp = self.bits.varint()?;
        self.value_bits = self.bits.bits(64);
        self.bits.check()?;
        if !sink.one(self.timestamp, f64::from_bits(self.value_bits)) || self.samples == 1 {
            return Ok((self, sink));
        }
        self.delta = self.bits.uvarint()?;
        self.timestamp = self.timestamp.wrapping_add(self.delta as i64);
        self.value_bits ^= self.window.read(&mut self.bits)?;
        self.bits.check()?;
        if !sink.one(self.timestamp, f64::from_bits(self.value_bits)) {
            return Ok((self, sink));
        }
        self.rest(sink)
    }

    /// Reads from the third sample on.
    #[inline(always)]
    fn rest<S: Sink>(mut self, mut sink: S) -> Result<(Self, S), ChunkError> {
        let mut left = usize::from(self.samples) - 2;
        while left > 0 {
            let ahead = self.bits.peek();
            let zeros = ahead.leading_zeros().min(PEEK_BITS);
            if zeros < 2 {
                self.sample(ahead)?;
                self.bits.check()?;
                left -= 1;
                if !sink.one(self.timestamp, f64::from_bits(self.value_bits)) {
                    break;
                }
                continue;
            }
            let count = (zeros as usize / 2).min(left);
            self.bits.skip(2 * count as u32);
            self.bits.check()?;
            let (from, delta) = (self.timestamp, self.delta as i64);
            self.timestamp = from.wrapping_add(delta.wrapping_mul(count as i64));
            left -= count;
            if !sink.run(from, delta, count, f64::from_bits(self.value_bits)) {
                break;
            }
        }
        Ok((self, sink))
    }

    /// Reads one sample that isn't like the one before it from `ahead`, what the reader has next.
    #[inline(always)]
    fn sample(&mut self, ahead: u64) -> Result<(), ChunkError> {
        let mut dod_bits = 1;
        if ahead >> 63 == 1 {
            let ones = (!ahead).leading_zeros();
            let Some(size) = DOD_BITS.get(ones as usize - 1) else {
                return self.sample_far_off();
            };
            dod_bits = ones + 1 + size;
            let raw = (ahead << (ones + 1) >> (64 - size)) as i64;
            // The range is -(half - 1) ..= half: not two's complement.
            let dod = if raw > 1 << (size - 1) { raw - (1 << size) } else { raw };
            self.delta = self.delta.wrapping_add(dod as u64);
        }
        self.timestamp = self.timestamp.wrapping_add(self.delta as i64);
        self.value_bits ^= self.window.read_at(&mut self.bits, ahead << dod_bits, dod_bits)?;
        Ok(())
    }

    /// Reads a sample whose difference of differences has all 64 bits. Rare, but inlined: a call would have
    /// the decoder live in memory.
    #[inline(always)]
    fn sample_far_off(&mut self) -> Result<(), ChunkError> {
        self.bits.skip(4);
        self.delta = self.delta.wrapping_add(self.bits.bits(64));
        self.timestamp = self.timestamp.wrapping_add(self.delta as i64);
        self.value_bits ^= self.window.read(&mut self.bits)?;
        Ok(())
    }
}
