//! Unit tests of rules: made-up series in, alerts and samples out, time running as fast as it can.
//!
//! A test file names rule files and has a list of tests, each with its own series. Rules are evaluated at every
//! evaluation interval from the start to the last time that is asked about; alerts are looked at in the
//! interval that an `eval_time` lies in, expressions are asked at their time. The format is that of the
//! reference's `promtool test rules`.

mod diff;
mod file;
mod run;
pub(crate) mod storage;

use std::path::{Path, PathBuf};

use self::file::TestFile;
pub use self::file::TestFileError;
use crate::file::CheckOptions;

/// How tests are run.
#[derive(Debug, Default)]
pub struct TestOptions {
    /// Which names, fields and experimental parts of PromQL are allowed.
    pub check: CheckOptions,
    /// Only tests whose name matches one of these run; all if there are none.
    pub run: Vec<regex::Regex>,
    /// Whether wrong alerts are shown as a coloured difference.
    pub diff: bool,
    /// Gets what is odd, but no error.
    pub warn: Option<fn(&str)>,
    /// Gets what goes on: lines without a newline at the end.
    pub debug: Option<fn(&str)>,
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name; one made of its number if it has none.
    pub name: String,
    /// What was wrong; nothing if it passed.
    pub errors: Vec<String>,
}

/// Runs the tests of a file. Rule files are found relative to it; what is wrong with them is wrong with each test.
///
/// # Errors
///
/// The file can't be used; no test was run.
pub fn run_file(path: &Path, options: &TestOptions) -> Result<Vec<TestResult>, TestFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| TestFileError(format!("open {}: {error}", path.display())))?;
    let file = TestFile::parse(&text)?;
    let rule_files = rule_files(&file, path.parent().unwrap_or(Path::new("")), options)?;
    if let Some(name) = repeated(&file.group_eval_order) {
        return Err(TestFileError(format!("group name repeated in evaluation order: {name}")));
    }
    let groups = rule_groups(rule_files, options);
    let is_wanted =
        |name: &str| options.run.is_empty() || options.run.iter().any(|regex| regex.is_match(name));
    let wanted = file.tests.iter().enumerate().filter(|(_, test)| is_wanted(&test.name));
    Ok(wanted.map(|(nth, test)| run::run(&file, (nth, test), &groups, options)).collect())
}

fn repeated(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(nth, name)| names[..*nth].contains(name)).map(|(_, name)| name)
}

/// The rule files that the file's patterns match.
fn rule_files(
    file: &TestFile,
    directory: &Path,
    options: &TestOptions,
) -> Result<Vec<PathBuf>, TestFileError> {
    let mut files = Vec::new();
    for pattern in &file.rule_files {
        let pattern = directory.join(pattern);
        let matched = glob::glob(&pattern.to_string_lossy())
            .map_err(|error| TestFileError(format!("{}: {error}", pattern.display())))?;
        let before = files.len();
        files.extend(matched.flatten());
        if let (true, Some(warn)) = (files.len() == before, options.warn) {
            warn(&format!("no file match pattern {}", pattern.display()));
        }
    }
    Ok(files)
}

/// The groups of all rule files, in the order in which they are evaluated within a file; or what is wrong.
type Groups = Result<Vec<(PathBuf, Vec<crate::file::GroupConfig>)>, Vec<String>>;

fn rule_groups(files: Vec<PathBuf>, options: &TestOptions) -> Groups {
    let mut groups = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(&path).map_err(|error| vec![format!("{}: {error}", path.display())])?;
        let found = crate::file::parse(&path.to_string_lossy(), &text, &options.check)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        groups.push((path, found));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests;
