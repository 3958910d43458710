//! Writes what Prometheus would have left, for tests.

use std::path::Path;

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram, Span};
use model::labels::Labels;
use model::storage::HistogramValue;

use crate::block::tombstones::Interval;
use crate::chunk::Encoding;
use crate::codec::{put_prefixed_bytes, put_uvarint, put_varint};
use crate::fs::Fs;

pub(super) const PAGE_BYTES: usize = 32 << 10;

/// How records are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Snappy,
    Zstd,
}

/// The bytes of a segment with these records.
pub(super) fn segment(records: &[Vec<u8>], compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let (flag, data) = match compression {
            Compression::None => (0, record.clone()),
            Compression::Snappy => (8, snap::raw::Encoder::new().compress_vec(record).unwrap()),
            Compression::Zstd => (16, zstd::bulk::compress(record, 3).unwrap()),
        };
        put_fragments(&mut out, flag, &data);
    }
    out
}

fn put_fragments(out: &mut Vec<u8>, flag: u8, mut data: &[u8]) {
    let mut first = true;
    loop {
        let room = PAGE_BYTES - out.len() % PAGE_BYTES;
        if room < 7 {
            out.resize(out.len() + room, 0);
            continue;
        }
        let (now, later) = data.split_at(data.len().min(room - 7));
        let kind = match (first, later.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        out.push(kind | flag);
        out.extend_from_slice(&(now.len() as u16).to_be_bytes());
        out.extend_from_slice(&crc32c::crc32c(now).to_be_bytes());
        out.extend_from_slice(now);
        if later.is_empty() {
            return;
        }
        (data, first) = (later, false);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_prefixed_bytes(out, text.as_bytes());
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        put_text(out, name);
        put_text(out, value);
    }
}

pub(super) fn series(series: &[(u64, Labels)]) -> Vec<u8> {
    let mut out = vec![1];
    for (at, labels) in series {
        out.extend(at.to_be_bytes());
        put_labels(&mut out, labels);
    }
    out
}

/// A record whose refs and times are differences to the first.
fn based<T>(kind: u8, rows: &[(u64, i64, T)], mut put: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = vec![kind];
    let Some((first, time, _)) = rows.first() else { return out };
    out.extend(first.to_be_bytes());
    out.extend(time.to_be_bytes());
    for (series, t, value) in rows {
        put_varint(&mut out, series.wrapping_sub(*first) as i64);
        put_varint(&mut out, t - time);
        put(&mut out, value);
    }
    out
}

/// A record with start times: none, the same, another one, by turns.
fn chained<T>(kind: u8, rows: &[(u64, i64, T)], mut put: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = vec![kind];
    let Some((first, time, _)) = rows.first() else { return out };
    let mut before = *first;
    for (nth, (series, t, value)) in rows.iter().enumerate() {
        if nth == 0 {
            put_varint(&mut out, *series as i64);
            put_varint(&mut out, *t);
            put_varint(&mut out, 1_600_000_000_000);
        } else {
            put_varint(&mut out, series.wrapping_sub(before) as i64);
            put_varint(&mut out, t - time);
            out.push((nth % 3) as u8);
            if nth % 3 == 2 {
                put_varint(&mut out, -17);
            }
        }
        put(&mut out, value);
        before = *series;
    }
    out
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend(value.to_bits().to_be_bytes());
}

pub(super) fn floats(rows: &[(u64, i64, f64)]) -> Vec<u8> {
    based(2, rows, |out, value| put_f64(out, *value))
}

pub(super) fn floats_with_starts(rows: &[(u64, i64, f64)]) -> Vec<u8> {
    chained(11, rows, |out, value| put_f64(out, *value))
}

/// A record of histograms of one kind, custom or not, integer or float.
pub(super) fn histograms(rows: &[(u64, i64, HistogramValue)], starts: bool) -> Vec<u8> {
    let (float, custom) = match &rows[0].2 {
        HistogramValue::Integer(h) => (false, h.schema == CUSTOM_BUCKETS_SCHEMA),
        HistogramValue::Float(h) => (true, h.schema == CUSTOM_BUCKETS_SCHEMA),
    };
    match (starts, custom, float) {
        (true, _, false) => chained(12, rows, put_histogram),
        (true, _, true) => chained(13, rows, put_histogram),
        (false, false, false) => based(7, rows, put_histogram),
        (false, false, true) => based(8, rows, put_histogram),
        (false, true, false) => based(9, rows, put_histogram),
        (false, true, true) => based(10, rows, put_histogram),
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(out, spans.len() as u64);
    for span in spans {
        put_varint(out, span.offset.into());
        put_uvarint(out, span.length.into());
    }
}

fn put_list<T>(out: &mut Vec<u8>, values: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    put_uvarint(out, values.len() as u64);
    values.iter().for_each(|value| put(out, value));
}

fn put_histogram(out: &mut Vec<u8>, value: &HistogramValue) {
    let float = |out: &mut Vec<u8>, value: &f64| put_f64(out, *value);
    match value {
        HistogramValue::Integer(h) => {
            out.push(0);
            put_varint(out, h.schema.into());
            put_f64(out, h.zero_threshold);
            put_uvarint(out, h.zero_count);
            put_uvarint(out, h.count);
            put_f64(out, h.sum);
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_list(out, &h.positive_deltas, |out, delta| put_varint(out, *delta));
            put_list(out, &h.negative_deltas, |out, delta| put_varint(out, *delta));
            if h.schema == CUSTOM_BUCKETS_SCHEMA {
                put_list(out, &h.custom_values, float);
            }
        }
        HistogramValue::Float(h) => {
            out.push(if h.counter_reset_hint == CounterResetHint::Gauge { 3 } else { 0 });
            put_varint(out, h.schema.into());
            for value in [h.zero_threshold, h.zero_count, h.count, h.sum] {
                put_f64(out, value);
            }
            put_spans(out, &h.positive_spans);
            put_spans(out, &h.negative_spans);
            put_list(out, &h.positive_buckets, float);
            put_list(out, &h.negative_buckets, float);
            if h.schema == CUSTOM_BUCKETS_SCHEMA {
                put_list(out, &h.custom_values, float);
            }
        }
    }
}

pub(super) fn tombstones(rows: &[(u64, Interval)]) -> Vec<u8> {
    let mut out = vec![3];
    for (series, interval) in rows {
        out.extend(series.to_be_bytes());
        put_varint(&mut out, interval.mint);
        put_varint(&mut out, interval.maxt);
    }
    out
}

pub(super) fn exemplars(rows: &[(u64, i64, (f64, Labels))]) -> Vec<u8> {
    based(4, rows, |out, (value, labels)| {
        put_f64(out, *value);
        put_labels(out, labels);
    })
}

pub(super) fn metadata(series: u64) -> Vec<u8> {
    let mut out = vec![6];
    put_uvarint(&mut out, series);
    out.extend([1, 2]);
    for text in ["UNIT", "seconds", "HELP", "What it is."] {
        put_text(&mut out, text);
    }
    out
}

/// A file of full chunks: series, first and last time, encoding, bytes.
pub(super) fn head_chunks(chunks: &[(u64, i64, i64, Encoding, Vec<u8>)]) -> Vec<u8> {
    let mut out = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    for (series, mint, maxt, encoding, bytes) in chunks {
        let begin = out.len();
        out.extend(series.to_be_bytes());
        out.extend(mint.to_be_bytes());
        out.extend(maxt.to_be_bytes());
        out.push(*encoding as u8);
        put_prefixed_bytes(&mut out, bytes);
        let crc = crc32c::crc32c(&out[begin..]);
        out.extend(crc.to_be_bytes());
    }
    out
}

/// A file that has been there for long.
pub(super) fn put_file(fs: &dyn Fs, path: &Path, bytes: &[u8]) {
    let dir = path.parent().unwrap();
    fs.create_dir_all(dir).unwrap();
    let mut file = fs.create(path).unwrap();
    file.append(bytes).unwrap();
    file.sync_data().unwrap();
    for dir in dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty()) {
        fs.sync_dir(dir).unwrap();
    }
}

/// A histogram with four buckets, the n-th of its series.
pub(super) fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: 1,
        zero_threshold: 1e-128,
        zero_count: n,
        count: 5 * n + 5,
        sum: n as f64 * 1.5,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 1, length: 2 }],
        positive_deltas: vec![n as i64 + 1, 1, -1, 0],
        ..Histogram::default()
    }
}

/// The same with bounds of its own.
pub(super) fn custom_histogram(n: u64) -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 2 * n + 1,
        sum: n as f64,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_deltas: vec![n as i64, 1],
        custom_values: vec![0.5, 2.5],
        ..Histogram::default()
    }
}

/// A histogram with counts that are floats.
pub(super) fn float_histogram(integer: &Histogram) -> FloatHistogram {
    let mut sum = 0;
    let buckets = integer.positive_deltas.iter().map(|delta| {
        sum += delta;
        sum as f64
    });
    FloatHistogram {
        schema: integer.schema,
        zero_threshold: integer.zero_threshold,
        zero_count: integer.zero_count as f64,
        count: integer.count as f64,
        sum: integer.sum,
        positive_spans: integer.positive_spans.clone(),
        positive_buckets: buckets.collect(),
        custom_values: integer.custom_values.clone(),
        ..FloatHistogram::default()
    }
}
