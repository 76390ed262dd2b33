//! Python's methods of texts, lists, dictionaries and numbers.

use minijinja::value::{Enumerator, Object, ObjectRepr, Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};
use std::fmt;
use std::sync::Arc;

use super::arguments::{pay, refusal, Arguments};
use super::strings;
use super::weight::{weigh, weigh_letters};
use crate::pyjson::{as_float, python_repr};

/// Bytes that a key and a value of a dictionary's view count for.
const ITEM: usize = 64;

/// Methods that change a value in place, which template values do not allow.
const MUTATORS: [&str; 10] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "setdefault",
    "sort",
    "update",
];

/// The engine's callback for a method it does not know.
pub(crate) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => strings::call(state, value, method, args),
        ValueKind::Map => map_method(state, value, method, args),
        ValueKind::Seq => list_method(state, value, method, args),
        ValueKind::Iterable if value.len().is_some() => list_method(state, value, method, args),
        ValueKind::Number => number_method(value, method, args),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// What `dict.keys()`, `dict.values()` and `dict.items()` give.
#[derive(Debug)]
struct View {
    name: &'static str,
    items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, python_repr(&Value::from(self.items.clone())))
    }
}

/// The text of a dictionary view, which is not that of a list.
pub(crate) fn view_text(value: &Value) -> Option<String> {
    value.downcast_object_ref::<View>().map(|_| value.to_string())
}

fn map_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if method != "get" {
        pay(state, value.len().unwrap_or(0).saturating_mul(ITEM))?;
    }
    let item = |key: &Value| value.get_item(key).unwrap_or_default();
    let keys = || value.try_iter().map(Iterator::collect::<Vec<Value>>);
    let view = |name: &'static str, items: Vec<Value>| {
        Arguments::bind(name, &[], args).map(|_| Value::from_object(View { name, items }))
    };
    match method {
        "keys" => view("dict_keys", keys()?),
        "values" => view("dict_values", keys()?.iter().map(item).collect()),
        "items" => {
            let pair = |key: Value| Value::from(Tuple::from([key.clone(), item(&key)]));
            view("dict_items", keys()?.into_iter().map(pair).collect())
        }
        "copy" => Ok(value.clone()),
        "get" => {
            let args = Arguments::bind("get", &["key", "default"], args)?;
            weigh_letters(state, args.value(0)?)?;
            let found = value.get_item(args.value(0)?).unwrap_or_default();
            let fallback = args.given(1).cloned().unwrap_or(Value::from(()));
            Ok(if found.is_undefined() { fallback } else { found })
        }
        _ => Err(unknown(value, method)),
    }
}

fn list_method(state: &State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    if method != "copy" {
        weigh(state, value)?;
    }
    match method {
        "index" => {
            let args = Arguments::bind("index", &["value", "start", "end"], args)?;
            let wanted = args.value(0)?;
            let length = value.len().unwrap_or(0) as i64;
            let place = |at: i64| if at < 0 { (at + length).max(0) } else { at } as usize;
            let start = place(args.some_count(1)?.unwrap_or(0));
            let end = place(args.some_count(2)?.unwrap_or(length));
            let mut items = value.try_iter()?.enumerate().take(end).skip(start);
            match items.find(|(_, item)| item == wanted) {
                Some((position, _)) => Ok(Value::from(position)),
                None => Err(refusal(format!("{} is not in the list", python_repr(wanted)))),
            }
        }
        "count" => {
            let args = Arguments::bind("count", &["value"], args)?;
            let wanted = args.value(0)?;
            Ok(Value::from(value.try_iter()?.filter(|item| item == wanted).count()))
        }
        "copy" => Ok(value.clone()),
        _ => Err(unknown(value, method)),
    }
}

fn number_method(value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    match (method, as_float(value)) {
        ("is_integer", Some(number)) => {
            Arguments::bind("is_integer", &[], args)?;
            Ok(Value::from(number.fract() == 0.0))
        }
        ("is_integer", None) => Ok(Value::from(true)),
        _ => Err(unknown(value, method)),
    }
}

/// A method the value does not have; unlike `UnknownMethod` alone, says so about mutators.
fn unknown(value: &Value, method: &str) -> Error {
    let item = value.as_object().and_then(|object| object.get_value(&Value::from(method)));
    if item.is_none() && MUTATORS.contains(&method) {
        return refusal(format!("`{method}` would change a value; values of a template are fixed"));
    }
    Error::from(ErrorKind::UnknownMethod)
}
