//! The records of Prometheus's logs.
//!
//! ```text
//! record  type u8, then
//!  1 series       (ref u64 │ labels)*
//!  2 samples      ref u64 │ time i64 │ (ref varint │ time varint │ value u64)*      differences to the first
//!  3 tombstones   (ref u64 │ min time varint │ max time varint)*
//!  4 exemplars    ref u64 │ time i64 │ (ref varint │ time varint │ value u64 │ labels)*
//!  5 mmap markers (ref u64 │ place u64)*                                            of the out-of-order log
//!  6 metadata     (ref uvarint │ type u8 │ count uvarint │ (name text │ value text)*)*     names UNIT and HELP
//!  7  8           histograms with integer, float counts: as samples, a histogram each instead of a value
//!  9 10           the same with custom buckets
//! 11 12 13        samples, integer and float histograms with start times:
//!                   ref varint │ time varint │ start varint │ value
//!                   (ref varint, difference to the one before │ time varint, to the first │ start │ value)*
//! 14              min valid time: in checkpoints, i64
//!
//! labels     count uvarint │ (name text │ value text)*
//! start      0: not known │ 1: as the one before │ 2: varint, difference to the first
//! histogram  hint u8 │ schema varint │ zero threshold u64 │ zero count │ count │ sum u64
//!            │ spans, positive │ spans, negative │ buckets, positive │ buckets, negative
//!            │ custom values, if the schema is −53: count uvarint, u64 each
//! spans      count uvarint │ (offset varint │ length uvarint)*
//! counts     integer: uvarint, buckets as differences: varint │ float: u64
//! buckets    count uvarint │ counts
//! ```
//!
//! u64 and i64 are big-endian, values are the bits of floats. Source: tsdb/record of Prometheus 3.14, which
//! skips types that it doesn't know, as is done here.

use model::histogram::{CUSTOM_BUCKETS_SCHEMA, EXPONENTIAL_SCHEMA_MAX, is_known_schema};
use model::labels::Labels;
use model::metadata::{Metadata, MetricType};
use model::storage::HistogramValue;
use model::time::TimestampMs;

use crate::block::tombstones::Interval;
use crate::codec::{Cursor, DecodeError};
use crate::wal::histogram::{Counts, hint_of, read_body};

/// What a record says, one thing at a time. Series go by Prometheus's refs.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The labels that a ref stands for.
    Series(u64, Labels),
    /// A float sample.
    Float(u64, TimestampMs, f64),
    /// A histogram sample.
    Histogram(u64, TimestampMs, Box<HistogramValue>),
    /// A deleted interval.
    Tombstone(u64, Interval),
    /// An exemplar: its series, its labels, when, what.
    Exemplar(u64, Labels, TimestampMs, f64),
    /// What is known of a series' family.
    Metadata(u64, Metadata),
}

/// Reads a record. After an error the entries before it were visited.
pub fn read(record: &[u8], visit: &mut impl FnMut(Entry)) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(record);
    let kind = cursor.u8()?;
    match kind {
        1 => read_series(&mut cursor, visit),
        2 => based(&mut cursor, |cursor, series, time| {
            visit(Entry::Float(series, time, cursor.f64()?));
            Ok(())
        }),
        3 => read_tombstones(&mut cursor, visit),
        4 => based(&mut cursor, |cursor, series, time| {
            let value = cursor.f64()?;
            visit(Entry::Exemplar(series, labels(cursor)?, time, value));
            Ok(())
        }),
        6 => read_metadata(&mut cursor, visit),
        7 | 9 => based(&mut cursor, |cursor, series, time| {
            emit(series, time, histogram(cursor, Counts::Integer)?, cursor, visit)
        }),
        8 | 10 => based(&mut cursor, |cursor, series, time| {
            emit(series, time, histogram(cursor, Counts::Float)?, cursor, visit)
        }),
        11 => chained(&mut cursor, |cursor, series, time| {
            visit(Entry::Float(series, time, cursor.f64()?));
            Ok(())
        }),
        12 => chained(&mut cursor, |cursor, series, time| {
            emit(series, time, histogram(cursor, Counts::Integer)?, cursor, visit)
        }),
        13 => chained(&mut cursor, |cursor, series, time| {
            emit(series, time, histogram(cursor, Counts::Float)?, cursor, visit)
        }),
        // Markers say which out-of-order samples are in chunk files as well; a sample that is found twice is
        // written once. Samples before the min valid time are in blocks, and are found there.
        _ => Ok(()),
    }
}

fn read_series(cursor: &mut Cursor<'_>, visit: &mut impl FnMut(Entry)) -> Result<(), DecodeError> {
    while !cursor.is_empty() {
        visit(Entry::Series(cursor.u64()?, labels(cursor)?));
    }
    Ok(())
}

