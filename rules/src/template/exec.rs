//! Evaluation of a template's tree (`text/template/exec.go`).

use std::fmt::{self, Write};
use std::rc::Rc;

use super::builtins;
use super::method;
use super::parse::{Node, Operand, OperandKind, Pipe, Tree, write_command};
use super::value::Value;

/// The deepest chain of templates that call templates; it ends those that call themselves.
const TEMPLATE_DEPTH_MAX: usize = 100;
/// The longest text that a template may print. Alertmanager refuses far smaller ones.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// What stands behind the function names of a template, beside those of the language itself.
pub(crate) trait Functions {
    /// Calls a function that the template was parsed with.
    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String>;
}

/// Why evaluation ended.
#[derive(Debug)]
pub(crate) struct ExecError {
    /// Where in the text, in bytes.
    pub(crate) at: usize,
    /// The template that was evaluated: the outermost, or one that it defines.
    pub(crate) template: Option<String>,
    /// The node.
    pub(crate) context: String,
    pub(crate) what: String,
}

/// Evaluates a tree over `data` and returns what it prints.
pub(crate) fn execute(tree: &Tree, data: Value, functions: &dyn Functions) -> Result<String, ExecError> {
    let mut state = State {
        tree,
        functions,
        out: String::new(),
        variables: vec![(String::new(), data.clone())],
        template: None,
        depth: 0,
    };
    let root = Rc::clone(&tree.root);
    state.list(&root, &data)?;
    Ok(state.out)
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    Through,
    Break,
    Continue,
}

struct State<'a> {
    tree: &'a Tree,
    functions: &'a dyn Functions,
    out: String,
    variables: Vec<(String, Value)>,
    template: Option<String>,
    depth: usize,
}

