//! Which rules of a group build on which others, and so what may be evaluated at the same time.
//!
//! A rule depends on another one if a selector of its expression may match what the other one stores: by the
//! metric name, and by the alert's name for `ALERTS` and `ALERTS_FOR_STATE`. A selector that says nothing of the
//! metric name may match everything: then nothing is known of the whole group.

use model::labels::METRIC_NAME;
use model::matcher::Matcher;
use promql::ast::{Expr, ExprKind};
use promql::features::Features;

use crate::alerting::{ALERT_NAME, ALERTS, ALERTS_FOR_STATE};
use crate::file::{RuleConfig, RuleKind};

/// Rules that may be evaluated at the same time, by their indexes.
pub(crate) type RuleBatch = Vec<usize>;

/// The rules of a group in batches, to be evaluated one batch after the other: those that build on no other at
/// first, all at once; then, one by one, those that build on some and that others build on; at last, all at once,
/// those that no other builds on.
pub(crate) fn batches(rules: &[RuleConfig]) -> Vec<RuleBatch> {
    let one_by_one = || (0..rules.len()).map(|rule| vec![rule]).collect();
    let Some(selectors) = rules.iter().map(selectors).collect::<Option<Vec<_>>>() else {
        return one_by_one();
    };
    let depends_on = |reader: usize, writer: usize| {
        selectors[reader].iter().any(|matchers| may_match(matchers, &rules[writer]))
    };
    let (mut first, mut between, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for rule in 0..rules.len() {
        let has_dependencies = (0..rules.len()).any(|other| depends_on(rule, other));
        let has_dependents = (0..rules.len()).any(|other| depends_on(other, rule));
        match (has_dependencies, has_dependents) {
            (false, _) => first.push(rule),
            (true, true) => between.push(vec![rule]),
            (true, false) => last.push(rule),
        }
    }
    let batches = [first].into_iter().chain(between).chain([last]);
    batches.filter(|batch| !batch.is_empty()).collect()
}

/// The matchers of each selector of a rule's expression; `None` if one says nothing of the metric name.
fn selectors(rule: &RuleConfig) -> Option<Vec<Vec<Matcher>>> {
    // It was checked when the file was; here it may use all there is.
    let features = Features {
        experimental_functions: true,
        extended_range_selectors: true,
        binop_fill_modifiers: true,
        ..Features::default()
    };
    let expr = promql::parse::parse(&rule.expr, &features).ok()?;
    let mut selectors = Vec::new();
    collect(&expr, &mut selectors);
    let is_named = |matchers: &Vec<Matcher>| matchers.iter().any(|matcher| matcher.name() == METRIC_NAME);
    selectors.iter().all(is_named).then_some(selectors)
}

fn collect(expr: &Expr, into: &mut Vec<Vec<Matcher>>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => into.push(selector.matchers.clone()),
        ExprKind::Matrix(matrix) => into.push(matrix.vector.matchers.clone()),
        ExprKind::Subquery(subquery) => collect(&subquery.expr, into),
        ExprKind::Call(call) => call.args.iter().for_each(|arg| collect(arg, into)),
        ExprKind::Aggregate(aggregate) => {
            collect(&aggregate.expr, into);
            aggregate.param.iter().for_each(|param| collect(param, into));
        }
        ExprKind::Binary(binary) => {
            collect(&binary.lhs, into);
            collect(&binary.rhs, into);
        }
        ExprKind::Unary(unary) => collect(&unary.expr, into),
        ExprKind::Paren(inner) => collect(inner, into),
    }
}

/// Whether a selector may match what a rule stores.
fn may_match(selector: &[Matcher], rule: &RuleConfig) -> bool {
    let allows = |label: &str, value: &str| {
        selector.iter().filter(|matcher| matcher.name() == label).all(|matcher| matcher.matches(value))
    };
    match &rule.kind {
        RuleKind::Recording { record } => allows(METRIC_NAME, record),
        RuleKind::Alerting { alert, .. } => {
            [ALERTS, ALERTS_FOR_STATE].iter().any(|name| allows(METRIC_NAME, name))
                && allows(ALERT_NAME, alert)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::CheckOptions;

    fn batches_of(rules: &str) -> Vec<RuleBatch> {
        let text = format!("groups: [{{name: g, rules: [{rules}]}}]");
        batches(&crate::file::parse("r.yml", &text, &CheckOptions::default()).unwrap()[0].rules)
    }

    #[test]
    fn rules_that_build_on_others_come_after_them() {
        for (rules, expected) in [
            ("{record: a, expr: x}, {record: b, expr: y}", vec![vec![0, 1]]),
            ("{record: a, expr: x}, {record: b, expr: a}, {record: c, expr: y}", vec![vec![0, 2], vec![1]]),
            (
                "{record: a, expr: x}, {record: b, expr: 'sum(rate(a[5m])) / 2'}, {alert: C, expr: b > 1}",
                vec![vec![0], vec![1], vec![2]],
            ),
            ("{record: a, expr: x}, {record: b, expr: '{__name__=~\"a|z\"}'}", vec![vec![0], vec![1]]),
            ("{record: a, expr: x}, {record: b, expr: '{job=\"j\"}'}", vec![vec![0], vec![1]]),
            (
                "{alert: A, expr: x}, {alert: B, expr: 'ALERTS{alertname=\"A\"}'}, {alert: D, expr: 'ALERTS{alertname=\"Z\"}'}",
                vec![vec![0, 2], vec![1]],
            ),
            ("{alert: A, expr: x}, {alert: B, expr: 'count(ALERTS_FOR_STATE) > 3'}", vec![vec![0], vec![1]]),
            ("{record: a, expr: 'a offset 1m + 1'}, {record: b, expr: y}", vec![vec![1], vec![0]]),
        ] {
            assert_eq!(batches_of(rules), expected, "{rules}");
        }
    }
}
