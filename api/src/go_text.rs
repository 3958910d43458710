//! Texts as Go's standard library writes and reads them, where clients see or send them.

use jiff::Timestamp;
use model::time::TimestampMs;

/// What an absent time is in Go's JSON.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
const NANOS_PER_MILLI: i32 = 1_000_000;

/// Why a text is no number or truth value; Go's wording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NumError {
    Syntax,
    Range,
}

/// The text in double quotes with Go's escapes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let _ = model::labels::write_quoted(&mut out, text);
    out
}

/// Bytes that may be no UTF-8 in double quotes: `\xff` for a byte that isn't.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let valid = quoted(chunk.valid());
        out.push_str(&valid[1..valid.len() - 1]);
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

/// Reads a decimal integer as `strconv.Atoi` does; the error has its text.
pub(crate) fn atoi(text: &str) -> Result<i64, String> {
    integer(text).map_err(|error| num_error("Atoi", text, error))
}

/// Reads a decimal integer as `strconv.ParseInt` does; the error has its text.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    integer(text).map_err(|error| num_error("ParseInt", text, error))
}

/// Reads a truth value as `strconv.ParseBool` does; the error has its text.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(num_error("ParseBool", text, NumError::Syntax)),
    }
}

/// Reads a decimal float as `strconv.ParseFloat` does, single underscores between digits included.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return text.parse().ok();
    }
    let bytes = text.as_bytes();
    let digit_at = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let between_digits = |at: usize| digit_at(at.checked_sub(1)) && digit_at(Some(at + 1));
    let all_between = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || between_digits(at));
    if all_between { text.replace('_', "").parse().ok() } else { None }
}

fn integer(text: &str) -> Result<i64, NumError> {
    text.parse::<i64>().map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => NumError::Range,
        _ => NumError::Syntax,
    })
}

fn num_error(function: &str, text: &str, error: NumError) -> String {
    let what = match error {
        NumError::Syntax => "invalid syntax",
        NumError::Range => "value out of range",
    };
    format!("strconv.{function}: parsing {}: {what}", quoted(text))
}

/// A time as Go's JSON has it: RFC 3339 in UTC, the fraction as short as can be.
pub(crate) fn rfc3339(timestamp_ms: Option<TimestampMs>) -> String {
    timestamp_ms
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| ZERO_TIME.to_owned(), |time| time.to_string())
}

/// Reads an RFC 3339 time as Go does: nothing may be left out, `T` and `Z` are capitals. Rounded down to
/// milliseconds.
pub(crate) fn parse_rfc3339(text: &str) -> Option<TimestampMs> {
    let bytes = text.as_bytes();
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() > shape.len()
        && shape.iter().zip(bytes).all(|(s, b)| if *s == b'd' { b.is_ascii_digit() } else { s == b });
    let rest = text.get(shape.len()..).filter(|_| fits)?;
    let digits = match rest.as_bytes()[0] {
        b'.' | b',' => 1 + rest[1..].bytes().take_while(u8::is_ascii_digit).count(),
        _ => 0,
    };
    let zone = &rest[digits..];
    let offset_fits = zone.len() == 6
        && zone.bytes().enumerate().all(|(i, b)| match i {
            0 => b == b'+' || b == b'-',
            3 => b == b':',
            _ => b.is_ascii_digit(),
        });
    if digits == 1 || (zone != "Z" && !offset_fits) {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    let nanos = time.subsec_nanosecond();
    Some(time.as_second() * 1000 + i64::from(nanos.div_euclid(NANOS_PER_MILLI)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_refused_in_the_words_of_go() {
        assert_eq!(atoi("17"), Ok(17));
        assert_eq!(atoi("+3"), Ok(3));
        assert_eq!(atoi("x\""), Err(r#"strconv.Atoi: parsing "x\"": invalid syntax"#.into()));
        assert_eq!(atoi(""), Err(r#"strconv.Atoi: parsing "": invalid syntax"#.into()));
        assert_eq!(
            parse_int("99999999999999999999"),
            Err(r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#.into())
        );
        assert_eq!(parse_bool("T"), Ok(true));
        assert_eq!(parse_bool("yes"), Err(r#"strconv.ParseBool: parsing "yes": invalid syntax"#.into()));
        assert_eq!(quoted_bytes(b"a\xff\""), r#""a\xff\"""#);
    }

    #[test]
    fn floats_may_have_underscores_between_digits() {
        for (text, value) in [
            ("1_000", Some(1000.0)),
            ("1e3", Some(1000.0)),
            ("_1", None),
            ("1__0", None),
            ("1_", None),
            ("", None),
        ] {
            assert_eq!(parse_float(text), value, "{text}");
        }
    }

    #[test]
    fn times_are_read_and_written_as_go_does() {
        for (text, millis) in [
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51Z", Some(1_435_781_451_000)),
            ("2015-07-01T20:10:51.7819Z", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51+02:00", Some(1_435_774_251_000)),
            ("1969-12-31T23:59:59.5Z", Some(-500)),
            ("2015-07-01t20:10:51z", None),
            ("2015-07-01 20:10:51Z", None),
            ("2015-07-01T20:10:51", None),
            ("2015-07-01T20:10:51.Z", None),
            ("2015-07-01T20:10Z", None),
            ("2015-02-30T20:10:51Z", None),
            ("é", None),
        ] {
            assert_eq!(parse_rfc3339(text), millis, "{text}");
        }
        assert_eq!(rfc3339(Some(1_435_781_451_780)), "2015-07-01T20:10:51.78Z");
        assert_eq!(rfc3339(Some(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(None), "0001-01-01T00:00:00Z");
    }
}
