//! Prompt templates: Jinja2 as Python evaluation harnesses use it, compiled once, rendered often.
//!
//! Undefined names are faults, values print as Python prints them, and a render can neither run
//! forever nor grow without bound nor see a clock, a file or the environment.

pub(crate) mod arguments;
pub(crate) mod engine;
mod fault;
pub(crate) mod filters;
pub(crate) mod methods;
pub(crate) mod nesting;
pub(crate) mod program;
mod regexes;
pub(crate) mod scan;
pub(crate) mod source;
pub(crate) mod strings;
mod variables;
mod vocabulary;
pub(crate) mod weight;

use std::ops::Range;

use minijinja::value::ValueKind;
use minijinja::Value;

pub use fault::TemplateFault;
pub use variables::Variable;

use crate::pyjson::python_str;
use program::Program;
use scan::{Piece, PieceKind};
use source::Source;

/// Longest text that one render may produce, in bytes.
pub const OUTPUT_LIMIT: usize = 16 << 20;

/// Name under which the engine knows a template.
const NAME: &str = "template";

/// A compiled template; cheap to render from many threads.
pub struct Template {
    source: Source,
    variables: Vec<Variable>,
    program: Option<Program>,
    expression: Option<(Program, usize)>,
    shape: Shape,
}

/// How much of the engine a render needs.
enum Shape {
    /// The same text for every row.
    Constant(String),
    /// Text and plain `{{ name }}` only.
    Plain(Vec<Part>),
    /// Anything else.
    Full,
}

enum Part {
    Text(Range<usize>),
    Name(Range<usize>),
}

impl Template {
    /// Compiles a template.
    pub fn compile(source: &str) -> Result<Self, TemplateFault> {
        let source = Source::new(source);
        let text = source.text();
        let syntax = engine::tasks().syntax();
        nesting::check(&source, syntax.clone(), false)?;
        let mut environment = engine::tasks().clone();
        let engine_fault = |error| source.engine_fault(&error, 0);
        environment.add_template_owned(NAME, text.to_string()).map_err(engine_fault)?;
        let pieces = scan::pieces(text);
        vocabulary::check(engine::tasks(), &source, &pieces)?;
        let undeclared =
            environment.get_template(NAME).map_err(engine_fault)?.undeclared_variables(false);
        let expression = scan::sole_expression(text, &pieces).and_then(|range| {
            let compiled = Program::expression(&text[range.clone()]).ok()?;
            Some((compiled, range.start))
        });
        let variables = variables::variables(&source, &pieces, &undeclared);
        let parts = plain_parts(text, &pieces);
        let literal = pieces.iter().all(|piece| piece.kind == PieceKind::Text);
        let program = match literal {
            true => None,
            false => Some(Program::template(NAME, text, syntax.clone()).map_err(engine_fault)?),
        };
        let shape = if literal { Shape::Constant(text.to_string()) } else { Shape::Full };
        let mut template = Template { source, variables, program, expression, shape };
        template.shape = match undeclared.is_empty() {
            true if literal => return Ok(template),
            true => template.full(&Value::UNDEFINED).map_or(Shape::Full, Shape::Constant),
            false => parts.map_or(Shape::Full, Shape::Plain),
        };
        Ok(template)
    }

    /// The text of the template under a mapping of names to values.
    pub fn render(&self, ctx: &Value) -> Result<String, TemplateFault> {
        match &self.shape {
            Shape::Constant(text) => Ok(text.clone()),
            Shape::Plain(parts) => match self.plain(parts, ctx) {
                Some(text) => Ok(text),
                None => self.full(ctx),
            },
            Shape::Full => self.full(ctx),
        }
    }

    /// The value of the template if it is exactly one `{{ expression }}`, else its text.
    ///
    /// Lazy sequences come back as lists.
    pub fn eval(&self, ctx: &Value) -> Result<Value, TemplateFault> {
        let Some((expression, offset)) = &self.expression else {
            return self.render(ctx).map(Value::from);
        };
        if let Shape::Plain(parts) = &self.shape {
            if let Some(value) = self.plain_value(parts, ctx) {
                return Ok(value);
            }
        }
        let value = expression
            .run(engine::tasks(), ctx)
            .map_err(|error| self.source.engine_fault(&error, *offset))?
            .1
            .unwrap_or_default();
        match value.kind() {
            ValueKind::Undefined => match self.full(ctx) {
                Err(fault) => Err(fault),
                Ok(_) => Err(TemplateFault::new("the expression is undefined")),
            },
            ValueKind::Iterable => {
                collect(&value).map_err(|error| self.source.engine_fault(&error, *offset))
            }
            _ => Ok(value),
        }
    }

