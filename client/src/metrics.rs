//! `net_conntrack_dialer_*`: connections that were tried, made and closed.

use std::io;

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The counters of all clients, by the clients' names.
#[derive(Clone, Debug)]
pub struct DialMetrics {
    attempted: IntCounterVec,
    established: IntCounterVec,
    failed: IntCounterVec,
    closed: IntCounterVec,
}

/// The reasons by which failures are counted.
const REASONS: [&str; 4] = ["refused", "resolution", "timeout", "unknown"];

impl DialMetrics {
    /// Registers the counters.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(DialMetrics {
            attempted: counter(
                "net_conntrack_dialer_conn_attempted_total",
                "Total number of connections attempted by the given dialer a given name.",
                &["dialer_name"],
            )?,
            established: counter(
                "net_conntrack_dialer_conn_established_total",
                "Total number of connections successfully established by the given dialer a given name.",
                &["dialer_name"],
            )?,
            failed: counter(
                "net_conntrack_dialer_conn_failed_total",
                "Total number of connections failed to dial by the dialer a given name.",
                &["dialer_name", "reason"],
            )?,
            closed: counter(
                "net_conntrack_dialer_conn_closed_total",
                "Total number of connections closed which originated from the dialer of a given name.",
                &["dialer_name"],
            )?,
        })
    }

    pub(crate) fn of(&self, name: &str) -> DialCounters {
        DialCounters {
            attempted: self.attempted.with_label_values(&[name]),
            established: self.established.with_label_values(&[name]),
            failed: REASONS.map(|reason| self.failed.with_label_values(&[name, reason])),
            closed: self.closed.with_label_values(&[name]),
        }
    }
}

/// One client's counters.
#[derive(Clone, Debug)]
pub(crate) struct DialCounters {
    attempted: IntCounter,
    established: IntCounter,
    failed: [IntCounter; REASONS.len()],
    closed: IntCounter,
}

impl DialCounters {
    pub(crate) fn attempt(&self) -> Attempt<'_> {
        self.attempted.inc();
        Attempt(self)
    }
}

/// A connection that is being made.
pub(crate) struct Attempt<'a>(&'a DialCounters);

impl Attempt<'_> {
    pub(crate) fn established(self) -> OpenConnection {
        self.0.established.inc();
        OpenConnection { closed: self.0.closed.clone() }
    }

    pub(crate) fn failed(self, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::ConnectionRefused => 0,
            io::ErrorKind::TimedOut => 2,
            _ if error.to_string().contains("lookup") => 1,
            _ => 3,
        };
        self.0.failed[reason].inc();
    }
}

/// A connection that is open; counts its end when it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    closed: IntCounter,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.closed.inc();
    }
}
