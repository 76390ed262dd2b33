//! The Jinja environment of prompt templates, and what it shares with chat templates.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, Value};

use super::{filters, methods, program, weight};
/// Work one render may do, in the engine's unit: an instruction, or 64 bytes of data.
pub(crate) const FUEL: u64 = 4_000_000;

/// The environment of prompt templates: `jinja2.Environment(undefined=StrictUndefined,
/// keep_trailing_newline=True)` with the filter `regex_replace`.
pub(crate) fn tasks() -> &'static Environment<'static> {
    static TASKS: OnceLock<Environment<'static>> = OnceLock::new();
    TASKS.get_or_init(|| {
        let mut environment = pythonic();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(syntax(false, true));
        filters::register_tasks(&mut environment);
        environment
    })
}

/// Whether a name belongs to the environment of prompt templates rather than to the row.
pub(crate) fn is_global(name: &str) -> bool {
    tasks().globals().any(|(global, _)| global == name)
}

/// An environment with Python's printing, methods and filters, and the limits of a render.
pub(crate) fn pythonic() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_debug(true);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(print);
    environment.set_unknown_method_callback(methods::call);
    environment.remove_global("debug");
    filters::register(&mut environment);
    program::register(&mut environment);
    environment
}

/// Default delimiters with Jinja2's whitespace options.
pub(crate) fn syntax(trim: bool, keep_trailing_newline: bool) -> SyntaxConfig {
    SyntaxConfig::builder()
        .trim_blocks(trim)
        .lstrip_blocks(trim)
        .keep_trailing_newline(keep_trailing_newline)
        .build()
        .expect("the default delimiters are valid")
}

fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::None) {
        return minijinja::escape_formatter(out, state, value);
    }
    let printed = match value.as_str() {
        Some(text) => {
            program::pay_printing(state, text.len())?;
            out.write_str(text)
        }
        None => {
            let text = weight::printed(state, value)?;
            program::pay_printing(state, text.len())?;
            out.write_str(&text)
        }
    };
    printed.map_err(Error::from)
}
