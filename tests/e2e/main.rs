//! The built program from outside: started on a free port, scraped, asked, signalled, killed, started again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alertmanager;
mod bad_data_dir;
mod bad_queries;
mod bad_target;
mod check_config;
mod client;
mod command_line;
mod commands;
mod federate;
mod otlp;
mod program;
mod query_log;
mod real_targets;
mod reload;
mod remote_read;
mod restart;
mod seeds;
mod server;
mod target;
