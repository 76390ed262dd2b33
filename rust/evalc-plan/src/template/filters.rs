//! Filters, tests and functions whose Jinja2 behaviour differs from the engine's.

pub(crate) mod heavy;
mod markup;
mod numbers;
mod wording;

use minijinja::value::{Rest, StringInput, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::arguments::{pay, refusal, Arguments};
use super::{regexes, weight};
use crate::pyjson::{dumps, python_str, JsonStyle};

type Filter = fn(&State, &Arguments) -> Result<Value, Error>;
type Entry = (&'static str, &'static [&'static str], Filter);

const EVERYWHERE: [Entry; 15] = [
    ("default", &["value", "default_value", "boolean"], default),
    ("d", &["value", "default_value", "boolean"], default),
    ("string", &["value"], string),
    ("trim", &["value", "chars"], trim),
    ("join", &["value", "d", "attribute"], join),
    ("int", &["value", "default", "base"], numbers::int),
    ("float", &["value", "default"], numbers::float),
    ("escape", &["value"], markup::escape),
    ("e", &["value"], markup::escape),
    ("forceescape", &["value"], markup::force_escape),
    ("striptags", &["value"], markup::strip_tags),
    ("indent", &["s", "width", "first", "blank"], wording::indent),
    ("truncate", &["s", "length", "killwords", "end", "leeway"], wording::truncate),
    ("wordcount", &["s"], wording::word_count),
    ("center", &["value", "width"], wording::center),
];

const TASKS: [Entry; 2] = [
    ("regex_replace", &["string", "pattern", "repl", "count"], regex_replace),
    ("tojson", &["value", "indent"], to_json),
];

/// Filters, tests and functions of every environment.
pub(crate) fn register(environment: &mut Environment<'static>) {
    add(environment, &EVERYWHERE);
    heavy::register(environment);
    environment.remove_filter("pprint");
    environment.remove_filter("attr");
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
            || (value.kind() == ValueKind::Iterable && value.len().is_some())
    });
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
    environment.add_test("iterable", |state: &State, value: &Value| -> Result<bool, Error> {
        if value.is_undefined() {
            StringInput::new(state, value)?;
        }
        Ok(!value.is_none() && value.try_iter().is_ok())
    });
    environment.add_function("dict", dict);
    environment
        .add_function("cycler", |items: Rest<Value>| minijinja_contrib::globals::cycler(items.0));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
}

/// Filters of prompt templates only.
pub(crate) fn register_tasks(environment: &mut Environment<'static>) {
    add(environment, &TASKS);
}

fn add(environment: &mut Environment<'static>, entries: &[Entry]) {
    for &(name, parameters, filter) in entries {
        environment.add_filter(name, move |state: &State, args: Rest<ValueOrKwargs>| {
            filter(state, &Arguments::bind(name, parameters, &args.into_values())?)
        });
    }
}

fn default(_state: &State, args: &Arguments) -> Result<Value, Error> {
    let value = args.value(0)?;
    if value.is_undefined() || (args.flag(2) && !value.is_true()) {
        return Ok(args.given(1).cloned().unwrap_or_else(|| Value::from("")));
    }
    Ok(value.clone())
}

fn string(state: &State, args: &Arguments) -> Result<Value, Error> {
    let value = args.defined(state)?;
    if value.is_safe() {
        return Ok(value.clone());
    }
    weight::printed(state, value).map(Value::from)
}

fn trim(state: &State, args: &Arguments) -> Result<Value, Error> {
    let text = args.subject(state)?;
    Ok(Value::from(match args.some_text(1)? {
        Some(chars) => text.trim_matches(|letter| chars.contains(letter)),
        None => super::strings::stripped(&text),
    }))
}

fn join(state: &State, args: &Arguments) -> Result<Value, Error> {
    if let Some(undefined) = args.given(1).filter(|given| given.is_undefined()) {
        StringInput::new(state, undefined)?;
    }
    let separator = args.given(1).map(python_str).unwrap_or_default();
    let attribute = args.some(2);
    let mut out = String::new();
    if args.value(0)?.is_none() {
        return Err(refusal("`join` takes a sequence, not none"));
    }
    for (position, item) in args.defined(state)?.try_iter()?.checked().enumerate() {
        let item = match attribute {
            Some(path) => attribute_of(&item?, path)?,
            None => item?,
        };
        if position > 0 {
            pay(state, separator.len())?;
            out.push_str(&separator);
        }
        if item.is_undefined() {
            StringInput::new(state, &item)?;
        }
        match item.as_str() {
            Some(text) => {
                pay(state, text.len())?;
                out.push_str(text);
            }
            None => out.push_str(&weight::printed(state, &item)?),
        }
    }
    Ok(Value::from(out))
}

/// The attribute at a dotted path, or the item at a position.
fn attribute_of(item: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return item.get_item(path) };
    path.split('.').try_fold(item.clone(), |value, part| match part.parse::<usize>() {
        Ok(position) => value.get_item_by_index(position),
        Err(_) => value.get_attr(part),
    })
}

fn regex_replace(state: &State, args: &Arguments) -> Result<Value, Error> {
    let text = args.subject(state)?;
    let (pattern, replacement) = (args.text(1)?, args.text(2)?);
    let count = usize::try_from(args.some_count(3)?.unwrap_or(0)).unwrap_or(0);
    pay(state, text.len().saturating_mul(replacement.len() + 1))?;
    state.consume_fuel(regexes::COMPILING)?;
    regexes::substitute(&text, pattern, replacement, count).map(Value::from)
}

/// Jinja2's own `tojson`: sorted keys, ASCII, and nothing that HTML would read.
fn to_json(state: &State, args: &Arguments) -> Result<Value, Error> {
    let indent = args.some(1).map(indentation).transpose()?;
    let style = JsonStyle { indent, sort_keys: true, ..JsonStyle::default() };
    let value = args.defined(state)?;
    weight::weigh(state, value)?;
    let text = dumps(value, &style).map_err(refusal)?;
    let text = text
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\'', "\\u0027");
    Ok(Value::from_safe_string(text))
}

/// Python's `indent`: a text, or a count of spaces.
pub(crate) fn indentation(indent: &Value) -> Result<String, Error> {
    match (indent.as_str(), indent.as_i64()) {
        (Some(text), _) => Ok(text.to_string()),
        (None, Some(count)) if count < 256 => Ok(" ".repeat(usize::try_from(count).unwrap_or(0))),
        _ => Err(refusal("`indent` is neither a text nor a small number")),
    }
}

/// `dict(...)` of a mapping or of pairs, then keyword arguments.
fn dict(state: &State, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    for given in args.into_values() {
        weight::weigh(state, &given)?;
        for item in given.try_iter()? {
            let pair = match given.kind() {
                ValueKind::Map => (item.clone(), given.get_item(&item)?),
                _ => (item.get_item_by_index(0)?, item.get_item_by_index(1)?),
            };
            pairs.push(pair);
        }
    }
    Ok(Value::from_pairs(pairs))
}
