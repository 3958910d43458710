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

pub mod config;
pub mod discovery;
pub mod parse;
