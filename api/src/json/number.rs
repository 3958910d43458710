//! Numbers in JSON, digit for digit as the reference writes them.

use model::time::TimestampMs;

/// Floats below this that are whole are written as integers: all of them are exact.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Appends a sample's value, without quotes, as [`model::float_text::push_api`] writes it, with a shorter way
/// for what nearly all samples are: whole numbers, and fractions whose shortest digits need no exponent.
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    if whole as f64 == value && value.abs() < WHOLE_MAX && (whole != 0 || value.is_sign_positive()) {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        return;
    }
    // Within these bounds zmij writes plain decimals, as Go does.
    if (1e-5..1e16).contains(&value.abs()) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
        return;
    }
    out.extend_from_slice(model::float_text::api(value).as_bytes());
}

/// Appends a float that is a JSON number in the reference: the same digits, but exponents of one digit are
/// written as one (`1e-7`). Infinities and NaN, which JSON has not, become 0.
pub(super) fn push_json_number(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.push(b'0');
        return;
    }
    let text = model::float_text::api(value);
    match text.split_once("e-0") {
        Some((digits, exponent)) => {
            out.extend_from_slice(digits.as_bytes());
            out.extend_from_slice(b"e-");
            out.extend_from_slice(exponent.as_bytes());
        }
        None => out.extend_from_slice(text.as_bytes()),
    }
}

/// Appends seconds, with exactly three decimals if there are milliseconds.
pub(super) fn push_timestamp(out: &mut Vec<u8>, timestamp_ms: TimestampMs) {
    if timestamp_ms < 0 {
        out.push(b'-');
    }
    let millis = timestamp_ms.unsigned_abs();
    out.extend_from_slice(itoa::Buffer::new().format(millis / 1000).as_bytes());
    let fraction = (millis % 1000) as u16;
    if fraction > 0 {
        let digit = |value: u16| b'0' + (value % 10) as u8;
        out.extend_from_slice(&[b'.', digit(fraction / 100), digit(fraction / 10), digit(fraction)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        for (millis, text) in [
            (0, "0"),
            (1, "0.001"),
            (-1, "-0.001"),
            (1_435_781_451_781, "1435781451.781"),
            (1_435_781_451_000, "1435781451"),
            (-1_500, "-1.500"),
            (i64::MAX, "9223372036854775.807"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(written(|out| push_timestamp(out, millis)), text);
        }
    }

    #[test]
    fn json_numbers_have_short_exponents() {
        for (value, text) in [(0.0, "0"), (0.25, "0.25"), (1e-7, "1e-7"), (1e-10, "1e-10"), (f64::NAN, "0")] {
            assert_eq!(written(|out| push_json_number(out, value)), text);
        }
    }

    proptest! {
        #[test]
        fn the_short_ways_write_what_the_long_one_does(
            bits in any::<u64>(), small in -1e6..1e6f64, whole in any::<i64>(), tiny in -1e-4..1e-4f64,
        ) {
            for value in [f64::from_bits(bits), small, small.round(), whole as f64, tiny, -0.0, 1e-5, 1e16, 1e15] {
                prop_assert_eq!(written(|out| push_float(out, value)), model::float_text::api(value));
            }
        }
    }
}
