//! Expressions as text: on one line with [`Display`](fmt::Display), or broken into lines with [`pretty`].
//!
//! The text is that of the reference, which normalises: one space around operators, matchers sorted, labels in
//! parentheses after a space. Parentheses are nodes of the tree, so none have to be invented. What is printed
//! parses to the same tree, but for the order of matchers.
//!
//! Two places are unlike the reference, whose text means something else there: `Inf ^ 2` keeps no sign, and
//! `a offset (5m) @ 7 + b` prints as
//! `a @ 7.000 offset +(5m) + b`, because `(5m) + b` would be the offset. The alternate form `{:#}` of an
//! expression is the one for before an operator that durations have, too.

use std::fmt::{self, Write};

use model::duration::format_ms;
use model::float_text;
use model::labels::{METRIC_NAME, is_legacy_label_name, write_quoted};
use model::matcher::{MatchOp, Matcher};

use crate::ast::{
    Aggregate, AtModifier, Binary, BinaryOp, Call, Cardinality, DurationExpr, DurationExprKind, Expr,
    ExprKind, MatrixSelector, NumberLiteral, Subquery, TimeModifiers, Unary, VectorMatching, VectorSelector,
};
use crate::parse::quoted;

/// Milliseconds in a second, in which durations are kept.
const MS_PER_SECOND: f64 = 1000.0;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(literal) => literal.fmt(f),
            ExprKind::String(text) => f.write_str(&quoted(text)),
            ExprKind::Vector(selector) => selector.fmt(f),
            ExprKind::Matrix(matrix) => matrix.fmt(f),
            ExprKind::Subquery(subquery) => {
                write!(f, "{}", subquery.expr)?;
                Suffix(subquery).fmt(f)
            }
            ExprKind::Call(call) => call.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Unary(unary) => {
                f.write_char(sign(unary))?;
                unary.expr.fmt(f)
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl fmt::Display for NumberLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_duration {
            true => f.write_str(&format_ms((self.value * MS_PER_SECOND).round() as i64)),
            false => f.write_str(&float_text::plain(self.value)),
        }
    }
}

fn sign(unary: &Unary) -> char {
    if unary.negative { '-' } else { '+' }
}

// ------------------------------------------------------------------------------------------- selectors

impl fmt::Display for VectorSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_series(f)?;
        write_at(f, &self.modifiers)?;
        self.write_extended(f)?;
        write_offset(f, &self.modifiers)
    }
}

impl VectorSelector {
    /// The name and the matchers, without what comes after.
    fn write_series(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("");
        let is_name = |matcher: &&Matcher| {
            let by_name = matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal;
            by_name && matcher.value() == name && !name.is_empty()
        };
        let mut matchers: Vec<String> =
            self.matchers.iter().filter(|matcher| !is_name(matcher)).map(Matcher::to_string).collect();
        matchers.sort();
        f.write_str(name)?;
        if !matchers.is_empty() || name.is_empty() {
            write!(f, "{{{}}}", matchers.join(","))?;
        }
        Ok(())
    }

    fn write_extended(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.extended {
            Some(extended) => write!(f, " {}", extended.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for MatrixSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vector.write_series(f)?;
        write!(f, "[{}]", self.range)?;
        self.vector.write_extended(f)?;
        write_at(f, &self.vector.modifiers)?;
        write_offset(f, &self.vector.modifiers)
    }
}

/// What follows the expression of a subquery.
struct Suffix<'a>(&'a Subquery);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        if let Some(step) = &self.0.step {
            step.fmt(f)?;
        }
        f.write_str("]")?;
        write_at(f, &self.0.modifiers)?;
        write_offset(f, &self.0.modifiers)
    }
}

fn write_at(f: &mut fmt::Formatter<'_>, modifiers: &TimeModifiers) -> fmt::Result {
    match modifiers.at {
        None => Ok(()),
        Some(AtModifier::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / MS_PER_SECOND),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
    }
}

fn write_offset(f: &mut fmt::Formatter<'_>, modifiers: &TimeModifiers) -> fmt::Result {
    let Some(offset) = &modifiers.offset else { return Ok(()) };
    match &offset.kind {
        DurationExprKind::Paren(_) if f.alternate() => write!(f, " offset +{offset}"),
        DurationExprKind::Binary { .. } if f.alternate() => write!(f, " offset +({offset})"),
        DurationExprKind::Unary { expr, .. }
            if f.alternate() && matches!(expr.kind, DurationExprKind::Unary { .. }) =>
        {
            write!(f, " offset +({offset})")
        }
        _ => write!(f, " offset {offset}"),
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationExprKind::Literal(literal) => literal.fmt(f),
            DurationExprKind::Step => f.write_str("step()"),
            DurationExprKind::Range => f.write_str("range()"),
            DurationExprKind::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationExprKind::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            DurationExprKind::Unary { negative: true, expr } => write!(f, "-{expr}"),
            DurationExprKind::Unary { negative: false, expr } => expr.fmt(f),
            DurationExprKind::Binary { op, lhs, rhs } => write!(f, "{lhs} {op} {rhs}"),
            DurationExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

// ------------------------------------------------------------------------------------------- calls, operators

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function)?;
        for (i, arg) in self.args.iter().enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            write!(f, "{separator}{arg}")?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", Grouping(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// An aggregation's operator with its labels.
struct Grouping<'a>(&'a Aggregate);

