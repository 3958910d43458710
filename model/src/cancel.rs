//! A flag that ends long work early.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells work on other threads to stop. Clones share the flag; it never goes back to unset.
///
/// Work that can take long asks [`Cancel::is_cancelled`] at least every few thousand elements and between
/// series, and returns its own error for "cancelled".
#[derive(Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    /// Another reason to stop, which is asked as often as the flag.
    reason: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

impl Cancel {
    /// A flag that isn't set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// The same flag, which also counts as set while the closure says so: a deadline, say. It takes the place of
    /// any that there was.
    #[must_use]
    pub fn or_when(&self, reason: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Cancel { flag: Arc::clone(&self.flag), reason: Some(Arc::new(reason)) }
    }

    /// Whether the flag is set.
    pub fn is_cancelled(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.reason.as_ref().is_some_and(|reason| reason())
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_cancelled())
    }
}
