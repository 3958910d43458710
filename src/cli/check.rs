//! `check …`: is it right?

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

mod config;
mod health;
mod lint;
mod metrics;
mod rules;
mod service_discovery;
mod web_config;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use model::duration::PromDuration;
use promql::features::Features;

/// What to check.
#[derive(Subcommand)]
pub(super) enum Check {
    /// Check configuration files of the server
    Config {
        /// Look at the files alone, not at those that they name
        #[arg(long)]
        syntax_only: bool,
        /// What to look for beside errors, comma-separated: all, duplicate-rules, too-long-scrape-interval, none
        #[arg(long, default_value = "duplicate-rules")]
        lint: String,
        /// Fail with code 3 if that is found
        #[arg(long)]
        lint_fatal: bool,
        /// Pass over fields in rule files that there aren't
        #[arg(long)]
        ignore_unknown_fields: bool,
        /// The files are for an agent
        #[arg(long)]
        agent: bool,
        /// The server's lookback, which a scrape interval has to be shorter than
        #[arg(long = "query.lookback-delta", default_value = "5m")]
        lookback: PromDuration,
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Ask a server whether it is up
    Healthy {
        #[command(flatten)]
        server: health::Where,
    },
    /// Read metrics from standard input, and check that they are as is usual
    Metrics {
        /// Print how many series each metric has
        #[arg(long)]
        extended: bool,
        /// What to look for
        #[arg(long, default_value = "all", value_parser = ["all", "none"])]
        lint: String,
    },
    /// Ask a server whether it is ready
    Ready {
        #[command(flatten)]
        server: health::Where,
    },
    /// Check rule files, or standard input
    Rules {
        /// What to look for beside errors, comma-separated: all, duplicate-rules, none
        #[arg(long, default_value = "duplicate-rules")]
        lint: String,
        /// Fail with code 3 if that is found
        #[arg(long)]
        lint_fatal: bool,
        /// Pass over fields in rule files that there aren't
        #[arg(long)]
        ignore_unknown_fields: bool,
        /// The files
        files: Vec<PathBuf>,
    },
    /// Look for the targets of a job, and show them before and after relabelling
    ServiceDiscovery {
        /// How long to look
        #[arg(long, default_value = "30s")]
        timeout: PromDuration,
        /// The configuration file
        file: PathBuf,
        /// The job
        job: String,
    },
    /// Check files with TLS and authentication settings of the server
    WebConfig {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Checks.
pub(super) fn run(what: Check, features: Features) -> ExitCode {
    match what {
        Check::Config { syntax_only, lint, lint_fatal, ignore_unknown_fields, agent, lookback, files } => {
            let asked = lint::Asked::of(&lint, true);
            let rules =
                rules::Lint { duplicates: asked.duplicate_rules, fatal: lint_fatal, ignore_unknown_fields };
            let lookback = Some(lookback).filter(|_| asked.long_intervals);
            config::run(&files, &config::Options { syntax_only, agent, rules, lookback, features })
        }
        Check::Healthy { server } => health::run(&server, "/-/healthy"),
        Check::Metrics { extended, lint } => metrics::run(extended, lint != "none"),
        Check::Ready { server } => health::run(&server, "/-/ready"),
        Check::Rules { lint, lint_fatal, ignore_unknown_fields, files } => {
            let asked = lint::Asked::of(&lint, false);
            let lint =
                rules::Lint { duplicates: asked.duplicate_rules, fatal: lint_fatal, ignore_unknown_fields };
            rules::run(&files, lint, features)
        }
        Check::ServiceDiscovery { timeout, file, job } => service_discovery::run(&file, &job, timeout.0),
        Check::WebConfig { files } => web_config::run(&files),
    }
}
