//! Python's string methods, on code points.

mod letters;
mod search;
mod split;

use minijinja::value::StringInput;
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::arguments::{pay, refusal, Arguments};
use super::filters::heavy::pay_fields;
pub(crate) use letters::is_space;
pub(crate) use split::lines;

/// Calls a method of a text; `UnknownMethod` if Python's or ours has none of that name.
pub(crate) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return Err(Error::from(ErrorKind::UnknownMethod));
    };
    for undefined in args.iter().filter(|arg| arg.is_undefined()) {
        StringInput::new(state, undefined)?;
    }
    if let Some(test) = letters::predicate(method) {
        Arguments::bind("a string test", &[], args)?;
        return Ok(Value::from(test(text)));
    }
    match method {
        "strip" | "lstrip" | "rstrip" => strip(text, method, args),
        "title" => Ok(Value::from(title(state, text)?)),
        "swapcase" => Ok(Value::from(letters::swapcase(text))),
        "split" | "rsplit" => split::split(state, text, method == "rsplit", args),
        "splitlines" => {
            let args = Arguments::bind("splitlines", &["keepends"], args)?;
            pay(state, split::line_ends(text).saturating_mul(split::PLACE))?;
            Ok(lines(text, args.flag(0)).into_iter().map(Value::from).collect())
        }
        "partition" => split::partition(text, false, args),
        "rpartition" => split::partition(text, true, args),
        "find" | "rfind" | "index" | "rindex" | "count" => search::locate(text, method, args),
        "startswith" | "endswith" => search::affix(text, method == "startswith", args),
        "removeprefix" | "removesuffix" => remove_affix(text, method, args),
        "replace" => replace(state, text, args),
        "join" => join(state, text, args),
        "ljust" | "rjust" | "center" => justify(state, text, method, args),
        "zfill" => zero_fill(state, text, args),
        "expandtabs" => expand_tabs(state, text, args),
        "format" => {
            pay(state, numbers(text))?;
            pay_fields(state, text.matches('{').count(), args)?;
            pycompat::unknown_method_callback(state, value, method, args)
        }
        "upper" | "lower" | "capitalize" => {
            pycompat::unknown_method_callback(state, value, method, args)
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// `str.strip`, or `str.lstrip` and `str.rstrip`, of white space.
pub(crate) fn stripped(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Text around `text` that makes it `width` code points long, as `str.center` divides it.
pub(crate) fn centered(state: &State, text: &str, width: i64, fill: char) -> Result<String, Error> {
    let missing = padding(state, text, width, fill)?;
    let left = missing / 2 + (missing & usize::try_from(width).unwrap_or(0) & 1);
    Ok(padded(text, left, missing - left, fill))
}

fn strip(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("strip", &["chars"], args)?;
    let chars = args.some_text(0)?;
    let matches = |letter: char| match chars {
        Some(chars) => chars.contains(letter),
        None => is_space(letter),
    };
    Ok(Value::from(match method {
        "lstrip" => text.trim_start_matches(matches),
        "rstrip" => text.trim_end_matches(matches),
        _ => text.trim_matches(matches),
    }))
}

fn title(state: &State, text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for letter in text.chars() {
        match (inside, letter.is_ascii()) {
            (true, _) => out.extend(letter.to_lowercase()),
            (false, true) => out.push(letter.to_ascii_uppercase()),
            (false, false) => {
                let single = Value::from(letter);
                let titled = minijinja::filters::capitalize(StringInput::new(state, &single)?);
                out.push_str(titled.as_str().unwrap_or_default());
            }
        }
        inside = letters::is_cased(letter);
    }
    Ok(out)
}

fn remove_affix(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("removeprefix", &["affix"], args)?;
    let affix = args.text(0)?;
    let rest = match method {
        "removeprefix" => text.strip_prefix(affix),
        _ => text.strip_suffix(affix),
    };
    Ok(Value::from(rest.unwrap_or(text)))
}

fn replace(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("replace", &["old", "new", "count"], args)?;
    let (old, new) = (args.text(0)?, args.text(1)?);
    let limit = usize::try_from(args.some_count(2)?.unwrap_or(-1)).unwrap_or(usize::MAX);
    let found = (text.len() / old.len().max(1) + 1).min(limit);
    pay(state, found.saturating_mul(new.len().saturating_sub(old.len())))?;
    Ok(Value::from(text.replacen(old, new, limit)))
}

fn join(state: &State, separator: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("join", &["items"], args)?;
    let mut out = String::new();
    for (position, item) in args.value(0)?.try_iter()?.checked().enumerate() {
        let item = item?;
        let Some(text) = item.as_str() else {
            let kind = item.kind();
            return Err(refusal(format!("`join` takes texts, and item {position} is a {kind}")));
        };
        pay(state, separator.len() + text.len())?;
        if position > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    Ok(Value::from(out))
}

fn justify(state: &State, text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("justify", &["width", "fill"], args)?;
    args.value(0)?;
    let width = args.some_count(0)?.unwrap_or(0);
    let mut fill = args.some_text(1)?.unwrap_or(" ").chars();
    let (Some(fill), None) = (fill.next(), fill.next()) else {
        return Err(refusal("the fill is not one character"));
    };
    if method == "center" {
        return centered(state, text, width, fill).map(Value::from);
    }
    let missing = padding(state, text, width, fill)?;
    let (left, right) = if method == "rjust" { (missing, 0) } else { (0, missing) };
    Ok(Value::from(padded(text, left, right, fill)))
}

fn zero_fill(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("zfill", &["width"], args)?;
    args.value(0)?;
    let missing = padding(state, text, args.some_count(0)?.unwrap_or(0), '0')?;
    let sign = usize::from(text.starts_with(['+', '-']));
    Ok(Value::from(format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])))
}

fn expand_tabs(state: &State, text: &str, args: &[Value]) -> Result<Value, Error> {
    let args = Arguments::bind("expandtabs", &["tabsize"], args)?;
    let size = usize::try_from(args.some_count(0)?.unwrap_or(8)).unwrap_or(0);
    pay(state, text.matches('\t').count().saturating_mul(size))?;
    let mut out = String::new();
    let mut column = 0;
    for letter in text.chars() {
        match letter {
            '\t' if size > 0 => {
                let gap = size - column % size;
                out.push_str(&" ".repeat(gap));
                column += gap;
            }
            '\t' => {}
            _ => {
                out.push(letter);
                column = if matches!(letter, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    Ok(Value::from(out))
}

/// The sum of the numbers in a format, of which widths and precisions are some.
fn numbers(format: &str) -> usize {
    let runs = format.split(|letter: char| !letter.is_ascii_digit()).filter(|run| !run.is_empty());
    runs.map(|run| run.parse().unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
}

/// How many `fill` letters are missing to `width`, paid for.
fn padding(state: &State, text: &str, width: i64, fill: char) -> Result<usize, Error> {
    let missing = usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    pay(state, missing.saturating_mul(fill.len_utf8()))?;
    Ok(missing)
}

fn padded(text: &str, left: usize, right: usize, fill: char) -> String {
    let side = |count: usize| std::iter::repeat_n(fill, count);
    side(left).chain(text.chars()).chain(side(right)).collect()
}
