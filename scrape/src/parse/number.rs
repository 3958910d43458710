//! Values and timestamps.

use model::value::NORMAL_NAN;

use super::ParseError;
use super::quote::quoted;

/// A decimal integer of so many digits is exact as a float, whatever the digits.
const EXACT_DIGITS_MAX: usize = 15;

/// Reads a value at the beginning of `input` that ends at a blank or line end, and says how long it is. `None`
/// if it isn't plainly a number; then [`parse_float`] decides.
#[inline]
pub(super) fn plain_value(input: &[u8]) -> Option<(f64, usize)> {
    let mut integer: u64 = 0;
    let mut len = 0;
    while len <= EXACT_DIGITS_MAX {
        match input.get(len)? {
            digit @ b'0'..=b'9' => integer = integer * 10 + u64::from(digit - b'0'),
            byte if ends_token(*byte) && len > 0 => return Some((integer as f64, len)),
            _ => break,
        }
        len += 1;
    }
    let (value, len) = fast_float2::parse_partial::<f64, _>(input).ok()?;
    if !ends_token(*input.get(len)?) {
        return None;
    }
    if value.is_finite() {
        return Some((value, len));
    }
    let value = parse_float(&input[..len]).ok()?;
    Some((value, len))
}

#[inline]
fn ends_token(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n')
}

/// Reads a float as Go's `strconv.ParseFloat` does, without underscores and hexadecimals. Every NaN comes out
/// as the normal one.
pub(super) fn parse_float(text: &[u8]) -> Result<f64, ParseError> {
    if text.iter().any(|byte| matches!(byte, b'p' | b'P' | b'_')) {
        return Err(ParseError::new("unsupported character in float"));
    }
    let failed = |reason| ParseError::new(format!("strconv.ParseFloat: parsing {}: {reason}", quoted(text)));
    let value: f64 = fast_float2::parse(text).map_err(|_| failed("invalid syntax"))?;
    if value.is_nan() {
        // Go knows no sign of "not a number".
        return if matches!(text[0], b'+' | b'-') { Err(failed("invalid syntax")) } else { Ok(NORMAL_NAN) };
    }
    if value.is_infinite() && text.iter().any(u8::is_ascii_digit) {
        return Err(failed("value out of range"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_read_as_go_reads_them() {
        for (text, value) in [
            ("0", 0.0),
            ("-0", -0.0),
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("123456789012345", 123_456_789_012_345.0),
            ("12345678901234567890", 12_345_678_901_234_567_890.0),
            ("4.9e-324", 5e-324),
            ("1e-400", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("nan", NORMAL_NAN),
        ] {
            assert_eq!(parse_float(text.as_bytes()).unwrap().to_bits(), value.to_bits(), "{text}");
            let plain = plain_value(format!("{text}\n").as_bytes());
            assert_eq!(
                plain.map(|(v, len)| (v.to_bits(), len)),
                Some((value.to_bits(), text.len())),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_float_is_refused() {
        for text in
            ["", "x", "1x", "1_0", "0x1p4", "0x10", "1e400", "+nan", "-NaN", "1e", ".", "--1", "infin"]
        {
            assert!(parse_float(text.as_bytes()).is_err(), "{text}");
            assert_eq!(plain_value(format!("{text}\n").as_bytes()), None, "{text}");
        }
        assert_eq!(
            parse_float(b"1e400").unwrap_err().to_string(),
            r#"strconv.ParseFloat: parsing "1e400": value out of range"#
        );
    }
}
