//! What an expression amounts to, when it is simple, so that it is answered without an automaton.

use memchr::memmem::Finder;
use regex_syntax::hir::literal::{Extractor, Literal};
use regex_syntax::hir::{Class, ClassUnicode, Dot, Hir, HirKind, Look};

/// The most alternatives that are listed as a set; as in the reference.
const SET_LEN_MAX: usize = 256;
/// The most alternatives with gaps that are tried one after the other.
const ALTERNATIVES_MAX: usize = 256;
/// Ranges of a class that are looked through one after the other.
const CLASS_RANGES_MAX: usize = 8;

/// An expression that isn't general.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// `.*`
    Anything,
    /// `.+`
    AnythingButEmpty,
    /// These texts, sorted.
    Set(Vec<String>),
    /// Texts with anything between them: `a.*`, `.*b`, `a.*b.*|c.*`.
    Gaps(Vec<Gaps>),
    /// One character of each of these classes: `(?i)abc`, `node[0-9]`.
    Classes(Vec<ClassUnicode>),
    /// Whatever else.
    General,
}

impl Shape {
    /// Finds the shape of an expression that is matched from the first to the last character.
    pub(super) fn of(hir: &Hir) -> Self {
        let hir = &without_anchors(hir);
        if let Some(set) = set(hir) {
            return Shape::Set(set);
        }
        match anything_times(hir) {
            Some(0) => return Shape::Anything,
            Some(1) => return Shape::AnythingButEmpty,
            _ => {}
        }
        if let Some(gaps) = alternatives_with_gaps(hir) {
            return Shape::Gaps(gaps);
        }
        match classes(hir) {
            Some(classes) => Shape::Classes(classes),
            None => Shape::General,
        }
    }

    /// Whether the whole text matches; `None` if only the automaton can tell.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        Some(match self {
            Shape::Anything => true,
            Shape::AnythingButEmpty => !text.is_empty(),
            Shape::Set(set) => set.binary_search_by(|member| member.as_str().cmp(text)).is_ok(),
            Shape::Gaps(alternatives) => alternatives.iter().any(|gaps| gaps.is_match(text)),
            Shape::Classes(classes) => {
                let mut chars = text.chars();
                classes.iter().all(|class| chars.next().is_some_and(|c| contains(class, c)))
                    && chars.next().is_none()
            }
            Shape::General => return None,
        })
    }
}

/// The expression without the anchors that change nothing where everything is anchored.
fn without_anchors(hir: &Hir) -> Hir {
    let HirKind::Concat(parts) = hir.kind() else { return hir.clone() };
    let is_look =
        |part: Option<&Hir>, look| matches!(part.map(Hir::kind), Some(HirKind::Look(l)) if *l == look);
    let mut parts = parts.as_slice();
    while is_look(parts.first(), Look::Start) {
        parts = &parts[1..];
    }
    while is_look(parts.last(), Look::End) {
        parts = &parts[..parts.len() - 1];
    }
    Hir::concat(parts.to_vec())
}

/// The parts of the expression, if it is more than one.
fn parts(hir: &Hir) -> &[Hir] {
    match hir.kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(hir),
    }
}

// ---------------------------------------------------------------------------------------------- sets

/// All texts that the expression matches, sorted, if they are few.
fn set(hir: &Hir) -> Option<Vec<String>> {
    if !hir.properties().look_set().is_empty() {
        return None;
    }
    let mut extractor = Extractor::new();
    extractor.limit_total(SET_LEN_MAX).limit_class(16).limit_repeat(4).limit_literal_len(1 << 10);
    let texts = extractor.extract(hir);
    let texts = texts.literals().filter(|literals| literals.iter().all(Literal::is_exact))?;
    let as_text = |literal: &Literal| String::from_utf8(literal.as_bytes().to_vec()).ok();
    let mut texts: Vec<String> = texts.iter().map(as_text).collect::<Option<_>>()?;
    texts.sort();
    texts.dedup();
    Some(texts)
}

