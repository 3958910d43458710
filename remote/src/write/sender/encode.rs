//! Requests as bytes: protocol 1.0 and 2.0, compressed.
//!
//! ```text
//! 1.0   WriteRequest { 1 repeated TimeSeries, 3 repeated MetricMetadata }
//!       TimeSeries { 1 repeated Label { 1 name, 2 value }, 2 Sample, 3 Exemplar, 4 Histogram }
//!       MetricMetadata { 1 type, 2 metric_family_name, 4 help, 5 unit }
//! 2.0   Request { 4 repeated string symbols, 5 repeated TimeSeries }
//!       TimeSeries { 1 packed labels_refs, 2 Sample, 3 Histogram, 4 Exemplar, 5 Metadata }
//!       Metadata { 1 type, 3 help_ref, 4 unit_ref }
//! both  Sample { 1 double value, 2 int64 timestamp }      Exemplar { 1 labels, 2 value, 3 timestamp }
//! ```
//!
//! As in the reference, every sample is a series of its own in the request; its exemplars are with it. The buffers are used again and
//! again; a request costs no allocation for a series, but for the table of 2.0's symbols.

use bytes::Bytes;
use hashbrown::HashMap;
use model::histogram::{CounterResetHint, Span};
use model::labels::Labels;
use model::metadata::Metadata;
use model::storage::HistogramValue;
use model::time::TimestampMs;

use super::item::{Item, Value};
use super::metadata::Families;
use crate::protobuf::{
    put_bytes, put_double, put_message, put_packed_doubles, put_packed_sint64, put_sint32, put_varint,
    put_varint_field, varint_bytes,
};
use crate::write::Version;

/// Makes requests.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    message: Vec<u8>,
    series: Vec<u8>,
    part: Vec<u8>,
}

impl Encoder {
    /// A compressed request with items; those of 2.0 come with what is known of their families.
    pub(super) fn items(&mut self, version: Version, items: &[Item], families: &Families) -> Bytes {
        self.message.clear();
        match version {
            Version::V1 => items.iter().for_each(|item| self.put_series_v1(item)),
            Version::V2 => self.put_request_v2(items, families),
        }
        compress(&self.message)
    }

    /// A compressed 1.0 request with metadata.
    pub(super) fn metadata(&mut self, families: &[(String, Metadata)]) -> Bytes {
        self.message.clear();
        for (name, metadata) in families {
            self.part.clear();
            put_varint_field(&mut self.part, 1, metadata.metric_type.number().into());
            for (field, text) in [(2, name), (4, &metadata.help), (5, &metadata.unit)] {
                if !text.is_empty() {
                    put_bytes(&mut self.part, field, text.as_bytes());
                }
            }
            put_bytes(&mut self.message, 3, &self.part);
        }
        compress(&self.message)
    }

    fn put_series_v1(&mut self, item: &Item) {
        self.series.clear();
        put_labels(&mut self.series, &item.labels);
        self.part.clear();
        let field = match &item.value {
            Value::Float(value) => {
                put_sample(&mut self.part, *value, item.timestamp_ms);
                2
            }
            Value::Histogram(histogram) => {
                put_histogram(&mut self.part, histogram, item.timestamp_ms);
                4
            }
        };
        put_bytes(&mut self.series, field, &self.part);
        for exemplar in &item.exemplars {
            self.part.clear();
            put_labels(&mut self.part, &exemplar.labels);
            put_double(&mut self.part, 2, exemplar.value);
            put_varint_field(&mut self.part, 3, exemplar.timestamp_ms.cast_unsigned());
            put_bytes(&mut self.series, 3, &self.part);
        }
        put_bytes(&mut self.message, 1, &self.series);
    }

    fn put_request_v2(&mut self, items: &[Item], families: &Families) {
        let mut symbols = Symbols::default();
        let mut request = std::mem::take(&mut self.message);
        let mut all_series = Vec::with_capacity(request.capacity());
        for item in items {
            self.put_series_v2(item, families, &mut symbols);
            put_bytes(&mut all_series, 5, &self.series);
        }
        for symbol in &symbols.texts {
            put_bytes(&mut request, 4, symbol.as_bytes());
        }
        request.extend_from_slice(&all_series);
        self.message = request;
    }

