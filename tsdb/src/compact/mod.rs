//! Compaction: blocks out of the head, and larger blocks out of smaller ones.
//!
//! The head and blocks give their series in order of labels through one trait, [`SeriesSource`]; a merge of
//! several sources is such a source too. Chunks that neither overlap nor stick out of the block pass through
//! as they are; others are decoded, merged and encoded again. In memory is one series at a time, besides what
//! the writer of the index keeps.

mod difference;
mod merge;
mod plan;
mod samples;
mod source;
mod write;

pub(crate) use difference::Difference;
pub use merge::MergedSource;
pub use plan::{PlanOptions, plan, ranges};
pub use source::{BlockSource, SeriesSource, SourceSeries};
pub use write::{Compactor, CompactorOptions, UlidSource};

#[cfg(test)]
mod tests;