impl State<'_> {
    fn fail<T>(&self, at: usize, context: impl ToString, what: impl Into<String>) -> Result<T, ExecError> {
        Err(ExecError {
            at,
            template: self.template.clone(),
            context: context.to_string(),
            what: what.into(),
        })
    }

    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, ExecError> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::Through => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Through)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, ExecError> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    let _ = write!(self.out, "{value}");
                    if self.out.len() > OUTPUT_BYTES_MAX {
                        return self.fail(
                            pipe.at,
                            pipe,
                            format!("output longer than {OUTPUT_BYTES_MAX} bytes"),
                        );
                    }
                }
            }
            Node::If { pipe, then, otherwise } => return self.branch(pipe, then, otherwise, dot, false),
            Node::With { pipe, then, otherwise } => return self.branch(pipe, then, otherwise, dot, true),
            Node::Range { pipe, body, otherwise } => return self.range(pipe, body, otherwise, dot),
            Node::Template { at, name, pipe } => self.template(*at, name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Through)
    }

    fn branch(
        &mut self,
        pipe: &Pipe,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value,
        sets_dot: bool,
    ) -> Result<Flow, ExecError> {
        let visible = self.variables.len();
        let value = self.pipe(pipe, dot)?;
        let flow = match value.is_true() {
            true => self.list(then, if sets_dot { &value } else { dot }),
            false => self.list(otherwise, dot),
        };
        self.variables.truncate(visible);
        flow
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, ExecError> {
        let visible = self.variables.len();
        let value = self.pipe_value(pipe, dot)?;
        let elements: Vec<(Value, Value)> = match &value {
            Value::Nil => Vec::new(),
            Value::Samples(samples) => (0..)
                .zip(samples.iter())
                .map(|(i, sample)| (Value::Int(i), Value::Sample(Rc::new(sample.clone()))))
                .collect(),
            Value::Labels(map) => map
                .iter()
                .map(|(name, value)| (Value::str(name.as_str()), Value::str(value.as_str())))
                .collect(),
            Value::Map(map) => {
                map.iter().map(|(name, value)| (Value::str(name.as_str()), value.clone())).collect()
            }
            Value::Int(count) => {
                (0..*count.min(&(OUTPUT_BYTES_MAX as i64))).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            other => {
                return self.fail(pipe.at, pipe, format!("range can't iterate over {other}"));
            }
        };
        if elements.is_empty() {
            return self.list(otherwise, dot);
        }
        for (key, element) in elements {
            match pipe.variables.as_slice() {
                [] => {}
                [one] => self.set(pipe, one, element.clone()),
                [first, second, ..] => {
                    self.set(pipe, first, key);
                    self.set(pipe, second, element.clone());
                }
            }
            let flow = self.list(body, &element)?;
            self.variables.truncate(visible);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Through)
    }

    fn template(&mut self, at: usize, name: &str, pipe: Option<&Pipe>, dot: &Value) -> Result<(), ExecError> {
        let context = format!("{{{{template {name:?}}}}}");
        let Some(nodes) = self.tree.defined.get(name).map(Rc::clone) else {
            return self.fail(at, context, format!("template {name:?} not defined"));
        };
        if self.depth == TEMPLATE_DEPTH_MAX {
            return self.fail(at, context, format!("exceeded maximum template depth ({TEMPLATE_DEPTH_MAX})"));
        }
        let data = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Nil,
        };
        let variables = std::mem::replace(&mut self.variables, vec![(String::new(), data.clone())]);
        let template = self.template.replace(name.to_owned());
        self.depth += 1;
        self.list(&nodes, &data)?;
        self.depth -= 1;
        self.template = template;
        self.variables = variables;
        Ok(())
    }

    fn set(&mut self, pipe: &Pipe, name: &str, value: Value) {
        let existing = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match existing {
            Some((_, slot)) if pipe.assigns => *slot = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    /// Evaluates a pipeline and gives its variables the value.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ExecError> {
        let value = self.pipe_value(pipe, dot)?;
        for name in &pipe.variables {
            self.set(pipe, name, value.clone());
        }
        Ok(value)
    }

    fn pipe_value(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, ExecError> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    /// Evaluates a command; `last` is the value of the command before it in the pipeline.
    fn command(&mut self, command: &[Operand], dot: &Value, last: Option<Value>) -> Result<Value, ExecError> {
        let first = &command[0];
        let rest = &command[1..];
        if let OperandKind::Function(name) = &first.kind {
            let value = match name.as_str() {
                "and" | "or" => self.short_circuit(name == "or", first, rest, dot, last)?,
                _ => {
                    let mut args = self.args(rest, dot)?;
                    args.extend(last);
                    self.call(first.at, Command(command), name, &args)?
                }
            };
            return self.fields(first, value, &first.fields, &[]);
        }
        let mut args = self.args(rest, dot)?;
        args.extend(last);
        let value = self.base(first, dot)?;
        if first.fields.is_empty() {
            if !args.is_empty() {
                return self.fail(first.at, first, format!("can't give argument to non-function {first}"));
            }
            return Ok(value);
        }
        self.fields(first, value, &first.fields, &args)
    }

    fn args(&mut self, operands: &[Operand], dot: &Value) -> Result<Vec<Value>, ExecError> {
        operands.iter().map(|operand| self.operand(operand, dot)).collect()
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, ExecError> {
        let value = match &operand.kind {
            OperandKind::Function(name) => self.call(operand.at, operand, name, &[])?,
            _ => self.base(operand, dot)?,
        };
        self.fields(operand, value, &operand.fields, &[])
    }

    /// The value of an operand without its fields.
    fn base(&mut self, operand: &Operand, dot: &Value) -> Result<Value, ExecError> {
        Ok(match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::Nil,
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Int(value, _) => Value::Int(*value),
            OperandKind::Float(value, _) => Value::Float(*value),
            OperandKind::Str { text, .. } => Value::Str(Rc::clone(text)),
            OperandKind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                match found {
                    Some((_, value)) => value.clone(),
                    None => return self.fail(operand.at, operand, format!("undefined variable: ${name}")),
                }
            }
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot)?,
            OperandKind::Function(_) => unreachable!("functions are called, not looked up"),
        })
    }

    /// `.a.b` of a value; `args` go to the last one, which must be a method then.
    fn fields(
        &self,
        operand: &Operand,
        value: Value,
        fields: &[String],
        args: &[Value],
    ) -> Result<Value, ExecError> {
        let mut value = value;
        for (i, field) in fields.iter().enumerate() {
            let args = if i + 1 == fields.len() { args } else { &[] };
            value = match method::field(&value, field, args) {
                Ok(value) => value,
                Err(what) => return self.fail(operand.at, operand, what),
            };
        }
        Ok(value)
    }

    /// `and` ends with the first value that is false, `or` with the first that is true.
    fn short_circuit(
        &mut self,
        is_or: bool,
        function: &Operand,
        operands: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, ExecError> {
        let mut value = None;
        for operand in operands {
            let evaluated = self.operand(operand, dot)?;
            if evaluated.is_true() == is_or {
                return Ok(evaluated);
            }
            value = Some(evaluated);
        }
        match last.or(value) {
            Some(value) => Ok(value),
            None => {
                let what = format!("wrong number of args for {}: want at least 1 got 0", function.kind);
                self.fail(function.at, function, what)
            }
        }
    }

    fn call(
        &self,
        at: usize,
        context: impl ToString,
        name: &str,
        args: &[Value],
    ) -> Result<Value, ExecError> {
        let result = match builtins::call(name, args) {
            Some(result) => result,
            None => self.functions.call(name, args),
        };
        result.or_else(|what| {
            // Go checks the arguments before the call and reports what the function says as its error.
            let is_mismatch =
                what.starts_with("wrong number of args") || what.starts_with("wrong type for value");
            let what = if is_mismatch { what } else { format!("error calling {name}: {what}") };
            self.fail(at, context, what)
        })
    }
}

/// A command as Go prints it.
struct Command<'a>(&'a [Operand]);

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_command(f, self.0)
    }
}
