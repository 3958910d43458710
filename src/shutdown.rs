//! How the program is told to end, and to reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// A request to end that anybody can make and one waits for; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quit(Arc<QuitState>);

#[derive(Debug, Default)]
struct QuitState {
    requested: AtomicBool,
    notify: Notify,
}

impl Quit {
    /// Asks the program to end; false if it was asked before.
    pub(crate) fn request(&self) -> bool {
        let first = !self.0.requested.swap(true, Ordering::SeqCst);
        // The permit stays until somebody waits.
        self.0.notify.notify_one();
        first
    }

    async fn requested(&self) {
        self.0.notify.notified().await;
    }
}

/// What the program is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// To load its configuration again.
    Reload,
    /// To end.
    End,
}

/// The signals that the program listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Quit,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn new(quit: Quit) -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => self.ended_by("terminated"),
            _ = self.interrupt.recv() => self.ended_by("interrupt"),
            () = self.quit.requested() => {
                tracing::warn!("Received termination request via web service, exiting gracefully...");
                Told::End
            }
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    fn ended_by(&self, signal: &str) -> Told {
        tracing::warn!(signal, "Received an OS signal, exiting gracefully...");
        self.quit.request();
        Told::End
    }
}
