//! The commands of a script, as they are written.
//!
//! ```text
//! # a comment
//! clear
//!
//! load 5m
//!   metric{label="value"} 0+10x5
//!
//! eval instant at 10m metric
//!   expect no_warn
//!   metric{label="value"} 20
//!
//! eval range from 0 to 10m step 5m sum(metric)
//!   {} 0 10 20
//! ```
//!
//! A command begins on its own line; the lines that belong to it follow at once, up to an empty line, a comment or
//! the end.

use model::duration::parse_ms;
use model::labels::Labels;
use regex::Regex;

use super::Failure;
use super::series::{SequenceValue, parse_series, parse_start_timestamps};
use crate::engine::QueryTime;
use crate::parse::number::number_value;
use crate::parse::string::quoted_text;

/// A command.
#[derive(Debug)]
pub(super) enum Command {
    /// Forget all samples.
    Clear,
    /// Add samples.
    Load(Load),
    /// Ask a query and look at the answer.
    Eval(Box<Eval>),
}

/// `load`
#[derive(Debug)]
pub(super) struct Load {
    /// Line of the command, from 1.
    pub(super) line: usize,
    /// The distance between values.
    pub(super) interval_ms: i64,
    /// Whether classic histograms are added as native ones with custom buckets, too.
    pub(super) with_nhcb: bool,
    pub(super) series: Vec<LoadedSeries>,
}

/// A series to be loaded.
#[derive(Debug)]
pub(super) struct LoadedSeries {
    pub(super) labels: Labels,
    pub(super) values: Vec<SequenceValue>,
    /// For each value how far its start timestamp is from it; empty if none has one.
    pub(super) start_offsets_ms: Vec<Option<i64>>,
}

/// `eval`
#[derive(Debug)]
pub(super) struct Eval {
    /// Line of the command, from 1.
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) time: QueryTime,
    pub(super) expected: Expected,
}

/// What an answer should be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Whether the order of a vector counts.
    pub(super) ordered: bool,
    /// Set if the query should fail: what the error should look like.
    pub(super) fail: Option<Pattern>,
    pub(super) warnings: Notes,
    pub(super) infos: Notes,
    pub(super) value: ExpectedValue,
}

/// What is expected of the annotations of one level.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Each of these matches an annotation, and each annotation matches one of these.
    pub(super) patterns: Vec<Pattern>,
    /// There is at least one.
    pub(super) some: bool,
    /// There is none.
    pub(super) none: bool,
}

/// A text that an error or an annotation is compared with.
#[derive(Debug)]
pub(super) enum Pattern {
    Any,
    Text(String),
    Regex(Regex),
}

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(wanted) => wanted == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }
}

/// The value that is expected.
#[derive(Debug, Default)]
pub(super) struct ExpectedValue {
    /// A lone number.
    pub(super) scalar: Option<f64>,
    /// A quoted text.
    pub(super) string: Option<String>,
    /// The times that values of a series stand for, if an instant query should answer with a range vector.
    pub(super) range_vector: Option<(i64, i64, i64)>,
    /// Series with their values, and the line (from 1, after those with `expect`) that each was on.
    pub(super) series: Vec<ExpectedSeries>,
}

/// A series that is expected.
#[derive(Debug)]
pub(super) struct ExpectedSeries {
    pub(super) position: usize,
    pub(super) labels: Labels,
    pub(super) values: Vec<SequenceValue>,
}

/// Splits a script into commands. Those that can't be read come as failures.
pub(super) fn commands(script: &str) -> Vec<Result<Command, Failure>> {
    let lines: Vec<&str> =
        script.split('\n').map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].is_empty() {
            at += 1;
            continue;
        }
        let block = Block { lines: &lines[at..], first: at + 1 };
        let (command, taken) = block.command();
        commands.push(command);
        at += taken.max(1);
    }
    commands
}

