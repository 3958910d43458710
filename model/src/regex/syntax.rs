//! The syntax of regular expressions: RE2's, as Go's `regexp/syntax` reads it with the flags `Perl` and `DotNL`.
//!
//! An expression is turned into the high-level form of `regex-syntax` at once. The parser of that crate can't be
//! used, because the two languages differ where it matters: `\d`, `\s`, `\w` and `\b` are ASCII here, a bracket has
//! no set operations and no brackets within, `{` that begins no repetition is a literal, `**` is an error, and
//! `\Q…\E` exists. Groups are kept on a stack of their own, so that depth costs no recursion.
//!
//! Given up: names of scripts and categories are those of `regex-syntax`, which knows a few more spellings.

use regex_syntax::hir::{self, Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

use super::class;

/// The largest count of a repetition, and of repetitions within each other multiplied.
const REPEAT_MAX: u32 = 1000;
/// How deep groups and repetitions may be nested; the compiler calls itself for each level.
const NESTING_MAX: usize = 250;

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    InvalidRange,
    InvalidEscape,
    InvalidNamedCapture,
    InvalidPerlSyntax,
    InvalidRepeatOperator,
    InvalidRepeatCount,
    MissingBracket,
    MissingParen,
    MissingRepeatArgument,
    NestedTooDeep,
    TrailingBackslash,
    UnexpectedParen,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Problem::InvalidRange => "invalid character class range",
            Problem::InvalidEscape => "invalid escape sequence",
            Problem::InvalidNamedCapture => "invalid named capture",
            Problem::InvalidPerlSyntax => "invalid or unsupported Perl syntax",
            Problem::InvalidRepeatOperator => "invalid nested repetition operator",
            Problem::InvalidRepeatCount => "invalid repeat count",
            Problem::MissingBracket => "missing closing ]",
            Problem::MissingParen => "missing closing )",
            Problem::MissingRepeatArgument => "missing argument to repetition operator",
            Problem::NestedTooDeep => "expression nests too deeply",
            Problem::TrailingBackslash => "trailing backslash at end of expression",
            Problem::UnexpectedParen => "unexpected )",
        }
    }
}

/// A problem and the part of the expression that has it, as messages show them.
pub(super) type Fault = String;

pub(super) fn fault(problem: Problem, part: &str) -> Fault {
    format!("{}: `{part}`", problem.text())
}

/// An expression that has been read.
pub(super) struct Parsed {
    pub(super) hir: Hir,
    /// Names of groups and their indexes. They are not in `hir`, where two groups can't have one name.
    pub(super) names: Vec<(String, usize)>,
}

/// Reads an expression.
pub(super) fn parse(pattern: &str) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags { fold_case: false, multi_line: false, dot_is_any: true, swap_greed: false },
        group: Group::default(),
        outer: Vec::new(),
        captures: 0,
        names: Vec::new(),
    };
    let mut last_repeat = None;
    while !parser.rest.is_empty() {
        last_repeat = parser.step(last_repeat)?;
    }
    if !parser.outer.is_empty() {
        return Err(fault(Problem::MissingParen, pattern));
    }
    Ok(Parsed { hir: parser.group.finish().hir, names: parser.names })
}

/// What letters mean at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    /// `i`
    pub(super) fold_case: bool,
    /// `m`: `^` and `$` match at lines.
    multi_line: bool,
    /// `s`
    dot_is_any: bool,
    /// `U`: repetitions are lazy unless they say otherwise.
    swap_greed: bool,
}

/// A part of the expression.
struct Node {
    hir: Hir,
    /// The largest product of the counts of repetitions within each other.
    repeats: u32,
    /// Levels of groups and repetitions.
    height: usize,
}

/// What stands between two parentheses, as far as it has been read.
#[derive(Default)]
struct Group {
    /// The alternatives that have ended.
    alternatives: Vec<Node>,
    /// The parts of the one that is being read.
    sequence: Vec<Node>,
}

impl Group {
    fn end_alternative(&mut self) {
        let sequence = std::mem::take(&mut self.sequence);
        self.alternatives.push(join(sequence, Hir::concat));
    }

    fn finish(mut self) -> Node {
        self.end_alternative();
        join(self.alternatives, Hir::alternation)
    }
}

fn join(nodes: Vec<Node>, how: impl FnOnce(Vec<Hir>) -> Hir) -> Node {
    let repeats = nodes.iter().map(|node| node.repeats).max().unwrap_or(1);
    let height = nodes.iter().map(|node| node.height).max().unwrap_or(0);
    Node { hir: how(nodes.into_iter().map(|node| node.hir).collect()), repeats, height }
}

/// A group around the one that is being read.
struct Outer {
    group: Group,
    /// The flags when the inner group began.
    flags: Flags,
    /// Index of the inner group, if it captures.
    capture: Option<u32>,
}

