//! `int` and `float`: what Python reads as a number, else a default.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};

use crate::pyjson::as_float;
use crate::template::arguments::{refusal, Arguments};
use crate::template::strings::stripped;

/// `int(value, default=0, base=10)`.
pub(super) fn int(state: &State, args: &Arguments) -> Result<Value, Error> {
    let value = args.defined(state)?;
    let base = args.some_count(2)?.unwrap_or(10);
    let read = match value.kind() {
        ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(value.clone()),
        ValueKind::Number => as_float(value).map(truncated).transpose()?.flatten(),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            match whole(text, base)? {
                Some(number) => Some(number),
                None => decimal(text).map(truncated).transpose()?.flatten(),
            }
        }
        _ => None,
    };
    Ok(read.unwrap_or_else(|| args.given(1).cloned().unwrap_or(Value::from(0))))
}

/// `float(value, default=0.0)`.
pub(super) fn float(state: &State, args: &Arguments) -> Result<Value, Error> {
    let value = args.defined(state)?;
    let read = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => decimal(value.as_str().unwrap_or_default()),
        _ => None,
    };
    Ok(match read {
        Some(number) => Value::from(number),
        None => args.given(1).cloned().unwrap_or(Value::from(0.0)),
    })
}

/// `int(text, base)`; `None` if the text is no whole number.
fn whole(text: &str, base: i64) -> Result<Option<Value>, Error> {
    let radix = u32::try_from(base)
        .ok()
        .filter(|radix| (2..=36).contains(radix))
        .ok_or_else(|| refusal(format!("`{base}` is not a base of numbers")))?;
    let text = stripped(text);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match radix {
        16 => "0x",
        8 => "0o",
        2 => "0b",
        _ => "",
    };
    let marked = !prefix.is_empty()
        && digits.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let digits = if marked { &digits[2..] } else { digits };
    let Some(plain) = without_underscores(digits) else { return Ok(None) };
    if plain.is_empty() || !plain.chars().all(|digit| digit.is_digit(radix)) {
        return Ok(None);
    }
    i128::from_str_radix(&format!("{sign}{plain}"), radix)
        .map(|number| Some(small(number)))
        .map_err(|_| refusal(format!("`{text}` is too large a number")))
}

/// `float(text)`; `None` if the text is no number.
fn decimal(text: &str) -> Option<f64> {
    let plain = without_underscores(stripped(text))?;
    if plain.ends_with(['x', 'X']) || plain.starts_with("0x") {
        return None;
    }
    plain.parse().ok()
}

/// The text without underscores, which Python allows between two digits only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('_') {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        if at == 0 || !digit(at - 1) || !digit(at + 1) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// `int(number)`; `None` for what is not finite.
fn truncated(number: f64) -> Result<Option<Value>, Error> {
    if !number.is_finite() {
        return Ok(None);
    }
    if number.abs() >= 1.7e38 {
        return Err(refusal(format!("`{number}` is too large a number")));
    }
    Ok(Some(small(number.trunc() as i128)))
}

fn small(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}
