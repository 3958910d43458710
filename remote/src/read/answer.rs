//! Answers of others, decoded.
//!
//! ```text
//! SAMPLES    snappy(ReadResponse { 1 repeated QueryResult { 1 repeated TimeSeries } })
//! STREAMED   frame*: length, varint | CRC-32C, u32 big-endian | ChunkedReadResponse
//! ```
//!
//! The messages are those of `encode`. Chunks stay as they came until somebody reads them.

use std::sync::Arc;

use model::labels::Labels;
use model::storage::{HistogramValue, SampleColumns};

use super::Chunk;
use crate::message::{histogram, label, sample};
use crate::wire::{Fields, WireError, take_varint};

/// Bytes of a frame's checksum.
const CHECKSUM_BYTES: usize = 4;
/// The most bytes of a varint.
const VARINT_BYTES_MAX: usize = 10;

/// A series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RemoteSeries {
    pub(super) labels: Labels,
    pub(super) data: Data,
}

/// What is known of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Samples(SampleColumns),
    Chunks(Vec<Chunk>),
}

/// Why an answer can't be understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("a frame's checksum is {found:#x}, expected {expected:#x}")]
    Checksum { found: u32, expected: u32 },
    #[error("message size exceeded the limit {limit}, got: {size} bytes")]
    FrameSize { limit: usize, size: u64 },
    #[error("the answer ends within a frame")]
    Truncated,
    #[error("an answer's label name is not unique")]
    Labels,
    #[error("an answer's samples are out of order")]
    Order,
}

/// Decodes a `ReadResponse` to one query.
pub(super) fn samples(message: &[u8]) -> Result<Vec<RemoteSeries>, AnswerError> {
    let mut series = Vec::new();
    let mut results = Fields::new(message);
    while let Some((number, field)) = results.take_field()? {
        if number != 1 {
            continue;
        }
        let mut fields = Fields::new(field.bytes(number)?);
        while let Some((number, field)) = fields.take_field()? {
            if number == 1 {
                series.push(time_series(field.bytes(number)?)?);
            }
        }
    }
    Ok(series)
}

fn time_series(message: &[u8]) -> Result<RemoteSeries, AnswerError> {
    let (mut pairs, mut columns) = (Vec::new(), SampleColumns::default());
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => pairs.push(label(field.bytes(number)?)?),
            2 => {
                let sample = sample(field.bytes(number)?)?;
                columns.timestamps.push(sample.timestamp_ms);
                columns.values.push(sample.value);
            }
            4 => {
                let timed = histogram(field.bytes(number)?)?;
                columns.histogram_timestamps.push(timed.timestamp_ms);
                columns.histograms.push(Arc::new(match timed.value {
                    HistogramValue::Integer(histogram) => histogram.to_float(),
                    HistogramValue::Float(histogram) => histogram,
                }));
            }
            _ => {}
        }
    }
    let is_ordered = |timestamps: &[i64]| timestamps.is_sorted_by(|a, b| a < b);
    if !is_ordered(&columns.timestamps) || !is_ordered(&columns.histogram_timestamps) {
        return Err(AnswerError::Order);
    }
    Ok(RemoteSeries { labels: labels(&mut pairs)?, data: Data::Samples(columns) })
}

fn labels(pairs: &mut Vec<(&str, &str)>) -> Result<Labels, AnswerError> {
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort_unstable();
    if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(AnswerError::Labels);
    }
    Ok(Labels::from_sorted_pairs(pairs.iter().copied()))
}

/// Frames as they arrive.
#[derive(Debug)]
pub(super) struct Frames {
    /// What has come of the next frame.
    pending: Vec<u8>,
    /// No frame may be longer (`chunked_read_limit`).
    bytes_max: usize,
    series: Vec<RemoteSeries>,
}

impl Frames {
    pub(super) fn new(bytes_max: usize) -> Self {
        Frames { pending: Vec::new(), bytes_max, series: Vec::new() }
    }

