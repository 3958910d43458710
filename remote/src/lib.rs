//! Other systems: samples that are pushed to Ferula, and that Ferula pushes to others.
//!
//! # Vocabulary
//!
//! - **remote write**: samples pushed as protobuf in snappy, version 1.0 with all labels in every series, or
//!   2.0 with a table of symbols.
//! - **receiver**: the side that is pushed to.
//! - **sender**: the side that pushes; an **endpoint** is whom it pushes to, a **shard** one of its queues.
//!
//! # Invariants
//!
//! - Samples go out through [`model::storage::Appender`] alone; samples to send come through
//!   [`model::log::Log`].
//! - This crate knows wire formats and an HTTP client but no HTTP server: it takes a body and headers, and gives
//!   back a status.
//! - Bytes from the network never cause a panic or an allocation that they size unchecked.

pub mod wire;
pub mod write;
