//! The syntax tree as JSON, as `/api/v1/parse_query` answers. Keys are sorted, as the reference writes them.

use model::matcher::Matcher;
use serde_json::{Value, json};

use crate::ast::{
    Aggregate, AtModifier, Binary, Call, Cardinality, DurationExpr, DurationExprKind, Expr, ExprKind,
    ExtendedRange, MatrixSelector, NumberLiteral, Subquery, TimeModifiers, Unary, ValueType, VectorMatching,
    VectorSelector,
};
use crate::signature;

/// The tree of an expression.
pub fn to_json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(literal) => json!({ "type": "numberLiteral", "val": number(literal) }),
        ExprKind::String(text) => json!({ "type": "stringLiteral", "val": text }),
        ExprKind::Vector(selector) => vector(selector),
        ExprKind::Matrix(selector) => matrix(selector),
        ExprKind::Subquery(query) => subquery(query),
        ExprKind::Call(function) => call(function),
        ExprKind::Aggregate(operation) => aggregate(operation),
        ExprKind::Binary(operation) => binary(operation),
        ExprKind::Unary(operation) => unary(operation),
        ExprKind::Paren(inner) => json!({ "expr": to_json(inner), "type": "parenExpr" }),
    }
}

/// A float in plain decimals.
fn number(literal: &NumberLiteral) -> String {
    model::float_text::plain(literal.value)
}

// ------------------------------------------------------------------------------------------- selectors

fn vector(selector: &VectorSelector) -> Value {
    json!({
        "anchored": selector.extended == Some(ExtendedRange::Anchored),
        "matchers": matchers(&selector.matchers),
        "name": selector.name.as_deref().unwrap_or(""),
        "offset": literal_ms(selector.modifiers.offset.as_ref()),
        "offsetExpr": operation(selector.modifiers.offset.as_ref()),
        "smoothed": selector.extended == Some(ExtendedRange::Smoothed),
        "startOrEnd": start_or_end(&selector.modifiers),
        "timestamp": timestamp(&selector.modifiers),
        "type": "vectorSelector",
    })
}

fn matrix(selector: &MatrixSelector) -> Value {
    let VectorSelector { name, matchers: of, modifiers, extended } = &selector.vector;
    json!({
        "anchored": *extended == Some(ExtendedRange::Anchored),
        "matchers": matchers(of),
        "name": name.as_deref().unwrap_or(""),
        "offset": literal_ms(modifiers.offset.as_ref()),
        "offsetExpr": operation(modifiers.offset.as_ref()),
        "range": literal_ms(Some(&selector.range)),
        "rangeExpr": operation(Some(&selector.range)),
        "smoothed": *extended == Some(ExtendedRange::Smoothed),
        "startOrEnd": start_or_end(modifiers),
        "timestamp": timestamp(modifiers),
        "type": "matrixSelector",
    })
}

fn subquery(query: &Subquery) -> Value {
    json!({
        "expr": to_json(&query.expr),
        "offset": literal_ms(query.modifiers.offset.as_ref()),
        "offsetExpr": operation(query.modifiers.offset.as_ref()),
        "range": literal_ms(Some(&query.range)),
        "rangeExpr": operation(Some(&query.range)),
        "startOrEnd": start_or_end(&query.modifiers),
        "step": literal_ms(query.step.as_ref()),
        "stepExpr": operation(query.step.as_ref()),
        "timestamp": timestamp(&query.modifiers),
        "type": "subquery",
    })
}

fn matchers(list: &[Matcher]) -> Value {
    let one = |matcher: &Matcher| json!({ "name": matcher.name(), "type": matcher.op().as_str(), "value": matcher.value() });
    list.iter().map(one).collect()
}

fn start_or_end(modifiers: &TimeModifiers) -> Option<&'static str> {
    match modifiers.at {
        Some(AtModifier::Start) => Some("start"),
        Some(AtModifier::End) => Some("end"),
        Some(AtModifier::Timestamp(_)) | None => None,
    }
}

fn timestamp(modifiers: &TimeModifiers) -> Option<i64> {
    match modifiers.at {
        Some(AtModifier::Timestamp(ms)) => Some(ms),
        Some(AtModifier::Start | AtModifier::End) | None => None,
    }
}

