//! YAML into structs, strictly, with errors that name the place: `prometheus.yml:12:5: scrape_configs[0].job:
//! unknown field …`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Deserializer, Segment, Track};
use serde_saphyr::{Location, UserMessageFormatter};

/// What is wrong with a configuration file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigError {
    pub(crate) file: PathBuf,
    /// Line and column, from 1, where there is a place.
    pub(crate) at: Option<(u64, u64)>,
    /// The field, as `scrape_configs[0].job_name`; empty for the file as a whole.
    pub(crate) field: String,
    pub(crate) what: String,
}

impl ConfigError {
    /// Something wrong with a file as a whole.
    pub(crate) fn of_file(file: &Path, what: impl fmt::Display) -> ConfigError {
        ConfigError { file: file.to_owned(), at: None, field: String::new(), what: what.to_string() }
    }

    /// Something wrong with a field.
    pub(crate) fn at(
        file: &Path,
        location: Location,
        field: impl Into<String>,
        what: impl fmt::Display,
    ) -> Self {
        let at = (location != Location::UNKNOWN).then(|| (location.line(), location.column()));
        ConfigError { file: file.to_owned(), at, field: field.into(), what: what.to_string() }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, "{line}:{column}:")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.what)
    }
}

/// Reads a file and parses it as [`parse`] does.
pub(crate) fn read<T: DeserializeOwned + Default>(file: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|error| ConfigError::of_file(file, error))?;
    parse(file, &text)
}

/// Parses the text of a file. A file without content is the default.
pub(crate) fn parse<T: DeserializeOwned + Default>(file: &Path, text: &str) -> Result<T, ConfigError> {
    let mut track = Track::new();
    let parsed = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        Option::<T>::deserialize(Deserializer::new(deserializer, &mut track))
    });
    match parsed {
        Ok(value) => Ok(value.unwrap_or_default()),
        Err(serde_saphyr::Error::Eof { .. }) => Ok(T::default()),
        Err(error) => {
            let what = message(&error);
            let field = field(&track.path());
            Err(ConfigError::at(file, error.location().unwrap_or(Location::UNKNOWN), field, what))
        }
    }
}

/// A path without the `value` that [`serde_saphyr::Spanned`] puts around what it holds; no field of the
/// configuration has that name.
fn field(path: &serde_path_to_error::Path) -> String {
    let mut field = String::new();
    for segment in path {
        match segment {
            Segment::Map { key } if key == "value" => {}
            Segment::Map { key } if field.is_empty() => field.push_str(key),
            Segment::Seq { .. } => field.push_str(&segment.to_string()),
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => {
                field.push_str(&format!(".{segment}"));
            }
        }
    }
    field
}

/// As the reference's parser takes YAML: a key once, YAML 1.1's yes and no for switches.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false }
}

/// The message alone: the place is shown before it.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.render_with_formatter(&UserMessageFormatter);
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}
