//! Results of tests as JUnit's XML, which CI systems show.
//!
//! It is written by hand because scripts compare it with the reference's, byte for byte: no declaration, no
//! white space between elements, and the reference's escapes.

use std::fmt::{self, Display, Formatter, Write};

/// The tests of all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) suites: Vec<Suite>,
}

/// The tests of a file.
#[derive(Debug)]
pub(super) struct Suite {
    /// The file.
    pub(super) name: String,
    /// When they ran; empty if the file can't be used.
    pub(super) timestamp: String,
    pub(super) cases: Vec<Case>,
}

/// A test.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// What isn't as it should be.
    pub(super) failures: Vec<String>,
    /// Why it couldn't be run.
    pub(super) error: Option<String>,
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<testsuites>")?;
        self.suites.iter().try_for_each(|suite| suite.fmt(f))?;
        f.write_str("</testsuites>")
    }
}

impl Suite {
    /// Whether nothing is wrong.
    pub(super) fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.failures.is_empty() && case.error.is_none())
    }
}

impl Display for Suite {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let failures: usize = self.cases.iter().map(|case| case.failures.len()).sum();
        let errors = self.cases.iter().filter(|case| case.error.is_some()).count();
        write!(
            f,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\" timestamp=\"{}\">",
            Escaped(&self.name),
            self.cases.len(),
            self.timestamp
        )?;
        self.cases.iter().try_for_each(|case| case.fmt(f))?;
        f.write_str("</testsuite>")
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<testcase name=\"{}\">", Escaped(&self.name))?;
        for failure in &self.failures {
            write!(f, "<failure>{}</failure>", Escaped(failure))?;
        }
        if let Some(error) = &self.error {
            write!(f, "<error>{}</error>", Escaped(error))?;
        }
        f.write_str("</testcase>")
    }
}

/// Text for content and attributes.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("&#34;")?,
                '\'' => f.write_str("&#39;")?,
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '\t' => f.write_str("&#x9;")?,
                '\n' => f.write_str("&#xA;")?,
                '\r' => f.write_str("&#xD;")?,
                // XML has no way to write other control characters.
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => f.write_char(char::REPLACEMENT_CHARACTER)?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
