//! What a value weighs, paid for before the work that grows with it.
//!
//! The engine pays for what it makes and for what a filter is given, not for what it looks at:
//! comparing, finding and printing. Values may share their parts, so a list of sixty lists can be
//! larger than any memory once it is walked; every walk stops when the render cannot pay for it.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use super::arguments::refusal;
use super::OUTPUT_LIMIT;
use crate::pyjson::python_str;

/// Deepest nesting of a value.
pub(crate) const DEEPEST: usize = 200;

/// Bytes that one unit of the engine's fuel pays for.
pub(crate) const UNIT: usize = 64;

/// Bytes that a place in a list counts for.
const SLOT: usize = 64;

/// Pays for walking through a value and all its texts; says how many units that were.
pub(crate) fn weigh(state: &State, value: &Value) -> Result<u64, Error> {
    walk(state, value, true)
}

/// Pays for walking through a value that is no text.
pub(crate) fn weigh_nested(state: &State, value: &Value) -> Result<u64, Error> {
    match value.as_str() {
        Some(_) => Ok(0),
        None => weigh(state, value),
    }
}

/// `str(value)`, paid for before it is written.
pub(crate) fn printed(state: &State, value: &Value) -> Result<String, Error> {
    weigh_nested(state, value)?;
    let text = python_str(value);
    match text.len() > OUTPUT_LIMIT {
        true => Err(refusal(format!("the text is longer than `{}` MiB", OUTPUT_LIMIT >> 20))),
        false => Ok(text),
    }
}

/// Pays for the letters of a text, and nothing for another value.
pub(crate) fn weigh_letters(state: &State, value: &Value) -> Result<u64, Error> {
    match value.as_str() {
        Some(_) => weigh(state, value),
        None => Ok(0),
    }
}

/// Pays for the keys of a mapping, which were hashed.
pub(crate) fn weigh_keys(state: &State, value: &Value) -> Result<u64, Error> {
    let keys = value.try_iter()?;
    let bytes: usize = keys.map(|key| key.as_str().map_or(0, str::len)).sum();
    let units = (bytes / UNIT) as u64;
    state.consume_fuel(units).map(|()| units)
}

/// Pays for putting the parts of a value into order.
pub(crate) fn weigh_sorting(state: &State, value: &Value) -> Result<(), Error> {
    let units = weigh(state, value)?;
    let rounds = u64::from(usize::BITS - value.len().unwrap_or(0).leading_zeros());
    state.consume_fuel(units.saturating_mul(rounds))
}

/// Refuses a value that is nested too deeply to be kept.
pub(crate) fn measure(state: &State, value: &Value) -> Result<u64, Error> {
    walk(state, value, false)
}

/// Refuses a value that a namespace cannot hold: one that is nested too deeply, or itself.
pub(crate) fn measure_attribute(state: &State, value: &Value) -> Result<u64, Error> {
    let units = walk(state, value, false)?;
    match holds_namespace(value) {
        true => Err(refusal("a namespace cannot be kept inside of a namespace")),
        false => Ok(units),
    }
}

fn walk(state: &State, value: &Value, texts: bool) -> Result<u64, Error> {
    let mut walk = Walk { state, texts, paid: 0, owed: 0 };
    walk.visit(value, 0)?;
    walk.pay()?;
    Ok(walk.paid)
}

struct Walk<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    texts: bool,
    paid: u64,
    owed: usize,
}

impl Walk<'_, '_, '_> {
    fn visit(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if let Some(text) = value.as_str() {
            return self.owe(if self.texts { text.len() } else { 0 });
        }
        if !is_container(value) {
            return Ok(());
        }
        if depth >= DEEPEST {
            return Err(refusal(format!("a value is nested more than `{DEEPEST}` deep")));
        }
        let slot = if self.texts { SLOT } else { SLOT / 2 };
        for item in value.try_iter()?.checked() {
            let item = item?;
            self.owe(slot)?;
            self.visit(&item, depth + 1)?;
            if value.kind() == ValueKind::Map {
                self.visit(&value.get_item(&item)?, depth + 1)?;
            }
        }
        Ok(())
    }

    fn owe(&mut self, bytes: usize) -> Result<(), Error> {
        self.owed += bytes;
        if self.owed < 1 << 16 {
            return Ok(());
        }
        self.pay()
    }

    fn pay(&mut self) -> Result<(), Error> {
        let units = (self.owed / UNIT) as u64;
        self.owed %= UNIT;
        self.paid += units;
        self.state.consume_fuel(units)
    }
}

fn holds_namespace(value: &Value) -> bool {
    if !is_container(value) {
        return false;
    }
    if value.as_object().is_some_and(|object| object.type_name().ends_with("::Namespace")) {
        return true;
    }
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Map => items().any(|key| {
            holds_namespace(&key) || value.get_item(&key).is_ok_and(|item| holds_namespace(&item))
        }),
        _ => items().any(|item| holds_namespace(&item)),
    }
}

/// Lists, mappings and sequences of a known length; a lazy one is not walked.
fn is_container(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Seq | ValueKind::Map => true,
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    }
}
