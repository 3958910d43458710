//! The checker: whether the parts of a parsed query fit together.
//!
//! It looks at children before it looks at what they are part of, and stops at the first thing that is wrong, so
//! that of several mistakes the one is reported that the reference reports.

use std::collections::HashSet;

use model::labels::METRIC_NAME;

use crate::ast::{
    Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, ExprKind, Span, Subquery, Unary, ValueType,
    VectorMatching, VectorSelector,
};
use crate::parse::quoted;
use crate::signature::{self, Signature};

/// Parts that don't fit.
#[derive(Debug)]
pub(crate) struct TypeError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl TypeError {
    fn new(span: Span, message: impl Into<String>) -> Self {
        TypeError { span, message: message.into() }
    }
}

type Checked = Result<ValueType, TypeError>;

/// Checks an expression, and settles how the vectors of binary operations are matched: not at all with a scalar
/// on one side, many to many for set operators.
pub(crate) fn check(expr: &mut Expr) -> Checked {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) => Ok(ValueType::Scalar),
        ExprKind::String(_) => Ok(ValueType::String),
        ExprKind::Paren(inner) => check(inner),
        ExprKind::Vector(selector) => {
            check_name(selector, span)?;
            check_not_everything(selector, span)?;
            Ok(ValueType::Vector)
        }
        ExprKind::Matrix(matrix) => {
            check_name(&matrix.vector, matrix.vector_span)?;
            check_not_everything(&matrix.vector, matrix.vector_span)?;
            Ok(ValueType::Matrix)
        }
        ExprKind::Subquery(subquery) => check_subquery(subquery, span),
        ExprKind::Unary(unary) => check_unary(unary, span),
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate),
        ExprKind::Binary(binary) => check_binary(binary, span),
        ExprKind::Call(call) => check_call(call, span),
    }
}

// ------------------------------------------------------------------------------------------- selectors

fn check_name(selector: &VectorSelector, span: Span) -> Result<(), TypeError> {
    let Some(name) = &selector.name else { return Ok(()) };
    // The last matcher is that of the name before the braces.
    let in_braces = selector.matchers.split_last().map_or(&[][..], |(_, others)| others);
    match in_braces.iter().find(|matcher| matcher.name() == METRIC_NAME) {
        None => Ok(()),
        Some(other) => {
            let (name, other) = (quoted(name), quoted(other.value()));
            Err(TypeError::new(span, format!("metric name must not be set twice: {name} or {other}")))
        }
    }
}

/// Selecting every series there is would most likely be a mistake.
fn check_not_everything(selector: &VectorSelector, span: Span) -> Result<(), TypeError> {
    if selector.name.is_some() || selector.matchers.iter().any(|matcher| !matcher.matches_empty()) {
        return Ok(());
    }
    Err(TypeError::new(span, "vector selector must contain at least one non-empty matcher"))
}

fn check_subquery(subquery: &mut Subquery, span: Span) -> Checked {
    match check(&mut subquery.expr)? {
        ValueType::Vector => Ok(ValueType::Matrix),
        other => {
            let message =
                format!("subquery is only allowed on instant vector, got {} instead", other.short());
            Err(TypeError::new(span, message))
        }
    }
}

// ------------------------------------------------------------------------------------------- operators

fn check_unary(unary: &mut Unary, span: Span) -> Checked {
    match check(&mut unary.expr)? {
        fitting @ (ValueType::Scalar | ValueType::Vector) => Ok(fitting),
        other => {
            let message = format!(
                "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                quoted(other.documented())
            );
            Err(TypeError::new(span, message))
        }
    }
}

fn check_aggregate(aggregate: &mut Aggregate) -> Checked {
    expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
    if let Some(param) = &mut aggregate.param {
        let wanted = match aggregate.op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        expect(param, wanted, "aggregation parameter")?;
    }
    Ok(ValueType::Vector)
}

fn expect(expr: &mut Expr, wanted: ValueType, context: &str) -> Result<(), TypeError> {
    let got = check(expr)?;
    if got == wanted {
        return Ok(());
    }
    let (wanted, got) = (wanted.documented(), got.documented());
    Err(TypeError::new(expr.span, format!("expected type {wanted} in {context}, got {got}")))
}

