//! Regular expressions as matchers and relabelling use them: RE2 syntax, `.` matches newlines, always
//! anchored at both ends (`^(?s:…)$`).
//!
//! Most of them are a plain text, a few alternatives (`a|b|c`), or texts with `.*` between them. Those are found
//! once, when the expression is compiled, and answered without an automaton: [`AnchoredRegex::set`] and
//! [`AnchoredRegex::prefix`] let an index look values up instead of trying every one.

mod class;
mod expand;
mod shape;
mod syntax;

use std::sync::{Arc, OnceLock};

use regex_automata::meta;
use regex_syntax::hir::{Hir, Look};

use shape::Shape;
use syntax::Parsed;

/// The most bytes of compiled automaton for one expression; one that needs more is refused.
const COMPILED_BYTES_MAX: usize = 10 << 20;

/// A regular expression that doesn't compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {0}")]
pub struct RegexError(String);

/// A compiled regular expression, anchored at both ends. Clones share what is compiled.
#[derive(Clone, Debug)]
pub struct AnchoredRegex(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    pattern: String,
    /// The expression with its anchors.
    anchored: Hir,
    /// Made when it is first asked: a simple expression needs it for templates only. Not set if it can't be
    /// made, which was found out before for all but simple ones.
    automaton: OnceLock<Option<meta::Regex>>,
    /// Names of groups and their indexes; several groups may have the same.
    names: Vec<(String, usize)>,
    prefix: String,
    shape: Shape,
}

impl Compiled {
    fn automaton(&self) -> Option<&meta::Regex> {
        self.automaton.get_or_init(|| automaton(&self.anchored)).as_ref()
    }
}

/// Compiles an expression; `None` if it is too large.
fn automaton(anchored: &Hir) -> Option<meta::Regex> {
    // Without a table of all states, which takes longer to make than most expressions are ever used for:
    // states are made as texts lead to them.
    let limits = meta::Config::new().nfa_size_limit(Some(COMPILED_BYTES_MAX)).dfa(false);
    meta::Builder::new().configure(limits).build_from_hir(anchored).ok()
}

impl AnchoredRegex {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// It isn't one, or is too large. The texts are those of Go's `regexp`.
    pub fn new(pattern: &str) -> Result<Self, RegexError> {
        let Parsed { hir, names } = syntax::parse(pattern).map_err(RegexError)?;
        let shape = Shape::of(&hir);
        let prefix = shape::prefix(&hir);
        let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let compiled = Compiled {
            pattern: pattern.to_owned(),
            anchored,
            automaton: OnceLock::new(),
            names,
            prefix,
            shape,
        };
        if matches!(compiled.shape, Shape::General) && compiled.automaton().is_none() {
            return Err(RegexError(format!("expression too large: `{pattern}`")));
        }
        Ok(AnchoredRegex(Arc::new(compiled)))
    }

    /// The expression as it was written, without anchors.
    pub fn as_str(&self) -> &str {
        &self.0.pattern
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        match self.0.shape.is_match(text) {
            Some(is_match) => is_match,
            None => {
                let automaton = || self.0.automaton().is_some_and(|automaton| automaton.is_match(text));
                text.starts_with(&self.0.prefix) && automaton()
            }
        }
    }

    /// All texts that match, sorted, each once, if they are at most 256.
    pub fn set(&self) -> Option<&[String]> {
        match &self.0.shape {
            Shape::Set(set) => Some(set),
            _ => None,
        }
    }

    /// A text that everything that matches begins with; often empty.
    pub fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Whether every text matches, as with `.*`.
    pub fn matches_everything(&self) -> bool {
        matches!(self.0.shape, Shape::Anything)
    }

