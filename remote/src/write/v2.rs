//! Protocol 2.0.
//!
//! ```text
//! Request    { 4 repeated string symbols, 5 repeated TimeSeries }
//! TimeSeries { 1 repeated uint32 labels_refs, 2 repeated Sample, 3 repeated Histogram, 4 repeated Exemplar,
//!              5 Metadata }
//! Metadata   { 1 type, 3 help_ref, 4 unit_ref }
//! ```
//!
//! `labels_refs` are indexes into the symbols: name, value, name, value. They mean nothing outside of their
//! request, so the cache's key is made of the texts.

use model::labels::Labels;
use model::metadata::MetricType;

use super::decode::{LabelsError, RawMetadata, Series, Symbols, label_set};
use crate::wire::{Field, Fields, WireError};

/// Finds the parts of a `TimeSeries`.
pub(super) fn series<'a>(message: &'a [u8], series: &mut Series<'a>) -> Result<(), WireError> {
    series.clear();
    let mut fields = Fields::new(message);
    loop {
        let start = message.len() - fields.remaining();
        let Some((number, field)) = fields.take_field()? else { return Ok(()) };
        match number {
            1 => series.add_labels(message, start..message.len() - fields.remaining()),
            2 => series.samples.push(field.bytes(number)?),
            3 => series.histograms.push(field.bytes(number)?),
            4 => series.exemplars.push(field.bytes(number)?),
            5 => series.metadata = Some(field.bytes(number)?),
            _ => {}
        }
    }
}

/// Visits the names and values, in turn, that fields of `labels_refs` refer to.
fn visit_texts<'s>(
    ref_fields: &[u8],
    symbols: &Symbols<'s>,
    visit: &mut dyn FnMut(&'s str),
) -> Result<(), WireError> {
    let (mut count, mut outside) = (0, None);
    let mut fields = Fields::new(ref_fields);
    while let Some((number, field)) = fields.take_field()? {
        field.repeated_varint(number, &mut |symbol| {
            match usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol)) {
                Some(text) => visit(text),
                None => outside = outside.or(Some(WireError::Symbol(count, symbol as u32, symbols.len()))),
            }
            count += 1;
        })?;
    }
    match outside {
        Some(error) => Err(error),
        None if count % 2 != 0 => Err(WireError::LabelRefs(count)),
        None => Ok(()),
    }
}

/// Decodes a `Metadata`.
pub(super) fn metadata<'s>(message: &[u8], symbols: &Symbols<'s>) -> Result<RawMetadata<'s>, WireError> {
    let text = |field: Field<'_>, number| {
        let symbol = field.varint(number)?;
        let found = usize::try_from(symbol).ok().and_then(|i| symbols.get(i));
        found.copied().ok_or(WireError::Symbol(0, symbol as u32, symbols.len()))
    };
    let mut metadata = RawMetadata::default();
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => metadata.metric_type = MetricType::of_number(field.varint(number)?),
            3 => metadata.help = text(field, number)?,
            4 => metadata.unit = text(field, number)?,
            _ => {}
        }
    }
    Ok(metadata)
}

/// Decodes fields of `labels_refs`.
pub(super) fn labels(ref_fields: &[u8], symbols: &Symbols<'_>) -> Result<Labels, LabelsError> {
    let mut texts = Vec::new();
    visit_texts(ref_fields, symbols, &mut |text| texts.push(text))?;
    let mut pairs: Vec<(&str, &str)> = texts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    label_set(&mut pairs)
}

/// Writes what the cache's key is made of: the texts, each after its length.
pub(super) fn key_bytes(
    ref_fields: &[u8],
    symbols: &Symbols<'_>,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    out.clear();
    visit_texts(ref_fields, symbols, &mut |text| {
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    })
}
