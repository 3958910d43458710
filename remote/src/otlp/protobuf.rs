//! Messages from protobuf.
//!
//! ```text
//! Request            { 1 repeated ResourceMetrics }
//! ResourceMetrics    { 1 Resource, 2 repeated ScopeMetrics, 3 schema_url }
//! Resource           { 1 repeated KeyValue attributes }
//! ScopeMetrics       { 1 Scope, 2 repeated Metric, 3 schema_url }
//! Scope              { 1 name, 2 version, 3 repeated KeyValue attributes }
//! Metric             { 1 name, 2 description, 3 unit,
//!                      5 gauge | 7 sum | 9 histogram | 10 exponential_histogram | 11 summary }
//! Points             { 1 repeated point, 2 enum aggregation_temporality, 3 bool is_monotonic }
//! NumberPoint        { 2 fixed64 start, 3 fixed64 time, 4 double | 6 sfixed64, 5 repeated Exemplar,
//!                      7 repeated KeyValue, 8 uint32 flags }
//! HistogramPoint     { 2 start, 3 time, 4 fixed64 count, 5 optional double sum, 6 repeated fixed64 bucket_counts,
//!                      7 repeated double explicit_bounds, 8 repeated Exemplar, 9 repeated KeyValue, 10 flags }
//! ExponentialPoint   { 1 repeated KeyValue, 2 start, 3 time, 4 fixed64 count, 5 optional double sum,
//!                      6 sint32 scale, 7 fixed64 zero_count, 8 positive, 9 negative, 10 flags,
//!                      11 repeated Exemplar, 14 double zero_threshold }
//! Buckets            { 1 sint32 offset, 2 repeated uint64 bucket_counts }
//! SummaryPoint       { 2 start, 3 time, 4 fixed64 count, 5 double sum, 6 repeated Quantile,
//!                      7 repeated KeyValue, 8 flags }
//! Quantile           { 1 double quantile, 2 double value }
//! Exemplar           { 2 fixed64 time, 3 double | 6 sfixed64, 4 bytes span_id, 5 bytes trace_id,
//!                      7 repeated KeyValue }
//! KeyValue           { 1 key, 2 AnyValue }
//! AnyValue           { 1 string | 2 bool | 3 int64 | 4 double | 5 { 1 repeated AnyValue }
//!                    | 6 { 1 repeated KeyValue } | 7 bytes }
//! ```

use std::fmt::Write;

use super::message::{
    Buckets, Exemplar, ExponentialPoint, HistogramPoint, KeyValue, Metric, NumberPoint, Points, Quantile,
    Request, Resource, ResourceMetrics, Scope, ScopeMetrics, SummaryPoint, Temporality, Value,
};
use crate::wire::{Field, Fields, WireError};

/// How deep lists and maps of attributes may lie in each other; the bound of JSON's parser.
const VALUE_DEPTH_MAX: usize = 64;

/// Why a message can't be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("attribute values are nested more than {VALUE_DEPTH_MAX} deep")]
    Depth,
    #[error("decoding the request takes too much memory")]
    Memory,
}

/// What decoding may still take. A message without fields is two bytes long and becomes a hundred times as many,
/// so the body's length alone says too little.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: usize,
    depth: usize,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Budget { bytes, depth: 0 }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(DecodeError::Memory)?;
        Ok(())
    }
}

/// A message whose fields are set one by one.
pub(super) trait Message: Default {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError>;
}

/// Decodes a message.
pub(super) fn decode<M: Message>(bytes: &[u8], budget: &mut Budget) -> Result<M, DecodeError> {
    let mut message = M::default();
    merge(&mut message, bytes, budget)?;
    Ok(message)
}

/// Sets the fields of a message that may have some already: protobuf lets it come in parts.
fn merge<M: Message>(message: &mut M, bytes: &[u8], budget: &mut Budget) -> Result<(), DecodeError> {
    let mut fields = Fields::new(bytes);
    while let Some((number, field)) = fields.take_field()? {
        message.set(number, field, budget)?;
    }
    Ok(())
}

