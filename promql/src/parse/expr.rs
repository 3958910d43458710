//! Expressions: operands, signs, binary operators, and what may follow an operand.

use super::HEIGHT_MAX;
use super::grammar::{Failure, Parsed, Parser, Tree};
use super::number::number_value;
use super::token::{Keyword, Token, TokenKind};
use crate::ast::{Binary, BinaryOp, Cardinality, Expr, ExprKind, NumberLiteral, Span, Unary, VectorMatching};

/// How strongly operators bind; what binds more strongly is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Power,
}

impl Precedence {
    pub(super) const LOWEST: Precedence = Precedence::Or;

    pub(super) fn of(op: BinaryOp) -> Self {
        use BinaryOp::{
            Add, And, Atan2, Div, Equal, Greater, GreaterEqual, Less, LessEqual, Mod, Mul, NotEqual, Or, Pow,
            Sub, TrimLower, TrimUpper, Unless,
        };
        match op {
            Or => Precedence::Or,
            And | Unless => Precedence::And,
            Equal | NotEqual | Greater | Less | GreaterEqual | LessEqual | TrimUpper | TrimLower => {
                Precedence::Comparison
            }
            Add | Sub => Precedence::Sum,
            Mul | Div | Mod | Atan2 => Precedence::Product,
            Pow => Precedence::Power,
        }
    }

    /// What an operator of this precedence takes for its right side: only what binds more strongly, so that
    /// operators of equal precedence group to the left; powers group to the right.
    pub(super) fn of_right_side(self) -> Self {
        match self {
            Precedence::Or => Precedence::And,
            Precedence::And => Precedence::Comparison,
            Precedence::Comparison => Precedence::Sum,
            Precedence::Sum => Precedence::Product,
            Precedence::Product | Precedence::Power => Precedence::Power,
        }
    }

    /// What a sign takes: it binds like a product, so `-a^b` is `-(a^b)` and `-a*b` is `(-a)*b`.
    pub(super) const OF_SIGNED: Precedence = Precedence::Power;
}

/// What stands between an operator and its right side.
struct Modifiers {
    return_bool: bool,
    matching: VectorMatching,
}

