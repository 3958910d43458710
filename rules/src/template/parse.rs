//! The syntax tree of a template (`text/template/parse/parse.go`).

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::ParseError;
use super::lex::{self, Token, TokenKind};

/// The deepest nesting of actions and parentheses. Alerts use three or four levels; the bound keeps the parser
/// and the evaluator within their stacks.
const NESTING_MAX: usize = 100;

/// A parsed text: what it prints, and the templates that it defines.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) root: Rc<Vec<Node>>,
    pub(crate) defined: HashMap<String, Rc<Vec<Node>>>,
}

/// A part of a template.
#[derive(Debug)]
pub(crate) enum Node {
    Text(String),
    Action(Pipe),
    If { pipe: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    With { pipe: Pipe, then: Vec<Node>, otherwise: Vec<Node> },
    Range { pipe: Pipe, body: Vec<Node>, otherwise: Vec<Node> },
    Template { at: usize, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// `$x := command | command`.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// Variables that take the value, without the `$`.
    pub(crate) variables: Vec<String>,
    /// Whether they exist already (`=`).
    pub(crate) assigns: bool,
    pub(crate) commands: Vec<Vec<Operand>>,
}

/// A word of a command: a function, a value, or parentheses; with fields after it.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) kind: OperandKind,
    /// `.a.b` after a variable, a dot or parentheses.
    pub(crate) fields: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i64, String),
    Float(f64, String),
    Str { written: String, text: Rc<str> },
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
}

