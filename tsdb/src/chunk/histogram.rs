//! Histogram chunks: native histograms of integer or float counts.
//!
//! ```text
//! bytes    0   3 bytes: number of samples and flags, see `header`
//! bits    24   the buckets of all samples, see `layout`
//!              sample after sample:
//!
//!                      timestamp     count         zero count    sum       buckets
//! integer  sample 0    varbit        varbit        varbit        64 bits   varbit of the step from bucket to bucket
//!          sample 1…   dod           dod           dod           xor       dod of that step
//! float    sample 0    varbit        64 bits       64 bits       64 bits   64 bits
//!          sample 1…   dod           xor           xor           xor       xor
//!
//! dod: difference of differences to the samples before, as a signed varbit; xor: see `window`, each number
//! with a window of its own. A staleness marker has its sum and no buckets.
//! ```
//!
//! Source: tsdb/chunkenc/{histogram,float_histogram,histogram_st,float_histogram_st}.go of Prometheus 3.14.
//!
//! All samples of a chunk have the same buckets. A sample with new buckets makes the chunk be written anew
//! with them; one that lacks buckets that were empty so far is written with them. Counters never go down
//! inside a chunk. [`HistogramAppender`] says when a sample needs a new chunk.

mod append;
mod decode;
mod header;
mod layout;
mod number;
mod stream;
#[cfg(test)]
mod tests;

pub use append::HistogramAppender;
pub use decode::{Decoded, decode_floats, decode_values};
pub(super) use header::SHORT_SAMPLES;
