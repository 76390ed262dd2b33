//! What the target of a case is: an index or labels among its choices, a text, or texts.

use crate::fault::many;
use crate::ir::Kind;
use crate::pyjson::python_str;
use minijinja::value::ValueKind;
use minijinja::Value;

/// JSON of a target: an index or 0/1 labels for multiple choice, text or texts otherwise.
#[derive(Debug, PartialEq)]
pub(super) struct Target {
    pub(super) json: String,
    pub(super) reading: Reading,
}

/// How a target was read that says two things, or could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It says one thing.
    Sure,
    /// As a text: it is that of one choice and the index of another.
    Text,
    /// As an index: it is a truth value, and a choice of another index says the same.
    Flag,
    /// As an index: it is a number, and the text of another choice. Where one number of the column
    /// is the text of none, they are all indices.
    Number,
    /// As an index: it is a number, and the text of no choice.
    Index,
}

impl Target {
    pub(super) fn of(json: impl ToString) -> Target {
        Target { json: json.to_string(), reading: Reading::Sure }
    }
}

/// What is wrong with a target, and what to do.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

fn wrong(message: impl Into<String>, hint: Option<&'static str>) -> Wrong {
    Wrong { message: message.into(), hint }
}

/// The JSON of a case's target. `settled`: a number was made one on purpose, as by `| int`.
pub(super) fn target(
    value: &Value,
    choices: &[String],
    kind: Kind,
    settled: bool,
) -> Result<Target, Wrong> {
    let list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    let items: Vec<Value> =
        if list { value.try_iter().into_iter().flatten().collect() } else { Vec::new() };
    if value.is_none() || items.iter().any(Value::is_none) {
        let hint = "filter such rows with `where`, or leave `target` out where nothing needs it";
        return Err(wrong("the target is null", Some(hint)));
    }
    match (kind, list) {
        (Kind::MultipleChoice, true) => labels(&items, choices),
        (Kind::MultipleChoice, false) => choice(value, choices, settled),
        (_, true) => Ok(Target::of(items.iter().map(python_str).collect::<serde_json::Value>())),
        (_, false) => Ok(Target::of(serde_json::Value::from(python_str(value)))),
    }
}

/// One label per choice: whole numbers or truth values.
fn labels(items: &[Value], choices: &[String]) -> Result<Target, Wrong> {
    if items.len() != choices.len() {
        return Err(wrong(
            format!("{} for {}", many(items.len(), "label"), many(choices.len(), "choice")),
            None,
        ));
    }
    let label = |item: &Value| match (item.kind(), python_str(item).as_str()) {
        (ValueKind::Bool, _) => Ok(i64::from(item.is_true())),
        (ValueKind::Number, "0" | "0.0") => Ok(0),
        (ValueKind::Number, "1" | "1.0") => Ok(1),
        (_, text) => {
            let hint =
                "give 0 or 1 for each choice; texts become numbers with `| map('int') | list`";
            Err(wrong(format!("the label `{text}` is neither 0 nor 1"), Some(hint)))
        }
    };
    let labels = items.iter().map(label).collect::<Result<Vec<i64>, Wrong>>()?;
    if labels.contains(&1) {
        Ok(Target::of(serde_json::Value::from(labels)))
    } else {
        Err(wrong("no label of the target is 1", None))
    }
}

/// The index of one choice: a number is that, a text is the choice of the same text, else the
/// index that it spells.
fn choice(value: &Value, choices: &[String], settled: bool) -> Result<Target, Wrong> {
    let text = python_str(value);
    let spelt = choices.iter().position(|choice| *choice == text);
    let index = match value.kind() {
        ValueKind::Bool => Some(usize::from(value.is_true())),
        ValueKind::Number => text.parse().ok(),
        _ => text.trim().parse().ok(),
    };
    let chosen = if value.as_str().is_some() { spelt.or(index) } else { index };
    let other = index.filter(|index| *index < choices.len());
    let two = |said: Option<usize>| said.zip(other).is_some_and(|(said, index)| said != index);
    let reading = match value.kind() {
        ValueKind::Bool if two(spelt.or_else(|| saying(value.is_true(), choices))) => Reading::Flag,
        ValueKind::Number if settled => Reading::Sure,
        ValueKind::Number if spelt.is_none() => Reading::Index,
        ValueKind::Number if two(spelt) => Reading::Number,
        ValueKind::String if two(spelt) => Reading::Text,
        _ => Reading::Sure,
    };
    match chosen {
        Some(index) if index < choices.len() => Ok(Target { json: index.to_string(), reading }),
        Some(index) => {
            let hint = (index == choices.len()).then_some(
                "choices are numbered from 0; write `{{ label - 1 }}` where labels begin with 1",
            );
            let message =
                format!("the target {index} is beyond the {}", many(choices.len(), "choice"));
            Err(wrong(message, hint))
        }
        None => {
            Err(wrong(format!("the target `{text}` is none of the choices"), none(&text, choices)))
        }
    }
}

/// The choice that says what a truth value does, where another says the contrary.
fn saying(truth: bool, choices: &[String]) -> Option<usize> {
    let at = |word: &str| choices.iter().position(|choice| choice.trim().to_lowercase() == word);
    [("true", "false"), ("yes", "no")].iter().find_map(|(yes, no)| {
        let (yes, no) = (at(yes)?, at(no)?);
        Some(if truth { yes } else { no })
    })
}

/// What to do about a target that is none of the choices.
fn none(text: &str, choices: &[String]) -> Option<&'static str> {
    let bare = text.trim();
    let alike = |choice: &String| choice.trim().to_lowercase() == bare.to_lowercase();
    let mut letters = bare.bytes();
    let letter = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic());
    if choices.iter().any(alike) {
        return Some("write target and choices alike, in white space and case");
    }
    match bare.parse::<f64>() {
        Ok(number) if number < 0.0 => {
            Some("hidden labels are often -1: filter such rows with `where`, or take a split with labels")
        }
        Ok(number) if number.fract() == 0.0 => {
            Some("make the label a whole number with `| int`, as in `{{ label | int }}`")
        }
        Ok(_) => None,
        Err(_) if bare.is_empty() => Some("filter rows without a label with `where`"),
        Err(_) if letter && letters.next().is_none() => {
            Some("turn a letter into an index, as in `{{ 'ABCD'.index(label) }}`")
        }
        Err(_) if matches!(bare, "True" | "False" | "true" | "false") => {
            Some("turn it into an index, as in `{{ ['False', 'True'].index(label) }}`")
        }
        Err(_) => Some("give the text of a choice, its index, or one 0/1 label for each choice"),
    }
}