    /// If the whole text matches, the template with `$1`, `${1}`, `$name`, `${name}` replaced by what the
    /// groups matched and `$$` by `$` (Go's `Regexp.Expand`).
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let automaton = self.0.automaton()?;
        let mut captures = automaton.create_captures();
        automaton.captures(text, &mut captures);
        if !captures.is_match() {
            return None;
        }
        let part = |index| captures.get_group(index).map(|span| &text[span.range()]);
        let group = |name: &str| match expand::index(name) {
            Some(index) => part(index),
            None => {
                self.0.names.iter().filter(|(known, _)| known == name).find_map(|(_, index)| part(*index))
            }
        };
        let mut expanded = String::new();
        expand::expand(template, &mut expanded, group);
        Some(expanded)
    }
}

impl PartialEq for AnchoredRegex {
    fn eq(&self, other: &Self) -> bool {
        self.0.pattern == other.0.pattern
    }
}

impl Eq for AnchoredRegex {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn the_syntax_is_that_of_the_reference() {
        for (pattern, text, matches) in [
            (r"\d+", "12", true),
            (r"\d", "\u{0663}", false),
            (r"\w", "é", false),
            (r"(?i)\w", "\u{17f}", true),
            (r"\s", "\x0b", false),
            (r"a\b.*", "aé", true),
            (r"\Qa.b\E.", "a.bc", true),
            (r"\Qa", "a", true),
            ("a{,2}", "a{,2}", true),
            ("a{2", "a{2", true),
            ("a{2}", "aa", true),
            ("a{02}", "a{02}", true),
            ("[a&&b]", "&", true),
            ("[[a]", "[", true),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[a-]", "-", true),
            ("[--a]", "_", true),
            (r"[\d\-x]", "-", true),
            ("[[:^digit:]]", "a", true),
            (r"\p{Greek}\pL\P{^Lu}", "αaA", true),
            ("(?i)straße", "STRAßE", true),
            ("(?i)k", "\u{212a}", true),
            ("a.b", "a\nb", true),
            ("(?-s)a.b", "a\nb", false),
            ("(?-s:a.)b.", "acb\n", true),
            ("(?m)a$\n^b", "a\nb", true),
            ("^a$", "a", true),
            (r"\Aa\z", "a", true),
            (r"\x41\x{1F600}\101", "A\u{1f600}A", true),
            (r"\_\-", "_-", true),
            ("(?U)a+", "aaa", true),
            ("(a|b)*?c", "abac", true),
            ("x(?i)y|z", "xY", true),
            ("x(?i)y|z", "Z", true),
            ("(x(?i)y)z", "xYZ", false),
            ("(?P<n>a)(?<m>b)", "ab", true),
            ("(|a)+", "aa", true),
            (r"[\x{d7ff}-\x{e000}]", "\u{e000}", true),
        ] {
            assert_eq!(AnchoredRegex::new(pattern).unwrap().is_match(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn errors_are_those_of_the_reference() {
        for (pattern, error) in ERRORS {
            let wanted = format!("error parsing regexp: {error}");
            assert_eq!(
                AnchoredRegex::new(pattern).map(|_| ()).map_err(|e| e.to_string()),
                Err(wanted),
                "{pattern}"
            );
        }
        let deep = "(".repeat(100_000);
        assert!(AnchoredRegex::new(&deep).is_err());
        let large = AnchoredRegex::new(r"(\pL{100}){10}[^\pN]{1000}").map(|_| ()).unwrap_err().to_string();
        assert!(large.contains("expression too large"), "{large}");
    }

    /// Each was told by a live Prometheus 3.5.
    const ERRORS: [(&str, &str); 114] = [
        ("(", "missing closing ): `(`"),
        ("a(b", "missing closing ): `a(b`"),
        ("a)", "unexpected ): `a)`"),
        (")", "unexpected ): `)`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a*+", "invalid nested repetition operator: `*+`"),
        ("a+?*", "invalid nested repetition operator: `+?*`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a{1,1001}", "invalid repeat count: `{1,1001}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("((a{10}){10}){11}", "invalid repeat count: `{11}`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("[a", "missing closing ]: `[a`"),
        ("[", "missing closing ]: `[`"),
        ("[]", "missing closing ]: `[]`"),
        ("[^]", "missing closing ]: `[^]`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[a-\\d]", "invalid escape sequence: `\\d`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
        ("[[:^foo:]]", "invalid character class range: `[:^foo:]`"),
        ("[[:alpha:]", "missing closing ]: `[[:alpha:]`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("\\8", "invalid escape sequence: `\\8`"),
        ("\\1", "invalid escape sequence: `\\1`"),
        ("\\18", "invalid escape sequence: `\\1`"),
        ("\\Z", "invalid escape sequence: `\\Z`"),
        ("\\C", "invalid escape sequence: `\\C`"),
        ("\\y", "invalid escape sequence: `\\y`"),
        ("\\x", "invalid escape sequence: `\\x`"),
        ("\\x1", "invalid escape sequence: `\\x1`"),
        ("\\xg1", "invalid escape sequence: `\\xg1`"),
        ("\\x1g", "invalid escape sequence: `\\x1g`"),
        ("\\x{", "invalid escape sequence: `\\x{`"),
        ("\\x{}", "invalid escape sequence: `\\x{}`"),
        ("\\x{110000}", "invalid escape sequence: `\\x{110000`"),
        ("\\x{12", "invalid escape sequence: `\\x{12`"),
        ("\\x{g}", "invalid escape sequence: `\\x{g`"),
        ("\\p", "invalid character class range: `\\p`"),
        ("\\pX", "invalid character class range: `\\pX`"),
        ("\\p{", "invalid character class range: `\\p{`"),
        ("\\p{Foo}", "invalid character class range: `\\p{Foo}`"),
        ("\\p{greek}", "invalid character class range: `\\p{greek}`"),
        ("\\P{^Foo}", "invalid character class range: `\\P{^Foo}`"),
        ("\\pé", "invalid character class range: `\\pé`"),
        ("(?", "invalid or unsupported Perl syntax: `(?`"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
        ("(?i-", "invalid or unsupported Perl syntax: `(?i-`"),
        ("(?-)", "invalid or unsupported Perl syntax: `(?-)`"),
        ("(?-:a)", "invalid or unsupported Perl syntax: `(?-:`"),
        ("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?--i)", "invalid or unsupported Perl syntax: `(?--`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?<=a)", "invalid named capture: `(?<=a)`"),
        ("(?<!a)", "invalid named capture: `(?<!a)`"),
        ("(?<a", "invalid named capture: `(?<a`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("(?P<", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?P<>a)", "invalid named capture: `(?P<>`"),
        ("(?P<a-b>c)", "invalid named capture: `(?P<a-b>`"),
        ("(?<>a)", "invalid named capture: `(?<>`"),
        ("(?<a b>c)", "invalid named capture: `(?<a b>`"),
        ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?P>n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?#c)", "invalid or unsupported Perl syntax: `(?#`"),
        ("(?z)", "invalid or unsupported Perl syntax: `(?z`"),
        ("(?iz:a)", "invalid or unsupported Perl syntax: `(?iz`"),
        ("|*", "missing argument to repetition operator: `*`"),
        ("a|*", "missing argument to repetition operator: `*`"),
        ("(*)", "missing argument to repetition operator: `*`"),
        ("(|*)", "missing argument to repetition operator: `*`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("?", "missing argument to repetition operator: `?`"),
        ("+", "missing argument to repetition operator: `+`"),
        ("{2}", "missing argument to repetition operator: `{2}`"),
        ("[a--]", "invalid character class range: `a--`"),
        ("[\\", "trailing backslash at end of expression: ``"),
        ("[\\z]", "invalid escape sequence: `\\z`"),
        ("[\\x{110000}]", "invalid escape sequence: `\\x{110000`"),
        ("[a-\\q]", "invalid escape sequence: `\\q`"),
        ("\\E", "invalid escape sequence: `\\E`"),
        ("\\Q\\E*", "missing argument to repetition operator: `*`"),
        ("((((a", "missing closing ): `((((a`"),
        ("a)b)", "unexpected ): `a)b)`"),
        ("(a))", "unexpected ): `(a))`"),
        ("[\\p{Foo}]", "invalid character class range: `\\p{Foo}`"),
        ("[\\pL", "missing closing ]: `[\\pL`"),
        ("[\\Q]", "invalid escape sequence: `\\Q`"),
        ("\\é", "invalid escape sequence: `\\é`"),
        ("\\u0041", "invalid escape sequence: `\\u`"),
        ("\\cA", "invalid escape sequence: `\\c`"),
        ("\\e", "invalid escape sequence: `\\e`"),
        ("\\G", "invalid escape sequence: `\\G`"),
        ("\\h", "invalid escape sequence: `\\h`"),
        ("\\K", "invalid escape sequence: `\\K`"),
        ("\\R", "invalid escape sequence: `\\R`"),
        ("\\X", "invalid escape sequence: `\\X`"),
        ("a{1,2}{3}", "invalid nested repetition operator: `{1,2}{3}`"),
        ("a?{2}", "invalid nested repetition operator: `?{2}`"),
        ("a???", "invalid nested repetition operator: `???`"),
        ("(?P<é>a)", "invalid named capture: `(?P<é>`"),
        ("(?P<n", "invalid named capture: `(?P<n`"),
        ("[a-", "missing closing ]: `[a-`"),
        ("[^", "missing closing ]: `[^`"),
        ("(?m", "invalid or unsupported Perl syntax: `(?m`"),
        ("(?im:", "missing closing ): `(?im:`"),
        ("(?i:a", "missing closing ): `(?i:a`"),
        ("[a-[:alpha:]]", "invalid character class range: `a-[`"),
        ("\\7", "invalid escape sequence: `\\7`"),
        ("(?P<name>", "missing closing ): `(?P<name>`"),
    ];

    #[test]
    fn simple_expressions_need_no_automaton() {
        for (pattern, simple) in [
            ("", true),
            ("a|b", true),
            (".*", true),
            ("(.+)", true),
            ("a.*", true),
            (".*a", true),
            (".*(a).*b.*", true),
            ("a.*|b.*c|.*d", true),
            ("^(?:a.*)$", true),
            ("(?i)node", true),
            ("10\\.0\\.[0-9]\\.[0-9]", true),
            ("a+", false),
            ("a.+b", false),
        ] {
            let regex = AnchoredRegex::new(pattern).unwrap();
            assert_eq!(!matches!(regex.0.shape, Shape::General), simple, "{pattern}");
        }
        assert!(AnchoredRegex::new("^.*$").unwrap().matches_everything());
        assert_eq!(AnchoredRegex::new("^abc.*").unwrap().prefix(), "abc");
        assert_eq!(AnchoredRegex::new("^(a|b)$").unwrap().set(), Some(&["a".to_owned(), "b".to_owned()][..]));
    }

    #[test]
    fn places_in_templates_are_found_as_go_finds_them() {
        let twice = AnchoredRegex::new("(?P<n>a)|(?P<n>b)").unwrap();
        assert_eq!(twice.expand("b", "$n").as_deref(), Some("b"));
        let regex = AnchoredRegex::new("(a)(?P<b>.)(x)?").unwrap();
        for (template, expanded) in [
            ("$1", "a"),
            ("$1x", ""),
            ("${1}x", "ax"),
            ("$b", "c"),
            ("$0-$2-$3-$4", "ac-c--"),
            ("$$1", "$1"),
            ("$", "$"),
            ("a$ b", "a$ b"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("${1 }", "${1 }"),
            ("$-", "$-"),
            ("$01", ""),
        ] {
            assert_eq!(regex.expand("ac", template).as_deref(), Some(expanded), "{template}");
        }
    }

    /// Whether a text matches, straight from the meaning of the operators: tries everything.
    fn naive(pattern: &Pattern, text: &[char]) -> bool {
        match pattern {
            Pattern::Char(c) => text == [*c],
            Pattern::Any => text.len() == 1,
            Pattern::Folded(c) => matches!(text, [t] if t.eq_ignore_ascii_case(c)),
            Pattern::Class(chars) => matches!(text, [t] if chars.contains(t)),
            Pattern::Then(a, b) => (0..=text.len()).any(|at| naive(a, &text[..at]) && naive(b, &text[at..])),
            Pattern::Or(a, b) => naive(a, text) || naive(b, text),
            Pattern::Star(a) => {
                text.is_empty()
                    || (1..=text.len()).any(|at| naive(a, &text[..at]) && naive(pattern, &text[at..]))
            }
            Pattern::Optional(a) => text.is_empty() || naive(a, text),
        }
    }

    #[derive(Clone, Debug)]
    enum Pattern {
        Char(char),
        Any,
        Folded(char),
        Class(Vec<char>),
        Then(Box<Pattern>, Box<Pattern>),
        Or(Box<Pattern>, Box<Pattern>),
        Star(Box<Pattern>),
        Optional(Box<Pattern>),
    }

    impl std::fmt::Display for Pattern {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            match self {
                Pattern::Char(c) => write!(f, "{c}"),
                Pattern::Any => write!(f, "."),
                Pattern::Folded(c) => write!(f, "(?i:{c})"),
                Pattern::Class(chars) => write!(f, "[{}]", chars.iter().collect::<String>()),
                Pattern::Then(a, b) => write!(f, "{a}{b}"),
                Pattern::Or(a, b) => write!(f, "(?:{a}|{b})"),
                Pattern::Star(a) => write!(f, "({a})*"),
                Pattern::Optional(a) => write!(f, "(?:{a})?"),
            }
        }
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let leaf = prop_oneof![
            4 => proptest::sample::select(vec!['a', 'b', 'é']).prop_map(Pattern::Char),
            1 => Just(Pattern::Any),
            1 => proptest::sample::select(vec!['a', 'b']).prop_map(Pattern::Folded),
            1 => proptest::collection::vec(proptest::sample::select(vec!['a', 'b', 'B']), 1..3)
                .prop_map(Pattern::Class),
            2 => Just(Pattern::Star(Box::new(Pattern::Any))),
        ];
        leaf.prop_recursive(4, 12, 2, |inner| {
            prop_oneof![
                4 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Pattern::Then(Box::new(a), Box::new(b))),
                2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| Pattern::Or(Box::new(a), Box::new(b))),
                1 => inner.clone().prop_map(|a| Pattern::Star(Box::new(a))),
                1 => inner.prop_map(|a| Pattern::Optional(Box::new(a))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn expressions_match_what_they_say(pattern in pattern(), texts in proptest::collection::vec("[abAé\n]{0,6}", 8)) {
            let regex = AnchoredRegex::new(&pattern.to_string()).unwrap();
            for text in texts {
                let chars: Vec<char> = text.chars().collect();
                prop_assert_eq!(regex.is_match(&text), naive(&pattern, &chars), "{} on {:?}", pattern, text);
                prop_assert_eq!(regex.is_match(&text), regex.expand(&text, "").is_some());
                if regex.is_match(&text) {
                    prop_assert!(text.starts_with(regex.prefix()));
                    if let Some(set) = regex.set() {
                        prop_assert!(set.contains(&text));
                    }
                }
            }
            for member in regex.set().unwrap_or_default() {
                prop_assert!(regex.0.automaton().unwrap().is_match(member.as_str()));
            }
        }

        #[test]
        fn no_expression_panics(pattern in r"[\PC\n]{0,12}", soup in r"(\\[dpQExA]|[()\[\]{}*+?|^$.,:<>=!0-9a-zP&-]|\[:alpha:\]|\(\?){0,12}") {
            for pattern in [pattern, soup] {
                if let Ok(regex) = AnchoredRegex::new(&pattern) {
                    let _ = regex.is_match(&pattern);
                    let _ = regex.expand("a", &pattern);
                }
            }
        }
    }
}
