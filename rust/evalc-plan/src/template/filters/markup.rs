//! Filters about HTML, as MarkupSafe words them.

use std::sync::OnceLock;

use minijinja::{Error, State, Value};
use regex::Regex;

use crate::template::arguments::Arguments;

/// `escape`: escapes what is not marked safe.
pub(super) fn escape(state: &State, args: &Arguments) -> Result<Value, Error> {
    match args.value(0)? {
        value if value.is_safe() => Ok(value.clone()),
        _ => force_escape(state, args),
    }
}

/// `forceescape`: escapes whatever the marks.
pub(super) fn force_escape(state: &State, args: &Arguments) -> Result<Value, Error> {
    let text = args.subject(state)?;
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;");
    Ok(Value::from_safe_string(escaped))
}

/// `striptags`: no comments, no tags, single spaces. Entities stay as they are.
pub(super) fn strip_tags(state: &State, args: &Arguments) -> Result<Value, Error> {
    static MARKS: OnceLock<Regex> = OnceLock::new();
    let marks = MARKS.get_or_init(|| Regex::new("(?s)<!--.*?-->|<.*?>").expect("a valid pattern"));
    let text = args.subject(state)?;
    let plain = marks.replace_all(&text, "");
    Ok(Value::from(plain.split_whitespace().collect::<Vec<_>>().join(" ")))
}
