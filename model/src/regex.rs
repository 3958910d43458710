//! Regular expressions as matchers and relabelling use them: RE2 syntax, `.` matches newlines, always
//! anchored at both ends (`^(?s:…)$`).
//!
//! Most of them are a plain text, a few alternatives (`a|b|c`) or a prefix (`a.*`). Those are found once,
//! when the expression is compiled, and answered without the regex engine: [`AnchoredRegex::set`] and
//! [`AnchoredRegex::prefix`] let an index look values up instead of trying every one.

use regex_syntax::hir::{Hir, HirKind};

/// The most alternatives that are listed as a set; as in the reference.
const SET_LEN_MAX: usize = 256;
/// The most bytes of compiled automaton for one expression, so that `(a{1000}){1000}` is refused.
const COMPILED_BYTES_MAX: usize = 10 << 20;

/// A regular expression that doesn't compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(String);

/// A compiled regular expression, anchored at both ends.
#[derive(Clone, Debug)]
pub struct AnchoredRegex {
    pattern: String,
    regex: regex::Regex,
    set: Option<Vec<String>>,
    prefix: String,
    shape: Shape,
}

/// What an expression amounts to, when it is simple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `.*`
    Anything,
    /// `.+`
    AnythingButEmpty,
    /// A set of texts.
    Set,
    /// `prefix.*`
    PrefixThenAnything,
    /// Whatever else.
    General,
}

impl AnchoredRegex {
    /// Compiles an expression.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let anchored = format!("^(?s:{pattern})$");
        let regex = regex::RegexBuilder::new(&anchored)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| RegexError(error.to_string()))?;
        let hir = regex_syntax::Parser::new()
            .parse(&format!("(?s:{pattern})"))
            .map_err(|error| RegexError(error.to_string()))?;
        let set = literals(&hir);
        let prefix = leading_literal(&hir);
        let shape = match (&set, anything_after(&hir)) {
            (Some(_), _) => Shape::Set,
            (None, Some(0)) if prefix.is_empty() => Shape::Anything,
            (None, Some(1)) if prefix.is_empty() => Shape::AnythingButEmpty,
            (None, Some(0)) => Shape::PrefixThenAnything,
            _ => Shape::General,
        };
        Ok(AnchoredRegex { pattern: pattern.to_owned(), regex, set, prefix, shape })
    }

    /// The expression as it was written, without anchors.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        match self.shape {
            Shape::Anything => true,
            Shape::AnythingButEmpty => !text.is_empty(),
            Shape::Set => self.set.iter().flatten().any(|member| member == text),
            Shape::PrefixThenAnything => text.starts_with(&self.prefix),
            Shape::General => text.starts_with(&self.prefix) && self.regex.is_match(text),
        }
    }

    /// All texts that match, sorted, each once, if they are at most 256.
    pub fn set(&self) -> Option<&[String]> {
        self.set.as_deref()
    }

    /// A text that everything that matches begins with; often empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether every text matches, as with `.*`.
    pub fn matches_everything(&self) -> bool {
        self.shape == Shape::Anything
    }

    /// If the whole text matches, the template with `$1`, `${1}`, `$name`, `${name}` replaced by what the
    /// groups matched and `$$` by `$` (Go's `Regexp.Expand`).
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.regex.captures(text)?;
        let mut expanded = String::new();
        captures.expand(template, &mut expanded);
        Some(expanded)
    }
}

impl PartialEq for AnchoredRegex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for AnchoredRegex {}

/// All texts that the expression matches, sorted, if it is made of literals and small classes alone.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    let mut extractor = regex_syntax::hir::literal::Extractor::new();
    extractor.limit_total(SET_LEN_MAX).limit_class(16).limit_repeat(4).limit_literal_len(1 << 10);
    let mut found: Vec<String> = extractor
        .extract(hir)
        .literals()
        .filter(|literals| literals.iter().all(regex_syntax::hir::literal::Literal::is_exact))?
        .iter()
        .map(|literal| String::from_utf8(literal.as_bytes().to_vec()).ok())
        .collect::<Option<_>>()?;
    found.sort();
    found.dedup();
    if has_look_around(hir) { None } else { Some(found) }
}

fn has_look_around(hir: &Hir) -> bool {
    !hir.properties().look_set().is_empty()
}

/// The literal that the expression begins with.
fn leading_literal(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
        HirKind::Capture(capture) => leading_literal(&capture.sub),
        HirKind::Concat(parts) => match parts.first().map(Hir::kind) {
            Some(HirKind::Literal(literal)) => String::from_utf8(literal.0.to_vec()).unwrap_or_default(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// If the expression is an optional literal followed by "any character, `n` times or more": that `n`.
fn anything_after(hir: &Hir) -> Option<u32> {
    let is_any = |hir: &Hir| *hir == Hir::dot(regex_syntax::hir::Dot::AnyChar);
    match hir.kind() {
        HirKind::Repetition(rep) if rep.max.is_none() && is_any(&rep.sub) => Some(rep.min),
        HirKind::Capture(capture) => anything_after(&capture.sub),
        HirKind::Concat(parts) => match parts.as_slice() {
            [first, rest] if matches!(first.kind(), HirKind::Literal(_)) => anything_after(rest),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_anchored_and_dots_match_newlines() {
        for (pattern, text, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a|bc", "bc", true),
            ("a|bc", "abc", false),
            ("a.*", "a\nb", true),
            ("a.*", "ba", false),
            (".+", "", false),
            (".*", "", true),
            ("(?i)ab", "AB", true),
            ("a.+z", "abz", true),
            ("", "", true),
            ("", "a", false),
            ("a||b", "", true),
        ] {
            assert_eq!(AnchoredRegex::new(pattern).unwrap().is_match(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn sets_and_prefixes_are_found() {
        let set = |pattern| AnchoredRegex::new(pattern).unwrap().set().map(<[String]>::to_vec);
        assert_eq!(set("b|a"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(set("a(b|c)"), Some(vec!["ab".into(), "ac".into()]));
        assert_eq!(set("a[12]?"), Some(vec!["a".into(), "a1".into(), "a2".into()]));
        assert_eq!(set("a.*"), None);
        assert_eq!(AnchoredRegex::new("abc.*").unwrap().prefix(), "abc");
        assert_eq!(AnchoredRegex::new("a|b").unwrap().prefix(), "");
    }

    #[test]
    fn templates_are_expanded() {
        let regex = AnchoredRegex::new("(a+)(?P<rest>.*)").unwrap();
        assert_eq!(regex.expand("aab", "$1-${rest}-$$"), Some("aa-b-$".into()));
        assert_eq!(regex.expand("b", "$1"), None);
    }
}