fn read_tombstones(cursor: &mut Cursor<'_>, visit: &mut impl FnMut(Entry)) -> Result<(), DecodeError> {
    while !cursor.is_empty() {
        let series = cursor.u64()?;
        visit(Entry::Tombstone(series, Interval { mint: cursor.varint()?, maxt: cursor.varint()? }));
    }
    Ok(())
}

fn read_metadata(cursor: &mut Cursor<'_>, visit: &mut impl FnMut(Entry)) -> Result<(), DecodeError> {
    while !cursor.is_empty() {
        let series = cursor.uvarint()?;
        let metric_type = MetricType::of_number(cursor.u8()?.into());
        let mut metadata = Metadata { metric_type, ..Metadata::default() };
        for _ in 0..cursor.uvarint()? {
            match (cursor.text()?, cursor.text()?) {
                ("UNIT", unit) => unit.clone_into(&mut metadata.unit),
                ("HELP", help) => help.clone_into(&mut metadata.help),
                _ => {}
            }
        }
        visit(Entry::Metadata(series, metadata));
    }
    Ok(())
}

fn labels(cursor: &mut Cursor<'_>) -> Result<Labels, DecodeError> {
    let pairs = cursor.list(|cursor| Ok((cursor.text()?, cursor.text()?)))?;
    // As Prometheus writes them; whatever else is there has to be sorted.
    let sorted = pairs.is_sorted_by(|a, b| a.0 < b.0) && pairs.iter().all(|(_, value)| !value.is_empty());
    Ok(if sorted { Labels::from_sorted_pairs(pairs) } else { Labels::from_pairs(pairs) })
}

/// Reads elements whose refs and times are differences to the first.
fn based<'a>(
    cursor: &mut Cursor<'a>,
    mut element: impl FnMut(&mut Cursor<'a>, u64, TimestampMs) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if cursor.is_empty() {
        return Ok(());
    }
    let (first, first_time) = (cursor.u64()?, cursor.i64()?);
    while !cursor.is_empty() {
        let series = first.wrapping_add_signed(cursor.varint()?);
        let time = first_time.wrapping_add(cursor.varint()?);
        element(cursor, series, time)?;
    }
    Ok(())
}

/// Reads elements with start times, whose refs are differences to the element before.
fn chained<'a>(
    cursor: &mut Cursor<'a>,
    mut element: impl FnMut(&mut Cursor<'a>, u64, TimestampMs) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    const EXPLICIT_START: u8 = 2;
    if cursor.is_empty() {
        return Ok(());
    }
    let mut series = cursor.varint()? as u64;
    let first_time = cursor.varint()?;
    cursor.varint()?;
    element(cursor, series, first_time)?;
    while !cursor.is_empty() {
        series = series.wrapping_add_signed(cursor.varint()?);
        let time = first_time.wrapping_add(cursor.varint()?);
        if cursor.u8()? >= EXPLICIT_START {
            cursor.varint()?;
        }
        element(cursor, series, time)?;
    }
    Ok(())
}

/// Hands on a histogram, at the finest resolution that there is a chunk for, as Prometheus does. One whose
/// schema nobody knows is skipped.
fn emit(
    series: u64,
    time: TimestampMs,
    mut value: HistogramValue,
    cursor: &Cursor<'_>,
    visit: &mut impl FnMut(Entry),
) -> Result<(), DecodeError> {
    let schema = match &value {
        HistogramValue::Integer(histogram) => histogram.schema,
        HistogramValue::Float(histogram) => histogram.schema,
    };
    if !is_known_schema(schema) {
        return Ok(());
    }
    if schema > EXPONENTIAL_SCHEMA_MAX {
        let reduced = match &mut value {
            HistogramValue::Integer(histogram) => histogram.reduce_resolution(EXPONENTIAL_SCHEMA_MAX),
            HistogramValue::Float(histogram) => histogram.reduce_resolution(EXPONENTIAL_SCHEMA_MAX),
        };
        reduced.map_err(|_| cursor.error("histogram spans that overlap"))?;
    }
    visit(Entry::Histogram(series, time, Box::new(value)));
    Ok(())
}

fn histogram(cursor: &mut Cursor<'_>, counts: Counts) -> Result<HistogramValue, DecodeError> {
    let hint = hint_of(cursor.u8()?);
    read_body(cursor, hint, counts, |cursor, schema| match schema {
        CUSTOM_BUCKETS_SCHEMA => cursor.list(Cursor::f64),
        _ => Ok(Vec::new()),
    })
}
