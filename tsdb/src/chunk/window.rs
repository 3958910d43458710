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

/// `leading` of a window that wasn't set yet.
const UNSET: u8 = 0xff;
/// What 5 bits hold.
const LEADING_MAX: u32 = 31;

/// The bits of a float that the next difference may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    leading: u8,
    trailing: u8,
}

impl Window {
    /// A window that wasn't set yet.
    pub(super) const fn unset() -> Self {
        Window { leading: UNSET, trailing: 0 }
    }

    /// Number of bits in the window. An unset one has all 64: that is how the reference reads its own chunks
    /// that it went on with after a restart before the first difference.
    #[inline(always)]
    pub(super) fn significant(self) -> u32 {
        if self.leading == UNSET { 64 } else { 64 - u32::from(self.leading) - u32::from(self.trailing) }
    }

    /// Whether the difference, which isn't 0, fits.
    #[inline]
    pub(super) fn fits(self, difference: u64) -> bool {
        self.leading != UNSET
            && difference.leading_zeros().min(LEADING_MAX) >= u32::from(self.leading)
            && difference.trailing_zeros() >= u32::from(self.trailing)
    }

    /// Writes a difference.
    #[inline]
    pub(super) fn put(&mut self, bits: &mut impl PutBits, difference: u64) {
        if difference == 0 {
            bits.put(0, 1);
        } else if self.fits(difference) {
            bits.put(0b10, 2);
            self.put_inside(bits, difference);
        } else {
            bits.put(0b11, 2);
            self.put_new(bits, difference);
        }
    }

    /// Writes the bits of a difference that fits.
    #[inline]
    pub(super) fn put_inside(self, bits: &mut impl PutBits, difference: u64) {
        bits.put(difference >> self.trailing, self.significant());
    }

    /// Sets the window to just the difference, which isn't 0, and writes both.
    #[inline]
    pub(super) fn put_new(&mut self, bits: &mut impl PutBits, difference: u64) {
        let leading = difference.leading_zeros().min(LEADING_MAX);
        let trailing = difference.trailing_zeros();
        *self = Window { leading: leading as u8, trailing: trailing as u8 };
        let significant = self.significant();
        bits.put(u64::from(leading << 6 | significant & 63), 11);
        bits.put(difference >> trailing, significant);
    }

    /// Reads a difference.
    #[inline]
    pub(super) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        if !bits.bit() {
            Ok(0)
        } else if !bits.bit() {
            Ok(self.read_inside(bits))
        } else {
            self.read_new(bits)
        }
    }

    /// Reads the bits of a difference in the window as it is.
    #[inline(always)]
    pub(super) fn read_inside(&mut self, bits: &mut BitReader<'_>) -> u64 {
        if self.leading == UNSET {
            self.leading = 0;
        }
        bits.bits(self.significant()) << self.trailing
    }

    /// Reads a window and a difference in it.
    #[inline]
    pub(super) fn read_new(&mut self, bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
        let sizes = bits.bits(11) as u32;
        let leading = sizes >> 6;
        let significant = if sizes & 63 == 0 { 64 } else { sizes & 63 };
        if leading + significant > 64 {
            return Err(ChunkError::Corrupt("value of more than 64 bits"));
        }
        *self = Window { leading: leading as u8, trailing: (64 - leading - significant) as u8 };
        Ok(self.read_inside(bits))
    }
}
