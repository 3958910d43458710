//! The messages that remote write and remote read share.
//!
//! ```text
//! Label     { 1 string name, 2 string value }
//! Sample    { 1 double value, 2 int64 timestamp }     remote write 2.0 adds 3 int64 start_timestamp
//! Histogram see `histogram`
//! ```

mod histogram;

use model::labels::Labels;
use model::time::TimestampMs;

use crate::protobuf::{put_bytes, put_double, put_message, put_varint_field, varint_bytes};
use crate::wire::{Fields, WireError};

pub(crate) use histogram::{histogram, put_float_histogram, put_histogram};

/// Appends labels as field 1.
pub(crate) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels {
        let text_bytes = |text: &str| 1 + varint_bytes(text.len() as u64) + text.len();
        put_message(out, 1, text_bytes(name) + text_bytes(value));
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    }
}

/// Decodes a `Label`.
pub(crate) fn label(message: &[u8]) -> Result<(&str, &str), WireError> {
    let (mut name, mut value) = ("", "");
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => name = field.text(number)?,
            2 => value = field.text(number)?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// A decoded sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) timestamp_ms: TimestampMs,
    pub(crate) value: f64,
}

/// Decodes a `Sample`.
#[inline]
pub(crate) fn sample(message: &[u8]) -> Result<Sample, WireError> {
    let mut sample = Sample { timestamp_ms: 0, value: 0.0 };
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => sample.value = field.double(number)?,
            2 => sample.timestamp_ms = field.int64(number)?,
            _ => {}
        }
    }
    Ok(sample)
}

/// Encodes a `Sample`.
pub(crate) fn put_sample(out: &mut Vec<u8>, value: f64, timestamp_ms: TimestampMs) {
    put_double(out, 1, value);
    put_varint_field(out, 2, timestamp_ms.cast_unsigned());
}
