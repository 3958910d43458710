//! Samples kept: the head in memory, its write-ahead log, blocks on disk, and one view of all of them.
//!
//! # Vocabulary
//!
//! - **head**: the newest samples of all active series, in memory and in head-chunk files.
//! - **chunk**: a run of samples of one series, compressed. An *open* chunk still grows.
//! - **block**: an immutable directory with the samples of a time range, in Prometheus's format.
//! - **postings**: the series that have a label pair, as an ordered list of their ids.
//! - **tombstone**: an interval of a series that was deleted but is still on disk.
//! - **checkpoint**: the head as of one position of the log, so that the log before it can go.
//! - **compaction**: writing blocks from the head, and larger blocks from smaller ones.
//!
//! # Invariants
//!
//! - Only this crate touches the data directory, and only through [`fs`].
//! - An acknowledged sample is never lost to a crash of the process, never doubled, never changed.
//! - Bytes from disk never cause a panic or an allocation that they size unchecked.
//! - Damage is set aside and named, and never keeps the rest from being served.

pub mod block;
mod blocks;
pub mod chunk;
pub mod codec;
pub mod compact;
mod compaction;
pub mod db;
mod error;
pub mod fs;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod head;
mod head_chunks;
mod maintenance;
mod merge;
pub mod metrics;
pub mod options;
pub mod postings;
pub mod prometheus;
mod querier;
pub mod retention;
pub mod select;
pub mod tools;
mod wal;

pub use db::{Damage, Db, HeadStats, OpenError};
pub use head::index::Cardinality;
pub use head::memory::HeadMemory;
pub use options::{Options, WalSync};
pub use retention::Retention;
pub use wal::replay::ReplayProgress;
