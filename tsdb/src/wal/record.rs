//! Records: what one commit writes, as sections, each of one kind and one shard.
//!
//! ```text
//! record   section*
//! section  kind u8 │ shard u8 │ len u32 │ body, len bytes
//!
//! series   count │ (id │ generation │ pairs │ (name │ value)*pairs)*        text: see below
//! floats   count │ ids │ timestamps │ values                                also out-of-order ones
//! histograms  count │ (distance of the id to the one before uvarint │ time varint │ histogram)*
//!             also out-of-order ones; see `histogram`
//! truncate    min time varint
//! tombstones  count │ (id uvarint │ min time varint │ max time varint)*
//! gone        as series: they have left the head, for followers
//! metadata    families │ count │ (distance of the id to the one before uvarint │ which family uvarint)*
//! families    count │ (name text │ type u8 │ unit text │ help text)*
//! exemplars   count │ (labels of the series │ labels │ time varint │ value u64)*, labels as in series
//!
//! ids         the first, then the distance of each to the one before: uvarint
//! timestamps  the first: varint │ 1 if all are equal, else 0 and the distance of each to the one before: varint
//! values      runs: control u8 = kind in the upper 2 bits, length − 1 in the lower 6
//!               kind 0: zeros, no bytes │ 1: integers, varint each │ 2: bits u64 each
//! text        in metadata and families: len uvarint │ bytes; else
//!             0 │ len │ bytes, or how many texts of the section ago it was: uvarint
//! all counts uvarint, fixed integers big-endian
//! ```
//!
//! A record is complete in itself: nothing in it is a difference to something outside, so that a record that
//! is lost to damage makes no later one wrong. A replay worker needs only the sections of its shards.

use std::sync::Arc;

use model::labels::Labels;
use model::metadata::{Metadata, MetricFamily, MetricType};
use model::storage::HistogramValue;
use model::time::TimestampMs;

use super::histogram;
use crate::block::tombstones::Interval;
use crate::codec::{Cursor, DecodeError, put_prefixed_bytes, put_uvarint, put_varint};

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum SectionKind {
    /// Label sets of new series.
    Series = 1,
    /// Float samples in order of time.
    Floats = 2,
    /// Float samples out of order.
    OutOfOrderFloats = 3,
    /// Samples before a time have left the head.
    Truncate = 4,
    /// Histogram samples in order of time.
    Histograms = 5,
    /// Histogram samples out of order.
    OutOfOrderHistograms = 6,
    /// Deleted intervals.
    Tombstones = 7,
    /// Exemplars.
    Exemplars = 8,
    /// Series that have left the head, with their labels.
    Gone = 9,
    /// Which families series are of.
    Metadata = 10,
    /// Families that were announced.
    Families = 11,
}

/// A section of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    pub(crate) kind: SectionKind,
    pub(crate) shard: usize,
    pub(crate) body: &'a [u8],
}

/// Bytes of a section before its body.
const SECTION_HEADER_BYTES: usize = 6;

/// Appends a section; `body` appends its body.
pub(crate) fn put_section(
    out: &mut Vec<u8>,
    kind: SectionKind,
    shard: usize,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend([kind as u8, shard as u8, 0, 0, 0, 0]);
    body(out);
    let len = (out.len() - start - SECTION_HEADER_BYTES) as u32;
    out[start + 2..start + SECTION_HEADER_BYTES].copy_from_slice(&len.to_be_bytes());
}

/// The sections of a record. Those of kinds that this version doesn't know are an error.
pub(crate) fn sections(record: &[u8]) -> impl Iterator<Item = Result<Section<'_>, DecodeError>> {
    let mut cursor = Cursor::new(record);
    std::iter::from_fn(move || (!cursor.is_empty()).then(|| read_section(&mut cursor)))
        .scan(false, |failed, section| (!std::mem::replace(failed, section.is_err())).then_some(section))
}

fn read_section<'a>(cursor: &mut Cursor<'a>) -> Result<Section<'a>, DecodeError> {
    let kind = match cursor.u8()? {
        1 => SectionKind::Series,
        2 => SectionKind::Floats,
        3 => SectionKind::OutOfOrderFloats,
        4 => SectionKind::Truncate,
        5 => SectionKind::Histograms,
        6 => SectionKind::OutOfOrderHistograms,
        7 => SectionKind::Tombstones,
        8 => SectionKind::Exemplars,
        9 => SectionKind::Gone,
        10 => SectionKind::Metadata,
        11 => SectionKind::Families,
        _ => return Err(cursor.error("unknown kind of section")),
    };
    let shard = usize::from(cursor.u8()?);
    let len = cursor.u32()? as usize;
    Ok(Section { kind, shard, body: cursor.take(len)? })
}

