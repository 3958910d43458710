//! What a checkpoint says of a series beside its labels: written and read side by side.

use model::time::TimestampMs;

use crate::chunk::histogram::HistogramAppender;
use crate::chunk::{Encoding, xor};
use crate::codec::{Cursor, DecodeError, put_prefixed_bytes, put_uvarint, put_varint};
use crate::head::out_of_order::{LateChunk, LateSamples, samples_of};
use crate::head::series::{Kind, Record, Sealed, state_of};
use crate::head::shard::{FLOAT_CHUNK_BYTES_MAX, Shard};
use crate::head_chunks::Location;

const FLAG_STALE: u8 = 1;

/// Appends the state of a series.
pub(super) fn put_state(out: &mut Vec<u8>, shard: &Shard, id: u32, record: &Record) {
    out.push(record.kind as u8);
    out.push(if record.has(Record::STALE) { FLAG_STALE } else { 0 });
    put_varint(out, record.xor.last_timestamp());
    out.extend_from_slice(&record.xor.last_value().to_bits().to_be_bytes());
    let mut open = Vec::new();
    match shard.copy_open(record, &mut open) {
        None => out.push(Encoding::None as u8),
        Some(encoding) => {
            out.push(encoding as u8);
            put_varint(out, record.chunk_min_t);
            put_varint(out, record.next_cut_t);
            put_prefixed_bytes(out, &open);
        }
    }
    let mut sealed: Vec<Sealed> = shard.sealed.iter(record.sealed).collect();
    sealed.reverse();
    put_uvarint(out, sealed.len() as u64);
    for chunk in sealed {
        put_uvarint(out, chunk.location.to_bits());
        put_varint(out, chunk.min_t);
    }
    let (late_sealed, late_runs) =
        shard.late.get(&id).map(|late| (late.sealed.clone(), late.runs())).unwrap_or_default();
    put_uvarint(out, late_sealed.len() as u64);
    for chunk in late_sealed {
        put_uvarint(out, chunk.location.to_bits());
        put_varint(out, chunk.min_t);
        put_varint(out, chunk.max_t);
    }
    put_uvarint(out, late_runs.len() as u64);
    for run in late_runs {
        out.push(run.encoding as u8);
        put_prefixed_bytes(out, &run.bytes);
    }
}

/// What a checkpoint says of a series beside its labels.
#[derive(Debug)]
pub(super) struct State {
    pub(super) kind: Kind,
    stale: bool,
    pub(super) newest: (TimestampMs, f64),
    pub(super) open: Option<Open>,
    pub(super) sealed: Vec<Sealed>,
    pub(super) late: LateSamples,
}

#[derive(Debug)]
pub(super) struct Open {
    pub(super) min_t: TimestampMs,
    next_cut_t: TimestampMs,
    chunk: OpenChunk,
}

#[derive(Debug)]
pub(super) enum OpenChunk {
    Float(xor::AppendState, Vec<u8>),
    Histogram(HistogramAppender),
}

/// Reads the state of a series.
pub(super) fn read_state(cursor: &mut Cursor<'_>) -> Result<State, DecodeError> {
    let kind = match cursor.u8()? {
        0 => Kind::None,
        1 => Kind::Float,
        2 => Kind::Histogram,
        _ => return Err(cursor.error("kind of series")),
    };
    let stale = cursor.u8()? & FLAG_STALE != 0;
    let newest = (cursor.varint()?, cursor.f64()?);
    let encoding = read_encoding(cursor)?;
    let open = match encoding {
        Encoding::None => None,
        _ => Some(Open {
            min_t: cursor.varint()?,
            next_cut_t: cursor.varint()?,
            chunk: read_open(cursor, encoding)?,
        }),
    };
    let mut sealed = Vec::new();
    for _ in 0..cursor.uvarint()? {
        let location = Location::from_bits(cursor.uvarint()?);
        sealed.push(Sealed { location, min_t: cursor.varint()? });
    }
    Ok(State { kind, stale, newest, open, sealed, late: read_late(cursor)? })
}

fn read_encoding(cursor: &mut Cursor<'_>) -> Result<Encoding, DecodeError> {
    let number = cursor.u8()?;
    Encoding::from_u8(number).map_err(|_| cursor.error("encoding of chunk"))
}

fn read_open(cursor: &mut Cursor<'_>, encoding: Encoding) -> Result<OpenChunk, DecodeError> {
    let bytes = cursor.prefixed_bytes()?;
    let wrong = || cursor.error("open chunk");
    if encoding == Encoding::Xor {
        let xor = xor::AppendState::resume(bytes).map_err(|_| wrong())?;
        let fits = xor.samples() > 0 && xor.byte_len() == bytes.len() && bytes.len() <= FLOAT_CHUNK_BYTES_MAX;
        return if fits { Ok(OpenChunk::Float(xor, bytes.to_vec())) } else { Err(wrong()) };
    }
    match HistogramAppender::resume(encoding, bytes) {
        Ok(Some(appender)) => Ok(OpenChunk::Histogram(appender)),
        _ => Err(wrong()),
    }
}

fn read_late(cursor: &mut Cursor<'_>) -> Result<LateSamples, DecodeError> {
    let mut late = LateSamples::default();
    for _ in 0..cursor.uvarint()? {
        let location = Location::from_bits(cursor.uvarint()?);
        late.sealed.push(LateChunk { location, min_t: cursor.varint()?, max_t: cursor.varint()? });
    }
    for _ in 0..cursor.uvarint()? {
        let encoding = read_encoding(cursor)?;
        let bytes = cursor.prefixed_bytes()?;
        let samples =
            samples_of(encoding, bytes).map_err(|_| cursor.error("chunk of samples out of order"))?;
        late.open.extend(samples);
    }
    late.open.sort_by_key(|sample| sample.0);
    late.open.dedup_by_key(|sample| sample.0);
    Ok(late)
}

/// A series as a checkpoint gives it to a shard.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) record: Record,
    /// The open float chunk, empty if there is none.
    pub(crate) open: Vec<u8>,
    /// The open histogram chunk.
    pub(crate) histogram: Option<HistogramAppender>,
    /// Oldest first.
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) late: LateSamples,
}

impl State {
    /// As a shard takes it.
    pub(super) fn into_parts(self) -> Restored {
        let State { kind, stale, newest, open, sealed, late } = self;
        let mut record = Record { kind, ..Record::vacant() };
        record.set(Record::STALE, stale);
        if kind != Kind::None {
            record.xor = state_of(newest);
        }
        let mut restored = Restored { record, open: Vec::new(), histogram: None, sealed, late };
        if let Some(Open { min_t, next_cut_t, chunk }) = open {
            restored.record.chunk_min_t = min_t;
            restored.record.next_cut_t = next_cut_t;
            match chunk {
                OpenChunk::Float(xor, bytes) => (restored.record.xor, restored.open) = (xor, bytes),
                OpenChunk::Histogram(appender) => restored.histogram = Some(appender),
            }
        }
        restored
    }
}
