//! The protobuf wire format, as far as expositions use it.
//!
//! ```text
//! field = key varint (number << 3 | type), then by type
//!   0 varint   │ 1 eight bytes, little-endian │ 2 length varint, bytes │ 5 four bytes, little-endian
//! ```

use super::ParseError;

/// The most bytes of a varint: ten times seven bits.
const VARINT_BYTES_MAX: usize = 10;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Fields of a message, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The next field's number and value.
    pub(super) fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>, ParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(take_array(&mut self.rest)?)),
            2 => Value::Bytes(delimited(&mut self.rest)?),
            5 => Value::Fixed32(u32::from_le_bytes(take_array(&mut self.rest)?)),
            other => return Err(ParseError::new(format!("proto: illegal wireType {other}"))),
        };
        Ok(Some((key >> 3, value)))
    }
}

impl<'a> Value<'a> {
    pub(super) fn message(self) -> Result<Fields<'a>, ParseError> {
        Ok(Fields::new(self.bytes()?))
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], ParseError> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_type()),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, ParseError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ParseError::new("proto: invalid UTF-8"))
    }

    pub(super) fn uint(self) -> Result<u64, ParseError> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(wrong_type()),
        }
    }

    /// A `sint32` or `sint64`.
    pub(super) fn zigzag(self) -> Result<i64, ParseError> {
        Ok(unzigzag(self.uint()?))
    }

    pub(super) fn double(self) -> Result<f64, ParseError> {
        match self {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(wrong_type()),
        }
    }

    /// Appends one `sint64`, or a packed list of them.
    pub(super) fn push_zigzags(self, out: &mut Vec<i64>) -> Result<(), ParseError> {
        match self {
            Value::Varint(value) => out.push(unzigzag(value)),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    out.push(unzigzag(varint(&mut packed)?));
                }
            }
            _ => return Err(wrong_type()),
        }
        Ok(())
    }

    /// Appends one `double`, or a packed list of them.
    pub(super) fn push_doubles(self, out: &mut Vec<f64>) -> Result<(), ParseError> {
        match self {
            Value::Fixed64(bits) => out.push(f64::from_bits(bits)),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    out.push(f64::from_bits(u64::from_le_bytes(take_array(&mut packed)?)));
                }
            }
            _ => return Err(wrong_type()),
        }
        Ok(())
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn wrong_type() -> ParseError {
    ParseError::new("proto: wrong wireType")
}

fn unexpected_end() -> ParseError {
    ParseError::new("unexpected EOF")
}

/// Reads a varint and moves past it.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, ParseError> {
    let mut value: u64 = 0;
    for (i, byte) in rest.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            *rest = &rest[i + 1..];
            return Ok(value);
        }
    }
    Err(if rest.len() < VARINT_BYTES_MAX {
        unexpected_end()
    } else {
        ParseError::new("proto: integer overflow")
    })
}

/// Reads bytes with their length before them and moves past them.
pub(super) fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ParseError> {
    let len = usize::try_from(varint(rest)?).map_err(|_| unexpected_end())?;
    let (bytes, after) = rest.split_at_checked(len).ok_or_else(unexpected_end)?;
    *rest = after;
    Ok(bytes)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ParseError> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or_else(unexpected_end)?;
    *rest = after;
    Ok(*bytes)
}
