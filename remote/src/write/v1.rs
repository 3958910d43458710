//! Protocol 1.0.
//!
//! ```text
//! WriteRequest { 1 repeated TimeSeries, 3 repeated MetricMetadata }
//! TimeSeries   { 1 repeated Label, 2 repeated Sample, 3 repeated Exemplar, 4 repeated Histogram }
//! Label        { 1 string name, 2 string value }
//! MetricMetadata { 1 type, 2 metric_family_name, 4 help, 5 unit }
//! ```
//!
//! Metadata of this version belongs to no series: it goes for all of its family.

use model::labels::Labels;
use model::metadata::{MetricFamily, MetricType};

use super::decode::{LabelsError, RawMetadata, Series, label_set};
use crate::message::label;
use crate::wire::{Fields, WireError};

/// Number of the field of a request that is metadata.
pub(super) const METADATA_FIELD: u32 = 3;

/// Finds the parts of a `TimeSeries`.
#[inline]
pub(super) fn series<'a>(message: &'a [u8], series: &mut Series<'a>) -> Result<(), WireError> {
    series.clear();
    let mut fields = Fields::new(message);
    loop {
        let start = message.len() - fields.remaining();
        let Some((number, field)) = fields.take_field()? else { return Ok(()) };
        match number {
            1 => {
                field.bytes(number)?;
                series.add_labels(message, start..message.len() - fields.remaining());
            }
            2 => series.samples.push(field.bytes(number)?),
            3 => series.exemplars.push(field.bytes(number)?),
            4 => series.histograms.push(field.bytes(number)?),
            _ => {}
        }
    }
}

/// Decodes a `MetricMetadata`.
pub(super) fn family(message: &[u8]) -> Result<MetricFamily, WireError> {
    let (mut name, mut metadata) = ("", RawMetadata::default());
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => metadata.metric_type = MetricType::of_number(field.varint(number)?),
            2 => name = field.text(number)?,
            4 => metadata.help = field.text(number)?,
            5 => metadata.unit = field.text(number)?,
            _ => {}
        }
    }
    Ok(MetricFamily { name: name.to_owned(), metadata: metadata.to_metadata() })
}

/// Decodes fields of type `Label`.
pub(super) fn labels(label_fields: &[u8]) -> Result<Labels, LabelsError> {
    let mut pairs = Vec::new();
    let mut fields = Fields::new(label_fields);
    while let Some((number, field)) = fields.take_field()? {
        pairs.push(label(field.bytes(number)?)?);
    }
    label_set(&mut pairs)
}
