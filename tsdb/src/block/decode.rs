//! From a chunk's bytes to columns, whatever the encoding.

use model::storage::SampleColumns;

use crate::chunk::{ChunkError, Encoding, xor};

pub(crate) fn decode_into(
    encoding: Encoding,
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut SampleColumns,
) -> Result<(), ChunkError> {
    match encoding {
        Encoding::Xor => xor::decode_into(bytes, mint, maxt, &mut out.timestamps, &mut out.values),
        other => Err(ChunkError::UnknownEncoding(other as u8)),
    }
}

/// Number of samples of a chunk.
pub(crate) fn sample_count(encoding: Encoding, bytes: &[u8]) -> Result<u16, ChunkError> {
    /// The counts of encodings with start timestamps have 14 bits; flags are above them.
    const ST_COUNT_MASK: u16 = 0x3fff;
    let count = bytes.first_chunk().map(|count| u16::from_be_bytes(*count)).ok_or(ChunkError::Truncated)?;
    Ok(match encoding {
        Encoding::HistogramSt | Encoding::FloatHistogramSt => count & ST_COUNT_MASK,
        _ => count,
    })
}