    /// Takes a piece of the body.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), AnswerError> {
        self.pending.extend_from_slice(piece);
        let mut rest = std::mem::take(&mut self.pending);
        let mut at = 0;
        while let Some(len) = self.take_frame(&rest[at..])? {
            at += len;
        }
        rest.drain(..at);
        self.pending = rest;
        Ok(())
    }

    /// Takes a frame from the front; its length, or `None` while it isn't there as a whole.
    fn take_frame(&mut self, bytes: &[u8]) -> Result<Option<usize>, AnswerError> {
        let mut rest = bytes;
        let size = match take_varint(&mut rest) {
            Ok(size) => size,
            Err(WireError::Truncated) if bytes.len() < VARINT_BYTES_MAX => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let limit = self.bytes_max;
        let len = usize::try_from(size).ok().filter(|len| *len <= limit);
        let len = len.ok_or(AnswerError::FrameSize { limit, size })?;
        let Some((checksum, rest)) = rest.split_first_chunk::<CHECKSUM_BYTES>() else { return Ok(None) };
        let Some((message, rest)) = rest.split_at_checked(len) else { return Ok(None) };
        let (expected, found) = (u32::from_be_bytes(*checksum), crc32c::crc32c(message));
        if expected != found {
            return Err(AnswerError::Checksum { found, expected });
        }
        self.add(message)?;
        Ok(Some(bytes.len() - rest.len()))
    }

    /// Adds a `ChunkedReadResponse`. A series that doesn't fit into a frame goes on in the next.
    fn add(&mut self, message: &[u8]) -> Result<(), AnswerError> {
        let mut fields = Fields::new(message);
        while let Some((number, field)) = fields.take_field()? {
            if number != 1 {
                continue;
            }
            let more = chunked_series(field.bytes(number)?)?;
            match (self.series.last_mut(), more) {
                (
                    Some(RemoteSeries { labels, data: Data::Chunks(chunks) }),
                    RemoteSeries { labels: same, data: Data::Chunks(more) },
                ) if *labels == same => chunks.extend(more),
                (_, more) => self.series.push(more),
            }
        }
        Ok(())
    }

    /// The series of all frames.
    pub(super) fn finish(self) -> Result<Vec<RemoteSeries>, AnswerError> {
        if self.pending.is_empty() { Ok(self.series) } else { Err(AnswerError::Truncated) }
    }
}

fn chunked_series(message: &[u8]) -> Result<RemoteSeries, AnswerError> {
    let (mut pairs, mut chunks) = (Vec::new(), Vec::new());
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => pairs.push(label(field.bytes(number)?)?),
            2 => chunks.push(chunk(field.bytes(number)?)?),
            _ => {}
        }
    }
    Ok(RemoteSeries { labels: labels(&mut pairs)?, data: Data::Chunks(chunks) })
}

fn chunk(message: &[u8]) -> Result<Chunk, WireError> {
    let mut chunk = Chunk { mint: 0, maxt: 0, encoding: 0, bytes: Vec::new() };
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.take_field()? {
        match number {
            1 => chunk.mint = field.int64(number)?,
            2 => chunk.maxt = field.int64(number)?,
            3 => chunk.encoding = u8::try_from(field.varint(number)?).map_err(|_| WireError::Overflow)?,
            4 => chunk.bytes = field.bytes(number)?.to_vec(),
            _ => {}
        }
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::{frame, put_chunk, put_series};
    use super::*;
    use crate::message::put_labels;
    use crate::protobuf::put_bytes;

    fn chunk(mint: i64) -> Chunk {
        Chunk { mint, maxt: mint + 1, encoding: 1, bytes: vec![1, 2, 3] }
    }

    fn framed(labels: &Labels, chunks: &[Chunk]) -> Vec<u8> {
        let mut series = Vec::new();
        put_labels(&mut series, labels);
        chunks.iter().for_each(|chunk| put_chunk(&mut series, chunk));
        frame(&series, 0)
    }

    #[test]
    fn frames_may_arrive_in_any_pieces() {
        let (a, b) = (Labels::from_pairs([("a", "1")]), Labels::from_pairs([("b", "2")]));
        let body = [framed(&a, &[chunk(0), chunk(5)]), framed(&a, &[chunk(9)]), framed(&b, &[chunk(1)])];
        let body = body.concat();
        for piece_len in [1, 7, body.len()] {
            let mut frames = Frames::new(1000);
            body.chunks(piece_len).for_each(|piece| frames.push(piece).unwrap());
            let series = frames.finish().unwrap();
            assert_eq!(series.len(), 2);
            assert_eq!(series[0].data, Data::Chunks(vec![chunk(0), chunk(5), chunk(9)]));
            assert_eq!(series[1].labels, b);
        }
    }

    #[test]
    fn frames_that_are_cut_damaged_or_too_long_are_errors() {
        let body = framed(&Labels::from_pairs([("a", "1")]), &[chunk(0)]);
        let mut frames = Frames::new(1000);
        frames.push(&body[..body.len() - 1]).unwrap();
        assert!(matches!(frames.finish(), Err(AnswerError::Truncated)));
        let mut damaged = body.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(matches!(Frames::new(1000).push(&damaged), Err(AnswerError::Checksum { .. })));
        assert!(matches!(Frames::new(4).push(&body), Err(AnswerError::FrameSize { limit: 4, .. })));
    }

    #[test]
    fn samples_are_decoded_as_they_were_encoded() {
        let mut columns = SampleColumns::default();
        columns.timestamps.extend([1, 2]);
        columns.values.extend([0.5, -1.0]);
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "a")]);
        let mut result = Vec::new();
        put_series(&mut result, &labels, &columns);
        let mut response = Vec::new();
        put_bytes(&mut response, 1, &result);
        let expected = RemoteSeries { labels, data: Data::Samples(columns) };
        assert_eq!(samples(&response).unwrap(), [expected]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = samples(&bytes);
            let mut frames = Frames::new(1000);
            if frames.push(&bytes).is_ok() {
                let _ = frames.finish();
            }
        }
    }
}
