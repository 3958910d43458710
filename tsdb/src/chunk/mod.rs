//! Chunks: runs of samples of one series, compressed. The bytes are those of Prometheus's encodings.
//!
//! Decoding goes from the bytes straight into columns; there is no iterator and no value for a single
//! sample. What a chunk says of its own size is believed only as far as it has bits to back it.

use std::fmt;

use model::storage::SampleColumns;

mod bits;
mod columns;
pub mod histogram;
mod start;
#[cfg(test)]
mod testing;
mod varbit;
mod window;
pub mod xor;
pub mod xor2;

/// How the samples of a chunk are written; the number is the byte that goes with the chunk on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Encoding {
    /// No chunk at all.
    None = 0,
    /// Floats.
    Xor = 1,
    /// Native histograms of integer counts.
    Histogram = 2,
    /// Native histograms of float counts.
    FloatHistogram = 3,
    /// Floats, smaller than [`Encoding::Xor`], with room for start timestamps.
    Xor2 = 4,
    /// As [`Encoding::Histogram`] with start timestamps.
    HistogramSt = 5,
    /// As [`Encoding::FloatHistogram`] with start timestamps.
    FloatHistogramSt = 6,
}

impl Encoding {
    /// The encoding of this number.
    pub fn from_u8(number: u8) -> Result<Self, ChunkError> {
        Ok(match number {
            0 => Encoding::None,
            1 => Encoding::Xor,
            2 => Encoding::Histogram,
            3 => Encoding::FloatHistogram,
            4 => Encoding::Xor2,
            5 => Encoding::HistogramSt,
            6 => Encoding::FloatHistogramSt,
            _ => return Err(ChunkError::UnknownEncoding(number)),
        })
    }

    /// Whether its samples are floats.
    pub fn is_float(self) -> bool {
        matches!(self, Encoding::Xor | Encoding::Xor2)
    }

    /// Whether its samples are histograms of integer counts.
    pub fn has_integer_counts(self) -> bool {
        matches!(self, Encoding::Histogram | Encoding::HistogramSt)
    }

    /// Whether it has room for start timestamps.
    pub fn has_start_timestamps(self) -> bool {
        matches!(self, Encoding::Xor2 | Encoding::HistogramSt | Encoding::FloatHistogramSt)
    }

    /// Whether its samples are histograms.
    pub fn is_histogram(self) -> bool {
        !self.is_float() && self != Encoding::None
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::None => "none",
            Encoding::Xor => "XOR",
            Encoding::Histogram => "histogram",
            Encoding::FloatHistogram => "floathistogram",
            Encoding::Xor2 => "XOR2",
            Encoding::HistogramSt => "histogramST",
            Encoding::FloatHistogramSt => "floathistogramST",
        })
    }
}

/// Number of samples that a chunk says it has.
pub fn sample_count(encoding: Encoding, bytes: &[u8]) -> Result<u16, ChunkError> {
    if encoding == Encoding::None {
        return Ok(0);
    }
    let count = u16::from_be_bytes(*bytes.first_chunk().ok_or(ChunkError::Truncated)?);
    let beside_flags = encoding.is_histogram() && encoding.has_start_timestamps();
    Ok(if beside_flags { count & histogram::SHORT_SAMPLES } else { count })
}

/// Appends the samples of a chunk in `[mint, maxt]`, both inclusive; histograms with float counts. Reading
/// ends with the first sample after `maxt`; what follows isn't looked at. After an error the columns are as
/// before.
pub fn decode_into(
    encoding: Encoding,
    bytes: &[u8],
    mint: i64,
    maxt: i64,
    columns: &mut SampleColumns,
) -> Result<(), ChunkError> {
    let SampleColumns { timestamps, values, start_timestamps, .. } = columns;
    match encoding {
        Encoding::None => {}
        Encoding::Xor => {
            xor::decode_into(bytes, mint, maxt, timestamps, values)?;
            align(start_timestamps, timestamps.len());
        }
        Encoding::Xor2 => xor2::decode_into(bytes, mint, maxt, timestamps, values, start_timestamps)?,
        _ => {
            let mut decoded = Vec::new();
            histogram::decode_floats(encoding, bytes, mint, maxt, &mut decoded)?;
            let starts = &mut columns.histogram_start_timestamps;
            for histogram in decoded {
                if histogram.start_timestamp != 0 {
                    starts.resize(columns.histograms.len(), 0);
                    starts.push(histogram.start_timestamp);
                }
                columns.histogram_timestamps.push(histogram.timestamp);
                columns.histograms.push(histogram.value);
            }
            align(starts, columns.histograms.len());
        }
    }
    Ok(())
}

/// Makes a column of start timestamps as long as the samples, unless none is known at all.
fn align(start_timestamps: &mut Vec<i64>, samples: usize) {
    if !start_timestamps.is_empty() {
        start_timestamps.resize(samples, 0);
    }
}

/// Why bytes are no chunk. The caller knows where they are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// The chunk has fewer bytes than its samples need.
    #[error("chunk is too short for its samples")]
    Truncated,
    /// No encoding has this number.
    #[error("unknown chunk encoding {0}")]
    UnknownEncoding(u8),
    /// Something that no writer writes.
    #[error("corrupt chunk: {0}")]
    Corrupt(&'static str),
}
