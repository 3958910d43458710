//! Durations in brackets and after `offset`, worked out for a query's step and range.

use crate::ast::{BinaryOp, DurationExpr, DurationExprKind, Span};
use crate::engine::QueryError;

/// The longest duration, in seconds: what 64 bits of nanoseconds hold.
const SECONDS_MAX: f64 = 9_223_372_036.854_775;

/// What duration expressions may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryDurations {
    /// `step()`; 0 for an instant query.
    pub(crate) step_ms: i64,
    /// `range()`: end − start.
    pub(crate) range_ms: i64,
}

impl QueryDurations {
    /// A range or a step: above 0.
    pub(crate) fn positive_ms(self, expr: &DurationExpr) -> Result<i64, QueryError> {
        self.millis(expr, false)
    }

    /// An offset: any duration.
    pub(crate) fn signed_ms(self, expr: &DurationExpr) -> Result<i64, QueryError> {
        self.millis(expr, true)
    }

    fn millis(self, expr: &DurationExpr, negative_allowed: bool) -> Result<i64, QueryError> {
        if let DurationExprKind::Literal(literal) = &expr.kind {
            return Ok(literal_ms(literal.value));
        }
        let seconds = self.seconds(expr)?;
        if !seconds.is_finite() {
            return Err(at(expr, "duration is NaN or infinite"));
        }
        if seconds <= 0.0 && !negative_allowed {
            return Err(at(expr, "duration must be greater than 0"));
        }
        if seconds.abs() > SECONDS_MAX {
            return Err(at(expr, "duration is out of range"));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(self, expr: &DurationExpr) -> Result<f64, QueryError> {
        Ok(match &expr.kind {
            DurationExprKind::Literal(literal) => literal.value,
            DurationExprKind::Step => self.step_ms as f64 / 1000.0,
            DurationExprKind::Range => self.range_ms as f64 / 1000.0,
            DurationExprKind::MinOf(a, b) => go_min(self.seconds(a)?, self.seconds(b)?),
            DurationExprKind::MaxOf(a, b) => go_max(self.seconds(a)?, self.seconds(b)?),
            DurationExprKind::Unary { negative: true, expr } => -self.seconds(expr)?,
            DurationExprKind::Unary { negative: false, expr } | DurationExprKind::Paren(expr) => {
                self.seconds(expr)?
            }
            DurationExprKind::Binary { op, lhs, rhs } => {
                let (left, right) = (self.seconds(lhs)?, self.seconds(rhs)?);
                match op {
                    BinaryOp::Add => left + right,
                    BinaryOp::Sub => left - right,
                    BinaryOp::Mul => left * right,
                    BinaryOp::Div if right == 0.0 => return Err(at(expr, "division by zero")),
                    BinaryOp::Div => left / right,
                    BinaryOp::Mod if right == 0.0 => return Err(at(expr, "modulo by zero")),
                    BinaryOp::Mod => left % right,
                    BinaryOp::Pow => left.powf(right),
                    other => {
                        return Err(at(expr, &format!("unexpected duration expression operator {other}")));
                    }
                }
            }
        })
    }
}

/// `math.Min`: NaN if one is NaN, the negative zero below the positive.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && a == b {
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

/// `math.Max`, likewise.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && a == b {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// Whole nanoseconds first, as a written duration is; then whole milliseconds, cut off.
fn literal_ms(seconds: f64) -> i64 {
    const NANOS_PER_MILLI: i64 = 1_000_000;
    (seconds * 1e9).round() as i64 / NANOS_PER_MILLI
}

fn at(expr: &DurationExpr, message: &str) -> QueryError {
    let span = operands_span(expr);
    QueryError::Parse(format!("{}:{}: {message}", span.start, span.end))
}

/// Where messages place an expression: without parentheses, and without the name of a function of two.
fn operands_span(expr: &DurationExpr) -> Span {
    match &expr.kind {
        DurationExprKind::Paren(inner) => operands_span(inner),
        DurationExprKind::Unary { expr: operand, .. } => {
            Span { start: expr.span.start, end: operands_span(operand).end }
        }
        DurationExprKind::Binary { lhs, rhs, .. }
        | DurationExprKind::MinOf(lhs, rhs)
        | DurationExprKind::MaxOf(lhs, rhs) => {
            Span { start: operands_span(lhs).start, end: operands_span(rhs).end }
        }
        DurationExprKind::Literal(_) | DurationExprKind::Step | DurationExprKind::Range => expr.span,
    }
}
