//! Scalars: one float for each step, the same for every series.

use crate::ast::BinaryOp;
use crate::plan::duration::{go_max, go_min};
use crate::plan::function::Function;

/// An operation of two floats. Comparisons yield 1 or 0.
pub(crate) fn binary(op: BinaryOp, lhs: f64, rhs: f64) -> f64 {
    match op {
        BinaryOp::Equal => truth(lhs == rhs),
        BinaryOp::NotEqual => truth(lhs != rhs),
        BinaryOp::Greater => truth(lhs > rhs),
        BinaryOp::Less => truth(lhs < rhs),
        BinaryOp::GreaterEqual => truth(lhs >= rhs),
        BinaryOp::LessEqual => truth(lhs <= rhs),
        op => arithmetic(op, lhs, rhs),
    }
}

/// 1 or 0.
pub(crate) fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// An arithmetic operation.
#[inline]
pub(crate) fn arithmetic(op: BinaryOp, lhs: f64, rhs: f64) -> f64 {
    match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod => lhs % rhs,
        BinaryOp::Pow => lhs.powf(rhs),
        BinaryOp::Atan2 => lhs.atan2(rhs),
        op => unreachable!("{op} is no arithmetic operator: the parser lets no other pass"),
    }
}

/// Whether a comparison holds.
#[inline]
pub(crate) fn compare(op: BinaryOp, lhs: f64, rhs: f64) -> bool {
    match op {
        BinaryOp::Equal => lhs == rhs,
        BinaryOp::NotEqual => lhs != rhs,
        BinaryOp::Greater => lhs > rhs,
        BinaryOp::Less => lhs < rhs,
        BinaryOp::GreaterEqual => lhs >= rhs,
        BinaryOp::LessEqual => lhs <= rhs,
        op => unreachable!("{op} is no comparison: the parser lets no other pass"),
    }
}

/// `max_of`, `min_of`.
pub(crate) fn extreme(function: Function, a: f64, b: f64) -> f64 {
    if function == Function::MaxOf { go_max(a, b) } else { go_min(a, b) }
}