    /// Whether the text shows a null: that is all there is to print, or one of the bare names.
    pub fn shows_null(&self, ctx: &Value, text: &str) -> bool {
        if !text.contains("None") {
            return false;
        }
        let null = |value: Option<Value>| value.is_some_and(|value| value.is_none());
        match &self.shape {
            Shape::Constant(_) => false,
            Shape::Plain(parts) => parts.iter().any(|part| match part {
                Part::Name(range) => null(lookup(ctx, &self.source.text()[range.clone()])),
                Part::Text(_) => false,
            }),
            Shape::Full => self.expression.is_some() && null(self.eval(ctx).ok()),
        }
    }

    /// Whether its one expression does more than name something: an operator, a filter, a call.
    pub fn computes(&self) -> bool {
        let text = self.source.text();
        let pieces = scan::pieces(text);
        scan::sole_expression(text, &pieces).is_some_and(|range| {
            scan::tokens(text, range).iter().any(|token| {
                token.kind == scan::TokenKind::Operator
                    && !matches!(&text[token.span.clone()], "." | "[" | "]")
            })
        })
    }

    /// Names the template takes from its row, in order of first use.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Whether every row gives the same text.
    pub fn is_constant(&self) -> bool {
        matches!(self.shape, Shape::Constant(_))
    }

    /// The text the template was compiled from.
    pub fn source(&self) -> &str {
        self.source.given()
    }

    fn full(&self, ctx: &Value) -> Result<String, TemplateFault> {
        let Some(program) = &self.program else {
            return Ok(self.source.text().to_string());
        };
        let printed = program.run(engine::tasks(), ctx);
        within_limit(printed.map_err(|error| self.source.engine_fault(&error, 0))?.0)
    }

    /// The text, or `None` where the engine has to look (and to word the fault).
    fn plain(&self, parts: &[Part], ctx: &Value) -> Option<String> {
        let text = self.source.text();
        let mut out = String::with_capacity(text.len() * 2);
        for part in parts {
            match part {
                Part::Text(range) => out.push_str(&text[range.clone()]),
                Part::Name(range) => {
                    let value = lookup(ctx, &text[range.clone()])?;
                    match value.as_str() {
                        Some(given) => out.push_str(given),
                        None => out.push_str(&python_str(&value)),
                    }
                }
            }
        }
        within_limit(out).ok()
    }

    fn plain_value(&self, parts: &[Part], ctx: &Value) -> Option<Value> {
        parts.iter().find_map(|part| match part {
            Part::Name(range) => lookup(ctx, &self.source.text()[range.clone()]),
            Part::Text(_) => None,
        })
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.source.given()).finish()
    }
}

/// The fault of a template's text, if any. Names are not checked.
pub fn fault(source: &str) -> Option<TemplateFault> {
    Template::compile(source).err()
}

/// Renders a template with one row given as a JSON object.
pub fn render_row(source: &str, row_json: &str) -> Result<String, TemplateFault> {
    let row: Value = serde_json::from_str(row_json)
        .map_err(|error| TemplateFault::new(format!("the row is not JSON: {error}")))?;
    Template::compile(source)?.render(&row)
}

pub(crate) fn within_limit(text: String) -> Result<String, TemplateFault> {
    if text.len() > OUTPUT_LIMIT {
        let limit = OUTPUT_LIMIT >> 20;
        return Err(TemplateFault::new(format!("the text is longer than `{limit}` MiB")));
    }
    Ok(text)
}

fn lookup(ctx: &Value, name: &str) -> Option<Value> {
    ctx.get_attr(name).ok().filter(|value| {
        !matches!(value.kind(), ValueKind::Undefined | ValueKind::Invalid | ValueKind::Iterable)
    })
}

fn collect(value: &Value) -> Result<Value, minijinja::Error> {
    let items: Result<Vec<Value>, _> = value.try_iter()?.checked().collect();
    items.map(Value::from)
}

/// Text and bare names, if the template is nothing else.
fn plain_parts(source: &str, pieces: &[Piece]) -> Option<Vec<Part>> {
    pieces
        .iter()
        .map(|piece| match piece.kind {
            PieceKind::Text => Some(Part::Text(piece.outer.clone())),
            PieceKind::Expression if !piece.trims() => {
                match scan::tokens(source, piece.inner.clone()).as_slice() {
                    [word] if word.kind == scan::TokenKind::Name => {
                        Some(Part::Name(word.span.clone()))
                    }
                    _ => None,
                }
            }
            _ => None,
        })
        .collect()
}
