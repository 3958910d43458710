//! Integers of few or many bits.
//!
//! ```text
//! ones before the number   0, of 1 to 7 then a zero, or 8     0  1  2  3   4   5   6   7   8
//! bits of the number                                          0  3  6  9  12  18  25  56  64
//! ```
//!
//! No ones, one zero bit, is the number 0. Signed numbers of `n` bits reach from `-2^(n-1) + 1` to `2^(n-1)`,
//! not as two's complement does. Source: tsdb/chunkenc/varbit.go of Prometheus 3.14.

use super::bits::{BitReader, PutBits};

/// Bits of the number after so many ones.
const SIZES: [u32; 9] = [0, 3, 6, 9, 12, 18, 25, 56, 64];
/// The most ones: then no zero follows.
const ONES_MAX: u32 = 8;

/// Writes a signed number.
pub(super) fn put_int(bits: &mut impl PutBits, number: i64) {
    let fits = |size: u32| match size {
        0 => number == 0,
        64 => true,
        _ => -(1 << (size - 1)) < number && number <= 1 << (size - 1),
    };
    put(bits, number as u64, fits);
}

/// Writes an unsigned number.
pub(super) fn put_uint(bits: &mut impl PutBits, number: u64) {
    put(bits, number, |size| 64 - number.leading_zeros() <= size);
}

fn put(bits: &mut impl PutBits, number: u64, fits: impl Fn(u32) -> bool) {
    let ones = SIZES.iter().position(|size| fits(*size)).map_or(ONES_MAX, |ones| ones as u32);
    if ones == ONES_MAX {
        bits.put(0xff, ONES_MAX);
    } else {
        bits.put((1 << (ones + 1)) - 2, ones + 1);
    }
    if ones > 0 {
        bits.put(number, SIZES[ones as usize]);
    }
}

/// Reads a signed number.
pub(super) fn read_int(bits: &mut BitReader<'_>) -> i64 {
    let (number, size) = read(bits);
    if size > 0 && size < 64 && number > 1 << (size - 1) {
        (number as i64).wrapping_sub(1 << size)
    } else {
        number as i64
    }
}

/// Reads an unsigned number.
pub(super) fn read_uint(bits: &mut BitReader<'_>) -> u64 {
    read(bits).0
}

/// The number as it is written, and in how many bits.
fn read(bits: &mut BitReader<'_>) -> (u64, u32) {
    let ones = (!bits.peek()).leading_zeros().min(ONES_MAX);
    bits.skip((ones + 1).min(ONES_MAX));
    let size = SIZES[ones as usize];
    if size == 0 { (0, 0) } else { (bits.bits(size), size) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bits::BitVec;
    use super::*;

    fn size(write: impl Fn(&mut BitVec)) -> usize {
        let mut bits = BitVec::default();
        write(&mut bits);
        bits.position()
    }

    #[test]
    fn sizes_end_where_the_format_says() {
        for (number, bits) in [
            (0, 1),
            (-3, 5),
            (4, 5),
            (-4, 9),
            (5, 9),
            (32, 9),
            (33, 13),
            (-255, 13),
            (257, 17),
            (2048, 17),
            (2049, 24),
            (131_073, 32),
            (-16_777_216, 64),
            (1 << 55, 64),
            ((1 << 55) + 1, 72),
            (i64::MIN, 72),
        ] {
            assert_eq!(size(|out| put_int(out, number)), bits, "{number}");
        }
        for (number, bits) in [(0, 1), (7, 5), (8, 9), (63, 9), (64, 13), (4096, 24), (1 << 56, 72)] {
            assert_eq!(size(|out| put_uint(out, number)), bits, "{number}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_written(bits: u64, shift in 0..64_u32) {
            let number = bits >> shift;
            let signed = (bits as i64) >> shift;
            let mut out = BitVec::default();
            put_uint(&mut out, number);
            put_int(&mut out, signed);
            let mut read = BitReader::new(out.bytes(), 0);
            prop_assert_eq!((read_uint(&mut read), read_int(&mut read)), (number, signed));
            prop_assert_eq!(read.position(), out.position());
        }
    }
}
