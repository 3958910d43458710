//! `check metrics`.

use std::io::Read;
use std::process::ExitCode;

use scrape::lint;

use crate::cli::{EXIT_FAILURE, EXIT_LINT};

/// What stands between columns.
const COLUMN_GAP: usize = 4;

/// Reads an exposition from standard input, and tells what is unusual about it, or how many series its metrics have.
pub(super) fn run(is_extended: bool, is_linted: bool) -> ExitCode {
    if !is_extended && !is_linted {
        eprintln!("error: at least one of --extended or linting must be enabled");
        eprintln!("Use --extended for cardinality analysis, or remove --lint=none to enable linting");
        return ExitCode::from(EXIT_FAILURE);
    }
    match check(is_extended, is_linted) {
        Ok(true) => ExitCode::from(EXIT_LINT),
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Says whether there is a problem.
fn check(is_extended: bool, is_linted: bool) -> Result<bool, String> {
    let mut exposition = Vec::new();
    std::io::stdin().read_to_end(&mut exposition).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    if is_linted {
        problems = lint::lint(&exposition).map_err(|error| format!("error while linting: {error}"))?;
        for problem in &problems {
            eprintln!("{} {}", problem.metric, problem.text);
        }
    }
    if is_extended {
        let counts = lint::cardinality(&exposition);
        let counts =
            counts.map_err(|error| format!("error while parsing text to metric families: {error}"))?;
        print!("{}", table(counts));
    }
    Ok(!problems.is_empty())
}

/// Metrics with the numbers of their series, the one that has most first.
fn table(mut counts: Vec<(String, usize)>) -> String {
    counts.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let mut rows = vec![["Metric".to_owned(), "Cardinality".to_owned(), "Percentage".to_owned()]];
    rows.extend(counts.into_iter().map(|(name, count)| {
        let percentage = 100.0 * count as f64 / total as f64;
        [name, count.to_string(), format!("{percentage:.2}%")]
    }));
    rows.push(["Total".to_owned(), total.to_string(), "100%".to_owned()]);
    let widths: [usize; 3] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count() + COLUMN_GAP).max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("{cell:<width$}"));
        }
        text.push('\n');
    }
    text
}
