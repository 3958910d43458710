//! Remote read: [`Server`], the side that is asked, and [`Merged`], the side that asks, whose answers are queried
//! together with the local storage.
//!
//! ```text
//! request    snappy(ReadRequest)
//! SAMPLES    snappy(ReadResponse)
//! STREAMED   frame*
//! frame      length of the message, varint | CRC-32C of the message, u32 big-endian | ChunkedReadResponse
//! ```
//!
//! Differences to the reference: chunks are encoded anew, of the samples in the range alone, where the reference
//! sends whole chunks as they are stored; and native histograms come with float counts, as they do in queries.

mod answer;
mod client;
mod encode;
mod merged;
mod request;
mod server;

pub use client::ClientConfig;
pub use merged::{ChunkDecoder, LocalStart, Merged, MergedParts};
pub use server::{Answer, ChunkStream, ReadOptions, Refusal, Server};

use std::fmt::Debug;

use model::storage::SampleColumns;
use model::time::TimestampMs;

/// A chunk as the protocol sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Time of the first sample.
    pub mint: TimestampMs,
    /// Time of the last sample.
    pub maxt: TimestampMs,
    /// The number of the encoding.
    pub encoding: u8,
    /// The chunk.
    pub bytes: Vec<u8>,
}

/// Makes chunks of samples.
pub trait ChunkEncoder: Debug + Send + Sync {
    /// Appends chunks of all samples of one series, in order of time.
    fn encode(&self, samples: &SampleColumns, out: &mut Vec<Chunk>);
}
