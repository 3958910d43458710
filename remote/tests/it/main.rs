//! Remote write from a real storage to a real HTTP server, both in this process.

mod endpoint;
mod sender;