/// The lines from a command on.
struct Block<'a> {
    lines: &'a [&'a str],
    /// Number of the first line, from 1.
    first: usize,
}

type Read<T> = Result<T, Failure>;

impl<'a> Block<'a> {
    /// The command here and how many lines it takes.
    fn command(&self) -> (Read<Command>, usize) {
        let (name, _) = word(self.lines[0]);
        let name = name.to_ascii_lowercase();
        let until_empty = self.lines.iter().take_while(|line| !line.is_empty()).count();
        match name.as_str() {
            "clear" => (Ok(Command::Clear), 1),
            name if name.starts_with("load") => (self.load(until_empty).map(Command::Load), until_empty),
            name if name.starts_with("eval") => {
                let mut taken = 1;
                let eval = self.eval(&mut taken).map(|eval| Command::Eval(Box::new(eval)));
                (eval, if taken == 0 { until_empty } else { taken })
            }
            _ => (Err(self.failure(0, format!("invalid command {:?}", self.lines[0]))), until_empty),
        }
    }

    fn failure(&self, line: usize, what: impl Into<String>) -> Failure {
        Failure { line: self.first + line, what: what.into() }
    }

    // ------------------------------------------------------------------------------------------- load

    fn load(&self, len: usize) -> Read<Load> {
        let (name, interval) = word(self.lines[0]);
        let with_nhcb = match name {
            "load" => false,
            "load_with_nhcb" => true,
            _ => return Err(self.failure(0, "invalid load command. (load[_with_nhcb] <step:duration>)")),
        };
        let interval_ms = parse_ms(interval)
            .map_err(|error| self.failure(0, format!("invalid step definition {interval:?}: {error}")))?;
        let mut load = Load { line: self.first, interval_ms, with_nhcb, series: Vec::new() };
        let mut starts: Option<(usize, Labels, Vec<Option<i64>>)> = None;
        for (at, line) in self.lines.iter().enumerate().take(len).skip(1) {
            if let Some(parsed) = parse_start_timestamps(line) {
                let (labels, offsets) = parsed.map_err(|error| self.failure(at, error.to_string()))?;
                self.no_lone_starts(&starts)?;
                starts = Some((at, labels, offsets));
                continue;
            }
            let (labels, values) = parse_series(line).map_err(|error| self.failure(at, error.to_string()))?;
            let start_offsets_ms = match starts.take() {
                None => Vec::new(),
                Some(starts) => self.starts_of(starts, &labels, values.len())?,
            };
            // Of lines with the same labels the last one counts.
            load.series.retain(|known| known.labels != labels);
            load.series.push(LoadedSeries { labels, values, start_offsets_ms });
        }
        self.no_lone_starts(&starts)?;
        Ok(load)
    }

    fn no_lone_starts(&self, starts: &Option<(usize, Labels, Vec<Option<i64>>)>) -> Read<()> {
        match starts {
            None => Ok(()),
            Some((at, ..)) => Err(self.failure(*at, "@st line has no following sample line")),
        }
    }

    fn starts_of(
        &self,
        (at, labels, offsets): (usize, Labels, Vec<Option<i64>>),
        of: &Labels,
        values: usize,
    ) -> Read<Vec<Option<i64>>> {
        if labels != *of {
            return Err(self.failure(at, "@st metric does not match the following sample line metric"));
        }
        if offsets.len() != values {
            let got = offsets.len();
            return Err(self.failure(at, format!("@st line has {got} values but sample line has {values}")));
        }
        Ok(offsets)
    }

    // ------------------------------------------------------------------------------------------- eval

