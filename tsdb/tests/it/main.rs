//! Tests of storage from outside: with child processes that are killed, and with Prometheus's tools.

mod crash;
mod deadly;
mod interchange;
