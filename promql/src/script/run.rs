//! Running commands: load, ask, compare.

use model::storage::SampleValue;

use super::check::{self, Answer};
use super::command::{Command, Eval, Pattern};
use super::load::load;
use super::{Failure, ScriptStorage, features};
use crate::ast::{AtModifier, Expr, ExprKind};
use crate::engine::{Engine, QueryRequest, QueryTime};
use crate::parse::parse;
use crate::value::Value;

/// How far a range query reaches on both sides of the time of an instant query, and its step.
const RANGE_STEP_MS: i64 = 60_000;

/// Runs a command; returns how many checks it stands for.
pub(super) fn run(command: Command, engine: &Engine, storage: &dyn ScriptStorage) -> Result<usize, Failure> {
    match command {
        Command::Clear => {
            storage.clear();
            Ok(0)
        }
        Command::Load(command) => load(&command, storage).map(|()| 0),
        Command::Eval(eval) => {
            let run = Run { eval: &eval, engine, storage };
            let passed = match eval.time {
                QueryTime::Instant { at_ms } => run.instants(at_ms),
                QueryTime::Range { .. } => run.query(&eval.query, eval.time).and_then(|asked| match asked {
                    Asked::Answer(answer) => check::value(&eval, &answer, eval.time),
                    Asked::FailedAsExpected => Ok(()),
                }),
            };
            passed.map(|()| 1).map_err(|what| Failure { line: eval.line, what })
        }
    }
}

/// What became of a query that went as expected so far.
enum Asked {
    Answer(Value),
    FailedAsExpected,
}

struct Run<'a> {
    eval: &'a Eval,
    engine: &'a Engine,
    storage: &'a dyn ScriptStorage,
}

impl Run<'_> {
    /// Asks the query at its time, and its rewritten forms at theirs.
    fn instants(&self, at_ms: i64) -> Result<(), String> {
        self.instant(&self.eval.query, at_ms)?;
        let Some(fixed) = fixed_at(&self.eval.query, at_ms) else { return Ok(()) };
        for other_ms in other_times(at_ms) {
            self.instant(&fixed, other_ms)
                .map_err(|what| format!("{what} (asked as {fixed:?} at {other_ms} ms)"))?;
        }
        Ok(())
    }

    /// Asks a query at one time, and as the middle step of a range.
    fn instant(&self, query: &str, at_ms: i64) -> Result<(), String> {
        let time = QueryTime::Instant { at_ms };
        let Asked::Answer(value) = self.query(query, time)? else { return Ok(()) };
        check::value(self.eval, &value, time)?;
        let expected = &self.eval.expected;
        let no_range = expected.value.range_vector.is_some() || expected.value.string.is_some();
        if no_range || asks_for_the_range(query) {
            return Ok(());
        }
        let range = self.request(
            query,
            QueryTime::Range {
                start_ms: at_ms - RANGE_STEP_MS,
                end_ms: at_ms + RANGE_STEP_MS,
                step_ms: RANGE_STEP_MS,
            },
        );
        let answer = self
            .engine
            .query(self.storage, &range)
            .map_err(|error| format!("error evaluating query in range mode: {error}"))?;
        if expected.ordered {
            return Ok(());
        }
        let middle = middle_step(answer.value, matches!(value, Value::Scalar { .. }), at_ms)?;
        check::value(self.eval, &middle, time).map_err(|what| format!("{what} (range mode)"))
    }

    /// Asks a query, and checks whether it fails and what is annotated.
    fn query(&self, query: &str, time: QueryTime) -> Result<Asked, String> {
        let expected = &self.eval.expected;
        match (self.engine.query(self.storage, &self.request(query, time)), &expected.fail) {
            (Err(error), None) => Err(format!("error evaluating query {query:?}: {error}")),
            (Err(error), Some(pattern)) => check_failure(pattern, &error.to_string()),
            (Ok(_), Some(_)) => Err(format!("expected error evaluating query {query:?} but got none")),
            (Ok(answer), None) => {
                check::notes("warn", &expected.warnings, &answer.annotations.warnings(query))?;
                check::notes("info", &expected.infos, &answer.annotations.infos(query))?;
                Ok(Asked::Answer(answer.value))
            }
        }
    }

    fn request(&self, query: &str, time: QueryTime) -> QueryRequest {
        match time {
            QueryTime::Instant { at_ms } => QueryRequest::instant(query, at_ms),
            QueryTime::Range { start_ms, end_ms, step_ms } => {
                QueryRequest::range(query, start_ms, end_ms, step_ms)
            }
        }
    }
}