impl fmt::Display for Grouping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aggregate = self.0;
        f.write_str(aggregate.op.as_str())?;
        match (aggregate.without, aggregate.grouping.is_empty()) {
            (true, _) => write!(f, " without ({}) ", Names(&aggregate.grouping)),
            (false, false) => write!(f, " by ({}) ", Names(&aggregate.grouping)),
            (false, true) => Ok(()),
        }
    }
}

/// Names of labels between commas.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            match is_legacy_label_name(name) {
                true => f.write_str(name)?,
                false => write_quoted(f, name)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.has_duration_operator() {
            // With the plus that it is printed with elsewhere it would be the sign of the power.
            true if self.is_power_of_infinity() => write!(f, "Inf {} ", Operator(self))?,
            true => write!(f, "{:#} {} ", self.lhs, Operator(self))?,
            false => write!(f, "{} {} ", self.lhs, Operator(self))?,
        }
        self.rhs.fmt(f)
    }
}

impl Binary {
    /// Whether this is `Inf ^ …`.
    fn is_power_of_infinity(&self) -> bool {
        let infinite = |literal: &NumberLiteral| literal.value == f64::INFINITY;
        self.op == BinaryOp::Pow && matches!(&self.lhs.kind, ExprKind::Number(literal) if infinite(literal))
    }

    /// Whether the operator, where it follows an offset, could be meant for that.
    fn has_duration_operator(&self) -> bool {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        matches!(self.op, Add | Sub | Mul | Div | Mod | Pow)
    }
}

/// A binary operator with its modifiers.
struct Operator<'a>(&'a Binary);

impl fmt::Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        self.0.matching.as_ref().map_or(Ok(()), |matching| matching.fmt(f))
    }
}

impl fmt::Display for VectorMatching {
    /// With a space before, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = match self.cardinality {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if !self.labels.is_empty() || self.on || group.is_some() {
            let word = if self.on { "on" } else { "ignoring" };
            write!(f, " {word} ({})", Names(&self.labels))?;
        }
        if let Some(group) = group {
            write!(f, " {group} ({})", Names(&self.include))?;
        }
        match (self.fill_left, self.fill_right) {
            (Some(left), Some(right)) if left == right => write!(f, " fill ({})", float_text::general(left)),
            (left, right) => {
                write_fill(f, "fill_left", left)?;
                write_fill(f, "fill_right", right)
            }
        }
    }
}

fn write_fill(f: &mut fmt::Formatter<'_>, word: &str, value: Option<f64>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {word} ({})", float_text::general(value)))
}

// ------------------------------------------------------------------------------------------- many lines

/// An expression that is longer is broken into lines.
const LINE_BYTES_MAX: usize = 100;
/// What a line is indented by for each level.
const INDENT: &str = "  ";

/// The expression broken into lines where it is long, as `format_query` answers.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    push_pretty(&mut out, expr, 0, false);
    out
}

/// `operator_follows`: an operator that durations have, too.
fn push_pretty(out: &mut String, expr: &Expr, level: usize, operator_follows: bool) {
    if !is_long(expr) {
        // The reference doesn't indent subqueries that fit on a line.
        push_indent(out, if matches!(expr.kind, ExprKind::Subquery(_)) { 0 } else { level });
        push_line(out, expr, operator_follows);
        return;
    }
    match &expr.kind {
        ExprKind::Aggregate(aggregate) => {
            push_indent(out, level);
            let _ = write!(out, "{}", Grouping(aggregate));
            let args = aggregate.param.iter().map(|param| &**param).chain([&*aggregate.expr]);
            push_in_parens(out, args, level);
        }
        ExprKind::Binary(binary) => {
            match binary.is_power_of_infinity() {
                true => {
                    push_indent(out, level + 1);
                    out.push_str("Inf");
                }
                false => push_pretty(out, &binary.lhs, level + 1, binary.has_duration_operator()),
            }
            out.push('\n');
            push_indent(out, level);
            let _ = writeln!(out, "{}", Operator(binary));
            push_pretty(out, &binary.rhs, level + 1, operator_follows);
        }
        ExprKind::Call(call) => {
            push_indent(out, level);
            out.push_str(call.function);
            push_in_parens(out, call.args.iter(), level);
        }
        ExprKind::Paren(inner) => {
            push_indent(out, level);
            push_in_parens(out, [&**inner].into_iter(), level);
        }
        ExprKind::Subquery(subquery) => {
            push_pretty(out, &subquery.expr, level, false);
            push_line(out, &Suffix(subquery), operator_follows);
        }
        ExprKind::Unary(unary) => {
            let mut inner = String::new();
            push_pretty(&mut inner, &unary.expr, level, operator_follows);
            push_indent(out, level);
            let _ = write!(out, "{}{}", sign(unary), inner.trim());
        }
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {
            push_indent(out, level);
            push_line(out, expr, operator_follows);
        }
    }
}

fn push_line(out: &mut String, text: &impl fmt::Display, operator_follows: bool) {
    let _ = match operator_follows {
        true => write!(out, "{text:#}"),
        false => write!(out, "{text}"),
    };
}

/// Expressions in parentheses, each on lines of its own.
fn push_in_parens<'a>(out: &mut String, exprs: impl Iterator<Item = &'a Expr>, level: usize) {
    out.push_str("(\n");
    for (i, expr) in exprs.enumerate() {
        if i > 0 {
            out.push_str(",\n");
        }
        push_pretty(out, expr, level + 1, false);
    }
    out.push('\n');
    push_indent(out, level);
    out.push(')');
}

fn push_indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n(INDENT, level));
}

/// Whether the expression is too long for a line. Stops writing where it is clear.
fn is_long(expr: &Expr) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    write!(Room(LINE_BYTES_MAX), "{expr}").is_err()
}
