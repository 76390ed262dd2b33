//! `find`, `index`, `count`, `startswith` and their kin.

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use crate::template::arguments::{refusal, Arguments};

/// `str.find`, `rfind`, `index`, `rindex` and `count`, with Python's `start` and `end`.
pub(super) fn locate(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("find", &["sub", "start", "end"], args)?;
    let wanted = args.text(0)?;
    let range = window(text, &args)?;
    if method == "count" {
        return Ok(Value::from(range.map_or(0, |(from, until)| count(&text[from..until], wanted))));
    }
    let position = range.and_then(|(from, until)| {
        let part = &text[from..until];
        let offset = if method.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
        offset.map(|offset| text[..from + offset].chars().count())
    });
    match position {
        Some(position) => Ok(Value::from(position)),
        None if method.ends_with("find") => Ok(Value::from(-1)),
        None => Err(refusal(format!("the text has no `{wanted}`"))),
    }
}

/// `str.startswith` and `str.endswith` of a text or of several.
pub(super) fn affix(text: &str, start: bool, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("startswith", &["affix", "start", "end"], args)?;
    let Some((from, until)) = window(text, &args)? else { return Ok(Value::from(false)) };
    let part = &text[from..until];
    let fits = |affix: &str| if start { part.starts_with(affix) } else { part.ends_with(affix) };
    let wanted = args.value(0)?;
    if !matches!(wanted.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(Value::from(fits(args.text(0)?)));
    }
    for affix in wanted.try_iter()? {
        let affix = affix.as_str().ok_or_else(|| refusal("`startswith` takes texts"))?;
        if fits(affix) {
            return Ok(Value::from(true));
        }
    }
    Ok(Value::from(false))
}

fn count(part: &str, wanted: &str) -> usize {
    match wanted.is_empty() {
        true => part.chars().count() + 1,
        false => part.matches(wanted).count(),
    }
}

/// Byte range of the code points `start..end`, `None` when `start` lies behind `end`.
fn window(text: &str, args: &Arguments) -> Result<Option<(usize, usize)>, Error> {
    let (start, end) = (args.some_count(1)?, args.some_count(2)?);
    if start.is_none() && end.is_none() {
        return Ok(Some((0, text.len())));
    }
    let length = text.chars().count() as i64;
    let place = |at: i64| if at < 0 { (at + length).max(0) } else { at };
    let start = place(start.unwrap_or(0));
    let end = place(end.unwrap_or(length)).min(length);
    if start > end {
        return Ok(None);
    }
    let byte =
        |at: i64| text.char_indices().nth(at as usize).map_or(text.len(), |(offset, _)| offset);
    Ok(Some((byte(start), byte(end))))
}
