//! Tests of storage from outside: with child processes that are killed, and with Prometheus on the same data.
//!
//! The real programs are found on the `PATH`, or named by the environment variables `PROMETHEUS` and `PROMTOOL`.
//! Where they aren't there, what needs them is skipped, saying so.

mod crash;
mod deadly;
mod interchange;
mod migration;
mod peers;
