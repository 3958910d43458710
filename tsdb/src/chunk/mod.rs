//! Chunks: runs of samples of one series, compressed. The bytes are those of Prometheus's encodings.
//!
//! Decoding goes from the bytes straight into columns; there is no iterator and no value for a single
//! sample. What a chunk says of its own size is believed only as far as it has bits to back it.

use std::fmt;

mod bits;
#[cfg(test)]
mod testing;
mod window;
pub mod xor;

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
