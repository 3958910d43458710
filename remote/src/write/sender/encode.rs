//! Requests as bytes: protocol 1.0 and 2.0, compressed.
//!
//! ```text
//! 1.0   WriteRequest { 1 repeated TimeSeries, 3 repeated MetricMetadata }
//!       TimeSeries { 1 repeated Label, 2 Sample, 3 Exemplar, 4 Histogram }
//!       MetricMetadata { 1 type, 2 metric_family_name, 4 help, 5 unit }
//! 2.0   Request { 4 repeated string symbols, 5 repeated TimeSeries }
//!       TimeSeries { 1 packed labels_refs, 2 Sample, 3 Histogram, 4 Exemplar, 5 Metadata }
//!       Metadata { 1 type, 3 help_ref, 4 unit_ref }
//! both  Exemplar { 1 labels, 2 value, 3 timestamp }; Label, Sample, Histogram: see `message`
//! ```
//!
//! As in the reference, every sample is a series of its own in the request; its exemplars are with it. The buffers
//! are used again and again; a request costs no allocation for a series, but for the table of 2.0's symbols.

use bytes::Bytes;
use hashbrown::HashMap;
use model::labels::Labels;
use model::metadata::Metadata;

use super::item::{Item, SentExemplar, Value};
use super::metadata::Families;
use crate::message::{put_histogram, put_labels, put_sample};
use crate::protobuf::{put_bytes, put_double, put_message, put_varint, put_varint_field, varint_bytes};
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
        self.put_metadata_v1(families);
        compress(&self.message)
    }

    /// A compressed request with both.
    pub(super) fn all(&mut self, version: Version, items: &[Item], families: &[(String, Metadata)]) -> Bytes {
        self.message.clear();
        match version {
            Version::V1 => {
                items.iter().for_each(|item| self.put_series_v1(item));
                self.put_metadata_v1(families);
            }
            Version::V2 => self.put_request_v2(items, &Families::new(families.to_vec())),
        }
        compress(&self.message)
    }

    fn put_metadata_v1(&mut self, families: &[(String, Metadata)]) {
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
    }

    fn put_series_v1(&mut self, item: &Item) {
        self.series.clear();
        put_labels(&mut self.series, &item.labels);
        self.put_value(item, 4);
        for exemplar in &item.exemplars {
            self.part.clear();
            put_labels(&mut self.part, &exemplar.labels);
            self.end_exemplar(exemplar, 3);
        }
        put_bytes(&mut self.message, 1, &self.series);
    }

    /// Adds what the item holds to its series: a sample, or a histogram, whose field the versions number
    /// differently.
    fn put_value(&mut self, item: &Item, histogram_field: u32) {
        self.part.clear();
        let field = match &item.value {
            Value::Float(value) => {
                put_sample(&mut self.part, *value, item.timestamp_ms);
                2
            }
            Value::Histogram(histogram) => {
                put_histogram(&mut self.part, histogram, item.timestamp_ms);
                histogram_field
            }
        };
        put_bytes(&mut self.series, field, &self.part);
    }

    /// Adds an exemplar, whose labels are written already, to its series.
    fn end_exemplar(&mut self, exemplar: &SentExemplar, field: u32) {
        put_double(&mut self.part, 2, exemplar.value);
        put_varint_field(&mut self.part, 3, exemplar.timestamp_ms.cast_unsigned());
        put_bytes(&mut self.series, field, &self.part);
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
        self.put_value(item, 3);
        for exemplar in &item.exemplars {
            self.part.clear();
            symbols.put_refs(&mut self.part, &exemplar.labels);
            self.end_exemplar(exemplar, 4);
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
