//! `promql …`: expressions, written anew or laid open.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line's answers")]

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use model::matcher::MatchOp;
use model::time::{Clock, SystemClock};
use promql::ast::Expr;
use promql::engine::{Engine, EngineOptions, QueryRequest};
use promql::features::Features;
use promql::parse::parse;
use promql::{label_matchers, print};

use super::EXIT_FAILURE;

/// What to do with an expression.
#[derive(Subcommand)]
pub(super) enum Promql {
    /// Print an expression, laid out
    Format {
        /// The expression
        query: String,
    },
    /// Print how an expression would be evaluated
    Explain {
        /// The expression
        query: String,
    },
    /// Change the matchers of all selectors of an expression
    LabelMatchers {
        #[command(subcommand)]
        how: LabelMatchers,
    },
}

/// How to change matchers.
#[derive(Subcommand)]
pub(super) enum LabelMatchers {
    /// Set a matcher on a label, in the place of those that are there
    Set {
        /// The matcher's operator
        #[arg(short = 't', long = "type", default_value = "=")]
        op: Op,
        /// The expression
        query: String,
        /// The label's name
        name: String,
        /// What to match with
        value: String,
    },
    /// Delete the matchers on a label
    Delete {
        /// The expression
        query: String,
        /// The label's name
        name: String,
    },
}

/// A matcher's operator as it is written.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Op {
    #[value(name = "=")]
    Equal,
    #[value(name = "!=")]
    NotEqual,
    #[value(name = "=~")]
    Matches,
    #[value(name = "!~")]
    MatchesNot,
}

impl From<Op> for MatchOp {
    fn from(op: Op) -> MatchOp {
        match op {
            Op::Equal => MatchOp::Equal,
            Op::NotEqual => MatchOp::NotEqual,
            Op::Matches => MatchOp::Regex,
            Op::MatchesNot => MatchOp::NotRegex,
        }
    }
}

/// Does it.
pub(super) fn run(what: Promql, features: Features) -> ExitCode {
    match answer(what, features) {
        Ok(text) => {
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

fn answer(what: Promql, features: Features) -> Result<String, String> {
    let parsed = |query: &str| parse(query, &features).map_err(|error| error.to_string());
    match what {
        Promql::Format { query } => Ok(print::pretty(&parsed(&query)?)),
        Promql::Explain { query } => {
            let engine = Engine::new(EngineOptions { features, ..EngineOptions::default() });
            let request = QueryRequest::instant(query, SystemClock.now_ms());
            engine.explain(&request).map(|plan| plan.to_string()).map_err(|error| error.to_string())
        }
        Promql::LabelMatchers { how } => changed(how, parsed),
    }
}

fn changed(how: LabelMatchers, parsed: impl Fn(&str) -> Result<Expr, String>) -> Result<String, String> {
    match how {
        LabelMatchers::Set { op, query, name, value } => {
            let mut expr = parsed(&query)?;
            label_matchers::set(&mut expr, op.into(), &name, &value).map_err(|error| error.to_string())?;
            Ok(print::pretty(&expr))
        }
        LabelMatchers::Delete { query, name } => {
            let mut expr = parsed(&query)?;
            label_matchers::delete(&mut expr, &name);
            Ok(print::pretty(&expr))
        }
    }
}