fn push<M: Message>(
    list: &mut Vec<M>,
    number: u32,
    field: Field<'_>,
    budget: &mut Budget,
) -> Result<(), DecodeError> {
    budget.take(size_of::<M>())?;
    list.push(decode(field.bytes(number)?, budget)?);
    Ok(())
}

fn text(number: u32, field: Field<'_>, budget: &mut Budget) -> Result<String, DecodeError> {
    let text = field.text(number)?;
    budget.take(text.len())?;
    Ok(text.to_owned())
}

fn hex(number: u32, field: Field<'_>, budget: &mut Budget) -> Result<String, DecodeError> {
    let bytes = field.bytes(number)?;
    budget.take(2 * bytes.len())?;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text doesn't fail.
        let _ = write!(text, "{byte:02x}");
    }
    // An id of zeros is none.
    Ok(if bytes.iter().all(|byte| *byte == 0) { String::new() } else { text })
}

fn flags(number: u32, field: Field<'_>) -> Result<u32, DecodeError> {
    // Only the lowest bit means anything.
    Ok(field.varint(number)? as u32)
}

impl Message for Request {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        if number == 1 {
            push(&mut self.resource_metrics, number, field, budget)?;
        }
        Ok(())
    }
}

impl Message for ResourceMetrics {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => merge(&mut self.resource, field.bytes(number)?, budget),
            2 => push(&mut self.scope_metrics, number, field, budget),
            _ => Ok(()),
        }
    }
}

impl Message for Resource {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        if number == 1 {
            push(&mut self.attributes, number, field, budget)?;
        }
        Ok(())
    }
}

impl Message for ScopeMetrics {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => merge(&mut self.scope, field.bytes(number)?, budget)?,
            2 => push(&mut self.metrics, number, field, budget)?,
            3 => self.schema_url = text(number, field, budget)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Scope {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => self.name = text(number, field, budget)?,
            2 => self.version = text(number, field, budget)?,
            3 => push(&mut self.attributes, number, field, budget)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Metric {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => self.name = text(number, field, budget)?,
            2 => self.description = text(number, field, budget)?,
            3 => self.unit = text(number, field, budget)?,
            5 => merge(self.gauge.get_or_insert_default(), field.bytes(number)?, budget)?,
            7 => merge(self.sum.get_or_insert_default(), field.bytes(number)?, budget)?,
            9 => merge(self.histogram.get_or_insert_default(), field.bytes(number)?, budget)?,
            10 => merge(self.exponential_histogram.get_or_insert_default(), field.bytes(number)?, budget)?,
            11 => merge(self.summary.get_or_insert_default(), field.bytes(number)?, budget)?,
            _ => {}
        }
        Ok(())
    }
}

