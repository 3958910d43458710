//! The command line: which half of the program is meant, and how it ends.

mod serve;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// A command line that can't be understood, as the reference's server ends.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Runs the program with its arguments, of which the first is the name it was started under.
pub(crate) fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let mut args = args.map(|arg| arg.to_string_lossy().into_owned());
    let program = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    serve::run(args)
}
