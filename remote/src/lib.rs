//! Other systems: samples that are pushed to Ferula, that Ferula pushes to others, and that others read from it.
//!
//! # Vocabulary
//!
//! - **remote write**: samples pushed as protobuf in snappy, version 1.0 with all labels in every series, or
//!   2.0 with a table of symbols.
//! - **receiver**: the side that is pushed to.
//! - **sender**: the side that pushes; an **endpoint** is whom it pushes to, a **shard** one of its queues.
//! - **OTLP**: metrics pushed in OpenTelemetry's protocol; to translate is to make Prometheus's names, labels and
//!   samples of them.
//! - **remote read**: samples that others ask for, as samples or as chunks in frames.
//!
//! # Invariants
//!
//! - Samples go out through [`model::storage::Appender`] alone; samples to send come through
//!   [`model::log::Log`], and samples to be read through [`model::storage::Queryable`].
//! - What a chunk is, only the storage knows: chunks are made by a [`read::ChunkEncoder`].
//! - This crate knows wire formats and an HTTP client but no HTTP server: it takes a body and headers, and gives
//!   back a status.
//! - Bytes from the network never cause a panic or an allocation that they size unchecked.

mod message;
pub mod otlp;
pub mod protobuf;
pub mod read;
mod snappy;
pub mod wire;
mod working;
pub mod write;
