//! Rewriting of queries: a matcher set or deleted in every selector.

use model::labels::{METRIC_NAME, is_legacy_metric_name};
use model::matcher::{MatchOp, Matcher};
use model::regex::RegexError;

use crate::ast::{Expr, ExprKind, VectorSelector};

/// Gives every selector this matcher, in the place of those on the same label that it has.
///
/// # Errors
///
/// The value is no regular expression and should be one.
pub fn set(expr: &mut Expr, op: MatchOp, name: &str, value: &str) -> Result<(), RegexError> {
    let matcher = Matcher::new(op, name, value)?;
    for_each_selector(expr, &mut |selector| {
        let before = selector.matchers.iter().position(|known| known.name() == name);
        selector.matchers.retain(|known| known.name() != name);
        let at = before.unwrap_or(selector.matchers.len());
        selector.matchers.insert(at, matcher.clone());
        if name == METRIC_NAME {
            let written_before_braces = op == MatchOp::Equal && is_legacy_metric_name(value);
            selector.name = written_before_braces.then(|| value.to_owned());
        }
        name_last(selector);
    });
    Ok(())
}

/// Deletes the matchers on a label from every selector.
pub fn delete(expr: &mut Expr, name: &str) {
    for_each_selector(expr, &mut |selector| {
        selector.matchers.retain(|known| known.name() != name);
        if name == METRIC_NAME {
            selector.name = None;
        }
    });
}

/// The matcher of a name before the braces stands last, as the parser puts it.
fn name_last(selector: &mut VectorSelector) {
    if selector.name.is_some() {
        selector.matchers.sort_by_key(|matcher| matcher.name() == METRIC_NAME);
    }
}

fn for_each_selector(expr: &mut Expr, change: &mut impl FnMut(&mut VectorSelector)) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Vector(selector) => change(selector),
        ExprKind::Matrix(matrix) => change(&mut matrix.vector),
        ExprKind::Subquery(subquery) => for_each_selector(&mut subquery.expr, change),
        ExprKind::Call(call) => {
            for arg in &mut call.args {
                for_each_selector(arg, change);
            }
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                for_each_selector(param, change);
            }
            for_each_selector(&mut aggregate.expr, change);
        }
        ExprKind::Binary(binary) => {
            for_each_selector(&mut binary.lhs, change);
            for_each_selector(&mut binary.rhs, change);
        }
        ExprKind::Unary(unary) => for_each_selector(&mut unary.expr, change),
        ExprKind::Paren(inner) => for_each_selector(inner, change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use crate::parse::parse;

    #[test]
    fn matchers_are_set_and_deleted_everywhere() {
        let changed = |query: &str, change: &dyn Fn(&mut Expr)| {
            let mut expr = parse(query, &Features::default()).unwrap();
            change(&mut expr);
            expr.to_string()
        };
        let set_job = |expr: &mut Expr| set(expr, MatchOp::Regex, "job", "a|b").unwrap();
        for (query, wanted) in [
            ("up", r#"up{job=~"a|b"}"#),
            (r#"up{job="x",zone="y"}"#, r#"up{job=~"a|b",zone="y"}"#),
            (
                "sum(rate(a[5m])) / topk(scalar(b), max_over_time(c[5m:] offset 1m))",
                r#"sum(rate(a{job=~"a|b"}[5m])) / topk(scalar(b{job=~"a|b"}), max_over_time(c{job=~"a|b"}[5m:] offset 1m))"#,
            ),
        ] {
            assert_eq!(changed(query, &set_job), wanted);
        }
        let delete_job = |expr: &mut Expr| delete(expr, "job");
        assert_eq!(
            changed(r#"-(up{job="x",zone="y"}) or up{job!="z"}"#, &delete_job),
            r#"-(up{zone="y"}) or up"#
        );
        let rename = |expr: &mut Expr| set(expr, MatchOp::Equal, METRIC_NAME, "down").unwrap();
        assert_eq!(changed(r#"up{job="x"}"#, &rename), r#"down{job="x"}"#);
    }
}