// ---------------------------------------------------------------------------------------------- gaps

/// `prefix.*middle.*suffix`: texts in this order, with anything between them.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    prefix: String,
    middles: Vec<Finder<'static>>,
    suffix: String,
}

impl Gaps {
    fn of(hir: &Hir) -> Option<Self> {
        let mut texts = vec![String::new()];
        for part in parts(hir) {
            match anything_times(part) {
                Some(0) => texts.push(String::new()),
                _ => texts.last_mut()?.push_str(literal(part)?),
            }
        }
        let suffix = texts.pop()?;
        if texts.is_empty() {
            return None;
        }
        let prefix = texts.remove(0);
        texts.retain(|text| !text.is_empty());
        let middles = texts.iter().map(|text| Finder::new(text.as_bytes()).into_owned()).collect();
        Some(Gaps { prefix, middles, suffix })
    }

    fn is_match(&self, text: &str) -> bool {
        let inner =
            text.strip_prefix(self.prefix.as_str()).and_then(|rest| rest.strip_suffix(self.suffix.as_str()));
        let Some(mut rest) = inner.map(str::as_bytes) else { return false };
        // The first place of each text leaves the most room for the next one.
        self.middles.iter().all(|middle| match middle.find(rest) {
            Some(at) => {
                rest = &rest[at + middle.needle().len()..];
                true
            }
            None => false,
        })
    }
}

fn alternatives_with_gaps(hir: &Hir) -> Option<Vec<Gaps>> {
    match hir.kind() {
        HirKind::Alternation(alternatives) if alternatives.len() <= ALTERNATIVES_MAX => {
            alternatives.iter().map(|alternative| Gaps::of(uncaptured(alternative))).collect()
        }
        HirKind::Capture(_) => alternatives_with_gaps(uncaptured(hir)),
        _ => Gaps::of(hir).map(|gaps| vec![gaps]),
    }
}

/// What is in the groups around the expression.
fn uncaptured(hir: &Hir) -> &Hir {
    match hir.kind() {
        HirKind::Capture(capture) => uncaptured(&capture.sub),
        _ => hir,
    }
}

/// If the expression is "any character, `n` times or more": that `n`.
fn anything_times(hir: &Hir) -> Option<u32> {
    match uncaptured(hir).kind() {
        HirKind::Repetition(repetition) if repetition.max.is_none() => {
            (*repetition.sub == Hir::dot(Dot::AnyChar)).then_some(repetition.min)
        }
        _ => None,
    }
}

fn literal(hir: &Hir) -> Option<&str> {
    match uncaptured(hir).kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok(),
        HirKind::Empty => Some(""),
        _ => None,
    }
}

// ---------------------------------------------------------------------------------------------- classes

/// The classes that the expression matches one character each of.
fn classes(hir: &Hir) -> Option<Vec<ClassUnicode>> {
    let mut classes = Vec::new();
    for part in parts(hir) {
        match part.kind() {
            HirKind::Class(Class::Unicode(class)) if class.ranges().len() <= CLASS_RANGES_MAX => {
                classes.push(class.clone());
            }
            HirKind::Literal(literal) => {
                let of_char = |c| ClassUnicode::new([regex_syntax::hir::ClassUnicodeRange::new(c, c)]);
                classes.extend(std::str::from_utf8(&literal.0).ok()?.chars().map(of_char));
            }
            _ => return None,
        }
    }
    Some(classes)
}

fn contains(class: &ClassUnicode, c: char) -> bool {
    class.ranges().iter().any(|range| range.start() <= c && c <= range.end())
}

// ---------------------------------------------------------------------------------------------- prefix

/// A text that everything that matches begins with.
pub(super) fn prefix(hir: &Hir) -> String {
    let stripped = without_anchors(hir);
    let first = parts(uncaptured(&stripped)).first().and_then(literal);
    first.unwrap_or_default().to_owned()
}