    /// `taken` is set to the lines that belong to the command; to 0 if that isn't known.
    fn eval(&self, taken: &mut usize) -> Read<Eval> {
        *taken = 0;
        let mut eval = self.eval_line()?;
        let old_style_fail = word(self.lines[0]).0 == "eval_fail";
        let is_instant = matches!(eval.time, QueryTime::Instant { .. });
        let mut position = 0;
        let mut at = 1;
        while at < self.lines.len() && !self.lines[at].is_empty() {
            let line = self.lines[at];
            at += 1;
            if old_style_fail && let Some(pattern) = self.old_style_pattern(at - 1)? {
                eval.expected.fail = Some(pattern);
                break;
            }
            if word(line).0 == "expect" {
                self.expectation(at - 1, &mut eval.expected)?;
                continue;
            }
            position += 1;
            if let Ok(scalar) = signed_number(line) {
                eval.expected.value.scalar = Some(scalar);
                break;
            }
            let (labels, values) =
                parse_series(line).map_err(|error| self.failure(at - 1, error.to_string()))?;
            if values.len() > 1 && is_instant && eval.expected.value.range_vector.is_none() {
                let what = "expecting multiple values in instant evaluation not allowed. consider using \
                            'expect range vector' directive to enable a range vector result for an instant query";
                return Err(self.failure(at - 1, what));
            }
            let series = &mut eval.expected.value.series;
            series.retain(|known| known.labels != labels);
            series.push(ExpectedSeries { position, labels, values });
        }
        *taken = at;
        Ok(eval)
    }

    /// The line with the query.
    fn eval_line(&self) -> Read<Eval> {
        let line = self.lines[0];
        let invalid = || {
            self.failure(
                0,
                "invalid evaluation command. Must be either 'eval[_fail|_warn|_ordered] instant [at \
                 <offset:duration>] <query>' or 'eval[_fail|_warn] range from <from> to <to> step <step> <query>'",
            )
        };
        let (name, rest) = word(line);
        let (kind, rest) = word(rest);
        let (time, query) = match kind {
            "instant" => {
                let (at, query) = argument(rest, "at").ok_or_else(invalid)?;
                (QueryTime::Instant { at_ms: self.time(0, at)? }, query)
            }
            "range" => {
                let (from, rest) = argument(rest, "from").ok_or_else(invalid)?;
                let (to, rest) = argument(rest, "to").ok_or_else(invalid)?;
                let (step, query) = argument(rest, "step").ok_or_else(invalid)?;
                let (start_ms, end_ms, step_ms) = self.times(0, from, to, step)?;
                (QueryTime::Range { start_ms, end_ms, step_ms }, query)
            }
            _ => return Err(invalid()),
        };
        if query.is_empty() {
            return Err(invalid());
        }
        let mut expected = Expected::default();
        match (name, kind) {
            ("eval", _) => {}
            ("eval_fail", _) => expected.fail = Some(Pattern::Any),
            ("eval_warn", _) => expected.warnings.some = true,
            ("eval_info", _) => expected.infos.some = true,
            ("eval_ordered", "instant") => expected.ordered = true,
            _ => return Err(invalid()),
        }
        Ok(Eval { line: self.first, query: query.to_owned(), time, expected })
    }

    fn time(&self, at: usize, text: &str) -> Read<i64> {
        parse_ms(text)
            .map_err(|error| self.failure(at, format!("invalid timestamp definition {text:?}: {error}")))
    }

    fn times(&self, at: usize, from: &str, to: &str, step: &str) -> Read<(i64, i64, i64)> {
        let (from_ms, to_ms, step_ms) = (self.time(at, from)?, self.time(at, to)?, self.time(at, step)?);
        if to_ms < from_ms {
            let what =
                format!("invalid test definition, end timestamp ({to}) is before start timestamp ({from})");
            return Err(self.failure(at, what));
        }
        if step_ms == 0 {
            return Err(self.failure(at, "invalid step definition: a step must be above 0"));
        }
        Ok((from_ms, to_ms, step_ms))
    }

    // ------------------------------------------------------------------------------------------- expect

