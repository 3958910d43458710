//! Function calls, aggregations, and lists of labels.

use super::grammar::{Failure, Parsed, Parser, Tree};
use super::token::{Keyword, Token, TokenKind, quoted};
use crate::ast::{Aggregate, AggregateOp, Call, Expr, ExprKind, Span};
use crate::signature;

/// The arguments of a call, and the place of the closing parenthesis.
struct Arguments {
    list: Vec<Expr>,
    /// The height of the highest.
    height: usize,
    end: usize,
}

/// `by (…)` or `without (…)`.
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// A call, after the function's name.
    pub(super) fn call(&mut self, name: Token) -> Parsed<Tree> {
        let arguments = self.arguments()?;
        let text = self.text(&name);
        let Some(function) = signature::find(text) else {
            let message = format!("unknown function with name {}", quoted(text));
            return Err(Failure::error(name.span, message));
        };
        if function.experimental && !self.features.experimental_functions {
            return Err(Failure::error(name.span, format!("function {} is not enabled", quoted(text))));
        }
        let span = Span { start: name.span.start, end: arguments.end };
        let call = Call { function: function.name, name_span: name.span, args: arguments.list };
        self.tree(span, ExprKind::Call(call), arguments.height)
    }

    fn arguments(&mut self) -> Parsed<Arguments> {
        self.expect(TokenKind::LeftParen)?;
        let mut arguments = Arguments { list: Vec::new(), height: 0, end: 0 };
        if let Some(close) = self.accept(TokenKind::RightParen)? {
            arguments.end = close.span.end;
            return Ok(arguments);
        }
        loop {
            let argument = self.expr()?;
            arguments.height = arguments.height.max(argument.height);
            arguments.list.push(*argument.expr);
            let Some(comma) = self.accept(TokenKind::Comma)? else { break };
            if !self.peek()?.kind.begins_expression() {
                let message = "trailing commas not allowed in function call args";
                return Err(Failure::error(comma.span, message));
            }
        }
        arguments.end = self.expect(TokenKind::RightParen)?.span.end;
        Ok(arguments)
    }

    /// An aggregation, after its operator.
    pub(super) fn aggregate(&mut self, op: AggregateOp, name: Token) -> Parsed<Tree> {
        let (arguments, grouping, end) =
            self.aggregate_parts().map_err(|failure| self.claim(failure, "aggregation", ""))?;
        let span = Span { start: name.span.start, end };
        let fail = |message: String| Err(Failure::error(span, message));
        if arguments.list.is_empty() {
            return fail("no arguments for aggregate expression provided".to_owned());
        }
        if op.is_experimental() && !self.features.experimental_functions {
            return fail(format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            ));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        let got = arguments.list.len();
        let mut list = arguments.list;
        let (Some(expr), true) = (list.pop(), got == wanted) else {
            return fail(format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"
            ));
        };
        let aggregate = Aggregate {
            op,
            expr: Box::new(expr),
            param: list.pop().map(Box::new),
            grouping: grouping.labels,
            without: grouping.without,
        };
        self.tree(span, ExprKind::Aggregate(aggregate), arguments.height)
    }

    /// Arguments and grouping in either order, and where they end.
    fn aggregate_parts(&mut self) -> Parsed<(Arguments, Grouping, usize)> {
        if let Some((grouping, _)) = self.grouping()? {
            let arguments = self.arguments()?;
            let end = arguments.end;
            return Ok((arguments, grouping, end));
        }
        let arguments = self.arguments()?;
        let none = Grouping { labels: Vec::new(), without: false };
        let (grouping, end) = self.grouping()?.unwrap_or((none, arguments.end));
        Ok((arguments, grouping, end))
    }

    fn grouping(&mut self) -> Parsed<Option<(Grouping, usize)>> {
        let without = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        let labels = self.grouping_labels()?;
        let end = self.previous_end();
        Ok(Some((Grouping { labels, without }, end)))
    }

    /// `(a, b)`: names of labels, quoted or not, perhaps with a comma at the end.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen).map_err(|failure| self.claim(failure, CONTEXT, "\"(\""))?;
        let mut labels = Vec::new();
        while self.accept(TokenKind::RightParen)?.is_none() {
            let label = self.grouping_label().map_err(|failure| self.claim(failure, CONTEXT, "label"))?;
            labels.push(label);
            if self.accept(TokenKind::Comma)?.is_none() && self.peek()?.kind != TokenKind::RightParen {
                return self.unexpected().map_err(|failure| self.claim(failure, CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.peek()?;
        let label = match token.kind {
            TokenKind::String => self.string_value(&token)?,
            kind if kind.is_label_name() => self.text(&token).to_owned(),
            _ => return self.unexpected(),
        };
        self.advance();
        if label.is_empty() {
            return Err(Failure::error(token.span, "invalid label name for grouping: \"\""));
        }
        Ok(label)
    }
}
