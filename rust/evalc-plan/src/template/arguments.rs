//! Arguments of filters and methods, bound to names as Python binds them.

use minijinja::value::{Kwargs, StringInput};
use minijinja::{Error, ErrorKind, State, Value};

use super::weight;

/// The arguments of one call; parameters that were not given are `None`.
pub(crate) struct Arguments {
    callee: &'static str,
    names: &'static [&'static str],
    values: Vec<Option<Value>>,
}

/// An error of a filter or a method.
pub(crate) fn refusal(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

impl Arguments {
    /// Binds positional and keyword arguments to the parameters `names`.
    pub fn bind(
        callee: &'static str,
        names: &'static [&'static str],
        args: &[Value],
    ) -> Result<Self, Error> {
        let (positional, named) = match args.last() {
            Some(last) if last.is_kwargs() => {
                (&args[..args.len() - 1], Some(Kwargs::try_from(last.clone())?))
            }
            _ => (args, None),
        };
        if positional.len() > names.len() {
            return Err(refusal(format!("`{callee}` takes at most {} arguments", names.len())));
        }
        let mut values: Vec<Option<Value>> = positional.iter().cloned().map(Some).collect();
        values.resize(names.len(), None);
        if let Some(named) = named {
            for name in named.args() {
                let Some(slot) = names.iter().position(|known| *known == name) else {
                    return Err(refusal(format!("`{callee}` has no argument `{name}`")));
                };
                if values[slot].is_some() {
                    return Err(refusal(format!("`{callee}` got `{name}` twice")));
                }
                values[slot] = Some(named.peek(name)?);
            }
        }
        Ok(Arguments { callee, names, values })
    }

    /// An argument, if it was given.
    pub fn given(&self, slot: usize) -> Option<&Value> {
        self.values.get(slot).and_then(Option::as_ref)
    }

    /// An argument that is given and not `None`.
    pub fn some(&self, slot: usize) -> Option<&Value> {
        self.given(slot).filter(|value| !value.is_none())
    }

    /// A required argument.
    pub fn value(&self, slot: usize) -> Result<&Value, Error> {
        self.given(slot)
            .ok_or_else(|| refusal(format!("`{}` needs `{}`", self.callee, self.names[slot])))
    }

    /// A required text.
    pub fn text(&self, slot: usize) -> Result<&str, Error> {
        self.value(slot)?.as_str().ok_or_else(|| self.wrong(slot, "a text"))
    }

    /// A text, if it was given and is not `None`.
    pub fn some_text(&self, slot: usize) -> Result<Option<&str>, Error> {
        self.some(slot)
            .map(|value| value.as_str().ok_or_else(|| self.wrong(slot, "a text")))
            .transpose()
    }

    /// A whole number, if it was given and is not `None`.
    pub fn some_count(&self, slot: usize) -> Result<Option<i64>, Error> {
        self.some(slot)
            .map(|value| value.as_i64().ok_or_else(|| self.wrong(slot, "a whole number")))
            .transpose()
    }

    /// The truth of an argument, `false` when it was not given.
    pub fn flag(&self, slot: usize) -> bool {
        self.given(slot).is_some_and(Value::is_true)
    }

    /// `str()` of the value a filter is applied to; undefined is an error where that is strict.
    pub fn subject(&self, state: &State) -> Result<String, Error> {
        weight::printed(state, self.defined(state)?)
    }

    /// The value a filter is applied to; undefined is an error where that is strict.
    pub fn defined(&self, state: &State) -> Result<&Value, Error> {
        let value = self.value(0)?;
        if value.is_undefined() {
            StringInput::new(state, value)?;
        }
        Ok(value)
    }

    fn wrong(&self, slot: usize, wanted: &str) -> Error {
        refusal(format!("`{}` of `{}` is not {wanted}", self.names[slot], self.callee))
    }
}

/// Pays for data of `bytes` before it is made.
pub(crate) fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / 64) as u64)
}
