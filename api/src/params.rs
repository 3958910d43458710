//! Parameters of requests: forms as Go merges them, and the types that their values have.
//!
//! A form comes from the URL's query and, with a method that has a body, from an
//! `application/x-www-form-urlencoded` one. The body's values come first, and where one value is wanted the
//! first counts. What can't be decoded is left out, as in Go.

use model::duration;
use model::time::TimestampMs;

use crate::error::ApiError;
use crate::go_text;

/// The earliest time that a request may speak of, which is also how it may say "no bound": far from the ends
/// of `i64`, so that a lookback can be subtracted. The same as the reference's.
pub const MIN_TIME_MS: TimestampMs = (i64::MIN / 1000 + 62_135_596_801) * 1000;
/// The latest one.
pub const MAX_TIME_MS: TimestampMs = (i64::MAX / 1000 - 62_135_596_801) * 1000 + 999;
/// How clients may write [`MIN_TIME_MS`]; its year is beyond what RFC 3339 has.
const MIN_TIME_TEXT: &str = "-292273086-05-16T16:47:06Z";
/// How clients may write [`MAX_TIME_MS`].
const MAX_TIME_TEXT: &str = "292277025-08-18T07:12:54.999999999Z";

/// Decoded parameters in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Decodes `a=1&b=2`.
    pub fn parse(encoded: &[u8]) -> Form {
        let mut form = Form::default();
        form.append(encoded);
        form
    }

    /// Decodes more parameters, which come after those that are there.
    pub fn append(&mut self, encoded: &[u8]) {
        for pair in encoded.split(|byte| *byte == b'&') {
            // Go refuses semicolons, which once separated parameters.
            if pair.is_empty() || pair.contains(&b';') {
                continue;
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = halves.next().and_then(unescape);
            let value = unescape(halves.next().unwrap_or_default());
            if let (Some(name), Some(value)) = (name, value) {
                self.pairs.push((name, value));
            }
        }
    }

    /// The parameter's first value, `""` if it has none.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// Whether the parameter is there, be it empty.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// All values of the parameter.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The time that the parameter says, in milliseconds, or `None` if it is absent.
    pub fn time(&self, name: &'static str) -> Result<Option<TimestampMs>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_time(text)
                .map(Some)
                .map_err(|cause| ApiError::param(name, format!("invalid time value for '{name}': {cause}"))),
        }
    }

    /// The duration that the parameter says, in milliseconds, or `None` if it is absent.
    pub fn duration(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => parse_duration(text)
                .map(|nanos| Some(nanos_to_millis(nanos)))
                .map_err(|cause| ApiError::param(name, cause)),
        }
    }

    /// The parameter `limit`; 0 is no limit.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let text = self.get("limit");
        if text.is_empty() {
            return Ok(0);
        }
        let limit = go_text::atoi(text).map_err(|cause| ApiError::param("limit", cause))?;
        usize::try_from(limit).map_err(|_| ApiError::param("limit", "limit must be non-negative"))
    }

    /// `start` and `end`, each with its default.
    pub fn time_range(
        &self,
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<(TimestampMs, TimestampMs), ApiError> {
        Ok((self.time("start")?.unwrap_or(start), self.time("end")?.unwrap_or(end)))
    }
}

/// Undoes percent-encoding and `+`. `None` for a `%` without two hexadecimal digits; bytes that aren't UTF-8
/// become U+FFFD.
fn unescape(encoded: &[u8]) -> Option<String> {
    if !encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(String::from_utf8_lossy(encoded).into_owned());
    }
    let plus_undone: Vec<u8> = encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes = unescape_path(&plus_undone)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Undoes percent-encoding. `None` for a `%` without two hexadecimal digits.
pub(crate) fn unescape_path(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = &after[2..];
    }
    Some(bytes)
}

/// Reads a time: seconds since the epoch with a fraction, or RFC 3339. Milliseconds are rounded.
pub fn parse_time(text: &str) -> Result<TimestampMs, String> {
    if let Some(seconds) = go_text::parse_float(text) {
        // Go makes the least number of NaN. The casts saturate; both ends are cut to what a request may speak of.
        let seconds = if seconds.is_nan() { f64::NEG_INFINITY } else { seconds };
        let whole = seconds.trunc();
        let millis = ((seconds - whole) * 1000.0).round();
        let at = (whole as i64).saturating_mul(1000).saturating_add(millis as i64);
        return Ok(at.clamp(MIN_TIME_MS, MAX_TIME_MS));
    }
    match text {
        MIN_TIME_TEXT => Ok(MIN_TIME_MS),
        MAX_TIME_TEXT => Ok(MAX_TIME_MS),
        _ => go_text::parse_rfc3339(text)
            .ok_or_else(|| format!("cannot parse {} to a valid timestamp", go_text::quoted(text))),
    }
}

