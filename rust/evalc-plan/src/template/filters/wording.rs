//! Filters that lay out text.

use std::sync::OnceLock;

use minijinja::{Error, State, Value};
use regex::Regex;

use super::indentation;
use crate::template::arguments::{pay, Arguments};
use crate::template::strings;

/// `indent(s, width=4, first=False, blank=False)`.
pub(super) fn indent(state: &State, args: &Arguments) -> Result<Value, Error> {
    args.defined(state)?;
    let text = args.text(0)?;
    let margin = args.given(1).map_or(Ok("    ".to_string()), indentation)?;
    let blank = args.flag(3);
    let text = format!("{text}\n");
    let mut lines = strings::lines(&text, false);
    let first = lines.remove(0);
    pay(state, margin.len().saturating_mul(lines.len() + 1))?;
    let mut out = String::with_capacity(text.len());
    if args.flag(2) {
        out.push_str(&margin);
    }
    out.push_str(first);
    for line in lines {
        out.push('\n');
        if blank || !line.is_empty() {
            out.push_str(&margin);
        }
        out.push_str(line);
    }
    Ok(Value::from(out))
}

/// `truncate(s, length=255, killwords=False, end="...", leeway=5)`.
pub(super) fn truncate(state: &State, args: &Arguments) -> Result<Value, Error> {
    args.defined(state)?;
    let text = args.text(0)?;
    let size = |slot: usize, or: i64| {
        args.some_count(slot).map(|given| usize::try_from(given.unwrap_or(or)).unwrap_or(0))
    };
    let (length, leeway) = (size(1, 255)?, size(4, 5)?);
    let end = args.some_text(3)?.unwrap_or("...");
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(Value::from(text));
    }
    let kept = length.saturating_sub(end.chars().count());
    let cut: String = text.chars().take(kept).collect();
    let cut = match args.flag(2) {
        true => cut.as_str(),
        false => cut.rsplit_once(' ').map_or(cut.as_str(), |(before, _)| before),
    };
    Ok(Value::from(format!("{cut}{end}")))
}

/// `wordcount`: runs of letters, digits and underscores.
pub(super) fn word_count(state: &State, args: &Arguments) -> Result<Value, Error> {
    static WORD: OnceLock<Regex> = OnceLock::new();
    let word = WORD.get_or_init(|| Regex::new(r"\w+").expect("a valid pattern"));
    Ok(Value::from(word.find_iter(&args.subject(state)?).count()))
}

/// `center(value, width=80)`.
pub(super) fn center(state: &State, args: &Arguments) -> Result<Value, Error> {
    let text = args.subject(state)?;
    let width = args.some_count(1)?.unwrap_or(80);
    strings::centered(state, &text, width, ' ').map(Value::from)
}
