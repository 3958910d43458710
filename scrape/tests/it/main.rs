//! Scraping from end to end: a real HTTP server, a storage in memory.

mod robustness;
mod storage;
mod targets;
mod world;
