//! Plans: what is left of a query when everything that doesn't depend on data has been decided.
//!
//! A plan is a tree as the syntax tree is, but without parentheses and signs, with durations in
//! milliseconds, functions looked up, and selectors pointing at a list of [`Fetch`]es, so that series are
//! selected once however often a query names them. Parts that have the same value at every step are marked,
//! to be evaluated at one step alone.

pub(crate) mod build;
pub(crate) mod duration;
pub mod explain;
pub(crate) mod function;
pub(crate) mod rewrite;

use model::matcher::Matcher;
use model::time::TimestampMs;

use crate::ast::{AggregateOp, BinaryOp, ExtendedRange, Span, ValueType, VectorMatching};
use function::Function;

/// A plan.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) root: Node,
    pub(crate) fetches: Vec<Fetch>,
    /// One above the highest [`Node::id`].
    pub(crate) nodes: usize,
}

/// Series to select from the storage, with the time range that all their users need.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) mint: TimestampMs,
    pub(crate) maxt: TimestampMs,
}

/// An operator with its inputs.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Numbers the operators of a plan, for what is counted about them.
    pub(crate) id: usize,
    /// Where it comes from, without parentheses.
    pub(crate) span: Span,
    pub(crate) kind: NodeKind,
}

#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Number(f64),
    Text(String),
    Select(Select),
    Range(RangeSelect),
    Subquery(Subquery),
    /// Evaluated at the first step, the same at all.
    StepInvariant(Box<Node>),
    Call(Call),
    Aggregate(Aggregate),
    Binary(Binary),
    Negate(Box<Node>),
}

/// The time that a selection refers to: that of the step or a fixed one, moved back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `@`
    pub(crate) at_ms: Option<TimestampMs>,
    /// `offset`
    pub(crate) offset_ms: i64,
}

impl Reference {
    /// The reference time of a step.
    pub(crate) fn time(self, step_ms: TimestampMs) -> TimestampMs {
        self.at_ms.unwrap_or(step_ms).saturating_sub(self.offset_ms)
    }
}

/// An instant vector selector.
#[derive(Clone, Debug)]
pub(crate) struct Select {
    /// Index of [`Plan::fetches`].
    pub(crate) fetch: usize,
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) reference: Reference,
    pub(crate) extended: Option<ExtendedRange>,
    /// Whether of histograms only count, sum and counter resets matter.
    pub(crate) stats_only: bool,
    /// Whether its samples are among those that a query is said to have seen; see [`Subquery::is_counted`].
    pub(crate) is_counted: bool,
}

/// A range vector selector.
#[derive(Clone, Debug)]
pub(crate) struct RangeSelect {
    pub(crate) select: Select,
    pub(crate) range_ms: i64,
}

/// A subquery.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) input: Box<Node>,
    pub(crate) range_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) reference: Reference,
    /// Whether its samples are among those that a query is said to have seen. Those of what is below it
    /// aren't then: they would be counted twice.
    pub(crate) is_counted: bool,
}

/// A call of a function.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    pub(crate) args: Vec<Node>,
}

/// An aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) input: Box<Node>,
    pub(crate) param: Option<Box<Node>>,
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

/// A binary operation.
#[derive(Clone, Debug)]
pub(crate) struct Binary {
    pub(crate) op: BinaryOp,
    pub(crate) lhs: Box<Node>,
    pub(crate) rhs: Box<Node>,
    pub(crate) return_bool: bool,
    pub(crate) matching: Option<VectorMatching>,
}

impl Node {
    /// The type of its value.
    pub(crate) fn value_type(&self) -> ValueType {
        match &self.kind {
            NodeKind::Number(_) => ValueType::Scalar,
            NodeKind::Text(_) => ValueType::String,
            NodeKind::Select(_) | NodeKind::Aggregate(_) => ValueType::Vector,
            NodeKind::Range(_) | NodeKind::Subquery(_) => ValueType::Matrix,
            NodeKind::StepInvariant(input) | NodeKind::Negate(input) => input.value_type(),
            NodeKind::Call(call) if call.function.is_scalar() => ValueType::Scalar,
            NodeKind::Call(_) => ValueType::Vector,
            NodeKind::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
        }
    }

    /// Whether its series can be left unread without losing an annotation or an error.
    pub(crate) fn is_silent(&self) -> bool {
        match &self.kind {
            NodeKind::Number(_) | NodeKind::Text(_) => true,
            NodeKind::Select(select) => select.extended.is_none(),
            // It has read what is below it when it is asked for its series.
            NodeKind::Aggregate(_) => true,
            NodeKind::StepInvariant(input) => input.is_silent(),
            NodeKind::Range(_)
            | NodeKind::Subquery(_)
            | NodeKind::Call(_)
            | NodeKind::Binary(_)
            | NodeKind::Negate(_) => false,
        }
    }

    /// Its inputs, in the order in which they were written.
    pub(crate) fn inputs(&self) -> Vec<&Node> {
        match &self.kind {
            NodeKind::Number(_) | NodeKind::Text(_) | NodeKind::Select(_) | NodeKind::Range(_) => Vec::new(),
            NodeKind::Subquery(subquery) => vec![&subquery.input],
            NodeKind::StepInvariant(input) | NodeKind::Negate(input) => vec![input],
            NodeKind::Call(call) => call.args.iter().collect(),
            NodeKind::Aggregate(aggregate) => {
                aggregate.param.iter().chain([&aggregate.input]).map(|n| &**n).collect()
            }
            NodeKind::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        }
    }
}
