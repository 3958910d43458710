//! The command line: which half of the program is meant, and how it ends.
//!
//! With flags alone it is the server. With a command it is promtool; started under the name `promtool`, it is
//! that whatever follows.

mod check;
mod http;
mod promql;
mod query;
mod rules;
mod serve;
mod test;
mod tsdb;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use ::promql::features::Features;

use crate::{flags, version};

/// Something failed, as the reference's tool ends.
const EXIT_FAILURE: u8 = 1;

/// Nothing is wrong, but something is odd, and that was to be an error.
const EXIT_LINT: u8 = 3;

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
    /// Allow what is experimental; here that is always allowed
    #[arg(long, global = true)]
    experimental: bool,
    /// Features of PromQL to switch on, comma-separated; can be repeated
    #[arg(long = "enable-feature", global = true, value_delimiter = ',')]
    features: Vec<String>,
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
    /// Write expressions anew, or show how they are evaluated
    Promql {
        #[command(subcommand)]
        what: promql::Promql,
    },
    /// Ask a server
    Query(query::Query),
    /// Try rules on history
    Rules {
        #[command(subcommand)]
        what: rules::Rules,
    },
    /// Run test scripts
    Test {
        #[command(subcommand)]
        what: test::Test,
    },
    /// Look at a data directory
    Tsdb {
        #[command(subcommand)]
        what: tsdb::Tsdb,
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
    let features = features(&tool.features);
    match tool.command {
        Command::Check { what } => check::run(what, features),
        Command::Promql { what } => promql::run(what, features),
        Command::Query(query) => query::run(&query),
        Command::Rules { what } => rules::run(what, features),
        Command::Test { what } => test::run(what, features),
        Command::Tsdb { what } => tsdb::run(what, features),
    }
}

/// The features that `--enable-feature` names; others are warned of.
#[expect(clippy::print_stderr, reason = "the command line's answers")]
fn features(names: &[String]) -> Features {
    let mut features = Features::default();
    for name in names {
        if !flags::enable_promql_feature(name, &mut features) && name != "promql-duration-expr" {
            eprintln!("  WARNING: Unknown feature passed to --enable-feature: {name}");
        }
    }
    features
}
