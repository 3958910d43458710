//! Which metrics are asked for: by name, how often, when last.
//!
//! Every query that comes over the API is looked at once more for the names in its selectors. What can't be
//! told from a query alone, `{job="x"}` or `{__name__=~"a.*"}`, is counted apart: such queries may use anything.

use std::collections::HashMap;

use model::labels::METRIC_NAME;
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampMs;
use parking_lot::Mutex;
use promql::ast::{Expr, ExprKind};

/// The most names that are remembered, so that made-up names can't fill the memory.
const NAMES_MAX: usize = 100_000;

/// How a metric is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Queries that named it.
    pub(crate) queries: u64,
    /// When the last of them came; `None` if none did.
    pub(crate) last_ms: Option<TimestampMs>,
}

/// What is known of the use of all metrics since the program started.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_name: HashMap<String, Used>,
    /// Queries with a selector that names no metric.
    unnamed: Used,
}

impl Usage {
    /// Counts a query.
    pub(crate) fn record(&self, query: &Expr, now_ms: TimestampMs) {
        let (names, has_unnamed) = names_in(query);
        let mut state = self.0.lock();
        for name in names {
            let may_grow = state.by_name.len() < NAMES_MAX;
            match state.by_name.get_mut(&name) {
                Some(used) => used.count(now_ms),
                None if may_grow => state.by_name.entry(name).or_default().count(now_ms),
                None => {}
            }
        }
        if has_unnamed {
            state.unnamed.count(now_ms);
        }
    }

    /// Everything known: by name, and of queries that named no metric.
    pub(crate) fn snapshot(&self) -> (HashMap<String, Used>, Used) {
        let state = self.0.lock();
        (state.by_name.clone(), state.unnamed)
    }
}

impl Used {
    fn count(&mut self, now_ms: TimestampMs) {
        self.queries += 1;
        self.last_ms = Some(now_ms);
    }
}

/// The metric names in an expression's selectors, each once, and whether a selector names none.
pub(crate) fn names_in(expr: &Expr) -> (Vec<String>, bool) {
    let mut selectors = Vec::new();
    collect_selectors(expr, &mut selectors);
    let mut names = Vec::new();
    let mut has_unnamed = false;
    for matchers in &selectors {
        let before = names.len();
        for matcher in matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME) {
            match matcher.op() {
                MatchOp::Equal => names.push(matcher.value().to_owned()),
                MatchOp::Regex => {
                    names.extend(
                        matcher.regex().and_then(|regex| regex.set()).unwrap_or_default().iter().cloned(),
                    );
                }
                MatchOp::NotEqual | MatchOp::NotRegex => {}
            }
        }
        has_unnamed |= names.len() == before;
    }
    names.sort_unstable();
    names.dedup();
    (names, has_unnamed)
}

/// The matchers of every selector in the expression.
pub(crate) fn collect_selectors<'e>(expr: &'e Expr, found: &mut Vec<&'e [Matcher]>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => found.push(&selector.matchers),
        ExprKind::Matrix(range) => found.push(&range.vector.matchers),
        ExprKind::Subquery(subquery) => collect_selectors(&subquery.expr, found),
        ExprKind::Call(call) => call.args.iter().for_each(|arg| collect_selectors(arg, found)),
        ExprKind::Aggregate(aggregate) => {
            aggregate.param.iter().for_each(|param| collect_selectors(param, found));
            collect_selectors(&aggregate.expr, found);
        }
        ExprKind::Binary(binary) => {
            collect_selectors(&binary.lhs, found);
            collect_selectors(&binary.rhs, found);
        }
        ExprKind::Unary(unary) => collect_selectors(&unary.expr, found),
        ExprKind::Paren(inner) => collect_selectors(inner, found),
    }
}

#[cfg(test)]
mod tests {
    use promql::features::Features;

    use super::*;

    #[test]
    fn names_are_found_wherever_they_stand() {
        for (query, names, has_unnamed) in [
            ("1 + 2", vec![], false),
            ("up", vec!["up"], false),
            (
                "sum by (job) (rate(a[5m])) / on (job) topk(scalar(b), {__name__=~\"c|d\"})",
                vec!["a", "b", "c", "d"],
                false,
            ),
            ("max_over_time((-up)[1h:5m]) or {job=\"x\"}", vec!["up"], true),
            ("{__name__=~\"a.*\"}", vec![], true),
        ] {
            let expr = promql::parse::parse(query, &Features::default()).unwrap();
            let expected: Vec<String> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(names_in(&expr), (expected, has_unnamed), "{query}");
        }
    }

    #[test]
    fn queries_are_counted() {
        let usage = Usage::default();
        for (query, now_ms) in [("up + up", 1), ("up + {job=\"x\"}", 2)] {
            usage.record(&promql::parse::parse(query, &Features::default()).unwrap(), now_ms);
        }
        let (by_name, unnamed) = usage.snapshot();
        assert_eq!(by_name, HashMap::from([("up".to_owned(), Used { queries: 2, last_ms: Some(2) })]));
        assert_eq!(unnamed, Used { queries: 1, last_ms: Some(2) });
    }
}