fn check_binary(binary: &mut Binary, span: Span) -> Checked {
    let left = check(&mut binary.lhs)?;
    let right = check(&mut binary.rhs)?;
    check_operator(binary, left, right)?;
    for (side, side_type) in [(&binary.lhs, left), (&binary.rhs, right)] {
        if !matches!(side_type, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return Err(TypeError::new(side.span, message));
        }
    }
    let both_vectors = left == ValueType::Vector && right == ValueType::Vector;
    if let Some(matching) = &mut binary.matching {
        let checked = match (both_vectors, binary.op.is_set()) {
            (false, _) => check_no_matching(matching),
            (true, true) => settle_set_matching(matching, binary.op.as_str()),
            (true, false) => Ok(()),
        };
        checked.map_err(|message| TypeError::new(span, message))?;
    }
    if !both_vectors {
        binary.matching = None;
        if binary.op.is_set() {
            let op = quoted(binary.op.as_str());
            let message = format!("set operator {op} not allowed in binary scalar expression");
            return Err(TypeError::new(span, message));
        }
    }
    Ok(if left == right { left } else { ValueType::Vector })
}

/// Checks what is said at the operator.
fn check_operator(binary: &Binary, left: ValueType, right: ValueType) -> Result<(), TypeError> {
    let fail = |message: String| Err(TypeError::new(binary.op_span, message));
    if binary.return_bool && !binary.op.is_comparison() {
        return fail("bool modifier can only be used on comparison operators".to_owned());
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if scalars && binary.op.is_comparison() && !binary.return_bool {
        return fail("comparisons between scalars must use BOOL modifier".to_owned());
    }
    let Some(matching) = binary.matching.as_ref().filter(|matching| matching.on) else { return Ok(()) };
    let included: HashSet<&String> = matching.include.iter().collect();
    match matching.labels.iter().find(|label| included.contains(label)) {
        None => Ok(()),
        Some(label) => fail(format!("label {} must not occur in ON and GROUP clause at once", quoted(label))),
    }
}

fn check_no_matching(matching: &VectorMatching) -> Result<(), String> {
    if !matching.labels.is_empty() {
        return Err("vector matching only allowed between instant vectors".to_owned());
    }
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return Err("filling in missing series only allowed between instant vectors".to_owned());
    }
    Ok(())
}

fn settle_set_matching(matching: &mut VectorMatching, op: &str) -> Result<(), String> {
    if matching.cardinality != Cardinality::OneToOne {
        return Err(format!("no grouping allowed for {} operation", quoted(op)));
    }
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return Err("filling in missing series not allowed for set operators".to_owned());
    }
    matching.cardinality = Cardinality::ManyToMany;
    Ok(())
}

// ------------------------------------------------------------------------------------------- calls

fn check_call(call: &mut Call, span: Span) -> Checked {
    let Some(function) = signature::find(call.function) else {
        let message = format!("unknown function with name {}", quoted(call.function));
        return Err(TypeError::new(call.name_span, message));
    };
    check_argument_count(function, call.args.len()).map_err(|message| TypeError::new(span, message))?;
    let is_info = function.name == "info";
    if is_info && let Some(selector) = call.args.get(1) {
        check_info_selector(selector, span)?;
    }
    for (i, arg) in call.args.iter_mut().enumerate() {
        let Some(wanted) = function.args.get(i).or(function.args.last()) else { break };
        // What info() copies labels from may be any label set.
        let any_matchers = is_info && i == 1;
        let got = if any_matchers { ValueType::Vector } else { check(arg)? };
        if got != *wanted {
            let message = format!(
                "expected type {} in call to function {}, got {}",
                wanted.documented(),
                quoted(function.name),
                got.documented()
            );
            return Err(TypeError::new(arg.span, message));
        }
    }
    Ok(function.return_type)
}

fn check_argument_count(function: &Signature, got: usize) -> Result<(), String> {
    let name = quoted(function.name);
    let listed = function.args.len();
    if function.variadic == 0 {
        return match got == listed {
            true => Ok(()),
            false => Err(format!("expected {listed} argument(s) in call to {name}, got {got}")),
        };
    }
    let least = listed - 1;
    let most = usize::try_from(function.variadic).ok().map(|more| least + more);
    match most {
        _ if got < least => {
            Err(format!("expected at least {least} argument(s) in call to {name}, got {got}"))
        }
        Some(most) if got > most => {
            Err(format!("expected at most {most} argument(s) in call to {name}, got {got}"))
        }
        _ => Ok(()),
    }
}

fn check_info_selector(selector: &Expr, call: Span) -> Result<(), TypeError> {
    let got = selector.value_type();
    if got != ValueType::Vector {
        let message =
            format!("expected type instant vector in call to function \"info\", got {}", got.documented());
        return Err(TypeError::new(call, message));
    }
    match &selector.kind {
        ExprKind::Vector(vector) if vector.name.is_none() => Ok(()),
        ExprKind::Vector(_) => {
            Err(TypeError::new(selector.span, "expected label selectors only, got vector selector instead"))
        }
        _ => Err(TypeError::new(selector.span, "expected label selectors only")),
    }
}
