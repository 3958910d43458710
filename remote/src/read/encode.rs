//! Answers as bytes.
//!
//! ```text
//! ReadResponse        { 1 repeated QueryResult { 1 repeated TimeSeries } }
//! TimeSeries          { 1 repeated Label { 1 name, 2 value }, 2 repeated Sample { 1 double value, 2 int64 ms },
//!                       4 repeated Histogram }
//! ChunkedReadResponse { 1 repeated ChunkedSeries { 1 repeated Label, 2 repeated Chunk }, 2 int64 query_index }
//! Chunk               { 1 int64 min_time_ms, 2 int64 max_time_ms, 3 enum type, 4 bytes data }
//! Histogram           see `write::histogram`
//! ```

use model::histogram::{CounterResetHint, FloatHistogram, Span};
use model::labels::Labels;
use model::storage::SampleColumns;
use model::time::TimestampMs;

use super::Chunk;
use crate::protobuf::{
    put_bytes, put_double, put_packed_doubles, put_sint32, put_varint, put_varint_field, varint_bytes,
};

/// Bytes of a frame's checksum.
const CHECKSUM_BYTES: usize = 4;

/// Appends labels as field 1.
pub(super) fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    let mut label = Vec::new();
    for (name, value) in labels.iter() {
        label.clear();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(out, 1, &label);
    }
}

/// Appends a series to a `QueryResult`.
pub(super) fn put_series(out: &mut Vec<u8>, labels: &Labels, samples: &SampleColumns) {
    let (mut series, mut part) = (Vec::new(), Vec::new());
    put_labels(&mut series, labels);
    for (timestamp_ms, value) in samples.timestamps.iter().zip(&samples.values) {
        part.clear();
        put_double(&mut part, 1, *value);
        put_varint_field(&mut part, 2, timestamp_ms.cast_unsigned());
        put_bytes(&mut series, 2, &part);
    }
    for (timestamp_ms, histogram) in samples.histogram_timestamps.iter().zip(&samples.histograms) {
        part.clear();
        put_histogram(&mut part, histogram, *timestamp_ms);
        put_bytes(&mut series, 4, &part);
    }
    put_bytes(out, 1, &series);
}

fn put_histogram(out: &mut Vec<u8>, histogram: &FloatHistogram, timestamp_ms: TimestampMs) {
    put_double(out, 2, histogram.count);
    put_double(out, 3, histogram.sum);
    put_sint32(out, 4, histogram.schema);
    put_double(out, 5, histogram.zero_threshold);
    put_double(out, 7, histogram.zero_count);
    put_spans(out, 8, &histogram.negative_spans);
    put_packed_doubles(out, 10, &histogram.negative_buckets);
    put_spans(out, 11, &histogram.positive_spans);
    put_packed_doubles(out, 13, &histogram.positive_buckets);
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    };
    put_varint_field(out, 14, hint);
    put_varint_field(out, 15, timestamp_ms.cast_unsigned());
    put_packed_doubles(out, 16, &histogram.custom_values);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    let mut part = Vec::new();
    for span in spans {
        part.clear();
        put_sint32(&mut part, 1, span.offset);
        put_varint_field(&mut part, 2, span.length.into());
        put_bytes(out, field, &part);
    }
}

/// Appends a chunk to a `ChunkedSeries`.
pub(super) fn put_chunk(out: &mut Vec<u8>, chunk: &Chunk) {
    let mut part = Vec::with_capacity(chunk.bytes.len() + 32);
    put_varint_field(&mut part, 1, chunk.mint.cast_unsigned());
    put_varint_field(&mut part, 2, chunk.maxt.cast_unsigned());
    put_varint_field(&mut part, 3, chunk.encoding.into());
    put_bytes(&mut part, 4, &chunk.bytes);
    put_bytes(out, 2, &part);
}

/// A frame with one `ChunkedSeries`.
pub(super) fn frame(series: &[u8], query_index: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(series.len() + 16);
    put_bytes(&mut message, 1, series);
    put_varint_field(&mut message, 2, query_index as u64);
    let len = message.len() as u64;
    let mut frame = Vec::with_capacity(varint_bytes(len) + CHECKSUM_BYTES + message.len());
    put_varint(&mut frame, len);
    frame.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}
