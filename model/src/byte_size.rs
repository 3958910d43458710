//! Sizes in bytes as configuration files and flags write them: `512MB`, `1.5GiB`, `0`.
//!
//! Units are powers of 1024 whether they are written `KB` or `KiB`; a unit is required but for `0`. The
//! source is `units.Base2Bytes` of alecthomas/units, which the reference uses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units from the largest to the smallest.
const UNITS: [(&str, u64); 7] = [
    ("EiB", 1 << 60),
    ("PiB", 1 << 50),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Not of the form above.
    #[error("units: invalid {0}")]
    Syntax(String),
    /// A number without a unit.
    #[error("units: missing unit in {0}")]
    MissingUnit(String),
    /// A unit that isn't listed above.
    #[error("units: unknown unit {unit} in {text}")]
    UnknownUnit {
        /// The unit.
        unit: String,
        /// All of the text.
        text: String,
    },
    /// More than 63 bits.
    #[error("units: {0} is too large")]
    Range(String),
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Whether the size is zero, which mostly means "no limit".
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        if text == "0" {
            return Ok(ByteSize(0));
        }
        let mut rest = text;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return Err(ByteSizeError::Syntax(text.to_owned()));
        }
        while !rest.is_empty() {
            let number_len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            let (number, tail) = rest.split_at(number_len);
            let unit_len = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(unit_len);
            total = part(number, unit, text)?
                .checked_add(total)
                .filter(|t| *t <= i64::MAX as u64)
                .ok_or_else(|| ByteSizeError::Range(text.to_owned()))?;
            rest = tail;
        }
        Ok(ByteSize(total))
    }
}

/// One number with its unit, in bytes; `text` is for the error.
fn part(number: &str, unit: &str, text: &str) -> Result<u64, ByteSizeError> {
    let value: f64 = number.parse().map_err(|_| ByteSizeError::Syntax(text.to_owned()))?;
    if unit.is_empty() {
        return Err(ByteSizeError::MissingUnit(text.to_owned()));
    }
    let upper = unit.to_ascii_uppercase().replace("IB", "B");
    let (_, size) = UNITS
        .iter()
        .find(|(name, _)| name.to_ascii_uppercase().replace("IB", "B") == upper)
        .ok_or_else(|| ByteSizeError::UnknownUnit { unit: unit.to_owned(), text: text.to_owned() })?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(*size).ok_or_else(|| ByteSizeError::Range(text.to_owned()));
    }
    Ok((value * *size as f64) as u64)
}

impl fmt::Display for ByteSize {
    /// The exact size, a part for each unit: `1MiB512KiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        let mut rest = self.0;
        for (unit, size) in UNITS {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_in_powers_of_1024() {
        for (text, bytes, written) in [
            ("0", 0, "0B"),
            ("100B", 100, "100B"),
            ("10MB", 10 << 20, "10MiB"),
            ("10MiB", 10 << 20, "10MiB"),
            ("1.5KB", 1536, "1KiB512B"),
            ("1GB512MB", (1 << 30) + (512 << 20), "1GiB512MiB"),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), written);
        }
        for text in ["", "10", "MB", "10XB", "-1MB", "99EB", "1 MB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
