//! What a query takes: samples and bytes, counted against its own limits and those of all queries.
//!
//! Every operator that holds something for longer than one series asks for it first. Buffers for the series
//! at hand are counted with the operator that has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::{Phase, QueryError};

/// Bytes that all running queries hold.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Ledger {
    /// A ledger that allows so many bytes; 0 is no limit.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Ledger { bytes: AtomicU64::new(0), bytes_max }
    }
}

/// What one query takes, and may take.
#[derive(Debug)]
pub(crate) struct Budget {
    samples: AtomicU64,
    samples_peak: AtomicU64,
    samples_max: u64,
    bytes: AtomicU64,
    bytes_peak: AtomicU64,
    bytes_max: u64,
    ledger: Arc<Ledger>,
}

impl Budget {
    pub(crate) fn new(samples_max: u64, bytes_max: u64, ledger: &Arc<Ledger>) -> Self {
        Budget {
            samples: AtomicU64::new(0),
            samples_peak: AtomicU64::new(0),
            samples_max,
            bytes: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            bytes_max,
            ledger: Arc::clone(ledger),
        }
    }

    /// Counts samples that the query holds from now on.
    pub(crate) fn take_samples(&self, count: u64) -> Result<(), QueryError> {
        let held = self.samples.fetch_add(count, Ordering::Relaxed) + count;
        self.samples_peak.fetch_max(held, Ordering::Relaxed);
        if held > self.samples_max {
            return Err(QueryError::TooManySamples(Phase::Execution));
        }
        Ok(())
    }

    /// Whether so many samples could be held, if there were no others.
    pub(crate) fn allows_samples(&self, count: usize) -> bool {
        count as u64 <= self.samples_max
    }

    /// Samples held now.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// Tells that of the samples taken only so many are left, as when an aggregation is done.
    pub(crate) fn set_samples(&self, count: u64) {
        self.samples.store(count, Ordering::Relaxed);
    }

    /// Takes bytes; they are given back when the reservation is dropped.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, QueryError> {
        let mut reservation = Reservation { budget: Arc::clone(self), bytes: 0 };
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    pub(crate) fn samples_peak(&self) -> u64 {
        self.samples_peak.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes_peak(&self) -> u64 {
        self.bytes_peak.load(Ordering::Relaxed)
    }
}

/// Bytes that an operator holds.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Reservation {
    /// Takes more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), QueryError> {
        self.bytes += bytes;
        let budget = &self.budget;
        let held = budget.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        budget.bytes_peak.fetch_max(held, Ordering::Relaxed);
        let total = budget.ledger.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if budget.bytes_max != 0 && held > budget.bytes_max {
            return Err(QueryError::Memory(format!(
                "query needs more memory than one query may have ({} bytes, --query.max-memory)",
                budget.bytes_max
            )));
        }
        if budget.ledger.bytes_max != 0 && total > budget.ledger.bytes_max {
            return Err(QueryError::Memory(format!(
                "running queries need more memory than they may have together ({} bytes, --query.max-total-memory)",
                budget.ledger.bytes_max
            )));
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.ledger.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_one_query_and_for_all() {
        let ledger = Arc::new(Ledger::new(150));
        let first = Arc::new(Budget::new(10, 100, &ledger));
        let second = Arc::new(Budget::new(10, 100, &ledger));
        let held = first.reserve(90).unwrap();
        assert!(first.reserve(20).unwrap_err().to_string().contains("one query may have (100 bytes"));
        assert!(second.reserve(70).unwrap_err().to_string().contains("together (150 bytes"));
        drop(held);
        assert!(second.reserve(70).is_ok());
        assert_eq!(first.bytes_peak(), 110);
        first.take_samples(10).unwrap();
        assert_eq!(
            first.take_samples(1).unwrap_err().to_string(),
            "query processing would load too many samples into memory in query execution"
        );
    }
}
