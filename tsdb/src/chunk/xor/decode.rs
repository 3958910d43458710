//! Reading XOR chunks.
//!
//! Timestamps and values are decoded apart. Nearly all samples come at the same distance as the one before, and
//! say so in one zero bit; a run of them is decoded as values alone ([`Values::run`]), and its times are filled
//! in as an arithmetic progression afterwards. So the inner loops hold little, and all of it in registers:
//!
//! ```text
//! bits of a regular sample   0 │ 0                  the same value: 2k zeros are k samples
//!                            0 │ 1 0 │ difference   in the window: (word << 3 >> leading) & mask
//!                            0 │ 1 1 │ sizes │ difference
//! ```
//!
//! A word of at least 57 bits is loaded at the position of each sample. The position may run past the end, where
//! zeros are read; that is found out about once, after a run.

use super::super::ChunkError;
use super::super::window::Window;
use super::{AppendState, HEADER_BYTES};

/// Fewest bits of a sample, but for the first two.
const SAMPLE_BITS_MIN: usize = 2;
/// The first sample: a byte of timestamp, and the value.
const FIRST_SAMPLE_BYTES_MIN: usize = 9;
/// So many bits of [`Values::word`] are sure to be those of the stream.
const WORD_BITS: u32 = 57;
/// Bits before the difference: that of the timestamp, then those of a value in the window.
const IN_WINDOW_BITS: u32 = 3;
/// Likewise of a value with a window of its own.
const NEW_WINDOW_BITS: u32 = 14;
/// So many samples are thought ahead to find those up to `maxt`.
const LOOK_AHEAD: usize = 64;

/// Appends the samples in `[mint, maxt]`, both inclusive, to the columns. Reading ends soon after the first
/// sample after `maxt`. After an error the columns are as before.
pub fn decode_into(
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    timestamps: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), ChunkError> {
    let before = timestamps.len();
    let result = Decoder::read(bytes, maxt, timestamps, values);
    let len = result.as_ref().map_or(0, |decoder| decoder.len);
    timestamps.truncate(before + len);
    values.truncate(before + len);
    let decoder = result?;
    if timestamps.get(before).is_some_and(|first| *first < mint || decoder.falls) {
        remove_before(mint, before, timestamps, values);
    }
    Ok(())
}

/// Removes the samples before `mint` among those from an index on.
fn remove_before(mint: i64, from: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) {
    let mut kept = from;
    for at in from..timestamps.len() {
        (timestamps[kept], values[kept]) = (timestamps[at], values[at]);
        kept += usize::from(timestamps[at] >= mint);
    }
    timestamps.truncate(kept);
    values.truncate(kept);
}

/// The last sample; `None` if there is none.
pub fn last_sample(bytes: &[u8]) -> Result<Option<(i64, f64)>, ChunkError> {
    let state = resume(bytes)?;
    Ok((state.samples > 0).then(|| (state.last_timestamp(), state.last_value())))
}

/// See [`AppendState::resume`].
pub(super) fn resume(bytes: &[u8]) -> Result<AppendState, ChunkError> {
    let decoder = Decoder::read(bytes, i64::MAX, &mut Vec::new(), &mut Vec::new())?;
    Ok(AppendState {
        timestamp: decoder.timestamp,
        delta: decoder.delta as u64,
        value_bits: decoder.values.value_bits,
        bit_len: decoder.values.position as u32,
        samples: decoder.len as u16,
        window: decoder.values.window(),
    })
}

/// The number of samples that a chunk says it has, which is no more than its bytes can hold.
fn sample_count(bytes: &[u8]) -> Result<usize, ChunkError> {
    let header = bytes.first_chunk().ok_or(ChunkError::Truncated)?;
    let samples = usize::from(u16::from_be_bytes(*header));
    let bits_after_first = (bytes.len() * 8).saturating_sub((HEADER_BYTES + FIRST_SAMPLE_BYTES_MIN) * 8);
    if samples > 2 + bits_after_first / SAMPLE_BITS_MIN || (samples > 0 && bytes.len() < 8) {
        return Err(ChunkError::Truncated);
    }
    Ok(samples)
}

