//! Python's text forms of values: `str()`, `repr()` and `json.dumps()`.
//!
//! Prompts are compared byte for byte with those of Python harnesses, so numbers, quotes and
//! escapes follow CPython, not Rust.

use std::fmt::Write;
use std::sync::OnceLock;

use minijinja::value::ValueKind;
use minijinja::Value;
use regex::Regex;

use crate::template::methods::view_text;
use crate::template::OUTPUT_LIMIT;

/// Deepest nesting that is written; deeper values are an error, not a stack overflow.
const MAX_DEPTH: usize = 200;

/// Options of `json.dumps`, with Python's names and defaults.
#[derive(Clone, Debug)]
pub struct JsonStyle {
    /// Text that one level of nesting is indented by; `None` keeps everything on one line.
    pub indent: Option<String>,
    /// Item and key separators; `None` is Python's choice (`", "` or, with indent, `","`; `": "`).
    pub separators: Option<(String, String)>,
    /// Write everything outside printable ASCII as `\uXXXX`.
    pub ensure_ascii: bool,
    /// Order the keys of every mapping.
    pub sort_keys: bool,
}

impl Default for JsonStyle {
    fn default() -> Self {
        JsonStyle { indent: None, separators: None, ensure_ascii: true, sort_keys: false }
    }
}

/// The text of `json.dumps(value)` under `style`.
///
/// Fails, as Python does, on values that JSON cannot hold (undefined, objects, odd keys).
pub fn dumps(value: &Value, style: &JsonStyle) -> Result<String, String> {
    let (item, key) = match (&style.separators, &style.indent) {
        (Some((item, key)), _) => (item.as_str(), key.as_str()),
        (None, Some(_)) => (",", ": "),
        (None, None) => (", ", ": "),
    };
    let mut writer = JsonWriter { out: String::new(), style, item, key };
    writer.value(value, 0)?;
    Ok(writer.out)
}

/// Python's `str(value)`: strings as they are, undefined as nothing, the rest as `repr`.
pub fn python_str(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_string(),
        None if value.is_undefined() => String::new(),
        None => python_repr(value),
    }
}

/// Python's `repr(value)`.
pub fn python_repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value, 0);
    out
}

/// Python's `repr` of a float: the shortest digits that read back as the same number.
pub fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_string();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    let scientific = even_of_two(number, format!("{number:e}"));
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        return plain(mantissa, exponent);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Digits from which on a number can lie in the middle of two texts of that length.
const TIED: usize = 16;

/// Where a number lies in the middle of two shortest texts Rust takes the upper one, Python the
/// one whose last digit is even.
fn even_of_two(number: f64, shortest: String) -> String {
    let digits = shortest.bytes().take_while(|b| *b != b'e').filter(u8::is_ascii_digit).count();
    if digits < TIED {
        return shortest;
    }
    let rounded = format!("{number:.*e}", digits - 1);
    if rounded.parse() == Ok(number) {
        rounded
    } else {
        shortest
    }
}

/// Digits with a point where the exponent puts it; at least one digit on either side.
fn plain(mantissa: &str, exponent: i32) -> String {
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let Ok(before) = usize::try_from(exponent + 1) else {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    };
    if before == 0 {
        return format!("{sign}0.{digits}");
    }
    let whole: String = digits.chars().chain(std::iter::repeat('0')).take(before).collect();
    let rest = digits.get(before..).filter(|rest| !rest.is_empty()).unwrap_or("0");
    format!("{sign}{whole}.{rest}")
}

/// Python's `repr` of a string: the quote that needs fewer escapes, `'` when in doubt.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_quoted(&mut out, text);
    out
}

/// The number held by a float value; `None` for integers and everything else.
pub(crate) fn as_float(value: &Value) -> Option<f64> {
    if value.is_number() && !value.is_integer() {
        f64::try_from(value.clone()).ok()
    } else {
        None
    }
}