// ------------------------------------------------------------------------------------------- durations

/// Nanoseconds in a second and in a millisecond: durations are rounded to the one, then cut to the other.
const NS_PER_SECOND: f64 = 1e9;
const NS_PER_MS: i64 = 1_000_000;

/// Milliseconds of a literal; 0 for what isn't one.
fn literal_ms(duration: Option<&DurationExpr>) -> i64 {
    match duration.map(|duration| &duration.kind) {
        Some(DurationExprKind::Literal(literal)) => {
            (literal.value * NS_PER_SECOND).round() as i64 / NS_PER_MS
        }
        _ => 0,
    }
}

/// The tree of a duration that isn't a literal.
fn operation(duration: Option<&DurationExpr>) -> Value {
    match duration {
        Some(duration) if !is_literal(duration) => duration_tree(duration),
        _ => Value::Null,
    }
}

fn is_literal(duration: &DurationExpr) -> bool {
    matches!(duration.kind, DurationExprKind::Literal(_))
}

fn duration_tree(duration: &DurationExpr) -> Value {
    match &duration.kind {
        DurationExprKind::Literal(literal) => json!({
            "duration": literal.is_duration,
            "type": "numberLiteral",
            "val": number(literal),
        }),
        DurationExprKind::Step => node(None, "step", None, false),
        DurationExprKind::Range => node(None, "range", None, false),
        DurationExprKind::MinOf(a, b) => node(Some(a), "min_of", Some(b), false),
        DurationExprKind::MaxOf(a, b) => node(Some(a), "max_of", Some(b), false),
        DurationExprKind::Unary { negative, expr } => {
            node(None, if *negative { "-" } else { "+" }, Some(expr), false)
        }
        DurationExprKind::Binary { op, lhs, rhs } => node(Some(lhs), op.as_str(), Some(rhs), false),
        // The reference has no node for parentheses: it marks operations, and makes one of a literal.
        DurationExprKind::Paren(inner) if is_literal(inner) => node(None, "+", Some(inner), true),
        DurationExprKind::Paren(inner) => {
            let mut tree = duration_tree(inner);
            tree["wrapped"] = Value::Bool(true);
            tree
        }
    }
}

fn node(lhs: Option<&DurationExpr>, op: &str, rhs: Option<&DurationExpr>, wrapped: bool) -> Value {
    json!({
        "lhs": lhs.map(duration_tree),
        "op": op,
        "rhs": rhs.map(duration_tree),
        "type": "durationExpr",
        "wrapped": wrapped,
    })
}

// ------------------------------------------------------------------------------------------- calls, operators

fn call(call: &Call) -> Value {
    let args: Vec<Value> = call.args.iter().map(to_json).collect();
    let function = signature::find(call.function).map(|signature| {
        let arg_types: Vec<&str> = signature.args.iter().map(|arg| arg.short()).collect();
        json!({
            "argTypes": arg_types,
            "name": signature.name,
            "returnType": ValueType::short(signature.return_type),
            "variadic": signature.variadic,
        })
    });
    json!({ "args": args, "func": function, "type": "call" })
}

fn aggregate(aggregate: &Aggregate) -> Value {
    json!({
        "expr": to_json(&aggregate.expr),
        "grouping": aggregate.grouping,
        "op": aggregate.op.as_str(),
        "param": aggregate.param.as_ref().map(|param| to_json(param)),
        "type": "aggregation",
        "without": aggregate.without,
    })
}

fn binary(binary: &Binary) -> Value {
    json!({
        "bool": binary.return_bool,
        "lhs": to_json(&binary.lhs),
        "matching": binary.matching.as_ref().map(matching),
        "op": binary.op.as_str(),
        "rhs": to_json(&binary.rhs),
        "type": "binaryExpr",
    })
}

fn matching(matching: &VectorMatching) -> Value {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "fillValues": { "lhs": matching.fill_left, "rhs": matching.fill_right },
        "include": matching.include,
        "labels": matching.labels,
        "on": matching.on,
    })
}

fn unary(unary: &Unary) -> Value {
    json!({
        "expr": to_json(&unary.expr),
        "op": if unary.negative { "-" } else { "+" },
        "type": "unaryExpr",
    })
}
