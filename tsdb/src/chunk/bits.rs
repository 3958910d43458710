//! Bit streams, most significant bit first: what all chunk encodings are made of.
//!
//! The reader never fails: past the end it finds zeros, and the caller asks [`BitReader::overran`] once for
//! each sample, or before anything that the bits size. That keeps checks out of the inner loops.

use super::ChunkError;

/// How many bits of [`BitReader::peek`] are sure to be those of the stream.
pub(super) const PEEK_BITS: u32 = 57;

/// Reads bits from a position on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits from the start; may be past the end.
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader that begins after `skip` bytes.
    pub(super) fn new(bytes: &'a [u8], skip: usize) -> Self {
        BitReader { bytes, position: skip * 8 }
    }

    /// Whether more bits were read than there are.
    #[inline(always)]
    pub(super) fn overran(&self) -> bool {
        self.position > self.bytes.len() * 8
    }

    /// An error if more bits were read than there are.
    #[inline(always)]
    pub(super) fn check(&self) -> Result<(), ChunkError> {
        if self.overran() { Err(ChunkError::Truncated) } else { Ok(()) }
    }

    /// Position in bits from the start of the chunk.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// How many bits are left; 0 after an overrun.
    pub(super) fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.position)
    }

    /// The next [`PEEK_BITS`] bits at the top of a word; those below them are of no meaning.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.word(self.position / 8) << (self.position % 8)
    }

    /// Goes ahead.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.position += bits as usize;
    }

    /// The next `count` bits as a number; `count` in 1..=64.
    #[inline(always)]
    pub(super) fn bits(&mut self, count: u32) -> u64 {
        if count > PEEK_BITS {
            return self.long(count);
        }
        let top = self.peek();
        self.skip(count);
        top >> (64 - count)
    }

    /// As [`BitReader::bits`], best if they may be many.
    #[inline(always)]
    pub(super) fn long(&mut self, count: u32) -> u64 {
        let (byte, shift) = (self.position / 8, self.position % 8);
        let nine = self.bytes.get(byte..byte + 9).and_then(|nine| nine.first_chunk().zip(nine.last()));
        let (word, ninth) = match nine {
            Some((word, ninth)) => (u64::from_be_bytes(*word), *ninth),
            None => (last_word(self.bytes, byte), 0),
        };
        self.skip(count);
        (word << shift | u64::from(ninth) >> (8 - shift)) >> (64 - count)
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.bits(1) == 1
    }

    /// A zigzag LEB128 number, as Go's `binary.PutVarint` writes it.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A LEB128 number, as Go's `binary.PutUvarint` writes it.
    #[inline(always)]
    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                self.check()?;
                return Ok(value);
            }
        }
        Err(ChunkError::Corrupt("number of more than 64 bits"))
    }

    /// Eight bytes from an index on.
    #[inline(always)]
    fn word(&self, byte: usize) -> u64 {
        match self.bytes.get(byte..byte + 8).and_then(|word| word.first_chunk()) {
            Some(word) => u64::from_be_bytes(*word),
            None => last_word(self.bytes, byte),
        }
    }
}

/// Eight bytes from an index on, where at most eight are left; filled up with zeros. Takes no reader, so that
/// this rare case doesn't keep readers from living in registers.
#[cold]
#[inline(never)]
fn last_word(bytes: &[u8], byte: usize) -> u64 {
    let rest = bytes.get(byte..).unwrap_or_default();
    match bytes.last_chunk() {
        _ if rest.is_empty() => 0,
        Some(last) => u64::from_be_bytes(*last) << (64 - 8 * rest.len()),
        None => rest
            .iter()
            .zip((0..8).rev())
            .fold(0, |word, (byte, place)| word | u64::from(*byte) << (8 * place)),
    }
}

/// Takes bits at its end.
pub(super) trait PutBits {
    /// Appends the lowest `count` bits of `value`; `count` in 1..=64.
    fn put(&mut self, value: u64, count: u32);

    /// Appends a zigzag LEB128 number.
    fn put_varint(&mut self, value: i64) {
        self.put_uvarint((value << 1 ^ value >> 63) as u64);
    }

    /// Appends a LEB128 number.
    fn put_uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.put(value, 8);
    }
}

/// Writes bits into a buffer of enough bytes, from a position on. Only bits before the position mean
/// anything; those after it in the buffer may be overwritten.
#[derive(Debug)]
pub(super) struct BitSlice<'a> {
    bytes: &'a mut [u8],
    position: usize,
}

impl<'a> BitSlice<'a> {
    /// A writer whose next bit goes to `position`, in bits.
    #[inline]
    pub(super) fn new(bytes: &'a mut [u8], position: usize) -> Self {
        BitSlice { bytes, position }
    }

    /// Where the next bit goes, in bits.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.position
    }
}

impl PutBits for BitSlice<'_> {
    /// # Panics
    ///
    /// If the buffer is too short.
    #[inline(always)]
    fn put(&mut self, value: u64, count: u32) {
        let (byte, used) = (self.position / 8, self.position % 8);
        let value = value << (64 - count);
        let kept = if used == 0 { 0 } else { self.bytes[byte] & !(0xff >> used) };
        let word = (value >> used | u64::from(kept) << 56).to_be_bytes();
        self.position += count as usize;
        let needed = self.position.div_ceil(8) - byte;
        match self.bytes[byte..].first_chunk_mut() {
            Some(room) => *room = word,
            None => self.bytes[byte..byte + needed].copy_from_slice(&word[..needed]),
        }
        if needed > 8 {
            self.bytes[byte + 8] = (value << (8 - used) & 0xff) as u8;
        }
    }
}

/// Appends bits to a buffer that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct BitVec {
    bytes: Vec<u8>,
    position: usize,
}

impl BitVec {
    /// A stream that begins with a header of so many zero bytes.
    pub(super) fn with_header(len: usize) -> Self {
        BitVec { bytes: vec![0; len], position: len * 8 }
    }

    /// Goes on after `position` bits of the bytes.
    pub(super) fn resume(bytes: &[u8], position: usize) -> Self {
        let mut bytes = bytes.to_vec();
        bytes.truncate(position.div_ceil(8));
        BitVec { bytes, position }
    }

    /// Where the next bit goes, in bits.
    #[cfg(test)]
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// What was written; bits of the last byte that weren't are zero.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, to change a header.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The bytes alone.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl PutBits for BitVec {
    fn put(&mut self, value: u64, count: u32) {
        let end = self.position + count as usize;
        self.bytes.resize(end.div_ceil(8), 0);
        BitSlice::new(&mut self.bytes, self.position).put(value, count);
        self.position = end;
    }
}