// ---------------------------------------------------------------------------------------------- series

/// A series' id, generation and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeriesRecord {
    pub(crate) id: u32,
    pub(crate) generation: u16,
    pub(crate) labels: Labels,
}

/// Writes texts, each at full length once.
#[derive(Debug, Default)]
pub(crate) struct TextWriter {
    /// Where a text was written first, counted in texts.
    seen: hashbrown::HashMap<Box<str>, u64>,
}

impl TextWriter {
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, text: &str) {
        let next = self.seen.len() as u64;
        match self.seen.get(text) {
            Some(at) => put_uvarint(out, next - at),
            None => {
                put_uvarint(out, 0);
                put_prefixed_bytes(out, text.as_bytes());
                self.seen.insert(text.into(), next);
            }
        }
    }

    pub(crate) fn put_labels(&mut self, out: &mut Vec<u8>, labels: &Labels) {
        put_uvarint(out, labels.len() as u64);
        for (name, value) in labels {
            self.put(out, name);
            self.put(out, value);
        }
    }
}

/// Reads what a [`TextWriter`] wrote.
#[derive(Debug, Default)]
pub(crate) struct TextReader<'a> {
    seen: Vec<&'a str>,
}

impl<'a> TextReader<'a> {
    pub(crate) fn text(&mut self, cursor: &mut Cursor<'a>) -> Result<&'a str, DecodeError> {
        let back = cursor.uvarint()?;
        if back == 0 {
            let text = cursor.text()?;
            self.seen.push(text);
            return Ok(text);
        }
        let at = usize::try_from(back).ok().and_then(|back| self.seen.len().checked_sub(back));
        at.map(|at| self.seen[at]).ok_or_else(|| cursor.error("text that wasn't there before"))
    }

    pub(crate) fn labels(&mut self, cursor: &mut Cursor<'a>) -> Result<Labels, DecodeError> {
        let count = cursor.uvarint()?;
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for _ in 0..count {
            let pair = (self.text(cursor)?, self.text(cursor)?);
            if pair.1.is_empty() || pairs.last().is_some_and(|last| last.0 >= pair.0) {
                return Err(cursor.error("labels out of order"));
            }
            pairs.push(pair);
        }
        Ok(Labels::from_sorted_pairs(pairs))
    }
}

/// Writes the body of a section of series.
pub(crate) fn put_series<'a>(
    out: &mut Vec<u8>,
    count: usize,
    series: impl Iterator<Item = (u32, u16, &'a Labels)>,
) {
    put_uvarint(out, count as u64);
    let mut texts = TextWriter::default();
    for (id, generation, labels) in series {
        put_uvarint(out, u64::from(id));
        put_uvarint(out, u64::from(generation));
        texts.put_labels(out, labels);
    }
}

/// Reads the body of a section of series, one after the other.
pub(crate) fn read_series(body: &[u8], mut each: impl FnMut(SeriesRecord)) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    let mut texts = TextReader::default();
    for _ in 0..cursor.uvarint()? {
        let id = read_id(&mut cursor)?;
        let generation = u16::try_from(cursor.uvarint()?).map_err(|_| cursor.error("generation"))?;
        each(SeriesRecord { id, generation, labels: texts.labels(&mut cursor)? });
    }
    Ok(())
}

/// Ids above this aren't given out: each takes a record of 64 bytes, so these are 16 GiB of them. A larger
/// one in a file is damage, and doesn't size an allocation.
pub(crate) const ID_MAX: u32 = (1 << 28) - 1;

/// Reads a series id.
pub(crate) fn read_id(cursor: &mut Cursor<'_>) -> Result<u32, DecodeError> {
    let id = cursor.uvarint32()?;
    if id > ID_MAX { Err(cursor.error("series id")) } else { Ok(id) }
}

// ---------------------------------------------------------------------------------------------- floats

/// Float samples as columns, ordered by id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FloatColumns {
    pub(crate) ids: Vec<u32>,
    pub(crate) timestamps: Vec<TimestampMs>,
    pub(crate) values: Vec<f64>,
}

