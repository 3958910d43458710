//! Floats as text, digit for digit as Go's `strconv.FormatFloat` with the shortest precision writes them,
//! because clients compare and cache what they read.

use std::fmt::Write;

/// Appends the value as the HTTP API writes it: plain decimals for `1e-6 <= |v| < 1e21`, else an exponent of
/// at least two digits (`1e-07`, `1e+21`); `NaN`, `+Inf`, `-Inf`; `-0` for the negative zero.
pub fn push_api(out: &mut String, value: f64) {
    push_with(out, value, |exponent| (-6..21).contains(&exponent));
}

/// The value as [`push_api`] writes it.
pub fn api(value: f64) -> String {
    let mut out = String::with_capacity(24);
    push_api(&mut out, value);
    out
}

/// Appends the value as Go's verbs `%v` and `%g` do (format `g`, shortest): plain decimals for
/// `1e-4 <= |v| < 1e6`, else an exponent.
pub fn push_general(out: &mut String, value: f64) {
    push_with(out, value, |exponent| (-4..6).contains(&exponent));
}

/// The value as [`push_general`] writes it.
pub fn general(value: f64) -> String {
    let mut out = String::with_capacity(24);
    push_general(&mut out, value);
    out
}

/// Appends the value in plain decimals however long that is (Go's format `f`, shortest).
pub fn push_plain(out: &mut String, value: f64) {
    push_with(out, value, |_| true);
}

/// The value as [`push_plain`] writes it.
pub fn plain(value: f64) -> String {
    let mut out = String::with_capacity(24);
    push_plain(&mut out, value);
    out
}

/// The value always with an exponent (Go's format `e`, shortest): `1e+00`, `NaN`.
pub fn exponent(value: f64) -> String {
    let mut out = String::with_capacity(24);
    push_with(&mut out, value, |_| false);
    out
}

/// Integers up to here are exact, and their digits are those of the float.
const EXACT_INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// `plain_for` says, given the decimal exponent of the first digit, whether to write plain decimals.
fn push_with(out: &mut String, value: f64, plain_for: impl Fn(i32) -> bool) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
        return;
    }
    if value == 0.0 {
        out.push_str(match (value.is_sign_negative(), plain_for(0)) {
            (false, true) => "0",
            (true, true) => "-0",
            (false, false) => "0e+00",
            (true, false) => "-0e+00",
        });
        return;
    }
    if value.abs() < EXACT_INTEGER_MAX && value.trunc() == value && plain_for(0) && plain_for(15) {
        let _ = write!(out, "{}", value as i64);
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = Shortest::of(buffer.format_finite(value.abs()));
    if value < 0.0 {
        out.push('-');
    }
    if plain_for(shortest.exponent) { shortest.push_plain(out) } else { shortest.push_exponent(out) }
}

/// The shortest digits that read back as the same float: `0.d1d2d3… × 10^(exponent + 1)`.
struct Shortest {
    digits: [u8; 17],
    len: usize,
    /// Decimal exponent of the first digit.
    exponent: i32,
}

impl Shortest {
    /// Takes apart what zmij prints: `123.45`, `1e21`, `1.5e-7`, `0.001`.
    fn of(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut shortest = Shortest { digits: [0; 17], len: 0, exponent: 0 };
        let mut leading_zeros = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if shortest.len == 0 && digit == b'0' {
                leading_zeros += 1;
            } else if shortest.len < shortest.digits.len() {
                shortest.digits[shortest.len] = digit;
                shortest.len += 1;
            }
        }
        while shortest.len > 1 && shortest.digits[shortest.len - 1] == b'0' {
            shortest.len -= 1;
        }
        shortest.exponent = exponent + whole.len() as i32 - 1 - leading_zeros;
        shortest
    }

    fn digits(&self) -> impl Iterator<Item = char> {
        self.digits[..self.len].iter().map(|d| char::from(*d))
    }

    fn push_plain(&self, out: &mut String) {
        if self.exponent < 0 {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', self.exponent.unsigned_abs() as usize - 1));
            out.extend(self.digits());
            return;
        }
        let whole_digits = self.exponent as usize + 1;
        out.extend(self.digits().take(whole_digits));
        if self.len <= whole_digits {
            out.extend(std::iter::repeat_n('0', whole_digits - self.len));
        } else {
            out.push('.');
            out.extend(self.digits().skip(whole_digits));
        }
    }

    fn push_exponent(&self, out: &mut String) {
        out.extend(self.digits().take(1));
        if self.len > 1 {
            out.push('.');
            out.extend(self.digits().skip(1));
        }
        let sign = if self.exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", self.exponent.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, in_api, in_general, in_exponent) in [
            (0.0, "0", "0", "0e+00"),
            (-0.0, "-0", "-0", "-0e+00"),
            (1.0, "1", "1", "1e+00"),
            (-12.5, "-12.5", "-12.5", "-1.25e+01"),
            (0.1, "0.1", "0.1", "1e-01"),
            (100.0, "100", "100", "1e+02"),
            (123456.0, "123456", "123456", "1.23456e+05"),
            (1e15, "1000000000000000", "1e+15", "1e+15"),
            (123456789012345680.0, "123456789012345680", "1.2345678901234568e+17", "1.2345678901234568e+17"),
            (1e20, "100000000000000000000", "1e+20", "1e+20"),
            (1e21, "1e+21", "1e+21", "1e+21"),
            (0.00001, "0.00001", "1e-05", "1e-05"),
            (0.000001, "0.000001", "1e-06", "1e-06"),
            (1.5e-7, "1.5e-07", "1.5e-07", "1.5e-07"),
            (1e-9, "1e-09", "1e-09", "1e-09"),
            (f64::MAX, "1.7976931348623157e+308", "1.7976931348623157e+308", "1.7976931348623157e+308"),
            (5e-324, "5e-324", "5e-324", "5e-324"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ] {
            assert_eq!(api(value), in_api);
            assert_eq!(general(value), in_general);
            assert_eq!(exponent(value), in_exponent);
        }
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(1.5e-7), "0.00000015");
    }

    proptest! {
        #[test]
        fn every_form_reads_back_as_the_same_float(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [api(value), general(value), plain(value), exponent(value)] {
                prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
            }
        }
    }
}
