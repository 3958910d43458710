//! Durations as Prometheus writes them: `1h30m`, `90s`, `5m`, `0`.
//!
//! Units in falling order, each at most once: `y` (365 d), `w` (7 d), `d`, `h`, `m`, `s`, `ms`. The source is
//! `model.ParseDuration` of prometheus/common.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units from the largest to the smallest, in milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration: what 64 bits of nanoseconds hold, about 292 years.
const MILLIS_MAX: i64 = i64::MAX / 1_000_000;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("empty duration string")]
    Empty,
    /// Not of the form above.
    #[error("not a valid duration string: {0:?}")]
    Syntax(String),
    /// Letters that are no unit.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands where a unit should.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than about 292 years.
    #[error("duration out of range")]
    Range,
}

/// Parses a duration to milliseconds, never negative.
pub fn parse_ms(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let syntax = || DurationError::Syntax(text.to_owned());
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if number.is_empty() || unit.is_empty() {
            return Err(syntax());
        }
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() });
        }
        let (_, millis) = units.by_ref().find(|(name, _)| *name == unit).ok_or_else(syntax)?;
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(*millis));
        total = part
            .and_then(|p| total.checked_add(p))
            .filter(|t| *t <= MILLIS_MAX)
            .ok_or(DurationError::Range)?;
        rest = tail;
    }
    Ok(total)
}

/// Writes a duration of whole milliseconds, the shortest way that [`parse_ms`] reads back; weeks and years
/// only where they are exact (`2w`, but `15d`), as the reference prints them.
pub fn format_ms(millis: i64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    let mut rest = millis.unsigned_abs();
    if millis < 0 {
        text.push('-');
    }
    for (unit, size) in UNITS {
        let size = size.unsigned_abs();
        let exact_only = matches!(unit, "y" | "w");
        if rest == 0 || rest < size || (exact_only && !rest.is_multiple_of(size)) {
            continue;
        }
        text.push_str(&format!("{}{unit}", rest / size));
        rest %= size;
    }
    text
}

/// A duration in a configuration file or a flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(pub Duration);

impl PromDuration {
    /// A duration of this many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        PromDuration(Duration::from_millis(millis))
    }

    /// A duration of this many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        PromDuration(Duration::from_secs(secs))
    }

    /// The duration in milliseconds.
    pub fn as_millis(self) -> i64 {
        self.0.as_millis() as i64
    }

    /// Whether the duration is zero.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for PromDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse_ms(text).map(|millis| PromDuration::from_millis(millis.unsigned_abs()))
    }
}

impl fmt::Display for PromDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_ms(self.as_millis()))
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_the_reference_does() {
        for (text, millis, written) in [
            ("0", 0, "0s"),
            ("0w", 0, "0s"),
            ("0s", 0, "0s"),
            ("324ms", 324, "324ms"),
            ("3s", 3_000, "3s"),
            ("5m", 300_000, "5m"),
            ("90m", 5_400_000, "1h30m"),
            ("4d", 345_600_000, "4d"),
            ("4d1h", 349_200_000, "4d1h"),
            ("14d", 1_209_600_000, "2w"),
            ("15d", 1_296_000_000, "15d"),
            ("3w2d1h", 1_990_800_000, "23d1h"),
            ("10y", 315_360_000_000, "10y"),
        ] {
            assert_eq!(parse_ms(text), Ok(millis), "{text}");
            assert_eq!(format_ms(millis), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        assert_eq!(parse_ms(""), Err(DurationError::Empty));
        for text in ["1", "1y1m1d", "-1w", "1.5d", "d", "5m5m", "1h ", "1x", "294y"] {
            let error = parse_ms(text).unwrap_err();
            let refused = matches!(error, DurationError::Syntax(_) | DurationError::UnknownUnit { .. });
            assert!(refused || text == "294y", "{text}: {error}");
        }
        let unknown = parse_ms("1.5d").unwrap_err().to_string();
        assert_eq!(unknown, r#"unknown unit "." in duration "1.5d""#);
        assert_eq!(parse_ms("294y"), Err(DurationError::Range));
    }
}
