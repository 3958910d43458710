//! What both versions of the protocol have in common: where the parts of a series stand in a request.

use model::exemplar::Exemplar;
use model::labels::Labels;
use model::metadata::{Metadata, MetricType};

use crate::wire::{Fields, WireError};

/// The symbols of a 2.0 request; empty for 1.0.
pub(super) type Symbols<'a> = [&'a str];

/// One series of a request, with its parts still encoded.
#[derive(Debug, Default)]
pub(super) struct Series<'a> {
    /// The labels as they stand in the request: what the cache's key is made of.
    pub(super) labels: LabelBytes<'a>,
    /// Messages of type `Sample`.
    pub(super) samples: Vec<&'a [u8]>,
    /// Messages of type `Histogram`.
    pub(super) histograms: Vec<&'a [u8]>,
    /// Messages of type `Exemplar`.
    pub(super) exemplars: Vec<&'a [u8]>,
    /// The message of type `Metadata` (2.0).
    pub(super) metadata: Option<&'a [u8]>,
}

/// The labels of a series as they stand in a request.
#[derive(Debug)]
pub(super) enum LabelBytes<'a> {
    /// All of them in a row, tags and lengths included.
    Row(&'a [u8]),
    /// With other fields between them; copied together.
    Scattered(Vec<u8>),
}

impl Default for LabelBytes<'_> {
    fn default() -> Self {
        LabelBytes::Row(&[])
    }
}

impl LabelBytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            LabelBytes::Row(bytes) => bytes,
            LabelBytes::Scattered(bytes) => bytes,
        }
    }
}

impl<'a> Series<'a> {
    /// Empties the series and keeps its buffers.
    pub(super) fn clear(&mut self) {
        self.labels = LabelBytes::default();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata = None;
    }

    /// Adds a field of labels, whose encoding is `bytes` at offset `at` of `message`.
    pub(super) fn add_labels(&mut self, message: &'a [u8], at: std::ops::Range<usize>) {
        let bytes = &message[at.clone()];
        self.labels = match std::mem::take(&mut self.labels) {
            LabelBytes::Row([]) => LabelBytes::Row(bytes),
            LabelBytes::Row(row) if std::ptr::eq(row.as_ptr_range().end, bytes.as_ptr()) => {
                LabelBytes::Row(&message[at.start - row.len()..at.end])
            }
            LabelBytes::Row(row) => LabelBytes::Scattered([row, bytes].concat()),
            LabelBytes::Scattered(mut copied) => {
                copied.extend_from_slice(bytes);
                LabelBytes::Scattered(copied)
            }
        };
    }
}

/// Why labels can't be used, beside their encoding.
#[derive(Debug, PartialEq)]
pub(super) enum LabelsError {
    /// They can't be read.
    Wire(WireError),
    /// They can, but name no series.
    Invalid(String),
}

impl From<WireError> for LabelsError {
    fn from(error: WireError) -> Self {
        LabelsError::Wire(error)
    }
}

/// Makes a label set of pairs in any order, empty values left out.
pub(super) fn label_set(pairs: &mut [(&str, &str)]) -> Result<Labels, LabelsError> {
    pairs.sort_unstable();
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(LabelsError::Invalid(format!("label name {:?} is not unique", twice[0].0)));
    }
    Ok(Labels::from_sorted_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()).copied()))
}

/// `Exemplar{1 labels, 2 double value, 3 int64 timestamp}`; the labels are given to `add_label`.
pub(super) fn exemplar(
    message: &[u8],
    labels_of: &mut dyn FnMut(&[u8]) -> Result<Labels, LabelsError>,
) -> Result<Exemplar, LabelsError> {
    let (mut value, mut timestamp_ms, mut label_fields) = (0.0, 0, Vec::new());
    let mut fields = Fields::new(message);
    loop {
        let start = message.len() - fields.remaining();
        let Some((number, field)) = fields.take_field()? else { break };
        match number {
            1 => label_fields.extend_from_slice(&message[start..message.len() - fields.remaining()]),
            2 => value = field.double(number)?,
            3 => timestamp_ms = field.int64(number)?,
            _ => {}
        }
    }
    Ok(Exemplar { labels: labels_of(&label_fields)?, value, timestamp_ms: Some(timestamp_ms) })
}

/// Metadata whose texts are those of the request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawMetadata<'a> {
    pub(super) metric_type: MetricType,
    pub(super) help: &'a str,
    pub(super) unit: &'a str,
}

impl RawMetadata<'_> {
    pub(super) fn to_metadata(self) -> Metadata {
        let RawMetadata { metric_type, help, unit } = self;
        Metadata { metric_type, help: help.to_owned(), unit: unit.to_owned() }
    }
}
