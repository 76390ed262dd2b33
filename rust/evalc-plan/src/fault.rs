//! What is wrong with an input, as data; Python turns it into a diagnostic with a place.

use serde::Serialize;

/// One step of a location in the spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A table key.
    Key(String),
    /// A position in an array.
    Index(usize),
}

/// A finding of the planner. `code` is a key of the Python catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Stable code.
    pub code: &'static str,
    /// One lower-case sentence.
    pub message: String,
    /// Place in the spec.
    pub loc: Vec<Loc>,
    /// Byte range inside the decoded string at `loc`.
    pub span: Option<(usize, usize)>,
    /// Data file, where the fault is in data.
    pub file: Option<String>,
    /// 1-based line in `file`.
    pub line: Option<usize>,
    /// Further facts.
    pub notes: Vec<String>,
    /// What to do, imperative.
    pub hint: Option<String>,
    /// A name that was probably meant.
    pub suggestion: Option<String>,
}

impl Fault {
    /// A fault without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Fault {
            code,
            message: message.into(),
            loc: Vec::new(),
            span: None,
            file: None,
            line: None,
            notes: Vec::new(),
            hint: None,
            suggestion: None,
        }
    }

    /// Point at `table.name.field` of the spec; an empty field points at the table itself.
    pub fn at(mut self, table: &str, name: &str, field: &str) -> Self {
        self.loc = vec![Loc::Key(table.into()), Loc::Key(name.into())];
        self.loc.extend(
            field
                .split('.')
                .filter(|f| !f.is_empty())
                .map(|part| part.parse().map_or_else(|_| Loc::Key(part.into()), Loc::Index)),
        );
        self
    }

    /// Point at a line of a data file.
    pub fn in_file(mut self, file: &str, line: Option<usize>) -> Self {
        self.file = Some(file.into());
        self.line = line;
        self
    }

    /// Add an imperative hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Add a fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// `1 case`, `2 cases`.
pub fn many(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The candidate closest to `word`, if it is close enough to have been meant.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + word.len().min(c.len()) / 4)
        .min()
        .map(|(_, c)| c.to_owned())
}

/// Rows with one fault become one, with their lines; of one kind and place there are at most a few,
/// and the rest become a note on the last of them, without their number where `cut` says that not all
/// rows were looked at.
pub fn abridge(faults: Vec<Fault>, cut: bool) -> Vec<Fault> {
    const SHOWN: usize = 5;
    let mut kept: Vec<Fault> = Vec::new();
    let mut causes: Vec<String> = Vec::new();
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut dropped: Vec<usize> = Vec::new();
    for fault in faults {
        let cause = cause(&fault);
        let alike: Vec<usize> = (0..kept.len())
            .filter(|i| kept[*i].code == fault.code && kept[*i].loc == fault.loc)
            .collect();
        let same = alike.iter().find(|i| causes[**i] == cause && same_but_row(&kept[**i], &fault));
        match (same, alike.last()) {
            (Some(same), _) => lines[*same].extend(fault.line),
            (None, Some(last)) if alike.len() >= SHOWN => dropped[*last] += 1,
            _ => {
                lines.push(fault.line.into_iter().collect());
                causes.push(cause);
                dropped.push(0);
                kept.push(fault);
            }
        }
    }
    for ((fault, lines), more) in kept.iter_mut().zip(lines).zip(dropped) {
        if lines.len() > 1 {
            fault.notes.push(in_rows(&lines, cut));
        }
        if more > 0 {
            let more = if cut { String::new() } else { format!("{more} ") };
            fault.notes.push(format!("and {more}more like this"));
        }
    }
    kept
}

/// Whether two faults are one fault of two rows: a place in the spec, and all but the line alike.
fn same_but_row(one: &Fault, other: &Fault) -> bool {
    let known = |fault: &Fault| !fault.loc.is_empty() && fault.line.is_some();
    known(one)
        && known(other)
        && (one.span, &one.file, &one.hint) == (other.span, &other.file, &other.hint)
        && one.notes == other.notes
}

/// A message without what differs between rows: values and numbers, but not the name of a column.
fn cause(fault: &Fault) -> String {
    if fault.code == "missing-column" {
        let line = fault.line.map_or_else(String::new, |line| format!("line {line}"));
        return fault.message.replace(&line, "");
    }
    let plain = fault.message.split('`').step_by(2).collect::<Vec<_>>().join("``");
    plain.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// `20 rows are like this: lines 1, 2, 3, 4, 5 and 15 more`; `at least` so many where `cut` says that
/// not all rows were looked at.
fn in_rows(lines: &[usize], cut: bool) -> String {
    const SHOWN: usize = 5;
    let count = lines.len();
    let first: Vec<String> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let listed = match first.split_last() {
        Some((last, before)) if count <= SHOWN => format!("{} and {last}", before.join(", ")),
        _ => format!("{} and {} more", first.join(", "), count - SHOWN),
    };
    let least = if cut { "at least " } else { "" };
    format!("{least}{count} rows are like this: lines {listed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_row(message: String, line: usize) -> Fault {
        Fault::new("bad-target", message).at("tasks", "t", "target").in_file("d", Some(line))
    }

    #[test]
    fn one_fault_of_many_rows_is_told_once_with_their_lines() {
        let told = |n: usize| {
            let faults = (1..=n).map(|i| of_row(format!("the target {i} is beyond `{i}`"), i));
            abridge(faults.collect(), false)
        };
        assert_eq!(told(1)[0].notes, Vec::<String>::new());
        assert_eq!(told(3)[0].notes, ["3 rows are like this: lines 1, 2 and 3"]);
        assert_eq!(told(7)[0].notes, ["7 rows are like this: lines 1, 2, 3, 4, 5 and 2 more"]);
        assert_eq!(told(7).len(), 1);
    }

    #[test]
    fn other_faults_of_one_place_stay_apart() {
        let words = ["null", "no label", "a list"];
        let faults = words.iter().enumerate().map(|(i, word)| of_row((*word).to_owned(), i + 1));
        assert_eq!(abridge(faults.collect(), false).len(), 3);
        let missing = |column: &str, line: usize| {
            Fault::new("missing-column", format!("the row on line {line} has no `{column}`"))
                .at("tasks", "t", "prompt")
                .in_file("d", Some(line))
        };
        let told = abridge(vec![missing("a", 1), missing("b", 2), missing("a", 12)], false);
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].notes, ["2 rows are like this: lines 1 and 12"]);
    }
}