fn check_failure(pattern: &Pattern, error: &str) -> Result<Asked, String> {
    match pattern.is_match(error) {
        true => Ok(Asked::FailedAsExpected),
        false => Err(format!("expected error matching {pattern}, but got: {error}")),
    }
}

/// The answer at `at_ms` of a range query, as an instant query would give it.
fn middle_step(range: Value, scalar: bool, at_ms: i64) -> Result<Value, String> {
    let series = Answer::of(&range).series("range query")?;
    let mut samples = Vec::new();
    for (labels, points) in series {
        let here = points.into_iter().find(|(timestamp_ms, _)| *timestamp_ms == at_ms);
        samples.extend(here.map(|(_, value)| (labels, value)));
    }
    if !scalar {
        return Ok(Value::Vector { timestamp_ms: at_ms, samples });
    }
    match samples.as_slice() {
        [(_, SampleValue::Float(value))] => Ok(Value::Scalar { timestamp_ms: at_ms, value: *value }),
        _ => Err(format!("a scalar has {} values at a step in range mode", samples.len())),
    }
}

/// Other times at which a query whose selectors are fixed must have the same answer.
fn other_times(at_ms: i64) -> Vec<i64> {
    match at_ms {
        0 => vec![-1000, 0, 1000],
        _ => vec![-10 * at_ms, 0, at_ms / 5, at_ms, 10 * at_ms],
    }
}

/// Functions whose value depends on the evaluation time, whatever they are given.
const TIME_FUNCTIONS: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "end",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
];

/// Whether the query calls a function that tells about the query's own range.
fn asks_for_the_range(query: &str) -> bool {
    ["start()", "end()", "range()", "step()"].iter().any(|call| query.contains(call))
}

/// The query with `@ at_ms` at everything that can have it; `None` if its value would still depend on the
/// evaluation time.
fn fixed_at(query: &str, at_ms: i64) -> Option<String> {
    let mut expr = parse(query, &features()).ok()?;
    fix(&mut expr, at_ms).then(|| expr.to_string())
}

/// Adds the modifiers. Returns whether no function asks for the evaluation time.
fn fix(expr: &mut Expr, at_ms: i64) -> bool {
    let set = |at: &mut Option<AtModifier>| {
        if !matches!(at, Some(AtModifier::Timestamp(_))) {
            *at = Some(AtModifier::Timestamp(at_ms));
        }
        true
    };
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Vector(vector) => set(&mut vector.modifiers.at),
        ExprKind::Matrix(matrix) => set(&mut matrix.vector.modifiers.at),
        // What is inside is evaluated relative to the subquery's own time.
        ExprKind::Subquery(subquery) => set(&mut subquery.modifiers.at),
        ExprKind::Call(call) => {
            let timeless = !TIME_FUNCTIONS.contains(&call.function);
            call.args.iter_mut().fold(timeless, |all, arg| fix(arg, at_ms) && all)
        }
        ExprKind::Aggregate(aggregate) => {
            let param = aggregate.param.as_mut().is_none_or(|param| fix(param, at_ms));
            fix(&mut aggregate.expr, at_ms) && param
        }
        ExprKind::Binary(binary) => {
            let left = fix(&mut binary.lhs, at_ms);
            fix(&mut binary.rhs, at_ms) && left
        }
        ExprKind::Unary(unary) => fix(&mut unary.expr, at_ms),
        ExprKind::Paren(inner) => fix(inner, at_ms),
    }
}
