//! Test scripts: data, queries and the answers that they should have, in the language of the reference's own tests.
//!
//! A script is read command by command ([`command`]), its samples go to a storage ([`MemoryStorage`] unless the
//! caller brings another), and each answer is compared with what the script expects ([`check`]): values within
//! a relative error of 10⁻⁶, label sets, order where it is asked for, annotations and failures.
//!
//! An `eval instant` is more than one check, as in the reference: the query is asked again with its selectors fixed
//! by `@` at other evaluation times, and as the middle step of a range query. Whoever passes has `@`, ranges and
//! instants agree.
//!
//! A script that breaks off is no success: a command that can't be read counts as failed, and the script goes on
//! after it.

mod check;
mod command;
mod histogram;
mod load;
mod run;
mod series;
mod storage;

use std::fmt;
use std::io;
use std::path::Path;

use model::storage::Queryable;

pub use load::{LoadError, LoadedSample};
pub use series::{SequenceValue, parse_series};
pub use storage::{MemoryStorage, Sample};

use crate::engine::{DefaultSubqueryStep, Engine, EngineOptions};
use crate::features::Features;

/// Samples that a query of a script may hold: enough for a test, and a test that needs more is a mistake.
const MAX_SAMPLES: u64 = 10_000;
/// The step of subqueries that name none.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// What became of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Commands `eval` that got what they expected.
    pub passed: usize,
    /// Commands that didn't, by line.
    pub failed: Vec<Failure>,
}

impl fmt::Display for Report {
    /// `N passed, N failed`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

/// A command that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the script, from 1.
    pub line: usize,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Where a script's samples go.
pub trait ScriptStorage: Queryable {
    /// Forgets everything.
    fn clear(&self);

    /// Adds samples of a series, in order of time.
    ///
    /// # Errors
    ///
    /// The storage doesn't take them.
    fn load(&self, labels: &model::labels::Labels, samples: &[LoadedSample]) -> Result<(), LoadError>;
}

/// An engine as scripts expect it: every experimental part of the language on, names dropped at the end of a
/// query, start timestamps used, and few samples allowed.
pub fn engine() -> Engine {
    Engine::new(EngineOptions {
        max_samples: MAX_SAMPLES,
        default_subquery_step: DefaultSubqueryStep::fixed(SUBQUERY_STEP_MS),
        features: features(),
        ..EngineOptions::default()
    })
}

/// The parts of the language that are on in scripts.
fn features() -> Features {
    Features {
        experimental_functions: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..Features::default()
    }
}

/// Runs a script against an engine of its own and a storage in memory.
pub fn run_text(script: &str) -> Report {
    run_with(script, &engine(), &MemoryStorage::new())
}

/// Runs the script in a file, see [`run_text`].
///
/// # Errors
///
/// The file can't be read.
pub fn run_file(path: &Path) -> io::Result<Report> {
    std::fs::read_to_string(path).map(|script| run_text(&script))
}

/// Runs a script against an engine and a storage, which is emptied first.
pub fn run_with(script: &str, engine: &Engine, storage: &dyn ScriptStorage) -> Report {
    storage.clear();
    let mut report = Report::default();
    for command in command::commands(script) {
        match command.and_then(|command| run::run(command, engine, storage)) {
            Ok(evals) => report.passed += evals,
            Err(failure) => report.failed.push(failure),
        }
    }
    report
}