impl Parser<'_> {
    /// An expression.
    pub(super) fn expr(&mut self) -> Parsed<Tree> {
        self.expr_of(Precedence::LOWEST)
    }

    /// An expression whose operators bind at least so strongly.
    fn expr_of(&mut self, least: Precedence) -> Parsed<Tree> {
        self.enter()?;
        let mut left = self.operand()?;
        while let Some((op, token)) = self.binary_operator(least)? {
            left = self.binary(left, op, token)?;
        }
        self.leave();
        Ok(left)
    }

    /// The next token, if it is an operator that binds at least so strongly.
    fn binary_operator(&self, least: Precedence) -> Parsed<Option<(BinaryOp, Token)>> {
        let token = self.peek()?;
        Ok(match token.kind {
            TokenKind::Op(op) if Precedence::of(op) >= least => Some((op, token)),
            _ => None,
        })
    }

    /// The operator and what follows it, after its left side.
    fn binary(&mut self, left: Tree, op: BinaryOp, token: Token) -> Parsed<Tree> {
        self.advance();
        let Modifiers { return_bool, matching } = self.binary_modifiers()?;
        let right = self.expr_of(Precedence::of(op).of_right_side())?;
        let span = Span { start: left.expr.span.start, end: right.expr.span.end };
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        if filled && !self.features.binop_fill_modifiers {
            return Err(Failure::error(span, "binop fill modifiers are experimental and not enabled"));
        }
        let height = left.height.max(right.height);
        let kind = ExprKind::Binary(Binary {
            op,
            op_span: token.span,
            lhs: left.expr,
            rhs: right.expr,
            return_bool,
            matching: Some(matching),
        });
        self.tree(span, kind, height)
    }

    /// A node above trees of this height.
    pub(super) fn tree(&self, span: Span, kind: ExprKind, height_below: usize) -> Parsed<Tree> {
        let height = height_below + 1;
        if height > HEIGHT_MAX {
            let message = format!("query is too long: its syntax tree is more than {HEIGHT_MAX} levels high");
            return Err(Failure::error(span, message));
        }
        Ok(Tree { expr: Box::new(Expr { span, kind }), height })
    }

    fn binary_modifiers(&mut self) -> Parsed<Modifiers> {
        let return_bool = self.accept_keyword(Keyword::Bool)?.is_some();
        let mut matching = VectorMatching {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        if self.accept_keyword(Keyword::On)?.is_some() {
            matching.on = true;
            matching.labels = self.grouping_labels()?;
            self.group_modifier(&mut matching)?;
        } else if self.accept_keyword(Keyword::Ignoring)?.is_some() {
            matching.labels = self.grouping_labels()?;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok(Modifiers { return_bool, matching })
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.accept_keyword(Keyword::GroupLeft)?.is_some() {
            matching.cardinality = Cardinality::ManyToOne;
        } else if self.accept_keyword(Keyword::GroupRight)?.is_some() {
            matching.cardinality = Cardinality::OneToMany;
        } else {
            return Ok(());
        }
        let next = self.peek()?.kind;
        // Without labels the right side follows at once; anything else is taken for bad labels.
        if !next.begins_expression() && !next.is_fill() || next == TokenKind::LeftParen {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.accept_keyword(Keyword::Fill)?.is_some() {
            let value = self.fill_value()?;
            matching.fill_left = Some(value);
            matching.fill_right = Some(value);
        } else if self.accept_keyword(Keyword::FillLeft)?.is_some() {
            matching.fill_left = Some(self.fill_value()?);
            if self.accept_keyword(Keyword::FillRight)?.is_some() {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.accept_keyword(Keyword::FillRight)?.is_some() {
            matching.fill_right = Some(self.fill_value()?);
            if self.accept_keyword(Keyword::FillLeft)?.is_some() {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let negative = self.sign()?.is_some_and(|(negative, _)| negative);
        let (literal, _) = self.number_literal()?;
        self.expect(TokenKind::RightParen)?;
        Ok(if negative { -literal.value } else { literal.value })
    }

    // ------------------------------------------------------------------------------------------- operands

    /// A sign and what it is before, or an operand with its modifiers.
    fn operand(&mut self) -> Parsed<Tree> {
        let Some((negative, sign)) = self.sign()? else {
            let operand = self.bare_operand()?;
            return self.modified(operand);
        };
        let Tree { expr, height } = self.expr_of(Precedence::OF_SIGNED)?;
        let span = Span { start: sign.span.start, end: expr.span.end };
        match expr.kind {
            ExprKind::Number(mut literal) => {
                // The sign of a NaN means nothing.
                let negated = if literal.value.is_nan() { literal.value } else { -literal.value };
                literal.value = if negative { negated } else { literal.value };
                Ok(Tree { expr: Box::new(Expr { span, kind: ExprKind::Number(literal) }), height })
            }
            _ => self.tree(span, ExprKind::Unary(Unary { negative, expr }), height),
        }
    }

    /// Takes a sign, and says whether it is a minus.
    pub(super) fn sign(&mut self) -> Parsed<Option<(bool, Token)>> {
        let token = self.peek()?;
        let negative = match token.kind {
            TokenKind::Op(BinaryOp::Add) => false,
            TokenKind::Op(BinaryOp::Sub) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((negative, token)))
    }

    fn bare_operand(&mut self) -> Parsed<Tree> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let (literal, span) = self.number_literal()?;
                self.tree(span, ExprKind::Number(literal), 0)
            }
            TokenKind::String => {
                self.advance();
                let value = self.string_value(&token)?;
                self.tree(token.span, ExprKind::String(value), 0)
            }
            TokenKind::LeftParen => self.paren(),
            TokenKind::LeftBrace => self.vector_selector(None),
            TokenKind::Identifier | TokenKind::TimeWord(_) => {
                self.advance();
                match self.peek()?.kind {
                    TokenKind::LeftParen => self.call(token),
                    _ => self.vector_selector(Some(token)),
                }
            }
            TokenKind::Aggregate(op) => {
                self.advance();
                match self.peek()?.kind {
                    TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => {
                        self.aggregate(op, token)
                    }
                    _ => self.vector_selector(Some(token)),
                }
            }
            kind if kind.is_metric_name() => {
                self.advance();
                self.vector_selector(Some(token))
            }
            _ => self.unexpected(),
        }
    }

    fn paren(&mut self) -> Parsed<Tree> {
        let open = self.expect(TokenKind::LeftParen)?;
        let Tree { expr, height } = self.expr()?;
        let close = self.expect(TokenKind::RightParen)?;
        let span = Span { start: open.span.start, end: close.span.end };
        self.tree(span, ExprKind::Paren(expr), height)
    }

    /// A number or a duration, which mean the same everywhere.
    pub(super) fn number_literal(&mut self) -> Parsed<(NumberLiteral, Span)> {
        let token = self.peek()?;
        let text = self.text(&token);
        let value = match token.kind {
            TokenKind::Number => number_value(text),
            TokenKind::Duration => model::duration::parse_ms(text)
                .map(|ms| ms as f64 / 1000.0)
                .map_err(|error| error.to_string()),
            _ => return self.unexpected(),
        };
        self.advance();
        let value = value.map_err(|message| Failure::error(token.span, message))?;
        Ok((NumberLiteral { value, is_duration: token.kind == TokenKind::Duration }, token.span))
    }
}
