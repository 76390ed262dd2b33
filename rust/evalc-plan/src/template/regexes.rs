//! `re.sub` for the filter `regex_replace`.

use std::cell::RefCell;
use std::collections::HashMap;

use minijinja::Error;
use regex::{Captures, Regex, RegexBuilder};

use super::arguments::refusal;

/// Patterns kept compiled per thread; the rest are compiled at each use.
const KEPT: usize = 64;

/// Units of the engine's fuel that a pattern costs; most of them are compiled already.
pub(crate) const COMPILING: u64 = 5_000;

/// Most bytes that a compiled pattern may take: what a letter costs grows with it.
const PATTERN_LIMIT: usize = 1 << 18;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::new(HashMap::new());
}

/// Python's `re.sub(pattern, replacement, text, count)`.
///
/// Refuses what the linear-time engine lacks: look-around and references inside the pattern.
pub(crate) fn substitute(
    text: &str,
    pattern: &str,
    replacement: &str,
    count: usize,
) -> Result<String, Error> {
    let regex = compiled(pattern, text)?;
    let parts = replacement_parts(replacement, &regex)?;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    let mut left = if count == 0 { usize::MAX } else { count };
    while left > 0 && at <= text.len() {
        let Some(found) = regex.captures_at(text, at) else { break };
        let whole = found.get(0).expect("a match has a range");
        out.push_str(&text[copied..whole.start()]);
        for part in &parts {
            part.write(&mut out, &found);
        }
        copied = whole.end();
        at = whole.end();
        if whole.is_empty() {
            let Some(letter) = text[at..].chars().next() else { break };
            at += letter.len_utf8();
        }
        left -= 1;
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

enum Part {
    Text(String),
    Group(usize),
    Name(String),
}

impl Part {
    fn write(&self, out: &mut String, found: &Captures) {
        let group = match self {
            Part::Text(text) => return out.push_str(text),
            Part::Group(number) => found.get(*number),
            Part::Name(name) => found.name(name),
        };
        out.push_str(group.map_or("", |group| group.as_str()));
    }
}

fn compiled(pattern: &str, text: &str) -> Result<Regex, Error> {
    let pattern = translated(pattern, text)?;
    COMPILED.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(&pattern) {
            return Ok(regex.clone());
        }
        let regex = RegexBuilder::new(&pattern)
            .size_limit(PATTERN_LIMIT)
            .build()
            .map_err(|_| refusal(format!("the pattern `{pattern}` is not supported")))?;
        if kept.len() < KEPT {
            kept.insert(pattern, regex.clone());
        }
        Ok(regex)
    })
}

/// The pattern in the engine's dialect: `\Z` is `\z`.
///
/// Python's `$` also matches before a line end that ends the text; that needs look-ahead, so such
/// a text is refused rather than matched otherwise than Python would.
fn translated(pattern: &str, text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                out.push('\\');
                match letters.next() {
                    Some('Z') => out.push('z'),
                    Some(escaped) => out.push(escaped),
                    None => {}
                }
                continue;
            }
            '[' => in_class = true,
            ']' => in_class = false,
            '$' if !in_class && text.ends_with('\n') => {
                return Err(refusal("`$` is not supported on a text that ends in a line end"));
            }
            _ => {}
        }
        out.push(letter);
    }
    Ok(out)
}

/// Splits a replacement at `\1`, `\g<1>`, `\g<name>` and character escapes.
fn replacement_parts(replacement: &str, regex: &Regex) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = replacement;
    while let Some(start) = rest.find('\\') {
        literal.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let Some(letter) = rest.chars().next() else {
            return Err(refusal("the replacement ends in a backslash"));
        };
        let (group, used) = match letter {
            'g' => named_group(rest)?,
            '1'..='9' => {
                let two = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
                let digits = if two { &rest[..2] } else { &rest[..1] };
                (Part::Group(digits.parse().unwrap_or(usize::MAX)), digits.len())
            }
            _ => (Part::Text(escape(letter)?), letter.len_utf8()),
        };
        rest = &rest[used..];
        match group {
            Part::Text(text) => literal.push_str(&text),
            Part::Group(number) if number >= regex.captures_len() => {
                return Err(refusal(format!("the pattern has no group `{number}`")));
            }
            Part::Name(name) if !regex.capture_names().flatten().any(|known| known == name) => {
                return Err(refusal(format!("the pattern has no group `{name}`")));
            }
            group => {
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(group);
            }
        }
    }
    literal.push_str(rest);
    parts.push(Part::Text(literal));
    Ok(parts)
}

fn named_group(rest: &str) -> Result<(Part, usize), Error> {
    let name = rest
        .strip_prefix("g<")
        .and_then(|rest| rest.split_once('>'))
        .map(|(name, _)| name)
        .ok_or_else(|| refusal("the replacement has `\\g` without `<group>`"))?;
    let part = match name.parse() {
        Ok(number) => Part::Group(number),
        Err(_) => Part::Name(name.to_string()),
    };
    Ok((part, name.len() + 3))
}

fn escape(letter: char) -> Result<String, Error> {
    Ok(match letter {
        'n' => "\n".to_string(),
        't' => "\t".to_string(),
        'r' => "\r".to_string(),
        'f' => "\u{c}".to_string(),
        'v' => "\u{b}".to_string(),
        'a' => "\u{7}".to_string(),
        '\\' => "\\".to_string(),
        _ if letter.is_ascii_alphanumeric() => {
            return Err(refusal(format!("the replacement has a bad escape `\\{letter}`")));
        }
        _ => format!("\\{letter}"),
    })
}
