//! Storage and Prometheus on the same data.
//!
//! The real programs are found on the `PATH`, or named by the environment variables `PROMETHEUS` and `PROMTOOL`.
//! Where they aren't there, what needs them is skipped, saying so.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod interchange;
mod migration;
mod peers;
