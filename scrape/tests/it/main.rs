//! Scraping from end to end: a real HTTP server, a storage in memory.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod discovery;
mod histograms;
mod robustness;
mod storage;
mod targets;
mod world;
