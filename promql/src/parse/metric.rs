//! Metrics: a name and labels with their values, as tests write series.

use model::labels::{Labels, LabelsBuilder, METRIC_NAME};

use super::ParseError;
use super::grammar::{Parsed, Parser};
use super::token::TokenKind;

impl Parser<'_> {
    /// A whole text that is a metric.
    pub(super) fn whole_metric(mut self) -> Result<Labels, ParseError> {
        let parsed = self.metric();
        self.finish(parsed)
    }

    fn metric(&mut self) -> Parsed<Labels> {
        let mut labels = LabelsBuilder::new();
        let first = self.peek()?;
        if first.kind.is_metric_name() {
            self.advance();
        }
        if self.accept(TokenKind::LeftBrace)?.is_some() {
            self.label_set(&mut labels)?;
        }
        if first.kind.is_metric_name() {
            labels.set(METRIC_NAME, self.text(&first));
        }
        Ok(labels.build())
    }

    /// The labels of a set, after its opening brace.
    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        const CONTEXT: &str = "label set";
        while self.accept(TokenKind::RightBrace)?.is_none() {
            self.label(labels).map_err(|failure| self.claim(failure, CONTEXT, "identifier or \"}\""))?;
            if self.accept(TokenKind::Comma)?.is_none() && self.peek()?.kind != TokenKind::RightBrace {
                return self.unexpected().map_err(|failure| self.claim(failure, CONTEXT, "\",\" or \"}\""));
            }
        }
        Ok(())
    }

    /// `name="value"`, or a quoted metric name alone.
    fn label(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        const CONTEXT: &str = "label set";
        let token = self.peek()?;
        let quoted = token.kind == TokenKind::String;
        let name = match token.kind {
            TokenKind::Identifier => self.text(&token).to_owned(),
            TokenKind::String => self.string_value(&token)?,
            _ => return self.unexpected(),
        };
        self.advance();
        if self.accept(TokenKind::Assign)?.is_none() {
            if quoted {
                labels.set(METRIC_NAME, &name);
                return Ok(());
            }
            return self.unexpected().map_err(|failure| self.claim(failure, CONTEXT, "\"=\""));
        }
        let value =
            self.expect(TokenKind::String).map_err(|failure| self.claim(failure, CONTEXT, "string"))?;
        labels.set(&name, &self.string_value(&value)?);
        Ok(())
    }
}
