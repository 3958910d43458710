//! The message `Histogram`, read and written.
//!
//! ```text
//!  1 uint64 count_int | 2 double count_float     9 repeated sint64 negative_deltas
//!  3 double sum                                 10 repeated double negative_counts
//!  4 sint32 schema                              11 repeated BucketSpan positive_spans
//!  5 double zero_threshold                      12 repeated sint64 positive_deltas
//!  6 uint64 zero_count_int                      13 repeated double positive_counts
//!  7 double zero_count_float                    14 enum reset_hint (0 unknown, 1 yes, 2 no, 3 gauge)
//!  8 repeated BucketSpan negative_spans         15 int64 timestamp
//!                                               16 repeated double custom_values
//! BucketSpan: 1 sint32 offset, 2 uint32 length
//! ```

use model::histogram::{CounterResetHint, FloatHistogram, Histogram, Span};
use model::storage::HistogramValue;
use model::time::TimestampMs;

use crate::protobuf::{
    put_bytes, put_double, put_packed_doubles, put_packed_sint64, put_sint32, put_varint_field,
};
use crate::wire::{Fields, WireError};

/// A decoded histogram sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimedHistogram {
    pub(crate) timestamp_ms: TimestampMs,
    pub(crate) value: HistogramValue,
}

/// All fields, integer and float.
#[derive(Default)]
struct Parts {
    is_float: bool,
    count_int: u64,
    count_float: f64,
    zero_count_int: u64,
    zero_count_float: f64,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    negative_spans: Vec<Span>,
    negative_deltas: Vec<i64>,
    negative_counts: Vec<f64>,
    positive_spans: Vec<Span>,
    positive_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    hint: CounterResetHint,
    timestamp_ms: i64,
    custom_values: Vec<f64>,
}

/// Decodes a histogram. That its parts agree with each other is the storage's to check.
pub(crate) fn histogram(message: &[u8]) -> Result<TimedHistogram, WireError> {
    let mut parts = Parts::default();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => parts.count_int = field.varint(number)?,
            2 => (parts.is_float, parts.count_float) = (true, field.double(number)?),
            3 => parts.sum = field.double(number)?,
            4 => parts.schema = field.sint32(number)?,
            5 => parts.zero_threshold = field.double(number)?,
            6 => parts.zero_count_int = field.varint(number)?,
            7 => parts.zero_count_float = field.double(number)?,
            8 => parts.negative_spans.push(span(field.bytes(number)?)?),
            9 => field.repeated_sint64(number, &mut parts.negative_deltas)?,
            10 => field.repeated_double(number, &mut parts.negative_counts)?,
            11 => parts.positive_spans.push(span(field.bytes(number)?)?),
            12 => field.repeated_sint64(number, &mut parts.positive_deltas)?,
            13 => field.repeated_double(number, &mut parts.positive_counts)?,
            14 => parts.hint = hint(field.varint(number)?),
            15 => parts.timestamp_ms = field.int64(number)?,
            16 => field.repeated_double(number, &mut parts.custom_values)?,
            _ => {}
        }
    }
    let timestamp_ms = parts.timestamp_ms;
    let value = if parts.is_float { parts.into_float() } else { parts.into_integer() };
    Ok(TimedHistogram { timestamp_ms, value })
}

fn span(message: &[u8]) -> Result<Span, WireError> {
    let mut span = Span::default();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => span.offset = field.sint32(number)?,
            2 => span.length = u32::try_from(field.varint(number)?).map_err(|_| WireError::Overflow)?,
            _ => {}
        }
    }
    Ok(span)
}

fn hint(number: u64) -> CounterResetHint {
    match number {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

impl Parts {
    fn into_integer(self) -> HistogramValue {
        HistogramValue::Integer(Histogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_int,
            count: self.count_int,
            sum: self.sum,
            positive_spans: self.positive_spans,
            negative_spans: self.negative_spans,
            positive_deltas: self.positive_deltas,
            negative_deltas: self.negative_deltas,
            custom_values: self.custom_values,
        })
    }

    fn into_float(self) -> HistogramValue {
        HistogramValue::Float(FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count_float,
            count: self.count_float,
            sum: self.sum,
            positive_spans: self.positive_spans,
            negative_spans: self.negative_spans,
            positive_buckets: self.positive_counts,
            negative_buckets: self.negative_counts,
            custom_values: self.custom_values,
        })
    }
}

/// Encodes a histogram.
pub(crate) fn put_histogram(out: &mut Vec<u8>, value: &HistogramValue, timestamp_ms: TimestampMs) {
    match value {
        HistogramValue::Integer(histogram) => put_integer_histogram(out, histogram, timestamp_ms),
        HistogramValue::Float(histogram) => put_float_histogram(out, histogram, timestamp_ms),
    }
}

fn put_integer_histogram(out: &mut Vec<u8>, h: &Histogram, timestamp_ms: TimestampMs) {
    put_varint_field(out, 1, h.count);
    put_bounds(out, h.sum, h.schema, h.zero_threshold);
    put_varint_field(out, 6, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_packed_sint64(out, 9, &h.negative_deltas);
    put_spans(out, 11, &h.positive_spans);
    put_packed_sint64(out, 12, &h.positive_deltas);
    put_end(out, h.counter_reset_hint, timestamp_ms, &h.custom_values);
}

/// Encodes a histogram with float counts.
pub(crate) fn put_float_histogram(out: &mut Vec<u8>, h: &FloatHistogram, timestamp_ms: TimestampMs) {
    put_double(out, 2, h.count);
    put_bounds(out, h.sum, h.schema, h.zero_threshold);
    put_double(out, 7, h.zero_count);
    put_spans(out, 8, &h.negative_spans);
    put_packed_doubles(out, 10, &h.negative_buckets);
    put_spans(out, 11, &h.positive_spans);
    put_packed_doubles(out, 13, &h.positive_buckets);
    put_end(out, h.counter_reset_hint, timestamp_ms, &h.custom_values);
}

fn put_bounds(out: &mut Vec<u8>, sum: f64, schema: i32, zero_threshold: f64) {
    put_double(out, 3, sum);
    put_sint32(out, 4, schema);
    put_double(out, 5, zero_threshold);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    let mut body = Vec::new();
    for span in spans {
        body.clear();
        put_sint32(&mut body, 1, span.offset);
        put_varint_field(&mut body, 2, span.length.into());
        put_bytes(out, field, &body);
    }
}

fn put_end(out: &mut Vec<u8>, hint: CounterResetHint, timestamp_ms: TimestampMs, custom_values: &[f64]) {
    let hint = match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put_varint_field(out, 14, hint);
    put_varint_field(out, 15, timestamp_ms.cast_unsigned());
    put_packed_doubles(out, 16, custom_values);
}
