//! Durations in brackets and after `offset`: literals, or arithmetic on them.
//!
//! After `offset` only a literal, a word with parentheses, or something in parentheses is taken, so that
//! `a offset 5m * 2` multiplies the selection and not the offset.

use super::expr::Precedence;
use super::grammar::{Failure, Parsed, Parser};
use super::token::{TimeWord, TokenKind};
use crate::ast::{BinaryOp, DurationExpr, DurationExprKind, NumberLiteral, Span};

/// Beyond this many seconds a duration doesn't fit into 64 bits of nanoseconds.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;
/// Milliseconds in a second.
const MS_PER_SECOND: f64 = 1000.0;
/// A millisecond's part that is put down to the rounding of decimal fractions: a nanosecond.
const MS_TOLERANCE: f64 = 1e-6;

impl Parser<'_> {
    /// A duration in brackets.
    pub(super) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let duration = self.duration(Precedence::LOWEST)?;
        match duration.kind {
            DurationExprKind::Literal(literal) if literal.value <= 0.0 => {
                Err(Failure::error(duration.span, "duration must be greater than 0"))
            }
            _ => Ok(plain_literal_as_duration(duration)),
        }
    }

    /// A duration after `offset`.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        self.bare_offset().map(plain_literal_as_duration)
    }

    fn bare_offset(&mut self) -> Parsed<DurationExpr> {
        let first = self.peek()?;
        match first.kind {
            TokenKind::LeftParen => return self.duration(Precedence::LOWEST),
            TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => {}
            _ => return self.duration_operand(),
        }
        // Two signs in a row are no longer an offset's own, and operators may follow.
        if matches!(self.second_kind(), TokenKind::Op(BinaryOp::Add | BinaryOp::Sub)) {
            return self.duration(Precedence::LOWEST).map(operation_in_parens);
        }
        let sign = self.sign()?;
        let operand = match self.peek()?.kind {
            // Whether it is in range is asked of the two together.
            TokenKind::Number | TokenKind::Duration => {
                let (literal, span) = self.number_literal()?;
                DurationExpr { span, kind: DurationExprKind::Literal(literal) }
            }
            _ => self.duration_operand()?,
        };
        let negative = sign.is_some_and(|(negative, _)| negative);
        signed_duration(negative, first.span, operand)
    }

    /// A duration whose operators bind at least so strongly.
    fn duration(&mut self, least: Precedence) -> Parsed<DurationExpr> {
        self.enter()?;
        let mut left = match self.sign()? {
            Some((negative, sign)) => {
                let operand = self.duration(Precedence::OF_SIGNED)?;
                signed_duration(negative, sign.span, operand)?
            }
            None => self.duration_operand()?,
        };
        while let TokenKind::Op(op) = self.peek()?.kind {
            if !is_duration_operator(op) || Precedence::of(op) < least {
                break;
            }
            left = self.duration_binary(left, op)?;
        }
        self.leave();
        Ok(left)
    }

    fn duration_binary(&mut self, left: DurationExpr, op: BinaryOp) -> Parsed<DurationExpr> {
        let token = self.peek()?;
        self.advance();
        let right = self.duration(Precedence::of(op).of_right_side())?;
        if matches!(&right.kind, DurationExprKind::Literal(literal) if literal.value == 0.0) {
            match op {
                BinaryOp::Div => return Err(Failure::error(token.span, "division by zero")),
                BinaryOp::Mod => return Err(Failure::error(token.span, "modulo by zero")),
                _ => {}
            }
        }
        let span = Span { start: left.span.start, end: right.span.end };
        let kind = DurationExprKind::Binary { op, lhs: Box::new(left), rhs: Box::new(right) };
        Ok(DurationExpr { span, kind })
    }

    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        let first = self.peek()?;
        match first.kind {
            TokenKind::Number | TokenKind::Duration => {
                let (literal, span) = self.number_literal()?;
                duration_literal(literal, span, span)
            }
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.duration(Precedence::LOWEST)?;
                let close = self.expect(TokenKind::RightParen)?;
                let span = Span { start: first.span.start, end: close.span.end };
                Ok(DurationExpr { span, kind: DurationExprKind::Paren(Box::new(inner)) })
            }
            TokenKind::TimeWord(word) => self.duration_word(word),
            _ => self.unexpected(),
        }
    }

    /// `step()`, `range()`, `min_of(a, b)` or `max_of(a, b)`.
    fn duration_word(&mut self, word: TimeWord) -> Parsed<DurationExpr> {
        let name = self.peek()?;
        if matches!(word, TimeWord::Start | TimeWord::End) {
            return self.unexpected();
        }
        self.advance();
        self.expect(TokenKind::LeftParen)?;
        let kind = match word {
            TimeWord::Step => DurationExprKind::Step,
            TimeWord::Range => DurationExprKind::Range,
            _ => {
                let left = Box::new(self.duration(Precedence::LOWEST)?);
                self.expect(TokenKind::Comma)?;
                let right = Box::new(self.duration(Precedence::LOWEST)?);
                match word {
                    TimeWord::MaxOf => DurationExprKind::MaxOf(left, right),
                    _ => DurationExprKind::MinOf(left, right),
                }
            }
        };
        let close = self.expect(TokenKind::RightParen)?;
        let span = Span { start: name.span.start, end: close.span.end };
        Ok(DurationExpr { span, kind })
    }
}

fn is_duration_operator(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow)
}

/// Where nothing but a literal stands, a number is a duration that was written as a number: `[300]` is `[5m]`. Only
/// what isn't whole milliseconds stays a number, because durations can't say it.
fn plain_literal_as_duration(mut duration: DurationExpr) -> DurationExpr {
    if let DurationExprKind::Literal(literal) = &mut duration.kind {
        let ms = literal.value * MS_PER_SECOND;
        literal.is_duration = (ms - ms.round()).abs() < MS_TOLERANCE;
    }
    duration
}

/// Puts an operation that began with signs into parentheses: `--3 + 5` folds to `3 + 5`, which after `offset` would
/// end at the 3.
fn operation_in_parens(duration: DurationExpr) -> DurationExpr {
    match duration.kind {
        DurationExprKind::Binary { .. } => {
            DurationExpr { span: duration.span, kind: DurationExprKind::Paren(Box::new(duration)) }
        }
        _ => duration,
    }
}

/// A literal, unless it is out of range, which is an error at `blame`.
fn duration_literal(literal: NumberLiteral, span: Span, blame: Span) -> Parsed<DurationExpr> {
    if literal.value.abs() > SECONDS_MAX {
        return Err(Failure::error(blame, "duration out of range"));
    }
    Ok(DurationExpr { span, kind: DurationExprKind::Literal(literal) })
}

/// A duration with a sign; literals take it in, and a plus before anything else means nothing.
fn signed_duration(negative: bool, sign: Span, operand: DurationExpr) -> Parsed<DurationExpr> {
    let span = Span { start: sign.start, end: operand.span.end };
    match operand.kind {
        DurationExprKind::Literal(mut literal) => {
            literal.value = if negative { -literal.value } else { literal.value };
            duration_literal(literal, span, sign)
        }
        _ if !negative => Ok(operand),
        _ => Ok(DurationExpr { span, kind: DurationExprKind::Unary { negative, expr: Box::new(operand) } }),
    }
}
