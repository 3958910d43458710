//! Remote write: [`sender`], and the receiving side: protocol 1.0 (`prometheus.WriteRequest`) and 2.0
//! (`io.prometheus.write.v2.Request`).
//!
//! A request becomes one [`Batch`](model::storage::Batch). The labels of a series are hashed as they stand in
//! the request; a hash that was seen before gives the series' ref, so that a known series costs neither an
//! allocation nor a look at its labels.
//!
//! Differences to the reference: of a 1.0 request with samples that can't be stored the others are stored all
//! the same, as protocol 2.0 has it, where the reference stores none. The answer is 400 in both cases, so a
//! sender doesn't send them again.

mod cache;
mod decode;
mod receiver;
pub mod sender;
mod v1;
mod v2;

pub(crate) use receiver::{FUTURE_MS_MAX, RETRY_AFTER_SECS};
pub use receiver::{Headers, Outcome, Receiver, ReceiverOptions, Version};

#[cfg(test)]
mod tests;