/// A chunk that was read as far as it goes, or up to a time.
struct Decoder<'a> {
    values: Values<'a>,
    /// Of the last sample.
    timestamp: i64,
    delta: i64,
    /// Samples that were put into the columns.
    len: usize,
    /// Whether any timestamp is lower than the one before it, which no writer does.
    falls: bool,
}

impl<'a> Decoder<'a> {
    /// Reads the samples up to `maxt` into the columns, behind what they have. There is more after those
    /// samples then, and in case of an error as well.
    fn read(
        bytes: &'a [u8],
        maxt: i64,
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<Self, ChunkError> {
        let samples = sample_count(bytes)?;
        let decoder = Decoder { values: Values::new(bytes), timestamp: 0, delta: 0, len: 0, falls: false };
        if samples == 0 {
            return Ok(decoder);
        }
        let before = timestamps.len();
        timestamps.resize(before + samples, 0);
        values.resize(before + samples, 0.0);
        decoder.fill(maxt, &mut timestamps[before..], &mut values[before..])
    }

    /// Reads as many samples as the columns have room for, up to `maxt`. Takes the decoder and gives it back, so
    /// that it is in registers meanwhile.
    fn fill(mut self, maxt: i64, timestamps: &mut [i64], values: &mut [f64]) -> Result<Self, ChunkError> {
        let zigzag = self.values.uvarint()?;
        self.timestamp = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        self.values.value_bits = self.values.eight_bytes()?;
        if self.timestamp > maxt {
            return Ok(self);
        }
        timestamps[0] = self.timestamp;
        values[0] = f64::from_bits(self.values.value_bits);
        self.len = 1;
        if timestamps.len() == 1 {
            return Ok(self);
        }
        self.delta = self.values.uvarint()? as i64;
        // As after a difference of differences, whose last bit stands where that of a regular sample does.
        self.values.position -= 1;
        let (mut word, mut valid) = (self.values.word(), WORD_BITS);
        'samples: while self.one(word, valid, maxt, timestamps, values)? {
            word = self.values.word();
            while word >> 63 == 0 {
                if !self.regular(maxt, timestamps, values)? {
                    break 'samples;
                }
                word = self.values.word();
            }
            let dod;
            (dod, word, valid) = self.values.dod(word);
            self.delta = self.delta.wrapping_add(dod);
        }
        // What was read past the end ended the loop, or is among the samples: either way this tells.
        self.values.check()?;
        Ok(self)
    }

    /// Reads a sample whose difference of differences was read; whether there may be more up to `maxt`.
    #[inline(always)]
    fn one(
        &mut self,
        word: u64,
        valid: u32,
        maxt: i64,
        timestamps: &mut [i64],
        values: &mut [f64],
    ) -> Result<bool, ChunkError> {
        let timestamp = self.timestamp.wrapping_add(self.delta);
        self.falls |= timestamp < self.timestamp;
        self.timestamp = timestamp;
        self.values.value(word, valid)?;
        if timestamp > maxt {
            return Ok(false);
        }
        timestamps[self.len] = timestamp;
        values[self.len] = f64::from_bits(self.values.value_bits);
        self.len += 1;
        Ok(self.len < timestamps.len())
    }

    /// Reads regular samples; whether there may be more up to `maxt`.
    #[inline(always)]
    fn regular(&mut self, maxt: i64, timestamps: &mut [i64], values: &mut [f64]) -> Result<bool, ChunkError> {
        let mut room = timestamps.len() - self.len;
        let last = self.delta.checked_mul(room as i64).and_then(|span| self.timestamp.checked_add(span));
        if self.delta < 0 || last.is_none_or(|last| last > maxt) {
            room = self.count_up_to(maxt, room.min(LOOK_AHEAD));
        }
        let run;
        (self.values, run) = self.values.run(&mut values[self.len..self.len + room])?;
        for slot in &mut timestamps[self.len..self.len + run] {
            self.timestamp = self.timestamp.wrapping_add(self.delta);
            *slot = self.timestamp;
        }
        self.len += run;
        Ok(room > 0 && self.len < timestamps.len())
    }

