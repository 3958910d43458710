//! From syntax tree to plan.

use model::matcher::Matcher;
use model::time::TimestampMs;

use super::duration::QueryDurations;
use super::function::{Function, HistogramStat};
use super::{Aggregate, Binary, Call, Fetch, Node, NodeKind, Plan, RangeSelect, Reference, Select, Subquery};
use crate::ast::{self, AtModifier, BinaryOp, ExprKind, ExtendedRange, Span, TimeModifiers, ValueType};
use crate::engine::QueryError;
use crate::value::Steps;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) start_ms: TimestampMs,
    /// The end that was asked for, which need not be on the grid of steps.
    pub(crate) end_ms: TimestampMs,
    /// 0 for an instant query.
    pub(crate) step_ms: i64,
    pub(crate) lookback_ms: i64,
    pub(crate) default_subquery_step_ms: i64,
}

impl Target {
    /// The evaluation times.
    pub(crate) fn steps(&self) -> Steps {
        match self.step_ms {
            0 => Steps::instant(self.start_ms),
            step_ms => Steps::range(self.start_ms, self.end_ms, step_ms),
        }
    }

    fn durations(&self) -> QueryDurations {
        QueryDurations { step_ms: self.step_ms, range_ms: self.end_ms - self.start_ms }
    }
}

/// Builds the plan of a query, as it was written.
pub(crate) fn build(expr: &ast::Expr, target: &Target) -> Result<Plan, QueryError> {
    let mut builder = Builder {
        target,
        counted_depth: usize::from(is_subquery(expr)),
        fetches: Vec::new(),
        nodes: 0,
        subqueries: Vec::new(),
        needs: Vec::new(),
    };
    let root = builder.node(expr)?;
    Ok(Plan { root, fetches: builder.fetches, nodes: builder.nodes })
}

/// Whether the whole query is a subquery: nobody looks at its samples again.
fn is_subquery(expr: &ast::Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => is_subquery(inner),
        ExprKind::Subquery(_) => true,
        _ => false,
    }
}

struct Builder<'a> {
    target: &'a Target,
    /// Inside more subqueries than that samples aren't counted.
    counted_depth: usize,
    fetches: Vec<Fetch>,
    nodes: usize,
    /// The subqueries around the expression at hand, outermost first: reference and range.
    subqueries: Vec<(Reference, i64)>,
    /// What the operators around the expression at hand need of histograms, of those that tell.
    needs: Vec<HistogramNeed>,
}

/// What an operator needs of the histograms below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HistogramNeed {
    /// Count and sum.
    Stats,
    /// The buckets too: for quantiles, for trimming, or, in subqueries, to tell counter resets.
    All,
}

impl HistogramNeed {
    fn of(function: Function) -> Option<Self> {
        match function {
            Function::HistogramStat(HistogramStat::Count | HistogramStat::Sum | HistogramStat::Avg) => {
                Some(HistogramNeed::Stats)
            }
            Function::HistogramQuantile | Function::HistogramQuantiles | Function::HistogramFraction => {
                Some(HistogramNeed::All)
            }
            _ => None,
        }
    }
}

