//! `ferula`: a time-series database, scraper, PromQL engine and rule evaluator in one binary.
//!
//! With flags alone it is the server, as Prometheus is; with a command (`ferula check config …`), or started
//! under the name `promtool`, it is promtool. Only this crate knows all the others, and only it reads flags.

mod active_queries;
mod cli;
mod config;
mod flags;
mod logging;
mod memory;
mod query_log;
mod reload;
mod shutdown;
mod telemetry;

mod version;
mod wire;

use std::process::ExitCode;

/// Smaller and faster than the system's allocator where many small pieces live long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