/// What a repetition operator says.
struct Repeat {
    min: u32,
    max: Option<u32>,
    /// Whether it is a count in braces.
    counted: bool,
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    group: Group,
    outer: Vec<Outer>,
    captures: u32,
    names: Vec<(String, usize)>,
}

impl<'p> Parser<'p> {
    /// Reads one part. `last_repeat` is where the repetition operator begins that the part follows at once; returns
    /// the same for the next step.
    fn step(&mut self, last_repeat: Option<&'p str>) -> Result<Option<&'p str>, Fault> {
        let here = self.rest;
        let mut chars = here.chars();
        let Some(c) = chars.next() else { return Ok(None) };
        self.rest = chars.as_str();
        match c {
            '(' if self.rest.starts_with('?') => self.special_group(here)?,
            '(' => self.open(true, None)?,
            '|' => self.group.end_alternative(),
            ')' => self.close()?,
            '^' => self.push(Hir::look(if self.flags.multi_line { Look::StartLF } else { Look::Start })),
            '$' => self.push(Hir::look(if self.flags.multi_line { Look::EndLF } else { Look::End })),
            '.' if self.flags.dot_is_any => self.push(Hir::dot(hir::Dot::AnyChar)),
            '.' => self.push(Hir::dot(hir::Dot::AnyCharExceptLF)),
            '[' => {
                let class = class::bracket(here, &mut self.rest, self.flags.fold_case)?;
                self.push(of_class(class));
            }
            '*' => return self.repeat(here, Repeat { min: 0, max: None, counted: false }, last_repeat),
            '+' => return self.repeat(here, Repeat { min: 1, max: None, counted: false }, last_repeat),
            '?' => return self.repeat(here, Repeat { min: 0, max: Some(1), counted: false }, last_repeat),
            '{' => match count(here) {
                None => self.literal('{'),
                Some((rest, counts)) => {
                    self.rest = rest;
                    let repeat =
                        counts.ok_or_else(|| fault(Problem::InvalidRepeatCount, until(here, rest)))?;
                    return self.repeat(here, repeat, last_repeat);
                }
            },
            '\\' => self.escape(here)?,
            c => self.literal(c),
        }
        Ok(None)
    }

    fn push(&mut self, hir: Hir) {
        self.group.sequence.push(Node { hir, repeats: 1, height: 0 });
    }

    fn literal(&mut self, c: char) {
        let hir = if self.flags.fold_case {
            of_class(class::folded(ClassUnicode::new([ClassUnicodeRange::new(c, c)])))
        } else {
            Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes())
        };
        self.push(hir);
    }

    // ------------------------------------------------------------------------------------------- groups

    fn open(&mut self, captures: bool, name: Option<&'p str>) -> Result<(), Fault> {
        if self.outer.len() == NESTING_MAX {
            return Err(fault(Problem::NestedTooDeep, self.pattern));
        }
        let capture = captures.then(|| {
            self.captures += 1;
            self.names.extend(name.map(|name| (name.to_owned(), self.captures as usize)));
            self.captures
        });
        let group = std::mem::take(&mut self.group);
        self.outer.push(Outer { group, flags: self.flags, capture });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(outer) = self.outer.pop() else {
            return Err(fault(Problem::UnexpectedParen, self.pattern));
        };
        let mut inner = std::mem::replace(&mut self.group, outer.group).finish();
        self.flags = outer.flags;
        if let Some(index) = outer.capture {
            inner.hir = Hir::capture(Capture { index, name: None, sub: Box::new(inner.hir) });
        }
        inner.height += 1;
        self.group.sequence.push(inner);
        Ok(())
    }

    /// What begins with `(?`: a named group, a group that doesn't capture, or flags.
    fn special_group(&mut self, here: &'p str) -> Result<(), Fault> {
        let name_start = match here {
            here if here.starts_with("(?P<") && here.len() > 4 => Some(4),
            here if here.starts_with("(?<") && here.len() > 3 => Some(3),
            _ => None,
        };
        match name_start {
            Some(name_start) => self.named_group(here, name_start),
            None => self.flag_group(here),
        }
    }

    fn named_group(&mut self, here: &'p str, name_start: usize) -> Result<(), Fault> {
        let end = here.find('>').ok_or_else(|| fault(Problem::InvalidNamedCapture, here))?;
        let name = &here[name_start..end.max(name_start)];
        let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if name.is_empty() || !is_word {
            return Err(fault(Problem::InvalidNamedCapture, &here[..=end]));
        }
        self.rest = &here[end + 1..];
        self.open(true, Some(name))
    }

