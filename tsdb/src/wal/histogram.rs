//! Native histograms in the log.
//!
//! ```text
//! histogram   flags u8: bit 0 float counts, bits 1–2 counter reset hint │ schema varint │ zero threshold u64
//!             │ zero count │ count │ sum u64 │ spans, positive │ spans, negative
//!             │ buckets, positive │ buckets, negative │ bounds: count uvarint, u64 each
//! spans       count uvarint │ (offset varint │ length uvarint)*
//! counts      integer: uvarint, buckets as differences: varint │ float: u64
//! buckets     count uvarint │ counts
//! ```
//!
//! u64 are the bits of floats, big-endian.

use model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use model::storage::HistogramValue;

use crate::codec::{Cursor, DecodeError, put_uvarint, put_varint};

const FLAG_FLOAT: u8 = 1;
const HINT_SHIFT: u32 = 1;

fn hint_bits(hint: CounterResetHint) -> u8 {
    (match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    }) << HINT_SHIFT
}

/// The hint that a number means, here and in Prometheus's records.
pub(crate) fn hint_of(number: u8) -> CounterResetHint {
    match number {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, span.offset.into());
        put_uvarint(out, span.length.into());
    }
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put_uvarint(out, values.len() as u64);
    values.iter().for_each(|value| put_f64(out, *value));
}

fn put_deltas(out: &mut Vec<u8>, deltas: &[i64]) {
    put_uvarint(out, deltas.len() as u64);
    deltas.iter().for_each(|delta| put_varint(out, *delta));
}

/// Appends a histogram.
pub(crate) fn put(out: &mut Vec<u8>, value: &HistogramValue) {
    match value {
        HistogramValue::Integer(h) => {
            out.push(hint_bits(h.counter_reset_hint));
            put_varint(out, h.schema.into());
            put_f64(out, h.zero_threshold);
            put_uvarint(out, h.zero_count);
            put_uvarint(out, h.count);
            put_f64(out, h.sum);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_deltas(out, &h.positive_deltas);
            put_deltas(out, &h.negative_deltas);
            put_floats(out, &h.custom_values);
        }
        HistogramValue::Float(h) => {
            out.push(FLAG_FLOAT | hint_bits(h.counter_reset_hint));
            put_varint(out, h.schema.into());
            put_f64(out, h.zero_threshold);
            put_f64(out, h.zero_count);
            put_f64(out, h.count);
            put_f64(out, h.sum);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_floats(out, &h.positive_buckets);
            put_floats(out, &h.negative_buckets);
            put_floats(out, &h.custom_values);
        }
    }
}

/// Reads a histogram.
pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<HistogramValue, DecodeError> {
    let flags = cursor.u8()?;
    let hint = hint_of(flags >> HINT_SHIFT & 3);
    let counts = if flags & FLAG_FLOAT == 0 { Counts::Integer } else { Counts::Float };
    read_body(cursor, hint, counts, |cursor, _| cursor.list(Cursor::f64))
}

/// The numbers that a histogram counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Integer,
    Float,
}

/// Reads what follows the hint, which is the same in Prometheus's records but for the bounds: `bounds` reads
/// those of a schema.
pub(crate) fn read_body<'a>(
    cursor: &mut Cursor<'a>,
    counter_reset_hint: CounterResetHint,
    counts: Counts,
    bounds: impl FnOnce(&mut Cursor<'a>, i32) -> Result<Vec<f64>, DecodeError>,
) -> Result<HistogramValue, DecodeError> {
    let schema = i32::try_from(cursor.varint()?).map_err(|_| cursor.error("schema of histogram"))?;
    let zero_threshold = cursor.f64()?;
    // Fields of a literal are evaluated in the order in which they are written, which is that of the format.
    Ok(match counts {
        Counts::Integer => HistogramValue::Integer(Histogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: cursor.uvarint()?,
            count: cursor.uvarint()?,
            sum: cursor.f64()?,
            positive_spans: cursor.list(span)?,
            negative_spans: cursor.list(span)?,
            positive_deltas: cursor.list(Cursor::varint)?,
            negative_deltas: cursor.list(Cursor::varint)?,
            custom_values: bounds(cursor, schema)?,
        }),
        Counts::Float => HistogramValue::Float(FloatHistogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            zero_count: cursor.f64()?,
            count: cursor.f64()?,
            sum: cursor.f64()?,
            positive_spans: cursor.list(span)?,
            negative_spans: cursor.list(span)?,
            positive_buckets: cursor.list(Cursor::f64)?,
            negative_buckets: cursor.list(Cursor::f64)?,
            custom_values: bounds(cursor, schema)?,
        }),
    })
}

fn span(cursor: &mut Cursor<'_>) -> Result<Span, DecodeError> {
    let offset = i32::try_from(cursor.varint()?).map_err(|_| cursor.error("offset of span"))?;
    Ok(Span { offset, length: cursor.uvarint32()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length });
        proptest::collection::vec(span, 0..4)
    }

    fn floats() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-1e9f64..1e9, 0..5)
    }

    proptest! {
        #[test]
        fn histograms_read_back(
            counts in any::<(u64, u64)>(), schema in any::<i32>(), hint in 0u8..4,
            spans in (spans(), spans()), buckets in (floats(), floats(), floats()),
        ) {
            let deltas = |values: &[f64]| values.iter().map(|v| *v as i64).collect::<Vec<_>>();
            let hint = hint_of(hint);
            let integer = HistogramValue::Integer(Histogram {
                counter_reset_hint: hint, schema, zero_threshold: 0.5, zero_count: counts.0, count: counts.1,
                sum: -1.5, positive_spans: spans.0.clone(), negative_spans: spans.1.clone(),
                positive_deltas: deltas(&buckets.0), negative_deltas: deltas(&buckets.1),
                custom_values: buckets.2.clone(),
            });
            let float = HistogramValue::Float(FloatHistogram {
                counter_reset_hint: hint, schema, zero_threshold: 0.5, zero_count: 3.0, count: 1e300,
                sum: -1.5, positive_spans: spans.0, negative_spans: spans.1, positive_buckets: buckets.0,
                negative_buckets: buckets.1, custom_values: buckets.2,
            });
            for value in [integer, float] {
                let mut bytes = Vec::new();
                put(&mut bytes, &value);
                let mut cursor = Cursor::new(&bytes);
                prop_assert_eq!(read(&mut cursor), Ok(value));
                prop_assert!(cursor.is_empty());
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut Cursor::new(&bytes));
        }
    }
}
