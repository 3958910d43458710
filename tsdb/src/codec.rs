//! Integers and texts as Prometheus's files hold them: fixed-width big-endian integers, LEB128 varints
//! (Go's `encoding/binary`), and texts behind their length.
//!
//! ```text
//! uvarint   7 bits a byte, least significant first; the top bit says that another byte follows; 1..=10 B
//! varint    zigzag ((n << 1) ^ (n >> 63)) as a uvarint
//! text      length in bytes as a uvarint, then the bytes
//! ```
//!
//! [`Cursor`] never panics and never believes a length: whatever doesn't fit the bytes is a [`DecodeError`]
//! with its place.

/// The most bytes that a uvarint takes.
pub const UVARINT_BYTES_MAX: usize = 10;

/// Bytes that aren't what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct DecodeError {
    /// What is wrong.
    pub what: &'static str,
    /// Where, in bytes from the beginning of what the cursor was made of.
    pub at: usize,
}

/// Reads a byte slice from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the beginning of the bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    /// How many bytes were read.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error that names the current place.
    #[cold]
    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { what, at: self.at }
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.error("unexpected end")) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.error("unexpected end")),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    /// A big-endian `u16`.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian `u32`.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian `u64`.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A big-endian `i64`.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// The bits of a float, big-endian.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        self.array().map(|bytes| f64::from_bits(u64::from_be_bytes(bytes)))
    }

    /// An unsigned varint.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u64, DecodeError> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError { what: "varint of more than 64 bits", at: start })
    }

    /// An unsigned varint of at most 32 bits.
    #[inline]
    pub fn uvarint32(&mut self) -> Result<u32, DecodeError> {
        let at = self.at;
        u32::try_from(self.uvarint()?).map_err(|_| DecodeError { what: "varint of more than 32 bits", at })
    }

    /// A signed varint.
    #[inline]
    pub fn varint(&mut self) -> Result<i64, DecodeError> {
        let zigzag = self.uvarint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// Bytes behind their length as a uvarint.
    #[inline]
    pub fn prefixed_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.uvarint()?;
        // A length that isn't even an address is longer than any slice.
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    /// Text behind its length as a uvarint.
    #[inline]
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let at = self.at;
        std::str::from_utf8(self.prefixed_bytes()?).map_err(|_| DecodeError { what: "text is not UTF-8", at })
    }

    /// As many elements as a uvarint says. It sizes nothing: each element takes bytes that have to be there.
    pub fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.uvarint()?;
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }
}

/// Appends an unsigned varint.
#[inline]
pub fn put_uvarint(out: &mut Vec<u8>, value: u64) {
    if value < 0x80 { out.push(value as u8) } else { put_long_uvarint(out, value) }
}

fn put_long_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends bytes behind their length as a uvarint.
pub fn put_prefixed_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uvarint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// How many bytes [`put_uvarint`] appends.
pub fn uvarint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_texts_read_back(unsigned in any::<u64>(), shift in 0u32..64, signed in any::<i64>(),
                                       text in ".{0,200}") {
            let (unsigned, signed) = (unsigned >> shift, signed >> shift);
            let mut bytes = Vec::new();
            put_uvarint(&mut bytes, unsigned);
            prop_assert_eq!(bytes.len(), uvarint_len(unsigned));
            put_varint(&mut bytes, signed);
            put_prefixed_bytes(&mut bytes, text.as_bytes());
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.uvarint(), Ok(unsigned));
            prop_assert_eq!(cursor.varint(), Ok(signed));
            prop_assert_eq!(cursor.text(), Ok(text.as_str()));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn no_bytes_make_a_cursor_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor::new(&bytes);
            let _ = cursor.uvarint();
            let _ = cursor.uvarint32();
            let _ = cursor.varint();
            let _ = cursor.text();
            let _ = cursor.u64();
            prop_assert!(cursor.position() <= bytes.len());
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_with_its_place() {
        let mut cursor = Cursor::new(&[5, b'a', b'b']);
        assert_eq!(cursor.text(), Err(DecodeError { what: "unexpected end", at: 1 }));
        let mut cursor = Cursor::new(&[0xff; 11]);
        assert_eq!(cursor.uvarint(), Err(DecodeError { what: "varint of more than 64 bits", at: 0 }));
        let mut cursor = Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]);
        assert_eq!(cursor.uvarint32(), Err(DecodeError { what: "varint of more than 32 bits", at: 0 }));
        let mut cursor = Cursor::new(&[1, 0xff]);
        assert_eq!(cursor.text(), Err(DecodeError { what: "text is not UTF-8", at: 0 }));
    }
}
