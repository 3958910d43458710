//! `debug`: what a server tells of itself, in one archive.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::StatusCode;

use super::EXIT_FAILURE;
use super::http::Server;

/// The archive, in the working directory.
const ARCHIVE: &str = "debug.tar.gz";

/// Paths of profiles, with the names of their files. A Go program serves them.
const PROFILES: &[(&str, &str)] = &[
    ("/debug/pprof/profile?seconds=30", "cpu.pb"),
    ("/debug/pprof/block", "block.pb"),
    ("/debug/pprof/goroutine", "goroutine.pb"),
    ("/debug/pprof/heap", "heap.pb"),
    ("/debug/pprof/mutex", "mutex.pb"),
    ("/debug/pprof/threadcreate", "threadcreate.pb"),
    ("/debug/pprof/trace?seconds=30", "trace.pb"),
];

const METRICS: &[(&str, &str)] = &[("/metrics", "metrics.txt")];

/// What else a server can be asked to understand it.
const STATE: &[(&str, &str)] = &[
    ("/api/v1/status/buildinfo", "buildinfo.json"),
    ("/api/v1/status/runtimeinfo", "runtimeinfo.json"),
    ("/api/v1/status/flags", "flags.json"),
    ("/api/v1/status/tsdb", "tsdb.json"),
    ("/api/v1/status/tsdb/blocks", "blocks.json"),
    ("/api/v1/status/tsdb/damage", "damage.json"),
    ("/api/v1/status/cardinality", "cardinality.json"),
    ("/api/v1/status/queries", "queries.json"),
];

#[derive(Subcommand)]
pub(super) enum Debug {
    /// Fetch profiles, of a server that makes them
    Pprof {
        /// URL of the server
        server: String,
    },
    /// Fetch metrics
    Metrics {
        /// URL of the server
        server: String,
    },
    /// Fetch profiles, metrics, and what the server tells of its state
    All {
        /// URL of the server
        server: String,
    },
}

/// Fetches.
pub(super) fn run(what: &Debug) -> ExitCode {
    let (server, lists): (_, &[&[(&str, &str)]]) = match what {
        Debug::Pprof { server } => (server, &[PROFILES]),
        Debug::Metrics { server } => (server, &[METRICS]),
        Debug::All { server } => (server, &[PROFILES, METRICS, STATE]),
    };
    let files: Vec<_> = lists.concat();
    match collect(server, &files) {
        Ok(()) => {
            println!("Compiling debug information complete, all files written in \"{ARCHIVE}\".");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error completing debug command: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Writes the archive. What the server doesn't serve is left out, and told of.
fn collect(server: &str, files: &[(&str, &str)]) -> anyhow::Result<()> {
    let asked = Server::new(server, None)?;
    let file = File::create(ARCHIVE).context("error creating a new archiver")?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let mut is_empty = true;
    for (path, name) in files {
        println!("collecting: {}{path}", server.trim_end_matches('/'));
        let (status, body) = asked.get_bytes(path, &[]).context("error executing HTTP request")?;
        match status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                eprintln!("left out: the server has no {path}");
                continue;
            }
            other => bail!("{path}: {other}"),
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(body.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &*body).context("error writing into the archive")?;
        is_empty = false;
    }
    let written = archive.into_inner().and_then(GzEncoder::finish).and_then(|mut file| file.flush());
    written.context("error closing archive writer")?;
    if is_empty {
        bail!("the server has none of it");
    }
    Ok(())
}