impl Builder<'_> {
    /// Builds what is below an operator that needs something of histograms.
    fn below<T>(
        &mut self,
        need: Option<HistogramNeed>,
        build: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let outside = self.needs.len();
        self.needs.extend(need);
        let built = build(self);
        self.needs.truncate(outside);
        built
    }

    fn node(&mut self, expr: &ast::Expr) -> Result<Node, QueryError> {
        let kind = match &expr.kind {
            ExprKind::Paren(inner) => return self.node(inner),
            ExprKind::Unary(unary) if !unary.negative => return self.node(&unary.expr),
            ExprKind::Unary(unary) => NodeKind::Negate(Box::new(self.node(&unary.expr)?)),
            ExprKind::Number(literal) => NodeKind::Number(literal.value),
            ExprKind::String(text) => NodeKind::Text(text.clone()),
            ExprKind::Vector(selector) => {
                NodeKind::Select(self.select(selector, &selector.modifiers, None)?)
            }
            ExprKind::Matrix(matrix) => {
                let range_ms = self.target.durations().positive_ms(&matrix.range)?;
                let select = self.select(&matrix.vector, &matrix.vector.modifiers, Some(range_ms))?;
                NodeKind::Range(RangeSelect { select, range_ms })
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery)?,
            ExprKind::Call(call) => self.call(call)?,
            ExprKind::Aggregate(aggregate) => NodeKind::Aggregate(Aggregate {
                op: aggregate.op,
                param: aggregate.param.as_ref().map(|param| self.node(param)).transpose()?.map(Box::new),
                input: Box::new(self.node(&aggregate.expr)?),
                grouping: aggregate.grouping.clone(),
                without: aggregate.without,
            }),
            ExprKind::Binary(binary) => {
                let trims = matches!(binary.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
                let need = trims.then_some(HistogramNeed::All);
                let (lhs, rhs) =
                    self.below(need, |builder| Ok((builder.node(&binary.lhs)?, builder.node(&binary.rhs)?)))?;
                if trims && [&lhs, &rhs].iter().all(|side| side.value_type() == ValueType::Scalar) {
                    let text = format!("operator {:?} not allowed for Scalar operations", binary.op.as_str());
                    return Err(QueryError::Execution(text));
                }
                NodeKind::Binary(Binary {
                    op: binary.op,
                    lhs: Box::new(lhs),
                    rhs: Box::new(rhs),
                    return_bool: binary.return_bool,
                    matching: binary.matching.clone(),
                })
            }
        };
        Ok(self.numbered(expr.span, kind))
    }

    fn is_counted(&self) -> bool {
        self.subqueries.len() <= self.counted_depth
    }

    fn numbered(&mut self, span: Span, kind: NodeKind) -> Node {
        self.nodes += 1;
        Node { id: self.nodes - 1, span, kind }
    }

    fn subquery(&mut self, subquery: &ast::Subquery) -> Result<NodeKind, QueryError> {
        let durations = self.target.durations();
        let reference = self.reference(&subquery.modifiers)?;
        let step_ms = match &subquery.step {
            Some(step) => durations.positive_ms(step)?,
            None => self.target.default_subquery_step_ms,
        };
        let range_ms = durations.positive_ms(&subquery.range)?;
        let is_counted = self.is_counted();
        self.subqueries.push((reference, range_ms));
        let input = self.below(Some(HistogramNeed::All), |builder| builder.node(&subquery.expr));
        self.subqueries.pop();
        // A step below a millisecond is none at all; it can only come from a duration expression.
        Ok(NodeKind::Subquery(Subquery {
            input: Box::new(input?),
            range_ms,
            step_ms: step_ms.max(1),
            reference,
            is_counted,
        }))
    }

    fn call(&mut self, call: &ast::Call) -> Result<NodeKind, QueryError> {
        let unknown = || QueryError::Parse(format!("unknown function with name {:?}", call.function));
        let function = Function::named(call.function).ok_or_else(unknown)?;
        let target = self.target;
        Ok(match function {
            Function::QueryStart => NodeKind::Number(target.start_ms as f64 / 1000.0),
            Function::QueryEnd => NodeKind::Number(target.end_ms as f64 / 1000.0),
            Function::QueryRange => NodeKind::Number((target.end_ms - target.start_ms) as f64 / 1000.0),
            Function::QueryStep if target.start_ms == target.end_ms => NodeKind::Number(0.0),
            Function::QueryStep => NodeKind::Number(target.step_ms as f64 / 1000.0),
            function => {
                let args = self.below(HistogramNeed::of(function), |builder| {
                    call.args.iter().map(|arg| builder.node(arg)).collect::<Result<_, _>>()
                })?;
                NodeKind::Call(Call { name: call.function, function, args })
            }
        })
    }

    fn select(
        &mut self,
        selector: &ast::VectorSelector,
        modifiers: &TimeModifiers,
        range_ms: Option<i64>,
    ) -> Result<Select, QueryError> {
        let reference = self.reference(modifiers)?;
        let (mint, maxt) = self.time_range(reference, range_ms, selector.extended);
        let fetch = self.fetch(&selector.matchers, mint, maxt);
        let stats_only =
            self.needs.contains(&HistogramNeed::Stats) && !self.needs.contains(&HistogramNeed::All);
        Ok(Select {
            fetch,
            matchers: selector.matchers.clone(),
            reference,
            extended: selector.extended,
            stats_only,
            is_counted: self.is_counted(),
        })
    }

    fn reference(&self, modifiers: &TimeModifiers) -> Result<Reference, QueryError> {
        let offset = modifiers.offset.as_ref();
        let offset_ms = offset.map_or(Ok(0), |expr| self.target.durations().signed_ms(expr))?;
        let at_ms = modifiers.at.map(|at| match at {
            AtModifier::Timestamp(at_ms) => at_ms,
            AtModifier::Start => self.target.start_ms,
            AtModifier::End => self.target.end_ms,
        });
        Ok(Reference { at_ms, offset_ms })
    }

    /// The samples that a selector may touch, `[mint, maxt]` inclusive.
    fn time_range(
        &self,
        reference: Reference,
        range_ms: Option<i64>,
        extended: Option<ExtendedRange>,
    ) -> (TimestampMs, TimestampMs) {
        let lookback_ms = self.target.lookback_ms;
        let (mut start, mut end) = (self.target.start_ms, self.target.end_ms);
        let move_back = |time: &mut TimestampMs, by_ms: i64| *time = time.saturating_sub(by_ms);
        for (subquery, subquery_range_ms) in &self.subqueries {
            if let Some(at_ms) = subquery.at_ms {
                (start, end) = (at_ms, at_ms);
            }
            move_back(&mut start, subquery.offset_ms);
            move_back(&mut start, *subquery_range_ms);
            move_back(&mut end, subquery.offset_ms);
        }
        if let Some(at_ms) = reference.at_ms {
            (start, end) = (at_ms, at_ms);
        }
        move_back(&mut start, range_ms.unwrap_or(0));
        move_back(&mut start, reference.offset_ms);
        move_back(&mut end, reference.offset_ms);
        // Windows and lookback are open on the left: the millisecond at their beginning is not in them.
        match (range_ms, extended) {
            (Some(_), None) => move_back(&mut start, -1),
            _ => move_back(&mut start, lookback_ms - 1),
        }
        if extended == Some(ExtendedRange::Smoothed) {
            move_back(&mut end, -lookback_ms);
        }
        (start, end)
    }

    fn fetch(&mut self, matchers: &[Matcher], mint: TimestampMs, maxt: TimestampMs) -> usize {
        self.fetches.push(Fetch { matchers: matchers.to_vec(), mint, maxt });
        self.fetches.len() - 1
    }
}
