//! Matchers: conditions on the value of one label.

use std::fmt;

use crate::labels::{Labels, METRIC_NAME, is_legacy_label_name, write_quoted};
use crate::regex::{AnchoredRegex, RegexError};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }

    /// Whether the operator is `!=` or `!~`.
    pub fn is_negative(self) -> bool {
        matches!(self, MatchOp::NotEqual | MatchOp::NotRegex)
    }
}

/// A condition on the value of one label. A label that a series doesn't have counts as `""`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    /// Set exactly for [`MatchOp::Regex`] and [`MatchOp::NotRegex`].
    regex: Option<AnchoredRegex>,
}

impl Matcher {
    /// Makes a matcher; compiles its expression if it is one.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, RegexError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(AnchoredRegex::new(&value)?),
        };
        Ok(Matcher { name: name.into(), op, value, regex })
    }

    /// `name = value`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// `name != value`.
    pub fn not_equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::NotEqual, value: value.into(), regex: None }
    }

    /// The metric name is `value`.
    pub fn metric_name(value: impl Into<String>) -> Self {
        Matcher::equal(METRIC_NAME, value)
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the matcher compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What the matcher compares with: a value or an expression.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The expression of a `=~` or `!~`.
    pub fn regex(&self) -> Option<&AnchoredRegex> {
        self.regex.as_ref()
    }

    /// Whether the value satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        match &self.regex {
            None => (value == self.value) != self.op.is_negative(),
            Some(regex) => regex.is_match(value) != self.op.is_negative(),
        }
    }

    /// Whether series without the label satisfy the matcher.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The matcher that is satisfied exactly where this one isn't.
    #[must_use]
    pub fn inverse(mut self) -> Self {
        self.op = match self.op {
            MatchOp::Equal => MatchOp::NotEqual,
            MatchOp::NotEqual => MatchOp::Equal,
            MatchOp::Regex => MatchOp::NotRegex,
            MatchOp::NotRegex => MatchOp::Regex,
        };
        self
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            f.write_str(&self.name)?
        } else {
            write_quoted(f, &self.name)?
        }
        f.write_str(self.op.as_str())?;
        write_quoted(f, &self.value)
    }
}

/// Whether the label set satisfies every matcher.
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.value(&matcher.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_label_is_an_empty_value() {
        let labels = Labels::from_pairs([("a", "1")]);
        for (op, name, value, matches) in [
            (MatchOp::Equal, "a", "1", true),
            (MatchOp::Equal, "b", "", true),
            (MatchOp::NotEqual, "b", "", false),
            (MatchOp::NotEqual, "b", "1", true),
            (MatchOp::Regex, "a", "1|2", true),
            (MatchOp::Regex, "b", ".*", true),
            (MatchOp::Regex, "b", ".+", false),
            (MatchOp::NotRegex, "b", ".+", true),
        ] {
            let matcher = Matcher::new(op, name, value).unwrap();
            assert_eq!(all_match(std::slice::from_ref(&matcher), &labels), matches, "{matcher}");
            assert_eq!(all_match(&[matcher.inverse()], &labels), !matches);
        }
    }
}
