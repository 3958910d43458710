//! Protobuf, as far as reading messages without copying goes.
//!
//! ```text
//! message = (tag varint, value)*         tag = field number << 3 | wire type
//! value   = varint                       type 0
//!         | 8 bytes, little-endian       type 1
//!         | length varint, bytes         type 2
//!         | 4 bytes, little-endian       type 5
//! ```
//!
//! Source: "Encoding" in the protocol buffers documentation. Generated code would build a tree of strings and
//! vectors for every request; here fields are visited in place, and the labels of a known series are not even
//! looked at.

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends within a field.
    #[error("unexpected EOF")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("integer overflow")]
    Overflow,
    /// Groups, or a wire type that doesn't exist.
    #[error("illegal wireType {0}")]
    WireType(u8),
    /// A field has another type than it must have.
    #[error("wrong wireType for field {0}")]
    FieldType(u32),
    /// A text isn't UTF-8.
    #[error("invalid UTF-8 in string")]
    Utf8,
    /// A symbol reference beyond the table.
    #[error("labelRefs {0} (name) = {1} outside of symbols table (size {2})")]
    Symbol(usize, u32, usize),
    /// Label references come in pairs.
    #[error("invalid labelRefs length {0}")]
    LabelRefs(usize),
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of a message, in order: number and value.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a message.
    pub fn new(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field; `None` at the end of the message.
    #[inline]
    pub fn take_field(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = take_varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Overflow)?;
        let field = match tag & 7 {
            0 => Field::Varint(take_varint(&mut self.rest)?),
            1 => Field::Fixed64(u64::from_le_bytes(self.take()?)),
            2 => {
                let len = usize::try_from(take_varint(&mut self.rest)?).map_err(|_| WireError::Overflow)?;
                let (bytes, rest) = self.rest.split_at_checked(len).ok_or(WireError::Truncated)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take()?)),
            other => return Err(WireError::WireType(other as u8)),
        };
        Ok(Some((number, field)))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

/// Takes a varint from the front.
#[inline]
pub fn take_varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    if let Some((byte, tail)) = rest.split_first()
        && *byte < 0x80
    {
        *rest = tail;
        return Ok(u64::from(*byte));
    }
    /// Seven bits a byte.
    const VARINT_BYTES_MAX: usize = 10;
    let mut value = 0;
    for i in 0..VARINT_BYTES_MAX {
        let byte = *rest.get(i).ok_or(WireError::Truncated)?;
        if i == VARINT_BYTES_MAX - 1 && byte > 1 {
            return Err(WireError::Overflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return Ok(value);
        }
    }
    Err(WireError::Overflow)
}

impl<'a> Field<'a> {
    /// A nested message, bytes, or packed numbers. `number` is for the error; likewise below.
    #[inline]
    pub fn bytes(self, number: u32) -> Result<&'a [u8], WireError> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::FieldType(number)),
        }
    }

    /// A text.
    #[inline]
    pub fn text(self, number: u32) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| WireError::Utf8)
    }

    /// An unsigned number.
    #[inline]
    pub fn varint(self, number: u32) -> Result<u64, WireError> {
        match self {
            Field::Varint(value) => Ok(value),
            _ => Err(WireError::FieldType(number)),
        }
    }

    /// A number of type `int64`, whose negatives are ten bytes long.
    #[inline]
    pub fn int64(self, number: u32) -> Result<i64, WireError> {
        Ok(self.varint(number)?.cast_signed())
    }

    /// A number of type `sint32`.
    pub fn sint32(self, number: u32) -> Result<i32, WireError> {
        i32::try_from(unzigzag(self.varint(number)?)).map_err(|_| WireError::Overflow)
    }

    /// A number of type `fixed64`.
    #[inline]
    pub fn fixed64(self, number: u32) -> Result<u64, WireError> {
        match self {
            Field::Fixed64(value) => Ok(value),
            _ => Err(WireError::FieldType(number)),
        }
    }

    /// A float of 64 bits.
    #[inline]
    pub fn double(self, number: u32) -> Result<f64, WireError> {
        match self {
            Field::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(WireError::FieldType(number)),
        }
    }

    /// Adds the elements of a repeated `sint64`, packed or not.
    pub fn repeated_sint64(self, number: u32, out: &mut Vec<i64>) -> Result<(), WireError> {
        self.repeated_varint(number, &mut |value| out.push(unzigzag(value)))
    }

    /// Adds the elements of a repeated `double`, packed or not.
    pub fn repeated_double(self, number: u32, out: &mut Vec<f64>) -> Result<(), WireError> {
        self.extend_fixed64(number, out, f64::from_bits)
    }

    /// Adds the elements of a repeated `fixed64`, packed or not.
    pub fn repeated_fixed64(self, number: u32, out: &mut Vec<u64>) -> Result<(), WireError> {
        self.extend_fixed64(number, out, |value| value)
    }

    fn extend_fixed64<T>(self, number: u32, out: &mut Vec<T>, of: fn(u64) -> T) -> Result<(), WireError> {
        match self {
            Field::Fixed64(value) => out.push(of(value)),
            Field::Bytes(bytes) => {
                let (chunks, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(WireError::Truncated);
                }
                out.extend(chunks.iter().map(|chunk| of(u64::from_le_bytes(*chunk))));
            }
            _ => return Err(WireError::FieldType(number)),
        }
        Ok(())
    }

    /// Visits the elements of a repeated varint, packed or not.
    pub fn repeated_varint(self, number: u32, visit: &mut dyn FnMut(u64)) -> Result<(), WireError> {
        match self {
            Field::Varint(value) => visit(value),
            Field::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    visit(take_varint(&mut bytes)?);
                }
            }
            _ => return Err(WireError::FieldType(number)),
        }
        Ok(())
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_visited_in_order() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x19, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let mut fields = Fields::new(&message);
        assert_eq!(fields.take_field(), Ok(Some((1, Field::Varint(150)))));
        assert_eq!(fields.take_field(), Ok(Some((2, Field::Bytes(b"hi")))));
        assert_eq!(fields.take_field().unwrap().unwrap().1.double(3), Ok(1.0));
        assert_eq!(fields.take_field(), Ok(None));
    }

    #[test]
    fn what_is_cut_or_too_long_is_an_error() {
        for (message, error) in [
            (&[0x08][..], WireError::Truncated),
            (&[0x12, 0x05, 1], WireError::Truncated),
            (&[0x19, 1, 2], WireError::Truncated),
            (&[0x0b], WireError::WireType(3)),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], WireError::Overflow),
        ] {
            assert_eq!(Fields::new(message).take_field(), Err(error));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_finite_time(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut fields = Fields::new(&bytes);
            let mut count = 0;
            while let Ok(Some(_)) = fields.take_field() {
                count += 1;
            }
            prop_assert!(count <= bytes.len());
        }
    }
}
