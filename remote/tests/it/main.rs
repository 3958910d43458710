//! Protocols from the bytes of a request to those of its answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod read;
