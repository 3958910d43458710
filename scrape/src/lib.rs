//! Targets in: the configuration of scraping, discovery, relabelling, exposition parsers, scrape loops.
//!
//! # Vocabulary
//!
//! - **job**: one section of `scrape_configs`.
//! - **target group**: targets with labels in common, as a discovery mechanism yields them.
//! - **target**: one URL that is scraped, with the labels of its samples.
//! - **pool**: all targets of a job.
//! - **scrape**: one request to a target and what it answers.
//!
//! # Invariants
//!
//! - Only this crate and `remote` know wire formats.
//! - Samples leave through [`model::storage::Appender`], one batch for each scrape.

pub use self::manager::{Manager, Options};
pub use self::status::{PoolStatus, TargetMetadata, TargetState, TargetStatus};

mod body;
mod cache;
mod classic;
pub mod config;
pub mod discovery;
pub mod error;
mod failure_log;
mod fetch;
mod histograms;
mod ingest;
pub mod lint;
mod manager;
mod metadata;
mod metric_table;
mod metrics;
pub mod parse;
mod pool;
mod report;
mod sample_labels;
mod scrape_loop;
mod session;
mod status;
mod structured;
pub mod target;
