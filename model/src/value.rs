//! Sample values that mean something else than a number.

/// Bits of the staleness marker: a signalling NaN that no arithmetic yields.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// Bits of the NaN that every other NaN is turned into when it comes in.
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;
/// The staleness marker: "this series ended here".
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);
/// The NaN of a scraped or computed "not a number".
pub const NORMAL_NAN: f64 = f64::from_bits(NORMAL_NAN_BITS);

/// Whether the value is the staleness marker; other NaNs are values.
#[inline]
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}