    fn flag_group(&mut self, here: &'p str) -> Result<(), Fault> {
        let mut flags = self.flags;
        let (mut on, mut saw_flag) = (true, false);
        let mut rest = &here[2..];
        loop {
            let mut chars = rest.chars();
            let c = chars.next();
            rest = chars.as_str();
            match c {
                Some('i') => flags.fold_case = on,
                Some('m') => flags.multi_line = on,
                Some('s') => flags.dot_is_any = on,
                Some('U') => flags.swap_greed = on,
                Some('-') if on => {
                    (on, saw_flag) = (false, false);
                    continue;
                }
                Some(':' | ')') if on || saw_flag => {
                    self.rest = rest;
                    if c == Some(':') {
                        self.open(false, None)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                // Includes a text that ends here: what is missing isn't told apart from what is unknown.
                _ => return Err(fault(Problem::InvalidPerlSyntax, until(here, rest))),
            }
            saw_flag = true;
        }
    }

    // ------------------------------------------------------------------------------------------- repetition

    /// Applies an operator, whose text begins at `here`, to the part before it.
    fn repeat(
        &mut self,
        here: &'p str,
        repeat: Repeat,
        last_repeat: Option<&'p str>,
    ) -> Result<Option<&'p str>, Fault> {
        let lazy = match self.rest.strip_prefix('?') {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        };
        if let Some(last) = last_repeat {
            return Err(fault(Problem::InvalidRepeatOperator, until(last, self.rest)));
        }
        let Some(Node { hir, repeats, height }) = self.group.sequence.pop() else {
            return Err(fault(Problem::MissingRepeatArgument, until(here, self.rest)));
        };
        let Repeat { min, max, counted } = repeat;
        let times = if counted { max.unwrap_or(min).max(1) } else { 1 };
        let repeats = repeats.saturating_mul(times);
        if counted && repeats > REPEAT_MAX {
            return Err(fault(Problem::InvalidRepeatCount, until(here, self.rest)));
        }
        if height == NESTING_MAX {
            return Err(fault(Problem::NestedTooDeep, self.pattern));
        }
        let greedy = lazy == self.flags.swap_greed;
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(hir) });
        self.group.sequence.push(Node { hir, repeats, height: height + 1 });
        Ok(Some(here))
    }

    // ------------------------------------------------------------------------------------------- escapes

    fn escape(&mut self, here: &'p str) -> Result<(), Fault> {
        match here.as_bytes().get(1) {
            Some(b'A') => self.look(Look::Start),
            Some(b'b') => self.look(Look::WordAscii),
            Some(b'B') => self.look(Look::WordAsciiNegate),
            Some(b'z') => self.look(Look::End),
            Some(b'C') => return Err(fault(Problem::InvalidEscape, &here[..2])),
            Some(b'Q') => {
                let (text, rest) = here[2..].split_once("\\E").unwrap_or((&here[2..], ""));
                text.chars().for_each(|c| self.literal(c));
                self.rest = rest;
            }
            _ => {
                if let Some(class) = class::escaped(here, &mut self.rest, self.flags.fold_case)? {
                    self.push(of_class(class));
                    return Ok(());
                }
                match class::escaped_char(here, &mut self.rest)? {
                    Some(c) => self.literal(c),
                    // A surrogate is no character, so nothing matches it.
                    None => self.push(Hir::fail()),
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, look: Look) {
        self.rest = &self.rest[1..];
        self.push(Hir::look(look));
    }
}

fn of_class(class: ClassUnicode) -> Hir {
    Hir::class(Class::Unicode(class))
}

/// The part of `here` before `rest`, which is its end.
pub(super) fn until<'a>(here: &'a str, rest: &str) -> &'a str {
    &here[..here.len() - rest.len()]
}

/// The longest number that is read as one.
const COUNT_DIGITS_MAX: usize = 8;

/// A count in braces and what follows it; `None` if the braces are literals. The count itself is missing if it is
/// out of range.
fn count(here: &str) -> Option<(&str, Option<Repeat>)> {
    let (rest, min) = integer(&here[1..])?;
    let (rest, max) = match rest.strip_prefix(',') {
        None => (rest, Some(min)),
        Some(rest) if rest.starts_with('}') => (rest, None),
        Some(rest) => integer(rest).map(|(rest, max)| (rest, Some(max)))?,
    };
    let rest = rest.strip_prefix('}')?;
    let in_range = |n: u32| n <= REPEAT_MAX;
    let valid = in_range(min) && max.is_none_or(|max| in_range(max) && min <= max);
    Some((rest, valid.then_some(Repeat { min, max, counted: true })))
}

/// Digits without a leading zero. What is too large comes as the largest number.
fn integer(text: &str) -> Option<(&str, u32)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || (digits > 1 && text.starts_with('0')) {
        return None;
    }
    let number = if digits >= COUNT_DIGITS_MAX { u32::MAX } else { text[..digits].parse().ok()? };
    Some((&text[digits..], number))
}