/// Parses a text. `is_function` says which names are functions.
pub(crate) fn parse(text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<Tree, ParseError> {
    let tokens = lex::tokens(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        variables: vec!["".to_owned()],
        defined: HashMap::new(),
        loops: 0,
        depth: 0,
        is_function,
    };
    let (root, end) = parser.list("input")?;
    match end {
        ListEnd::Text => Ok(Tree { root: Rc::new(root), defined: parser.defined }),
        ListEnd::Else { at, .. } => Err(ParseError { at, what: "unexpected {{else}}".into() }),
        ListEnd::End { at } => Err(ParseError { at, what: "unexpected {{end}}".into() }),
    }
}

/// What ended a list of nodes.
enum ListEnd {
    Text,
    End {
        at: usize,
    },
    /// `{{else}}` or `{{else if`: the word after it is still to be read.
    Else {
        at: usize,
        chained: Option<&'static str>,
    },
}

struct Parser<'a> {
    tokens: Vec<Token>,
    next: usize,
    variables: Vec<String>,
    defined: HashMap<String, Rc<Vec<Node>>>,
    loops: usize,
    depth: usize,
    is_function: &'a dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == TokenKind::Space {
            self.next += 1;
        }
    }

    fn take_non_space(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, ParseError> {
        let what = match token.kind {
            TokenKind::End => format!("unexpected EOF in {context}"),
            _ => format!("unexpected {} in {context}", token.kind),
        };
        Err(ParseError { at: token.at, what })
    }

    fn nested<T>(
        &mut self,
        at: usize,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == NESTING_MAX {
            return Err(ParseError { at, what: format!("nesting deeper than {NESTING_MAX} levels") });
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Reads nodes up to `{{end}}`, `{{else}}` or the end of the text.
    fn list(&mut self, context: &str) -> Result<(Vec<Node>, ListEnd), ParseError> {
        let mut nodes = Vec::new();
        loop {
            let token = self.take();
            match token.kind {
                TokenKind::Text(text) => nodes.push(Node::Text(text)),
                TokenKind::End if context == "input" => return Ok((nodes, ListEnd::Text)),
                TokenKind::End => return Err(ParseError { at: token.at, what: "unexpected EOF".into() }),
                TokenKind::Open => {
                    if let Some(end) = self.action(&mut nodes)? {
                        return Ok((nodes, end));
                    }
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// Reads what stands between `{{` and `}}`, and all that belongs to it.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<ListEnd>, ParseError> {
        self.skip_space();
        let token = self.peek().clone();
        let keyword = match &token.kind {
            TokenKind::Word(word) => word.as_str(),
            _ => "",
        };
        let is_keyword = matches!(
            keyword,
            "if" | "with" | "range" | "end" | "else" | "template" | "define" | "block" | "break" | "continue"
        );
        if !is_keyword {
            let pipe = self.pipe("command", &TokenKind::Close)?;
            nodes.push(Node::Action(pipe));
            return Ok(None);
        }
        self.next += 1;
        match keyword {
            "end" => {
                self.close("end")?;
                return Ok(Some(ListEnd::End { at: token.at }));
            }
            "else" => return self.else_control(token.at).map(Some),
            "template" => nodes.push(self.template(token.at)?),
            "define" => self.define(token.at)?,
            "block" => nodes.push(self.block(token.at)?),
            "break" | "continue" => {
                self.close(keyword)?;
                if self.loops == 0 {
                    return Err(ParseError {
                        at: token.at,
                        what: format!("{{{{{keyword}}}}} outside {{{{range}}}}"),
                    });
                }
                nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
            }
            control => {
                let node = self.nested(token.at, |parser| parser.control(control))?;
                nodes.push(node);
            }
        }
        Ok(None)
    }

    fn close(&mut self, context: &str) -> Result<(), ParseError> {
        let token = self.take_non_space();
        if token.kind == TokenKind::Close { Ok(()) } else { self.unexpected(&token, context) }
    }

    fn else_control(&mut self, at: usize) -> Result<ListEnd, ParseError> {
        self.skip_space();
        let chained = match &self.peek().kind {
            TokenKind::Word(word) if word == "if" => Some("if"),
            TokenKind::Word(word) if word == "with" => Some("with"),
            _ => None,
        };
        if chained.is_some() {
            self.next += 1;
        } else {
            self.close("else")?;
        }
        Ok(ListEnd::Else { at, chained })
    }

    /// `if`, `with` or `range`, up to its `end`.
    fn control(&mut self, keyword: &str) -> Result<Node, ParseError> {
        let visible = self.variables.len();
        let pipe = self.pipe(keyword, &TokenKind::Close)?;
        if keyword == "range" {
            self.loops += 1;
        }
        let (then, end) = self.list(keyword)?;
        if keyword == "range" {
            self.loops -= 1;
        }
        let otherwise = match end {
            ListEnd::Text | ListEnd::End { .. } => Vec::new(),
            ListEnd::Else { at, chained: Some(chained) } if chained == keyword => {
                vec![self.nested(at, |parser| parser.control(chained))?]
            }
            ListEnd::Else { at, chained: Some(_) } => {
                return Err(ParseError { at, what: format!("unexpected {{{{else}}}} in {keyword}") });
            }
            ListEnd::Else { chained: None, .. } => match self.list(keyword)? {
                (otherwise, ListEnd::End { .. }) => otherwise,
                (_, ListEnd::Else { at, .. }) => {
                    return Err(ParseError { at, what: "expected end; found {{else}}".into() });
                }
                (_, ListEnd::Text) => unreachable!("only the outermost list ends with the text"),
            },
        };
        self.variables.truncate(visible);
        Ok(match keyword {
            "if" => Node::If { pipe, then, otherwise },
            "with" => Node::With { pipe, then, otherwise },
            _ => Node::Range { pipe, body: then, otherwise },
        })
    }

    fn name(&mut self, context: &str) -> Result<String, ParseError> {
        let token = self.take_non_space();
        match token.kind {
            TokenKind::Str(_, text) => Ok(text),
            _ => self.unexpected(&token, context),
        }
    }

    fn template(&mut self, at: usize) -> Result<Node, ParseError> {
        let name = self.name("template clause")?;
        self.skip_space();
        let pipe = if self.peek().kind == TokenKind::Close {
            self.next += 1;
            None
        } else {
            Some(self.pipe("template clause", &TokenKind::Close)?)
        };
        Ok(Node::Template { at, name, pipe })
    }

    fn define(&mut self, at: usize) -> Result<(), ParseError> {
        if self.depth > 0 {
            return Err(ParseError { at, what: "unexpected <define> in command".into() });
        }
        let name = self.name("define clause")?;
        self.close("define clause")?;
        self.body(at, name)
    }

    fn block(&mut self, at: usize) -> Result<Node, ParseError> {
        let name = self.name("block clause")?;
        let pipe = self.pipe("block clause", &TokenKind::Close)?;
        self.body(at, name.clone())?;
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    /// Reads the body of a template of its own, which sees no variable but `$`.
    fn body(&mut self, at: usize, name: String) -> Result<(), ParseError> {
        let outer = std::mem::replace(&mut self.variables, vec![String::new()]);
        let loops = std::mem::take(&mut self.loops);
        let (nodes, end) = self.nested(at, |parser| parser.list("define clause"))?;
        self.variables = outer;
        self.loops = loops;
        if let ListEnd::Else { at, .. } = end {
            return Err(ParseError { at, what: "unexpected {{else}} in define clause".into() });
        }
        self.defined.insert(name, Rc::new(nodes));
        Ok(())
    }

    fn pipe(&mut self, context: &str, end: &TokenKind) -> Result<Pipe, ParseError> {
        self.skip_space();
        let at = self.peek().at;
        let (variables, assigns) = self.declaration(context)?;
        let mut commands: Vec<Vec<Operand>> = Vec::new();
        loop {
            let token = self.take_non_space();
            if token.kind == *end {
                check_commands(&commands, context, token.at)?;
                if !assigns {
                    self.variables.extend(variables.iter().cloned());
                }
                return Ok(Pipe { at, variables, assigns, commands });
            }
            self.next -= 1;
            let command = self.command()?;
            commands.push(command);
            self.skip_space();
            if self.peek().kind == TokenKind::Pipe {
                self.next += 1;
                self.skip_space();
                if self.peek().kind == *end {
                    return Err(ParseError {
                        at: self.peek().at,
                        what: format!("missing value for {context}"),
                    });
                }
            }
        }
    }

    /// `$x :=`, `$x =`, `$i, $x :=` (only in `range`), or nothing.
    fn declaration(&mut self, context: &str) -> Result<(Vec<String>, bool), ParseError> {
        let begin = self.next;
        let mut variables = Vec::new();
        while let TokenKind::Variable(name) = &self.peek().kind {
            let (name, at) = (name.clone(), self.peek().at);
            self.next += 1;
            self.skip_space();
            variables.push(name);
            match self.peek().kind {
                TokenKind::Declare | TokenKind::Assign => {
                    let assigns = self.peek().kind == TokenKind::Assign;
                    self.next += 1;
                    if assigns {
                        variables.iter().try_for_each(|name| self.check_variable(name, at))?;
                    }
                    return Ok((variables, assigns));
                }
                TokenKind::Comma if context == "range" && variables.len() < 2 => {
                    self.next += 1;
                    self.skip_space();
                }
                TokenKind::Comma => {
                    return Err(ParseError { at, what: format!("too many declarations in {context}") });
                }
                _ => break,
            }
        }
        self.next = begin;
        Ok((Vec::new(), false))
    }

    fn check_variable(&self, name: &str, at: usize) -> Result<(), ParseError> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(ParseError { at, what: format!("undefined variable \"${name}\"") })
    }

    /// Operands up to a `|`, `)` or `}}`.
    fn command(&mut self) -> Result<Vec<Operand>, ParseError> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.peek().kind {
                TokenKind::Space => {}
                TokenKind::Pipe | TokenKind::RightParen | TokenKind::Close => break,
                _ => {
                    let token = self.peek().clone();
                    return self.unexpected(&token, "operand");
                }
            }
            self.skip_space();
            if matches!(self.peek().kind, TokenKind::Pipe | TokenKind::RightParen | TokenKind::Close) {
                break;
            }
        }
        if operands.is_empty() {
            return Err(ParseError { at: self.peek().at, what: "empty command".into() });
        }
        Ok(operands)
    }

    fn operand(&mut self) -> Result<Option<Operand>, ParseError> {
        let token = self.peek().clone();
        let mut fields = Vec::new();
        let kind = match &token.kind {
            TokenKind::Word(word) => match word.as_str() {
                "true" => OperandKind::Bool(true),
                "false" => OperandKind::Bool(false),
                "nil" => OperandKind::Nil,
                name if (self.is_function)(name) => OperandKind::Function(name.to_owned()),
                name => {
                    return Err(ParseError { at: token.at, what: format!("function {name:?} not defined") });
                }
            },
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => {
                fields.push(name.clone());
                OperandKind::Dot
            }
            TokenKind::Variable(name) => {
                self.check_variable(name, token.at)?;
                OperandKind::Variable(name.clone())
            }
            TokenKind::Number(text) => number(text, token.at)?,
            TokenKind::Char(code) => OperandKind::Int(i64::from(*code), code.to_string()),
            TokenKind::Str(written, text) => {
                OperandKind::Str { written: written.clone(), text: Rc::from(text.as_str()) }
            }
            TokenKind::LeftParen => {
                self.next += 1;
                let pipe = self.nested(token.at, |parser| {
                    parser.pipe("parenthesized pipeline", &TokenKind::RightParen)
                })?;
                self.next -= 1; // the closing parenthesis is taken below, as every operand's last token
                OperandKind::Pipe(Box::new(pipe))
            }
            _ => return Ok(None),
        };
        self.next += 1;
        while let TokenKind::Field(name) = &self.peek().kind {
            match &kind {
                OperandKind::Bool(_)
                | OperandKind::Int(..)
                | OperandKind::Float(..)
                | OperandKind::Str { .. }
                | OperandKind::Nil => {
                    let what = format!("unexpected . after term {:?}", kind.to_string());
                    return Err(ParseError { at: token.at, what });
                }
                _ => fields.push(name.clone()),
            }
            self.next += 1;
        }
        Ok(Some(Operand { at: token.at, kind, fields }))
    }
}

/// A pipeline's commands after the first one must be able to take a value in.
fn check_commands(commands: &[Vec<Operand>], context: &str, at: usize) -> Result<(), ParseError> {
    if commands.is_empty() {
        return Err(ParseError { at, what: format!("missing value for {context}") });
    }
    for (i, command) in commands.iter().enumerate().skip(1) {
        let first = &command[0];
        let is_value = matches!(
            first.kind,
            OperandKind::Bool(_)
                | OperandKind::Nil
                | OperandKind::Int(..)
                | OperandKind::Float(..)
                | OperandKind::Str { .. }
        ) || matches!(first.kind, OperandKind::Dot if first.fields.is_empty());
        if is_value {
            let what = format!("non executable command in pipeline stage {}", i + 1);
            return Err(ParseError { at: first.at, what });
        }
    }
    Ok(())
}

fn number(text: &str, at: usize) -> Result<OperandKind, ParseError> {
    let bad = || ParseError { at, what: format!("bad number syntax: {text:?}") };
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let (negative, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let lower = unsigned.to_ascii_lowercase();
    // As in Go, what is written like a float is one, even without a fraction.
    let is_float = !lower.starts_with("0x") && lower.contains(['.', 'e', 'p']);
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some(two) if two.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit()) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if let (Ok(magnitude), false) = (u64::from_str_radix(body, radix), is_float) {
        let value =
            if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        return value
            .map(|value| OperandKind::Int(value, text.to_owned()))
            .ok_or_else(|| ParseError { at, what: format!("integer overflow: {text:?}") });
    }
    let looks_decimal = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = lower.parse().ok().filter(|_| looks_decimal).ok_or_else(bad)?;
    Ok(OperandKind::Float(if negative { -value } else { value }, text.to_owned()))
}

impl fmt::Display for TokenKind {
    /// As Go's messages name a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            TokenKind::End => return f.write_str("EOF"),
            TokenKind::Word(word) => match word.as_str() {
                "if" | "with" | "range" | "end" | "else" | "template" | "define" | "block" | "break"
                | "continue" | "nil" => return write!(f, "<{word}>"),
                word => word.to_owned(),
            },
            TokenKind::Text(text) | TokenKind::Number(text) => text.clone(),
            TokenKind::Str(written, _) => written.clone(),
            TokenKind::Field(name) => format!(".{name}"),
            TokenKind::Variable(name) => format!("${name}"),
            TokenKind::Char(code) => code.to_string(),
            TokenKind::Open => "{{".into(),
            TokenKind::Close => "}}".into(),
            TokenKind::Dot => ".".into(),
            TokenKind::Pipe => "|".into(),
            TokenKind::LeftParen => "(".into(),
            TokenKind::RightParen => ")".into(),
            TokenKind::Declare => ":=".into(),
            TokenKind::Assign => "=".into(),
            TokenKind::Comma => ",".into(),
            TokenKind::Space => " ".into(),
        };
        /// Longer tokens are cut in messages.
        const SHOWN_CHARS: usize = 10;
        if text.chars().count() > SHOWN_CHARS {
            let cut: String = text.chars().take(SHOWN_CHARS).collect();
            return write!(f, "{cut:?}...");
        }
        write!(f, "{text:?}")
    }
}

impl fmt::Display for OperandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Int(_, written) | OperandKind::Float(_, written) => f.write_str(written),
            OperandKind::Str { written, .. } => f.write_str(written),
            OperandKind::Variable(name) => write!(f, "${name}"),
            OperandKind::Function(name) => f.write_str(name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

impl fmt::Display for Operand {
    /// As Go prints the node.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.kind, OperandKind::Dot) || self.fields.is_empty() {
            write!(f, "{}", self.kind)?;
        }
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, variable) in self.variables.iter().enumerate() {
            write!(f, "{}${variable}", if i > 0 { ", " } else { "" })?;
        }
        if !self.variables.is_empty() {
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write_command(f, command)?;
        }
        Ok(())
    }
}

/// Writes a command as Go prints it.
pub(crate) fn write_command(f: &mut fmt::Formatter<'_>, command: &[Operand]) -> fmt::Result {
    for (i, operand) in command.iter().enumerate() {
        write!(f, "{}{operand}", if i > 0 { " " } else { "" })?;
    }
    Ok(())
}
