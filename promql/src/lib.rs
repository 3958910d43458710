//! PromQL: from the text of a query to its answer.
//!
//! A query is parsed to an [`ast`] with the place of everything in the text, checked for types, planned, and
//! executed series by series over columns of steps.
//!
//! # Vocabulary
//!
//! - **step**: one evaluation timestamp; an instant query has one, a range query `start, start + step, … ≤ end`.
//! - **column**: one series over all steps, absent steps holding the staleness marker.
//! - **window**: the samples that a range selector takes in at one step, `(t - range, t]`.
//! - **lookback**: how old an instant selector's sample may be.
//! - **annotation**: a warning or an info that goes with a result.
//!
//! # Invariants
//!
//! - Samples come from [`model::storage::Queryable`] alone; this crate never sees a chunk or a file.
//! - It reads no clock to evaluate: the caller says what "now" is.
//! - The same query over the same data has the same bits for a result with one thread and with many.

pub mod annotations;
pub mod ast;
pub mod ast_json;
mod column;
pub mod engine;
mod exec;
pub mod features;
mod functions;
pub mod histogram;
pub mod label_matchers;
mod mean;
mod memory;
pub mod parse;
pub mod plan;
pub mod print;
pub mod script;
pub mod signature;
mod types;
pub mod value;