impl FloatColumns {
    #[inline]
    pub(crate) fn push(&mut self, id: u32, timestamp: TimestampMs, value: f64) {
        self.ids.push(id);
        self.timestamps.push(timestamp);
        self.values.push(value);
    }

    pub(crate) fn clear(&mut self) {
        self.ids.clear();
        self.timestamps.clear();
        self.values.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether there is a sample of a series at a time; the samples ascend by both.
    pub(crate) fn has(&self, id: u32, timestamp: TimestampMs) -> bool {
        let from = self.ids.partition_point(|other| *other < id);
        let to = self.ids.partition_point(|other| *other <= id);
        self.timestamps[from..to].binary_search(&timestamp).is_ok()
    }

    /// Keeps the samples for whose id and time the closure says yes.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u32, TimestampMs) -> bool) {
        let mut kept = 0;
        for at in 0..self.len() {
            if keep(self.ids[at], self.timestamps[at]) {
                self.ids[kept] = self.ids[at];
                self.timestamps[kept] = self.timestamps[at];
                self.values[kept] = self.values[at];
                kept += 1;
            }
        }
        self.ids.truncate(kept);
        self.timestamps.truncate(kept);
        self.values.truncate(kept);
    }

    /// The samples in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, TimestampMs, f64)> + '_ {
        let times = self.timestamps.iter().zip(&self.values);
        self.ids.iter().zip(times).map(|(id, (timestamp, value))| (*id, *timestamp, *value))
    }
}

/// Writes the body of a section of float samples.
pub(crate) fn put_floats(out: &mut Vec<u8>, samples: &FloatColumns) {
    put_uvarint(out, samples.len() as u64);
    let mut previous = 0;
    for id in &samples.ids {
        put_uvarint(out, u64::from(id - previous));
        previous = *id;
    }
    put_timestamps(out, &samples.timestamps);
    put_values(out, &samples.values);
}

fn put_timestamps(out: &mut Vec<u8>, timestamps: &[TimestampMs]) {
    let Some((first, rest)) = timestamps.split_first() else { return };
    put_varint(out, *first);
    let equal = rest.iter().all(|timestamp| timestamp == first);
    out.push(u8::from(equal));
    if !equal {
        let mut previous = *first;
        for timestamp in rest {
            put_varint(out, timestamp.wrapping_sub(previous));
            previous = *timestamp;
        }
    }
}

const RUN_LEN_MAX: usize = 64;
const RUN_LEN_BITS: u32 = 6;
const RUN_ZEROS: u8 = 0;
const RUN_INTEGERS: u8 = 1;
const RUN_BITS: u8 = 2;
/// Integers of up to 6 varint bytes: larger ones gain little against 8 bytes of bits.
const INTEGER_MAX: f64 = (1_u64 << 41) as f64;

#[inline]
fn run_kind(value: f64) -> u8 {
    if value.to_bits() == 0 {
        RUN_ZEROS
    } else if value.abs() < INTEGER_MAX && (value as i64 as f64).to_bits() == value.to_bits() {
        RUN_INTEGERS
    } else {
        RUN_BITS
    }
}

fn put_values(out: &mut Vec<u8>, values: &[f64]) {
    let Some(first) = values.first() else { return };
    let (mut kind, mut len, mut control) = (run_kind(*first), 0, out.len());
    out.push(0);
    for value in values {
        let next = run_kind(*value);
        if next != kind || len == RUN_LEN_MAX {
            out[control] = kind << RUN_LEN_BITS | (len - 1) as u8;
            (kind, len, control) = (next, 0, out.len());
            out.push(0);
        }
        len += 1;
        match kind {
            RUN_ZEROS => {}
            RUN_INTEGERS => put_varint(out, *value as i64),
            _ => out.extend_from_slice(&value.to_bits().to_be_bytes()),
        }
    }
    out[control] = kind << RUN_LEN_BITS | (len - 1) as u8;
}

