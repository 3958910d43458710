//! Unit tests of rules: made-up series in, alerts and samples out, time running as fast as it can.
//!
//! A test file names rule files and has a list of tests, each with its own series. Rules are evaluated at every
//! evaluation interval from the start to the last time that is asked about; alerts are looked at in the
//! interval that an `eval_time` lies in, expressions are asked at their time. The format is that of the
//! reference's `promtool test rules`.

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
    /// Which names and experimental parts of PromQL are allowed.
    pub check: CheckOptions,
    /// Only tests whose name matches one of these run; all if there are none.
    pub run: Vec<regex::Regex>,
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// Its name, `""` if it has none.
    pub name: String,
    /// What was wrong; nothing if it passed.
    pub errors: Vec<String>,
}

/// Runs the tests of a file. Rule files are found relative to it.
///
/// # Errors
///
/// The file, or a rule file that it names, can't be used; no test was run.
pub fn run_file(path: &Path, options: &TestOptions) -> Result<Vec<TestResult>, TestFileError> {
    let text = std::fs::read_to_string(path).map_err(|error| TestFileError(vec![error.to_string()]))?;
    let file = TestFile::parse(&text)?;
    let groups = rule_groups(&file, path.parent().unwrap_or(Path::new("")), options)?;
    let is_wanted =
        |name: &str| options.run.is_empty() || options.run.iter().any(|regex| regex.is_match(name));
    let wanted = file.tests.iter().filter(|test| is_wanted(&test.name));
    Ok(wanted.map(|test| run::run(&file, test, &groups, options)).collect())
}

type Groups = Vec<(PathBuf, Vec<crate::file::GroupConfig>)>;

/// The groups of all rule files, in the order in which they are evaluated within a file.
fn rule_groups(file: &TestFile, directory: &Path, options: &TestOptions) -> Result<Groups, TestFileError> {
    let mut groups = Vec::new();
    let mut errors = Vec::new();
    for pattern in &file.rule_files {
        let pattern = directory.join(pattern);
        let matched = match glob::glob(&pattern.to_string_lossy()) {
            Ok(paths) => paths.flatten().collect::<Vec<_>>(),
            Err(error) => {
                errors.push(format!("{}: {error}", pattern.display()));
                continue;
            }
        };
        if matched.is_empty() {
            errors.push(format!("  WARNING: no file match pattern {}", pattern.display()));
        }
        for path in matched {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) => {
                    errors.push(format!("{}: {error}", path.display()));
                    continue;
                }
            };
            match crate::file::parse(&path.to_string_lossy(), &text, &options.check) {
                Ok(found) => groups.push((path, found)),
                Err(found) => errors.extend(found.iter().map(ToString::to_string)),
            }
        }
    }
    if errors.is_empty() { Ok(groups) } else { Err(TestFileError(errors)) }
}

#[cfg(test)]
mod tests;
