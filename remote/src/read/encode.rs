//! Answers as bytes.
//!
//! ```text
//! ReadResponse        { 1 repeated QueryResult { 1 repeated TimeSeries } }
//! TimeSeries          { 1 repeated Label, 2 repeated Sample, 4 repeated Histogram }
//! ChunkedReadResponse { 1 repeated ChunkedSeries { 1 repeated Label, 2 repeated Chunk }, 2 int64 query_index }
//! Chunk               { 1 int64 min_time_ms, 2 int64 max_time_ms, 3 enum type, 4 bytes data }
//! Label, Sample, Histogram: see `message`
//! ```

use model::labels::Labels;
use model::storage::SampleColumns;

use super::Chunk;
use crate::message::{put_float_histogram, put_labels, put_sample};
use crate::protobuf::{put_bytes, put_varint, put_varint_field, varint_bytes};

/// Bytes of a frame's checksum.
const CHECKSUM_BYTES: usize = 4;

/// Appends a series to a `QueryResult`.
pub(super) fn put_series(out: &mut Vec<u8>, labels: &Labels, samples: &SampleColumns) {
    let (mut series, mut part) = (Vec::new(), Vec::new());
    put_labels(&mut series, labels);
    for (timestamp_ms, value) in samples.timestamps.iter().zip(&samples.values) {
        part.clear();
        put_sample(&mut part, *value, *timestamp_ms);
        put_bytes(&mut series, 2, &part);
    }
    for (timestamp_ms, histogram) in samples.histogram_timestamps.iter().zip(&samples.histograms) {
        part.clear();
        put_float_histogram(&mut part, histogram, *timestamp_ms);
        put_bytes(&mut series, 4, &part);
    }
    put_bytes(out, 1, &series);
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