    fn put_series_v2<'a>(&mut self, item: &'a Item, families: &'a Families, symbols: &mut Symbols<'a>) {
        self.series.clear();
        symbols.put_refs(&mut self.series, &item.labels);
        self.part.clear();
        let field = match &item.value {
            Value::Float(value) => {
                put_sample(&mut self.part, *value, item.timestamp_ms);
                2
            }
            Value::Histogram(histogram) => {
                put_histogram(&mut self.part, histogram, item.timestamp_ms);
                3
            }
        };
        put_bytes(&mut self.series, field, &self.part);
        for exemplar in &item.exemplars {
            self.part.clear();
            symbols.put_refs(&mut self.part, &exemplar.labels);
            put_double(&mut self.part, 2, exemplar.value);
            put_varint_field(&mut self.part, 3, exemplar.timestamp_ms.cast_unsigned());
            put_bytes(&mut self.series, 4, &self.part);
        }
        if let Some(metadata) = families.of_series(item.labels.metric_name()) {
            self.part.clear();
            put_varint_field(&mut self.part, 1, metadata.metric_type.number().into());
            put_varint_field(&mut self.part, 3, symbols.symbol(&metadata.help).into());
            put_varint_field(&mut self.part, 4, symbols.symbol(&metadata.unit).into());
            put_bytes(&mut self.series, 5, &self.part);
        }
    }
}

/// The texts of a 2.0 request, each once; the first is empty.
struct Symbols<'a> {
    texts: Vec<&'a str>,
    numbers: HashMap<&'a str, u32>,
}

impl Default for Symbols<'_> {
    fn default() -> Self {
        Symbols { texts: vec![""], numbers: HashMap::from_iter([("", 0)]) }
    }
}

impl<'a> Symbols<'a> {
    fn symbol(&mut self, text: &'a str) -> u32 {
        *self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() as u32 - 1
        })
    }

    /// Writes the field `labels_refs`.
    fn put_refs(&mut self, out: &mut Vec<u8>, labels: &'a Labels) {
        let mut refs = smallvec::SmallVec::<[u32; 64]>::new();
        for (name, value) in labels {
            refs.push(self.symbol(name));
            refs.push(self.symbol(value));
        }
        let len = refs.iter().map(|number| varint_bytes(u64::from(*number))).sum();
        put_message(out, 1, len);
        refs.iter().for_each(|number| put_varint(out, u64::from(*number)));
    }
}

fn compress(message: &[u8]) -> Bytes {
    // Fails only on messages of 4 GiB; a batch is bounded.
    Bytes::from(snap::raw::Encoder::new().compress_vec(message).unwrap_or_default())
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    for (name, value) in labels {
        let text_bytes = |text: &str| 1 + varint_bytes(text.len() as u64) + text.len();
        put_message(out, 1, text_bytes(name) + text_bytes(value));
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value.as_bytes());
    }
}

fn put_sample(out: &mut Vec<u8>, value: f64, timestamp_ms: TimestampMs) {
    put_double(out, 1, value);
    put_varint_field(out, 2, timestamp_ms.cast_unsigned());
}

fn put_histogram(out: &mut Vec<u8>, value: &HistogramValue, timestamp_ms: TimestampMs) {
    match value {
        HistogramValue::Integer(h) => {
            put_varint_field(out, 1, h.count);
            put_bounds(out, h.sum, h.schema, h.zero_threshold);
            put_varint_field(out, 6, h.zero_count);
            put_spans(out, 8, &h.negative_spans);
            put_packed_sint64(out, 9, &h.negative_deltas);
            put_spans(out, 11, &h.positive_spans);
            put_packed_sint64(out, 12, &h.positive_deltas);
            put_end(out, h.counter_reset_hint, timestamp_ms, &h.custom_values);
        }
        HistogramValue::Float(h) => {
            put_double(out, 2, h.count);
            put_bounds(out, h.sum, h.schema, h.zero_threshold);
            put_double(out, 7, h.zero_count);
            put_spans(out, 8, &h.negative_spans);
            put_packed_doubles(out, 10, &h.negative_buckets);
            put_spans(out, 11, &h.positive_spans);
            put_packed_doubles(out, 13, &h.positive_buckets);
            put_end(out, h.counter_reset_hint, timestamp_ms, &h.custom_values);
        }
    }
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
