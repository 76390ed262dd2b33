//! `split`, `rsplit`, `splitlines` and `partition`.

use minijinja::value::Tuple;
use minijinja::{Error, State, Value};

use super::letters::is_space;
use crate::template::arguments::{pay, refusal, Arguments};
use crate::template::filters::heavy::parts as count_parts;

/// Bytes that a part of a text takes beside its letters.
pub(super) const PLACE: usize = 32;

/// `str.split` and `str.rsplit`.
pub(super) fn split(
    state: &State,
    text: &str,
    from_right: bool,
    args: &[Value],
) -> Result<Value, Error> {
    let args = Arguments::bind("split", &["sep", "maxsplit"], args)?;
    pay(state, count_parts(text, args.some_text(0)?).saturating_mul(PLACE))?;
    let limit = usize::try_from(args.some_count(1)?.unwrap_or(-1)).unwrap_or(usize::MAX);
    let parts: Vec<&str> = match args.some_text(0)? {
        Some("") => return Err(refusal("`split` got an empty separator")),
        Some(separator) if from_right => {
            let mut parts: Vec<&str> = text.rsplitn(limit.saturating_add(1), separator).collect();
            parts.reverse();
            parts
        }
        Some(separator) => text.splitn(limit.saturating_add(1), separator).collect(),
        None if from_right => words_from_right(text, limit),
        None => words(text, limit),
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

/// `str.splitlines`.
pub(crate) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_line_end) {
        let mark = rest[start..].chars().next().map_or(1, char::len_utf8);
        let width = if rest[start..].starts_with("\r\n") { 2 } else { mark };
        found.push(&rest[..if keep_ends { start + width } else { start }]);
        rest = &rest[start + width..];
    }
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

/// How many lines end in a text, at most.
pub(super) fn line_ends(text: &str) -> usize {
    text.matches(is_line_end).count() + 1
}

/// `str.partition` and `str.rpartition`.
pub(super) fn partition(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("partition", &["sep"], args)?;
    let separator = args.text(0)?;
    if separator.is_empty() {
        return Err(refusal("`partition` got an empty separator"));
    }
    let found = match from_right {
        true => text.rsplit_once(separator),
        false => text.split_once(separator),
    };
    let parts = match found {
        Some((before, after)) => [before, separator, after],
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

fn words(text: &str, limit: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = match found.len() < limit {
            true => rest.find(is_space).unwrap_or(rest.len()),
            false => rest.len(),
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    found
}

fn words_from_right(text: &str, limit: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        let before = match found.len() < limit {
            true => rest.trim_end_matches(|letter| !is_space(letter)).len(),
            false => 0,
        };
        found.push(&rest[before..]);
        rest = rest[..before].trim_end_matches(is_space);
    }
    found.reverse();
    found
}

fn is_line_end(letter: char) -> bool {
    matches!(
        letter,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}