    /// `expected_fail_message …` and `expected_fail_regexp …` after `eval_fail`.
    fn old_style_pattern(&self, at: usize) -> Read<Option<Pattern>> {
        let line = self.lines[at];
        if let Some(text) = line.strip_prefix("expected_fail_message") {
            return Ok(Some(Pattern::Text(text.trim().to_owned())));
        }
        line.strip_prefix("expected_fail_regexp").map(|pattern| self.regex(at, pattern.trim())).transpose()
    }

    fn regex(&self, at: usize, pattern: &str) -> Read<Pattern> {
        Regex::new(pattern)
            .map(Pattern::Regex)
            .map_err(|_| self.failure(at, format!("invalid regexp {pattern:?}")))
    }

    /// A line that begins with `expect`.
    fn expectation(&self, at: usize, expected: &mut Expected) -> Read<()> {
        let (_, rest) = word(self.lines[at]);
        let (what, rest) = word(rest);
        match what {
            "string" => {
                expected.value.string = Some(self.string_literal(at, rest)?);
                return Ok(());
            }
            "range" => {
                expected.value.range_vector = Some(self.range_vector(at, rest)?);
                return Ok(());
            }
            _ => {}
        }
        let pattern = self.pattern(at, rest)?;
        match what {
            "ordered" => expected.ordered = true,
            "fail" if matches!(expected.fail, None | Some(Pattern::Any)) => expected.fail = Some(pattern),
            "fail" => {
                return Err(
                    self.failure(at, "invalid expect lines, multiple expect fail lines are not allowed")
                );
            }
            "warn" => expected.warnings.patterns.push(pattern),
            "no_warn" => expected.warnings.none = true,
            "info" => expected.infos.patterns.push(pattern),
            "no_info" => expected.infos.none = true,
            _ => return Err(self.failure(at, INVALID_EXPECT)),
        }
        for (notes, name) in [(&expected.warnings, "warn"), (&expected.infos, "info")] {
            if notes.none && !notes.patterns.is_empty() {
                let what = format!("invalid expect lines, {name} and no_{name} cannot be used together");
                return Err(self.failure(at, what));
            }
        }
        Ok(())
    }

    /// `msg: …`, `regex: …` or nothing.
    fn pattern(&self, at: usize, text: &str) -> Read<Pattern> {
        if text.is_empty() {
            Ok(Pattern::Any)
        } else if let Some(message) = text.strip_prefix("msg:") {
            Ok(Pattern::Text(message.trim().to_owned()))
        } else if let Some(pattern) = text.strip_prefix("regex:") {
            self.regex(at, pattern.trim())
        } else {
            Err(self.failure(at, INVALID_EXPECT))
        }
    }

    fn string_literal(&self, at: usize, text: &str) -> Read<String> {
        let quoted = text.starts_with(['"', '`']);
        match quoted_text(text) {
            Ok((value, "")) if quoted => Ok(value),
            _ => Err(self.failure(
                at,
                "expected string literal not valid - check that the string is correctly quoted",
            )),
        }
    }

    fn range_vector(&self, at: usize, text: &str) -> Read<(i64, i64, i64)> {
        let invalid = || self.failure(at, format!("invalid range vector definition {:?}", self.lines[at]));
        let ("vector", rest) = word(text) else { return Err(invalid()) };
        let (from, rest) = argument(rest, "from").ok_or_else(invalid)?;
        let (to, rest) = argument(rest, "to").ok_or_else(invalid)?;
        let (step, _) = argument(rest, "step").ok_or_else(invalid)?;
        self.times(at, from, to, step)
    }
}

const INVALID_EXPECT: &str =
    "invalid expect statement, must match `expect <type> <match_type>: <string>` format";

/// The first word and what follows the spaces after it.
fn word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// The word after this name, and what follows.
fn argument<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (found, rest) = word(text);
    (found == name).then(|| word(rest))
}

/// A lone number as Go reads it, with or without a sign.
fn signed_number(text: &str) -> Result<f64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return Err("two signs".to_owned());
    }
    number_value(digits).map(|value| if negative && !value.is_nan() { -value } else { value })
}
