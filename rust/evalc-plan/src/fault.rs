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

/// The candidate closest to `word`, if it is close enough to have been meant.
pub fn closest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + word.len().min(c.len()) / 4)
        .min()
        .map(|(_, c)| c.to_owned())
}

/// At most a few faults of one kind and place; the rest become a note on the last of them, without
/// their number where `cut` says that not all rows were looked at.
pub fn abridge(faults: Vec<Fault>, cut: bool) -> Vec<Fault> {
    const SHOWN: usize = 5;
    let mut kept: Vec<Fault> = Vec::new();
    let mut dropped: Vec<usize> = Vec::new();
    for fault in faults {
        let alike: Vec<usize> = (0..kept.len())
            .filter(|i| kept[*i].code == fault.code && kept[*i].loc == fault.loc)
            .collect();
        if alike.len() < SHOWN {
            kept.push(fault);
            dropped.push(0);
        } else if let Some(last) = alike.last() {
            dropped[*last] += 1;
        }
    }
    for (fault, more) in kept.iter_mut().zip(dropped) {
        if more > 0 {
            let more = if cut { String::new() } else { format!("{more} ") };
            fault.notes.push(format!("and {more}more like this"));
        }
    }
    kept
}
