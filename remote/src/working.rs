//! A bound on the requests that are worked on at the same time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A place among the requests that are worked on.
pub(crate) struct Working<'a>(&'a AtomicUsize);

impl<'a> Working<'a> {
    /// Takes a place, if fewer than `max` are taken.
    pub(crate) fn begin(count: &'a AtomicUsize, max: usize) -> Option<Self> {
        let working = Working(count);
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(working)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
