//! Remote write from a real storage to a real HTTP server, both in this process; remote read from the bytes of a
//! request to those of its answer.

#![allow(clippy::unwrap_used, reason = "what a test needs and isn't there fails the test")]

mod endpoint;
mod merged;
mod read;
mod sender;