fn write_repr(out: &mut String, value: &Value, depth: usize) {
    // What is longer than a render may print is refused by whoever asked for it.
    if depth > MAX_DEPTH || out.len() > OUTPUT_LIMIT {
        out.push_str("...");
        return;
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Number => write_number(out, value),
        ValueKind::Seq => {
            let tuple = value.is_tuple();
            let count = write_items(out, value, if tuple { '(' } else { '[' }, depth);
            if tuple && count == 1 {
                out.push(',');
            }
            out.push(if tuple { ')' } else { ']' });
        }
        ValueKind::Iterable if value.len().is_some() => match view_text(value) {
            Some(text) => out.push_str(&text),
            None => {
                write_items(out, value, '[', depth);
                out.push(']');
            }
        },
        ValueKind::Map => write_pairs(out, value, depth),
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_number(out: &mut String, value: &Value) {
    match as_float(value) {
        Some(number) => out.push_str(&float_repr(number)),
        None => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_items(out: &mut String, value: &Value, open: char, depth: usize) -> usize {
    out.push(open);
    let mut count = 0;
    for item in value.try_iter().into_iter().flatten() {
        if count > 0 {
            out.push_str(", ");
        }
        write_repr(out, &item, depth + 1);
        count += 1;
    }
    count
}

fn write_pairs(out: &mut String, value: &Value, depth: usize) {
    out.push('{');
    for (position, key) in value.try_iter().into_iter().flatten().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write_repr(out, &key, depth + 1);
        out.push_str(": ");
        write_repr(out, &value.get_item(&key).unwrap_or_default(), depth + 1);
    }
    out.push('}');
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == quote => {
                out.push('\\');
                out.push(letter);
            }
            ' '..='~' => out.push(letter),
            _ if !is_printable(letter) => write_escape(out, letter as u32),
            _ => out.push(letter),
        }
    }
    out.push(quote);
}

fn write_escape(out: &mut String, code: u32) {
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// `str.isprintable` of one character.
pub(crate) fn is_printable(letter: char) -> bool {
    static HIDDEN: OnceLock<Regex> = OnceLock::new();
    if letter.is_ascii() {
        return (' '..='~').contains(&letter);
    }
    let hidden = HIDDEN.get_or_init(|| {
        Regex::new(r"^[\p{C}\p{Zl}\p{Zp}\p{Zs}]$").expect("a valid character class")
    });
    !hidden.is_match(letter.encode_utf8(&mut [0; 4]))
}

struct JsonWriter<'a> {
    out: String,
    style: &'a JsonStyle,
    item: &'a str,
    key: &'a str,
}

impl JsonWriter<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("the value is nested too deeply for JSON".to_string());
        }
        if self.out.len() > OUTPUT_LIMIT {
            return Err(format!("the JSON is longer than `{}` MiB", OUTPUT_LIMIT >> 20));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.number(value),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq => return self.list(value, depth),
            ValueKind::Iterable if value.len().is_some() => return self.list(value, depth),
            ValueKind::Map => return self.map(value, depth),
            kind => return Err(format!("a value of kind `{kind}` is not JSON serializable")),
        }
        Ok(())
    }

    fn number(&mut self, value: &Value) {
        match as_float(value) {
            Some(number) if number.is_nan() => self.out.push_str("NaN"),
            Some(number) if number.is_infinite() => {
                self.out.push_str(if number > 0.0 { "Infinity" } else { "-Infinity" });
            }
            _ => write_number(&mut self.out, value),
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..='\u{1f}' => self.unit(letter as u16),
                ' '..='~' => self.out.push(letter),
                _ if self.style.ensure_ascii => {
                    for unit in letter.encode_utf16(&mut [0; 2]) {
                        self.unit(*unit);
                    }
                }
                _ => self.out.push(letter),
            }
        }
        self.out.push('"');
    }

    fn unit(&mut self, unit: u16) {
        let _ = write!(self.out, "\\u{unit:04x}");
    }

    fn list(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.out.push('[');
        let mut empty = true;
        for item in value.try_iter().map_err(|error| error.to_string())? {
            self.separate(empty, depth + 1);
            self.value(&item, depth + 1)?;
            empty = false;
        }
        self.close(empty, depth, ']');
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        self.out.push('{');
        let mut keys: Vec<Value> = value.try_iter().map_err(|error| error.to_string())?.collect();
        if self.style.sort_keys {
            let kind = keys.first().map(Value::kind);
            if keys.iter().any(|key| Some(key.kind()) != kind) {
                return Err("keys of different types cannot be sorted".to_string());
            }
            keys.sort();
        }
        let empty = keys.is_empty();
        for (position, key) in keys.iter().enumerate() {
            self.separate(position == 0, depth + 1);
            let name = key_text(key)?;
            self.string(&name);
            self.out.push_str(self.key);
            let item = value.get_item(key).map_err(|error| error.to_string())?;
            self.value(&item, depth + 1)?;
        }
        self.close(empty, depth, '}');
        Ok(())
    }

    fn separate(&mut self, first: bool, depth: usize) {
        if !first {
            self.out.push_str(self.item);
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.style.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }
}

fn key_text(key: &Value) -> Result<String, String> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_string()),
        ValueKind::None => Ok("null".to_string()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_string()),
        ValueKind::Number => Ok(python_repr(key)),
        kind => Err(format!("a key of kind `{kind}` is not JSON serializable")),
    }
}