/// Reads the body of a section of float samples, replacing what the columns held.
pub(crate) fn read_floats(body: &[u8], samples: &mut FloatColumns) -> Result<(), DecodeError> {
    samples.clear();
    let mut cursor = Cursor::new(body);
    let count = cursor.uvarint()?;
    let mut id = 0_u32;
    for _ in 0..count {
        let distance = cursor.uvarint32()?;
        id = id.checked_add(distance).filter(|id| *id <= ID_MAX).ok_or_else(|| cursor.error("series id"))?;
        samples.ids.push(id);
    }
    if count == 0 {
        return Ok(());
    }
    // From here on the count is that of bytes that were there.
    read_timestamps(&mut cursor, count as usize, &mut samples.timestamps)?;
    while samples.values.len() < samples.ids.len() {
        read_run(&mut cursor, samples.ids.len() - samples.values.len(), &mut samples.values)?;
    }
    Ok(())
}

fn read_timestamps(
    cursor: &mut Cursor<'_>,
    count: usize,
    out: &mut Vec<TimestampMs>,
) -> Result<(), DecodeError> {
    let mut timestamp = cursor.varint()?;
    if cursor.u8()? == 1 {
        out.resize(count, timestamp);
        return Ok(());
    }
    out.push(timestamp);
    for _ in 1..count {
        timestamp = timestamp.wrapping_add(cursor.varint()?);
        out.push(timestamp);
    }
    Ok(())
}

fn read_run(cursor: &mut Cursor<'_>, most: usize, out: &mut Vec<f64>) -> Result<(), DecodeError> {
    let control = cursor.u8()?;
    let len = usize::from(control & (RUN_LEN_MAX as u8 - 1)) + 1;
    if len > most {
        return Err(cursor.error("more values than samples"));
    }
    match control >> RUN_LEN_BITS {
        RUN_ZEROS => out.resize(out.len() + len, 0.0),
        RUN_INTEGERS => {
            for _ in 0..len {
                out.push(cursor.varint()? as f64);
            }
        }
        RUN_BITS => {
            for _ in 0..len {
                out.push(cursor.f64()?);
            }
        }
        _ => return Err(cursor.error("kind of values")),
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------- histograms

/// A histogram sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistogramRow {
    pub(crate) id: u32,
    pub(crate) timestamp: TimestampMs,
    pub(crate) value: HistogramValue,
}

/// Writes the body of a section of histogram samples, ordered by id.
pub(crate) fn put_histograms(out: &mut Vec<u8>, rows: &[HistogramRow]) {
    put_uvarint(out, rows.len() as u64);
    let mut previous = 0;
    for row in rows {
        put_uvarint(out, u64::from(row.id - previous));
        previous = row.id;
        put_varint(out, row.timestamp);
        histogram::put(out, &row.value);
    }
}

/// Reads the body of a section of histogram samples, replacing what was in `rows`.
pub(crate) fn read_histograms(body: &[u8], rows: &mut Vec<HistogramRow>) -> Result<(), DecodeError> {
    rows.clear();
    let mut cursor = Cursor::new(body);
    let mut id = 0_u32;
    for _ in 0..cursor.uvarint()? {
        let distance = cursor.uvarint32()?;
        id = id.checked_add(distance).filter(|id| *id <= ID_MAX).ok_or_else(|| cursor.error("series id"))?;
        let timestamp = cursor.varint()?;
        rows.push(HistogramRow { id, timestamp, value: histogram::read(&mut cursor)? });
    }
    Ok(())
}

/// The samples of a commit that one shard takes, each list ordered by series and time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardSamples {
    pub(crate) floats: FloatColumns,
    pub(crate) histograms: Vec<HistogramRow>,
    pub(crate) late_floats: FloatColumns,
    pub(crate) late_histograms: Vec<HistogramRow>,
}