/// Reads a duration, seconds with a fraction or `1h30m`, to nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    /// What Go's durations count.
    const NANOS_PER_SECOND: f64 = 1e9;
    let refused = |why: &str| format!("cannot parse {} to a valid duration{why}", go_text::quoted(text));
    if let Some(seconds) = go_text::parse_float(text) {
        let nanos = seconds * NANOS_PER_SECOND;
        if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
            return Err(refused(". It overflows int64"));
        }
        return Ok(nanos as i64);
    }
    let millis = duration::parse_ms(text).map_err(|_| refused(""))?;
    Ok(millis * NANOS_PER_MILLI)
}

const NANOS_PER_MILLI: i64 = 1_000_000;

/// Nanoseconds to milliseconds, towards zero.
pub(crate) fn nanos_to_millis(nanos: i64) -> i64 {
    nanos / NANOS_PER_MILLI
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_decoded_as_go_does() {
        for (encoded, pairs) in [
            ("", vec![]),
            ("a=1&b=2&a=3", vec![("a", "1"), ("b", "2"), ("a", "3")]),
            ("a=b=c", vec![("a", "b=c")]),
            ("a&=b&&", vec![("a", ""), ("", "b")]),
            ("q=x%2By+z%20", vec![("q", "x+y z ")]),
            ("a=%zz&b=1&c=%4", vec![("b", "1")]),
            ("a=1;b=2&c=3", vec![("c", "3")]),
            ("match%5B%5D=%7B%7D", vec![("match[]", "{}")]),
            ("a=%ff", vec![("a", "\u{fffd}")]),
        ] {
            let form = Form::parse(encoded.as_bytes());
            let found: Vec<_> = form.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(found, pairs, "{encoded}");
        }
    }

    #[test]
    fn times_are_seconds_or_rfc3339() {
        for (text, millis) in [
            ("1435781451.781", 1_435_781_451_781),
            ("-1.0006", -1_001),
            ("1_000", 1_000_000),
            ("1.8e12", 1_800_000_000_000_000),
            ("2015-07-01T20:10:51.781Z", 1_435_781_451_781),
            ("1e300", MAX_TIME_MS),
            ("-Inf", MIN_TIME_MS),
            (MIN_TIME_TEXT, MIN_TIME_MS),
            (MAX_TIME_TEXT, MAX_TIME_MS),
            ("NaN", MIN_TIME_MS),
        ] {
            assert_eq!(parse_time(text), Ok(millis), "{text}");
        }
        assert_eq!(parse_time("a\"b"), Err(r#"cannot parse "a\"b" to a valid timestamp"#.to_owned()));
        assert_eq!(parse_time(""), Err(r#"cannot parse "" to a valid timestamp"#.to_owned()));
    }

    #[test]
    fn durations_are_seconds_or_in_units() {
        for (text, nanos) in [
            ("1.5", 1_500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("-1", -1_000_000_000),
            ("0.0001", 100_000),
        ] {
            assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        }
        assert_eq!(parse_duration("x"), Err(r#"cannot parse "x" to a valid duration"#.to_owned()));
        assert_eq!(
            parse_duration("1e30"),
            Err(r#"cannot parse "1e30" to a valid duration. It overflows int64"#.to_owned())
        );
    }

    #[test]
    fn limits_are_not_negative() {
        let limit = |text: &str| Form::parse(format!("limit={text}").as_bytes()).limit();
        assert_eq!(limit(""), Ok(0));
        assert_eq!(limit("7"), Ok(7));
        assert_eq!(
            limit("-1").unwrap_err().message,
            "invalid parameter \"limit\": limit must be non-negative"
        );
        assert_eq!(
            limit("x").unwrap_err().message,
            "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let form = Form::parse(&bytes);
            for (_, value) in &form.pairs {
                let _ = (parse_time(value), parse_duration(value));
            }
        }
    }
}
