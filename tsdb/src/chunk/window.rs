//! Floats as the difference to the one before: the bits of both XORed, and of that only the window between
//! its leading and trailing zeros, as Gorilla does (Pelkonen et al., 2015) and Prometheus after it.
//!
//! ```text
//! difference   bits
//! 0            0
//! fits window  1 0 <64 − leading − trailing bits of the difference, from above the trailing zeros>
//! else         1 1 <5: leading, at most 31> <6: significant bits, 64 as 0> <the significant bits>
//! ```
//!
//! The last form sets the window. Source: tsdb/chunkenc/xor.go of Prometheus 3.14.

use super::ChunkError;
use super::bits::{BitReader, PutBits};

/// `trailing` of a window that wasn't set yet. A shift by it is one by 0, so that reading needn't ask.
const UNSET: u8 = 64;
/// What 5 bits hold.
const LEADING_MAX: u32 = 31;
/// Bits of the sizes of a new window.
const SIZES_BITS: u32 = 11;

/// The bits of a float that the next difference may be written in. An unset one has all 64: that is how the
/// reference reads its own chunks that it went on with after a restart before the first difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Number of bits in the window.
    significant: u8,
    /// Number of bits below it.
    trailing: u8,
}

impl Window {
    /// A window that wasn't set yet.
    pub(super) const fn unset() -> Self {
        Window { significant: 64, trailing: UNSET }
    }

    /// A window of so many bits after so many zeros; both together are at most 64.
    #[inline]
    pub(super) const fn of_sizes(leading: u32, significant: u32) -> Self {
        Window { significant: significant as u8, trailing: (64 - leading - significant) as u8 }
    }

    #[inline(always)]
    fn significant(self) -> u32 {
        u32::from(self.significant)
    }

    #[inline(always)]
    fn trailing(self) -> u32 {
        u32::from(self.trailing)
    }

    /// Whether the difference, which isn't 0, fits.
    #[inline]
    pub(super) fn fits(self, difference: u64) -> bool {
        self.trailing != UNSET
            && difference.leading_zeros().min(LEADING_MAX) + self.significant() + self.trailing() >= 64
            && difference.trailing_zeros() >= self.trailing()
    }

    /// Writes so many zeros, then a difference.
    #[inline]
    pub(super) fn put(&mut self, bits: &mut impl PutBits, zeros: u32, difference: u64) {
        if difference == 0 {
            bits.put(0, zeros + 1);
        } else if self.fits(difference) {
            let size = self.significant();
            if zeros + 2 + size <= 64 {
                bits.put(0b10 << size | difference >> self.trailing(), zeros + 2 + size);
            } else {
                bits.put(0b10, zeros + 2);
                self.put_inside(bits, difference);
            }
        } else {
            bits.put(0b11, zeros + 2);
            self.put_new(bits, difference);
        }
    }

    /// Writes the bits of a difference that fits.
    #[inline]
    pub(super) fn put_inside(self, bits: &mut impl PutBits, difference: u64) {
        bits.put(difference >> self.trailing(), self.significant());
    }

    /// Sets the window to just the difference, which isn't 0, and writes both.
    #[inline]
    pub(super) fn put_new(&mut self, bits: &mut impl PutBits, difference: u64) {
        let leading = difference.leading_zeros().min(LEADING_MAX);
        let trailing = difference.trailing_zeros();
        let significant = 64 - leading - trailing;
        *self = Window::of_sizes(leading, significant);
        bits.put(u64::from(leading << 6 | significant & 63), SIZES_BITS);
        bits.put(difference >> trailing, significant);
    }

    /// Reads a difference.
    #[inline(always)]
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        match bits.peek() >> 62 {
            0b11 => {
                bits.skip(2);
                self.read_new(bits)
            }
            0b10 => {
                bits.skip(2);
                Ok(self.read_inside(bits))
            }
            _ => {
                bits.skip(1);
                Ok(0)
            }
        }
    }

    /// Reads the bits of a difference in the window as it is.
    #[inline(always)]
    pub(super) fn read_inside(&mut self, bits: &mut BitReader<'_>) -> u64 {
        let difference = bits.long(self.significant()).wrapping_shl(self.trailing());
        self.trailing &= UNSET - 1;
        difference
    }

    /// Reads a window and a difference in it.
    #[inline(always)]
    pub(super) fn read_new(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        let sizes = bits.bits(SIZES_BITS) as u32;
        self.set(sizes)?;
        Ok(self.read_inside(bits))
    }

    /// Sets the window to sizes as they are written.
    #[inline(always)]
    fn set(&mut self, sizes: u32) -> Result<(), ChunkError> {
        let leading = sizes >> 6;
        let significant = if sizes & 63 == 0 { 64 } else { sizes & 63 };
        if leading + significant > 64 {
            return Err(ChunkError::Corrupt("value of more than 64 bits"));
        }
        *self = Window::of_sizes(leading, significant);
        Ok(())
    }
}