impl ShardSamples {
    pub(crate) fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.late_floats.clear();
        self.late_histograms.clear();
    }

    /// Whether a series has a sample.
    pub(crate) fn has(&self, id: u32) -> bool {
        self.floats.ids.binary_search(&id).is_ok()
            || self.late_floats.ids.binary_search(&id).is_ok()
            || self.histograms.binary_search_by_key(&id, |row| row.id).is_ok()
            || self.late_histograms.binary_search_by_key(&id, |row| row.id).is_ok()
    }

    /// Appends a section for each list that isn't empty.
    pub(crate) fn put(&self, out: &mut Vec<u8>, shard: usize) {
        for (kind, samples) in
            [(SectionKind::Floats, &self.floats), (SectionKind::OutOfOrderFloats, &self.late_floats)]
        {
            if !samples.is_empty() {
                put_section(out, kind, shard, |out| put_floats(out, samples));
            }
        }
        for (kind, rows) in [
            (SectionKind::Histograms, &self.histograms),
            (SectionKind::OutOfOrderHistograms, &self.late_histograms),
        ] {
            if !rows.is_empty() {
                put_section(out, kind, shard, |out| put_histograms(out, rows));
            }
        }
    }

    /// Reads a section of samples into its list; `false` if the section is of another kind.
    pub(crate) fn read(&mut self, section: &Section<'_>) -> Result<bool, DecodeError> {
        match section.kind {
            SectionKind::Floats => read_floats(section.body, &mut self.floats)?,
            SectionKind::OutOfOrderFloats => read_floats(section.body, &mut self.late_floats)?,
            SectionKind::Histograms => read_histograms(section.body, &mut self.histograms)?,
            SectionKind::OutOfOrderHistograms => read_histograms(section.body, &mut self.late_histograms)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

// ------------------------------------------------------------------------------------------- exemplars

/// Writes the body of a section of exemplars with the labels of their series.
pub(crate) fn put_exemplars<'a>(
    out: &mut Vec<u8>,
    count: usize,
    exemplars: impl Iterator<Item = (&'a Labels, &'a Labels, TimestampMs, f64)>,
) {
    put_uvarint(out, count as u64);
    let mut texts = TextWriter::default();
    for (series, labels, timestamp, value) in exemplars {
        texts.put_labels(out, series);
        texts.put_labels(out, labels);
        put_varint(out, timestamp);
        out.extend_from_slice(&value.to_bits().to_be_bytes());
    }
}

/// Reads the body of a section of exemplars, one after the other: labels of the series, labels, time, value.
pub(crate) fn read_exemplars(
    body: &[u8],
    mut each: impl FnMut(Labels, Labels, TimestampMs, f64),
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    let mut texts = TextReader::default();
    for _ in 0..cursor.uvarint()? {
        let (series, labels) = (texts.labels(&mut cursor)?, texts.labels(&mut cursor)?);
        each(series, labels, cursor.varint()?, cursor.f64()?);
    }
    Ok(())
}

// -------------------------------------------------------------------------------------------- metadata

/// Writes families.
pub(crate) fn put_families<'a>(
    out: &mut Vec<u8>,
    families: impl ExactSizeIterator<Item = &'a Arc<MetricFamily>>,
) {
    put_uvarint(out, families.len() as u64);
    for MetricFamily { name, metadata } in families.map(|family| &**family) {
        put_prefixed_bytes(out, name.as_bytes());
        out.push(metadata.metric_type.number());
        put_prefixed_bytes(out, metadata.unit.as_bytes());
        put_prefixed_bytes(out, metadata.help.as_bytes());
    }
}

