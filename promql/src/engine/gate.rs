//! The queue in which queries wait for their turn.

use std::time::{Duration, Instant};

use model::cancel::Cancel;
use parking_lot::{Condvar, Mutex};

use super::{Phase, QueryError};

/// How often a waiting query looks whether it has been cancelled.
const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Lets so many queries run at the same time.
#[derive(Debug)]
pub(crate) struct Gate {
    running: Mutex<usize>,
    left: Condvar,
    running_max: usize,
}

/// A query's turn; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Gate);

impl Gate {
    /// 0 is no limit.
    pub(crate) fn new(running_max: usize) -> Self {
        Gate { running: Mutex::new(0), left: Condvar::new(), running_max }
    }

    /// Waits for a turn.
    pub(crate) fn enter(&self, cancel: &Cancel, deadline: Instant) -> Result<Turn<'_>, QueryError> {
        let mut running = self.running.lock();
        while self.running_max > 0 && *running >= self.running_max {
            if cancel.is_cancelled() {
                return Err(QueryError::Canceled(Phase::Queue));
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(QueryError::Timeout(Phase::Queue));
            }
            self.left.wait_until(&mut running, deadline.min(now + CANCEL_CHECK_INTERVAL));
        }
        *running += 1;
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock() -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_the_gate_full_waits_until_told_to_stop() {
        let gate = Gate::new(1);
        let cancel = Cancel::new();
        let far = Instant::now() + Duration::from_secs(3600);
        let turn = gate.enter(&cancel, far).unwrap();
        assert!(matches!(gate.enter(&cancel, Instant::now()), Err(QueryError::Timeout(Phase::Queue))));
        cancel.cancel();
        assert!(matches!(gate.enter(&cancel, far), Err(QueryError::Canceled(Phase::Queue))));
        drop(turn);
        assert!(gate.enter(&Cancel::new(), far).is_ok());
    }
}
