//! Protocol 1.0.
//!
//! ```text
//! WriteRequest { 1 repeated TimeSeries, 3 repeated MetricMetadata }
//! TimeSeries   { 1 repeated Label, 2 repeated Sample, 3 repeated Exemplar, 4 repeated Histogram }
//! Label        { 1 string name, 2 string value }
//! ```
//!
//! Metadata of this version belongs to no series and is passed over, as in the reference.

use model::labels::Labels;

use super::decode::{LabelsError, Series, label_set};
use crate::message::label;
use crate::wire::{Fields, WireError};

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

/// Decodes fields of type `Label`.
pub(super) fn labels(label_fields: &[u8]) -> Result<Labels, LabelsError> {
    let mut pairs = Vec::new();
    let mut fields = Fields::new(label_fields);
    while let Some((number, field)) = fields.take_field()? {
        pairs.push(label(field.bytes(number)?)?);
    }
    label_set(&mut pairs)
}
