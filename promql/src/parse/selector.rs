//! Selectors: names and matchers, and the ranges, subqueries and modifiers that follow them.

use model::matcher::{MatchOp, Matcher};

use super::ParseError;
use super::grammar::{Failure, Parsed, Parser, Tree};
use super::token::{Keyword, TimeWord, Token, TokenKind};
use crate::ast::{
    AtModifier, BinaryOp, DurationExpr, DurationExprKind, Expr, ExprKind, ExtendedRange, MatrixSelector,
    Span, Subquery, TimeModifiers, VectorSelector,
};

/// Milliseconds in a second, as the time after `@` is written.
const MS_PER_SECOND: f64 = 1000.0;

impl Parser<'_> {
    /// A whole text that is a selector without modifiers.
    pub(super) fn metric_selector(mut self) -> Result<Vec<Matcher>, ParseError> {
        let parsed = self.peek().and_then(|first| {
            let name = first.kind.is_metric_name().then_some(first);
            match name {
                Some(_) => self.advance(),
                None if first.kind == TokenKind::LeftBrace => {}
                None => return self.unexpected(),
            }
            self.selector_matchers(name).map(|(matchers, _)| matchers)
        });
        self.finish(parsed)
    }

    /// A selector, after its name if it has one.
    pub(super) fn vector_selector(&mut self, name: Option<Token>) -> Parsed<Tree> {
        let (matchers, span) = self.selector_matchers(name)?;
        let selector = VectorSelector {
            name: name.map(|token| self.text(&token).to_owned()),
            matchers,
            modifiers: TimeModifiers::default(),
            extended: None,
        };
        self.tree(span, ExprKind::Vector(selector), 0)
    }

    /// The matchers in braces, if there are braces, and that of the name at their end.
    fn selector_matchers(&mut self, name: Option<Token>) -> Parsed<(Vec<Matcher>, Span)> {
        let (mut matchers, mut span) = match self.peek()?.kind {
            TokenKind::LeftBrace => self.braces()?,
            _ => (Vec::new(), Span::default()),
        };
        if let Some(name) = name {
            matchers.push(Matcher::metric_name(self.text(&name)));
            span = Span { start: name.span.start, end: span.end.max(name.span.end) };
        }
        Ok((matchers, span))
    }

    fn braces(&mut self) -> Parsed<(Vec<Matcher>, Span)> {
        const CONTEXT: &str = "label matching";
        let open = self.expect(TokenKind::LeftBrace)?;
        let mut matchers = Vec::new();
        loop {
            if let Some(close) = self.accept(TokenKind::RightBrace)? {
                return Ok((matchers, Span { start: open.span.start, end: close.span.end }));
            }
            matchers.push(self.matcher()?);
            if self.accept(TokenKind::Comma)?.is_none() && self.peek()?.kind != TokenKind::RightBrace {
                return self.unexpected().map_err(|failure| self.claim(failure, CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    /// `label="value"`, or a quoted metric name alone.
    fn matcher(&mut self) -> Parsed<Matcher> {
        const CONTEXT: &str = "label matching";
        let expecting = |parser: &Self, what: &str| -> Parsed<Matcher> {
            parser.unexpected().map_err(|failure| parser.claim(failure, CONTEXT, what))
        };
        let label = self.peek()?;
        let name = match label.kind {
            TokenKind::Identifier => self.text(&label).to_owned(),
            TokenKind::String => self.string_value(&label)?,
            _ => return expecting(self, "identifier or \"}\""),
        };
        self.advance();
        let op = match self.peek()?.kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::RegexMatch => MatchOp::Regex,
            TokenKind::RegexNoMatch => MatchOp::NotRegex,
            _ if label.kind == TokenKind::String => return Ok(Matcher::metric_name(name)),
            _ => return expecting(self, "label matching operator"),
        };
        self.advance();
        let value = self.peek()?;
        if value.kind != TokenKind::String {
            return expecting(self, "string");
        }
        self.advance();
        let text = self.string_value(&value)?;
        Matcher::new(op, name, text).map_err(|error| {
            let span = Span { start: label.span.start, end: value.span.end };
            Failure::error(span, error.to_string())
        })
    }

    // ----------------------------------------------------------------------------- what follows an operand

    /// Adds to an operand the ranges and modifiers that follow it; they bind more strongly than any operator.
    pub(super) fn modified(&mut self, mut operand: Tree) -> Parsed<Tree> {
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::LeftBracket => operand = self.brackets(operand)?,
                TokenKind::Keyword(Keyword::Offset) => {
                    self.advance();
                    self.offset(&mut operand.expr)?;
                }
                TokenKind::Keyword(Keyword::Anchored) => {
                    self.advance();
                    self.extend(&mut operand.expr, ExtendedRange::Anchored)?;
                }
                TokenKind::Keyword(Keyword::Smoothed) => {
                    self.advance();
                    self.extend(&mut operand.expr, ExtendedRange::Smoothed)?;
                }
                TokenKind::At => {
                    self.advance();
                    self.at_modifier(&mut operand.expr)?;
                }
                _ => return Ok(operand),
            }
            operand.expr.span.end = self.previous_end();
        }
    }

    /// `[range]`, `[range:]` or `[range:step]`.
    fn brackets(&mut self, operand: Tree) -> Parsed<Tree> {
        let open = self.expect(TokenKind::LeftBracket)?;
        let range = self.positive_duration().map_err(|failure| {
            self.claim(failure, "subquery or range selector", "number, duration, step(), or range()")
        })?;
        if let Some(close) = self.accept(TokenKind::RightBracket)? {
            return self.matrix(operand, range, Span { start: open.span.start, end: close.span.end });
        }
        self.expect(TokenKind::Colon)
            .map_err(|failure| self.claim(failure, "subquery or range", "\":\" or \"]\""))?;
        let mut step = None;
        if self.peek()?.kind != TokenKind::RightBracket {
            let expected = "number, duration, step(), range(), or \"]\"";
            step = Some(
                self.positive_duration()
                    .map_err(|failure| self.claim(failure, "subquery selector", expected))?,
            );
        }
        let close = self
            .expect(TokenKind::RightBracket)
            .map_err(|failure| self.claim(failure, "subquery selector", "\"]\""))?;
        let span = Span { start: operand.expr.span.start, end: close.span.end };
        let modifiers = TimeModifiers::default();
        let subquery = Subquery { expr: operand.expr, range, step, modifiers };
        self.tree(span, ExprKind::Subquery(subquery), operand.height)
    }

    fn matrix(&mut self, operand: Tree, range: DurationExpr, brackets: Span) -> Parsed<Tree> {
        let vector_span = operand.expr.span;
        let message = match operand.expr.kind {
            ExprKind::Vector(vector) if vector.modifiers == TimeModifiers::default() => {
                let span = Span { start: vector_span.start, end: brackets.end };
                let matrix = MatrixSelector { vector, vector_span, range };
                return self.tree(span, ExprKind::Matrix(matrix), operand.height);
            }
            ExprKind::Vector(vector) if vector.modifiers.offset.is_some() => {
                "no offset modifiers allowed before range"
            }
            ExprKind::Vector(_) => "no @ modifiers allowed before range",
            _ => "ranges only allowed for vector selectors",
        };
        Err(Failure::error(brackets, message))
    }

    /// What follows `offset`.
    fn offset(&mut self, operand: &mut Expr) -> Parsed<()> {
        let offset = self
            .offset_duration()
            .map_err(|failure| self.claim(failure, "offset", "number, duration, step(), or range()"))?;
        let span = operand.span;
        let Some(modifiers) = time_modifiers(operand) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector \
                           selector or a subquery";
            return Err(Failure::error(span, message));
        };
        if modifiers.offset.is_some() {
            return Err(Failure::error(span, "offset may not be set multiple times"));
        }
        // No time at all is as good as no offset.
        let is_zero = |literal: f64| (literal * 1e9).round() == 0.0;
        modifiers.offset = match offset.kind {
            DurationExprKind::Literal(literal) if is_zero(literal.value) => None,
            _ => Some(offset),
        };
        Ok(())
    }

    /// What follows `@`.
    fn at_modifier(&mut self, operand: &mut Expr) -> Parsed<()> {
        let span = operand.span;
        let at = self.at_time(span).map_err(|failure| self.claim(failure, "@", "timestamp"))?;
        let Some(modifiers) = time_modifiers(operand) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector \
                           or a subquery";
            return Err(Failure::error(span, message));
        };
        if modifiers.at.is_some() {
            return Err(Failure::error(span, "@ <timestamp> may not be set multiple times"));
        }
        modifiers.at = Some(at);
        Ok(())
    }

    fn at_time(&mut self, operand: Span) -> Parsed<AtModifier> {
        let bound = match self.peek()?.kind {
            TokenKind::TimeWord(TimeWord::Start) => Some(AtModifier::Start),
            TokenKind::TimeWord(TimeWord::End) => Some(AtModifier::End),
            _ => None,
        };
        if let Some(bound) = bound {
            self.advance();
            self.expect(TokenKind::LeftParen)?;
            self.expect(TokenKind::RightParen)?;
            return Ok(bound);
        }
        let negative = self.sign()?.is_some_and(|(negative, _)| negative);
        let (literal, _) = self.number_literal()?;
        let seconds = if negative { -literal.value } else { literal.value };
        // Strictly between the bounds, which as floats lie one beyond what fits.
        if !(seconds > i64::MIN as f64 && seconds < i64::MAX as f64) {
            let shown = match seconds {
                s if s.is_nan() => "NaN".to_owned(),
                s if s.is_infinite() => if s > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
                s => format!("{s:.6}"),
            };
            return Err(Failure::error(operand, format!("timestamp out of bounds for @ modifier: {shown}")));
        }
        Ok(AtModifier::Timestamp((seconds * MS_PER_SECOND).round() as i64))
    }

    /// `anchored` or `smoothed`.
    fn extend(&mut self, operand: &mut Expr, range: ExtendedRange) -> Parsed<()> {
        let span = operand.span;
        let word = range.as_str();
        let fail = |message: String| Err(Failure::error(span, message));
        if !self.features.extended_range_selectors {
            return fail(format!("{word} modifier is experimental and not enabled"));
        }
        let extended = match &mut operand.kind {
            ExprKind::Vector(vector) => &mut vector.extended,
            ExprKind::Matrix(matrix) => &mut matrix.vector.extended,
            ExprKind::Subquery(_) => return fail(format!("{word} modifier is not supported for subqueries")),
            _ => return fail(format!("{word} modifier not implemented")),
        };
        match extended.replace(range) {
            Some(before) if before != range => {
                fail("anchored and smoothed modifiers cannot be used together".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The place for `offset` and `@`, if the expression may have them.
fn time_modifiers(expr: &mut Expr) -> Option<&mut TimeModifiers> {
    match &mut expr.kind {
        ExprKind::Vector(vector) => Some(&mut vector.modifiers),
        ExprKind::Matrix(matrix) => Some(&mut matrix.vector.modifiers),
        ExprKind::Subquery(subquery) => Some(&mut subquery.modifiers),
        _ => None,
    }
}