impl<P: Message> Message for Points<P> {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => push(&mut self.data_points, number, field, budget)?,
            2 => self.aggregation_temporality = Temporality::of_number(field.varint(number)?),
            3 => self.is_monotonic = field.varint(number)? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl Message for NumberPoint {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            2 => self.start_time_unix_nano = field.fixed64(number)?,
            3 => self.time_unix_nano = field.fixed64(number)?,
            4 => self.as_double = Some(field.double(number)?),
            5 => push(&mut self.exemplars, number, field, budget)?,
            6 => self.as_int = Some(field.fixed64(number)?.cast_signed()),
            7 => push(&mut self.attributes, number, field, budget)?,
            8 => self.flags = flags(number, field)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for HistogramPoint {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            2 => self.start_time_unix_nano = field.fixed64(number)?,
            3 => self.time_unix_nano = field.fixed64(number)?,
            4 => self.count = field.fixed64(number)?,
            5 => self.sum = Some(field.double(number)?),
            6 => field.repeated_fixed64(number, &mut self.bucket_counts)?,
            7 => field.repeated_double(number, &mut self.explicit_bounds)?,
            8 => push(&mut self.exemplars, number, field, budget)?,
            9 => push(&mut self.attributes, number, field, budget)?,
            10 => self.flags = flags(number, field)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for ExponentialPoint {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => push(&mut self.attributes, number, field, budget)?,
            2 => self.start_time_unix_nano = field.fixed64(number)?,
            3 => self.time_unix_nano = field.fixed64(number)?,
            4 => self.count = field.fixed64(number)?,
            5 => self.sum = Some(field.double(number)?),
            6 => self.scale = field.sint32(number)?,
            7 => self.zero_count = field.fixed64(number)?,
            8 => merge(&mut self.positive, field.bytes(number)?, budget)?,
            9 => merge(&mut self.negative, field.bytes(number)?, budget)?,
            10 => self.flags = flags(number, field)?,
            11 => push(&mut self.exemplars, number, field, budget)?,
            14 => self.zero_threshold = field.double(number)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Buckets {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => self.offset = field.sint32(number)?,
            2 => {
                let before = self.bucket_counts.len();
                field.repeated_varint(number, &mut |count| self.bucket_counts.push(count))?;
                // Counts of a byte become eight.
                budget.take((self.bucket_counts.len() - before) * size_of::<u64>())?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl Message for SummaryPoint {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            3 => self.time_unix_nano = field.fixed64(number)?,
            4 => self.count = field.fixed64(number)?,
            5 => self.sum = field.double(number)?,
            6 => push(&mut self.quantile_values, number, field, budget)?,
            7 => push(&mut self.attributes, number, field, budget)?,
            8 => self.flags = flags(number, field)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Quantile {
    fn set(&mut self, number: u32, field: Field<'_>, _: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => self.quantile = field.double(number)?,
            2 => self.value = field.double(number)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Exemplar {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            2 => self.time_unix_nano = field.fixed64(number)?,
            3 => self.as_double = Some(field.double(number)?),
            4 => self.span_id = hex(number, field, budget)?,
            5 => self.trace_id = hex(number, field, budget)?,
            6 => self.as_int = Some(field.fixed64(number)?.cast_signed()),
            7 => push(&mut self.filtered_attributes, number, field, budget)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for KeyValue {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        match number {
            1 => self.key = text(number, field, budget)?,
            2 => merge(&mut self.value, field.bytes(number)?, budget)?,
            _ => {}
        }
        Ok(())
    }
}

impl Message for Value {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        *self = match number {
            1 => Value::Text(text(number, field, budget)?),
            2 => Value::Bool(field.varint(number)? != 0),
            3 => Value::Int(field.int64(number)?),
            4 => Value::Double(field.double(number)?),
            5 => nested::<List>(field.bytes(number)?, budget)?.into(),
            6 => nested::<Map>(field.bytes(number)?, budget)?.into(),
            7 => {
                let bytes = field.bytes(number)?;
                budget.take(bytes.len())?;
                Value::Bytes(bytes.to_vec())
            }
            _ => return Ok(()),
        };
        Ok(())
    }
}

fn nested<M: Message>(bytes: &[u8], budget: &mut Budget) -> Result<M, DecodeError> {
    budget.depth += 1;
    if budget.depth > VALUE_DEPTH_MAX {
        return Err(DecodeError::Depth);
    }
    let message = decode(bytes, budget)?;
    budget.depth -= 1;
    Ok(message)
}

#[derive(Default)]
struct List(Vec<Value>);

impl Message for List {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        if number == 1 {
            push(&mut self.0, number, field, budget)?;
        }
        Ok(())
    }
}

impl From<List> for Value {
    fn from(list: List) -> Self {
        Value::List(list.0)
    }
}

#[derive(Default)]
struct Map(Vec<KeyValue>);

impl Message for Map {
    fn set(&mut self, number: u32, field: Field<'_>, budget: &mut Budget) -> Result<(), DecodeError> {
        if number == 1 {
            push(&mut self.0, number, field, budget)?;
        }
        Ok(())
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Value::Map(map.0.into_iter().map(|pair| (pair.key, pair.value)).collect())
    }
}
