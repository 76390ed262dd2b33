//! What is wrong with a template, and where.

use minijinja::{Error, ErrorKind};

/// A fault of a template: of its text, or of rendering it with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFault {
    /// One lower-case sentence, values in backticks.
    pub message: String,
    /// Bytes in the template.
    pub span: Option<(usize, usize)>,
    /// Line in the template, from 1.
    pub line: Option<usize>,
    /// The name or attribute that is undefined, e.g. `question` or `doc.answers`.
    pub missing: Option<String>,
}

impl TemplateFault {
    /// A fault without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        TemplateFault { message: message.into(), span: None, line: None, missing: None }
    }

    /// The fault of a row that lacks a name.
    pub(crate) fn missing(name: &str, span: (usize, usize)) -> Self {
        let message = format!("`{name}` is undefined");
        TemplateFault { message, span: Some(span), line: None, missing: Some(name.to_string()) }
    }

    /// The engine's error, and the byte range it names.
    pub(crate) fn from_engine(error: &Error) -> (Self, Option<(usize, usize)>) {
        let origin = innermost(error);
        let missing = undefined_name(origin);
        let message = match (&missing, origin.kind()) {
            (Some(name), _) => format!("`{name}` is undefined"),
            (None, ErrorKind::OutOfFuel) => "the template does too much work".to_string(),
            (None, kind) => sentence(origin.detail(), kind),
        };
        let fault = TemplateFault { message, span: None, line: origin.line(), missing };
        (fault, origin.range().map(|range| (range.start, range.end)))
    }
}

impl std::fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (line {line})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for TemplateFault {}

fn innermost(error: &Error) -> &Error {
    let mut found = error;
    while let Some(source) = std::error::Error::source(found) {
        match source.downcast_ref::<Error>() {
            Some(inner) if inner.range().is_some() || found.range().is_none() => found = inner,
            _ => break,
        }
    }
    found
}

/// The expression in the engine's "`doc.text` is undefined" or "f is unknown".
fn undefined_name(error: &Error) -> Option<String> {
    let detail = error.detail()?;
    if error.kind() == ErrorKind::UnknownFunction {
        return detail.strip_suffix(" is unknown").map(str::to_string);
    }
    let end = detail.find("` is undefined")?;
    let start = detail[..end].rfind('`')? + 1;
    Some(detail[start..end].to_string())
}

fn sentence(detail: Option<&str>, kind: ErrorKind) -> String {
    let Some(detail) = detail else { return kind.to_string() };
    match kind {
        ErrorKind::SyntaxError => format!("template syntax: {detail}"),
        ErrorKind::MissingArgument | ErrorKind::TooManyArguments => format!("{kind}: {detail}"),
        _ => detail.to_string(),
    }
}