    /// How many regular samples up to `maxt` may follow, of so many.
    #[cold]
    fn count_up_to(&mut self, maxt: i64, samples: usize) -> usize {
        let mut timestamp = self.timestamp;
        let within = |_: &usize| {
            let next = timestamp.wrapping_add(self.delta);
            self.falls |= next < timestamp;
            timestamp = next;
            timestamp <= maxt
        };
        (0..samples).take_while(within).count()
    }
}

/// The bits from a position on, and what is known of the value before.
#[derive(Clone, Copy)]
struct Values<'a> {
    bytes: &'a [u8],
    /// In bits from the start; may be past the end.
    position: usize,
    value_bits: u64,
    /// The bits of a value that the window has.
    mask: u64,
    /// Zeros before the window; 64 while none was set.
    leading: u32,
    /// Bits of the window.
    size: u32,
}

impl<'a> Values<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Values { bytes, position: HEADER_BYTES * 8, value_bits: 0, mask: u64::MAX, leading: 64, size: 64 }
    }

    fn window(&self) -> Window {
        if self.leading == 64 { Window::unset() } else { Window::of_sizes(self.leading, self.size) }
    }

    /// An error if more bits were read than there are.
    #[inline(always)]
    fn check(&self) -> Result<(), ChunkError> {
        if self.position > self.bytes.len() * 8 { Err(ChunkError::Truncated) } else { Ok(()) }
    }

    /// A LEB128 number at a whole byte.
    #[inline(always)]
    fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.position / 8).ok_or(ChunkError::Truncated)?;
            self.position += 8;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(ChunkError::Corrupt("number of more than 64 bits"))
    }

    /// Eight whole bytes.
    #[inline(always)]
    fn eight_bytes(&mut self) -> Result<u64, ChunkError> {
        let bytes = self.bytes.get(self.position / 8..).and_then(|rest| rest.first_chunk());
        self.position += 64;
        bytes.map(|bytes| u64::from_be_bytes(*bytes)).ok_or(ChunkError::Truncated)
    }

    /// The next [`WORD_BITS`] bits at the top; zeros below them, and past the end.
    #[inline(always)]
    fn word(&self) -> u64 {
        let at = self.position / 8;
        let word = match self.bytes.get(at..at + 8).and_then(|word| word.first_chunk()) {
            Some(word) => u64::from_be_bytes(*word),
            None => last_word(self.bytes, at),
        };
        word << (self.position % 8)
    }

    /// Reads a difference of differences but for its last bit; the word begins with a one. Returns it, and what
    /// [`Values::value`] takes.
    #[inline(always)]
    fn dod(&mut self, word: u64) -> (i64, u64, u32) {
        // Numbers of n bits are in -(half - 1) ..= half, where half is 2^(n-1): not two's complement.
        let number = |before: u32, size: u32| {
            let half = (1 << (size - 1)) - 1;
            (((word << before >> (64 - size)) as i64 + half) & ((1 << size) - 1)) - half
        };
        let (dod, bits) = if word >> 62 == 0b10 {
            (number(2, 14), 16)
        } else if word >> 61 == 0b110 {
            (number(3, 17), 20)
        } else if word >> 60 == 0b1110 {
            (number(4, 20), 24)
        } else {
            let dod = long(self.bytes, self.position + 4, 64);
            self.position += 67;
            return (dod as i64, self.word(), WORD_BITS);
        };
        self.position += bits as usize - 1;
        (dod, word << (bits - 1), WORD_BITS - (bits - 1))
    }

    /// Reads the value of a sample at the top of a word of so many valid bits, whose first one, that of the
    /// timestamp, is known.
    #[inline(always)]
    fn value(&mut self, word: u64, valid: u32) -> Result<(), ChunkError> {
        if word >> 62 & 1 == 0 {
            self.position += SAMPLE_BITS_MIN;
            return Ok(());
        }
        let mut before = IN_WINDOW_BITS;
        if word >> 61 & 1 == 1 {
            let sizes = (word >> (64 - NEW_WINDOW_BITS)) as u32;
            self.leading = sizes >> 6 & 31;
            self.size = (sizes.wrapping_sub(1) & 63) + 1;
            if self.leading + self.size > 64 {
                return Err(ChunkError::Corrupt("value of more than 64 bits"));
            }
            self.mask = u64::MAX << (64 - self.size) >> self.leading;
            before = NEW_WINDOW_BITS;
        }
        self.leading &= 63;
        self.position += before as usize;
        self.value_bits ^= if before + self.size <= valid {
            word << before >> self.leading & self.mask
        } else if self.size <= WORD_BITS {
            self.word() >> self.leading & self.mask
        } else {
            long(self.bytes, self.position, self.size) << self.mask.trailing_zeros()
        };
        self.position += self.size as usize;
        Ok(())
    }

    /// Reads the values of regular samples up to one that isn't, as many as there is room for; returns how
    /// many.
    #[inline(never)]
    fn run(self, mut out: &mut [f64]) -> Result<(Self, usize), ChunkError> {
        let mut values = self;
        let room = out.len();
        let mut word = values.word();
        let mut control = word >> (64 - IN_WINDOW_BITS);
        while !out.is_empty() {
            if control == 0b010 && values.size <= WORD_BITS - IN_WINDOW_BITS {
                let bits = (IN_WINDOW_BITS + values.size) as usize;
                let mut slots = out.iter_mut();
                for slot in &mut slots {
                    values.value_bits ^= word << IN_WINDOW_BITS >> values.leading & values.mask;
                    values.position += bits;
                    *slot = f64::from_bits(values.value_bits);
                    word = values.word();
                    control = word >> (64 - IN_WINDOW_BITS);
                    if control != 0b010 {
                        break;
                    }
                }
                out = slots.into_slice();
                continue;
            }
            if control >= 0b100 {
                break;
            }
            let mut same = 1;
            if control < 0b010 {
                same = values.zeros(word).min(out.len());
                values.position += same * SAMPLE_BITS_MIN;
            } else {
                values.value(word, WORD_BITS)?;
            }
            let (now, rest) = out.split_at_mut(same);
            now.fill(f64::from_bits(values.value_bits));
            out = rest;
            word = values.word();
            control = word >> (64 - IN_WINDOW_BITS);
        }
        Ok((values, room - out.len()))
    }

    /// How many samples the zeros from here on are, at least; `word` begins with those of one.
    #[inline(always)]
    fn zeros(&self, word: u64) -> usize {
        let zeros = word.leading_zeros() as usize;
        if zeros < WORD_BITS as usize {
            return zeros / SAMPLE_BITS_MIN;
        }
        // Whole words from the next byte on that is unknown.
        let from = (self.position + WORD_BITS as usize - 1) / 8;
        let rest = self.bytes.get(from..).unwrap_or_default();
        let words = rest.chunks_exact(8).take_while(|word| *word == [0; 8]).count();
        ((from + 8 * words) * 8 - self.position) / SAMPLE_BITS_MIN
    }
}

/// Eight bytes from an index on, where fewer are left; filled up with zeros. Takes no reader, so that this rare
/// case doesn't keep readers from living in registers.
#[cold]
#[inline(never)]
fn last_word(bytes: &[u8], at: usize) -> u64 {
    let left = bytes.len().saturating_sub(at) as u32;
    // There are eight bytes: the first sample has them.
    let last = bytes.last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
    if left == 0 { 0 } else { last << (64 - 8 * left) }
}

/// A number of 1 to 64 bits at any position; zeros are read past the end.
#[cold]
#[inline(never)]
fn long(bytes: &[u8], position: usize, size: u32) -> u64 {
    let nine = (0..9).map(|nth| bytes.get(position / 8 + nth).copied().unwrap_or(0));
    let bits = nine.fold(0, |bits: u128, byte| bits << 8 | u128::from(byte)) << (128 - 72);
    (bits << (position % 8) >> (128 - size)) as u64
}
