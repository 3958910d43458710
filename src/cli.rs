//! The command line: which half of the program is meant, and how it ends.
//!
//! With flags alone it is the server. With a command it is promtool; started under the name `promtool`, it is
//! that whatever follows.

mod check;
mod serve;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::version;

/// Something failed, as the reference's tool ends.
const EXIT_FAILURE: u8 = 1;

/// A command line of the server that can't be understood.
const EXIT_USAGE: u8 = 2;

/// Runs the program with its arguments, of which the first is the name that it was started under.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    let program = args.first().map(String::as_str).unwrap_or_default();
    let program = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
    let is_tool = program == "promtool" || args.get(1).is_some_and(|arg| !arg.starts_with(['-', '@']));
    if is_tool { tool(&args) } else { serve::run(args.into_iter().skip(1).collect()) }
}

/// The commands of promtool.
#[derive(Parser)]
#[command(name = "ferula", version = version::shown(), arg_required_else_help = true)]
struct Tool {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check configuration files, metrics, and whether a server is healthy or ready
    Check {
        #[command(subcommand)]
        what: check::Check,
    },
}

fn tool(args: &[String]) -> ExitCode {
    let tool = match Tool::try_parse_from(args) {
        Ok(tool) => tool,
        Err(error) => {
            // Nothing can be done if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_FAILURE } else { 0 });
        }
    };
    match tool.command {
        Command::Check { what } => check::run(what),
    }
}
