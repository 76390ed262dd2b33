//! One row of JSON as a mapping, with nothing changed on the way in.
//!
//! A number that is not finite, or an integer beyond 64 bits, has no value that templates could
//! print as it stands: its column is an invalid value, so that only who reads it is refused, and
//! who asks whether it is there too.

use minijinja::value::ValueKind;
use minijinja::{Error as EngineError, ErrorKind, Value};
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// A row and the names of the columns of it that are invalid.
pub struct JsonRow {
    /// The row: an object, or whatever else stands there.
    pub value: Value,
    /// Columns that hold a number which cannot be kept.
    pub left_out: Vec<LeftOut>,
}

/// A column that holds a number which cannot be kept, and what the first such number is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Name of the column.
    pub name: String,
    /// The number, in words.
    pub what: &'static str,
}

/// Parse a row. The error is serde's, without a place in the file.
pub fn parse(slice: &[u8]) -> Result<JsonRow, serde_json::Error> {
    let huge = Cell::new(false);
    match value(slice, &huge) {
        Ok(value) if !huge.get() => Ok(JsonRow { value, left_out: Vec::new() }),
        first => {
            let (text, left_out) = without_odd_numbers(slice);
            if left_out.is_empty() {
                return first.map(|value| JsonRow { value, left_out });
            }
            let whole = value(&text, &huge)?;
            let items = pairs(&whole).map(|(name, item)| {
                match left_out.iter().any(|column| column.name == name) {
                    true => (name.clone(), unusable(&name)),
                    false => (name, item),
                }
            });
            Ok(JsonRow { value: Value::from_pairs(items.collect::<Vec<_>>()), left_out })
        }
    }
}

/// What stands for a number that cannot be kept: whatever looks it up has the error of a name that
/// is not there, as `default` would else give its own value for it.
fn unusable(name: &str) -> Value {
    Value::from(EngineError::new(ErrorKind::UndefinedError, format!("`{name}` is undefined")))
}

/// The columns of a row.
fn pairs(row: &Value) -> impl Iterator<Item = (String, Value)> + '_ {
    row.try_iter().into_iter().flatten().filter_map(|key| {
        let item = row.get_item(&key).ok()?;
        Some((key.to_string(), item))
    })
}

/// The first column of a row that is invalid, if any.
pub fn invalid(row: &Value) -> Option<String> {
    pairs(row).find(|(_, item)| item.kind() == ValueKind::Invalid).map(|(name, _)| name)
}

/// A row as JSON, without the columns that have no value, which would be written as nulls.
pub fn to_json(row: &Value) -> serde_json::Result<serde_json::Value> {
    let mut json = serde_json::to_value(row)?;
    if let Some(columns) = json.as_object_mut() {
        let invalid = |name: &str| {
            row.get_item(&Value::from(name)).is_ok_and(|item| item.kind() == ValueKind::Invalid)
        };
        columns.retain(|name, value| !value.is_null() || !invalid(name));
    }
    Ok(json)
}

/// The spans of the elements of a JSON list that is all there is in `bytes`, with their lines
/// counted from 1; the first `most` of them. `None` where there is something else.
pub fn elements(bytes: &[u8], most: usize) -> Option<Vec<(usize, usize, usize)>> {
    let open = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if bytes[open] != b'[' {
        return None;
    }
    let (mut found, mut line, mut depth) = (Vec::new(), 1, 0usize);
    let mut element: Option<(usize, usize)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        line += usize::from(byte == b'\n');
        let next = if byte == b'"' { text_end(bytes, at)? } else { at + 1 };
        let ends = depth == 1 && (byte == b',' || byte == b']');
        if ends {
            match element.take() {
                Some((start, first)) => {
                    found.push((start, trimmed_end(bytes, at), first));
                    if found.len() == most {
                        return Some(found);
                    }
                }
                None if byte == b']' && found.is_empty() => {}
                None => return None,
            }
        } else if depth == 1 && element.is_none() && !byte.is_ascii_whitespace() {
            element = Some((at, line));
        }
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 && byte == b']' {
            let rest = &bytes[next..];
            return rest.trim_ascii().is_empty().then_some(found);
        }
        at = next;
    }
    None
}

/// The name of the first member of an object that is a list of objects: `data` in `{"data": [{}]}`.
pub fn inner_rows(row: &Value) -> Option<String> {
    row.try_iter().ok()?.find_map(|key| {
        let list = row.get_item(&key).ok().filter(|list| list.kind() == ValueKind::Seq)?;
        let first = list.get_item_by_index(0).ok()?;
        (first.kind() == ValueKind::Map).then(|| key.to_string())
    })
}

/// The first name that has been there before.
pub fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}

fn trimmed_end(bytes: &[u8], end: usize) -> usize {
    bytes[..end].trim_ascii_end().len()
}

/// The byte behind the text that begins with the quote at `at`.
fn text_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// The row with `null` for every number that cannot be kept, and the columns these stand in.
fn without_odd_numbers(slice: &[u8]) -> (Vec<u8>, Vec<LeftOut>) {
    let (mut out, mut found) = (Vec::with_capacity(slice.len()), Vec::<LeftOut>::new());
    let (mut at, mut depth, mut key) = (0, 0usize, 0..0);
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    while at < slice.len() {
        let byte = slice[at];
        let mut end = at + 1;
        if byte == b'"' {
            end = text_end(slice, at).unwrap_or(slice.len());
            let rest = slice[end..].trim_ascii_start();
            if depth == 1 && rest.first() == Some(&b':') {
                key = at..end;
            }
        } else if is_word(&byte) {
            end = at + slice[at..].iter().take_while(|byte| is_word(byte)).count();
            if let (true, Some(what)) = (depth > 0, odd(&slice[at..end])) {
                if let Ok(name) = serde_json::from_slice::<String>(&slice[key.clone()]) {
                    out.extend_from_slice(b"null");
                    if found.iter().all(|column| column.name != name) {
                        found.push(LeftOut { name, what });
                    }
                    at = end;
                    continue;
                }
            }
        }
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        out.extend_from_slice(&slice[at..end.min(slice.len())]);
        at = end;
    }
    (out, found)
}

/// What a word is, if it is a number that cannot be kept as it stands.
fn odd(word: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(word).ok()?;
    match text {
        "NaN" => return Some("NaN"),
        "Infinity" | "-Infinity" => return Some("an infinity"),
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let kept = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        return (!kept).then_some("an integer beyond 64 bits");
    }
    let endless = text.parse::<f64>().is_ok_and(f64::is_infinite);
    endless.then_some("a number too large for 64 bits")
}

fn value(slice: &[u8], huge: &Cell<bool>) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(slice);
    let value = Item { huge }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Deserialises a value; a key that an object repeats is an error. `huge` is set where a number
/// may be an integer beyond 64 bits.
#[derive(Clone, Copy)]
struct Item<'a> {
    huge: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Item<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        if value.abs() >= 9.0e18 {
            self.huge.set(true);
        }
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            found.push(item);
        }
        Ok(Value::from(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut found: Vec<(String, Value)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            found.push((key, entries.next_value_seed(self)?));
        }
        if let Some(name) = repeated(found.iter().map(|(key, _)| key.as_str())) {
            return Err(A::Error::custom(format!("an object repeats the key `{name}`")));
        }
        Ok(Value::from_pairs(found))
    }
}
