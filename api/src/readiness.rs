//! Whether the server may answer questions about data yet, or still.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The program's state of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The storage is being opened.
    Starting,
    /// Everything answers.
    Ready,
    /// The program is about to end.
    Stopping,
}

/// The phase, shared: clones see the same one. The program moves it on, endpoints ask.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// In the phase [`Phase::Starting`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves to a phase.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.0.load(Ordering::SeqCst) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }
}
