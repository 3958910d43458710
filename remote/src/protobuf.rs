//! Protobuf, as far as writing messages goes; see [`crate::wire`] for what the bytes mean.

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes a varint takes.
#[inline]
pub fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}

/// Appends an unsigned number.
#[inline]
pub fn put_varint_field(out: &mut Vec<u8>, field: u32, value: u64) {
    put_tag(out, field, 0);
    put_varint(out, value);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// Appends a number of type `sint32`.
pub fn put_sint32(out: &mut Vec<u8>, field: u32, value: i32) {
    put_varint_field(out, field, zigzag(value.into()));
}

/// Appends a float.
#[inline]
pub fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_tag(out, field, 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Begins a message, or whatever else is bytes, of so many bytes, which have to follow.
#[inline]
pub fn put_message(out: &mut Vec<u8>, field: u32, len: usize) {
    put_tag(out, field, 2);
    put_varint(out, len as u64);
}

/// Appends a message, a text or bytes.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_message(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a repeated `sint64`, packed; nothing if it is empty.
pub fn put_packed_sint64(out: &mut Vec<u8>, field: u32, values: &[i64]) {
    if values.is_empty() {
        return;
    }
    put_message(out, field, values.iter().map(|value| varint_bytes(zigzag(*value))).sum());
    values.iter().for_each(|value| put_varint(out, zigzag(*value)));
}

/// Appends a repeated `double`, packed; nothing if it is empty.
pub fn put_packed_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    put_message(out, field, size_of_val(values));
    values.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
}
