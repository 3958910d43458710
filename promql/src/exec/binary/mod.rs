//! Binary operations.

pub(crate) mod element;
mod join;
mod slot;
mod with_scalar;

use super::{Context, Evaluated, eval as eval_node};
use super::{scalar, set};
use crate::ast::BinaryOp;
use crate::engine::QueryError;
use crate::plan::{Binary, Node};
use crate::value::Steps;

/// The value of a binary operation.
pub(crate) fn eval<'q>(
    ctx: &'q Context<'q>,
    node: &'q Node,
    operation: &'q Binary,
    steps: Steps,
) -> Result<Evaluated<'q>, QueryError> {
    let lhs = eval_node(ctx, &operation.lhs, steps)?;
    let rhs = eval_node(ctx, &operation.rhs, steps)?;
    let op = operation.op;
    Ok(match (lhs, rhs) {
        (Evaluated::Scalar(lhs), Evaluated::Scalar(rhs)) => {
            Evaluated::Scalar(lhs.iter().zip(&rhs).map(|(l, r)| scalar::binary(op, *l, *r)).collect())
        }
        (Evaluated::Vector(vector), Evaluated::Scalar(values)) => {
            Evaluated::Vector(with_scalar::eval(ctx, node, operation, vector, values, false))
        }
        (Evaluated::Scalar(values), Evaluated::Vector(vector)) => {
            Evaluated::Vector(with_scalar::eval(ctx, node, operation, vector, values, true))
        }
        (Evaluated::Vector(left), Evaluated::Vector(right)) => {
            let Some(matching) = &operation.matching else {
                return Err(QueryError::Execution("vectors have no matching".to_owned()));
            };
            Evaluated::Vector(match op.is_set() {
                true => set::eval(ctx, op, matching, left, right, steps)?,
                false => join::eval(ctx, node, operation, matching, left, right, steps)?,
            })
        }
        _ => {
            let text = "binary expression must contain only scalar and instant vector types";
            return Err(QueryError::Execution(text.to_owned()));
        }
    })
}

/// Whether the result is another kind of thing than the operands, so that it has lost their name.
pub(crate) fn changes_metric(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}
