//! `rule_files`: the rules of all files that its patterns match.

use std::fmt;
use std::path::{Path, PathBuf};

use rules::file::{CheckOptions, GroupConfig, RuleFileError};
use serde_saphyr::Spanned;

use super::yaml::ConfigError;

/// What is wrong with rule files: everything that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RuleFilesError(Vec<String>);

impl std::error::Error for RuleFilesError {}

impl fmt::Display for RuleFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The patterns of the section, as paths.
pub(super) fn patterns(
    file: &Path,
    written: Option<&Spanned<Vec<String>>>,
) -> Result<Vec<PathBuf>, ConfigError> {
    let Some(written) = written else { return Ok(Vec::new()) };
    let directory = file.parent().unwrap_or(Path::new(""));
    let check = |(index, pattern): (usize, &String)| {
        if super::file::is_file_pattern(pattern) {
            return Ok(directory.join(pattern));
        }
        let what = format!("invalid rule file path {pattern:?}");
        Err(ConfigError::at(file, written.referenced, format!("rule_files[{index}]"), what))
    };
    written.value.iter().enumerate().map(check).collect()
}

/// The files that the patterns match, in order of the patterns, each pattern's in order of their names.
pub(crate) fn matched(patterns: &[PathBuf]) -> Vec<PathBuf> {
    let matches = |pattern: &PathBuf| glob::glob(&pattern.to_string_lossy()).into_iter().flatten().flatten();
    patterns.iter().flat_map(matches).collect()
}

/// Reads and checks files.
///
/// # Errors
///
/// Everything that is wrong in any of them.
pub(crate) fn load(
    files: &[PathBuf],
    options: &CheckOptions,
) -> Result<Vec<(PathBuf, Vec<GroupConfig>)>, RuleFilesError> {
    let mut loaded = Vec::new();
    let mut errors = Vec::new();
    for path in files {
        let name = path.to_string_lossy();
        match std::fs::read_to_string(path) {
            Err(error) => errors.push(format!("{name}: {error}")),
            Ok(text) => match rules::file::parse(&name, &text, options) {
                Ok(groups) => loaded.push((path.clone(), groups)),
                Err(found) => errors.extend(found.iter().map(RuleFileError::to_string)),
            },
        }
    }
    if errors.is_empty() { Ok(loaded) } else { Err(RuleFilesError(errors)) }
}