/// Reads families.
pub(crate) fn read_families(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<MetricFamily>>, DecodeError> {
    cursor.list(|cursor| {
        let name = cursor.text()?.to_owned();
        let metric_type = MetricType::of_number(cursor.u8()?.into());
        let (unit, help) = (cursor.text()?.to_owned(), cursor.text()?.to_owned());
        Ok(Arc::new(MetricFamily { name, metadata: Metadata { metric_type, help, unit } }))
    })
}

/// Writes the body of a section of metadata; rows by id.
pub(crate) fn put_metadata(out: &mut Vec<u8>, rows: &[(u32, Arc<MetricFamily>)]) {
    let mut families: Vec<&Arc<MetricFamily>> = Vec::new();
    let mut numbers: hashbrown::HashMap<&MetricFamily, u64> = hashbrown::HashMap::new();
    for (_, family) in rows {
        numbers.entry(family).or_insert_with(|| {
            families.push(family);
            families.len() as u64 - 1
        });
    }
    put_families(out, families.into_iter());
    put_uvarint(out, rows.len() as u64);
    let mut previous = 0;
    for (id, family) in rows {
        put_uvarint(out, u64::from(id - previous));
        previous = *id;
        put_uvarint(out, numbers[&**family]);
    }
}

/// Reads the body of a section of metadata, one series after the other.
pub(crate) fn read_metadata(
    body: &[u8],
    mut each: impl FnMut(u32, &Arc<MetricFamily>),
) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(body);
    let families = read_families(&mut cursor)?;
    let mut id = 0_u32;
    for _ in 0..cursor.uvarint()? {
        let distance = cursor.uvarint32()?;
        id = id.checked_add(distance).filter(|id| *id <= ID_MAX).ok_or_else(|| cursor.error("series id"))?;
        let family = usize::try_from(cursor.uvarint()?).ok().and_then(|number| families.get(number));
        each(id, family.ok_or_else(|| cursor.error("number of family"))?);
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------ tombstones

/// Writes the body of a section of tombstones.
pub(crate) fn put_tombstones(out: &mut Vec<u8>, tombstones: &[(u32, Interval)]) {
    put_uvarint(out, tombstones.len() as u64);
    for (id, interval) in tombstones {
        put_uvarint(out, u64::from(*id));
        put_varint(out, interval.mint);
        put_varint(out, interval.maxt);
    }
}

/// Reads the body of a section of tombstones.
pub(crate) fn read_tombstones(body: &[u8]) -> Result<Vec<(u32, Interval)>, DecodeError> {
    let mut cursor = Cursor::new(body);
    let mut tombstones = Vec::new();
    for _ in 0..cursor.uvarint()? {
        let id = read_id(&mut cursor)?;
        tombstones.push((id, Interval { mint: cursor.varint()?, maxt: cursor.varint()? }));
    }
    Ok(tombstones)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(model::value::STALE_NAN),
            (-1000i64..1000).prop_map(|i| i as f64),
            any::<u64>().prop_map(f64::from_bits),
        ]
    }

    proptest! {
        #[test]
        fn float_sections_read_back(
            samples in proptest::collection::vec((0u32..5, prop_oneof![Just(7i64), any::<i64>()], values()), 0..300),
        ) {
            let mut columns = FloatColumns::default();
            let mut id = 0;
            for (distance, timestamp, value) in samples {
                id += distance;
                columns.push(id, timestamp, value);
            }
            let mut record = Vec::new();
            put_section(&mut record, SectionKind::Floats, 3, |out| put_floats(out, &columns));
            let section = sections(&record).next().unwrap().unwrap();
            prop_assert_eq!((section.kind, section.shard), (SectionKind::Floats, 3));
            let mut read = FloatColumns::default();
            read_floats(section.body, &mut read).unwrap();
            prop_assert_eq!(&read.ids, &columns.ids);
            prop_assert_eq!(&read.timestamps, &columns.timestamps);
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read.values), bits(&columns.values));
        }

        #[test]
        fn series_sections_read_back(sets in proptest::collection::vec(
            proptest::collection::btree_map("[a-d]{1,2}", "[xyz]{1,3}", 0..6), 0..20,
        )) {
            let labels: Vec<Labels> = sets.iter().map(Labels::from_pairs).collect();
            let mut body = Vec::new();
            let series = labels.iter().enumerate().map(|(i, labels)| (i as u32, 9, labels));
            put_series(&mut body, labels.len(), series);
            let mut read = Vec::new();
            read_series(&body, |series| read.push(series)).unwrap();
            prop_assert_eq!(read.len(), labels.len());
            for (i, series) in read.into_iter().enumerate() {
                let expected = SeriesRecord { id: i as u32, generation: 9, labels: labels[i].clone() };
                prop_assert_eq!(series, expected);
            }
        }

        #[test]
        fn metadata_reads_back(rows in proptest::collection::vec((0u32..3, "[a-c]{0,2}", 0u64..8, "s?"), 0..40)) {
            let mut id = 0;
            let rows: Vec<(u32, Arc<MetricFamily>)> = rows
                .into_iter()
                .map(|(distance, name, metric_type, unit)| {
                    id += distance;
                    let metric_type = MetricType::of_number(metric_type);
                    let metadata = Metadata { metric_type, help: format!("what {name} is"), unit };
                    (id, Arc::new(MetricFamily { name, metadata }))
                })
                .collect();
            let mut body = Vec::new();
            put_metadata(&mut body, &rows);
            let mut read = Vec::new();
            read_metadata(&body, |id, family| read.push((id, Arc::clone(family)))).unwrap();
            prop_assert_eq!(read, rows);
        }

        #[test]
        fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for section in sections(&bytes).flatten() {
                let _ = read_floats(section.body, &mut FloatColumns::default());
            }
            let _ = read_floats(&bytes, &mut FloatColumns::default());
            let _ = read_series(&bytes, |_| {});
            let _ = read_histograms(&bytes, &mut Vec::new());
            let _ = read_exemplars(&bytes, |_, _, _, _| {});
            let _ = read_tombstones(&bytes);
            let _ = read_metadata(&bytes, |_, _| {});
        }
    }
}
